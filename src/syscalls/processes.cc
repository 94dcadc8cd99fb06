// clone(2), fork(2), process groups, prctl(2): decided on registers.
#include <fcntl.h>
#include <linux/prctl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "syscalls/families.h"
#include "syscalls/paths.h"

namespace vitrine::syscalls {
namespace {

constexpr std::uint64_t kThreadSet =
    CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
constexpr std::uint64_t kThreadMay = kThreadSet | CLONE_SYSVSEM | CLONE_SETTLS |
                                     CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID |
                                     CLONE_CHILD_SETTID | CLONE_DETACHED;
constexpr std::uint64_t kProcessMay =
    CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | CSIGNAL;
constexpr std::uint64_t kVfork = CLONE_VM | CLONE_VFORK;

// A process that nobody waits for is none of the live ones, but it has a number and memory of the
// kernel's: there is an end to them too.
constexpr std::size_t kMostZombies = 256;

enum class Kind { kThread, kProcess, kForbidden };

// Shared memory without a shared thread group is vfork's alone: the parent sleeps until the child
// has executed. No namespaces, no CLONE_UNTRACED, CLONE_PTRACE, CLONE_PARENT, CLONE_PIDFD.
Kind kind_of(std::uint64_t flags) {
  if ((flags & kThreadSet) == kThreadSet) {
    return (flags & ~(kThreadMay | CSIGNAL)) == 0 ? Kind::kThread : Kind::kForbidden;
  }
  const std::uint64_t exit_signal = flags & CSIGNAL;
  if (exit_signal != SIGCHLD && exit_signal != 0) return Kind::kForbidden;
  if ((flags & kVfork) == kVfork) flags &= ~kVfork;
  return (flags & ~kProcessMay) == 0 ? Kind::kProcess : Kind::kForbidden;
}

Answer admit(Context& context, bool thread) {
  tracee::TaskTable& tasks = context.tasks;
  const Limits& limits = context.budget.limits();
  context.task.clone_pending = false;  // an earlier one that failed in the kernel
  if (!thread && tasks.process_count() + tasks.pending_processes() >= limits.processes) {
    context.budget.refused("processes");
    return deny(EAGAIN, "limit:processes");
  }
  if (!thread && tasks.zombies(kMostZombies) >= kMostZombies) {
    context.budget.refused("processes");
    return deny(EAGAIN, "limit:zombies");
  }
  if (tasks.thread_count() + tasks.pending_threads() >= limits.threads) {
    context.budget.refused("threads");
    return deny(EAGAIN, "limit:threads");
  }
  context.task.clone_pending = true;
  context.task.clone_is_thread = thread;
  return proceed();
}

Answer handle_clone(Context& context) {
  switch (kind_of(context.call.event.arguments[0])) {
    case Kind::kThread:
      return admit(context, true);
    case Kind::kProcess:
      return admit(context, false);
    case Kind::kForbidden:
      break;
  }
  return deny(EPERM, "clone-flags");
}

Answer handle_fork(Context& context) { return admit(context, false); }

bool is_own(const Context& context, pid_t pid) {
  return pid == 0 || context.tasks.find(pid) != nullptr || context.tasks.is_process(pid);
}

// A question about a process by its id: only the run's own exist.
Answer own_only(Context& context) {
  if (is_own(context, context.call.int_argument(0))) return proceed();
  return deny(ESRCH, "process");
}

// The numbers that name no process are refused before anything is looked up (kernel/pid.c).
Answer handle_pidfd_open(Context& context) {
  const pid_t pid = context.call.int_argument(0);
  if (pid <= 0) return serve_error(EINVAL);
  if (is_own(context, pid)) return proceed();
  const unsigned flags = context.call.unsigned_argument(1);
  UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, flags)));
  const int error = errno;
  // Looked at once it is open: a number that is a zombie of the run's now was one then. Of any
  // other, not even the kernel's error is told.
  if (!is_zombie(context, pid)) return own_only(context);
  if (!fd) return serve_error(error);
  return {InstallFd{std::move(fd), true}, {Action::kServe, 0, "process"}};
}

// Groups stay inside the session that the launcher made, whatever numbers are given (setpgid(2)).
Answer handle_setpgid(Context& context) { return own_only(context); }

Answer handle_prctl(Context& context) {
  const int option = context.call.int_argument(0);
  if (option == PR_SET_DUMPABLE && context.call.event.arguments[1] == 1) return serve(0);
  // Dumpable 0 would hide the program's memory from the supervisor (prctl(2)); the others make
  // filters, tracers, death signals or a reaper of its own.
  return deny(EPERM, "prctl");
}

Answer handle_personality(Context& context) {
  if (context.call.unsigned_argument(0) == 0) return serve(0);
  return deny(EPERM, "personality");
}

}  // namespace

void add_process_handlers(HandlerTable& table) {
  table.add("clone", handle_clone);
  table.add("fork", handle_fork);
  table.add("vfork", handle_fork);
  table.add("setpgid", handle_setpgid);
  table.add("getpgid", own_only);
  table.add("getsid", own_only);
  table.add("sched_getparam", own_only);
  table.add("sched_getscheduler", own_only);
  table.add("sched_rr_get_interval", own_only);
  table.add("sched_getattr", own_only);
  table.add("pidfd_open", handle_pidfd_open);
  table.add("prctl", handle_prctl);
  table.add("personality", handle_personality);
}

}  // namespace vitrine::syscalls
