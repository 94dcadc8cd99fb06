// A file in memory with the bytes of an input.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include "base/unique_fd.h"

namespace vitrine::fuzz {

inline UniqueFd file_of(std::string_view bytes) {
  UniqueFd file(::memfd_create("input", MFD_CLOEXEC));
  if (!file ||
      ::write(file.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    std::abort();
  }
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

}  // namespace vitrine::fuzz
