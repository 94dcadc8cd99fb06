// ptrace(2) as vitrine uses it: it owns the life of the tree. Every task is seized with
// PTRACE_O_EXITKILL, so that none outlives the supervisor, whatever kills it.
#pragma once

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "core/call.h"

namespace vitrine::tracee {

// One report of waitpid(2) on a tracee, classified (ptrace(2), "Stopped states").
struct TaskEvent {
  enum class Kind {
    kExited,         // value: exit code
    kKilled,         // value: signal
    kSignalStop,     // value: signal about to be delivered
    kGroupStop,      // value: the stopping signal; resume with listen()
    kInterruptStop,  // PTRACE_EVENT_STOP with SIGTRAP: a new task's first stop, or PTRACE_INTERRUPT
    kCloneStop,      // value: the new tid; clone, fork and vfork alike
    kExecStop,       // value: the tid that the task had before (exec from a non-leader)
    kSeccompStop,    // RET_TRACE; value: its data
    kSyscallStop,    // syscall-enter-stop or syscall-exit-stop
    kExitStop,       // about to end, its memory still there; only after report_exits()
    kOtherStop,
  };
  Kind kind = Kind::kOtherStop;
  pid_t tid = 0;
  std::uint64_t value = 0;
  rusage usage{};  // kExited, kKilled: of the whole thread group (and its reaped children)
};

// Takes `pid` as a tracee: options for clones, execs and EXITKILL; it keeps running.
Status seize(pid_t pid);

// From now on the stopped tracee `tid`, and what it will start, reports its end before it as well.
Status report_exits(pid_t tid);

// What a wait status says. The message of an event (`value` of a clone, exec, exit or seccomp stop)
// is not in it.
TaskEvent classify(pid_t tid, int status, const rusage& usage);

// The next report, if there is one now (WNOHANG | __WALL). ECHILD: no tracee is left.
Result<std::optional<TaskEvent>> next_task_event();

// Resume a stopped task. `signal` 0 or what a signal-delivery-stop shall deliver. A task that was
// killed meanwhile gives kTaskGone: its exit is reported by next_task_event().
Status resume(pid_t tid, int signal);
Status resume_to_syscall(pid_t tid, int signal);
// The task stops before it goes on with its program (PTRACE_INTERRUPT): a kInterruptStop to come.
Status ask_to_stop(pid_t tid);
// Stops a running task and waits for the stop.
Status interrupt(pid_t tid);
// Leaves a group-stopped task stopped, but lets SIGCONT reach it (PTRACE_LISTEN).
Status listen(pid_t tid);
// PTRACE_GET_SYSCALL_INFO (Linux 5.3) of a stopped task: which ABI a call came by, and its result.
Result<__ptrace_syscall_info> syscall_info(pid_t tid);
// Whether the kernel has it, asked of a stopped task.
Result<bool> has_syscall_info(pid_t tid);
// siginfo of the signal-delivery-stop.
Result<siginfo_t> signal_info(pid_t tid);

}  // namespace vitrine::tracee
