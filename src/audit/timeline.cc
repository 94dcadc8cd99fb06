#include "audit/timeline.h"

#include <algorithm>

namespace vitrine::audit {
namespace {

struct FamilyPrefix {
  std::string_view prefix;
  Family family;
};

// The first that the name starts with; calls on names and descriptors of files are the rest below.
constexpr std::array kPrefixes = {
    FamilyPrefix{"mmap", Family::kMemory},
    FamilyPrefix{"mprotect", Family::kMemory},
    FamilyPrefix{"munmap", Family::kMemory},
    FamilyPrefix{"mremap", Family::kMemory},
    FamilyPrefix{"madvise", Family::kMemory},
    FamilyPrefix{"mlock", Family::kMemory},
    FamilyPrefix{"munlock", Family::kMemory},
    FamilyPrefix{"msync", Family::kMemory},
    FamilyPrefix{"brk", Family::kMemory},
    FamilyPrefix{"memfd", Family::kMemory},
    FamilyPrefix{"shm", Family::kMemory},
    FamilyPrefix{"clone", Family::kProcesses},
    FamilyPrefix{"fork", Family::kProcesses},
    FamilyPrefix{"vfork", Family::kProcesses},
    FamilyPrefix{"exec", Family::kProcesses},
    FamilyPrefix{"exit", Family::kProcesses},
    FamilyPrefix{"wait", Family::kProcesses},
    FamilyPrefix{"get", Family::kProcesses},
    FamilyPrefix{"set", Family::kProcesses},
    FamilyPrefix{"prctl", Family::kProcesses},
    FamilyPrefix{"prlimit", Family::kProcesses},
    FamilyPrefix{"sched", Family::kProcesses},
    FamilyPrefix{"futex", Family::kProcesses},
    FamilyPrefix{"ptrace", Family::kProcesses},
    FamilyPrefix{"arch_prctl", Family::kProcesses},
    FamilyPrefix{"kill", Family::kSignals},
    FamilyPrefix{"tkill", Family::kSignals},
    FamilyPrefix{"tgkill", Family::kSignals},
    FamilyPrefix{"rt_", Family::kSignals},
    FamilyPrefix{"sig", Family::kSignals},
    FamilyPrefix{"pidfd", Family::kSignals},
    FamilyPrefix{"socket", Family::kNetwork},
    FamilyPrefix{"connect", Family::kNetwork},
    FamilyPrefix{"bind", Family::kNetwork},
    FamilyPrefix{"listen", Family::kNetwork},
    FamilyPrefix{"accept", Family::kNetwork},
    FamilyPrefix{"send", Family::kNetwork},
    FamilyPrefix{"recv", Family::kNetwork},
    FamilyPrefix{"shutdown", Family::kNetwork},
    FamilyPrefix{"clock_", Family::kTime},
    FamilyPrefix{"nanosleep", Family::kTime},
    FamilyPrefix{"time", Family::kTime},
    FamilyPrefix{"alarm", Family::kTime},
    FamilyPrefix{"syscall_", Family::kOther},
    FamilyPrefix{"uname", Family::kOther},
    FamilyPrefix{"sysinfo", Family::kOther},
    FamilyPrefix{"bpf", Family::kOther},
    FamilyPrefix{"io_uring", Family::kOther},
    FamilyPrefix{"key", Family::kOther},
    FamilyPrefix{"add_key", Family::kOther},
    FamilyPrefix{"perf", Family::kOther},
    FamilyPrefix{"seccomp", Family::kOther},
};

// Start like a prefix above, yet are about files or sockets.
constexpr std::array kExceptions = {
    FamilyPrefix{"getdents", Family::kFiles},    FamilyPrefix{"getcwd", Family::kFiles},
    FamilyPrefix{"getxattr", Family::kFiles},    FamilyPrefix{"setxattr", Family::kFiles},
    FamilyPrefix{"sendfile", Family::kFiles},    FamilyPrefix{"getsock", Family::kNetwork},
    FamilyPrefix{"getpeer", Family::kNetwork},   FamilyPrefix{"setsockopt", Family::kNetwork},
    FamilyPrefix{"gettimeofday", Family::kTime}, FamilyPrefix{"getitimer", Family::kTime},
    FamilyPrefix{"setitimer", Family::kTime},    FamilyPrefix{"settimeofday", Family::kTime},
    FamilyPrefix{"getrandom", Family::kOther},
};

}  // namespace

Family family_of(std::string_view syscall) {
  for (const FamilyPrefix& entry : kExceptions) {
    if (syscall.starts_with(entry.prefix)) return entry.family;
  }
  for (const FamilyPrefix& entry : kPrefixes) {
    if (syscall.starts_with(entry.prefix)) return entry.family;
  }
  return Family::kFiles;
}

void Timeline::add(std::uint64_t tid, std::uint64_t time_us, Family family, bool denied) {
  constexpr std::uint64_t kLongestUs = std::uint64_t{1} << 50;  // 35 years: a forged time
  time_us = std::min(time_us, kLongestUs);
  while (time_us / bucket_us_ >= kBuckets) widen();
  Bucket& bucket = lanes_[lane_of(tid)].buckets[time_us / bucket_us_];
  ++bucket.calls[static_cast<std::size_t>(family)];
  bucket.denied += denied ? 1 : 0;
}

void Timeline::widen() {
  bucket_us_ *= 2;
  for (Lane& lane : lanes_) {
    std::vector<Bucket> wide(kBuckets);
    for (std::size_t i = 0; i < kBuckets; ++i) {
      for (std::size_t f = 0; f < kFamilies; ++f) wide[i / 2].calls[f] += lane.buckets[i].calls[f];
      wide[i / 2].denied += lane.buckets[i].denied;
    }
    lane.buckets.swap(wide);
  }
}

std::size_t Timeline::lane_of(std::uint64_t tid) {
  if (const auto found = by_tid_.find(tid); found != by_tid_.end()) return found->second;
  if (lanes_.size() > kMaxLanes) return kMaxLanes;
  lanes_.emplace_back();
  if (lanes_.size() > kMaxLanes) return kMaxLanes;  // the shared lane, whose tid stays 0
  lanes_.back().tid = tid;
  return by_tid_[tid] = lanes_.size() - 1;
}

}  // namespace vitrine::audit
