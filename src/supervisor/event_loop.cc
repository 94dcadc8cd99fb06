// Waiting, and the ends of the loop. What tasks do is in task_events.cc, budgets in budgets.cc.
#include "supervisor/event_loop.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "intercept/patience.h"
#include "supervisor/signals.h"
#include "tracee/proc_status.h"

namespace vitrine::supervisor {
namespace {

constexpr Nanoseconds kLastOutput = std::chrono::seconds(2);  // for a stalled reader, after a limit
// How often a call that waits for other tasks' calls is looked at, for how long where many wait,
// and the share of the time that this may take.
constexpr Nanoseconds kRetryWaiting = std::chrono::milliseconds(2);
constexpr Nanoseconds kLookWhileSuspending = std::chrono::milliseconds(2);
constexpr Nanoseconds kRetryAtOnce = std::chrono::milliseconds(5);
constexpr int kRetryShare = 10;
constexpr std::size_t kCallsAtOnce = 64;  // before signals and clocks get a turn

bool asks_to_end(const std::vector<signalfd_siginfo>& signals) {
  return std::ranges::any_of(signals, [](const signalfd_siginfo& info) {
    const int signal = static_cast<int>(info.ssi_signo);
    return signal == SIGINT || signal == SIGTERM || signal == SIGHUP || signal == SIGQUIT;
  });
}

}  // namespace

EventLoop::EventLoop(const Parts& parts, Launched launched, vfs::DirectoryRef working_directory)
    : parts_(parts),
      launched_(std::move(launched)),
      dispatcher_({parts.policy, parts.interceptor, tasks_, parts.files, parts.placement, *this,
                   parts.audit, parts.tally, parts.channel},
                  std::move(working_directory)),
      meter_(tasks_, parts.files),
      budget_(parts.policy.limits(), parts.placement.visible_count(), parts.files.scratch_quota()),
      events_(parts.events) {
  parts_.files.attach(this);
  listener_open_ = parts_.interceptor.pollable_fd() >= 0;
  if (parts_.audit.level() == audit::Level::kAll) {
    parts_.interceptor.observe([this](const SyscallEvent& event, const std::string& bytes,
                                      std::optional<std::int64_t> result) {
      if (command_runs_) dispatcher_.observed(event, bytes, result);
    });
  }
  started_ = monotonic_now();
}

Ending EventLoop::run() {
  tasks_.add_first(launched_.pid);
  dispatcher_.task_started(*tasks_.find(launched_.pid));
  dispatcher_.expect_program(launched_.pid, parts_.program, parts_.program_path,
                             parts_.program_name);
  parts_.interceptor.task_started(launched_.pid, launched_.pid, 0);
  look_at_budgets(true);
  intercept::Patience::watch([this] {
    look_at_budgets(false);
    return ending_;
  });
  while (!tasks_.empty() && !blind_) wait();
  intercept::Patience::watch(nullptr);
  ending_as_.usage.wall = elapsed();
  last_measured_.cpu = meter_.cpu_user() + meter_.cpu_system();
  take_sample(elapsed());
  drain_output();
  parts_.stdio.return_unread_input();
  parts_.stdio.restore_terminal();
  if (parts_.audit.level() == audit::Level::kAll) ending_as_.calls = dispatcher_.calls_seen();
  Usage& usage = ending_as_.usage;
  usage.cpu_user = meter_.cpu_user();
  usage.cpu_system = meter_.cpu_system();
  usage.memory_peak_bytes = meter_.memory_peak();
  usage.output_bytes = output_;
  usage.processes_peak = tasks_.peak_processes();
  usage.threads_peak = tasks_.peak_threads();
  (void)parts_.files.scratch_used();  // a short run may have filled it between two looks
  usage.scratch_peak_bytes = parts_.files.scratch_peak();
  return ending_as_;
}

// How long to wait at most: what no descriptor tells of. nullopt: for ever.
std::optional<timespec> EventLoop::timeout() {
  std::optional<Nanoseconds> most;
  const auto at_most = [&](Nanoseconds time) { most = most ? std::min(*most, time) : time; };
  deadline_.set(started_ + next_look_);
  if (deadline_.fd() < 0) at_most(next_look_ - elapsed());
  if (dispatcher_.has_waiting()) at_most(next_retry_ - elapsed());
  if (events_left_) at_most(Nanoseconds(0));
  if (suspending_since_) at_most(kLookWhileSuspending);
  if (!most) return std::nullopt;
  return to_timespec(std::max(*most, Nanoseconds(0)));
}

void EventLoop::wait() {
  const std::optional<timespec> most = timeout();
  waiting_.clear();
  waiting_.push_back({parts_.signals, POLLIN, 0});
  const std::size_t listener_at = waiting_.size();
  waiting_.push_back({listener_open_ ? parts_.interceptor.pollable_fd() : -1, POLLIN, 0});
  const std::size_t deadline_at = waiting_.size();
  waiting_.push_back({deadline_.fd(), POLLIN, 0});
  const std::size_t stdio_at = waiting_.size();
  parts_.stdio.add_to(waiting_);

  const int ready = ::ppoll(waiting_.data(), waiting_.size(), most ? &*most : nullptr, nullptr);
  if (ready < 0 && errno != EINTR) return lose_sight(fail_errno("ppoll").value());
  const bool only_time = ready == 0 || (ready == 1 && waiting_[deadline_at].revents != 0);
  if (ready > 0 && !only_time) {
    // Signals first: the table of tasks is exact before a call is decided on it.
    if ((waiting_[0].revents & POLLIN) != 0) take_signals();
    if (events_left_) take_task_events();
    const short listener = waiting_[listener_at].revents;
    if ((listener & POLLIN) != 0 && !ending_) take_calls();
    if ((listener & (POLLHUP | POLLERR)) != 0) listener_open_ = false;  // no filtered task is left
    const bool data = std::any_of(waiting_.begin() + static_cast<std::ptrdiff_t>(stdio_at),
                                  waiting_.end(), [](const pollfd& e) { return e.revents != 0; });
    if (data) pump_output();
  } else if (events_left_) {
    take_task_events();
  } else if (only_time) {
    parts_.placement.note_idle(elapsed());
    parts_.audit.flush();
  }
  retry_waiting();
  look_at_budgets(false);
  if (suspending_since_) suspend_when_all_stand();
}

void EventLoop::retry_waiting() {
  if (ending_ || !dispatcher_.has_waiting()) return;
  const Nanoseconds start = elapsed();
  if (start < next_retry_) return;
  if (Status done = dispatcher_.retry_waiting(kRetryAtOnce); !done)
    return fail_internally(done.error());
  if (!dispatcher_.violation().empty()) end_run(Verdict::kViolation, dispatcher_.violation());
  const Nanoseconds now = elapsed();
  next_retry_ = now + std::max(kRetryWaiting, (now - start) * kRetryShare);
}

void EventLoop::take_calls() {
  for (std::size_t i = 0; i < kCallsAtOnce && !ending_; ++i) {
    Result<std::optional<intercept::Stop>> stop = parts_.interceptor.next();
    if (!stop) return fail_internally(stop.error());
    if (*stop) take_call(std::move(**stop));
    if (tasks_.thread_count() == 1) return;
    // Another thread may be waiting already; NOTIF_RECV without one would block.
    pollfd again{parts_.interceptor.pollable_fd(), POLLIN, 0};
    if (::poll(&again, 1, 0) != 1 || (again.revents & POLLIN) == 0) return;
  }
}

void EventLoop::take_call(intercept::Stop stop) {
  if (ending_) return;  // it is being killed where it stands
  const Nanoseconds now = elapsed();
  parts_.placement.note_call(stop.event().tid, now);
  if (!command_runs_ && admit_launch(stop)) {
    Result<Outcome> outcome = parts_.interceptor.apply(std::move(stop), Continue{});
    if (!outcome) fail_internally(outcome.error());
    return;
  }
  const pid_t tid = stop.event().tid;
  const std::uint64_t image = tasks_.image_of(tid);
  if (make_room_for_clone(stop.event())) {
    // What others did meanwhile may have been this one's end, and another program under its tid.
    if (tasks_.image_of(tid) != image) return;
    if (sibling_executes(tid)) return postpone(tid, std::move(stop));
  }
  if (Status done = dispatcher_.dispatch(std::move(stop), now); !done) {
    return fail_internally(done.error());
  }
  if (!dispatcher_.violation().empty()) end_run(Verdict::kViolation, dispatcher_.violation());
}

// The launcher's own calls: those that leave its descriptors behind, and the execveat, once. Our
// code made them, their arguments lie in our memory, and the program is the descriptor that was
// opened for it. They are not the command's, so no record is made of them.
bool EventLoop::admit_launch(const intercept::Stop& stop) {
  const arch::SyscallRow* row = arch::find_syscall(stop.event().number);
  const bool ours = stop.event().tid == launched_.pid &&
                    stop.event().audit_arch == arch::kNativeAuditArch && row != nullptr &&
                    (row->name == "execveat" || row->name == "close_range" ||
                     row->name == "fcntl" || row->name == "dup2");
  if (!ours || launch_admitted_) return false;
  launch_admitted_ = row->name == "execveat";
  return true;
}

void EventLoop::take_signals() {
  for (const signalfd_siginfo& info : read_signals(parts_.signals)) {
    switch (info.ssi_signo) {
      case SIGCHLD:
        break;
      case SIGWINCH:
        parts_.stdio.update_window();
        break;
      case SIGTSTP:
        begin_suspending();
        break;
      case SIGCONT:
        if (suspending_since_) continue_the_command();  // the stop is taken back (signal(7))
        parts_.stdio.follow_foreground();
        break;
      default:
        forward(static_cast<int>(info.ssi_signo));
        break;
    }
  }
  take_task_events();
}

// The first goes to the command, as if it had been typed or sent there; the second ends it.
void EventLoop::forward(int signal) {
  if (++forwarded_ > 1 || ending_) return kill_tree();
  // Its process group is its own while it has not been reaped, which is our doing alone.
  (void)::kill(-launched_.pid, signal);
}

void EventLoop::pump_output() {
  const auto& limit = parts_.policy.limits().output_bytes;
  const std::uint64_t left = limit ? *limit - std::min(*limit, output_) : UINT64_MAX / 2;
  output_ += parts_.stdio.pump(left);
  if (limit && output_ >= *limit && parts_.stdio.output_waits()) output_spent(*limit);
}

// Also what a program left in the pipes when it ended counts.
void EventLoop::output_spent(std::uint64_t limit) {
  if (!std::exchange(output_spent_, true)) {
    parts_.tally.limit_hit("output");
    record_limit("output", true);
  }
  std::string reason = "more than " + std::to_string(limit) + " bytes of output";
  if (!ending_) return end_run(Verdict::kOutputLimit, std::move(reason));
  if (ending_as_.verdict != Verdict::kExited && ending_as_.verdict != Verdict::kSignaled) return;
  ending_as_.verdict = Verdict::kOutputLimit;
  ending_as_.reason = std::move(reason);
  ending_as_.exit_code.reset();
}

// What the pipes still hold when the last task has gone: all writers are closed, so the relays find
// the end. A reader that does not read is waited for until the wall budget, as a pipe natively
// would hold the data; after a limit only shortly.
void EventLoop::drain_output() {
  parts_.stdio.close_guest_ends();
  const Nanoseconds start = elapsed();
  const auto& wall = parts_.policy.limits().wall;
  const bool ended_by_limit = ending_as_.verdict != Verdict::kExited;
  while (!parts_.stdio.output_done()) {
    const Nanoseconds before = elapsed();
    if (ended_by_limit && before - start > kLastOutput) return;
    if (wall && before > *wall) return;
    pump_output();
    if (parts_.stdio.output_done() || ending_as_.verdict == Verdict::kOutputLimit) return;
    waiting_.clear();
    parts_.stdio.add_to(waiting_);
    waiting_.push_back({parts_.signals, POLLIN, 0});
    (void)::poll(waiting_.data(), waiting_.size(), 20);
    if (asks_to_end(read_signals(parts_.signals))) return;
  }
}

void EventLoop::end_run(Verdict verdict, std::string reason) {
  if (!ending_) {
    ending_ = true;
    ending_as_.verdict = verdict;
    ending_as_.reason = std::move(reason);
  }
  kill_tree();
}

void EventLoop::fail_internally(const Error& error) {
  // Waiting for a task may have taken what was left of a budget, or have ended with it.
  if (error.kind == Error::Kind::kViolation) look_at_budgets(true);
  if (error.kind == Error::Kind::kViolation) return end_run(Verdict::kViolation, error.message());
  end_run(Verdict::kInternalError, error.message());
}

// The tree was killed as far as it is known. What was born meanwhile stands in its first stop, and
// ends with the supervisor (PTRACE_O_EXITKILL).
void EventLoop::lose_sight(const Error& error) {
  blind_ = true;
  fail_internally(error);
}

// By pid: none of these has been reaped, so each number is still its own.
void EventLoop::kill_tree() {
  for (const pid_t pid : tasks_.processes()) (void)::kill(pid, SIGKILL);
}

std::optional<pid_t> EventLoop::process_of(pid_t tid) const {
  const tracee::Task* task = tasks_.find(tid);
  if (task == nullptr) return std::nullopt;
  return task->tgid;
}

std::string EventLoop::working_directory(pid_t tgid) const {
  return dispatcher_.working_directory(tgid);
}

std::string EventLoop::executable(pid_t tgid) const { return dispatcher_.program(tgid); }

std::optional<std::uint64_t> EventLoop::memory_limit() const {
  return parts_.policy.limits().memory_bytes;
}

Nanoseconds EventLoop::elapsed() const { return monotonic_now() - started_; }

void EventLoop::refused(std::string_view limit) {
  parts_.tally.limit_hit(limit);
  record_limit(limit, false);
}

}  // namespace vitrine::supervisor
