#include "audit/log_filter.h"

#include <fnmatch.h>

#include <algorithm>

#include "arch/syscall_table.h"
#include "audit/escape.h"

namespace vitrine::audit {
namespace {

bool path_matches(const std::string& text, const std::string& glob) {
  const std::optional<Unescaped> path = unescape(text);
  return path && ::fnmatch(glob.c_str(), path->bytes.c_str(), 0) == 0;
}

bool any_path_matches(const Json& call, const std::string& glob) {
  if (path_matches(text_field(call, "resolved"), glob)) return true;
  const std::string syscall = text_field(call, "syscall");
  const Json* arguments = find_field(call, "args");
  if (arguments == nullptr || !arguments->is_object()) return false;
  for (const auto& [name, value] : arguments->items()) {
    if (!is_path_argument(syscall, name) || !value.is_string()) continue;
    if (path_matches(value.get_ref<const std::string&>(), glob)) return true;
  }
  return false;
}

}  // namespace

bool is_path_argument(std::string_view syscall, std::string_view name) {
  if (const arch::SyscallRow* row = arch::find_syscall(syscall)) {
    const auto found = std::ranges::find(row->arguments, name, &arch::Argument::name);
    if (found != row->arguments.end()) return found->kind == arch::kPath;
  }
  return name.ends_with("path") || name == "target" || name == "filename" || name == "pathname";
}

bool is_refused(std::string_view decision) { return decision == "deny" || decision == "kill"; }

bool LogFilter::matches(const LogLine& line) const {
  const bool about_calls = denied || !syscalls.empty() || path || decision;
  if (line.type == "start" || line.type == "end") return !about_calls && !pid && !since && !until;
  const Nanoseconds time = std::chrono::microseconds(count_field(line.json, "t_us"));
  if (since && time < *since) return false;
  if (until && time > *until) return false;
  if (pid && count_field(line.json, "pid") != *pid) return false;
  if (!about_calls) return true;
  return line.type == "syscall" && matches_call(line.json);
}

bool LogFilter::matches_call(const Json& call) const {
  const std::string name = text_field(call, "syscall");
  if (!syscalls.empty() && std::ranges::find(syscalls, name) == syscalls.end()) return false;
  const std::string decided = text_field(call, "decision");
  if (denied && !is_refused(decided)) return false;
  if (decision && decided != *decision) return false;
  return !path || any_path_matches(call, *path);
}

}  // namespace vitrine::audit
