// The program's environment, from the policy's rules and the caller's variables.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/policy.h"

namespace vitrine::policy {

using Environment = std::vector<std::pair<std::string, std::string>>;

bool is_acceptable(Accept accept, std::string_view value);

// `caller` is an environ(7) array, ended by a null pointer. In the rules' order; no name twice.
Environment resolve_environment(const std::vector<EnvironmentRule>& rules,
                                const char* const* caller);

}  // namespace vitrine::policy
