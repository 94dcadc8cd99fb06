// The first line of a script: "#!interpreter [argument]", as the kernel reads it
// (fs/binfmt_script.c, execve(2) "Interpreter scripts").
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vitrine::program {

// BINPRM_BUF_SIZE: the kernel looks at no more of the file.
inline constexpr std::size_t kShebangBytes = 256;

struct Shebang {
  std::string interpreter;
  std::optional<std::string> argument;  // all the rest of the line, as one word
};

// nullopt: not a script, or its line names nothing.
std::optional<Shebang> parse_shebang(std::string_view start);

// What "/usr/bin/env ARGUMENT" would run: a name for PATH and arguments (`-S` splits at spaces,
// with quotes). nullopt: another use of env, such as setting variables.
std::optional<std::vector<std::string>> parse_env_argument(std::string_view argument);

}  // namespace vitrine::program
