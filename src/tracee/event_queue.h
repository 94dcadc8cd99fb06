// The reports of all tracees, each in its turn. wait4(2) gives them in the order of a list: tasks
// at its head that stop again as soon as they have been resumed would be the only ones ever heard
// of.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <optional>
#include <utility>

#include "base/result.h"
#include "tracee/ptrace.h"

namespace vitrine::tracee {

class EventQueue {
 public:
  using Source = std::function<Result<std::optional<TaskEvent>>()>;
  explicit EventQueue(Source source = next_task_event) : source_(std::move(source)) {}

  // The next report, if there is one now; errors as next_task_event() has them. Stops come in
  // rounds: all that stand stopped, before any that has been resumed stops again. An end comes at
  // once, as its number is free from now on, and takes the task's stops with it.
  // `tasks`: how many there are at most, each of which stands in one stop at a time.
  Result<std::optional<TaskEvent>> next(std::size_t tasks);

 private:
  Source source_;
  std::deque<TaskEvent> stops_;
};

}  // namespace vitrine::tracee
