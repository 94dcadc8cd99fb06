// What a person can do about the first refusals of a run: at most three lines behind it.
#pragma once

#include <string>
#include <vector>

#include "core/report.h"

namespace vitrine::cli {

inline constexpr std::size_t kMostHints = 3;

// One line a refusal: what was refused, and the option that would allow it, if one does. The lines
// hold what the program wrote as it is: the caller escapes them.
std::vector<std::string> hints_for(const Report& report);

}  // namespace vitrine::cli
