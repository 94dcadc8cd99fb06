// The backends `trace` (a seccomp filter whose RET_TRACE brings supervised calls as ptrace stops) and
// `syscall` (ptrace alone: every call stops at its entry, and again at its exit).
//
// An answer is given by changing registers at the stop: a skipped call returns what the supervisor
// computed. A descriptor is installed by performing recvmsg(2) on the descriptor channel instead of
// the program's call. The message's header lies in a page of the program's memory that a sibling
// thread can write to: it can only spoil its own receipt.
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>

#include "intercept/descriptor_channel.h"
#include "intercept/interceptor.h"
#include "tracee/registers.h"

namespace vitrine::intercept {

class PtraceBackend final : public Interceptor {
 public:
  enum class Mode { kTrace, kSyscall };
  // `restricted`: native calls that the profile restricts (mode kSyscall decides natively itself).
  PtraceBackend(Mode mode, DescriptorChannel channel,
                std::function<bool(const arch::SyscallRow&)> restricted);

  const Capabilities& capabilities() const override;
  int pollable_fd() const override { return -1; }
  Result<std::optional<Stop>> next() override { return std::nullopt; }
  Result<std::optional<Stop>> on_stop(const tracee::TaskEvent& event) override;
  Result<Outcome> apply(Stop stop, Effect effect) override;
  Status resume(pid_t tid, int signal) override;
  void task_started(pid_t tid, pid_t tgid, pid_t parent) override;
  void task_ended(pid_t tid) override;
  void task_executed(pid_t tid, pid_t tgid) override;

 private:
  struct TaskState {
    pid_t tgid = 0;
    // A page is being mapped instead of the program's call, which is entered again afterwards.
    bool mapping_page = false;
    tracee::Registers saved;
  };
  struct ProcessState {
    std::uint64_t page = 0;       // guest address; 0: none yet
    bool page_failed = false;
    bool executed = false;        // the command's own code runs
  };

  Result<SyscallEvent> event_of(const tracee::TaskEvent& event,
                                const tracee::Registers& registers) const;
  bool is_native(const SyscallEvent& event) const;
  bool guards_channel(const SyscallEvent& event, tracee::Registers& registers);
  Result<std::optional<Stop>> on_entry(const tracee::TaskEvent& event);
  Status on_exit(pid_t tid);
  Status start_mapping_page(TaskState& task, pid_t tid, tracee::Registers registers);
  Result<Outcome> finish(pid_t tid, std::int64_t value);
  Result<Outcome> install(pid_t tid, const InstallFd& effect);
  Result<std::int64_t> receive(pid_t tid, ProcessState& process, bool close_on_exec,
                               std::uint64_t label);

  Mode mode_;
  DescriptorChannel channel_;
  std::function<bool(const arch::SyscallRow&)> restricted_;
  std::unordered_map<pid_t, TaskState> tasks_;
  std::unordered_map<pid_t, ProcessState> processes_;
  std::uint64_t next_label_ = 1;
};

}  // namespace vitrine::intercept
