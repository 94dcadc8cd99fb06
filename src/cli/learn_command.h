// vitrine learn: a trusted run, watched, and the least profile that allows it.
#pragma once

#include "cli/options.h"

namespace vitrine::cli {

// `arguments` is what follows `learn`. Returns the command's exit status, as `run` does; 125 also
// where the profile could not be written.
int run_learn_command(const Arguments& arguments);

}  // namespace vitrine::cli
