// The outcome of a run, as the report (contract section 4) and the audit log's last line give it.
// Values only; the JSON form is made in audit/report_json.h.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/limits.h"

namespace vitrine {

enum class Verdict {
  kExited,
  kSignaled,
  kWallLimit,
  kCpuLimit,
  kMemoryLimit,
  kOutputLimit,
  kViolation,
  kSetupError,
  kInternalError,
};

// "exited", "wall-limit", ...: the words of the report.
const char* name_of(Verdict verdict);

struct Denial {
  static constexpr std::size_t kLongestTarget = 512;

  std::string syscall;
  std::string target;  // raw bytes: the path or what the call named; "" where it named nothing
  std::string error;   // "ENOENT"
  std::string rule;
  std::string where;  // "script.py:12" when known, else ""
  std::uint64_t count = 1;
};

struct CallCount {
  std::uint64_t mediated = 0;
  std::uint64_t denied = 0;
};

struct Report {
  Verdict verdict = Verdict::kInternalError;
  std::optional<int> exit_code;       // of the command
  std::optional<int> signal;          // that killed the command
  std::optional<std::string> reason;  // one sentence, for every verdict but kExited and kSignaled
  int exit_status = 125;              // vitrine's own (contract section 3)
  std::string backend;
  std::vector<std::string> profiles;
  std::vector<std::string> command;
  Limits limits;
  std::uint64_t scratch_bytes = 0;  // quota
  Usage usage;
  std::uint64_t mediated = 0;
  std::uint64_t denied = 0;
  std::optional<std::uint64_t> total;  // with audit level `all` only
  std::map<std::string, CallCount> by_name;
  std::vector<std::string> limits_hit;  // "memory", "processes", "threads", "scratch", ...
  std::vector<Denial> denials;          // grouped; bounded
  std::uint64_t denials_left_out = 0;   // groups that did not fit
};

}  // namespace vitrine
