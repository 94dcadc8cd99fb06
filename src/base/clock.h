// Clocks of the supervisor.
#pragma once

#include <chrono>
#include <ctime>

namespace vitrine {

using Nanoseconds = std::chrono::nanoseconds;

inline Nanoseconds to_nanoseconds(const timespec& value) {
  return std::chrono::seconds(value.tv_sec) + Nanoseconds(value.tv_nsec);
}

inline timespec to_timespec(Nanoseconds value) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(value);
  return {seconds.count(), (value - seconds).count()};
}

// CLOCK_MONOTONIC. Never fails on Linux (clock_gettime(2)).
inline Nanoseconds monotonic_now() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return to_nanoseconds(now);
}

}  // namespace vitrine
