// Writes what `learn` found as a profile, or into one that is there already.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "policy/learned.h"
#include "policy/policy.h"

namespace vitrine::policy {

struct LearnedProfile {
  std::string description;
  std::vector<std::string> extends;
  std::vector<LearnedFile> files;
  std::vector<std::string> passed_variables;  // names whose caller's value is passed through
  Limits limits;
  std::uint64_t scratch_bytes = 0;  // what the largest scratch folder has to hold
};

// Valid profile JSON, one entry a line.
std::string learned_document(const LearnedProfile& learned);

// `existing` is the text of a valid profile and `policy` what it means. Its entries and comments
// stay; files are added, limits and sizes raised where the new run needed more.
Result<std::string> merged_document(std::string_view existing, const Policy& policy,
                                    const LearnedProfile& learned);

// The host paths that a profile's text shows one by one, at their own place.
std::vector<std::string> shown_paths(std::string_view profile);

}  // namespace vitrine::policy
