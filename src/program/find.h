// What a command line stands for on this host: the program to execute, its arguments as the program
// would see them outside, and the least that has to be shown for it to run.
//
// Only reads files; never runs anything.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/file_rules.h"

namespace vitrine::program {

// A host file or folder that an option shows at another path inside (`--ro HOST:GUEST`).
struct Mapping {
  std::string guest;  // tidy, absolute
  std::string host;
};

struct Caller {
  std::string working_directory;  // absolute
  // A variable of the caller's environment: PATH, HOME, PYENV_ROOT, PYENV_VERSION are asked for.
  std::function<std::optional<std::string>(std::string_view)> variable;
  std::vector<Mapping> mappings;
};

struct ProgramPlan {
  std::string program;            // absolute guest path
  std::vector<std::string> argv;  // complete
  // The folder where PATH would have to lead for argv[0] to mean `program` inside; "" if argv[0]
  // does not depend on PATH. (CPython finds sys.executable that way.)
  std::string path_folder;
  FileRules files;  // origins "program", "interpreter", "script"
  bool is_python = false;
};

// `command` is not empty. Errors: ENOENT, the command was not found (exit status 127); any other
// code, it cannot be executed (126).
Result<ProgramPlan> find_program(const std::vector<std::string>& command, const Caller& caller);

}  // namespace vitrine::program
