// Writes a policy as one profile that extends nothing: `profile show --json`.
#pragma once

#include <string>
#include <string_view>

#include "policy/policy.h"

namespace vitrine::policy {

// Valid profile JSON: parse_profile() of it gives the same rules. Each file's `comment` names the
// rule that it came from, and the place.
std::string profile_document(const Policy& policy, std::string_view name,
                             std::string_view description);

}  // namespace vitrine::policy
