// Which lines of a log `vitrine log show` prints.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "audit/log_reader.h"
#include "base/clock.h"

namespace vitrine::audit {

struct LogFilter {
  bool denied = false;                // denied and killed calls only
  std::vector<std::string> syscalls;  // any of these names
  std::optional<std::string>
      path;  // glob(7), of which `*` also matches `/`, against any path argument
  std::optional<std::string> decision;
  std::optional<std::uint64_t> pid;
  std::optional<Nanoseconds> since;  // since the start of the run, inclusive
  std::optional<Nanoseconds> until;

  bool matches(const LogLine& line) const;

 private:
  bool matches_call(const Json& call) const;
};

// An argument that names a file, by the table of calls; of a call that it does not have, by its
// name.
bool is_path_argument(std::string_view syscall, std::string_view name);
bool is_refused(std::string_view decision);  // "deny" or "kill"

}  // namespace vitrine::audit
