// Folders that have no name any more: what stands for a folder that the guest has opened. Only of a
// folder does the kernel itself say EISDIR to read(2), and ENODEV to mmap(2).
//
// One is made in a tmpfs of the host, opened and removed at once: it is empty, nothing can be made
// in it, and no name leads to it.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace vitrine::vfs {

class NamelessFolders {
 public:
  NamelessFolders();

  // A fresh one, open for reading; F_GETFL tells of `flags` (of open(2)) as of any folder's. An
  // error where the host has no tmpfs that can be written, or no room in it.
  Result<UniqueFd> create(int flags);

 private:
  Result<UniqueFd> create_once(int flags);

  UniqueFd place_;
  std::string prefix_;  // of names that nobody guesses
  std::uint64_t next_ = 0;
};

}  // namespace vitrine::vfs
