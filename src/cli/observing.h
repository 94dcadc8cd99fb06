// What a program sees while `vitrine learn` watches it: all that the caller can read, read-only,
// but for known places of secrets; writable memory where programs expect to write; no budgets. What
// the profile and the command line show stays as it is, so that whatever one of these rules decides
// is what the profile lacks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policy/builder.h"

namespace vitrine::cli {

inline constexpr std::string_view kHostRule = "learn";
inline constexpr std::string_view kScratchRule = "learn:scratch";
inline constexpr std::string_view kHiddenRule = "learn#hide";

inline constexpr std::string_view kObservedScratch[] = {"/tmp", "/var/tmp", "/dev/shm"};

// To be called when the profiles are in `builder`, and nothing of the command line is.
// `own_folders`: shown even where they lie in a scratch folder.
void add_observing_rules(policy::PolicyBuilder& builder,
                         const std::vector<std::string>& own_folders,
                         const std::vector<std::string>& homes);

}  // namespace vitrine::cli
