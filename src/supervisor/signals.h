// Signals of the supervisor: all are blocked and read from a descriptor, from before the first fork
// on, so that none is lost between a check and a wait.
#pragma once

#include <sys/signalfd.h>

#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace vitrine::supervisor {

// Blocks what the loop handles and returns the signalfd(2) that gives them.
Result<UniqueFd> take_signals();
// All that have arrived.
std::vector<signalfd_siginfo> read_signals(int fd);

}  // namespace vitrine::supervisor
