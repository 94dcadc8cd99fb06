#include "arch/flag_names.h"

#include <fcntl.h>
#include <linux/prctl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <span>

namespace vitrine::arch {
namespace {

struct Name {
  std::uint64_t value;
  const char* text;
};

// Composite values (O_SYNC, O_TMPFILE) stand before the bits they contain.
constexpr Name kOpenBits[] = {
    {O_TMPFILE, "O_TMPFILE"},     {O_SYNC, "O_SYNC"},         {O_CREAT, "O_CREAT"},
    {O_EXCL, "O_EXCL"},           {O_NOCTTY, "O_NOCTTY"},     {O_TRUNC, "O_TRUNC"},
    {O_APPEND, "O_APPEND"},       {O_NONBLOCK, "O_NONBLOCK"}, {O_DSYNC, "O_DSYNC"},
    {O_ASYNC, "O_ASYNC"},         {O_DIRECT, "O_DIRECT"},     {0100000, "O_LARGEFILE"},
    {O_DIRECTORY, "O_DIRECTORY"}, {O_NOFOLLOW, "O_NOFOLLOW"}, {O_NOATIME, "O_NOATIME"},
    {O_CLOEXEC, "O_CLOEXEC"},     {O_PATH, "O_PATH"},
};
constexpr Name kAtBits[] = {
    {AT_SYMLINK_NOFOLLOW, "AT_SYMLINK_NOFOLLOW"},
    {AT_EACCESS, "AT_EACCESS"},
    {AT_SYMLINK_FOLLOW, "AT_SYMLINK_FOLLOW"},
    {AT_NO_AUTOMOUNT, "AT_NO_AUTOMOUNT"},
    {AT_EMPTY_PATH, "AT_EMPTY_PATH"},
    {0x2000, "AT_STATX_FORCE_SYNC"},
    {0x4000, "AT_STATX_DONT_SYNC"},
};
constexpr Name kUnlinkBits[] = {{AT_REMOVEDIR, "AT_REMOVEDIR"}};
constexpr Name kAccessBits[] = {{R_OK, "R_OK"}, {W_OK, "W_OK"}, {X_OK, "X_OK"}};
constexpr Name kProtBits[] = {{PROT_READ, "PROT_READ"},
                              {PROT_WRITE, "PROT_WRITE"},
                              {PROT_EXEC, "PROT_EXEC"},
                              {PROT_GROWSDOWN, "PROT_GROWSDOWN"}};
constexpr Name kMapBits[] = {
    {MAP_SHARED_VALIDATE, "MAP_SHARED_VALIDATE"},
    {MAP_SHARED, "MAP_SHARED"},
    {MAP_PRIVATE, "MAP_PRIVATE"},
    {MAP_FIXED, "MAP_FIXED"},
    {MAP_ANONYMOUS, "MAP_ANONYMOUS"},
    {MAP_GROWSDOWN, "MAP_GROWSDOWN"},
    {MAP_DENYWRITE, "MAP_DENYWRITE"},
    {MAP_LOCKED, "MAP_LOCKED"},
    {MAP_NORESERVE, "MAP_NORESERVE"},
    {MAP_POPULATE, "MAP_POPULATE"},
    {MAP_NONBLOCK, "MAP_NONBLOCK"},
    {MAP_STACK, "MAP_STACK"},
    {MAP_HUGETLB, "MAP_HUGETLB"},
    {0x100000, "MAP_FIXED_NOREPLACE"},
};
constexpr Name kCloneBits[] = {
    {CLONE_VM, "CLONE_VM"},
    {CLONE_FS, "CLONE_FS"},
    {CLONE_FILES, "CLONE_FILES"},
    {CLONE_SIGHAND, "CLONE_SIGHAND"},
    {CLONE_PIDFD, "CLONE_PIDFD"},
    {CLONE_PTRACE, "CLONE_PTRACE"},
    {CLONE_VFORK, "CLONE_VFORK"},
    {CLONE_PARENT, "CLONE_PARENT"},
    {CLONE_THREAD, "CLONE_THREAD"},
    {CLONE_NEWNS, "CLONE_NEWNS"},
    {CLONE_SYSVSEM, "CLONE_SYSVSEM"},
    {CLONE_SETTLS, "CLONE_SETTLS"},
    {CLONE_PARENT_SETTID, "CLONE_PARENT_SETTID"},
    {CLONE_CHILD_CLEARTID, "CLONE_CHILD_CLEARTID"},
    {CLONE_UNTRACED, "CLONE_UNTRACED"},
    {CLONE_CHILD_SETTID, "CLONE_CHILD_SETTID"},
    {CLONE_NEWCGROUP, "CLONE_NEWCGROUP"},
    {CLONE_NEWUTS, "CLONE_NEWUTS"},
    {CLONE_NEWIPC, "CLONE_NEWIPC"},
    {CLONE_NEWUSER, "CLONE_NEWUSER"},
    {CLONE_NEWPID, "CLONE_NEWPID"},
    {CLONE_NEWNET, "CLONE_NEWNET"},
    {CLONE_IO, "CLONE_IO"},
};
constexpr Name kSocketTypeBits[] = {{SOCK_NONBLOCK, "SOCK_NONBLOCK"},
                                    {SOCK_CLOEXEC, "SOCK_CLOEXEC"}};

constexpr Name kWhences[] = {{SEEK_SET, "SEEK_SET"},
                             {SEEK_CUR, "SEEK_CUR"},
                             {SEEK_END, "SEEK_END"},
                             {SEEK_DATA, "SEEK_DATA"},
                             {SEEK_HOLE, "SEEK_HOLE"}};
constexpr Name kResources[] = {
    {RLIMIT_CPU, "RLIMIT_CPU"},           {RLIMIT_FSIZE, "RLIMIT_FSIZE"},
    {RLIMIT_DATA, "RLIMIT_DATA"},         {RLIMIT_STACK, "RLIMIT_STACK"},
    {RLIMIT_CORE, "RLIMIT_CORE"},         {RLIMIT_RSS, "RLIMIT_RSS"},
    {RLIMIT_NPROC, "RLIMIT_NPROC"},       {RLIMIT_NOFILE, "RLIMIT_NOFILE"},
    {RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK"},   {RLIMIT_AS, "RLIMIT_AS"},
    {RLIMIT_LOCKS, "RLIMIT_LOCKS"},       {RLIMIT_SIGPENDING, "RLIMIT_SIGPENDING"},
    {RLIMIT_MSGQUEUE, "RLIMIT_MSGQUEUE"}, {RLIMIT_NICE, "RLIMIT_NICE"},
    {RLIMIT_RTPRIO, "RLIMIT_RTPRIO"},     {RLIMIT_RTTIME, "RLIMIT_RTTIME"},
};
constexpr Name kDomains[] = {{AF_UNSPEC, "AF_UNSPEC"},   {AF_UNIX, "AF_UNIX"},
                             {AF_INET, "AF_INET"},       {AF_INET6, "AF_INET6"},
                             {AF_NETLINK, "AF_NETLINK"}, {AF_PACKET, "AF_PACKET"},
                             {AF_ALG, "AF_ALG"},         {40, "AF_VSOCK"}};
constexpr Name kSocketTypes[] = {{SOCK_STREAM, "SOCK_STREAM"},
                                 {SOCK_DGRAM, "SOCK_DGRAM"},
                                 {SOCK_RAW, "SOCK_RAW"},
                                 {SOCK_SEQPACKET, "SOCK_SEQPACKET"}};
constexpr Name kFcntls[] = {
    {F_DUPFD, "F_DUPFD"},
    {F_GETFD, "F_GETFD"},
    {F_SETFD, "F_SETFD"},
    {F_GETFL, "F_GETFL"},
    {F_SETFL, "F_SETFL"},
    {F_GETLK, "F_GETLK"},
    {F_SETLK, "F_SETLK"},
    {F_SETLKW, "F_SETLKW"},
    {F_SETOWN, "F_SETOWN"},
    {F_GETOWN, "F_GETOWN"},
    {F_SETSIG, "F_SETSIG"},
    {F_GETSIG, "F_GETSIG"},
    {F_SETOWN_EX, "F_SETOWN_EX"},
    {F_GETOWN_EX, "F_GETOWN_EX"},
    {F_OFD_GETLK, "F_OFD_GETLK"},
    {F_OFD_SETLK, "F_OFD_SETLK"},
    {F_OFD_SETLKW, "F_OFD_SETLKW"},
    {F_SETLEASE, "F_SETLEASE"},
    {F_GETLEASE, "F_GETLEASE"},
    {F_NOTIFY, "F_NOTIFY"},
    {F_DUPFD_CLOEXEC, "F_DUPFD_CLOEXEC"},
    {F_SETPIPE_SZ, "F_SETPIPE_SZ"},
    {F_GETPIPE_SZ, "F_GETPIPE_SZ"},
    {F_ADD_SEALS, "F_ADD_SEALS"},
    {F_GET_SEALS, "F_GET_SEALS"},
};
constexpr Name kIoctls[] = {
    {TCGETS, "TCGETS"},       {TCSETS, "TCSETS"},         {TCSETSW, "TCSETSW"},
    {TCSETSF, "TCSETSF"},     {TIOCGWINSZ, "TIOCGWINSZ"}, {TIOCSWINSZ, "TIOCSWINSZ"},
    {FIONREAD, "FIONREAD"},   {FIONBIO, "FIONBIO"},       {FIOCLEX, "FIOCLEX"},
    {FIONCLEX, "FIONCLEX"},   {TIOCGPGRP, "TIOCGPGRP"},   {TIOCSPGRP, "TIOCSPGRP"},
    {TIOCSTI, "TIOCSTI"},     {TIOCLINUX, "TIOCLINUX"},   {FIOASYNC, "FIOASYNC"},
    {FIOSETOWN, "FIOSETOWN"}, {TIOCSCTTY, "TIOCSCTTY"},   {TIOCNOTTY, "TIOCNOTTY"},
    {TIOCGSID, "TIOCGSID"},   {TIOCOUTQ, "TIOCOUTQ"},     {TIOCSETD, "TIOCSETD"},
};
constexpr Name kPrctls[] = {
    {PR_SET_PDEATHSIG, "PR_SET_PDEATHSIG"},
    {PR_GET_PDEATHSIG, "PR_GET_PDEATHSIG"},
    {PR_GET_DUMPABLE, "PR_GET_DUMPABLE"},
    {PR_SET_DUMPABLE, "PR_SET_DUMPABLE"},
    {PR_SET_NAME, "PR_SET_NAME"},
    {PR_GET_NAME, "PR_GET_NAME"},
    {PR_GET_SECCOMP, "PR_GET_SECCOMP"},
    {PR_SET_SECCOMP, "PR_SET_SECCOMP"},
    {PR_CAPBSET_READ, "PR_CAPBSET_READ"},
    {PR_SET_TIMERSLACK, "PR_SET_TIMERSLACK"},
    {PR_SET_MM, "PR_SET_MM"},
    {PR_SET_CHILD_SUBREAPER, "PR_SET_CHILD_SUBREAPER"},
    {PR_SET_NO_NEW_PRIVS, "PR_SET_NO_NEW_PRIVS"},
    {PR_GET_NO_NEW_PRIVS, "PR_GET_NO_NEW_PRIVS"},
    {PR_SET_SPECULATION_CTRL, "PR_SET_SPECULATION_CTRL"},
    {PR_SET_SYSCALL_USER_DISPATCH, "PR_SET_SYSCALL_USER_DISPATCH"},
    {PR_SET_PTRACER, "PR_SET_PTRACER"},
};

std::string hexadecimal(std::uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

std::string one_of(std::span<const Name> names, std::uint64_t value) {
  for (const Name& name : names) {
    if (name.value == value) return name.text;
  }
  return hexadecimal(value);
}

void append(std::string& text, std::string_view word) {
  if (!text.empty()) text += '|';
  text += word;
}

std::string bits(std::span<const Name> names, std::uint64_t value, std::string text = {}) {
  for (const Name& name : names) {
    if (name.value == 0 || (value & name.value) != name.value) continue;
    append(text, name.text);
    value &= ~name.value;
  }
  if (value != 0) append(text, hexadecimal(value));
  return text.empty() ? "0" : text;
}

std::string open_flags(std::uint64_t value) {
  constexpr const char* kModes[] = {"O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"};
  value &= 0xffffffff;
  const std::uint64_t rest = value & ~static_cast<std::uint64_t>(O_ACCMODE);
  std::string text = kModes[value & O_ACCMODE];
  return rest == 0 ? text : bits(kOpenBits, rest, std::move(text));
}

std::string clone_flags(std::uint64_t value) {
  std::string text = bits(kCloneBits, value & 0xffffff00);
  const int exit_signal = static_cast<int>(value & 0xff);
  if (exit_signal != 0) text += "|" + signal_name(exit_signal);
  return text;
}

std::string socket_type(std::uint64_t value) {
  const std::uint64_t flags = value & 0xffffffff & ~0xfULL;
  std::string text = one_of(kSocketTypes, value & 0xf);
  return flags == 0 ? text : bits(kSocketTypeBits, flags, std::move(text));
}

std::string octal(std::uint64_t value) {
  char text[16];
  std::snprintf(text, sizeof text, "0%o", static_cast<unsigned>(value));
  return text;
}

}  // namespace

bool is_symbolic(ArgumentKind kind) {
  switch (kind) {
    case kDirFd:
    case kHex:
    case kPointer:
      return true;
    default:
      return kind >= kSignal;
  }
}

bool is_text(ArgumentKind kind) { return kind == kPath || kind == kInBuffer || kind == kOutBuffer; }

std::string symbolic(ArgumentKind kind, std::uint64_t value) {
  const std::uint64_t low = value & 0xffffffff;
  switch (kind) {
    case kDirFd: {
      const int fd = static_cast<int>(low);
      return fd == AT_FDCWD ? "AT_FDCWD" : std::to_string(fd);
    }
    case kSignal:
      return signal_name(static_cast<int>(low));
    case kMode:
      return octal(value);
    case kWhence:
      return one_of(kWhences, low);
    case kResource:
      return one_of(kResources, low);
    case kOpenFlags:
      return open_flags(value);
    case kAtFlags:
      return bits(kAtBits, low);
    case kUnlinkFlags:
      return bits(kUnlinkBits, low);
    case kAccessMode:
      return low == F_OK ? "F_OK" : bits(kAccessBits, low);
    case kMmapProt:
      return low == PROT_NONE ? "PROT_NONE" : bits(kProtBits, low);
    case kMmapFlags:
      return bits(kMapBits, low);
    case kCloneFlags:
      return clone_flags(value);
    case kSocketDomain:
      return one_of(kDomains, low);
    case kSocketType:
      return socket_type(value);
    case kFcntl:
      return one_of(kFcntls, low);
    case kIoctl:
      return one_of(kIoctls, low);
    case kPrctl:
      return one_of(kPrctls, low);
    default:
      return hexadecimal(value);
  }
}

std::string errno_name(int error) {
  const char* name = strerrorname_np(error);
  return name != nullptr ? name : "errno_" + std::to_string(error);
}

std::string signal_name(int signal) {
  if (signal == 0) return "0";
  const char* name = sigabbrev_np(signal);
  if (name != nullptr) return std::string("SIG") + name;
  if (signal >= 34 && signal <= 64) return "SIGRT" + std::to_string(signal - 32);
  return "signal_" + std::to_string(signal);
}

}  // namespace vitrine::arch
