// How a supervised call ends. A handler returns one; Interceptor::apply performs it.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "base/unique_fd.h"

namespace vitrine {

// The kernel performs the call. Only for decisions that rest on register values alone: whatever a
// pointer names can be changed by a sibling thread until the kernel reads it.
struct Continue {};
// The call returns `value`. Memory the call declares as output has been written already.
struct Return {
  std::int64_t value = 0;
};
// The call fails with `error` (a positive errno).
struct FailWith {
  int error = 0;
};
// The call returns the number under which `fd` was put into the task's descriptor table.
struct InstallFd {
  UniqueFd fd;
  bool close_on_exec = false;
};
// Ends the run.
struct Kill {
  std::string reason;
};

using Effect = std::variant<Continue, Return, FailWith, InstallFd, Kill>;

// What applying an effect gave: the call's result as the program sees it.
struct Outcome {
  std::int64_t result = 0;  // >= 0, or -errno; 0 for Continue (its result is not seen)
  bool known = true;        // false: Continue
  bool delivered = true;    // false: the task was gone or was interrupted before the answer
};

}  // namespace vitrine
