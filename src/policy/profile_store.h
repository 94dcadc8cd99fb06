// Where profiles come from. A name with a '/' or ending in ".json" is a file; any other is one of
// the built-in profiles. There is no search path: what a name means never depends on the caller's
// environment or working directory.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "policy/builder.h"
#include "policy/profile.h"

namespace vitrine::policy {

bool names_a_file(std::string_view name);

// The text of a profile, as it is written.
Result<std::string> profile_source(const std::string& name);

// One profile, without what it extends. A file is read up to kMaxProfileBytes.
Result<Profile> load_profile(const std::string& name);

// The profiles of `names`, each after those that it extends, every one once. A file's `extends` is
// relative to the file's folder. Cycles are kInvalid errors.
Result<std::vector<Profile>> load_profiles(const std::vector<std::string>& names);

}  // namespace vitrine::policy
