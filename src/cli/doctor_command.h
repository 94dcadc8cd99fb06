// vitrine doctor: what this host permits, which backends follow, and what to ask for.
#pragma once

#include "cli/options.h"

namespace vitrine::cli {

// `arguments` is what follows `doctor`. Returns 0 where some backend can enforce, 1 where none can,
// 125 for wrong options.
int run_doctor_command(const Arguments& arguments);

}  // namespace vitrine::cli
