// What processes have used, as the kernel accounts it.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "base/clock.h"
#include "base/result.h"

namespace vitrine::tracee {

// User and system time of a live process and all its threads, dead ones included
// (clock_getcpuclockid(3)).
Result<Nanoseconds> cpu_time(pid_t tgid);

// User and system time of one live thread, to a clock tick (proc(5), /proc/pid/task/tid/stat).
Result<Nanoseconds> thread_cpu_time(pid_t tid);

struct MemoryUse {
  std::uint64_t anonymous = 0;  // private memory, swap and page tables
  std::uint64_t shared = 0;     // shared memory that the process has touched
};
Result<MemoryUse> memory_use(pid_t tgid);

// Bytes that count against RLIMIT_DATA (statm's sixth field holds stacks as well).
Result<std::uint64_t> data_size(pid_t tgid);

// Whether the task is a zombie, or gone: a leader that has ended while its threads go on is one.
bool has_ended(pid_t tid);

// Whether the task runs, or will when what it sleeps for comes: it does not stand in a stop of any
// kind, and has not ended. `uninterruptible`: what to say of one that no signal wakes.
bool may_run(pid_t tid, bool uninterruptible);

// Whether the task is on its way, perhaps to its end; one that sleeps or was stopped is not.
bool may_end_now(pid_t tid);

}  // namespace vitrine::tracee
