#include "supervisor/launcher.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/feature.h"
#include "base/kernel.h"
#include "supervisor/identity.h"
#include "tracee/ptrace.h"
#include "tracee/remote_memory.h"

namespace vitrine::supervisor {
namespace {

enum Step : int {
  kReady,  // not a failure: the filter is in place, `listener` is its number
  kHandshake,
  kSession,
  kSignals,
  kTerminal,
  kDirectory,
  kIdentity,
  kCapabilities,
  kNoNewPrivs,
  kLandlock,
  kLimits,
  kFilter,
  kListener,
  kDescriptors,
  kExec,
};

constexpr const char* kStepNames[] = {"ready",
                                      "handshake",
                                      "setsid",
                                      "sigaction",
                                      "ioctl(TIOCSCTTY)",
                                      "chdir",
                                      "setresuid",
                                      "capset",
                                      "prctl(PR_SET_NO_NEW_PRIVS)",
                                      "landlock_restrict_self",
                                      "setrlimit",
                                      "seccomp(SECCOMP_SET_MODE_FILTER)",
                                      "seccomp(SECCOMP_FILTER_FLAG_NEW_LISTENER)",
                                      "close_range",
                                      "execveat"};

struct Message {
  int step = kReady;
  int error = 0;
  int listener = -1;
};

// Everything the child needs, made before the fork: between fork and exec it only makes system
// calls and touches no allocator.
struct ChildImage {
  const LaunchPlan* plan;
  std::vector<char*> argv;
  std::vector<char*> envp;
  int go;              // read end: one byte when the parent has seized us
  int reports;         // write end
  int highest_fd = 2;  // where close_range(2) is absent
};

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> all;
  all.reserve(strings.size() + 1);
  for (const std::string& text : strings) all.push_back(const_cast<char*>(text.c_str()));
  all.push_back(nullptr);
  return all;
}

[[noreturn]] void give_up(const ChildImage& image, Step step) {
  const Message message{step, errno, -1};
  (void)!::write(image.reports, &message, sizeof message);
  ::_exit(125);
}

void check(const ChildImage& image, Step step, bool worked) {
  if (!worked) give_up(image, step);
}

bool default_dispositions() {
  for (int signal = 1; signal < NSIG; ++signal) {
    // SIGKILL, SIGSTOP and the two that glibc keeps for itself refuse: they cannot be ignored
    // anyway.
    if (::signal(signal, SIG_DFL) == SIG_ERR && errno != EINVAL) return false;
  }
  return true;
}

// A root without the right to change (a container that dropped it, a namespace with one user) keeps
// its number but loses every capability below; the supervisor checks that from outside.
bool drop_identity(uid_t id) {
  const bool tolerated = ::setgroups(0, nullptr) == 0 || errno == EPERM;
  if (!tolerated) return false;
  if (::setresgid(id, id, id) != 0 && errno != EPERM && errno != EINVAL) return false;
  return ::setresuid(id, id, id) == 0 || errno == EPERM || errno == EINVAL;
}

bool drop_capabilities() {
  (void)::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2]{};
  return ::syscall(SYS_capset, &header, none) == 0;
}

bool is_below(const rlimit& found, const rlimit& wanted) {
  return found.rlim_cur <= wanted.rlim_cur && found.rlim_max <= wanted.rlim_max;
}

// gVisor cannot set these limits, and says EPERM; so may a filter around us. Three bound what the
// policy refuses anyway. Only the limit bounds the signals that wait: there it is 0 from the start.
bool is_unknown(int resource, const rlimit& current, const rlimit& wanted) {
  if (errno != EPERM) return false;
  if (resource == RLIMIT_SIGPENDING) return is_below(current, wanted);
  return resource == RLIMIT_MSGQUEUE || resource == RLIMIT_NICE || resource == RLIMIT_RTPRIO;
}

constexpr int kOnlySaid = EIO;  // errno: said to be set, and is not

// Looked at again: a filter around us may answer as if a limit had been set, or told.
bool set_limit(__rlimit_resource which, const rlimit& wanted) {
  rlimit found{~wanted.rlim_cur, ~wanted.rlim_max};
  if (::setrlimit(which, &wanted) != 0 || ::getrlimit(which, &found) != 0) return false;
  errno = kOnlySaid;
  return found.rlim_cur == wanted.rlim_cur && found.rlim_max == wanted.rlim_max;
}

