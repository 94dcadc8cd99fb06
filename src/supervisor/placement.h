// Placement: on which CPUs the program runs, and which it is told of.
//
// A served call costs 4 µs when supervisor and caller share a CPU and 30 to 100 µs when they do not
// (a wake-up on another CPU). So the one task that asks much is bound to the supervisor's CPU, and
// the supervisor to it; all other tasks keep their CPUs. A task that computes, or several that ask
// at once, get theirs back. Where others compete for the CPU the scheduler chooses anew.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <optional>
#include <unordered_map>

#include "base/clock.h"
#include "syscalls/context.h"

namespace vitrine::supervisor {

class Placement final : public syscalls::AffinityControl {
 public:
  // `cpus`: how many the program sees (--cpus); 0: all that this process may use.
  explicit Placement(unsigned cpus);

  unsigned visible_count() const { return static_cast<unsigned>(CPU_COUNT(&visible_)); }

  // Binds this process and `tid` to the CPU that this process runs on.
  void begin(pid_t tid);
  void task_started(pid_t tid);
  void task_ended(pid_t tid);
  // `former` goes on as `tid`, with its CPUs.
  void task_executed(pid_t former, pid_t tid);
  // Called for each served call, and when the supervisor wakes for another reason.
  void note_call(pid_t tid, Nanoseconds now);
  void note_idle(Nanoseconds now);
  // The task that shares a CPU with this process alone; 0: none.
  pid_t bound() const { return bound_; }

  // AffinityControl
  cpu_set_t visible(pid_t tid) const override;
  Status choose(pid_t tid, const cpu_set_t& cpus) override;

 private:
  void bind(pid_t tid, Nanoseconds now);
  void release();
  bool competes(Nanoseconds now);

  cpu_set_t own_;                                // of this process, as it was started
  cpu_set_t visible_;                            // of the program
  std::unordered_map<pid_t, cpu_set_t> chosen_;  // by sched_setaffinity
  pid_t bound_ = 0;
  int cpu_ = -1;             // valid with `bound_`
  Nanoseconds last_call_{};  // of the bound task
  // When the share of the CPU was looked at last, and what had been used of it by then.
  Nanoseconds looked_{};
  std::optional<Nanoseconds> used_;
  // Calls of another task, one after the other.
  pid_t caller_ = 0;
  Nanoseconds burst_start_{};
  unsigned burst_ = 0;
};

}  // namespace vitrine::supervisor
