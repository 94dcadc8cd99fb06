#include "supervisor/meter.h"

#include <algorithm>

#include "tracee/usage.h"

namespace vitrine::supervisor {
namespace {

Nanoseconds from_timeval(const timeval& value) {
  return std::chrono::seconds(value.tv_sec) + std::chrono::microseconds(value.tv_usec);
}

}  // namespace

Nanoseconds Meter::sample_cpu() {
  Nanoseconds total{};
  for (const pid_t tgid : tasks_.processes()) {
    const Result<Nanoseconds> used = tracee::cpu_time(tgid);
    if (used) processes_[tgid].cpu = *used;
    total += processes_[tgid].cpu;
  }
  return total;
}

// A leader that has ended while its threads go on is a zombie, which has no memory to tell of: any
// other thread tells of the same memory.
Result<tracee::MemoryUse> Meter::memory_of(pid_t tgid) const {
  Result<tracee::MemoryUse> used = tracee::memory_use(tgid);
  if (used && used->anonymous + used->shared != 0) return used;
  for (const pid_t tid : tasks_.threads(tgid)) {
    Result<tracee::MemoryUse> seen = tracee::memory_use(tid);
    if (seen && seen->anonymous + seen->shared != 0) return seen;
  }
  return used;
}

std::uint64_t Meter::sample_memory() {
  held_ = files_.memory_held();
  scratch_ = files_.scratch_used() + held_.used;
  shared_ = 0;
  std::uint64_t anonymous = 0;
  for (const pid_t tgid : tasks_.processes()) {
    const Result<tracee::MemoryUse> used = memory_of(tgid);
    if (!used && used.error().kind == Error::Kind::kTaskGone) continue;
    Process& process = processes_[tgid];
    if (used) {
      process.anonymous = used->anonymous;
      shared_ = std::max(shared_, used->shared);
    }
    anonymous += process.anonymous;
  }
  // Every file that can be mapped shared is one of ours, whose blocks were counted; what the kernel
  // says of one process's shared memory is a part of them.
  return anonymous + std::max(scratch_, shared_);
}

limits::Measured Meter::measure() {
  limits::Measured now;
  now.cpu = sample_cpu() + dead_user_ + dead_system_;
  now.memory = sample_memory();
  now.scratch = scratch_ - held_.used;
  memory_peak_ = std::max(memory_peak_, now.memory);
  return now;
}

std::uint64_t Meter::held_elsewhere(pid_t tgid) const {
  std::uint64_t held = std::max(scratch_, shared_) + promised();
  for (const auto& [other, process] : processes_) {
    if (other != tgid) held += process.anonymous;
  }
  return held;
}

// wait4 gives the process together with the children that it has waited for, which were counted
// when they died. What it has for itself lies between its own clock as last seen and that total.
void Meter::process_ended(pid_t tgid, pid_t parent, const rusage& usage) {
  const Nanoseconds user = from_timeval(usage.ru_utime);
  const Nanoseconds system = from_timeval(usage.ru_stime);
  const Nanoseconds total = user + system;
  const Process last = processes_[tgid];
  const Nanoseconds own = std::clamp(total - last.children, std::min(last.cpu, total), total);
  const double share = total.count() == 0
                           ? 0.0
                           : static_cast<double>(own.count()) / static_cast<double>(total.count());
  const auto own_user =
      Nanoseconds(static_cast<std::int64_t>(static_cast<double>(user.count()) * share));
  dead_user_ += own_user;
  dead_system_ += own - own_user;
  processes_.erase(tgid);
  if (processes_.contains(parent)) processes_[parent].children += own + last.children;
  const auto peak = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  // The kernel's own high-water mark of one process catches what fell between two looks.
  memory_peak_ = std::max(memory_peak_, peak);
  (void)sample_cpu();
}

}  // namespace vitrine::supervisor
