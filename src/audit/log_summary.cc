#include "audit/log_summary.h"

#include <algorithm>
#include <array>

#include "audit/escape.h"
#include "audit/log_filter.h"
#include "audit/log_show.h"

namespace vitrine::audit {
namespace {

// A hostile program can name as many paths as the log holds.
constexpr std::size_t kMaxEntries = 100000;
constexpr std::uint64_t kMaxTextBytes = 32 << 20;

enum class Use { kLook, kRead, kWrite, kRun };

template <std::size_t Size>
bool is_one_of(std::string_view name, const std::array<std::string_view, Size>& names) {
  return std::ranges::find(names, name) != names.end();
}

Use use_of(std::string_view syscall, std::string_view flags) {
  constexpr std::array<std::string_view, 21> kChanging = {
      "creat",    "mkdir",     "mkdirat",   "rmdir",  "unlink",  "unlinkat",  "rename",
      "renameat", "renameat2", "link",      "linkat", "symlink", "symlinkat", "truncate",
      "chmod",    "fchmodat",  "fchmodat2", "mknod",  "mknodat", "utimensat", "chown"};
  constexpr std::array<std::string_view, 3> kOpening = {"open", "openat", "openat2"};
  if (syscall.starts_with("execve")) return Use::kRun;
  if (is_one_of(syscall, kChanging)) return Use::kWrite;
  if (!is_one_of(syscall, kOpening)) return Use::kLook;
  for (const std::string_view word : {"O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"}) {
    if (flags.find(word) != std::string_view::npos) return Use::kWrite;
  }
  return Use::kRead;
}

std::uint64_t& counter(FileTotals& file, Use use) {
  switch (use) {
    case Use::kLook:
      return file.looked;
    case Use::kRead:
      return file.read;
    case Use::kWrite:
      return file.written;
    case Use::kRun:
      break;
  }
  return file.run;
}

std::string bounded_text(const Json& object, std::string_view name) {
  return printable_bounded(text_field(object, name));
}

}  // namespace

std::vector<std::string> call_paths(const Json& call) {
  std::vector<std::string> paths;
  if (std::string resolved = text_field(call, "resolved"); !resolved.empty()) {
    return {std::move(resolved)};
  }
  const std::string syscall = text_field(call, "syscall");
  const Json* arguments = find_field(call, "args");
  if (arguments == nullptr || !arguments->is_object()) return paths;
  for (const auto& [name, value] : arguments->items()) {
    if (!is_path_argument(syscall, name) || !value.is_string()) continue;
    const auto& path = value.get_ref<const std::string&>();
    if (!path.empty()) paths.push_back(path);
  }
  return paths;
}

bool writes_files(const Json& call) {
  const Json* arguments = find_field(call, "args");
  const std::string flags = arguments == nullptr ? "" : text_field(*arguments, "flags");
  return use_of(text_field(call, "syscall"), flags) == Use::kWrite;
}

std::string call_target(const Json& call) {
  const std::vector<std::string> paths = call_paths(call);
  return paths.empty() ? "" : printable_bounded(paths.front());
}

void LogSummary::add(const LogLine& line) {
  if (line.type == "start") {
    start_ = line.json;
    return;
  }
  if (line.type == "end") {
    end_ = line.json;
    return;
  }
  ++events_;
  last_us_ = std::max(last_us_, count_field(line.json, "t_us"));
  if (line.type == "syscall") add_call(line.json);
  if (line.type == "process") add_process(line.json);
  if (line.type == "limit" && text_field(line.json, "event") == "sample") add_sample(line.json);
}

void LogSummary::add_sample(const Json& event) {
  if (samples_seen_++ % sample_stride_ != 0) return;
  samples_.push_back({count_field(event, "t_us"), count_field(event, "cpu_us"),
                      count_field(event, "memory_bytes"), count_field(event, "output_bytes"),
                      count_field(event, "processes"), count_field(event, "threads")});
  if (samples_.size() < kMaxSamples) return;
  for (std::size_t i = 1; 2 * i < samples_.size(); ++i) samples_[i] = samples_[2 * i];
  samples_.resize(samples_.size() / 2);
  sample_stride_ *= 2;
}

bool LogSummary::has_room(std::size_t bytes) {
  if (bytes_ + bytes > kMaxTextBytes) return false;
  bytes_ += bytes;
  return true;
}

// The entry of `key`, whose texts have so many bytes, or nullptr, which is counted.
template <typename Map, typename Key>
typename Map::mapped_type* LogSummary::entry(Map& map, const Key& key, std::size_t bytes) {
  if (const auto found = map.find(key); found != map.end()) return &found->second;
  if (map.size() < kMaxEntries && has_room(bytes)) return &map[key];
  ++not_listed_;
  return nullptr;
}

void LogSummary::add_call(const Json& call) {
  const std::string name = bounded_text(call, "syscall");
  const Json* result = find_field(call, "result");
  const bool failed = find_field(call, "errno") != nullptr ||
                      (result != nullptr && result->is_number_integer() && *result < 0);
  const bool refused = is_refused(text_field(call, "decision"));
  if (CallTotals* totals = entry(calls_, name, name.size())) {
    ++totals->calls;
    totals->errors += failed ? 1 : 0;
    totals->denied += refused ? 1 : 0;
    totals->took_ns += count_field(call, "took_ns");
  }
  add_files(call, name, refused, failed);
  if (refused) add_denial(call);
}

void LogSummary::add_files(const Json& call, const std::string& name, bool refused, bool failed) {
  const Json* arguments = find_field(call, "args");
  const std::string flags = arguments == nullptr ? "" : text_field(*arguments, "flags");
  for (const std::string& text : call_paths(call)) {
    const std::string path = printable_bounded(text);
    FileTotals* file = entry(files_, path, path.size());
    if (file == nullptr) continue;
    if (refused) {
      ++file->refused;
    } else if (failed) {
      ++file->absent;
    } else {
      ++counter(*file, use_of(name, flags));
    }
  }
}

void LogSummary::add_denial(const Json& call) {
  const DenialKey key{bounded_text(call, "syscall"), call_target(call), bounded_text(call, "errno"),
                      bounded_text(call, "rule")};
  DenialTotals* denial = entry(
      denials_, key, key.syscall.size() + key.target.size() + key.error.size() + key.rule.size());
  if (denial == nullptr) return;
  if (denial->count++ == 0) denial->first_us = count_field(call, "t_us");
  if (!denial->where.empty()) return;
  std::string where = bounded_text(call, "where");
  if (has_room(where.size())) denial->where = std::move(where);
}

void LogSummary::add_process(const Json& event) {
  const std::uint64_t pid = count_field(event, "pid");
  ProcessTotals* process = entry(processes_, pid, 0);
  if (process == nullptr) return;
  process->pid = pid;
  const std::string what = text_field(event, "event");
  if (what == "thread") ++process->threads;
  if (what == "exec") {
    std::string program = bounded_text(event, "program");
    const std::size_t known = process->program.size();
    if (program.size() <= known || has_room(program.size() - known)) {
      process->program = std::move(program);
    } else {
      ++not_listed_;
    }
  }
  if (what != "exit" || count_field(event, "tid", pid) != pid) return;
  process->end = readable_exit(event);
}

}  // namespace vitrine::audit
