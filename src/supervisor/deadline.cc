#include "supervisor/deadline.h"

#include <sys/timerfd.h>

#include <algorithm>

#include "base/feature.h"

namespace vitrine::supervisor {

Deadline::Deadline() {
  if (is_taken_away(Feature::kTimerFd)) return;
  timer_ = UniqueFd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
}

void Deadline::set(Nanoseconds time) {
  time = std::max(time, Nanoseconds(1));  // 0 would disarm it
  if (time == time_ || !timer_) return;
  itimerspec at{};
  at.it_value = to_timespec(time);
  if (::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &at, nullptr) != 0) timer_.reset();
  time_ = time;
}

}  // namespace vitrine::supervisor