bool set_limits(const LaunchPlan& plan) {
  for (const auto& [resource, value] : plan.limits) {
    rlimit current{RLIM_INFINITY, RLIM_INFINITY};
    const auto which = static_cast<__rlimit_resource>(resource);
    if (::getrlimit(which, &current) != 0) return false;
    // A caller's 0 is no 1 (see launch_limits): raised by who may.
    if (resource == RLIMIT_CORE && current.rlim_max < value.rlim_max) {
      if (set_limit(which, value)) continue;
      if (errno == kOnlySaid) return false;
    }
    const rlimit lower{std::min(value.rlim_cur, current.rlim_max),
                       std::min(value.rlim_max, current.rlim_max)};
    if (!set_limit(which, lower) && !is_unknown(resource, current, lower)) return false;
  }
  return true;
}

// No file of the kernel's says what a ruleset forbids a task, but none of ours allows to read the
// root.
bool restrict_files(int ruleset) {
  if (::syscall(SYS_landlock_restrict_self, ruleset, 0) != 0) return false;
  const int root = ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  errno = EPERM;
  return root < 0;
}

long install(const LaunchPlan& plan, unsigned long flags) {
  if (fails_as_absent(Feature::kSeccomp, ENOSYS)) return -1;
  const bool listens = (flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0;
  const bool waits = (flags & SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) != 0;
  if (listens && fails_as_absent(Feature::kListener, EINVAL)) return -1;
  if (waits && fails_as_absent(Feature::kWaitKillableRecv, EINVAL)) return -1;
  sock_fprog program{static_cast<unsigned short>(plan.filter.size()),
                     const_cast<sock_filter*>(plan.filter.data())};
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

// Returns the listener's number (0 without one), or -1. WAIT_KILLABLE_RECV: once the supervisor has
// a call in hand only a fatal signal takes the task out of it, so nothing is served twice.
long install_filter(const LaunchPlan& plan) {
  if (plan.filter.empty()) return 0;
  if (!plan.listener) return install(plan, 0);
  const long listener =
      install(plan, SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
  if (listener >= 0 || errno != EINVAL) return listener;
  return install(plan, SECCOMP_FILTER_FLAG_NEW_LISTENER);
}

bool close_range(unsigned first, unsigned flags) {
  return !fails_as_absent(Feature::kCloseRange, ENOSYS) &&
         ::syscall(SYS_close_range, first, ~0U, flags) == 0;
}

// The highest number that is open, for the loop in place of close_range(2).
int highest_descriptor() {
  int highest = 2;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/proc/self/fd"), &::closedir);
  while (const dirent* entry = folder ? ::readdir(folder.get()) : nullptr) {
    int number = 0;  // of "." and ".." as well
    std::from_chars(entry->d_name, entry->d_name + std::strlen(entry->d_name), number);
    highest = std::max(highest, number);
  }
  return highest;
}

// All that is not handed over disappears at exec; in a shared table, the table is left first.
bool own_descriptors(const ChildImage& image) {
  const LaunchPlan& plan = *image.plan;
  const unsigned flags = CLOSE_RANGE_CLOEXEC | (plan.listener ? CLOSE_RANGE_UNSHARE : 0U);
  if (!close_range(3, flags)) {
    if (plan.listener) return false;  // without the unshare this would be the supervisor's table
    for (int fd = 3; fd <= image.highest_fd; ++fd) (void)::fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  for (int number = 0; number < 3; ++number) {
    if (::dup2(plan.stdio[static_cast<std::size_t>(number)], number) != number) return false;
  }
  // Above RLIMIT_NOFILE: the command can neither be given this number nor take it.
  if (plan.channel >= 0 && ::fcntl(plan.channel, F_SETFD, 0) != 0) return false;
  for (const int fd : plan.pass_fds) {
    if (fd > 2 && ::fcntl(fd, F_SETFD, 0) != 0) return false;
  }
  return true;
}

[[noreturn]] void become_command(const ChildImage& image) {
  const LaunchPlan& plan = *image.plan;
  char byte = 0;
  check(image, kHandshake, ::read(image.go, &byte, 1) == 1);
  // gVisor returns 0. Signals to its own group are the program's to send.
  check(image, kSession, ::setsid() >= 0 && ::getsid(0) == ::getpid());
  check(image, kSignals, default_dispositions());
  check(image, kTerminal, plan.terminal < 0 || ::ioctl(plan.terminal, TIOCSCTTY, 0) == 0);
  check(image, kDirectory, ::chdir("/") == 0);
  ::umask(022);
  check(image, kLimits, set_limits(plan));
  if (plan.drop_to) check(image, kIdentity, drop_identity(*plan.drop_to));
  check(image, kCapabilities, drop_capabilities());
  // The change of ids closed this process to everyone without CAP_SYS_PTRACE until it executes.
  check(image, kIdentity, !plan.share_identity || ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0);
  check(image, kNoNewPrivs, ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  check(image, kLandlock, plan.landlock_ruleset < 0 || restrict_files(plan.landlock_ruleset));
  const long listener = install_filter(plan);
  // EINVAL: the flag is not known; EBUSY: another filter around this process has the only listener.
  const bool for_the_listener = plan.listener && (errno == EINVAL || errno == EBUSY);
  check(image, for_the_listener ? kListener : kFilter, listener >= 0);
  const Message ready{kReady, 0, static_cast<int>(listener)};
  check(image, kHandshake, ::write(image.reports, &ready, sizeof ready) == sizeof ready);
  // With stop_every_call the parent stops us here; from then on each call is seen.
  check(image, kHandshake, !plan.stop_every_call || ::read(image.go, &byte, 1) == 1);
  check(image, kDescriptors, own_descriptors(image));
  sigset_t none;
  ::sigemptyset(&none);
  check(image, kSignals, ::sigprocmask(SIG_SETMASK, &none, nullptr) == 0);
  ::syscall(SYS_execveat, plan.program, "", image.argv.data(), image.envp.data(), AT_EMPTY_PATH);
  give_up(image, kExec);
}

// fork(2), or with `share_descriptors` a fork that keeps one descriptor table (clone(2)).
pid_t fork_child(bool share_descriptors) {
  const long flags = SIGCHLD | (share_descriptors ? CLONE_FILES : 0);
  return static_cast<pid_t>(::syscall(SYS_clone, flags, 0, 0, 0, 0));
}

// Stops of a tracee are reported whether they are asked for or not (kernel/exit.c,
// wait_task_stopped).
bool has_ended(pid_t pid) {
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0) return true;
  const bool ended =
      info.si_code == CLD_EXITED || info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED;
  return info.si_pid == pid && ended;
}

// In a shared table our own copy of the write end keeps the pipe open, so that a dead child does
// not read as end of file: its life is looked at as well.
Result<Message> receive(int reports, pid_t pid) {
  pollfd waiting{reports, POLLIN, 0};
  while (::poll(&waiting, 1, 20) == 0) {
    if (has_ended(pid)) return fail(ECHILD, "the child died before it was ready");
  }
  Message message;
  const ssize_t got = ::read(reports, &message, sizeof message);
  if (got != sizeof message) return fail(ECHILD, "the child died before it was ready");
  return message;
}

Status set_dumpable(bool dumpable) {
  if (::prctl(PR_SET_DUMPABLE, dumpable ? 1 : 0, 0, 0, 0) == 0) return {};
  return fail_errno("prctl(PR_SET_DUMPABLE)");
}

// Before the supervisor is undumpable: the child's memory is a copy of ours, and a tracer must be
// allowed to look at it. With EXITKILL from here on it cannot outlive us.
Status take_over(pid_t pid, const LaunchPlan& plan) {
  if (Status seized = tracee::seize(pid); !seized) return seized;
  if (plan.share_identity) assume_identity(*plan.drop_to);
  return set_dumpable(false);
}

struct Pipes {
  UniqueFd go_read;
  UniqueFd go_write;
  UniqueFd reports_read;
  UniqueFd reports_write;
};

Result<Pipes> make_pipes() {
  int go[2];
  int reports[2];
  if (::pipe2(go, O_CLOEXEC) != 0) return fail_errno("pipe2");
  Pipes pipes{UniqueFd(go[0]), UniqueFd(go[1]), UniqueFd(), UniqueFd()};
  if (::pipe2(reports, O_CLOEXEC) != 0) return fail_errno("pipe2");
  pipes.reports_read.reset(reports[0]);
  pipes.reports_write.reset(reports[1]);
  return pipes;
}

Status let_go(const Pipes& pipes) {
  if (::write(pipes.go_write.get(), "", 1) == 1) return {};
  return fail_errno("write");
}

// A notification leaves the task running as ptrace sees it: its memory must be readable all the
// same.
Status require_open_memory(pid_t pid, const void* here) {
  const auto address = reinterpret_cast<tracee::RemoteAddress>(here);
  if (tracee::RemoteMemory(pid).is_open_while_running(address)) return {};
  return fail(EPERM, "process_vm_readv, /proc/PID/mem");
}

// Each call of the child stops from here on. Without PTRACE_GET_SYSCALL_INFO a 32-bit call could
// not be told from a native one: before Linux 5.3, and in gVisor.
Status stop_each_call(pid_t pid) {
  if (Status stopped = tracee::interrupt(pid); !stopped) return stopped;
  if (const auto info = tracee::syscall_info(pid); !info) {
    return tl::make_unexpected(info.error());
  }
  return tracee::resume_to_syscall(pid, 0);
}

// The parent's side, up to the child's execveat. `in_both`: an address of ours and of the child's.
Result<Launched> prepare_child(pid_t pid, const LaunchPlan& plan, Pipes& pipes,
                               const void* in_both) {
  Status done = take_over(pid, plan);
  if (done) done = let_go(pipes);
  if (!done) return tl::make_unexpected(done.error());
  if (!plan.listener) pipes.reports_write.reset();  // so that a dead child reads as end of file
  Result<Message> message = receive(pipes.reports_read.get(), pid);
  if (!message) return tl::make_unexpected(message.error());
  if (message->step != kReady) return fail(message->error, kStepNames[message->step]);
  Launched launched;
  launched.pid = pid;
  if (plan.listener) launched.listener.reset(message->listener);
  if (plan.listener) done = require_open_memory(pid, in_both);
  if (!done) {  // it may have ended meanwhile, and have said why
    if (const auto told = read_failure(pipes.reports_read.get()))
      return fail(told->error, told->step);
  }
  if (plan.stop_every_call) done = stop_each_call(pid);
  if (done && plan.stop_every_call) done = let_go(pipes);
  if (!done) return tl::make_unexpected(done.error());
  launched.failures = std::move(pipes.reports_read);
  launched.reports = std::move(pipes.reports_write);
  return launched;
}

}  // namespace

// The child is our own, so its pid is its own until it is reaped.
void abandon(pid_t pid) {
  ::kill(pid, SIGKILL);
  int status = 0;
  do {
    if (::waitpid(pid, &status, __WALL) < 0 && errno != EINTR) return;
  } while (!WIFEXITED(status) && !WIFSIGNALED(status));
}

Result<Launched> launch(const LaunchPlan& plan) {
  Result<Pipes> pipes = make_pipes();
  if (!pipes) return tl::make_unexpected(pipes.error());
  ChildImage image{&plan, pointers(plan.argv), pointers(plan.environment), pipes->go_read.get(),
                   pipes->reports_write.get()};
  if (!close_range(~0U, CLOSE_RANGE_CLOEXEC)) {  // no such number: only asks whether it is there
    if (plan.listener) return fail_errno("close_range");
    image.highest_fd = highest_descriptor();
  }
  // A launch that failed has left us undumpable, which the child would inherit.
  (void)set_dumpable(true);
  const pid_t pid = fork_child(plan.listener);
  if (pid < 0) return fail_errno("clone");
  if (pid == 0) become_command(image);

  Result<Launched> launched = prepare_child(pid, plan, *pipes, &image);
  if (!launched) abandon(pid);
  return launched;
}

std::optional<LaunchFailure> read_failure(int failures) {
  (void)::fcntl(failures, F_SETFL, O_NONBLOCK);
  Message message;
  if (::read(failures, &message, sizeof message) != sizeof message) return std::nullopt;
  return LaunchFailure{kStepNames[message.step], message.error};
}

}  // namespace vitrine::supervisor
