#include "tracee/task_table.h"

#include <fcntl.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tracee/proc_status.h"
#include "tracee/usage.h"

namespace vitrine::tracee {
namespace {

constexpr std::size_t kFormerRemembered = 8192;

}  // namespace

Task& TaskTable::insert(pid_t tid, pid_t tgid, pid_t parent) {
  auto [position, fresh] = tasks_.try_emplace(tid);
  Task& task = position->second;
  if (!fresh) return task;
  task.tid = tid;
  task.tgid = tgid;
  task.parent = parent;
  task.number = next_number_++;
  task.image = next_image_++;
  task.process_number = process_numbers_.try_emplace(tgid, task.number).first->second;
  ++process_sizes_[tgid];
  peak_threads_ = std::max(peak_threads_, tasks_.size());
  peak_processes_ = std::max(peak_processes_, process_sizes_.size());
  return task;
}

Task& TaskTable::add_first(pid_t pid) { return insert(pid, pid, 0); }

Result<Task*> TaskTable::add_new(pid_t tid) {
  if (Task* known = find(tid)) return known;
  Result<ProcStatus> status = read_proc_status(tid);
  if (!status) return tl::make_unexpected(status.error());
  // Its end may have been taken before its parent's event came: it would stay in the table for
  // ever.
  if (has_ended(tid)) return fail_task_gone("a new task");
  return &insert(tid, status->tgid, status->ppid);
}

std::uint64_t TaskTable::image_of(pid_t tid) const {
  const Task* task = find(tid);
  return task == nullptr ? 0 : task->image;
}

Task* TaskTable::find(pid_t tid) {
  const auto position = tasks_.find(tid);
  return position == tasks_.end() ? nullptr : &position->second;
}

const Task* TaskTable::find(pid_t tid) const { return const_cast<TaskTable*>(this)->find(tid); }

void TaskTable::remove(pid_t tid) {
  const auto position = tasks_.find(tid);
  if (position == tasks_.end()) return;
  const pid_t tgid = position->second.tgid;
  tasks_.erase(position);
  const auto size = process_sizes_.find(tgid);
  if (--size->second == 0) {
    process_sizes_.erase(size);
    process_numbers_.erase(tgid);
    if (former_.size() >= kFormerRemembered) former_.clear();
    former_.insert(tgid);
    unwaited_.push_back(tgid);
  }
}

void TaskTable::collapse_to_leader(pid_t tgid, pid_t former) {
  Task* leader = find(tgid);
  if (leader == nullptr) leader = &insert(tgid, tgid, 0);
  leader->clone_pending = false;
  leader->image = next_image_++;
  leader->descriptors.reset();  // exec gave the process a table of its own
  if (former != 0 && former != tgid) remove(former);
}

// A number that another process has by now counts until that one ends as well: too many, not too
// few.
std::size_t TaskTable::zombies(std::size_t enough) {
  if (unwaited_.size() < enough) return unwaited_.size();
  std::erase_if(unwaited_, [this](pid_t pid) { return is_process(pid) || ::kill(pid, 0) != 0; });
  return unwaited_.size();
}

std::size_t TaskTable::pending_threads() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(tasks_, [](const auto& entry) { return entry.second.clone_pending; }));
}

std::size_t TaskTable::pending_processes() const {
  return static_cast<std::size_t>(std::ranges::count_if(tasks_, [](const auto& entry) {
    return entry.second.clone_pending && !entry.second.clone_is_thread;
  }));
}

std::size_t TaskTable::threads_of(pid_t tgid) const {
  const auto size = process_sizes_.find(tgid);
  return size == process_sizes_.end() ? 0 : size->second;
}

std::vector<pid_t> TaskTable::processes() const {
  std::vector<pid_t> all;
  all.reserve(process_sizes_.size());
  for (const auto& [tgid, size] : process_sizes_) all.push_back(tgid);
  return all;
}

std::vector<pid_t> TaskTable::threads(pid_t tgid) const {
  std::vector<pid_t> all;
  for (const auto& [tid, task] : tasks_) {
    if (task.tgid == tgid) all.push_back(tid);
  }
  std::ranges::sort(all);
  return all;
}

Result<int> TaskTable::descriptors_of(Task& task) {
  if (!task.descriptors) {
    char path[48];
    std::snprintf(path, sizeof path, "/proc/%d/fd", task.tid);
    task.descriptors.reset(::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!task.descriptors) return fail_errno(path);
  }
  return task.descriptors.get();
}

}  // namespace vitrine::tracee
