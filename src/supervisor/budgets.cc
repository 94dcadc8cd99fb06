// Budgets: when they are looked at, and the kernel limits that make allocations fail first.
#include <sys/resource.h>

#include <algorithm>

#include "base/text.h"
#include "supervisor/event_loop.h"
#include "tracee/usage.h"

namespace vitrine::supervisor {
namespace {

constexpr std::uint64_t kLimitStep = 256ULL * 1024;  // smaller changes are not worth a system call

// `verdict`: what Budget::spent gives.
std::string reason_for(Verdict verdict, const Limits& limits, bool scratch_is_spent) {
  if (verdict == Verdict::kWallLimit)
    return "the wall-clock budget of " + format_duration(*limits.wall) + " is used up";
  if (verdict == Verdict::kCpuLimit)
    return "the CPU budget of " + format_duration(*limits.cpu) + " is used up";
  if (scratch_is_spent) return "more was stored in scratch than it holds";
  return "more memory than the budget of " + format_size(*limits.memory_bytes) + " was used";
}

bool differs(std::uint64_t a, std::uint64_t b) {
  return (a > b ? a - b : b - a) >= kLimitStep || (a == 0) != (b == 0);
}

void set_soft_limit(pid_t tgid, __rlimit_resource resource, std::uint64_t value) {
  rlimit limit{};
  if (::prlimit(tgid, resource, nullptr, &limit) != 0) return;
  limit.rlim_cur = std::min<rlim_t>(value, limit.rlim_max);
  (void)::prlimit(tgid, resource, &limit, nullptr);
}

const char* limit_word(Verdict verdict, bool scratch_is_spent) {
  if (verdict == Verdict::kWallLimit) return "wall";
  if (verdict == Verdict::kCpuLimit) return "cpu";
  return scratch_is_spent ? "scratch" : "memory";
}

}  // namespace

void EventLoop::look_at_budgets(bool now) {
  const Nanoseconds time = elapsed();
  if (!scratch_watched_ && parts_.files.scratch_in_use()) {
    scratch_watched_ = true;
    last_measured_.scratch = 1;
    next_look_ = std::min(next_look_, budget_.next_look(time, last_measured_));
  }
  if (!now && time < next_look_) return;
  last_measured_ = meter_.measure();
  scratch_watched_ = last_measured_.scratch != 0;
  if (!ending_) {
    if (const std::optional<Verdict> spent = budget_.spent(time, last_measured_)) {
      const bool of_scratch = last_measured_.scratch > budget_.scratch_ceiling();
      const char* const limit = limit_word(*spent, of_scratch);
      parts_.tally.limit_hit(limit);
      record_limit(limit, true);
      return end_run(*spent, reason_for(*spent, limits(), of_scratch));
    }
    if (parts_.policy.on_audit_failure() == policy::AuditFailure::kEndRun) {
      if (const Status health = parts_.audit.health(); !health) {
        return end_run(Verdict::kInternalError, "the audit log: " + health.error().message());
      }
    }
    if (parts_.files.scratch_refused()) parts_.tally.limit_hit("scratch");
    apply_rlimits();
  } else {
    kill_tree();  // a task made while the tree was being killed
  }
  next_look_ = budget_.next_look(time, last_measured_);
  if (parts_.audit.level() == audit::Level::kDenied || !command_runs_) return;
  if (time >= next_sample_) take_sample(time);
  next_look_ = std::min(next_look_, next_sample_);
}

// Ever fewer in a long run: a log of a day holds some thousands.
void EventLoop::take_sample(Nanoseconds time) {
  constexpr std::uint64_t kSamplesBeforeSlower = 512;
  audit::SampleRecord record;
  record.time = time;
  record.cpu = last_measured_.cpu;
  record.memory_bytes = last_measured_.memory;
  record.output_bytes = output_;
  record.processes = tasks_.process_count();
  record.threads = tasks_.thread_count();
  parts_.audit.write(record);
  if (++samples_ % kSamplesBeforeSlower == 0) sample_interval_ *= 2;
  next_sample_ = time + sample_interval_;
}

void EventLoop::record_limit(std::string_view limit, bool ended) {
  const auto microseconds = [](Nanoseconds value) {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(value).count());
  };
  const Limits& most = limits();
  audit::LimitRecord record;
  record.time = elapsed();
  record.limit = limit;
  record.ended = ended;
  const auto figures = [&](std::uint64_t used, std::uint64_t allowed) {
    record.used = used;
    record.allowed = allowed;
  };
  if (limit == "wall")
    figures(microseconds(record.time), microseconds(most.wall.value_or(Nanoseconds{})));
  if (limit == "cpu")
    figures(microseconds(last_measured_.cpu), microseconds(most.cpu.value_or(Nanoseconds{})));
  if (limit == "memory") figures(last_measured_.memory, most.memory_bytes.value_or(0));
  if (limit == "output") figures(output_, most.output_bytes.value_or(0));
  if (limit == "processes") figures(tasks_.process_count(), most.processes);
  if (limit == "threads") figures(tasks_.thread_count(), most.threads);
  if (limit == "scratch") figures(parts_.files.scratch_peak(), parts_.files.scratch_quota());
  parts_.audit.write(record);
}

