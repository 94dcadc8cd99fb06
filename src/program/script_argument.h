// Which argument of an interpreter's command line names the script that it will read.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vitrine::program {

// "python3.11" and "pypy3" are Python's; so are their debug and free-threaded variants.
bool is_python_name(std::string_view name);

// `name` is the interpreter's file name ("python3.11", "bash"), `argv` its arguments with argv[0].
// The index of the script in argv; nullopt: there is none (-c, -m, standard input, no arguments),
// or the program is no interpreter that is known here.
std::optional<std::size_t> script_argument(std::string_view name,
                                           const std::vector<std::string>& argv);

}  // namespace vitrine::program
