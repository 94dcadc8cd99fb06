// Launcher: turns a fork of the supervisor into the supervised command. Every step of the child is
// checked; a failed one ends it before anything of the command has run.
//
// Order (design: start-up of the supervised process): seized by ptrace; new session; unprivileged
// identity; no_new_privs; Landlock; rlimits; the seccomp filter; own descriptors only; execveat of
// an opened program.
//
// The listener reaches the supervisor without a socket and without pidfd_getfd(2) (which default
// container profiles refuse): parent and child share one descriptor table (CLONE_FILES) until the
// filter is installed; then the child leaves it with CLOSE_RANGE_UNSHARE. Linux 5.9 has that, user
// notification that installs descriptors at once needs 5.14.
#pragma once

#include <linux/filter.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace vitrine::supervisor {

struct LaunchPlan {
  std::vector<sock_filter> filter;  // empty: the backend uses none
  bool listener = false;            // supervised calls come by user notification
  int program = -1;                 // opened; not owned
  std::vector<std::string> argv;
  std::vector<std::string> environment;  // "NAME=VALUE"
  std::array<int, 3> stdio{-1, -1, -1};  // descriptors above 2 that become 0, 1, 2; not owned
  int terminal = -1;                     // becomes the controlling terminal; -1: none
  std::vector<int> pass_fds;
  std::optional<uid_t> drop_to;                // uid and gid, when started as root
  bool share_identity = false;                 // the supervisor takes on drop_to as well
  int landlock_ruleset = -1;                   // -1: the kernel has none
  int channel = -1;                            // the command's end of the descriptor channel
  bool stop_every_call = false;                // the command's exec is the first call to be stopped
  std::vector<std::pair<int, rlimit>> limits;  // RLIMIT_*, value
};

struct Launched {
  pid_t pid = -1;
  UniqueFd listener;
  UniqueFd failures;  // readable: a failed step (read_failure); closed by the child's exec
  // The other end, which the child has no copy of while it shares our table.
  UniqueFd reports;
};

// Forks, seizes and prepares the child up to its execveat, which waits for the interceptor's answer
// when there is a filter. The supervisor becomes undumpable. All signals must be blocked.
Result<Launched> launch(const LaunchPlan& plan);

// Kills and reaps a launched child whose run cannot go on.
void abandon(pid_t pid);

// What the child reported before it gave up; nullopt: nothing (it was killed).
struct LaunchFailure {
  const char* step;
  int error;
};
std::optional<LaunchFailure> read_failure(int failures);

}  // namespace vitrine::supervisor
