#include "intercept/ptrace_backend.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>

#include "intercept/filter.h"
#include "intercept/native_rules.h"
#include "tracee/remote_memory.h"

namespace vitrine::intercept {
namespace {

constexpr Capabilities kTraceCapabilities{.name = "trace", .uses_filter = true};
constexpr Capabilities kSyscallCapabilities{.name = "syscall", .sees_results = true};

constexpr Outcome kGone{.result = 0, .known = false, .delivered = false};
constexpr std::size_t kPage = 4096;

bool is_restart_code(std::int64_t value) { return value <= -512 && value >= -516; }

// The receiver's side of one message, as it lies in the program's page (recvmsg(2)).
struct Receipt {
  msghdr header{};
  iovec data{};
  std::uint64_t label = 0;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
};

std::uint64_t at(std::uint64_t page, std::size_t offset) { return page + offset; }

Receipt blank_receipt(std::uint64_t page) {
  Receipt receipt;
  receipt.header.msg_iov = reinterpret_cast<iovec*>(at(page, offsetof(Receipt, data)));
  receipt.header.msg_iovlen = 1;
  receipt.header.msg_control = reinterpret_cast<void*>(at(page, offsetof(Receipt, control)));
  receipt.header.msg_controllen = sizeof receipt.control;
  receipt.data = {reinterpret_cast<void*>(at(page, offsetof(Receipt, label))),
                  sizeof receipt.label};
  return receipt;
}

Status continue_to_syscall_stop(pid_t tid) {
  if (::ptrace(PTRACE_SYSCALL, tid, nullptr, nullptr) == 0) return {};
  return errno == ESRCH ? tl::make_unexpected(fail_task_gone("ptrace(PTRACE_SYSCALL)").value())
                        : tl::make_unexpected(fail_errno("ptrace(PTRACE_SYSCALL)").value());
}

// The call cannot block, so the stop comes at once; or the task was killed, and its end is left for
// the event loop (WNOWAIT).
Status wait_for_syscall_exit(pid_t tid) {
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(tid), &info, WEXITED | WSTOPPED | WNOWAIT | __WALL) !=
         0) {
    if (errno != EINTR) return fail_task_gone("waitid");
  }
  if (info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED) return fail_task_gone("waitid");
  int status = 0;
  if (::waitpid(tid, &status, __WALL) != tid) return fail_task_gone("waitpid");
  if (!WIFSTOPPED(status)) return fail_task_gone("waitpid");
  if (WSTOPSIG(status) != (SIGTRAP | 0x80)) return fail(EIO, "an unexpected stop in a call");
  return {};
}

}  // namespace

PtraceBackend::PtraceBackend(Mode mode, DescriptorChannel channel,
                             std::function<bool(const arch::SyscallRow&)> restricted)
    : mode_(mode), channel_(std::move(channel)), restricted_(std::move(restricted)) {}

const Capabilities& PtraceBackend::capabilities() const {
  return mode_ == Mode::kTrace ? kTraceCapabilities : kSyscallCapabilities;
}

void PtraceBackend::task_started(pid_t tid, pid_t tgid, pid_t parent) {
  if (tasks_.contains(tid)) return;
  tasks_[tid].tgid = tgid;
  if (processes_.contains(tgid)) return;
  // A fork has a copy of its parent's page, a vfork the page itself.
  const auto from = processes_.find(parent);
  processes_[tgid] = from == processes_.end() ? ProcessState{} : from->second;
}

void PtraceBackend::task_ended(pid_t tid) {
  const auto task = tasks_.find(tid);
  if (task == tasks_.end()) return;
  if (task->second.tgid == tid) processes_.erase(tid);
  tasks_.erase(task);
}

void PtraceBackend::task_executed(pid_t tid, pid_t tgid) {
  tasks_[tid] = TaskState{};
  tasks_[tid].tgid = tgid;
  processes_[tgid] = ProcessState{};
  processes_[tgid].executed = true;
}

Status PtraceBackend::resume(pid_t tid, int signal) {
  if (mode_ == Mode::kSyscall) return tracee::resume_to_syscall(tid, signal);
  // A page is still to be mapped for this task: its exit has to be seen.
  const auto task = tasks_.find(tid);
  if (task != tasks_.end() && task->second.mapping_page) {
    return tracee::resume_to_syscall(tid, signal);
  }
  return tracee::resume(tid, signal);
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
  if (mode_ == Mode::kTrace) {
    if (event.value == kForeignAbiData) call.audit_arch = AUDIT_ARCH_I386;
    return call;
  }
  __ptrace_syscall_info info{};
  if (::ptrace(static_cast<__ptrace_request>(PTRACE_GET_SYSCALL_INFO), event.tid, sizeof info,
               &info) <= 0) {
    return errno == ESRCH
               ? tl::make_unexpected(fail_task_gone("ptrace(PTRACE_GET_SYSCALL_INFO)").value())
               : tl::make_unexpected(fail_errno("ptrace(PTRACE_GET_SYSCALL_INFO)").value());
  }
  call.audit_arch = info.arch;
  return call;
}

