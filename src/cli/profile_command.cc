#include "cli/profile_command.h"

#include "cli/exit_status.h"
namespace vitrine::cli {
int run_profile_command(const Arguments&) {
  say_error("profile: not available yet");
  return kExitFailed;
}
}  // namespace vitrine::cli
