// What was decided about one call, and by which rule. Values only.
#pragma once

#include <string>

namespace vitrine {

enum class Action {
  kAllow,  // done natively by the kernel
  kServe,  // done by vitrine
  kDeny,   // fails with an errno
  kKill,   // ends the run
};

// "allow", "serve", "deny", "kill": the words of the audit log.
constexpr const char* name_of(Action action) {
  switch (action) {
    case Action::kAllow:
      return "allow";
    case Action::kServe:
      return "serve";
    case Action::kDeny:
      return "deny";
    case Action::kKill:
      break;
  }
  return "kill";
}

struct Decision {
  Action action = Action::kDeny;
  int error = 0;                 // positive errno, for kDeny
  std::string rule = "default";  // Origin::rule of what decided
};

}  // namespace vitrine
