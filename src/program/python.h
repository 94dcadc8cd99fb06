// The files that a Python interpreter is made of, as CPython's getpath finds them
// (Modules/getpath.py) and as Debian, pyenv, venv, conda and PyPy lay them out.
#pragma once

#include <string>

#include "core/file_rules.h"

namespace vitrine::program {

// Appends rules for the interpreter at `path` (absolute; its links not followed). The interpreter
// itself is included, with the other names it has in the same folder.
void show_python(const std::string& path, FileRules& rules);

}  // namespace vitrine::program
