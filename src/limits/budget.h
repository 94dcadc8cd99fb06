// Budget: when to look at what the tree has used, and which budget is spent. Pure logic over
// numbers that the caller measures; no clocks and no processes in here.
#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "core/limits.h"
#include "core/report.h"

namespace vitrine::limits {

// What the tree has used, measured at one moment.
struct Measured {
  Nanoseconds cpu{};  // user and system, of the living and the dead
  // Bytes that only this run holds: private, shared, page tables, scratch.
  std::uint64_t memory = 0;
  std::uint64_t scratch = 0;  // the part of them that is in scratch folders
};

class Budget {
 public:
  // `cpus`: how many CPUs the tree can burn at once. `scratch_quota`: bytes of all scratch folders.
  Budget(const Limits& limits, unsigned cpus, std::uint64_t scratch_quota)
      : limits_(limits), cpus_(cpus == 0 ? 1 : cpus), scratch_quota_(scratch_quota) {}

  // The spent budget, if one is; `elapsed` since the command started.
  std::optional<Verdict> spent(Nanoseconds elapsed, const Measured& measured) const;
  // The latest moment (since the start) at which to look again, so that no budget can be overdrawn
  // by more than its margin before then.
  Nanoseconds next_look(Nanoseconds elapsed, const Measured& measured) const;
  // RLIMIT_DATA for one process: what the budget leaves when `elsewhere` bytes are held outside its
  // private memory, plus room for stacks that its threads reserve and do not touch.
  std::optional<std::uint64_t> data_limit(std::uint64_t elsewhere, std::uint64_t threads) const;
  // Past this much measured memory the run is ended: allocations have failed long before.
  std::optional<std::uint64_t> memory_ceiling() const;
  // The same for scratch: writes have failed long before, stores to mappings of sparse files
  // cannot.
  std::uint64_t scratch_ceiling() const;

 private:
  Limits limits_;
  unsigned cpus_;
  std::uint64_t scratch_quota_;
};

}  // namespace vitrine::limits
