// The sink that writes JSON Lines: which records are events at a level, their numbering, and the
// size limit. Formatting is in record_format.cc, writing in background_writer.cc.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "audit/background_writer.h"
#include "audit/record_format.h"
#include "audit/sink.h"

namespace vitrine::audit {
namespace {

// Kept free of events, so that the end line seldom exceeds the limit.
constexpr std::uint64_t kEndReserve = 64 << 10;

class JsonSink final : public AuditSink {
 public:
  JsonSink(UniqueFd fd, const SinkOptions& options)
      : level_(options.level),
        event_bytes_(options.limit_bytes - std::min(options.limit_bytes / 4, kEndReserve)),
        writer_(std::move(fd)) {}

  Level level() const override { return level_; }
  bool wants_lookups() const override { return true; }
  void start() override { writer_.start(); }
  void flush() override { writer_.flush(); }

  void write(const StartRecord& record) override {
    line_.clear();
    append_line(line_, record);
    bytes_ += line_.size();
    start_lines_ += writer_.append(line_) ? 1 : 0;
  }
  void write(const SyscallRecord& record) override {
    const Action action = record.decision.action;
    const bool denied = action == Action::kDeny || action == Action::kKill;
    if (denied || level_ != Level::kDenied) add_event(record);
  }
  void write(const ProcessRecord& record) override {
    using Event = ProcessRecord::Event;
    const bool always = record.event == Event::kExec || record.event == Event::kExit;
    if (always || level_ != Level::kDenied) add_event(record);
  }
  void write(const SignalRecord& record) override {
    if (level_ != Level::kDenied) add_event(record);
  }
  void write(const LimitRecord& record) override { add_event(record); }
  void write(const SampleRecord& record) override {
    if (level_ != Level::kDenied) add_event(record);
  }

  Status finish(const Report& report) override;
  Status health() const override;

 private:
  template <typename Record>
  void add_event(const Record& record) {
    ++events_;  // counted in any case: a gap in `seq` shows what is missing
    if (full_) return;
    line_.clear();
    append_line(line_, events_, record);
    full_ = bytes_ + line_.size() > event_bytes_;
    if (!full_ && writer_.append(line_)) bytes_ += line_.size();
  }

  Level level_;
  std::uint64_t event_bytes_;
  std::uint64_t bytes_ = 0;
  std::uint64_t events_ = 0;
  std::uint64_t start_lines_ = 0;
  bool full_ = false;
  mutable bool reported_ = false;
  std::string line_;
  BackgroundWriter writer_;
};

// ENOBUFS is the writer's own word for a queue that nobody emptied.
Error lost(const Error& error, std::uint64_t events) {
  const bool slow = error.code == ENOBUFS || error.code == ETIMEDOUT;
  const std::string why = slow ? "its reader is too slow" : std::strerror(error.code);
  return {Error::Kind::kInvalid, error.code,
          why + "; " + std::to_string(events) + " events are missing in it"};
}

Status JsonSink::finish(const Report& report) {
  using std::chrono::seconds;
  const auto totals = writer_.drain(monotonic_now() + seconds(kFinishSeconds));
  if (!totals) return tl::make_unexpected(lost(totals.error(), events_));
  const std::uint64_t events_written = totals->lines - std::min(totals->lines, start_lines_);
  line_.clear();
  append_end_line(line_, report, {totals->lines, events_ - events_written, totals->sha256});
  const std::uint64_t missing = full_ ? 0 : events_ - events_written;
  if (const Status last = writer_.write_last(line_); !last) {
    return tl::make_unexpected(lost(last.error(), missing));
  }
  if (writer_.error() == 0) return {};
  return tl::make_unexpected(lost({Error::Kind::kSystem, writer_.error(), "write"}, missing));
}

Status JsonSink::health() const {
  const int error = writer_.error();
  if (error == 0 || reported_) return {};
  reported_ = true;
  if (error == ENOBUFS) return fail_invalid("its reader is too slow: events were lost");
  return fail(error, "write");
}

class NullSink final : public AuditSink {
 public:
  Level level() const override { return Level::kDenied; }
  bool wants_lookups() const override { return false; }
  void write(const StartRecord&) override {}
  void write(const SyscallRecord&) override {}
  void write(const ProcessRecord&) override {}
  void write(const SignalRecord&) override {}
  void write(const LimitRecord&) override {}
  void write(const SampleRecord&) override {}
  Status finish(const Report&) override { return {}; }
  Status health() const override { return {}; }
};

}  // namespace

std::unique_ptr<AuditSink> make_json_sink(UniqueFd fd, const SinkOptions& options) {
  return std::make_unique<JsonSink>(std::move(fd), options);
}

std::unique_ptr<AuditSink> make_null_sink() { return std::make_unique<NullSink>(); }

}  // namespace vitrine::audit
