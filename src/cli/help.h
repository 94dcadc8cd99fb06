// --help and --version.
#pragma once

namespace vitrine::cli {

// Each writes to stdout and returns the exit status.
int print_help();
int print_version();

}  // namespace vitrine::cli
