// What filters and their notifications need.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <vector>

#include "base/feature.h"
#include "base/kernel.h"
#include "base/unique_fd.h"
#include "intercept/probe_primitives.h"

namespace vitrine::intercept::primitives {
namespace {

// A filter that lets everything pass but getppid(2), which no library calls by itself.
long install(std::uint32_t action, unsigned long flags) {
  if (is_taken_away(Feature::kSeccomp)) {
    errno = ENOSYS;
    return -1;
  }
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, action),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{4, code};
  (void)::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

int install_listener(UniqueFd& out) {
  if (is_taken_away(Feature::kListener)) return EINVAL;
  const long fd = install(SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
  if (fd < 0) return errno;
  out.reset(static_cast<int>(fd));
  return 0;
}

// A child whose call waits at the listener, and the call's id.
int receive_call(int listener, __u64& id) {
  const pid_t child = start_child([] {
    ::alarm(2);
    return ::syscall(SYS_getppid) >= 0 ? 0 : 1;
  });
  pollfd waiting{listener, POLLIN, 0};
  if (child < 0 || ::poll(&waiting, 1, 1000) != 1) return ETIMEDOUT;
  seccomp_notif_sizes sizes{};
  if (::syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0) return errno;
  std::vector<std::byte> request(std::max<std::size_t>(sizes.seccomp_notif, sizeof(seccomp_notif)));
  if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, request.data()) != 0) return errno;
  seccomp_notif call{};
  std::memcpy(&call, request.data(), sizeof call);
  id = call.id;
  return 0;
}

int add_with_flags(unsigned flags) {
  UniqueFd fd;
  if (const int error = install_listener(fd); error != 0) return error;
  __u64 id = 0;
  if (const int error = receive_call(fd.get(), id); error != 0) return error;
  seccomp_notif_addfd request{};
  request.id = id;
  request.flags = flags;
  request.srcfd = STDERR_FILENO;
  return ::ioctl(fd.get(), SECCOMP_IOCTL_NOTIF_ADDFD, &request) >= 0 ? 0 : errno;
}

}  // namespace

int no_new_privs(long&) { return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : errno; }

int filter(long&) { return install(SECCOMP_RET_ALLOW, 0) == 0 ? 0 : errno; }

int filter_trace(long&) {
  int go[2];
  if (::pipe(go) != 0) return errno;
  const pid_t child = start_child([&go] {
    ::alarm(2);
    char byte = 0;
    if (::read(go[0], &byte, 1) != 1 || install(SECCOMP_RET_TRACE, 0) != 0) return errno;
    ::syscall(SYS_getppid);
    return EIO;  // nobody stopped us
  });
  constexpr long kOptions = PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL;
  if (child < 0 || ::ptrace(PTRACE_SEIZE, child, nullptr, kOptions) != 0) return errno;
  int status = 0;
  if (::write(go[1], "", 1) != 1 || ::waitpid(child, &status, __WALL) != child) return errno;
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  return status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8) ? 0 : EIO;
}

int listener(long&) {
  UniqueFd fd;
  return install_listener(fd);
}

int add_descriptor(long&) { return add_with_flags(0); }

int add_descriptor_and_answer(long&) {
  return is_taken_away(Feature::kAddfdSend) ? EINVAL : add_with_flags(SECCOMP_ADDFD_FLAG_SEND);
}

int synchronous_wake_up(long&) {
  UniqueFd fd;
  if (const int error = install_listener(fd); error != 0) return error;
  if (is_taken_away(Feature::kSyncWakeUp)) return EINVAL;
  const int set =
      ::ioctl(fd.get(), SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
  return set == 0 ? 0 : errno;
}

int killable_wait(long&) {
  if (is_taken_away(Feature::kListener) || is_taken_away(Feature::kWaitKillableRecv)) return EINVAL;
  const long fd = install(SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER |
                                                      SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
  return fd >= 0 ? 0 : errno;
}

}  // namespace vitrine::intercept::primitives
