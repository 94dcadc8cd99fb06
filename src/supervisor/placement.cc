#include "supervisor/placement.h"

#include <time.h>

#include <cerrno>

namespace vitrine::supervisor {
namespace {

using std::chrono::milliseconds;

constexpr Nanoseconds kQuiet = milliseconds(20);  // computing: give it its CPUs
constexpr Nanoseconds kBurstLength = milliseconds(5);
constexpr unsigned kBurstCalls = 48;  // this many in a burst: bind it
constexpr Nanoseconds kShareLook = milliseconds(4);
constexpr int kLeastShare = 80;  // percent of a CPU: with less, others are on it

void set_affinity(pid_t tid, const cpu_set_t& cpus) {
  // A failure costs speed only.
  (void)::sched_setaffinity(tid, sizeof cpus, &cpus);
}

cpu_set_t only(int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<std::size_t>(cpu), &one);
  return one;
}

// `cpus` is not empty.
int first_of(const cpu_set_t& cpus) {
  int cpu = 0;
  while (!CPU_ISSET(static_cast<std::size_t>(cpu), &cpus)) ++cpu;
  return cpu;
}

Nanoseconds time_of(clockid_t clock) {
  timespec used{};
  if (::clock_gettime(clock, &used) != 0) return Nanoseconds(0);
  return to_nanoseconds(used);
}

// Of this process and the task's; none for a thread, whose clock only its own process may read
// (kernel/time/posix-cpu-timers.c, pid_for_clock).
std::optional<Nanoseconds> cpu_time_with(pid_t tid) {
  clockid_t clock{};
  if (::clock_getcpuclockid(tid, &clock) != 0) return std::nullopt;
  return time_of(CLOCK_PROCESS_CPUTIME_ID) + time_of(clock);
}

}  // namespace

Placement::Placement(unsigned cpus) {
  CPU_ZERO(&own_);
  if (::sched_getaffinity(0, sizeof own_, &own_) != 0) CPU_SET(0, &own_);
  visible_ = own_;
  unsigned kept = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE && cpus != 0; ++cpu) {
    if (CPU_ISSET(cpu, &visible_) && ++kept > cpus) CPU_CLR(cpu, &visible_);
  }
}

void Placement::begin(pid_t tid) { bind(tid, Nanoseconds(0)); }

void Placement::bind(pid_t tid, Nanoseconds now) {
  release();
  const cpu_set_t allowed = visible(tid);
  cpu_ = ::sched_getcpu();
  if (cpu_ < 0 || !CPU_ISSET(static_cast<std::size_t>(cpu_), &allowed)) cpu_ = first_of(allowed);
  set_affinity(tid, only(cpu_));
  set_affinity(0, only(cpu_));
  bound_ = tid;
  last_call_ = looked_ = now;
  used_ = cpu_time_with(tid);
}

void Placement::release() {
  if (bound_ == 0) return;
  set_affinity(bound_, visible(bound_));
  set_affinity(0, own_);
  bound_ = caller_ = 0;
}

void Placement::task_started(pid_t tid) {
  cpu_set_t inherited;
  CPU_ZERO(&inherited);
  if (tid == bound_ || ::sched_getaffinity(tid, sizeof inherited, &inherited) != 0) return;
  // A task has its creator's CPUs. One that is bound keeps the single CPU to itself.
  const cpu_set_t one = bound_ != 0 ? only(cpu_) : visible_;
  if (bound_ != 0 && CPU_EQUAL(&inherited, &one)) {
    if (chosen_.contains(bound_)) chosen_[tid] = chosen_.at(bound_);
    set_affinity(tid, visible(tid));
  } else if (!CPU_EQUAL(&inherited, &visible_)) {
    CPU_AND(&inherited, &inherited, &visible_);
    if (CPU_COUNT(&inherited) != 0) chosen_[tid] = inherited;
  }
}

void Placement::task_ended(pid_t tid) {
  chosen_.erase(tid);
  if (tid == bound_) release();
}

void Placement::task_executed(pid_t former, pid_t tid) {
  if (former != tid) {
    chosen_.erase(tid);
    if (auto chosen = chosen_.extract(former)) {
      chosen.key() = tid;
      chosen_.insert(std::move(chosen));
    }
  }
  const bool was_bound = bound_ == former || bound_ == tid;
  if (!was_bound || former == tid) return;
  bound_ = tid;
  release();
}

void Placement::note_call(pid_t tid, Nanoseconds now) {
  if (tid == bound_) {
    last_call_ = now;
    if (now - looked_ > kShareLook && competes(now)) release();
    return;
  }
  if (tid != caller_ || now - burst_start_ > kBurstLength) {
    caller_ = tid;
    burst_start_ = now;
    burst_ = 0;
  }
  if (++burst_ < kBurstCalls) return;
  burst_ = 0;
  if (bound_ != 0 && now - last_call_ < kBurstLength)
    release();  // two that ask at once: side by side
  else
    bind(tid, now);
}

// Whether others had much of the CPU since the last look.
bool Placement::competes(Nanoseconds now) {
  const std::optional<Nanoseconds> used = cpu_time_with(bound_);
  const Nanoseconds passed = now - looked_;
  const bool little = used && used_ && (*used - *used_) * 100 < passed * kLeastShare;
  looked_ = now;
  used_ = used;
  return little;
}

void Placement::note_idle(Nanoseconds now) {
  if (bound_ != 0 && now - last_call_ > kQuiet) release();
}

cpu_set_t Placement::visible(pid_t tid) const {
  const auto chosen = chosen_.find(tid);
  return chosen == chosen_.end() ? visible_ : chosen->second;
}

Status Placement::choose(pid_t tid, const cpu_set_t& cpus) {
  cpu_set_t usable;
  CPU_AND(&usable, &cpus, &visible_);
  if (CPU_COUNT(&usable) == 0) return fail(EINVAL, "sched_setaffinity");
  chosen_[tid] = usable;
  if (tid == bound_) release();
  if (::sched_setaffinity(tid, sizeof usable, &usable) != 0) return fail_errno("sched_setaffinity");
  return {};
}

}  // namespace vitrine::supervisor
