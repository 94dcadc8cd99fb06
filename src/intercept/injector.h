// Injector: makes a stopped task perform calls that the program did not make, to receive
// descriptors and to execute programs that the supervisor opened for it.
//
// A task is taken at the entry of a call that is not performed as the program made it. The first
// injected call replaces it; further ones are entered by stepping back onto the instruction. While
// that happens all signals of the task are blocked, so that none of its handlers runs in between.
// Only native, non-blocking calls are injected: none of them is supervised itself.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/result.h"
#include "core/call.h"
#include "core/effect.h"
#include "intercept/descriptor_channel.h"
#include "tracee/ptrace.h"
#include "tracee/registers.h"

namespace vitrine::intercept {

struct StopTraits {
  // Stops are syscall-enter-stops, not seccomp-stops: filters of the surroundings are still asked
  // about the call that a task leaves with. For no call (-1) they would answer with their default
  // in place of the result (kernel/seccomp.c), so that such a task is made to perform a harmless
  // one.
  bool filters_follow = false;
  // PTRACE_GET_SYSCALL_INFO works here; where the kernel has none, registers have to tell.
  bool syscall_info = true;
};

// The registers of a task that still stands where `call` was seen. kTaskGone where it does not: a
// sibling's execution has given its tid to another program (ptrace(2), "execve(2) under ptrace"),
// whose stop must not be taken for this one.
Result<tracee::Registers> registers_at(const SyscallEvent& call);

// The calls of one stop. Leaves the task stopped; a task that dies is a kTaskGone error.
class InjectedCalls {
 public:
  using Arguments = std::array<std::uint64_t, 6>;

  // The task is in a seccomp-stop or a syscall-enter-stop, whichever call that is of.
  static Result<InjectedCalls> at_entry(pid_t tid, StopTraits traits);
  // The same, of this very call: see registers_at().
  static Result<InjectedCalls> at_entry(const SyscallEvent& call, StopTraits traits);
  // The task is in a syscall-exit-stop; `saved`: the registers that the program shall get back.
  static InjectedCalls at_exit(pid_t tid, const tracee::Registers& saved, StopTraits traits);

  Result<std::int64_t> perform(std::uint64_t number, const Arguments& arguments);
  // The program's registers again, with `result` as what its own call returns.
  Status finish(std::int64_t result);
  // The program's registers, as its call leaves them when a signal ends its wait: the kernel enters
  // it again, or makes EINTR of it, on the way out. The task must be told to stop before.
  Status interrupted();
  // The program's registers, but it enters this call when it is resumed. Behind another call only.
  Status enter_next(std::uint64_t number, const Arguments& arguments);
  const tracee::Registers& saved() const { return saved_; }

 private:
  InjectedCalls(pid_t tid, bool at_entry, StopTraits traits)
      : tid_(tid), at_entry_(at_entry), traits_(traits) {}
  static Result<InjectedCalls> entered(pid_t tid, const Result<tracee::Registers>& registers,
                                       StopTraits traits);
  Status enter(std::uint64_t number, const Arguments& arguments);
  Status block_signals();
  Status restore_signals();

  pid_t tid_;
  bool at_entry_;
  StopTraits traits_;
  tracee::Registers saved_;
  std::optional<std::uint64_t> signal_mask_;
};

class Injector {
 public:
  // `filters_follow`: as StopTraits has it, for every stop that this is used at.
  Injector(DescriptorChannel channel, bool filters_follow)
      : channel_(std::move(channel)), traits_{.filters_follow = filters_follow} {}

  const DescriptorChannel& channel() const { return channel_; }

  // --- the tree, as Interceptor is told of it
  void task_started(pid_t tid, pid_t tgid, pid_t parent);
  void task_ended(pid_t tid);
  void task_executed(pid_t former, pid_t tid);

  // --- at the stop of `call`; a task that is no longer there is a kTaskGone error (registers_at)
  // Answers the call. The task stays stopped.
  Status answer(const SyscallEvent& call, std::int64_t result) const;
  // Ends it as Restart says.
  Status interrupt(const SyscallEvent& call) const;
  // Puts `effect.fd` into the task's table: its number, or -errno, which the program's call
  // returns. The task stays stopped.
  Result<std::int64_t> install(const SyscallEvent& call, const InstallFd& effect);

  // Puts both descriptors of `effect` there: 0 or -errno, likewise.
  Result<std::int64_t> install_pair(const SyscallEvent& call, const InstallPair& effect);
  // Makes the program's mmap(2) map `effect.file`: the address or -errno, likewise.
  Result<std::int64_t> map(const SyscallEvent& call, const MapFile& effect);

  // Starts an execution: the task is left running towards its execveat (PTRACE_SYSCALL). An errno
  // (negative) means that nothing was started and that the program's call returns it.
  Result<std::int64_t> execute(const SyscallEvent& call, const Execute& effect);
  // Every stop of a call is shown to this first. Stops on the way of an execution belong to it:
  // true when this was one, and the task has been resumed.
  Result<bool> on_stop(const tracee::TaskEvent& event);
  // Interceptor::sibling_executes.
  bool sibling_executes(pid_t tgid, pid_t tid) const;
  // The task is to be led from one stop of its calls to the next.
  bool is_led(pid_t tid) const { return executions_.contains(tid) || names_.contains(tid); }
  // The task has executed: its first call is made to wait for one that names it (on_stop).
  void name_task(pid_t tid, const std::string& name) { names_[tid] = name; }

  // Keeps the channel's end open in the program: close_range(2) does not see it. True when the
  // registers were changed and the call is to go on with them. (Calls that name the number itself
  // are the dispatcher's.)
  bool guards_channel(std::uint64_t number, const InjectedCalls::Arguments& arguments,
                      tracee::Registers& registers) const;
  bool has_executed(pid_t tid) const;

 private:
  struct Process {
    std::uint64_t page = 0;  // guest address of a page for messages; 0: none yet
    bool executed = false;   // the command's own code runs
  };
  struct Execution {
    tracee::Registers saved;             // the program's, at its execve
    InjectedCalls::Arguments arguments;  // of our execveat
    bool entered = false;
  };

  Process& process_of(pid_t tid);
  Status learn_traits(pid_t tid);
  Result<std::int64_t> receive(pid_t tid, InjectedCalls& calls, int fd, bool close_on_exec);
  // Address of `bytes` in memory of the task, for as long as its call lasts; or -errno.
  Result<std::int64_t> place(pid_t tid, InjectedCalls& calls, const std::vector<std::byte>& bytes);
  Result<std::int64_t> place_arguments(pid_t tid, InjectedCalls& calls, const Execute& effect);
  Status fail_execution(pid_t tid, std::int64_t result);
  Status set_name(pid_t tid);

  DescriptorChannel channel_;
  StopTraits traits_;
  bool traits_known_ = false;
  std::unordered_map<pid_t, pid_t> tgids_;  // by tid
  std::unordered_map<pid_t, Process> processes_;
  std::unordered_map<pid_t, Execution> executions_;
  std::unordered_map<pid_t, std::string> names_;  // to be set, by tid
  std::uint64_t next_label_ = 1;
};

}  // namespace vitrine::intercept
