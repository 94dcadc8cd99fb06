// AuditSink: where the dispatcher writes what happened. One record a supervised call, made from the
// event, the decision, the effect and the result, and from nothing read a second time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "core/decision.h"
#include "core/report.h"
#include "core/sighting.h"

namespace vitrine::audit {

enum class Level { kDenied, kMediated, kAll };

// A decoded argument: a number, a symbolic form made by vitrine ("O_RDONLY|O_CLOEXEC"), or bytes
// the program wrote (a path), which are escaped reversibly.
struct Symbol {
  std::string text;
};
struct Bytes {
  std::string bytes;
};
using ArgumentValue = std::variant<std::int64_t, std::uint64_t, Symbol, Bytes>;
using Argument = std::pair<std::string_view, ArgumentValue>;  // name (static storage), value

// pid and tid in records are the run's own numbering: 1 is the first process, then by appearance.
struct SyscallRecord {
  Nanoseconds time{};  // since the start of the run
  std::int64_t pid = 0;
  std::int64_t tid = 0;
  std::string_view syscall;  // static storage, or "syscall_NNN"
  std::vector<Argument> arguments;
  // The guest path that the call's one path argument led to: absolute, links followed. "" where it
  // named none, or several.
  std::string_view resolved;
  std::span<const Sighting> sightings;  // of the lookups of this call, in order
  Decision decision;
  std::optional<std::int64_t> result;  // as the program sees it: >= 0 or -errno; nullopt: not seen
  std::string_view where;              // "script.py:12" or ""
  std::optional<Nanoseconds> took;  // from the call's arrival to its answer; nullopt: not measured
};

struct ProcessRecord {
  Nanoseconds time{};
  std::int64_t pid = 0;
  std::int64_t tid = 0;
  enum class Event { kStart, kExec, kThread, kExit } event = Event::kStart;
  std::int64_t host_pid = 0;      // kStart, kThread
  std::string program;            // kExec: guest path (raw bytes)
  std::vector<std::string> argv;  // kExec (raw bytes, bounded by the writer)
  std::optional<int> exit_code;   // kExit
  std::optional<int> signal;      // kExit
};

struct SignalRecord {
  Nanoseconds time{};
  std::int64_t pid = 0;
  std::int64_t tid = 0;
  int signal = 0;
  bool fatal = false;
};

struct LimitRecord {
  Nanoseconds time{};
  std::string_view limit;  // "wall", "cpu", "memory", "output", "processes", "threads", "scratch"
  bool ended = false;      // the run was ended; otherwise an allocation or call was refused
  // Microseconds, bytes, or a count.
  std::uint64_t used = 0;
  std::uint64_t allowed = 0;
};

// What the tree has used up to then; taken now and then.
struct SampleRecord {
  Nanoseconds time{};
  Nanoseconds cpu{};
  std::uint64_t memory_bytes = 0;  // now
  std::uint64_t output_bytes = 0;
  std::uint64_t processes = 0;  // now
  std::uint64_t threads = 0;    // now
};

struct StartRecord {
  std::string version;
  std::vector<std::string> argv;                              // the command's (raw bytes)
  std::vector<std::pair<std::string, std::string>> profiles;  // name, sha256 of its file
  std::string backend;
  std::string level;
  std::string kernel;  // uname -r
  Limits limits;
  std::uint64_t scratch_bytes = 0;
  std::string utc;  // "2026-01-02T03:04:05.678Z"
};

// Not thread-safe: one thread (the event loop's) calls everything here.
class AuditSink {
 public:
  virtual ~AuditSink() = default;
  virtual Level level() const = 0;
  // Whether records should say what lookups came by; it costs a copy of each path.
  virtual bool wants_lookups() const = 0;
  // Starts the thread that writes, so that a stalled reader of the log cannot stall the supervisor.
  // Called once, after the supervised child was forked (threads and fork do not mix); until then
  // records wait in memory. Without it, finish() writes everything.
  virtual void start() {}
  // For the event loop's idle moments; cheap enough for every one of them: what waits reaches the
  // file within 100 ms, and that bounds what a crash of the supervisor loses.
  virtual void flush() {}
  virtual void write(const StartRecord&) = 0;
  virtual void write(const SyscallRecord&) = 0;
  virtual void write(const ProcessRecord&) = 0;
  virtual void write(const SignalRecord&) = 0;
  virtual void write(const LimitRecord&) = 0;
  virtual void write(const SampleRecord&) = 0;
  // The `end` line; flushes, waiting at most kFinishSeconds for a stalled reader. An error: lines
  // were lost (disk full, closed pipe, a reader that is too slow). Nothing may be written
  // afterwards.
  virtual Status finish(const Report&) = 0;
  // An error that writing met so far, once: the supervisor ends the run or counts on, as the
  // profile says. Reaching SinkOptions::limit_bytes is not an error.
  virtual Status health() const = 0;
};

inline constexpr int kFinishSeconds = 5;

struct SinkOptions {
  Level level = Level::kMediated;
  std::uint64_t limit_bytes = 1ULL << 30;  // events past this are counted, not written
};

// JSON Lines to `fd` (buffered; SHA-256 kept while writing). At kDenied only denials, kills, limits
// and the exec and exit lines of processes are events; the rest is ignored, not counted as left
// out.
std::unique_ptr<AuditSink> make_json_sink(UniqueFd fd, const SinkOptions& options);
// Drops everything; level() is kDenied.
std::unique_ptr<AuditSink> make_null_sink();

}  // namespace vitrine::audit
