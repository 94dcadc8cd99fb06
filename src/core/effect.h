// How a supervised call ends. A handler returns one; Interceptor::apply performs it.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/unique_fd.h"

namespace vitrine {

// The kernel performs the call. Only for decisions that rest on register values alone: whatever a
// pointer names can be changed by a sibling thread until the kernel reads it.
struct Continue {};
// The call returns `value`. Memory the call declares as output has been written already.
struct Return {
  std::int64_t value = 0;
};
// The call fails with `error` (a positive errno).
struct FailWith {
  int error = 0;
};
// The call returns the number under which `fd` was put into the task's descriptor table.
struct InstallFd {
  UniqueFd fd;
  bool close_on_exec = false;
};
// The task executes `program`, an opened file: execveat(2) of a descriptor. Which program really
// was executed is verified behind it, before its first instruction.
struct Execute {
  UniqueFd program;
  std::string path;        // guest path, for the record
  std::string name;        // what the process is called from then on; "": the kernel decides
  std::uint64_t argv = 0;  // guest addresses, as the program gave them
  std::uint64_t envp = 0;
  // A script: its interpreter's arguments stand before the program's own, whose first is replaced.
  std::vector<std::string> leading_arguments;
  std::vector<std::uint64_t> further_arguments;  // guest addresses of argv[1], argv[2], ...
};
// The call, an mmap(2) of anonymous memory, maps `file` instead: at the address, with the length,
// the protection and the other flags that it asked for. The program keeps no descriptor.
struct MapFile {
  UniqueFd file;
};
// Both descriptors are put into the task's table and their numbers stored as int[2] at `address`;
// the call returns 0. Or neither is, and the call fails.
struct InstallPair {
  UniqueFd first;
  UniqueFd second;
  bool close_on_exec = false;
  std::uint64_t address = 0;
};
// The call waits: it is decided again later. Never reaches an interceptor.
struct Wait {};
// The call ends as one that waits in the kernel does when something is pending for its task: with
// EINTR where a handler without SA_RESTART runs, and is entered again otherwise (signal(7)).
struct Restart {};
// Ends the run.
struct Kill {
  std::string reason;
};

using Effect = std::variant<Continue, Return, FailWith, InstallFd, InstallPair, MapFile, Execute,
                            Wait, Restart, Kill>;

// What applying an effect gave: the call's result as the program sees it.
struct Outcome {
  std::int64_t result = 0;  // >= 0, or -errno; 0 for Continue (its result is not seen)
  bool known = true;        // false: Continue, Execute
  bool delivered = true;    // false: the task was gone or was interrupted before the answer
};

inline constexpr std::int64_t kRestartSys = -512;  // ERESTARTSYS, include/linux/errno.h
// ERESTARTNOINTR: the task enters its call again, behind every handler.
inline constexpr std::int64_t kRestartNoInterrupt = -513;

// What a task is given for `value`. -512 to -516 are the kernel's own restart codes: a task that
// returned one would restart its call or leak the number (include/linux/errno.h).
constexpr std::int64_t result_for_task(std::int64_t value) {
  constexpr std::int64_t kFirst = kRestartSys;
  constexpr std::int64_t kLast = -516;
  constexpr std::int64_t kInputOutputError = -5;  // -EIO
  return value <= kFirst && value >= kLast ? kInputOutputError : value;
}

}  // namespace vitrine
