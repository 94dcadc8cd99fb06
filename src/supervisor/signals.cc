#include "supervisor/signals.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>

namespace vitrine::supervisor {

Result<UniqueFd> take_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT}) {
    ::sigaddset(&set, signal);
  }
  sigset_t blocked = set;
  ::sigaddset(&blocked, SIGPIPE);  // a reader that went away is an error of write(2), not our end
  ::sigaddset(&blocked, SIGTTOU);
  ::sigaddset(&blocked, SIGIO);  // a lease that could not be given back (vfs/memory_file.cc)
  if (::sigprocmask(SIG_BLOCK, &blocked, nullptr) != 0) return fail_errno("sigprocmask");
  // Looked at again: a filter around us may answer as if it had been done, and none would arrive.
  sigset_t found;
  ::sigemptyset(&found);
  if (::sigprocmask(SIG_BLOCK, nullptr, &found) != 0 || ::sigismember(&found, SIGCHLD) != 1)
    return fail(EIO, "sigprocmask");
  // An inherited SIG_IGN of SIGCHLD would make the kernel reap our children (sigaction(2)).
  if (::signal(SIGCHLD, SIG_DFL) == SIG_ERR) return fail_errno("signal");
  UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail_errno("signalfd");
  return fd;
}

std::vector<signalfd_siginfo> read_signals(int fd) {
  constexpr std::size_t kAtOnce = 16;
  std::vector<signalfd_siginfo> all;
  ssize_t size = 0;
  do {
    const std::size_t before = all.size();
    all.resize(before + kAtOnce);
    size = ::read(fd, &all[before], kAtOnce * sizeof all[0]);
    all.resize(before + (size > 0 ? static_cast<std::size_t>(size) / sizeof all[0] : 0));
  } while (size == static_cast<ssize_t>(kAtOnce * sizeof all[0]));  // fewer: there are no more
  return all;
}

}  // namespace vitrine::supervisor