bool PtraceBackend::is_native(const SyscallEvent& event) const {
  if (event.audit_arch != arch::kNativeAuditArch) return false;
  const arch::SyscallRow* row = arch::find_syscall(event.number);
  if (row == nullptr || restricted_(*row)) return false;
  if (row->disposition == arch::kNative) return true;
  return row->disposition == arch::kConditional && allowed_natively(row->name, event.arguments);
}

// Keeps the channel's end open in the program: close(2) and close_range(2) do not see it. Returns
// true when the registers were changed and the call is to go on with them.
bool PtraceBackend::guards_channel(const SyscallEvent& event, tracee::Registers& registers) {
  const auto number = static_cast<std::uint32_t>(channel_.number());
  if (event.audit_arch != arch::kNativeAuditArch) return false;
  if (event.number == SYS_close && static_cast<std::uint32_t>(event.arguments[0]) == number) {
    registers.skip_syscall();
    registers.set_result(-EBADF);
    return true;
  }
  if (event.number != SYS_close_range) return false;
  auto arguments = event.arguments;
  if (static_cast<std::uint32_t>(arguments[1]) < number) return false;
  if (static_cast<std::uint32_t>(arguments[0]) >= number) {
    registers.skip_syscall();
    registers.set_result(0);
    return true;
  }
  arguments[1] = number - 1;
  registers.set_syscall(event.number, arguments);
  return true;
}

Status PtraceBackend::start_mapping_page(TaskState& task, pid_t tid, tracee::Registers registers) {
  task.saved = registers;
  registers.set_syscall(SYS_mmap, {0, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                                   static_cast<std::uint64_t>(-1), 0});
  if (Status applied = registers.apply_to(tid); !applied) return applied;
  task.mapping_page = true;
  return continue_to_syscall_stop(tid);
}

Result<std::optional<Stop>> PtraceBackend::on_entry(const tracee::TaskEvent& event) {
  Result<tracee::Registers> registers = tracee::Registers::of(event.tid);
  if (!registers) return tl::make_unexpected(registers.error());
  Result<SyscallEvent> call = event_of(event, *registers);
  if (!call) return tl::make_unexpected(call.error());
  TaskState& task = tasks_[event.tid];
  ProcessState& process = processes_[task.tgid];
  if (process.executed && guards_channel(*call, *registers)) {
    if (Status applied = registers->apply_to(event.tid); !applied) {
      return tl::make_unexpected(applied.error());
    }
    Status resumed = resume(event.tid, 0);
    if (!resumed) return tl::make_unexpected(resumed.error());
    return std::nullopt;
  }
  if (mode_ == Mode::kSyscall && is_native(*call)) {
    Status resumed = resume(event.tid, 0);
    if (!resumed) return tl::make_unexpected(resumed.error());
    return std::nullopt;
  }
  const bool foreign = call->audit_arch != arch::kNativeAuditArch;
  if (process.executed && process.page == 0 && !process.page_failed && !foreign) {
    Status started = start_mapping_page(task, event.tid, *registers);
    if (!started) return tl::make_unexpected(started.error());
    return std::nullopt;
  }
  return Stop(*call, 0);
}

// The exit of the call that maps the page: the program's own call is entered again, as if this had
// never happened. A signal that is delivered in between comes before the call, as it may natively.
Status PtraceBackend::on_exit(pid_t tid) {
  TaskState& task = tasks_[tid];
  if (task.mapping_page) {
    task.mapping_page = false;
    Result<tracee::Registers> now = tracee::Registers::of(tid);
    if (!now) return tl::make_unexpected(now.error());
    ProcessState& process = processes_[task.tgid];
    if (now->result() < 0 && now->result() >= -4095) {
      process.page_failed = true;
    } else {
      process.page = static_cast<std::uint64_t>(now->result());
    }
    tracee::Registers again = task.saved;
    again.rewind_to_syscall(task.saved.syscall_number(), task.saved.arguments());
    if (Status applied = again.apply_to(tid); !applied) return applied;
  }
  return resume(tid, 0);
}

Result<std::optional<Stop>> PtraceBackend::on_stop(const tracee::TaskEvent& event) {
  using Kind = tracee::TaskEvent::Kind;
  if (event.kind == Kind::kSeccompStop && mode_ == Mode::kTrace) return on_entry(event);
  if (event.kind != Kind::kSyscallStop) return fail(EIO, "an unexpected kind of stop");
  if (mode_ == Mode::kTrace || tasks_[event.tid].mapping_page) {
    if (Status done = on_exit(event.tid); !done) return tl::make_unexpected(done.error());
    return std::nullopt;
  }
  __ptrace_syscall_info info{};
  if (::ptrace(static_cast<__ptrace_request>(PTRACE_GET_SYSCALL_INFO), event.tid, sizeof info,
               &info) <= 0) {
    return errno == ESRCH
               ? tl::make_unexpected(fail_task_gone("ptrace(PTRACE_GET_SYSCALL_INFO)").value())
               : tl::make_unexpected(fail_errno("ptrace(PTRACE_GET_SYSCALL_INFO)").value());
  }
  if (info.op == PTRACE_SYSCALL_INFO_ENTRY) return on_entry(event);
  if (Status done = on_exit(event.tid); !done) return tl::make_unexpected(done.error());
  return std::nullopt;
}

