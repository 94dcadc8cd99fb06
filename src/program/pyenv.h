// pyenv's shims: scripts on PATH that stand for a program of the chosen Python version. What a shim
// stands for is found as `pyenv which` finds it, by reading pyenv's files.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "program/find.h"

namespace vitrine::program {

// The root of the pyenv whose shim the file at `path` is; nullopt: it is not one. `start` is the
// beginning of the file.
std::optional<std::string> pyenv_root_of_shim(const std::string& path, std::string_view start,
                                              const Caller& caller);

// The program that the shim `name` of the pyenv at `root` stands for. ENOENT: none of the chosen
// versions has it.
Result<std::string> resolve_pyenv_shim(const std::string& root, const std::string& name,
                                       const Caller& caller);

}  // namespace vitrine::program
