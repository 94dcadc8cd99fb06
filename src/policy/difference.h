// What one policy grants and another does not: `vitrine profile check --diff`.
#pragma once

#include <string>
#include <vector>

#include "policy/policy.h"

namespace vitrine::policy {

struct Grant {
  std::string kind;     // "show", "scratch", "limit", "call", "environment", ...
  std::string subject;  // raw bytes: a path, the name of a limit or call
  std::string change;   // what `more` grants, and what `less` has in its place
  Origin origin;        // of the rule in `more`; a default has none
};

// What `more` grants beyond `less`, in the order of the rules. Files are compared where either
// policy has a rule; patterns are looked up on this host.
std::vector<Grant> grants_beyond(const Policy& less, const Policy& more);

}  // namespace vitrine::policy
