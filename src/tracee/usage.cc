#include "tracee/usage.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/unique_fd.h"
#include "tracee/proc_status.h"

namespace vitrine::tracee {
namespace {

// proc(5), /proc/pid/stat: the third field is the state, the ninth holds the kernel's flags, the
// fourteenth and the next the time in user and kernel mode.
struct TaskStat {
  bool gone = false;
  bool readable = false;
  char state = 'S';  // asleep, where it cannot be read
  unsigned flags = 0;
  unsigned long user = 0;    // clock ticks, of this thread alone
  unsigned long system = 0;  // clock ticks
};

TaskStat read_task_stat(pid_t tid) {
  char path[48];
  std::snprintf(path, sizeof path, "/proc/%d/task/%d/stat", tid, tid);
  const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
  char text[512]{};
  if (!fd || ::read(fd.get(), text, sizeof text - 1) <= 0) {
    return {.gone = errno == ENOENT || errno == ESRCH};
  }
  const char* const end_of_name = std::strrchr(text, ')');
  TaskStat stat;
  stat.readable = end_of_name != nullptr &&
                  // NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers
                  std::sscanf(end_of_name, ") %c %*d %*d %*d %*d %*d %u %*u %*u %*u %*u %lu %lu",
                              &stat.state, &stat.flags, &stat.user, &stat.system) == 4;
  return stat.readable ? stat : TaskStat{};
}

}  // namespace

Result<Nanoseconds> cpu_time(pid_t tgid) {
  constexpr int kSchedClock = 2;  // CPUCLOCK_SCHED, include/linux/posix-timers.h
  timespec value{};
  const auto clock = static_cast<clockid_t>((~static_cast<unsigned>(tgid) << 3) | kSchedClock);
  if (::clock_gettime(clock, &value) != 0) return fail_task_gone("clock_gettime");
  return to_nanoseconds(value);
}

Result<Nanoseconds> thread_cpu_time(pid_t tid) {
  static const auto kTick =
      std::chrono::nanoseconds(std::chrono::seconds(1)) / ::sysconf(_SC_CLK_TCK);
  const TaskStat stat = read_task_stat(tid);
  if (!stat.readable) return fail_task_gone("/proc/pid/task/tid/stat");
  return kTick * static_cast<std::int64_t>(stat.user + stat.system);
}

Result<MemoryUse> memory_use(pid_t tgid) {
  Result<ProcStatus> status = read_proc_status(tgid);
  if (!status) return tl::make_unexpected(status.error());
  return MemoryUse{status->rss_anonymous + status->swap + status->page_tables, status->rss_shared};
}

Result<std::uint64_t> data_size(pid_t tgid) {
  char path[48];
  std::snprintf(path, sizeof path, "/proc/%d/statm", tgid);
  const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
  if (!fd) return errno == ENOENT ? fail_task_gone(path) : fail_errno(path);
  char text[160]{};
  if (::read(fd.get(), text, sizeof text - 1) <= 0) return fail_task_gone(path);
  unsigned long long pages = 0;
  // NOLINTNEXTLINE(cert-err34-c): the kernel writes this number
  if (std::sscanf(text, "%*u %*u %*u %*u %*u %llu", &pages) != 1) return fail(EIO, path);
  return pages * 4096;
}

bool has_ended(pid_t tid) {
  const TaskStat stat = read_task_stat(tid);
  return stat.gone || stat.state == 'Z' || stat.state == 'X';
}

bool may_run(pid_t tid, bool uninterruptible) {
  const TaskStat stat = read_task_stat(tid);
  if (stat.gone) return false;
  if (stat.state == 'D') return uninterruptible;
  return stat.state != 't' && stat.state != 'T' && stat.state != 'Z' && stat.state != 'X';
}

bool may_end_now(pid_t tid) {
  constexpr unsigned kExiting = 0x4;  // PF_EXITING, include/linux/sched.h
  const TaskStat stat = read_task_stat(tid);
  return stat.gone || (stat.flags & kExiting) != 0 || (stat.state != 'S' && stat.state != 'T');
}

}  // namespace vitrine::tracee
