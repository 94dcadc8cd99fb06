// vitrine run: from the words of the command line to a supervised run and its report.
#pragma once

#include "cli/options.h"

namespace vitrine::cli {

// `arguments` is what follows `run`. Returns the exit status (contract section 3).
int run_run_command(const Arguments& arguments);

}  // namespace vitrine::cli
