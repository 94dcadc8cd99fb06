#include "supervisor/placement.h"

#include <cerrno>

namespace vitrine::supervisor {
namespace {

using std::chrono::milliseconds;

constexpr Nanoseconds kQuiet = milliseconds(20);  // computing: give it its CPUs
constexpr Nanoseconds kBurstLength = milliseconds(5);
constexpr unsigned kBurstCalls = 48;  // this many in a burst: pin again

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

void Placement::begin(pid_t tid) {
  tid_ = tid;
  pin();
}

void Placement::pin() {
  if (pinned_ || spread_) return;
  const int here = ::sched_getcpu();
  if (here < 0 || !CPU_ISSET(here, &visible_)) return;
  if (chosen_.contains(tid_) && !CPU_ISSET(here, &chosen_.at(tid_))) return;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(here, &one);
  // Failures cost speed only.
  (void)::sched_setaffinity(tid_, sizeof one, &one);
  (void)::sched_setaffinity(0, sizeof one, &one);
  pinned_ = true;
}

void Placement::unpin() {
  if (!pinned_) return;
  const cpu_set_t program = visible(tid_);
  (void)::sched_setaffinity(tid_, sizeof program, &program);
  (void)::sched_setaffinity(0, sizeof own_, &own_);
  pinned_ = false;
}

void Placement::spread(const std::vector<pid_t>& tids) {
  if (spread_) return;
  unpin();
  spread_ = true;
  for (const pid_t tid : tids) {
    const cpu_set_t program = visible(tid);
    (void)::sched_setaffinity(tid, sizeof program, &program);
  }
}

void Placement::task_started(pid_t tid) {
  if (!spread_) return;
  // It may have inherited the one CPU of a parent that was pinned when it was created.
  const cpu_set_t program = visible(tid);
  (void)::sched_setaffinity(tid, sizeof program, &program);
}

void Placement::note_call(Nanoseconds now) {
  last_call_ = now;
  if (pinned_ || spread_) return;
  if (now - burst_start_ > kBurstLength) {
    burst_start_ = now;
    burst_ = 0;
  }
  if (++burst_ >= kBurstCalls) {
    burst_ = 0;
    pin();
  }
}

void Placement::note_idle(Nanoseconds now) {
  if (pinned_ && now - last_call_ > kQuiet) unpin();
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
  if (pinned_) unpin();
  if (::sched_setaffinity(tid, sizeof usable, &usable) != 0) return fail_errno("sched_setaffinity");
  return {};
}

}  // namespace vitrine::supervisor
