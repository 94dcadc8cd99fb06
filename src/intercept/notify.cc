#include "intercept/notify.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/feature.h"
#include "base/kernel.h"
#include "intercept/native_rules.h"
#include "intercept/ptrace_backend.h"

namespace vitrine::intercept {
namespace {

constexpr Capabilities kCapabilities{.name = "notify", .uses_filter = true, .uses_listener = true};

// The task died, or a signal took it out of the call: nobody waits for this answer any more.
bool is_gone(int error) { return error == ENOENT; }

constexpr Outcome kGone{.result = 0, .known = false, .delivered = false};

// Calls that a signal ends natively, too: they wait for what other processes do.
bool waits_natively(const arch::SyscallRow& row, std::span<const std::uint64_t, 6> arguments) {
  const int command = static_cast<int>(arguments[1]);
  return row.name == "flock" || row.name == "connect" ||
         (row.name == "fcntl" && (command == F_SETLKW || command == F_OFD_SETLKW));
}

// A signal takes a task out of the wait for our answer with ERESTARTSYS, and a handler without
// SA_RESTART would make that EINTR, which the other calls do not give natively.
Status keep_restarting(pid_t tid) {
  Result<tracee::Registers> registers = tracee::Registers::of(tid);
  if (!registers) return tl::make_unexpected(registers.error());
  if (registers->result() != kRestartSys || registers->skips_syscall()) return {};
  const arch::SyscallRow* row = arch::find_syscall(registers->syscall_number() & 0xffffffff);
  const bool answered_here = row != nullptr && row->disposition != arch::kNative &&
                             !(row->disposition == arch::kConditional &&
                               allowed_natively(row->name, registers->arguments()));
  if (!answered_here || waits_natively(*row, registers->arguments())) return {};
  registers->set_result(kRestartNoInterrupt);
  return registers->apply_to(tid);
}

// The cookie of a stop that came by ptrace; the kernel's ids count up from a random 64-bit number,
// and the ioctl of one that happened to be 0 would only fail.
constexpr std::uint64_t kPtraceStop = 0;

}  // namespace

Result<std::unique_ptr<NotifyInterceptor>> NotifyInterceptor::create(UniqueFd listener,
                                                                     DescriptorChannel channel) {
  seccomp_notif_sizes sizes{};
  if (::syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0) {
    return fail_errno("seccomp(SECCOMP_GET_NOTIF_SIZES)");
  }
  // Installing and answering in one step (Linux 5.14). Asked of a notification that cannot exist:
  // ENOENT says that the flag is known.
  seccomp_notif_addfd install{};
  install.id = ~0ULL;
  install.flags = SECCOMP_ADDFD_FLAG_SEND;
  install.srcfd = static_cast<__u32>(listener.get());
  if (fails_as_absent(Feature::kAddfdSend, EINVAL) ||
      ::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_ADDFD, &install) == 0 || errno != ENOENT) {
    return fail_errno("ioctl(SECCOMP_IOCTL_NOTIF_ADDFD, SECCOMP_ADDFD_FLAG_SEND)");
  }
  // Linux 6.6: the answer wakes the task on this CPU at once. Older kernels say EINVAL: slower
  // only.
  if (!is_taken_away(Feature::kSyncWakeUp)) {
    (void)::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_SET_FLAGS,
                  SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
  }
  std::unique_ptr<NotifyInterceptor> made(
      new NotifyInterceptor(std::move(listener), std::move(channel)));
  made->request_.resize(std::max<std::size_t>(sizes.seccomp_notif, sizeof(seccomp_notif)));
  made->response_.resize(
      std::max<std::size_t>(sizes.seccomp_notif_resp, sizeof(seccomp_notif_resp)));
  return made;
}

const Capabilities& NotifyInterceptor::capabilities() const { return kCapabilities; }

Result<std::optional<Stop>> NotifyInterceptor::next() {
  std::memset(request_.data(), 0, request_.size());  // the kernel refuses a used buffer
  if (::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_RECV, request_.data()) != 0) {
    if (is_gone(errno) || errno == EINTR) return std::nullopt;
    return fail_errno("ioctl(SECCOMP_IOCTL_NOTIF_RECV)");
  }
  seccomp_notif request{};
  std::memcpy(&request, request_.data(), sizeof request);
  SyscallEvent event;
  event.tid = static_cast<pid_t>(request.pid);
  event.audit_arch = request.data.arch;
  event.number = static_cast<std::uint32_t>(request.data.nr);
  std::copy(std::begin(request.data.args), std::end(request.data.args), event.arguments.begin());
  event.instruction_pointer = request.data.instruction_pointer;
  return Stop(event, request.id);
}

// The kernel returns `error` where it is not 0, and `val` otherwise. False: nobody waits for it.
Result<bool> NotifyInterceptor::send(std::uint64_t id, std::int64_t value, unsigned flags) {
  seccomp_notif_resp response{};
  response.id = id;
  response.val = value;
  response.flags = flags;
  std::memset(response_.data(), 0, response_.size());
  std::memcpy(response_.data(), &response, sizeof response);
  if (::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND, response_.data()) == 0) return true;
  if (is_gone(errno)) return false;
  return fail_errno("ioctl(SECCOMP_IOCTL_NOTIF_SEND)");
}

