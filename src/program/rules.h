// Additions to a plan's file rules.
#pragma once

#include <string>
#include <string_view>

#include "core/file_rules.h"

namespace vitrine::program {

// Shows `path` at its own path, once. `rule` is the origin's name: "program", "script", ...
void show(FileRules& rules, const std::string& path, std::string_view rule);
void show_if_there(FileRules& rules, const std::string& path, std::string_view rule);

}  // namespace vitrine::program
