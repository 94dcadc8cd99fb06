// Makes the request of a run from its options: profiles merged, the program found, the options'
// rules put in their order.
#pragma once

#include "cli/options.h"
#include "supervisor/run.h"

namespace vitrine::cli {

inline constexpr const char* kDefaultProfile = "python";

// The caller's side: its working directory (tidy, absolute) and its environment (environ(7)).
struct CallerState {
  std::string working_directory;
  const char* const* environment = nullptr;

  std::string home() const;  // its variable HOME; "" for none
};
// The folder of the script that the command line names, from the rules of a run; "" for none.
std::string script_folder(const FileRules& files);

CallerState current_caller();

// The request but for `audit`. An error's code says the exit status: ENOENT 127 and EACCES,
// ENOEXEC, ELOOP 126 when the command was the reason, which `command_failed` tells.
struct PrepareError {
  Error error;
  bool command_failed = false;
};
tl::expected<supervisor::RunRequest, PrepareError> prepare_run(const RunOptions& options,
                                                               const CallerState& caller);

}  // namespace vitrine::cli
