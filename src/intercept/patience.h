// Patience: an end to waiting for a task that ought to stop at once. What a task is made to do runs
// on the program's own instruction, which its other threads can rewrite meanwhile: it may never get
// there, and the supervisor must not wait for it.
#pragma once

#include <ctime>

#include "base/result.h"

namespace vitrine::intercept {

// While it exists, a blocking call of this thread ends with EINTR every few milliseconds; it is
// over after two seconds.
class Patience {
 public:
  Patience();
  ~Patience();
  Patience(const Patience&) = delete;
  Patience& operator=(const Patience&) = delete;

  bool is_over() const;

 private:
  timespec started_{};
};

}  // namespace vitrine::intercept