Result<Outcome> PtraceBackend::finish(pid_t tid, std::int64_t value) {
  if (is_restart_code(value)) value = -EIO;
  Result<tracee::Registers> registers = tracee::Registers::of(tid);
  if (!registers) return kGone;
  registers->skip_syscall();
  registers->set_result(value);
  // A failed write of registers leaves the call as the program made it: it must never run.
  if (Status applied = registers->apply_to(tid); !applied) {
    if (applied.error().kind == Error::Kind::kTaskGone) return kGone;
    return tl::make_unexpected(applied.error());
  }
  if (Status resumed = resume(tid, 0); !resumed) return kGone;
  return Outcome{.result = value};
}

Result<std::int64_t> PtraceBackend::receive(pid_t tid, ProcessState& process, bool close_on_exec,
                                            std::uint64_t label) {
  const tracee::RemoteMemory memory(tid);
  Result<tracee::Registers> saved = tracee::Registers::of(tid);
  if (!saved) return tl::make_unexpected(saved.error());
  if (Status put = memory.write_value(process.page, blank_receipt(process.page)); !put) {
    process.page = 0;  // unmapped by the program; another is made at its next call
    return -EFAULT;
  }
  tracee::Registers call = *saved;
  const auto flags =
      static_cast<std::uint64_t>(MSG_DONTWAIT | (close_on_exec ? MSG_CMSG_CLOEXEC : 0));
  call.set_syscall(SYS_recvmsg, {static_cast<std::uint64_t>(channel_.number()), process.page, flags,
                                 0, 0, 0});
  if (Status applied = call.apply_to(tid); !applied) return tl::make_unexpected(applied.error());
  if (Status going = continue_to_syscall_stop(tid); !going) {
    return tl::make_unexpected(going.error());
  }
  if (Status back = wait_for_syscall_exit(tid); !back) return tl::make_unexpected(back.error());
  Result<tracee::Registers> after = tracee::Registers::of(tid);
  if (!after) return tl::make_unexpected(after.error());
  std::int64_t result = -EIO;
  const Result<Receipt> receipt = memory.read_value<Receipt>(process.page);
  if (receipt && after->result() == sizeof label && receipt->label == label) {
    int number = -1;
    std::memcpy(&number, CMSG_DATA(reinterpret_cast<const cmsghdr*>(receipt->control)),
                sizeof number);
    // A full table: the kernel drops the descriptor and says so in the flags (unix(7)).
    result = (receipt->header.msg_flags & MSG_CTRUNC) != 0 || number < 0 ? -EMFILE : number;
  }
  saved->set_result(result);
  saved->skip_syscall();  // behind the call: keeps the kernel from restarting it
  if (Status applied = saved->apply_to(tid); !applied) return tl::make_unexpected(applied.error());
  return result;
}

Result<Outcome> PtraceBackend::install(pid_t tid, const InstallFd& effect) {
  ProcessState& process = processes_[tasks_[tid].tgid];
  if (process.page == 0) return finish(tid, -ENOMEM);
  const std::uint64_t label = next_label_++;
  if (Status sent = channel_.send(effect.fd.get(), label); !sent) return finish(tid, -EIO);
  Result<std::int64_t> number = receive(tid, process, effect.close_on_exec, label);
  if (!number) {
    if (number.error().kind == Error::Kind::kTaskGone) return kGone;
    return tl::make_unexpected(number.error());
  }
  if (*number == -EFAULT) return finish(tid, -EFAULT);
  if (Status resumed = resume(tid, 0); !resumed) return kGone;
  return Outcome{.result = *number};
}

Result<Outcome> PtraceBackend::apply(Stop stop, Effect effect) {
  const pid_t tid = stop.event().tid;
  if (std::holds_alternative<Continue>(effect)) {
    if (Status resumed = resume(tid, 0); !resumed) return kGone;
    return Outcome{.result = 0, .known = false};
  }
  if (const auto* value = std::get_if<Return>(&effect)) return finish(tid, value->value);
  if (const auto* failure = std::get_if<FailWith>(&effect)) return finish(tid, -failure->error);
  if (const auto* descriptor = std::get_if<InstallFd>(&effect)) return install(tid, *descriptor);
  return Outcome{.result = 0, .known = false};  // Kill: it stays stopped until it is killed
}

}  // namespace vitrine::intercept
