// What tasks do: start, execute, get signals, end.
#include <linux/seccomp.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <utility>

#include "supervisor/event_loop.h"
#include "tracee/proc_status.h"
#include "tracee/registers.h"
#include "tracee/usage.h"

namespace vitrine::supervisor {

using tracee::Task;
using tracee::TaskEvent;

namespace {

constexpr std::size_t kEventsAtOnce = 16;

bool makes_a_task(const SyscallEvent& event) {
  const arch::SyscallRow* row = arch::find_syscall(event.number);
  return row != nullptr && (row->name == "clone" || row->name == "fork" || row->name == "vfork");
}

// Stops that a task leaves when it is resumed. Not the last one before its end: a sibling's
// execution waits for that (de_thread, fs/exec.c).
bool goes_on_later(TaskEvent::Kind kind) {
  using Kind = TaskEvent::Kind;
  return kind != Kind::kExited && kind != Kind::kKilled && kind != Kind::kExecStop &&
         kind != Kind::kExitStop;
}

}  // namespace

// A turn of the loop has an end: many tasks can stop faster than their stops are answered, and
// clocks, signals and output wait meanwhile.
void EventLoop::take_task_events() {
  events_left_ = false;
  if (!making_room_) take_postponed();
  for (std::size_t i = 0;; ++i) {
    if (i == kEventsAtOnce) {
      events_left_ = true;
      return;
    }
    Result<std::optional<TaskEvent>> event = events_.next(tasks_.thread_count());
    if (!event && event.error().code == ECHILD) {
      // Nothing is left to wait for, whatever the table says.
      for (const pid_t pid : tasks_.processes()) {
        for (const pid_t tid : tasks_.threads(pid)) tasks_.remove(tid);
      }
      return;
    }
    if (!event) return lose_sight(event.error());
    if (!*event) break;
    on_event(**event);
  }
  // An execution may have failed just now.
  if (!making_room_) take_postponed();
}

void EventLoop::on_event(const TaskEvent& event) {
  using Kind = TaskEvent::Kind;
  stopped_.erase(event.tid);
  if (event.kind == Kind::kCloneStop) {
    if (Task* parent = tasks_.find(event.tid)) parent->clone_pending = false;
    on_new_task(static_cast<pid_t>(event.value));
  }
  if (goes_on_later(event.kind) && sibling_executes(event.tid)) return postpone(event.tid, event);
  switch (event.kind) {
    case Kind::kExited:
    case Kind::kKilled:
      return on_end(event);
    case Kind::kInterruptStop:
      return on_first_stop(event.tid);
    case Kind::kExecStop:
      return on_exec(event.tid, static_cast<pid_t>(event.value));
    case Kind::kSignalStop:
      return on_signal_stop(event.tid, static_cast<int>(event.value));
    case Kind::kExitStop:
      return on_exit_stop(event.tid);
    case Kind::kGroupStop:
      return on_group_stop(event.tid);
    case Kind::kSeccompStop:
    case Kind::kSyscallStop:
      return on_call_stop(event);
    case Kind::kCloneStop:
    case Kind::kOtherStop:
      return resume(event.tid);
  }
}

void EventLoop::on_call_stop(const TaskEvent& event) {
  Result<std::optional<intercept::Stop>> stop = parts_.interceptor.on_stop(event);
  if (!stop && stop.error().kind == Error::Kind::kTaskGone) return;  // its end is reported next
  if (!stop) return fail_internally(stop.error());
  if (!*stop) {
    // Without a filter each call stops twice, whether it has to be decided or not.
    if (!parts_.interceptor.capabilities().uses_filter)
      parts_.placement.note_call(event.tid, elapsed());
    return;
  }
  if (making_room_ && makes_a_task((*stop)->event())) return postpone(event.tid, std::move(**stop));
  take_call(std::move(**stop));
}

void EventLoop::postpone(pid_t tid, std::variant<TaskEvent, intercept::Stop> what) {
  postponed_.push_back({tid, tasks_.image_of(tid), std::move(what)});
}

// An execution kills its siblings where they stand, and takes the leader's tid without a word of
// the leader's end: what is done to a stop of the leader then is done to the new program, in
// whatever stop it has come to.
bool EventLoop::sibling_executes(pid_t tid) const {
  const Task* task = tasks_.find(tid);
  return task != nullptr && parts_.interceptor.sibling_executes(task->tgid, tid);
}

void EventLoop::take_postponed() {
  for (Postponed& each : std::exchange(postponed_, {})) {
    // One that was killed in its stop has ended; its number may be another's by now.
    if (tasks_.image_of(each.tid) != each.image) continue;
    if (auto* stop = std::get_if<intercept::Stop>(&each.what))
      take_call(std::move(*stop));
    else
      on_event(std::get<TaskEvent>(each.what));
  }
}

void EventLoop::resume(pid_t tid, int signal) {
  // kTaskGone: killed in its stop. Anything else would leave a task stopped for ever.
  if (Status resumed = parts_.interceptor.resume(tid, signal);
      !resumed && resumed.error().kind != Error::Kind::kTaskGone) {
    fail_internally(resumed.error());
  }
}

// Either the parent's event or the task's own first stop comes first; both lead here.
void EventLoop::on_new_task(pid_t tid) {
  if (tid <= 0 || tasks_.find(tid) != nullptr) return;
  Result<Task*> added = tasks_.add_new(tid);
  if (!added) return;  // killed before it ever ran
  const Task& task = **added;
  dispatcher_.task_started(task);
  inherit_limits(task);
  parts_.interceptor.task_started(tid, task.tgid, task.parent);
  parts_.placement.task_started(tid);
  audit::ProcessRecord record;
  record.time = elapsed();
  record.pid = task.process_number;
  record.tid = task.number;
  record.event = task.tid == task.tgid ? audit::ProcessRecord::Event::kStart
                                       : audit::ProcessRecord::Event::kThread;
  record.host_pid = tid;
  parts_.audit.write(record);
}

void EventLoop::on_first_stop(pid_t tid) {
  on_new_task(tid);
  if (ending_) {
    kill_tree();
    return;
  }
  apply_rlimits();
  resume(tid);
}

// Re-read from outside before the first instruction of the command: a step of the start-up that
// silently did nothing is found here (threat model: filter and start-up).
Status EventLoop::verify_from_outside(pid_t pid) const {
  Result<tracee::ProcStatus> child = tracee::read_proc_status(pid);
  if (!child) return tl::make_unexpected(child.error());
  if (child->no_new_privs == 0) return fail(EPERM, "no_new_privs is not set");
  if (child->capabilities != 0) return fail(EPERM, "capabilities are left");
  if (!parts_.interceptor.capabilities().uses_filter) return {};
  if (child->seccomp_mode != SECCOMP_MODE_FILTER) return fail(EPERM, "no filter is in place");
  Result<tracee::ProcStatus> own = tracee::read_proc_status(::getpid());
  if (!own) return tl::make_unexpected(own.error());
  if (child->seccomp_filters >= 0 && child->seccomp_filters <= own->seccomp_filters) {
    return fail(EPERM, "the filter is not in place");
  }
  return {};
}

void EventLoop::on_exec(pid_t tid, pid_t former) {
  if (former == 0) return;  // killed in this stop: its end is reported next
  tasks_.collapse_to_leader(tid, former);
  // First: of a leader that was in a call it tells what that was.
  parts_.interceptor.task_executed(former, tid);
  dispatcher_.task_renamed(former, *tasks_.find(tid));
  parts_.placement.task_executed(former, tid);
  if (!command_runs_) {
    if (Status verified = verify_from_outside(tid); !verified) {
      return end_run(Verdict::kSetupError, verified.error().message());
    }
    if (parts_.measure_data) (void)tracee::report_exits(tid);
    command_runs_ = true;
    launched_.failures.reset();
    launched_.reports.reset();
    started_ = monotonic_now();
    parts_.stdio.close_guest_ends();
    look_at_budgets(true);
  }
  const Result<std::string> name = dispatcher_.confirm_program(former, tid);
  if (!name) {
    const Result<tracee::Registers> registers = tracee::Registers::of(tid);
    const bool gone = !registers && registers.error().kind == Error::Kind::kTaskGone;
    if (gone || ending_) return;
    return end_run(Verdict::kViolation, name.error().message());
  }
  const Task* task = tasks_.find(tid);
  audit::ProcessRecord record;
  record.time = elapsed();
  record.pid = task->process_number;
  record.tid = task->number;
  record.event = audit::ProcessRecord::Event::kExec;
  record.host_pid = tid;
  record.program = dispatcher_.program(tid);
  record.argv = tracee::command_line(tid);
  parts_.audit.write(record);
  name_task(tid, *name);
  resume(tid);
}

// Naming costs three stops: only where the kernel, which was given a descriptor to execute, chose
// another name than it would have by the path.
void EventLoop::name_task(pid_t tid, const std::string& name) {
  constexpr std::size_t kLongest = 15;  // TASK_COMM_LEN, with its end
  if (name.empty() || parts_.policy.call_rule("prctl") != nullptr) return;
  if (tracee::task_name(tid) == name.substr(0, kLongest)) return;
  parts_.interceptor.name_task(tid, name);
}

// RLIMIT_FSIZE is how the kernel itself enforces the scratch quota while data is written natively.
// It says so with EFBIG and a signal; what a full filesystem says is ENOSPC. The signal is sent
// from within the write, so the task stops right behind it and its result can still be replaced: by
// another attempt where there is more room by now.
bool EventLoop::turned_into_no_space(pid_t tid) {
  const Task* task = tasks_.find(tid);
  if (task == nullptr || is_own_file_limit(task->tgid)) return false;
  Result<tracee::Registers> registers = tracee::Registers::of(tid);
  if (!registers || registers->result() != -EFBIG) return false;
  // Not behind a call: somebody sent the signal, and the register is the program's own.
  if (static_cast<std::int64_t>(registers->syscall_number()) < 0) return false;
  const bool again = raise_file_limit(task->tgid);
  registers->set_result(again ? kRestartNoInterrupt : -ENOSPC);
  if (Status set = registers->apply_to(tid); !set) return false;
  parts_.interceptor.result_settled(tid, again ? std::nullopt : std::optional(-ENOSPC));
  if (!again) refused("scratch");
  return true;
}

void EventLoop::on_signal_stop(pid_t tid, int signal) {
  if (signal == SIGXFSZ && turned_into_no_space(tid)) return resume(tid);
  if (signal == SIGXFSZ) parts_.interceptor.result_settled(tid, -EFBIG);
  const Task* task = tasks_.find(tid);
  audit::SignalRecord record;
  record.time = elapsed();
  record.pid = task == nullptr ? 0 : task->process_number;
  record.tid = task == nullptr ? 0 : task->number;
  record.signal = signal;
  parts_.audit.write(record);
  const bool stops_us = task != nullptr && is_for_the_shell(*task, signal);
  const Result<siginfo_t> info = stops_us ? tracee::signal_info(tid) : Result<siginfo_t>{};
  const bool by_key = stops_us && info && info->si_code == SI_KERNEL;
  if (stops_us) stopped_by_ = task->tgid;
  // SIGTSTP alone would not stop it (see is_for_the_shell), and it would run on until that has come
  // to it.
  resume(tid, stops_us ? SIGSTOP : signal);
  // A key stops all of the job, and this process with it. What the program sends to itself stops
  // nobody else.
  if (stops_us) (void)::kill(by_key ? 0 : ::getpid(), SIGTSTP);
}

void EventLoop::on_group_stop(pid_t tid) {
  (void)tracee::listen(tid);  // gone: its end is reported next
  stopped_.insert(tid);
  const Task* task = tasks_.find(tid);
  if (task == nullptr || !dispatcher_.has_waiting()) return;
  if (Status done = dispatcher_.restart_waiting(task->tgid); !done) fail_internally(done.error());
}

// What is mapped now, and what was mapped at the most crowded moment: of that, all may have been
// private.
void EventLoop::on_exit_stop(pid_t tid) {
  constexpr std::uint64_t kThreadStack = 8ULL << 20;  // budget.cc leaves room for these by itself
  const Result<tracee::ProcStatus> status = tracee::read_proc_status(tid);
  if (status) {
    const std::uint64_t unmapped =
        status->mapped_peak - std::min(status->mapped, status->mapped_peak);
    const std::uint64_t stacks =
        kThreadStack * (std::max<std::uint64_t>(tasks_.threads_of(status->tgid), 1) - 1);
    const std::uint64_t held = status->data + unmapped;
    std::uint64_t& peak = ending_as_.usage.data_peak_bytes;
    peak = std::max(peak, held - std::min(stacks, held));
  }
  resume(tid);
}

void EventLoop::on_end(const TaskEvent& event) {
  Task* task = tasks_.find(event.tid);
  if (task == nullptr) return;
  const bool process = task->tid == task->tgid;
  if (process) meter_.process_ended(task->tgid, task->parent, event.usage);
  audit::ProcessRecord record;
  record.time = elapsed();
  record.pid = task->process_number;
  record.tid = task->number;
  record.event = audit::ProcessRecord::Event::kExit;
  if (event.kind == TaskEvent::Kind::kExited) record.exit_code = static_cast<int>(event.value);
  if (event.kind == TaskEvent::Kind::kKilled) record.signal = static_cast<int>(event.value);
  // Both may write the call that the task ended in.
  parts_.interceptor.task_ended(event.tid);
  dispatcher_.task_ended(*task);
  parts_.audit.write(record);
  if (process) own_limits_.erase(task->tgid);
  parts_.placement.task_ended(event.tid);
  tasks_.remove(event.tid);
  if (event.tid == launched_.pid) on_first_process_end(event);
}

void EventLoop::on_first_process_end(const TaskEvent& event) {
  if (event.kind == TaskEvent::Kind::kExited) {
    ending_as_.exit_code = static_cast<int>(event.value);
  } else {
    ending_as_.signal = static_cast<int>(event.value);
  }
  if (!ending_) {
    ending_ = true;
    ending_as_.verdict = ending_as_.signal ? Verdict::kSignaled : Verdict::kExited;
    if (!command_runs_) {
      ending_as_.verdict = Verdict::kSetupError;
      ending_as_.launch_failure = read_failure(launched_.failures.get());
      ending_as_.reason = "the command could not be started";
    }
  }
  kill_tree();  // orphans end with the command
}

bool EventLoop::another_may_end_now(pid_t caller) const {
  return std::ranges::any_of(tasks_.processes(), [&](pid_t pid) {
    return std::ranges::any_of(
        tasks_.threads(pid), [&](pid_t tid) { return tid != caller && tracee::may_end_now(tid); });
  });
}

// What others do meanwhile is seen to as ever, on their way to their ends, but for what would make
// room in its turn, and so without end.
void EventLoop::take_ends() {
  making_room_ = true;
  take_task_events();
  making_room_ = false;
  if (!postponed_.empty()) events_left_ = true;
}

// Threads that were joined may still be on the way out when the next one is created: their ends are
// taken in first, and at the limit they are waited for. Who is refused all the same is not waited
// for again at once: clocks go on.
bool EventLoop::make_room_for_clone(const SyscallEvent& event) {
  if (!makes_a_task(event)) return false;
  take_ends();
  constexpr timespec kMoment{0, 200'000};
  constexpr int kMostMoments = 100;
  constexpr Nanoseconds kPause = std::chrono::milliseconds(200);
  const auto is_full = [this] { return tasks_.thread_count() >= limits().threads; };
  if (elapsed() < next_wait_for_room_) return true;
  for (int i = 0; i < kMostMoments && is_full() && another_may_end_now(event.tid); ++i) {
    ::nanosleep(&kMoment, nullptr);
    take_ends();
  }
  if (is_full()) next_wait_for_room_ = elapsed() + kPause;
  return true;
}

}  // namespace vitrine::supervisor
