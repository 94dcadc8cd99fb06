// Landlock as a second wall (landlock(7)): even a call that slipped past the filter finds nothing
// on the host but the program it was started from. What the supervisor opens for the program is not
// affected: rights are checked when a file is opened, and by the opener's domain.
#pragma once

#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace vitrine::supervisor {

struct LandlockRuleset {
  UniqueFd fd;  // invalid: the kernel has no Landlock
  int abi = 0;
};

// A domain that may execute `executables` (opened O_PATH; files or folders) and do nothing else
// that this kernel's Landlock can name: no file, no TCP port, no signal or abstract socket outside.
Result<LandlockRuleset> make_ruleset(const std::vector<int>& executables);

}  // namespace vitrine::supervisor
