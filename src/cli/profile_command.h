// vitrine profile list|show|check|explain: reading, validating and questioning profiles.
#pragma once

#include "cli/options.h"

namespace vitrine::cli {

// `arguments` is what follows `profile`. Returns the exit status: 0; 1 where `check` finds a
// profile that is not valid; 125 for wrong options and, but for `check`, profiles that cannot be
// read.
int run_profile_command(const Arguments& arguments);

}  // namespace vitrine::cli
