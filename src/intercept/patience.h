// Patience: an end to waiting for a task that ought to stop at once. What a task is made to do runs
// on the program's own instruction, which its other threads can rewrite meanwhile: it may never get
// there, and the supervisor must not wait for it.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>

#include "base/clock.h"
#include "base/result.h"

namespace vitrine::intercept {

// While it exists, a blocking call of this thread ends with EINTR every few milliseconds. It is
// over after two seconds, if the task has used CPU time for much more than the call takes: on a
// busy machine it may wait for a CPU for seconds, and has done nothing.
class Patience {
 public:
  explicit Patience(pid_t tid);
  ~Patience();
  Patience(const Patience&) = delete;
  Patience& operator=(const Patience&) = delete;

  bool is_over();

  // Makes the timer that interrupts, for the thread that calls: the only one that may wait. Before
  // the program runs, which could use up what timers take (RLIMIT_SIGPENDING is counted by user).
  static Status prepare();
  // While this process waits, nobody else looks at the budgets: `run_has_ended` is called every few
  // milliseconds for that. When it says so, all patience is over. nullptr: nobody asks.
  static void watch(std::function<bool()> run_has_ended);

 private:
  pid_t tid_;
  Nanoseconds started_;
  std::optional<Nanoseconds> used_;  // CPU time of the task when it was first asked for
};

}  // namespace vitrine::intercept
