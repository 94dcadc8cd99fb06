// vitrine run: from the words of the command line to a supervised run and its report.
#pragma once

#include <functional>

#include "cli/options.h"
#include "core/report.h"
#include "supervisor/run.h"

namespace vitrine::cli {

// `arguments` is what follows `run`. Returns the exit status (contract section 3).
int run_run_command(const Arguments& arguments);

// What another command does around a run.
struct Around {
  std::function<void(supervisor::RunRequest& request)> before;
  // In place of the hints; returns the exit status.
  std::function<int(const Report& report)> after;
};

// From valid options to the exit status: the run, its messages, its report.
int supervise(const RunOptions& options, const Around* around = nullptr);

}  // namespace vitrine::cli
