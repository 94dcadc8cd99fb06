// What a policy decides about a call, and by which rule: `vitrine profile explain` and the replay
// of logs. Reads the rules, and asks the host only whether a shown path exists.
#pragma once

#include <optional>
#include <string>

#include "core/decision.h"
#include "core/file_rules.h"
#include "policy/policy.h"

namespace vitrine::policy {

struct Question {
  std::string syscall;              // "openat"
  std::optional<std::string> path;  // guest path, absolute
};

struct Explanation {
  Decision decision;
  Origin origin;     // of the rule that decides; "default" with no location where none does
  std::string note;  // a sentence without a full stop
};

Explanation explain(const Policy& policy, const Question& question);

}  // namespace vitrine::policy
