// What a handler sees of the run, and what it answers. Handlers know neither ptrace nor seccomp.
#pragma once

#include <sched.h>

#include <memory>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "core/call.h"
#include "core/decision.h"
#include "core/effect.h"
#include "core/limits.h"
#include "syscalls/socket_table.h"
#include "tracee/memory.h"
#include "tracee/task_table.h"
#include "vfs/filesystem.h"

namespace vitrine::syscalls {

// What the kernel keeps in fs_struct: shared by threads (CLONE_FS), copied by fork. The kernel's
// own stays at the root of the host; this one is the guest's.
struct FsContext {
  vfs::DirectoryRef working_directory;
  mode_t umask = 022;
};

// Which CPUs tasks see and may use. The real affinity may be narrower while the supervisor keeps a
// single-threaded program on its own CPU.
class AffinityControl {
 public:
  virtual ~AffinityControl() = default;
  virtual cpu_set_t visible(pid_t tid) const = 0;
  virtual Status choose(pid_t tid, const cpu_set_t& cpus) = 0;
};

// Budgets as handlers meet them: a refusal is noted, so that the report can name the budget.
class BudgetControl {
 public:
  virtual ~BudgetControl() = default;
  virtual const Limits& limits() const = 0;
  virtual std::uint64_t memory_used() = 0;  // bytes, measured now
  // Would `bytes` more keep within the budget? The kernel enforces the private part by itself
  // (RLIMIT_DATA); asking makes the refusal known.
  virtual bool private_memory_fits(pid_t tgid, std::uint64_t bytes) = 0;
  // The soft limit that the supervisor sets now for a resource (RLIMIT_DATA, RLIMIT_FSIZE) whose
  // limit follows what the tree holds; nullopt: it sets none.
  virtual std::optional<std::uint64_t> moving_limit(pid_t tgid, int resource) = 0;
  // The program wants such a limit to be no higher than this: what moves keeps below it.
  virtual void keep_limit_below(pid_t tgid, int resource, std::uint64_t soft) = 0;
  // What RLIMIT_FSIZE was set to by the program itself; UINT64_MAX: it was not.
  virtual std::uint64_t own_file_limit(pid_t tgid) const = 0;
  // Before a call is answered: what it made room for in scratch is there for the program's next.
  virtual void follow_scratch() = 0;
  virtual bool shared_memory_fits(std::uint64_t bytes) = 0;
  // Counts what the socket `fd` may hold in its buffers for as long as anybody has it open. False:
  // that does not fit, and the socket must not be granted.
  virtual bool admit_socket(int fd) = 0;
  // Counts a watch of epoll(7). They are the kernel's memory, of which it tells nobody, and outlive
  // the descriptors that they were made with: what was added is never taken for gone. False: all
  // together would be more than an eighth of the budget.
  virtual bool admit_watch() = 0;
  // A socket was connected to a listener whose abstract kernel name begins with `prefix`: the end
  // that accept(2) will give counts likewise.
  virtual void connection_made(const std::string& prefix) = 0;
  virtual void refused(std::string_view limit) = 0;  // "processes", "threads", "memory", "scratch"
  virtual Nanoseconds elapsed() const = 0;           // since the command started
};

struct Context {
  const DecodedCall& call;
  const tracee::Memory& memory;
  tracee::TaskTable& tasks;
  tracee::Task& task;
  FsContext& fs;
  vfs::FileSystem& files;
  AffinityControl& affinity;
  BudgetControl& budget;
  SocketTable& sockets;

  vfs::Caller caller() const { return {task.tid, task.tgid, fs.umask}; }
};

// A handler's answer: what is done, and the decision it stands for.
struct Answer {
  Effect effect;
  Decision decision;
};

using Handler = Answer (*)(Context&);

// The handler of a supervised call; nullptr: it has none (the row's disposition decides).
Handler find_handler(const arch::SyscallRow& row);

// --- the usual answers
Answer proceed();  // decided on registers alone
Answer serve(std::int64_t value = 0);
Answer serve_error(int error);  // as the kernel would fail: nothing was forbidden
Answer deny(int error, std::string rule = "default");

}  // namespace vitrine::syscalls
