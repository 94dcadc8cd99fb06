// What tracing a child needs.
#include <elf.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "base/feature.h"
#include "base/unique_fd.h"
#include "intercept/probe_primitives.h"
#include "tracee/ptrace.h"

namespace vitrine::intercept::primitives {
namespace {

constexpr unsigned kLongestLife = 3;  // seconds; ends what a probe that was killed has left

// Makes calls for ever.
int keep_calling() {
  ::alarm(kLongestLife);
  for (;;) {
    ::syscall(SYS_getppid);
    ::usleep(200);
  }
}

// A child that is seized, and killed at the end.
class Tracee {
 public:
  explicit Tracee(long options = PTRACE_O_TRACESYSGOOD) : pid_(start_child(keep_calling)) {
    if (pid_ < 0 || ::ptrace(PTRACE_SEIZE, pid_, nullptr, options) != 0) error_ = errno;
  }
  Tracee(const Tracee&) = delete;
  Tracee& operator=(const Tracee&) = delete;
  ~Tracee() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, __WALL);
  }

  pid_t pid() const { return pid_; }
  int error() const { return error_; }
  // Into a ptrace-stop; 0 or errno.
  int stop() const {
    if (error_ != 0) return error_;
    if (const Status stopped = tracee::interrupt(pid_); !stopped) return stopped.error().code;
    return 0;
  }
  int to_syscall_stop() const {
    if (::ptrace(PTRACE_SYSCALL, pid_, nullptr, 0) != 0) return errno;
    int status = 0;
    if (::waitpid(pid_, &status, __WALL) != pid_) return errno;
    return WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80) ? 0 : EIO;
  }

 private:
  pid_t pid_;
  int error_ = 0;
};

int with_stopped(int (*function)(pid_t)) {
  Tracee tracee;
  if (const int error = tracee.stop(); error != 0) return error;
  return function(tracee.pid());
}

// Seized where that is possible; what is tried does not depend on it.
int with_running(int (*function)(pid_t)) {
  const Tracee child;
  return child.pid() > 0 ? function(child.pid()) : child.error();
}

int failed(bool worked) { return worked ? 0 : errno; }

// At the same address in the child.
long* word_of_both() {
  static long word = 42;
  return &word;
}

}  // namespace

int traceme(long&) {
  const pid_t child =
      start_child([] { return failed(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0); });
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child) return errno;
  return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

int seize(long&) { return Tracee().error(); }

// The tracer ends; the tracee, which holds a pipe open, must have ended soon after.
int exit_kill(long&) {
  int ends[2];
  if (::pipe(ends) != 0) return errno;
  const pid_t tracer = start_child([] {
    const pid_t child = start_child(keep_calling);
    if (child < 0) return errno;
    if (::ptrace(PTRACE_SEIZE, child, nullptr, PTRACE_O_EXITKILL) == 0) return 0;
    const int error = errno;
    ::kill(child, SIGKILL);
    return error;
  });
  ::close(ends[1]);
  int status = 0;
  if (tracer < 0 || ::waitpid(tracer, &status, 0) != tracer) return errno;
  if (WEXITSTATUS(status) != 0) return WEXITSTATUS(status);
  pollfd held{ends[0], POLLIN, 0};
  return ::poll(&held, 1, 1000) == 1 ? 0 : ETIMEDOUT;
}

int registers(long&) {
  return with_stopped([](pid_t pid) {
    user_regs_struct values{};
    iovec area{&values, sizeof values};
    if (::ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &area) != 0) return errno;
    return failed(::ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &area) == 0);
  });
}

int syscall_stops(long&) {
  Tracee tracee;
  const int error = tracee.stop();
  return error != 0 ? error : tracee.to_syscall_stop();
}

int syscall_info(long&) {
  return with_stopped([](pid_t pid) {
    const auto info = tracee::syscall_info(pid);
    return info ? 0 : info.error().code;
  });
}

int process_vm(long&) {
  if (is_taken_away(Feature::kProcessVm)) return ENOSYS;
  return with_running([](pid_t pid) {
    long copy = 0;
    const iovec here{&copy, sizeof copy};
    const iovec there{word_of_both(), sizeof(long)};
    if (::process_vm_readv(pid, &here, 1, &there, 1, 0) != sizeof copy) return errno;
    return failed(::process_vm_writev(pid, &here, 1, &there, 1, 0) == sizeof copy);
  });
}

int proc_mem(long&) {
  if (is_taken_away(Feature::kProcMem)) return ENOENT;
  return with_running([](pid_t pid) {
    char path[48];
    std::snprintf(path, sizeof path, "/proc/%d/mem", pid);
    const UniqueFd memory(::open(path, O_RDWR | O_CLOEXEC));
    long copy = 0;
    const auto at = static_cast<off_t>(reinterpret_cast<std::uintptr_t>(word_of_both()));
    if (!memory || ::pread(memory.get(), &copy, sizeof copy, at) != sizeof copy) return errno;
    return failed(::pwrite(memory.get(), &copy, sizeof copy, at) == sizeof copy);
  });
}

int peek_data(long&) {
  return with_stopped([](pid_t pid) {
    errno = 0;
    const long word = ::ptrace(PTRACE_PEEKDATA, pid, word_of_both(), nullptr);
    if (errno != 0) return errno;
    return failed(::ptrace(PTRACE_POKEDATA, pid, word_of_both(), word) == 0);
  });
}

int proc_folders(long&) {
  return with_running([](pid_t pid) {
    char path[48];
    struct stat status {};
    std::snprintf(path, sizeof path, "/proc/%d/exe", pid);
    if (::stat(path, &status) != 0) return errno;
    std::snprintf(path, sizeof path, "/proc/%d/fd", pid);
    const UniqueFd folder(::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return failed(folder && ::fstatat(folder.get(), "0", &status, 0) == 0);
  });
}

int set_limits(long&) {
  return with_running([](pid_t pid) {
    rlimit limit{};
    if (::prlimit(pid, RLIMIT_FSIZE, nullptr, &limit) != 0) return errno;
    limit.rlim_cur = 1 << 20;
    return failed(::prlimit(pid, RLIMIT_FSIZE, &limit, nullptr) == 0);
  });
}

int set_affinity(long&) {
  return with_running([](pid_t pid) {
    cpu_set_t all;
    if (::sched_getaffinity(pid, sizeof all, &all) != 0) return errno;
    return failed(::sched_setaffinity(pid, sizeof all, &all) == 0);
  });
}

}  // namespace vitrine::intercept::primitives
