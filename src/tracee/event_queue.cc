#include "tracee/event_queue.h"

#include <algorithm>

namespace vitrine::tracee {
namespace {

bool is_end(const TaskEvent& event) {
  return event.kind == TaskEvent::Kind::kExited || event.kind == TaskEvent::Kind::kKilled;
}

}  // namespace

Result<std::optional<TaskEvent>> EventQueue::next(std::size_t tasks) {
  if (stops_.empty()) {
    do {
      Result<std::optional<TaskEvent>> event = source_();
      if (!event && stops_.empty()) return event;
      if (!event || !*event) break;
      if (is_end(**event)) {
        std::erase_if(stops_, [&](const TaskEvent& stop) { return stop.tid == (*event)->tid; });
        return event;
      }
      stops_.push_back(**event);
    } while (stops_.size() < tasks);
  }
  if (stops_.empty()) return std::nullopt;
  const TaskEvent first = stops_.front();
  stops_.pop_front();
  return first;
}

}  // namespace vitrine::tracee
