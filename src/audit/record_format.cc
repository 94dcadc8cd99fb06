#include "audit/record_format.h"

#include <cstring>
#include <span>

#include "audit/escape.h"
#include "audit/json_text.h"
#include "audit/report_json.h"

namespace vitrine::audit {
namespace {

constexpr std::size_t kMaxArguments = 16;

void append_value(std::string& out, const ArgumentValue& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) {
    append_number(out, *number);
  } else if (const auto* positive = std::get_if<std::uint64_t>(&value)) {
    append_number(out, *positive);
  } else if (const auto* symbol = std::get_if<Symbol>(&value)) {
    append_json_string_bounded(out, symbol->text);
  } else {
    append_json_string_bounded(out, std::get<Bytes>(value).bytes);
  }
}

void append_arguments(std::string& out, std::span<const Argument> arguments) {
  out += ",\"args\":{";
  const char* separator = "";
  for (const Argument& argument : arguments.first(std::min(arguments.size(), kMaxArguments))) {
    out += separator;
    append_json_string(out, argument.first);
    out += ':';
    append_value(out, argument.second);
    separator = ",";
  }
  out += '}';
}

// A relative name, or one that leads through links: the log alone has to say what was meant.
bool names_another_path(const SyscallRecord& record) {
  if (record.resolved.empty()) return false;
  for (const Argument& argument : record.arguments) {
    const auto* bytes = std::get_if<Bytes>(&argument.second);
    if (bytes != nullptr && bytes->bytes == record.resolved) return false;
  }
  return true;
}

// strerrorname_np(3) knows every errno of this architecture.
void append_errno(std::string& out, std::int64_t result) {
  constexpr std::int64_t kMaxErrno = 4095;  // include/linux/err.h
  if (result >= 0 || result < -kMaxErrno) return;
  const char* name = ::strerrorname_np(static_cast<int>(-result));
  if (name != nullptr) append_text_field(out, "errno", name);
}

void open_event(std::string& out, const char* type, std::uint64_t seq, Nanoseconds time) {
  out += "{\"type\":\"";
  out += type;
  out += "\",\"seq\":";
  append_number(out, seq);
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(time).count();
  append_number_field(out, "t_us", microseconds);
}

void close_line(std::string& out) { out += "}\n"; }

const char* name_of(ProcessRecord::Event event) {
  switch (event) {
    case ProcessRecord::Event::kStart:
      return "start";
    case ProcessRecord::Event::kExec:
      return "exec";
    case ProcessRecord::Event::kThread:
      return "thread";
    case ProcessRecord::Event::kExit:
      break;
  }
  return "exit";
}

void append_signal_name(std::string& out, int signal) {
  const char* name = ::sigabbrev_np(signal);
  if (name != nullptr) append_text_field(out, "name", std::string("SIG") + name);
}

}  // namespace

const char* name_of(Level level) {
  switch (level) {
    case Level::kDenied:
      return "denied";
    case Level::kMediated:
      return "mediated";
    case Level::kAll:
      break;
  }
  return "all";
}

void append_line(std::string& out, const StartRecord& record) {
  out += "{\"type\":\"start\",\"schema\":1";
  append_text_field(out, "vitrine", record.version);
  append_list_field(out, "argv", record.argv);
  out += ",\"profiles\":[";
  const char* separator = "";
  for (const auto& [name, digest] : record.profiles) {
    out += separator;
    out += "{\"name\":";
    append_json_string_bounded(out, name);
    append_text_field(out, "sha256", digest);
    out += '}';
    separator = ",";
  }
  out += "],\"limits\":";
  out += limits_to_json(record.limits, record.scratch_bytes);
  append_text_field(out, "backend", record.backend);
  append_text_field(out, "level", record.level);
  append_text_field(out, "kernel", record.kernel);
  append_text_field(out, "utc", record.utc);
  close_line(out);
}

void append_line(std::string& out, std::uint64_t seq, const SyscallRecord& record) {
  open_event(out, "syscall", seq, record.time);
  append_number_field(out, "pid", record.pid);
  append_number_field(out, "tid", record.tid);
  append_text_field(out, "syscall", record.syscall);
  append_arguments(out, record.arguments);
  if (names_another_path(record)) append_text_field(out, "resolved", record.resolved);
  append_text_field(out, "decision", vitrine::name_of(record.decision.action));
  append_text_field(out, "rule", record.decision.rule);
  if (record.result) {
    append_number_field(out, "result", *record.result);
    append_errno(out, *record.result);
  }
  if (!record.where.empty()) append_text_field(out, "where", record.where);
  if (record.took) append_number_field(out, "took_ns", record.took->count());
  close_line(out);
}

void append_line(std::string& out, std::uint64_t seq, const ProcessRecord& record) {
  using Event = ProcessRecord::Event;
  open_event(out, "process", seq, record.time);
  append_number_field(out, "pid", record.pid);
  if (record.tid != 0 && record.tid != record.pid) append_number_field(out, "tid", record.tid);
  append_text_field(out, "event", name_of(record.event));
  if (record.event == Event::kStart || record.event == Event::kThread) {
    append_number_field(out, "host_pid", record.host_pid);
  } else if (record.event == Event::kExec) {
    append_text_field(out, "program", record.program);
    append_list_field(out, "argv", record.argv);
  }
  if (record.exit_code) append_number_field(out, "exit_code", *record.exit_code);
  if (record.signal) append_number_field(out, "signal", *record.signal);
  close_line(out);
}

void append_line(std::string& out, std::uint64_t seq, const SignalRecord& record) {
  open_event(out, "signal", seq, record.time);
  append_number_field(out, "pid", record.pid);
  append_number_field(out, "tid", record.tid);
  append_number_field(out, "signal", record.signal);
  append_signal_name(out, record.signal);
  out += record.fatal ? ",\"fatal\":true" : ",\"fatal\":false";
  close_line(out);
}

void append_line(std::string& out, std::uint64_t seq, const LimitRecord& record) {
  open_event(out, "limit", seq, record.time);
  append_text_field(out, "event", record.ended ? "ended" : "refused");
  append_text_field(out, "limit", record.limit);
  out += record.ended ? ",\"ended\":true" : ",\"ended\":false";
  append_number_field(out, "used", record.used);
  append_number_field(out, "allowed", record.allowed);
  close_line(out);
}

void append_line(std::string& out, std::uint64_t seq, const SampleRecord& record) {
  open_event(out, "limit", seq, record.time);
  append_text_field(out, "event", "sample");
  const auto cpu = std::chrono::duration_cast<std::chrono::microseconds>(record.cpu).count();
  append_number_field(out, "cpu_us", cpu);
  append_number_field(out, "memory_bytes", record.memory_bytes);
  append_number_field(out, "output_bytes", record.output_bytes);
  append_number_field(out, "processes", record.processes);
  append_number_field(out, "threads", record.threads);
  close_line(out);
}

void append_end_line(std::string& out, const Report& report, const EndLine& end) {
  out += "{\"type\":\"end\",\"report\":";
  out += report_to_json(report);
  append_number_field(out, "lines", end.lines);
  append_number_field(out, "events_left_out", end.events_left_out);
  append_text_field(out, "sha256", end.sha256);
  close_line(out);
}

}  // namespace vitrine::audit
