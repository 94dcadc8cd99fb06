// Placement: on which CPUs the program runs, and which it is told of.
//
// A served call costs 4 µs when supervisor and program share a CPU and 30 to 100 µs when they do
// not (a wake-up on another CPU). So while the program has one thread and asks much, both are kept
// on one CPU; when it starts a second thread, or computes without asking, it gets its CPUs back.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <unordered_map>

#include "base/clock.h"
#include "syscalls/context.h"

namespace vitrine::supervisor {

class Placement final : public syscalls::AffinityControl {
 public:
  // `cpus`: how many the program sees (--cpus); 0: all that this process may use.
  explicit Placement(unsigned cpus);

  unsigned visible_count() const { return static_cast<unsigned>(CPU_COUNT(&visible_)); }

  // Pins this process and `tid` to the CPU that this process runs on.
  void begin(pid_t tid);
  // The program has several tasks: never pinned again.
  void spread(const std::vector<pid_t>& tids);
  void task_started(pid_t tid);
  void task_ended(pid_t tid) { chosen_.erase(tid); }
  // Called for each served call, and when the supervisor wakes for another reason.
  void note_call(Nanoseconds now);
  void note_idle(Nanoseconds now);
  bool pinned() const { return pinned_; }

  // AffinityControl
  cpu_set_t visible(pid_t tid) const override;
  Status choose(pid_t tid, const cpu_set_t& cpus) override;

 private:
  void pin();
  void unpin();

  cpu_set_t own_;                                // of this process, as it was started
  cpu_set_t visible_;                            // of the program
  std::unordered_map<pid_t, cpu_set_t> chosen_;  // by sched_setaffinity
  pid_t tid_ = 0;
  bool pinned_ = false;
  bool spread_ = false;
  Nanoseconds burst_start_{};
  Nanoseconds last_call_{};
  unsigned burst_ = 0;
};

}  // namespace vitrine::supervisor
