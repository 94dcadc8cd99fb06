// The budgets of a run, and what was used of them. Values only.
#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace vitrine {

// nullopt is "none": unbounded.
struct Limits {
  std::optional<Nanoseconds> wall = std::chrono::seconds(60);
  std::optional<Nanoseconds> cpu = std::chrono::seconds(30);
  std::optional<std::uint64_t> memory_bytes = 512ULL << 20;
  std::optional<std::uint64_t> output_bytes = 64ULL << 20;
  std::uint64_t processes = 1;   // live processes in the tree
  std::uint64_t threads = 64;    // live threads in the tree
  std::optional<unsigned> cpus;  // CPUs the program sees; nullopt: all this process may use
};

struct Usage {
  Nanoseconds wall{};
  Nanoseconds cpu_user{};
  Nanoseconds cpu_system{};
  std::uint64_t memory_peak_bytes = 0;
  std::uint64_t output_bytes = 0;
  std::uint64_t processes_peak = 0;
  std::uint64_t threads_peak = 0;
  std::uint64_t scratch_peak_bytes = 0;
  // The most private memory that one process had mapped, touched or not: what RLIMIT_DATA would
  // have had to allow, stacks of threads left aside. 0: not measured (RunRequest::measure_data).
  std::uint64_t data_peak_bytes = 0;
};

}  // namespace vitrine
