#include "intercept/native_rules.h"

#if defined(__x86_64__)
#include <asm/prctl.h>
#endif
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>

namespace vitrine::intercept {
namespace {

constexpr std::uint64_t kInt = 0xffffffff;
constexpr std::uint64_t kWhole = ~std::uint64_t{0};

// mmap(2): shared anonymous memory and MAP_GROWSDOWN are outside RLIMIT_DATA (mm/mmap.c,
// is_data_mapping), huge pages come from a pool of the whole host, and what MAP_POPULATE fills is
// locked meanwhile: those are supervised.
constexpr std::uint64_t kMmapMask =
    MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_HUGETLB | MAP_LOCKED | MAP_POPULATE;

constexpr std::uint64_t kSmallMapping = (1U << 20) - 1;

constexpr NativeRule kRules[] = {
    // Private anonymous and shorter than 1 MiB. Longer ones are looked at, so that a refusal by the
    // memory budget is known of: allocators ask for their arenas this way.
    {"mmap", 3, kMmapMask, MAP_ANONYMOUS, 1, ~kSmallMapping, 0},
    {"mmap", 3, kMmapMask, 0},           // private, of an own descriptor
    {"mmap", 3, kMmapMask, MAP_SHARED},  // shared, of an own descriptor

    // Own terminal, pipes and sockets. TIOCSTI, TIOCLINUX, FIOSETOWN, SIOC* are not here.
    {"ioctl", 1, kInt, TCGETS},
    {"ioctl", 1, kInt, TCSETS},
    {"ioctl", 1, kInt, TCSETSW},
    {"ioctl", 1, kInt, TCSETSF},
    {"ioctl", 1, kInt, TCSBRK},
    {"ioctl", 1, kInt, TCXONC},
    {"ioctl", 1, kInt, TCFLSH},
    {"ioctl", 1, kInt, TIOCGWINSZ},
    {"ioctl", 1, kInt, TIOCSWINSZ},
    {"ioctl", 1, kInt, TIOCGPGRP},
    {"ioctl", 1, kInt, TIOCSPGRP},
    {"ioctl", 1, kInt, TIOCGSID},
    {"ioctl", 1, kInt, TIOCOUTQ},
    {"ioctl", 1, kInt, TIOCGEXCL},
    // A terminal made through /dev/ptmx: its number, its lock, its other end, and becoming a
    // session's own.
    {"ioctl", 1, kInt, TIOCGPTN},
    {"ioctl", 1, kInt, TIOCSPTLCK},
    {"ioctl", 1, kInt, TIOCGPTPEER},
    {"ioctl", 1, kInt, TIOCSCTTY},
    {"ioctl", 1, kInt, TIOCNOTTY},
    {"ioctl", 1, kInt, FIONREAD},
    {"ioctl", 1, kInt, FIONBIO},
    {"ioctl", 1, kInt, FIOCLEX},
    {"ioctl", 1, kInt, FIONCLEX},

    {"fcntl", 1, kInt, F_DUPFD},
    {"fcntl", 1, kInt, F_DUPFD_CLOEXEC},
    {"fcntl", 1, kInt, F_GETFD},
    {"fcntl", 1, kInt, F_SETFD},
    {"fcntl", 1, kInt, F_GETFL},
    {"fcntl", 1, kInt, F_SETFL},
    {"fcntl", 1, kInt, F_GETPIPE_SZ},
    {"fcntl", 1, kInt, F_GET_SEALS},
    {"fcntl", 1, kInt, F_ADD_SEALS},

    // Advice about own memory. Not MERGEABLE (a side channel), HWPOISON, COLD and PAGEOUT (they
    // reach the host's page cache), POPULATE_* (they keep the supervisor from reading arguments for
    // as long as they take; before Linux 5.14 there are none).
    {"madvise", 2, kInt, MADV_NORMAL},
    {"madvise", 2, kInt, MADV_RANDOM},
    {"madvise", 2, kInt, MADV_SEQUENTIAL},
    {"madvise", 2, kInt, MADV_WILLNEED},
    {"madvise", 2, kInt, MADV_DONTNEED},
    {"madvise", 2, kInt, MADV_FREE},
    {"madvise", 2, kInt, MADV_REMOVE},
    {"madvise", 2, kInt, MADV_DONTFORK},
    {"madvise", 2, kInt, MADV_DOFORK},
    {"madvise", 2, kInt, MADV_HUGEPAGE},
    {"madvise", 2, kInt, MADV_NOHUGEPAGE},
    {"madvise", 2, kInt, MADV_DONTDUMP},
    {"madvise", 2, kInt, MADV_DODUMP},
    {"madvise", 2, kInt, MADV_WIPEONFORK},
    {"madvise", 2, kInt, MADV_KEEPONFORK},

    // What a socket says of itself. Not SO_PEERCRED, SO_PEERPIDFD and SO_PEERGROUPS: the supervisor
    // connects a run's sockets.
    {"getsockopt", 1, kInt, SOL_SOCKET, 2, kInt, SO_TYPE},
    {"getsockopt", 1, kInt, SOL_SOCKET, 2, kInt, SO_ERROR},
    {"getsockopt", 1, kInt, SOL_SOCKET, 2, kInt, SO_DOMAIN},
    {"getsockopt", 1, kInt, SOL_SOCKET, 2, kInt, SO_PROTOCOL},
    {"getsockopt", 1, kInt, SOL_SOCKET, 2, kInt, SO_ACCEPTCONN},
    {"getsockopt", 1, kInt, SOL_SOCKET, 2, kInt, SO_SNDBUF},
    {"getsockopt", 1, kInt, SOL_SOCKET, 2, kInt, SO_RCVBUF},
    {"getsockopt", 1, kInt, SOL_SOCKET, 2, kInt, SO_REUSEADDR},
    {"getsockopt", 1, kInt, SOL_SOCKET, 2, kInt, SO_REUSEPORT},
    {"getsockopt", 1, kInt, SOL_SOCKET, 2, kInt, SO_KEEPALIVE},
    {"getsockopt", 1, kInt, SOL_SOCKET, 2, kInt, SO_LINGER},
    {"getsockopt", 1, kInt, SOL_SOCKET, 2, kInt, SO_OOBINLINE},
    {"getsockopt", 1, kInt, SOL_SOCKET, 2, kInt, SO_BROADCAST},
    {"getsockopt", 1, kInt, SOL_SOCKET, 2, kInt, SO_PASSCRED},
    {"getsockopt", 1, kInt, SOL_SOCKET, 2, kInt, SO_RCVTIMEO},
    {"getsockopt", 1, kInt, SOL_SOCKET, 2, kInt, SO_SNDTIMEO},
    {"getsockopt", 1, kInt, IPPROTO_IP},
    {"getsockopt", 1, kInt, IPPROTO_TCP},
    {"getsockopt", 1, kInt, IPPROTO_UDP},
    {"getsockopt", 1, kInt, IPPROTO_IPV6},

    // Not ADD: each watch is the kernel's memory, for as long as the file lives.
    {"epoll_ctl", 1, kInt, EPOLL_CTL_DEL},
    {"epoll_ctl", 1, kInt, EPOLL_CTL_MOD},

    {"sendto", 4, kWhole, 0},  // no address: an own, connected socket
    {"pipe2", 1, O_EXCL, 0},   // O_EXCL is O_NOTIFICATION_PIPE

    // 0 is the caller. Other ids are checked against the tree.
    {"getpgid", 0, kInt, 0},
    {"getsid", 0, kInt, 0},
    {"sched_getparam", 0, kInt, 0},
    {"sched_getscheduler", 0, kInt, 0},
    {"sched_rr_get_interval", 0, kInt, 0},
    {"sched_getattr", 0, kInt, 0},

    // Clock ids below 16 are the system's; negative ones hold a process id
    // (clock_getcpuclockid(3)).
    {"clock_gettime", 0, 0xfffffff0, 0},
    {"clock_getres", 0, 0xfffffff0, 0},
    {"clock_nanosleep", 0, 0xfffffff0, 0},
    {"timer_create", 0, 0xfffffff0, 0},

    {"personality", 0, kInt, 0xffffffff},  // only asks

    {"prctl", 0, kInt, PR_SET_NAME},
    {"prctl", 0, kInt, PR_GET_NAME},
    {"prctl", 0, kInt, PR_GET_DUMPABLE},
    {"prctl", 0, kInt, PR_GET_SECCOMP},
    {"prctl", 0, kInt, PR_GET_NO_NEW_PRIVS},
    {"prctl", 0, kInt, PR_SET_NO_NEW_PRIVS},
    {"prctl", 0, kInt, PR_CAPBSET_READ},
    {"prctl", 0, kInt, PR_SET_TIMERSLACK},
    {"prctl", 0, kInt, PR_GET_TIMERSLACK},
    {"prctl", 0, kInt, PR_GET_PDEATHSIG},
    {"prctl", 0, kInt, 0x53564d41},  // PR_SET_VMA: names of own mappings

#if defined(__x86_64__)
#if defined(__x86_64__)
    {"arch_prctl", 0, kInt, ARCH_SET_FS},
    {"arch_prctl", 0, kInt, ARCH_GET_FS},
#endif
#endif
};

constexpr std::uint64_t kSharedAnonymous = MAP_SHARED | MAP_ANONYMOUS;

constexpr NativeRule kTraced[] = {
    {"execve", 0, 0, 0},
    {"execveat", 0, 0, 0},
    {"socketpair", 0, 0, 0},
    // The kernel installs no O_PATH descriptor for a notification (it looks it up with fget, which
    // does not see it). The flags of openat2 lie in memory.
    {"open", 1, O_PATH, O_PATH},
    {"openat", 2, O_PATH, O_PATH},
    {"openat2", 0, 0, 0},
    {"mmap", 3, kSharedAnonymous, kSharedAnonymous},
};

bool holds(const NativeRule& rule, std::string_view syscall,
           std::span<const std::uint64_t, 6> arguments) {
  return rule.syscall == syscall && (arguments[rule.argument] & rule.mask) == rule.value &&
         (arguments[rule.argument2] & rule.mask2) == rule.value2;
}

}  // namespace

std::span<const NativeRule> native_rules() { return kRules; }

std::span<const NativeRule> traced_rules() { return kTraced; }

bool is_descriptor_argument(const arch::SyscallRow& row, std::size_t argument) {
  const arch::ArgumentKind kind = row.arguments[argument].kind;
  return (kind == arch::kFd || kind == arch::kDirFd) && row.name != "mmap";
}

bool names_descriptor(const arch::SyscallRow& row, std::span<const std::uint64_t, 6> arguments,
                      int number) {
  for (std::size_t i = 0; i < row.arguments.size(); ++i) {
    const auto value = static_cast<std::uint32_t>(arguments[i]);
    if (is_descriptor_argument(row, i) && value == static_cast<std::uint32_t>(number)) return true;
  }
  return false;
}

bool allowed_natively(std::string_view syscall, std::span<const std::uint64_t, 6> arguments) {
  return std::ranges::any_of(
      kRules, [&](const NativeRule& rule) { return holds(rule, syscall, arguments); });
}

}  // namespace vitrine::intercept
