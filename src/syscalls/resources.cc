// Limits, priorities, affinity, sysinfo(2): what a program may learn and lower of its budgets.
#include <sched.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <cerrno>

#include "syscalls/families.h"
#include "syscalls/paths.h"

namespace vitrine::syscalls {
namespace {

// The highest soft limit that may be asked for where the supervisor moves it. What was read before
// it moved can be given back.
std::uint64_t highest_soft(Context& context, int resource, const rlimit& current,
                           std::uint64_t moving) {
  const std::uint64_t whole = resource == RLIMIT_FSIZE
                                  ? context.files.scratch_quota()
                                  : context.budget.limits().memory_bytes.value_or(0);
  return std::max({static_cast<std::uint64_t>(current.rlim_cur), moving, whole});
}

Status lower_limit(Context& context, pid_t tgid, int resource, rlimit wanted) {
  const auto which = static_cast<__rlimit_resource>(resource);
  rlimit current{};
  if (::prlimit(tgid, which, nullptr, &current) != 0) return fail_errno("prlimit");
  if (wanted.rlim_cur > wanted.rlim_max) return fail(EINVAL, "prlimit");
  // The supervisor may be root: what the kernel would let root do is not the program's.
  if (wanted.rlim_max > current.rlim_max) return fail(EPERM, "prlimit");
  // It is 1 (launch_limits): with 0, a core_pattern that is a pipe would get a core.
  if (resource == RLIMIT_CORE) return {};
  const rlim_t chosen = wanted.rlim_cur;
  const std::optional<std::uint64_t> moving = context.budget.moving_limit(tgid, resource);
  if (moving) {
    if (chosen > highest_soft(context, resource, current, *moving)) return fail(EPERM, "prlimit");
    wanted.rlim_cur = std::min<rlim_t>(chosen, *moving);
  }
  if (::prlimit(tgid, which, &wanted, nullptr) != 0) return fail_errno("prlimit");
  if (moving) context.budget.keep_limit_below(tgid, resource, chosen);
  return {};
}

Answer set_limit(Context& context, const tracee::Task& target, int resource,
                 std::uint64_t address) {
  if (resource < 0 || resource >= static_cast<int>(RLIM_NLIMITS)) return serve_error(EINVAL);
  Result<rlimit> wanted = context.memory.read_value<rlimit>(address);
  if (!wanted) return serve_error(wanted.error().code);
  const Status lowered = lower_limit(context, target.tgid, resource, *wanted);
  if (!lowered) {
    return lowered.error().code == EPERM ? deny(EPERM, "limit") : serve_error(lowered.error().code);
  }
  return serve();
}

Answer handle_setrlimit(Context& context) {
  return set_limit(context, context.task, context.call.int_argument(0),
                   context.call.event.arguments[1]);
}

Answer handle_prlimit64(Context& context) {
  const pid_t pid = context.call.int_argument(0);
  const auto& arguments = context.call.event.arguments;
  const tracee::Task* target = pid == 0 ? &context.task : context.tasks.find(pid);
  if (target == nullptr) return deny(ESRCH, "process");
  if (arguments[2] == 0) return proceed();  // only asks: a null register cannot become a pointer
  const int resource = context.call.int_argument(1);
  if (arguments[3] != 0) {
    rlimit current{};
    if (::prlimit(target->tgid, static_cast<__rlimit_resource>(resource), nullptr, &current) != 0) {
      return serve_error(errno);
    }
    Answer set = set_limit(context, *target, resource, arguments[2]);
    if (!std::holds_alternative<Return>(set.effect)) return set;
    return answer_with(context, arguments[3], current);
  }
  return set_limit(context, *target, resource, arguments[2]);
}

// Only PRIO_PROCESS, and only upwards: RLIMIT_NICE is 0 (getpriority(2)).
Answer handle_priority(Context& context) {
  const pid_t who = context.call.int_argument(1);
  const bool own = who == 0 || context.tasks.find(who) != nullptr;
  if (context.call.int_argument(0) == PRIO_PROCESS && own) return proceed();
  return deny(EPERM, "priority");
}

constexpr std::size_t kMaskBytes = sizeof(cpu_set_t);

Answer handle_getaffinity(Context& context) {
  const pid_t pid = context.call.int_argument(0);
  if (pid != 0 && context.tasks.find(pid) == nullptr) return deny(ESRCH, "process");
  const std::size_t size = context.call.unsigned_argument(1);
  if (size % sizeof(unsigned long) != 0) return serve_error(EINVAL);
  const cpu_set_t mask = context.affinity.visible(pid == 0 ? context.task.tid : pid);
  const std::size_t filled = std::min(size, kMaskBytes);
  if (filled * 8 < static_cast<std::size_t>(CPU_COUNT(&mask))) return serve_error(EINVAL);
  const auto bytes = std::as_bytes(std::span(&mask, 1)).first(filled);
  if (Status written = context.memory.write(context.call.event.arguments[2], bytes); !written) {
    return serve_error(written.error().code);
  }
  return serve(static_cast<std::int64_t>(filled));
}

Answer handle_setaffinity(Context& context) {
  const pid_t pid = context.call.int_argument(0);
  if (pid != 0 && context.tasks.find(pid) == nullptr) return deny(ESRCH, "process");
  cpu_set_t mask;
  CPU_ZERO(&mask);
  const std::size_t size = std::min<std::size_t>(context.call.unsigned_argument(1), kMaskBytes);
  const auto bytes = std::as_writable_bytes(std::span(&mask, 1)).first(size);
  if (Status got = context.memory.read(context.call.event.arguments[2], bytes); !got) {
    return serve_error(got.error().code);
  }
  const Status chosen = context.affinity.choose(pid == 0 ? context.task.tid : pid, mask);
  return chosen ? serve() : serve_error(chosen.error().code);
}

Answer handle_sysinfo(Context& context) {
  struct sysinfo host {};
  if (::sysinfo(&host) != 0) return serve_error(errno);
  const Limits& limits = context.budget.limits();
  struct sysinfo shown {};
  shown.uptime = std::chrono::duration_cast<std::chrono::seconds>(context.budget.elapsed()).count();
  shown.mem_unit = 1;
  shown.totalram = limits.memory_bytes.value_or(host.totalram * host.mem_unit);
  shown.freeram =
      shown.totalram - std::min<std::uint64_t>(shown.totalram, context.budget.memory_used());
  shown.procs =
      static_cast<unsigned short>(std::min<std::size_t>(context.tasks.thread_count(), 65535));
  return answer_with(context, context.call.event.arguments[0], shown);
}

}  // namespace

void add_resource_handlers(HandlerTable& table) {
  table.add("setrlimit", handle_setrlimit);
  table.add("prlimit64", handle_prlimit64);
  table.add("getpriority", handle_priority);
  table.add("setpriority", handle_priority);
  table.add("sched_getaffinity", handle_getaffinity);
  table.add("sched_setaffinity", handle_setaffinity);
  table.add("sysinfo", handle_sysinfo);
}

}  // namespace vitrine::syscalls
