// Is a log what vitrine wrote, whole and unchanged? The digest finds accidents and careless edits,
// not a forger who computes it anew: keep the log, or its digest, where the program's owner cannot
// write.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "audit/log_reader.h"
#include "base/unique_fd.h"

namespace vitrine::audit {

struct Verification {
  std::uint64_t lines = 0;            // read, the end line included
  std::uint64_t events_left_out = 0;  // as the end line says
  std::string sha256;                 // computed
  std::vector<std::string> problems;  // a sentence each, the first few; empty: intact
};

// An error: the file could not be read. `progress` is told the bytes that were read.
Result<Verification> verify_log(UniqueFd fd,
                                const std::function<void(std::uint64_t)>& progress = {});

}  // namespace vitrine::audit
