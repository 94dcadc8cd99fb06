// Fields of /proc/TID/status (proc(5)) that decide something.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace vitrine::tracee {

struct ProcStatus {
  pid_t tgid = 0;
  pid_t ppid = 0;
  uid_t uid = 0;  // real
  gid_t gid = 0;
  int no_new_privs = -1;             // -1: the kernel does not say
  int seccomp_mode = -1;             // 2: filter
  int seccomp_filters = -1;          // Linux 5.9
  std::uint64_t rss_anonymous = 0;   // bytes
  std::uint64_t rss_shared = 0;      // bytes; shared memory that this task has touched
  std::uint64_t swap = 0;            // bytes
  std::uint64_t page_tables = 0;     // bytes
  std::uint64_t mapped = 0;          // bytes; VmSize
  std::uint64_t mapped_peak = 0;     // bytes; VmPeak
  std::uint64_t data = 0;            // bytes; VmData: private and writable
  std::uint64_t capabilities = 0;    // CapPrm | CapEff | CapInh | CapAmb
  std::uint64_t caught_signals = 0;  // SigCgt: bit N-1 is signal N
  std::uint64_t ignored_signals = 0;
  std::uint64_t blocked_signals = 0;
  std::uint64_t pending_signals = 0;  // of the task and of its process
};

// The arguments a process was executed with, as the kernel copied them (/proc/PID/cmdline);
// bounded.
std::vector<std::string> command_line(pid_t tgid);
// What the kernel calls the task (/proc/TID/comm); "" where that cannot be read.
std::string task_name(pid_t tid);

// Whether a signal is pending that takes the task out of a call it waits in. Not one that is
// ignored, by the program or (SIGCHLD, SIGCONT, SIGURG, SIGWINCH) by default (signal(7)).
bool is_interrupted(pid_t tid);

// kTaskGone when there is no such task.
Result<ProcStatus> read_proc_status(pid_t tid);

}  // namespace vitrine::tracee
