// Patience: an end to waiting for a task that ought to stop at once. What a task is made to do runs
// on the program's own instruction, which its other threads can rewrite meanwhile: it may never get
// there, and the supervisor must not wait for it.
#pragma once

#include <sys/types.h>

#include <optional>

#include "base/clock.h"

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
  // All patience of this process is over at `end` (monotonic_now()): so is the run. In the meantime
  // nobody looks at its budgets.
  static void end_at(Nanoseconds end);

 private:
  pid_t tid_;
  Nanoseconds started_;
  std::optional<Nanoseconds> used_;  // CPU time of the task when it was first asked for
};

}  // namespace vitrine::intercept
