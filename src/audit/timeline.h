// Calls over time, by task and family, in bounded memory: the buckets' width doubles whenever the
// run outgrows them.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

namespace vitrine::audit {

enum class Family { kFiles, kMemory, kProcesses, kSignals, kNetwork, kTime, kOther };
inline constexpr std::size_t kFamilies = 7;
inline constexpr std::array<std::string_view, kFamilies> kFamilyNames = {
    "files", "memory", "processes", "signals", "network", "time", "other"};

Family family_of(std::string_view syscall);

class Timeline {
 public:
  static constexpr std::size_t kBuckets = 512;
  static constexpr std::size_t kMaxLanes =
      24;  // tasks of their own; later ones share the last lane

  struct Bucket {
    std::array<std::uint32_t, kFamilies> calls{};
    std::uint32_t denied = 0;
  };
  struct Lane {
    std::uint64_t tid = 0;  // 0: several tasks
    std::vector<Bucket> buckets = std::vector<Bucket>(kBuckets);
  };

  void add(std::uint64_t tid, std::uint64_t time_us, Family family, bool denied);

  std::uint64_t bucket_us() const { return bucket_us_; }
  const std::vector<Lane>& lanes() const { return lanes_; }

 private:
  void widen();
  std::size_t lane_of(std::uint64_t tid);

  std::uint64_t bucket_us_ = 1;
  std::vector<Lane> lanes_;  // by first appearance
  std::map<std::uint64_t, std::size_t> by_tid_;
};

}  // namespace vitrine::audit
