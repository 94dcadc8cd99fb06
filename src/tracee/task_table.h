// TaskTable: every live task of the tree, and how it came to be.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace vitrine::tracee {

struct Task {
  pid_t tid = 0;
  pid_t tgid = 0;
  pid_t parent = 0;         // tgid of the process that created this one; 0: the supervisor
  std::int64_t number = 0;  // in records: by appearance, 1 is the first task
  std::int64_t process_number = 0;
  // A clone that was let through and whose child has not been seen: it counts against the limits.
  bool clone_pending = false;
  bool clone_is_thread = false;
  UniqueFd descriptors;  // "/proc/TID/fd", opened when first needed
  // Another for each task and each program that it executes: a stop of one is not to be answered
  // in the other, which has the same tid when a thread executed (ptrace(2)).
  std::uint64_t image = 0;
};

class TaskTable {
 public:
  // The first process, seized by the launcher.
  Task& add_first(pid_t pid);
  // A task that the kernel attached. Its thread group and parent come from /proc/TID/status and not
  // from the parent's event, which may be late or, when the parent is killed, never come.
  Result<Task*> add_new(pid_t tid);
  // The task's `image`; 0 for one that is not known.
  std::uint64_t image_of(pid_t tid) const;
  Task* find(pid_t tid);
  const Task* find(pid_t tid) const;
  void remove(pid_t tid);
  // exec by `former` made it the leader: all other tasks of the group are gone (ptrace(2)).
  void collapse_to_leader(pid_t tgid, pid_t former);

  bool empty() const { return tasks_.empty(); }
  std::size_t thread_count() const { return tasks_.size(); }
  std::size_t process_count() const { return process_sizes_.size(); }
  std::size_t pending_threads() const;  // clones let through, not yet seen
  std::size_t pending_processes() const;
  std::size_t peak_threads() const { return peak_threads_; }
  std::size_t peak_processes() const { return peak_processes_; }
  bool is_process(pid_t tgid) const { return process_sizes_.contains(tgid); }
  std::size_t threads_of(pid_t tgid) const;
  // A process of this run that has ended (the last few thousand are remembered).
  bool was_process(pid_t pid) const { return former_.contains(pid); }
  // Processes that have ended and that their parents have not waited for: an upper bound, exact
  // from `enough` on.
  std::size_t zombies(std::size_t enough);
  std::vector<pid_t> processes() const;
  std::vector<pid_t> threads(pid_t tgid) const;

  // An open "/proc/TID/fd", kept with the task.
  static Result<int> descriptors_of(Task& task);

 private:
  Task& insert(pid_t tid, pid_t tgid, pid_t parent);

  std::unordered_map<pid_t, Task> tasks_;
  std::map<pid_t, std::size_t> process_sizes_;  // tgid -> live tasks
  std::unordered_set<pid_t> former_;
  std::vector<pid_t> unwaited_;  // ended processes that were still there when last looked at
  std::map<pid_t, std::int64_t> process_numbers_;
  std::int64_t next_number_ = 1;
  std::uint64_t next_image_ = 1;
  std::size_t peak_threads_ = 0;
  std::size_t peak_processes_ = 0;
};

}  // namespace vitrine::tracee
