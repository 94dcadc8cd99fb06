// The registers of a stopped task, as far as vitrine changes them.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "base/result.h"

namespace vitrine::tracee {

// The value a task stopped behind a system call will return with.
Result<std::int64_t> return_value(pid_t tid);
Status set_return_value(pid_t tid, std::int64_t value);

}  // namespace vitrine::tracee
