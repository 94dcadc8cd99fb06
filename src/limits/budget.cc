#include "limits/budget.h"

#include <algorithm>

namespace vitrine::limits {
namespace {

using std::chrono::milliseconds;

constexpr Nanoseconds kShortestWait = milliseconds(2);
constexpr Nanoseconds kLongestWait = std::chrono::seconds(1);
constexpr Nanoseconds kShortestMemoryWait = milliseconds(5);
// Faster than memory can be touched by one CPU here (3 to 5 GB/s measured).
constexpr std::uint64_t kBytesPerSecondPerCpu = 5'000'000'000;
// glibc's default stack is RLIMIT_STACK, 8 MiB, of which a thread touches a few pages.
constexpr std::uint64_t kThreadStack = 8ULL << 20;
constexpr std::uint64_t kStackTouched = 256ULL << 10;

std::uint64_t with_margin(std::uint64_t bytes) { return bytes + bytes / 8 + (4ULL << 20); }

Nanoseconds memory_wait(std::uint64_t headroom, unsigned cpus) {
  const std::uint64_t per_millisecond = kBytesPerSecondPerCpu / 1000 * cpus;
  const auto wait = milliseconds(static_cast<std::int64_t>(headroom / per_millisecond));
  return std::max<Nanoseconds>(kShortestMemoryWait, wait);
}

}  // namespace

std::optional<Verdict> Budget::spent(Nanoseconds elapsed, const Measured& measured) const {
  if (limits_.cpu && measured.cpu >= *limits_.cpu) return Verdict::kCpuLimit;
  if (limits_.wall && elapsed >= *limits_.wall) return Verdict::kWallLimit;
  const std::optional<std::uint64_t> ceiling = memory_ceiling();
  if (ceiling && measured.memory > *ceiling) return Verdict::kMemoryLimit;
  if (measured.scratch > scratch_ceiling()) return Verdict::kMemoryLimit;
  return std::nullopt;
}

Nanoseconds Budget::next_look(Nanoseconds elapsed, const Measured& measured) const {
  Nanoseconds wait = kLongestWait;
  if (limits_.cpu) {
    wait = std::min(wait, (*limits_.cpu - measured.cpu) / static_cast<int>(cpus_));
  }
  if (const std::optional<std::uint64_t> ceiling = memory_ceiling()) {
    const std::uint64_t headroom = *ceiling > measured.memory ? *ceiling - measured.memory : 0;
    wait = std::min(wait, memory_wait(headroom, cpus_));
  }
  // Only who has begun to fill scratch can fill it before the next look: the first look at a
  // program is an early one.
  if (measured.scratch != 0) {
    const std::uint64_t ceiling = scratch_ceiling();
    wait = std::min(wait, memory_wait(ceiling - std::min(ceiling, measured.scratch), cpus_));
  }
  wait = std::max(wait, kShortestWait);
  Nanoseconds look = elapsed + wait;
  if (limits_.wall) look = std::min(look, std::max(*limits_.wall, elapsed));
  return look;
}

std::optional<std::uint64_t> Budget::data_limit(std::uint64_t elsewhere,
                                                std::uint64_t threads) const {
  if (!limits_.memory_bytes) return std::nullopt;
  const std::uint64_t left =
      *limits_.memory_bytes > elsewhere ? *limits_.memory_bytes - elsewhere : 0;
  const std::uint64_t stacks = threads > 1 ? (threads - 1) * (kThreadStack - kStackTouched) : 0;
  return left + stacks;
}

std::optional<std::uint64_t> Budget::memory_ceiling() const {
  if (!limits_.memory_bytes) return std::nullopt;
  return with_margin(*limits_.memory_bytes);
}

std::uint64_t Budget::scratch_ceiling() const { return with_margin(scratch_quota_); }

}  // namespace vitrine::limits
