#include "intercept/ptrace_backend.h"

#include <linux/audit.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>

#include "intercept/filter.h"
#include "intercept/native_rules.h"
#include "tracee/remote_memory.h"

namespace vitrine::intercept {
namespace {

constexpr Capabilities kTraceCapabilities{.name = "trace", .uses_filter = true};
constexpr Capabilities kSyscallCapabilities{.name = "syscall", .sees_results = true};

// Nobody waits for this answer: the task has ended, or enters its call again.
constexpr Outcome kGone{.result = 0, .known = false, .delivered = false};

// The beginning of a buffer of the program; "" where it cannot be read.
std::string leading_bytes(pid_t tid, std::uint64_t address, std::uint64_t length) {
  constexpr std::uint64_t kShown = 32;
  std::string bytes(std::min(length, kShown), '\0');
  const tracee::RemoteMemory memory(tid);
  if (!memory.read(address, std::as_writable_bytes(std::span(bytes)))) bytes.clear();
  return bytes;
}

// An error of a task that was killed meanwhile is its end, which is reported by itself.
Result<Outcome> unless_gone(const Error& error) {
  if (error.kind == Error::Kind::kTaskGone) return kGone;
  return tl::make_unexpected(error);
}

Result<Outcome> finish(const Injector& injector, const SyscallEvent& call, std::int64_t value,
                       const std::function<Status()>& resume) {
  // A failed write of registers leaves the call as the program made it: it must never run, so the
  // task is not resumed and the error ends the run.
  if (Status finished = injector.answer(call, value); !finished)
    return unless_gone(finished.error());
  if (Status resumed = resume(); !resumed) return unless_gone(resumed.error());
  return Outcome{.result = result_for_task(value)};
}

Result<Outcome> execute(Injector& injector, const SyscallEvent& call, const Execute& execution,
                        const std::function<Status()>& resume) {
  Result<std::int64_t> started = injector.execute(call, execution);
  if (!started) return unless_gone(started.error());
  if (*started == 0) return Outcome{.result = 0, .known = false};
  if (Status resumed = resume(); !resumed) return unless_gone(resumed.error());
  return Outcome{.result = *started};
}

}  // namespace

Result<Outcome> apply_at_stop(Injector& injector, const SyscallEvent& call, Effect effect,
                              const std::function<Status()>& resume) {
  if (std::holds_alternative<Continue>(effect)) {
    if (auto there = registers_at(call); !there) return unless_gone(there.error());
    if (Status resumed = resume(); !resumed) return unless_gone(resumed.error());
    return Outcome{.result = 0, .known = false};
  }
  if (const auto* value = std::get_if<Return>(&effect))
    return finish(injector, call, value->value, resume);
  if (const auto* failure = std::get_if<FailWith>(&effect)) {
    return finish(injector, call, -failure->error, resume);
  }
  const auto injected = [&](Result<std::int64_t> result) -> Result<Outcome> {
    if (!result) return unless_gone(result.error());
    if (Status resumed = resume(); !resumed) return unless_gone(resumed.error());
    return Outcome{.result = *result};
  };
  if (std::holds_alternative<Restart>(effect)) {
    Status done = injector.interrupt(call);
    if (done) done = resume();
    if (!done) return unless_gone(done.error());
    return kGone;
  }
  if (const auto* descriptor = std::get_if<InstallFd>(&effect))
    return injected(injector.install(call, *descriptor));
  if (const auto* pair = std::get_if<InstallPair>(&effect))
    return injected(injector.install_pair(call, *pair));
  if (const auto* mapping = std::get_if<MapFile>(&effect))
    return injected(injector.map(call, *mapping));
  if (const auto* execution = std::get_if<Execute>(&effect))
    return execute(injector, call, *execution, resume);
  return Outcome{.result = 0, .known = false};  // Kill: it stays stopped until it is killed
}

const Capabilities& PtraceBackend::capabilities() const {
  return mode_ == Mode::kTrace ? kTraceCapabilities : kSyscallCapabilities;
}

Status PtraceBackend::resume(pid_t tid, int signal) {
  const bool to_syscall = mode_ == Mode::kSyscall || injector_.is_led(tid);
  return to_syscall ? tracee::resume_to_syscall(tid, signal) : tracee::resume(tid, signal);
}

Result<std::optional<Stop>> PtraceBackend::resumed(pid_t tid) {
  if (Status done = resume(tid, 0); !done) return tl::make_unexpected(done.error());
  return std::nullopt;
}

// In mode kTrace the filter says which ABI was used (its RET_DATA). Otherwise the kernel does:
// neither CS nor the number tells a 32-bit call of a 64-bit program (threat model, row 5).
Result<SyscallEvent> PtraceBackend::event_of(const tracee::TaskEvent& event,
                                             const tracee::Registers& registers) const {
  SyscallEvent call;
  call.tid = event.tid;
  call.number = registers.syscall_number() & 0xffffffff;
  call.arguments = registers.arguments();
  call.instruction_pointer = registers.instruction_pointer();
  call.audit_arch = arch::kNativeAuditArch;
  const bool told = mode_ == Mode::kTrace;
  if (told && event.value != kForeignAbiData) return call;
  if (told) call.audit_arch = AUDIT_ARCH_I386;
  // Of negative numbers, which are merely unknown to the kernel, the filter says the same.
  if (told && call.number <= INT32_MAX) return call;
  Result<__ptrace_syscall_info> info = tracee::syscall_info(event.tid);
  const bool unknown = told && !info && info.error().kind != Error::Kind::kTaskGone;
  if (unknown) return call;  // before Linux 5.3
  if (!info) return tl::make_unexpected(info.error());
  call.audit_arch = info->arch;
  return call;
}

bool PtraceBackend::is_native(const SyscallEvent& event) const {
  const arch::SyscallRow* row = arch::find_syscall(event.number);
  if (row == nullptr || restricted_(*row)) return false;
  if (names_descriptor(*row, event.arguments, injector_.channel().number())) return false;
  if (row->disposition == arch::kNative) return true;
  return row->disposition == arch::kConditional && allowed_natively(row->name, event.arguments);
}

Result<std::optional<Stop>> PtraceBackend::on_entry(const tracee::TaskEvent& event) {
  Result<tracee::Registers> registers = tracee::Registers::of(event.tid);
  if (!registers) return tl::make_unexpected(registers.error());
  Result<SyscallEvent> call = event_of(event, *registers);
  if (!call) return tl::make_unexpected(call.error());
  if (call->audit_arch != arch::kNativeAuditArch) return Stop(*call, 0);
  const arch::SyscallRow* row = arch::find_syscall(call->number);
  const bool refused_by_policy = row != nullptr && restricted_(*row);
  if (!refused_by_policy && injector_.has_executed(event.tid) &&
      injector_.guards_channel(call->number, call->arguments, *registers)) {
    // A call that is left out gets its result; others go on as they were changed.
    const Status changed = registers->skips_syscall() ? injector_.answer(*call, registers->result())
                                                      : registers->apply_to(event.tid);
    if (!changed) return tl::make_unexpected(changed.error());
    return resumed(event.tid);
  }
  if (mode_ == Mode::kSyscall && is_native(*call)) {
    note_entry(*call);
    return resumed(event.tid);
  }
  return Stop(*call, 0);
}

// Most calls: what the kernel says of them suffices, and their registers need not be fetched. Not
// for close_range(2), which on_entry() may have to change.
bool PtraceBackend::goes_on(pid_t tid, const __ptrace_syscall_info& info) {
  SyscallEvent call;
  call.tid = tid;
  call.audit_arch = info.arch;
  call.number = info.entry.nr & 0xffffffff;
  std::copy(std::begin(info.entry.args), std::end(info.entry.args), call.arguments.begin());
  call.instruction_pointer = info.instruction_pointer;
  const bool simple = call.audit_arch == arch::kNativeAuditArch && call.number != SYS_close_range;
  if (!simple || !is_native(call)) return false;
  note_entry(call);
  return true;
}

// Data for the kernel is read before the call, data from it behind the call.
void PtraceBackend::note_entry(const SyscallEvent& event) {
  if (!observer_) return;
  Entered& entered = entered_[event.tid];
  entered = {event, {}, {}};
  const arch::SyscallRow* row = arch::find_syscall(event.number);
  if (row != nullptr && row->arguments[1].kind == arch::kInBuffer) {
    entered.leading_bytes = leading_bytes(event.tid, event.arguments[1], event.arguments[2]);
  }
}

void PtraceBackend::note_exit(pid_t tid, std::int64_t result) {
  const auto entered = entered_.find(tid);
  if (entered == entered_.end()) return;
  if (result == -EFBIG && !entered->second.held) {
    entered->second.held = result;
    return;
  }
  const Entered call = std::move(entered->second);
  entered_.erase(entered);
  const arch::SyscallRow* row = arch::find_syscall(call.event.number);
  std::string bytes = call.leading_bytes;
  for (std::size_t i = 0; row != nullptr && result > 0 && i < 2; ++i) {
    if (row->arguments[i].kind != arch::kOutBuffer) continue;
    bytes = leading_bytes(tid, call.event.arguments[i], static_cast<std::uint64_t>(result));
  }
  observer_(call.event, bytes, result);
}

void PtraceBackend::write_held(pid_t tid) {
  const auto entered = entered_.find(tid);
  if (entered != entered_.end() && entered->second.held) note_exit(tid, *entered->second.held);
}

// The call that the task ended in; of a leader whose thread executed, nothing else tells its end.
void PtraceBackend::write_unfinished(pid_t tid) {
  write_held(tid);
  const auto entered = entered_.find(tid);
  if (entered == entered_.end()) return;
  observer_(entered->second.event, entered->second.leading_bytes, std::nullopt);
  entered_.erase(entered);
}

void PtraceBackend::result_settled(pid_t tid, std::optional<std::int64_t> result) {
  const auto entered = entered_.find(tid);
  if (entered == entered_.end() || !entered->second.held) return;
  if (!result) {
    entered_.erase(entered);
  } else {
    note_exit(tid, *result);
  }
}

void PtraceBackend::task_executed(pid_t former, pid_t tid) {
  if (!injector_.has_executed(former)) entered_.erase(former);  // the launcher's own call
  injector_.task_executed(former, tid);
  if (former == tid) return;
  write_unfinished(tid);
  if (auto call = entered_.extract(former)) {
    call.key() = tid;
    call.mapped().event.tid = tid;
    entered_.insert(std::move(call));
  }
}

void PtraceBackend::task_ended(pid_t tid) {
  injector_.task_ended(tid);
  write_unfinished(tid);
}

Result<std::optional<Stop>> PtraceBackend::on_stop(const tracee::TaskEvent& event) {
  using Kind = tracee::TaskEvent::Kind;
  Result<bool> of_execution = injector_.on_stop(event);
  if (!of_execution) return tl::make_unexpected(of_execution.error());
  if (*of_execution) return std::nullopt;
  if (event.kind == Kind::kSeccompStop) {
    if (mode_ == Mode::kTrace) return on_entry(event);
    return fail(EIO, "a seccomp stop without a filter");
  }
  if (mode_ == Mode::kTrace) return resumed(event.tid);  // an exit, on the way of an execution
  Result<__ptrace_syscall_info> info = tracee::syscall_info(event.tid);
  if (!info) return tl::make_unexpected(info.error());
  if (info->op == PTRACE_SYSCALL_INFO_ENTRY) {
    write_held(event.tid);
    return goes_on(event.tid, *info) ? resumed(event.tid) : on_entry(event);
  }
  if (observer_) note_exit(event.tid, info->exit.rval);
  return resumed(event.tid);
}

Result<Outcome> PtraceBackend::apply(Stop stop, Effect effect) {
  const pid_t tid = stop.event().tid;
  const bool performed =
      std::holds_alternative<Continue>(effect) || std::holds_alternative<Execute>(effect);
  if (performed) note_entry(stop.event());
  return apply_at_stop(injector_, stop.event(), std::move(effect),
                       [this, tid] { return resume(tid, 0); });
}

}  // namespace vitrine::intercept
