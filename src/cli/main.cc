#include <array>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>

#include "cli/exit_status.h"
#include "cli/log_command.h"
#include "cli/messages.h"
#include "cli/profile_command.h"
#include "cli/run_command.h"

namespace vitrine::cli {
namespace {

int not_available(const char* command) {
  say_error(std::string(command) + ": not available yet");
  return kExitFailed;
}

struct Command {
  std::string_view name;
  int (*run)(const Arguments& arguments);
};

constexpr std::array<Command, 5> kCommands{{
    {"run", run_run_command},
    {"log", run_log_command},
    {"profile", run_profile_command},
    {"learn", [](const Arguments&) { return not_available("learn"); }},
    {"doctor", [](const Arguments&) { return not_available("doctor"); }},
}};

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
    return dispatch(Arguments(argv + (argc > 0 ? 1 : 0), argv + argc));
  } catch (const std::exception& error) {
    say_error(error.what());
    return kExitFailed;
  }
}
