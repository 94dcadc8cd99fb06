// What a whole log says, gathered in one pass and bounded memory: the base of `vitrine log summary`
// and of the HTML page. Texts are as the log has them, made printable (escape.h).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "audit/log_reader.h"

namespace vitrine::audit {

struct CallTotals {
  std::uint64_t calls = 0;
  std::uint64_t errors = 0;
  std::uint64_t denied = 0;
  std::uint64_t took_ns = 0;
};

// How often a path was named, by what came of it.
struct FileTotals {
  std::uint64_t looked = 0;   // stat, access, readlink, ...
  std::uint64_t read = 0;     // opened for reading only
  std::uint64_t written = 0;  // opened for writing, created, renamed, removed, ...
  std::uint64_t run = 0;
  std::uint64_t absent = 0;   // failed, but not refused
  std::uint64_t refused = 0;  // denied or killed
};

struct DenialKey {
  std::string syscall;
  std::string target;
  std::string error;
  std::string rule;
  auto operator<=>(const DenialKey&) const = default;
};
struct DenialTotals {
  std::uint64_t count = 0;
  std::uint64_t first_us = 0;
  std::string where;  // of the first that has one
};

struct ProcessTotals {
  std::uint64_t pid = 0;
  std::uint64_t threads = 1;
  std::string program;  // of the last exec
  std::string end;      // "exited with 0", "killed by signal 9", "" unknown
};

// What a run had used at a moment, in bounded number: where there are more, every second is left
// out, and again.
struct UsageSample {
  std::uint64_t time_us = 0;
  std::uint64_t cpu_us = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t output_bytes = 0;
  std::uint64_t processes = 0;
  std::uint64_t threads = 0;
};

class LogSummary {
 public:
  static constexpr std::size_t kMaxSamples = 2048;

  void add(const LogLine& line);

  const std::map<std::string, CallTotals>& calls() const { return calls_; }
  const std::map<std::string, FileTotals>& files() const { return files_; }
  const std::map<DenialKey, DenialTotals>& denials() const { return denials_; }
  const std::map<std::uint64_t, ProcessTotals>& processes() const { return processes_; }
  const std::vector<UsageSample>& samples() const { return samples_; }
  const Json& start() const { return start_; }  // null if the log has none
  const Json& end() const { return end_; }
  std::uint64_t events() const { return events_; }
  std::uint64_t last_us() const { return last_us_; }
  std::uint64_t not_listed() const { return not_listed_; }  // additions that no longer fitted

 private:
  void add_call(const Json& call);
  void add_files(const Json& call, const std::string& name, bool refused, bool failed);
  void add_denial(const Json& call);
  void add_process(const Json& event);
  void add_sample(const Json& event);
  bool has_room(std::size_t bytes);
  template <typename Map, typename Key>
  typename Map::mapped_type* entry(Map& map, const Key& key, std::size_t bytes);

  std::map<std::string, CallTotals> calls_;
  std::map<std::string, FileTotals> files_;
  std::map<DenialKey, DenialTotals> denials_;
  std::map<std::uint64_t, ProcessTotals> processes_;
  std::vector<UsageSample> samples_;
  std::uint64_t samples_seen_ = 0;
  std::uint64_t sample_stride_ = 1;
  Json start_;
  Json end_;
  std::uint64_t events_ = 0;
  std::uint64_t last_us_ = 0;
  std::uint64_t not_listed_ = 0;
  std::uint64_t bytes_ = 0;  // of the maps' texts
};

// The first path a call names, or what else it names; "" where it names nothing.
std::string call_target(const Json& call);

// What the call's path led to, where the log says so; else its path arguments, but for the empty
// one of AT_EMPTY_PATH. Escaped, as the log has them.
std::vector<std::string> call_paths(const Json& call);
// Creates, opens for writing, renames, removes, ...
bool writes_files(const Json& call);

std::string summary_text(const LogSummary& summary);
Json summary_json(const LogSummary& summary);

}  // namespace vitrine::audit
