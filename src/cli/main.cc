#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <exception>
#include <string>
#include <string_view>

#include "cli/doctor_command.h"
#include "cli/exit_status.h"
#include "cli/learn_command.h"
#include "cli/log_command.h"
#include "cli/messages.h"
#include "cli/profile_command.h"
#include "cli/run_command.h"

namespace vitrine::cli {
namespace {

struct Command {
  std::string_view name;
  int (*run)(const Arguments& arguments);
};

constexpr std::array<Command, 5> kCommands{{
    {"run", run_run_command},
    {"log", run_log_command},
    {"profile", run_profile_command},
    {"learn", run_learn_command},
    {"doctor", run_doctor_command},
}};

// A file opened later must not become 0, 1 or 2: messages would go into the report.
void fill_standard_descriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0) static_cast<void>(::open("/dev/null", O_RDWR | O_NOCTTY));
  }
}

int dispatch(Arguments arguments) {
  if (!arguments.empty()) {
    for (const Command& command : kCommands) {
      if (command.name != arguments.front()) continue;
      arguments.erase(arguments.begin());
      return command.run(arguments);
    }
  }
  return run_run_command(arguments);
}

}  // namespace
}  // namespace vitrine::cli

int main(int argc, char** argv) {
  using namespace vitrine::cli;
  // Of the commands' own: bad_alloc and what libraries throw. Nothing of a run is under way then: a
  // supervised tree dies with this process.
  try {
    fill_standard_descriptors();
    return dispatch(Arguments(argv + (argc > 0 ? 1 : 0), argv + argc));
  } catch (const std::exception& error) {
    say_error(error.what());
    return kExitFailed;
  }
}