Result<Outcome> NotifyInterceptor::respond(std::uint64_t id, std::int64_t value, bool proceed) {
  const std::int64_t result = result_for_task(value);
  const Result<bool> sent = send(id, result, proceed ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0);
  if (!sent) return tl::make_unexpected(sent.error());
  if (!*sent) return kGone;
  if (proceed) return Outcome{.result = 0, .known = false};
  return Outcome{.result = result};
}

// With a stop to come the kernel goes the way of signals when the task leaves its call, whatever
// has become of the signal meanwhile: the code for a restart never gets to the program.
Result<Outcome> NotifyInterceptor::restart(std::uint64_t id, pid_t tid) {
  if (Status asked = tracee::ask_to_stop(tid); !asked) {
    if (asked.error().kind == Error::Kind::kTaskGone) return kGone;
    return tl::make_unexpected(asked.error());
  }
  const Result<bool> sent = send(id, kRestartSys, 0);
  if (!sent) return tl::make_unexpected(sent.error());
  return kGone;
}

Result<Outcome> NotifyInterceptor::install(std::uint64_t id, const InstallFd& effect) {
  seccomp_notif_addfd request{};
  request.id = id;
  request.flags = SECCOMP_ADDFD_FLAG_SEND;
  request.srcfd = static_cast<__u32>(effect.fd.get());
  request.newfd_flags = effect.close_on_exec ? O_CLOEXEC : 0;
  const int number = ::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_ADDFD, &request);
  if (number >= 0) return Outcome{.result = number};
  if (is_gone(errno)) return kGone;
  // The task's own table is full: its error, not ours.
  if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) return respond(id, -errno, false);
  return fail_errno("ioctl(SECCOMP_IOCTL_NOTIF_ADDFD)");
}

Status NotifyInterceptor::resume(pid_t tid, int signal) {
  if (signal != 0) {
    if (Status kept = keep_restarting(tid); !kept) return kept;
  }
  return injector_.is_led(tid) ? tracee::resume_to_syscall(tid, signal)
                               : tracee::resume(tid, signal);
}

// An execution, a close that might touch the channel, or a stop on the way of an execution.
Result<std::optional<Stop>> NotifyInterceptor::on_stop(const tracee::TaskEvent& event) {
  Result<bool> of_execution = injector_.on_stop(event);
  if (!of_execution) return tl::make_unexpected(of_execution.error());
  if (*of_execution) return std::nullopt;
  const auto go_on = [&]() -> Result<std::optional<Stop>> {
    if (Status resumed = resume(event.tid, 0); !resumed)
      return tl::make_unexpected(resumed.error());
    return std::nullopt;
  };
  if (event.kind == tracee::TaskEvent::Kind::kSyscallStop) return go_on();
  Result<tracee::Registers> registers = tracee::Registers::of(event.tid);
  if (!registers) return tl::make_unexpected(registers.error());
  SyscallEvent call;
  call.tid = event.tid;
  call.audit_arch = arch::kNativeAuditArch;  // foreign ABIs are notified, never traced
  call.number = registers->syscall_number() & 0xffffffff;
  call.arguments = registers->arguments();
  call.instruction_pointer = registers->instruction_pointer();
  if (injector_.has_executed(event.tid) &&
      injector_.guards_channel(call.number, call.arguments, *registers)) {
    if (Status applied = registers->apply_to(event.tid); !applied) {
      return tl::make_unexpected(applied.error());
    }
    return go_on();
  }
  return Stop(call, kPtraceStop);
}

Result<Outcome> NotifyInterceptor::apply(Stop stop, Effect effect) {
  const std::uint64_t id = stop.cookie();
  const pid_t tid = stop.event().tid;
  if (id == kPtraceStop) {
    return apply_at_stop(injector_, stop.event(), std::move(effect),
                         [this, tid] { return resume(tid, 0); });
  }
  if (std::holds_alternative<Continue>(effect)) return respond(id, 0, true);
  if (const auto* value = std::get_if<Return>(&effect)) return respond(id, value->value, false);
  if (const auto* failure = std::get_if<FailWith>(&effect)) {
    return respond(id, -failure->error, false);
  }
  if (const auto* descriptor = std::get_if<InstallFd>(&effect)) return install(id, *descriptor);
  if (std::holds_alternative<Restart>(effect)) return restart(id, tid);
  // Kill: the task stays where it is; the supervisor kills the tree.
  if (std::holds_alternative<Kill>(effect)) return Outcome{.result = 0, .known = false};
  // What takes injected calls never arrives as a notification (native_rules.h, kTraced).
  return fail(EIO, "a notification that only a stop can answer");
}

}  // namespace vitrine::intercept
