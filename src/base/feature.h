// Features of newer kernels, and of most places, each of which has something to fall back on.
//
// A test aid: the features that the caller's VITRINE_TEST_ABSENT names (a comma-separated list)
// count as absent, so that what is fallen back on runs on a kernel that has them. Of no use
// otherwise: it can only take away.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vitrine {

enum class Feature : std::uint8_t {
  kAddfdSend,         // SECCOMP_ADDFD_FLAG_SEND, Linux 5.14
  kCloseRange,        // close_range(2), 5.9
  kFaccessat2,        // faccessat2(2), 5.8
  kGetSyscallInfo,    // PTRACE_GET_SYSCALL_INFO, 5.3
  kLandlock,          // landlock(7), 5.13
  kListener,          // SECCOMP_FILTER_FLAG_NEW_LISTENER, 5.0
  kNamelessFolder,    // a tmpfs of the host's that can be written
  kOpenat2,           // openat2(2), 5.6
  kPidfd,             // pidfd_open(2), 5.3
  kProcMem,           // /proc/PID/mem
  kProcessVm,         // process_vm_readv(2)
  kSeccomp,           // seccomp(2)
  kStatx,             // statx(2), 4.11; engines of 2018 refuse it with EPERM
  kSyncWakeUp,        // SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP, 6.6
  kTimerFd,           // timerfd_create(2): refused by some filters
  kWaitKillableRecv,  // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, 5.19
};

inline constexpr std::array<std::string_view, 16> kFeatureNames{
    "addfd_send",      "close_range",  "faccessat2", "get_syscall_info",  "landlock",   "listener",
    "nameless_folder", "openat2",      "pidfd",      "proc_mem",          "process_vm", "seccomp",
    "statx",           "sync_wake_up", "timerfd",    "wait_killable_recv"};

// Whether a test takes it away. The variable is read once; after that this is safe in a child
// between fork and exec.
bool is_taken_away(Feature feature);

// For system call wrappers: true, with errno set to `error`, when the feature is taken away.
bool fails_as_absent(Feature feature, int error);

}  // namespace vitrine
