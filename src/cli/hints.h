// What a person can do about the first refusals of a run: at most three lines behind it.
#pragma once

#include <string>
#include <vector>

#include "core/report.h"

namespace vitrine::cli {

inline constexpr std::size_t kMostHints = 3;

struct HintSetting {
  std::string working_directory;   // of the program
  std::string callers_directory;   // which `--ro` takes relative names from
  std::vector<std::string> homes;  // policy::home_folders()
};

// One line a refusal: what was refused, and the least option that would allow it, if one does and
// is not too much: no folder is named that is a home, or holds one, or secrets. The lines hold what
// the program wrote as it is: the caller escapes them.
std::vector<std::string> hints_for(const Report& report, const HintSetting& setting);

}  // namespace vitrine::cli
