#include "tracee/ptrace.h"

#include <sys/ptrace.h>
#include <sys/wait.h>

#include <cerrno>

#include "base/feature.h"

namespace vitrine::tracee {
namespace {

constexpr long kOptions = PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
                          PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESECCOMP |
                          PTRACE_O_TRACESYSGOOD;

bool is_stopping_signal(int signal) {
  return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

std::uint64_t event_message(pid_t tid) {
  unsigned long message = 0;
  // A failure means that the task was killed in its stop; its exit is reported next.
  if (::ptrace(PTRACE_GETEVENTMSG, tid, nullptr, &message) != 0) return 0;
  return message;
}

bool has_message(TaskEvent::Kind kind) {
  using Kind = TaskEvent::Kind;
  return kind == Kind::kCloneStop || kind == Kind::kExecStop || kind == Kind::kExitStop ||
         kind == Kind::kSeccompStop;
}

TaskEvent classify_event_stop(pid_t tid, int event, int signal) {
  using Kind = TaskEvent::Kind;
  switch (event) {
    case PTRACE_EVENT_CLONE:
    case PTRACE_EVENT_FORK:
    case PTRACE_EVENT_VFORK:
      return {Kind::kCloneStop, tid, 0, {}};
    case PTRACE_EVENT_EXEC:
      return {Kind::kExecStop, tid, 0, {}};
    case PTRACE_EVENT_EXIT:
      return {Kind::kExitStop, tid, 0, {}};
    case PTRACE_EVENT_SECCOMP:
      return {Kind::kSeccompStop, tid, 0, {}};
    case PTRACE_EVENT_STOP:
      // Under PTRACE_SEIZE a group-stop is this event with the stopping signal (ptrace(2)).
      if (is_stopping_signal(signal)) {
        return {Kind::kGroupStop, tid, static_cast<std::uint64_t>(signal), {}};
      }
      return {Kind::kInterruptStop, tid, static_cast<std::uint64_t>(signal), {}};
    default:
      return {Kind::kOtherStop, tid, static_cast<std::uint64_t>(event), {}};
  }
}

Status request(enum __ptrace_request what, pid_t tid, long data, const char* name) {
  if (::ptrace(what, tid, nullptr, data) == 0) return {};
  if (errno == ESRCH) return fail_task_gone(name);
  return fail_errno(name);
}

}  // namespace

TaskEvent classify(pid_t tid, int status, const rusage& usage) {
  using Kind = TaskEvent::Kind;
  if (WIFEXITED(status)) {
    return {Kind::kExited, tid, static_cast<std::uint64_t>(WEXITSTATUS(status)), usage};
  }
  if (WIFSIGNALED(status)) {
    return {Kind::kKilled, tid, static_cast<std::uint64_t>(WTERMSIG(status)), usage};
  }
  const int signal = WSTOPSIG(status);
  const int event = status >> 16;
  if (event != 0) return classify_event_stop(tid, event, signal);
  if (signal == (SIGTRAP | 0x80)) return {Kind::kSyscallStop, tid, 0, {}};
  return {Kind::kSignalStop, tid, static_cast<std::uint64_t>(signal), {}};
}

Status seize(pid_t pid) { return request(PTRACE_SEIZE, pid, kOptions, "ptrace(PTRACE_SEIZE)"); }

Status report_exits(pid_t tid) {
  return request(PTRACE_SETOPTIONS, tid, kOptions | PTRACE_O_TRACEEXIT,
                 "ptrace(PTRACE_SETOPTIONS)");
}

Result<std::optional<TaskEvent>> next_task_event() {
  int status = 0;
  rusage usage{};
  for (;;) {
    const pid_t tid = ::wait4(-1, &status, WNOHANG | __WALL, &usage);
    if (tid > 0) {
      TaskEvent event = classify(tid, status, usage);
      if (has_message(event.kind)) event.value = event_message(tid);
      return event;
    }
    if (tid == 0) return std::nullopt;
    if (errno != EINTR) return fail_errno("wait4");
  }
}

Status resume(pid_t tid, int signal) {
  return request(PTRACE_CONT, tid, signal, "ptrace(PTRACE_CONT)");
}

Status resume_to_syscall(pid_t tid, int signal) {
  return request(PTRACE_SYSCALL, tid, signal, "ptrace(PTRACE_SYSCALL)");
}

Status ask_to_stop(pid_t tid) {
  return request(PTRACE_INTERRUPT, tid, 0, "ptrace(PTRACE_INTERRUPT)");
}

Status interrupt(pid_t tid) {
  if (Status asked = ask_to_stop(tid); !asked) return asked;
  int status = 0;
  while (::waitpid(tid, &status, __WALL) < 0) {
    if (errno != EINTR) return fail_errno("waitpid");
  }
  if (!WIFSTOPPED(status)) return fail_task_gone("ptrace(PTRACE_INTERRUPT)");
  return {};
}

Status listen(pid_t tid) { return request(PTRACE_LISTEN, tid, 0, "ptrace(PTRACE_LISTEN)"); }

Result<__ptrace_syscall_info> syscall_info(pid_t tid) {
  constexpr const char* kName = "ptrace(PTRACE_GET_SYSCALL_INFO)";
  constexpr auto kRequest = static_cast<__ptrace_request>(PTRACE_GET_SYSCALL_INFO);
  __ptrace_syscall_info info{};
  if (fails_as_absent(Feature::kGetSyscallInfo, EIO)) return fail_errno(kName);
  if (::ptrace(kRequest, tid, sizeof info, &info) > 0) return info;
  return errno == ESRCH ? fail_task_gone(kName) : fail_errno(kName);
}

Result<bool> has_syscall_info(pid_t tid) {
  const Result<__ptrace_syscall_info> info = syscall_info(tid);
  if (info) return true;
  // What ptrace(2) says to a request that it does not know.
  if (info.error().kind != Error::Kind::kTaskGone && info.error().code == EIO) return false;
  return tl::make_unexpected(info.error());
}

Result<siginfo_t> signal_info(pid_t tid) {
  siginfo_t info{};
  if (::ptrace(PTRACE_GETSIGINFO, tid, nullptr, &info) == 0) return info;
  if (errno == ESRCH) return fail_task_gone("ptrace(PTRACE_GETSIGINFO)");
  return fail_errno("ptrace(PTRACE_GETSIGINFO)");
}

}  // namespace vitrine::tracee