// RLIMIT_DATA makes allocations fail before the budget is passed; RLIMIT_FSIZE does the same for
// scratch files. Both follow what the rest of the tree holds.
void EventLoop::apply_rlimits() {
  const bool alone = tasks_.process_count() == 1;
  for (const pid_t tgid : tasks_.processes()) {
    const auto data = moving_limit(tgid, RLIMIT_DATA);
    const auto own = own_limits_.find(tgid);
    const OwnLimits most = own == own_limits_.end() ? OwnLimits{} : own->second;
    if (data && (!alone || differs(*data, data_limit_))) {
      set_soft_limit(tgid, RLIMIT_DATA, std::min(*data, most.data));
      data_limit_ = *data;
    }
    const std::uint64_t file = parts_.files.file_size_limit();
    if (!alone || file > file_limit_ || file_limit_ - file > file_step()) {
      set_soft_limit(tgid, RLIMIT_FSIZE, std::min(file, most.file));
      file_limit_ = file;
    }
  }
}

// Room may have been made since the last look.
bool EventLoop::raise_file_limit(pid_t tgid) {
  rlimit limit{};
  const std::uint64_t room = std::min(parts_.files.file_size_limit(), own_file_limit(tgid));
  if (::prlimit(tgid, RLIMIT_FSIZE, nullptr, &limit) != 0 || room <= limit.rlim_cur) return false;
  set_soft_limit(tgid, RLIMIT_FSIZE, room);
  file_limit_ = 0;  // the others follow at the next look
  return ::prlimit(tgid, RLIMIT_FSIZE, nullptr, &limit) == 0 && limit.rlim_cur == room;
}

// What was removed is room for the very next write: one that stops short at the old limit would be
// no error, and a program that does not look would lose what it wrote.
void EventLoop::follow_scratch() {
  if (parts_.files.scratch_given_back() > file_step()) apply_rlimits();
}

// By how much scratch files may have more room than the quota leaves, or less.
std::uint64_t EventLoop::file_step() const {
  return std::min<std::uint64_t>(64ULL * 1024, parts_.files.scratch_quota() / 64);
}

std::optional<std::uint64_t> EventLoop::moving_limit(pid_t tgid, int resource) {
  if (resource == RLIMIT_FSIZE) return parts_.files.file_size_limit();
  if (resource != RLIMIT_DATA) return std::nullopt;
  return budget_.data_limit(meter_.held_elsewhere(tgid), tasks_.threads_of(tgid));
}

void EventLoop::keep_limit_below(pid_t tgid, int resource, std::uint64_t soft) {
  OwnLimits& own = own_limits_[tgid];
  (resource == RLIMIT_FSIZE ? own.file : own.data) = soft;
}

std::uint64_t EventLoop::own_file_limit(pid_t tgid) const {
  const auto own = own_limits_.find(tgid);
  return own == own_limits_.end() ? UINT64_MAX : own->second.file;
}

void EventLoop::inherit_limits(const tracee::Task& task) {
  if (task.tid != task.tgid) return;
  const auto parent = own_limits_.find(task.parent);
  if (parent != own_limits_.end()) own_limits_[task.tgid] = OwnLimits(parent->second);
}

// Whether what bounds files now is what the program set itself.
bool EventLoop::is_own_file_limit(pid_t tgid) const {
  const std::uint64_t own = own_file_limit(tgid);
  rlimit limit{};
  return own != UINT64_MAX && ::prlimit(tgid, RLIMIT_FSIZE, nullptr, &limit) == 0 &&
         limit.rlim_cur >= own;
}

std::uint64_t EventLoop::memory_used() {
  last_measured_ = meter_.measure();
  return last_measured_.memory;
}

bool EventLoop::private_memory_fits(pid_t tgid, std::uint64_t bytes) {
  const auto limit = moving_limit(tgid, RLIMIT_DATA);
  if (!limit) return true;
  const Result<std::uint64_t> held = tracee::data_size(tgid);
  return held && bytes <= *limit && *held <= *limit - bytes;
}

bool EventLoop::shared_memory_fits(std::uint64_t bytes) {
  const auto& limit = limits().memory_bytes;
  if (!limit) return true;
  const std::uint64_t used = memory_used() + meter_.promised();
  return used <= *limit && bytes <= *limit - used;
}

bool EventLoop::admit_socket(int fd) {
  if (!meter_.socket_granted(fd)) return false;
  return shared_memory_fits(0);
}

bool EventLoop::admit_watch() {
  constexpr std::uint64_t kWatch = 160;  // bytes, of an epitem and its entry (fs/eventpoll.c)
  const auto& limit = limits().memory_bytes;
  if (limit && (watches_ + 1) * kWatch > *limit / 8) return false;
  ++watches_;
  return true;
}

}  // namespace vitrine::supervisor
