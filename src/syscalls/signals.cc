// kill(2) and its relatives; clocks of processes. Signals go to the run's own tasks only.
//
// The kernel performs the call, decided on registers: an id that is in the table names a task that
// has not been reaped, so it cannot have been given to another process. Where Landlock has it, the
// domain's own rule forbids signals to the outside once more.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "syscalls/families.h"
#include "syscalls/paths.h"

namespace vitrine::syscalls {
namespace {

// What lies outside does not answer differently whether it exists or not.
Answer outside(const Context& context, pid_t pid) {
  return context.tasks.was_process(pid) ? serve_error(ESRCH) : deny(EPERM, "signal");
}

bool is_own_group(const Context& context, pid_t group) {
  return std::ranges::any_of(context.tasks.processes(),
                             [group](pid_t pid) { return ::getpgid(pid) == group; });
}

Answer handle_kill(Context& context) {
  const pid_t pid = context.call.int_argument(0);
  if (pid > 0 && context.tasks.is_process(pid)) return proceed();
  const auto signal = context.call.unsigned_argument(1);
  if (pid > 0 && is_zombie(context, pid)) return signal < NSIG ? serve() : serve_error(EINVAL);
  if (pid > 0) return outside(context, pid);
  if (pid == 0) return proceed();  // the group is inside the launcher's session
  if (pid == -1) return deny(EPERM, "signal");
  if (pid == INT_MIN) return serve_error(ESRCH);  // names no group: it has no positive (kill(2))
  return is_own_group(context, -pid) ? proceed() : outside(context, -pid);
}

Answer handle_tkill(Context& context) {
  const pid_t tid = context.call.int_argument(0);
  if (tid <= 0) return serve_error(EINVAL);
  return context.tasks.find(tid) != nullptr ? proceed() : outside(context, tid);
}

Answer handle_tgkill(Context& context) {
  const pid_t tgid = context.call.int_argument(0);
  const pid_t tid = context.call.int_argument(1);
  if (tid <= 0 || tgid <= 0) return serve_error(EINVAL);
  if (!context.tasks.is_process(tgid)) return outside(context, tgid);
  const tracee::Task* task = context.tasks.find(tid);
  if (task == nullptr || task->tgid != tgid) return serve_error(ESRCH);
  return proceed();
}

Answer handle_sigqueue(Context& context) {
  const pid_t pid = context.call.int_argument(0);
  return context.tasks.is_process(pid) ? proceed() : outside(context, pid);
}

// Clock ids of processes hold the id inverted (include/linux/posix-timers.h, CPUCLOCK_PID).
Answer handle_process_clock(Context& context) {
  const int clock = context.call.int_argument(0);
  if (clock >= 0) return serve_error(EINVAL);
  constexpr int kClockFd = 3;
  if ((clock & 7) == kClockFd) return deny(EINVAL, "clock");
  const pid_t pid = ~(clock >> 3);
  const bool own = pid == 0 || context.tasks.find(pid) != nullptr || context.tasks.is_process(pid);
  return own ? proceed() : deny(EINVAL, "clock");
}

}  // namespace

void add_signal_handlers(HandlerTable& table) {
  table.add("kill", handle_kill);
  table.add("tkill", handle_tkill);
  table.add("tgkill", handle_tgkill);
  table.add("rt_sigqueueinfo", handle_sigqueue);
  table.add("rt_tgsigqueueinfo", handle_tgkill);
  table.add("clock_gettime", handle_process_clock);
  table.add("clock_getres", handle_process_clock);
  table.add("clock_nanosleep", handle_process_clock);
  table.add("timer_create", handle_process_clock);
}

}  // namespace vitrine::syscalls
