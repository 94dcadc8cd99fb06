// Job control: the command and the supervisor are stopped and continued as one job.
#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "supervisor/event_loop.h"
#include "tracee/proc_status.h"
#include "tracee/ptrace.h"
#include "tracee/usage.h"

namespace vitrine::supervisor {
namespace {

// Whether somebody in our session, outside our process group, would see us stopped: a shell.
bool has_job_control() {
  const pid_t group = ::getpgrp();
  pid_t parent = ::getppid();
  while (parent > 0 && ::getpgid(parent) == group) {
    const Result<tracee::ProcStatus> status = tracee::read_proc_status(parent);
    if (!status) return false;
    parent = status->ppid;
  }
  return parent > 0 && ::getsid(parent) == ::getsid(0);
}

}  // namespace

// A stop goes on by stages: the signal reaches one thread of a process, and when that is let go on
// with it, the others. So the supervisor stops only when it has seen them all stand: what ran
// beside a stopped supervisor would have no budgets.
void EventLoop::begin_suspending() {
  if (!suspending_since_) suspending_since_ = elapsed();
  suspend_when_all_stand();
}

// Sends the signal to every process that has a thread on its way; new ones have not had it, and a
// SIGCONT of the program's own takes it back.
bool EventLoop::all_stand(bool uninterruptible_too) const {
  bool all = true;
  for (const pid_t pid : tasks_.processes()) {
    const auto threads = tasks_.threads(pid);
    const bool runs = std::ranges::any_of(
        threads, [&](pid_t tid) { return tracee::may_run(tid, !uninterruptible_too); });
    if (runs) (void)::kill(pid, SIGSTOP);
    all = all && !runs;
  }
  return all;
}

// The command is stopped with the supervisor, and fg continues both. A program that does not let
// itself be stopped goes on, and its budgets are looked at.
void EventLoop::suspend_when_all_stand() {
  constexpr Nanoseconds kLongest = std::chrono::seconds(1);
  // A task that sleeps so is a parent in vfork(2), whose child stands: its signal waits for it.
  constexpr Nanoseconds kShortSleep = std::chrono::milliseconds(200);
  const Nanoseconds waited = elapsed() - *suspending_since_;
  const bool stand = all_stand(waited > kShortSleep);
  if (!stand && waited < kLongest) return;
  if (stand) stop_with_the_command();
  continue_the_command();
}

void EventLoop::continue_the_command() {
  suspending_since_.reset();
  for (const pid_t pid : tasks_.processes()) (void)::kill(pid, SIGCONT);
  continued_at_ = elapsed();
}

void EventLoop::stop_with_the_command() {
  // What was written before the stop is seen before the shell's word of it.
  for (std::uint64_t before = output_ + 1; before != output_;) {
    before = output_;
    pump_output();
  }
  if (ending_) return;
  parts_.stdio.restore_terminal();
  (void)::raise(SIGSTOP);
  parts_.stdio.follow_foreground();
}

// A stop of the command (Ctrl-Z) that the caller's shell would see, natively. Here the command has
// a session of its own, in which nobody could continue it, so that the kernel does not even stop it
// (an orphaned process group): the supervisor has to stop in its place. What the command starts in
// groups of their own is stopped and continued inside.
bool EventLoop::is_for_the_shell(const tracee::Task& task, int signal) const {
  constexpr Nanoseconds kSameKey = std::chrono::milliseconds(100);
  if (signal != SIGTSTP && signal != SIGSTOP) return false;
  if (!parts_.stdio.has_foreground() || !has_job_control()) return false;
  // The whole group gets the key's signal, each process once: one stop is enough.
  const bool just_continued = continued_at_ && elapsed() - *continued_at_ < kSameKey;
  if (just_continued && task.tgid != stopped_by_) return false;
  if (signal == SIGSTOP) {
    const Result<siginfo_t> info = tracee::signal_info(task.tid);
    return task.tgid == launched_.pid && info && tasks_.find(info->si_pid) != nullptr;
  }
  const Result<tracee::ProcStatus> status = tracee::read_proc_status(task.tid);
  if (!status || ::getpgid(task.tgid) != launched_.pid) return false;
  constexpr std::uint64_t kBit = std::uint64_t{1} << (SIGTSTP - 1);
  return ((status->caught_signals | status->ignored_signals) & kBit) == 0;
}

}  // namespace vitrine::supervisor
