// Meter: what the tree has used so far, measured from the kernel's own accounts.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <unordered_map>

#include "limits/budget.h"
#include "limits/socket_buffers.h"
#include "tracee/task_table.h"
#include "tracee/usage.h"
#include "vfs/filesystem.h"

namespace vitrine::supervisor {

class Meter {
 public:
  Meter(const tracee::TaskTable& tasks, vfs::FileSystem& files) : tasks_(tasks), files_(files) {}

  limits::Measured measure();
  // Bytes that the program may still come to hold without asking: shared mappings that were not
  // touched yet, buffers of its sockets. Beside what measure() saw.
  std::uint64_t promised() const { return held_.promised + sockets_.promised(); }
  // Counts a socket that is about to be granted.
  Status socket_granted(int fd) { return sockets_.add(fd); }
  void connection_made(const std::string& prefix) { sockets_.add_accepted(prefix); }
  // Bytes held, or promised, outside the private memory of `tgid`: what its RLIMIT_DATA has to
  // leave room for.
  std::uint64_t held_elsewhere(pid_t tgid) const;
  // A process was reaped; `usage` is wait4's, which holds the children it waited for as well.
  void process_ended(pid_t tgid, pid_t parent, const rusage& usage);

  Nanoseconds cpu_user() const { return dead_user_; }
  Nanoseconds cpu_system() const { return dead_system_; }
  std::uint64_t memory_peak() const { return memory_peak_; }

 private:
  Nanoseconds sample_cpu();
  std::uint64_t sample_memory();
  Result<tracee::MemoryUse> memory_of(pid_t tgid) const;

  struct Process {
    Nanoseconds cpu{};       // last seen on its own clock
    Nanoseconds children{};  // of dead children, theirs included
    std::uint64_t anonymous = 0;
  };

  const tracee::TaskTable& tasks_;
  vfs::FileSystem& files_;
  std::unordered_map<pid_t, Process> processes_;
  Nanoseconds dead_user_{};
  Nanoseconds dead_system_{};
  limits::SocketBuffers sockets_;
  vfs::FileSystem::MemoryHeld held_;
  std::uint64_t scratch_ = 0;
  std::uint64_t shared_ = 0;
  std::uint64_t memory_peak_ = 0;
};

}  // namespace vitrine::supervisor
