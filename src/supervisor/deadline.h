// The time of the loop's next look, as something to poll.
//
// A timeout of ppoll(2) is a timer that each wait sets and takes back. Where that is due before the
// next tick of its CPU, both program the clock device, which in a virtual machine leaves it twice:
// 1.9 microseconds of a wait of 2.4, measured as two processes on one CPU took turns. This timer is
// set when the time changes.
#pragma once

#include "base/clock.h"
#include "base/unique_fd.h"

namespace vitrine::supervisor {

class Deadline {
 public:
  Deadline();

  // Readable from the deadline on, until another is set; -1 where there are no such descriptors
  // (timerfd_create(2)), and timeouts have to do.
  int fd() const { return timer_.get(); }
  // CLOCK_MONOTONIC.
  void set(Nanoseconds time);

 private:
  UniqueFd timer_;
  Nanoseconds time_{};
};

}  // namespace vitrine::supervisor
