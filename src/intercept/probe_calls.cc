// Calls that are there or are not.
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "base/feature.h"
#include "base/unique_fd.h"
#include "intercept/probe_primitives.h"

namespace vitrine::intercept::primitives {
namespace {

int failed(bool worked) { return worked ? 0 : errno; }

UniqueFd own_pidfd() {
  if (fails_as_absent(Feature::kPidfd, ENOSYS)) return UniqueFd();
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
}

}  // namespace

int memory_file(long&) { return failed(UniqueFd(::memfd_create("probe", MFD_CLOEXEC)).get() >= 0); }

// Nothing is executed: there is no file of an empty name.
int execute_descriptor(long&) {
  char* const none[] = {nullptr};
  (void)::syscall(SYS_execveat, AT_FDCWD, "", none, none, 0);
  return errno == ENOENT ? 0 : errno;
}

int extended_stat(long&) {
  if (is_taken_away(Feature::kStatx)) return EPERM;
  struct statx found {};
  return failed(::syscall(SYS_statx, AT_FDCWD, "/", 0, STATX_BASIC_STATS, &found) == 0);
}

int open_beneath(long&) {
  if (is_taken_away(Feature::kOpenat2)) return ENOSYS;
  const UniqueFd root(::open("/", O_PATH | O_CLOEXEC));
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  return failed(::syscall(SYS_openat2, root.get(), ".", &how, sizeof how) >= 0);
}

int access_by_descriptor(long&) {
  if (is_taken_away(Feature::kFaccessat2)) return ENOSYS;
  const UniqueFd root(::open("/", O_PATH | O_CLOEXEC));
  return failed(::syscall(SYS_faccessat2, root.get(), "", X_OK, AT_EMPTY_PATH) == 0);
}

int close_range(long&) {
  if (is_taken_away(Feature::kCloseRange)) return ENOSYS;
  return failed(::syscall(SYS_close_range, ~0U, ~0U, CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE) ==
                0);
}

int pidfd_open(long&) { return failed(own_pidfd().get() >= 0); }

int pidfd_send_signal(long&) {
  const UniqueFd self = own_pidfd();
  return failed(self && ::syscall(SYS_pidfd_send_signal, self.get(), 0, nullptr, 0) == 0);
}

int pidfd_get_descriptor(long&) {
  const UniqueFd self = own_pidfd();
  return failed(self && ::syscall(SYS_pidfd_getfd, self.get(), STDERR_FILENO, 0) >= 0);
}

int landlock(long& detail) {
  if (is_taken_away(Feature::kLandlock)) return ENOSYS;
  constexpr unsigned kVersion = 1;  // LANDLOCK_CREATE_RULESET_VERSION
  detail = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kVersion);
  return failed(detail > 0);
}

int pseudo_terminal(long&) {
  const UniqueFd terminal(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  return failed(terminal && ::unlockpt(terminal.get()) == 0 &&
                UniqueFd(::open(::ptsname(terminal.get()), O_RDWR | O_NOCTTY)).get() >= 0);
}

// Of itself, as the launcher does before it executes the command.
int lower_limits(long&) {
  for (const auto which :
       {RLIMIT_CORE, RLIMIT_MEMLOCK, RLIMIT_NOFILE, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_CPU}) {
    rlimit limit{};
    if (::getrlimit(which, &limit) != 0) return errno;
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_cur, 1UL << 40);
    if (::setrlimit(which, &limit) != 0) return errno;
  }
  return 0;
}

int descriptor_limit(long& detail) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return errno;
  detail = static_cast<long>(limit.rlim_max);
  limit.rlim_cur = limit.rlim_max;
  return failed(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

int yama(long& detail) {
  const UniqueFd file(::open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC));
  char digit = 0;
  if (!file || ::read(file.get(), &digit, 1) != 1) return errno;
  detail = digit - '0';
  return 0;
}

int foreign_abi(long&) {
#if defined(__x86_64__)
  long result = 20;  // getpid(2) of the 32-bit table
  __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
  return result > 0 ? 0 : static_cast<int>(-result);
#else
  return ENOSYS;
#endif
}

}  // namespace vitrine::intercept::primitives
