// The reader of profile JSON (vitrine-profile(5)); nothing else in the project knows its form.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "policy/profile.h"

namespace vitrine::policy {

inline constexpr std::size_t kMaxProfileBytes = 1 << 20;

// `name` goes into the rules' names ("python:files[3]"), `path` into their places. Errors are
// kInvalid: "PATH:LINE:COLUMN: KEY: sentence".
Result<Profile> parse_profile(std::string_view text, const std::string& name,
                              const std::string& path);

}  // namespace vitrine::policy
