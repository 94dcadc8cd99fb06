// The backends `trace` (a seccomp filter whose RET_TRACE brings supervised calls as ptrace stops)
// and `syscall` (ptrace alone: every call stops at its entry, and again at its exit).
//
// An answer is given by changing registers at the stop: a skipped call returns what the supervisor
// computed. A descriptor is installed by performing recvmsg(2) on the descriptor channel instead of
// the program's call. The message's header lies in a page of the program's memory that a sibling
// thread can write to: it can only spoil its own receipt.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>

#include "intercept/injector.h"
#include "intercept/interceptor.h"

namespace vitrine::intercept {

class PtraceBackend final : public Interceptor {
 public:
  enum class Mode { kTrace, kSyscall };
  // `restricted`: native calls that the profile restricts (mode kSyscall decides natively itself).
  PtraceBackend(Mode mode, DescriptorChannel channel,
                std::function<bool(const arch::SyscallRow&)> restricted)
      : mode_(mode),
        injector_(std::move(channel), mode == Mode::kSyscall),
        restricted_(std::move(restricted)) {}

  const Capabilities& capabilities() const override;
  int pollable_fd() const override { return -1; }
  Result<std::optional<Stop>> next() override { return std::nullopt; }
  Result<std::optional<Stop>> on_stop(const tracee::TaskEvent& event) override;
  Result<Outcome> apply(Stop stop, Effect effect) override;
  Status resume(pid_t tid, int signal) override;
  void task_started(pid_t tid, pid_t tgid, pid_t parent) override {
    injector_.task_started(tid, tgid, parent);
  }
  void task_ended(pid_t tid) override;
  void observe(const Observer& observer) override { observer_ = observer; }
  void result_settled(pid_t tid, std::optional<std::int64_t> result) override;
  void task_executed(pid_t former, pid_t tid) override;
  bool sibling_executes(pid_t tgid, pid_t tid) const override {
    return injector_.sibling_executes(tgid, tid);
  }
  void name_task(pid_t tid, const std::string& name) override { injector_.name_task(tid, name); }

 private:
  Result<std::optional<Stop>> resumed(pid_t tid);
  Result<SyscallEvent> event_of(const tracee::TaskEvent& event,
                                const tracee::Registers& registers) const;
  bool is_native(const SyscallEvent& event) const;
  Result<std::optional<Stop>> on_entry(const tracee::TaskEvent& event);
  bool goes_on(pid_t tid, const __ptrace_syscall_info& info);
  void note_entry(const SyscallEvent& event);
  void note_exit(pid_t tid, std::int64_t result);
  void write_held(pid_t tid);
  void write_unfinished(pid_t tid);

  Mode mode_;
  Injector injector_;
  std::function<bool(const arch::SyscallRow&)> restricted_;
  struct Entered {
    SyscallEvent event;
    std::string leading_bytes;
    std::optional<std::int64_t> held;  // its result, which may not stay
  };
  Observer observer_;
  std::unordered_map<pid_t, Entered> entered_;  // calls in the kernel, while they are observed
};

// Answers `call`, whose task waits in a seccomp-stop or a syscall-enter-stop. `resume` lets it go
// on. A task that does not stand there any more is neither changed nor resumed (registers_at).
Result<Outcome> apply_at_stop(Injector& injector, const SyscallEvent& call, Effect effect,
                              const std::function<Status()>& resume);

}  // namespace vitrine::intercept
