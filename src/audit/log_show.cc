#include "audit/log_show.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "arch/flag_names.h"
#include "arch/syscall_table.h"
#include "audit/escape.h"
#include "audit/log_filter.h"
#include "base/text.h"

namespace vitrine::audit {
namespace {

constexpr std::string_view kRed = "\x1b[31m";
constexpr std::string_view kDim = "\x1b[2m";
constexpr std::string_view kReset = "\x1b[0m";

std::string text(const Json& object, std::string_view name) {
  return printable(text_field(object, name));
}

std::string in_quotes(std::string_view value) { return enclosed(value, '"', '"'); }

std::string hexadecimal(std::uint64_t value) {
  std::array<char, 24> digits{};
  std::snprintf(digits.data(), digits.size(), "0x%llx", static_cast<unsigned long long>(value));
  return digits.data();
}

// Small numbers are counts and descriptors, large ones addresses.
std::string number(const Json& value) {
  constexpr std::uint64_t kLargest = 0xffffffff;
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > kLargest) {
    return hexadecimal(value.get<std::uint64_t>());
  }
  return value.dump();
}

// vitrine's own words: O_RDONLY|O_CLOEXEC, AT_FDCWD, 0644, 0x7f00.
bool is_symbolic(std::string_view value) {
  constexpr std::string_view kWord = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_|xabcdef";
  return !value.empty() && value.find_first_not_of(kWord) == std::string_view::npos;
}

// Whether a string there is what the program wrote, which may look like one of those words.
bool is_of_program(const arch::SyscallRow* row, const std::string& name) {
  if (row == nullptr) return true;
  const auto found = std::ranges::find(row->arguments, name, &arch::Argument::name);
  return found == row->arguments.end() || arch::is_text(found->kind);
}

std::string argument(const arch::SyscallRow* row, const std::string& name, const Json& value) {
  const bool of_program = is_of_program(row, name);
  if (value.is_number_unsigned() && of_program) return hexadecimal(value.get<std::uint64_t>());
  if (value.is_number()) return number(value);
  if (!value.is_string()) return "?";
  const auto& string = value.get_ref<const std::string&>();
  return !of_program && is_symbolic(string) ? string : in_quotes(string);
}

std::string who_and_when(const Json& event) {
  const std::uint64_t pid = count_field(event, "pid");
  const std::uint64_t tid = count_field(event, "tid", pid);
  std::string out;
  if (pid > 0) {
    out = "[pid " + std::to_string(pid);
    if (tid != pid) out += " tid " + std::to_string(tid);
    out += "] ";
  }
  std::array<char, 40> time{};
  const std::uint64_t microseconds = count_field(event, "t_us");
  std::snprintf(time.data(), time.size(), "%llu.%06llu ",
                static_cast<unsigned long long>(microseconds / 1000000),
                static_cast<unsigned long long>(microseconds % 1000000));
  return out + time.data();
}

std::string result(const Json& call) {
  const Json* value = find_field(call, "result");
  if (value == nullptr || !value->is_number_integer()) return " = ?";
  const std::string error = text(call, "errno");
  if (!error.empty()) return " = -1 " + error;
  return " = " + number(*value);
}

std::string readable_call(const Json& call, bool colours) {
  const std::string decision = text_field(call, "decision");
  const bool refused = is_refused(decision);
  std::string out = who_and_when(call);
  if (colours && refused) out += kRed;
  out += text(call, "syscall") + readable_arguments(call) + result(call);
  if (refused) {
    out += decision == "kill" ? " (killed: " : " (denied: ";
    out += text(call, "rule") + ")";
  }
  out += readable_resolved(call);
  const std::string where = text(call, "where");
  if (!where.empty()) out += " at " + where;
  if (colours && refused) out += kReset;
  return out;
}

std::string words(const Json& object, std::string_view name) {
  std::string out;
  const Json* list = find_field(object, name);
  if (list == nullptr || !list->is_array()) return out;
  for (const Json& word : *list) {
    if (!word.is_string()) continue;
    if (!out.empty()) out += ' ';
    const std::string shown = printable(word.get_ref<const std::string&>());
    const bool plain =
        !shown.empty() && shown.find_first_of(" '\"\\|&;<>()[]$*?") == std::string::npos;
    out += plain ? shown : in_quotes(shown);
  }
  return out;
}

std::string readable_process(const Json& event) {
  const std::string what = text(event, "event");
  if (what == "exit") return "+++ " + readable_exit(event) + " +++";
  if (what != "exec") return "+++ " + what + " +++";
  return "+++ exec " + in_quotes(text_field(event, "program")) + " [" + words(event, "argv") +
         "] +++";
}

std::string readable_signal(const Json& event) {
  std::string name = text(event, "name");
  if (name.empty()) name = "signal " + std::to_string(count_field(event, "signal"));
  const Json* fatal = find_field(event, "fatal");
  return "--- " + name + (fatal != nullptr && *fatal == true ? " (fatal)" : "") + " ---";
}

std::string readable_sample(const Json& event) {
  std::array<char, 40> cpu{};
  const std::uint64_t microseconds = count_field(event, "cpu_us");
  std::snprintf(cpu.data(), cpu.size(), "%llu.%06llu",
                static_cast<unsigned long long>(microseconds / 1000000),
                static_cast<unsigned long long>(microseconds % 1000000));
  std::string out = "--- used: cpu ";
  out += cpu.data();
  out += " s, memory " + format_size(count_field(event, "memory_bytes"));
  out += ", output " + format_size(count_field(event, "output_bytes"));
  out += ", processes " + std::to_string(count_field(event, "processes"));
  return out + ", threads " + std::to_string(count_field(event, "threads")) + " ---";
}

std::string readable_limit(const Json& event) {
  if (text_field(event, "event") == "sample") return readable_sample(event);
  const Json* ended = find_field(event, "ended");
  std::string out = "--- budget " + text(event, "limit") + ": used ";
  out += std::to_string(count_field(event, "used")) + " of ";
  out += std::to_string(count_field(event, "allowed"));
  out += ended != nullptr && *ended == true ? ", the run was ended ---" : ", refused ---";
  return out;
}

std::string readable_start(const Json& start) {
  return "# vitrine " + text(start, "vitrine") + ", backend " + text(start, "backend") +
         ", Linux " + text(start, "kernel") + ", " + text(start, "utc") + ": " +
         words(start, "argv");
}

std::string readable_end(const Json& end) {
  std::string out = "# end";
  if (const Json* report = find_field(end, "report")) {
    out += ": " + text(*report, "verdict");
    const std::string reason = text(*report, "reason");
    if (!reason.empty()) out += " (" + reason + ")";
    if (const Json* calls = find_field(*report, "syscalls")) {
      out += "; " + std::to_string(count_field(*calls, "mediated")) + " calls supervised, " +
             std::to_string(count_field(*calls, "denied")) + " denied";
    }
  }
  const std::uint64_t left_out = count_field(end, "events_left_out");
  if (left_out > 0) out += "; " + std::to_string(left_out) + " events are not in this log";
  return out;
}

}  // namespace

std::string readable_arguments(const Json& call) {
  std::string out = "(";
  const Json* arguments = find_field(call, "args");
  const arch::SyscallRow* row = arch::find_syscall(text_field(call, "syscall"));
  if (arguments != nullptr && arguments->is_object()) {
    for (const auto& [name, value] : arguments->items()) {
      if (out.size() > 1) out += ", ";
      out += argument(row, name, value);
    }
  }
  return out + ")";
}

std::string readable_resolved(const Json& call) {
  const std::string resolved = text_field(call, "resolved");
  return resolved.empty() ? "" : " " + enclosed(resolved, '<', '>');
}

std::string readable_exit(const Json& event) {
  const auto figure = [](const Json& value) {
    return value.is_number_integer() ? value.dump() : std::string("?");
  };
  if (const Json* signal = find_field(event, "signal")) {
    return "killed by signal " + figure(*signal);
  }
  const Json* code = find_field(event, "exit_code");
  return code == nullptr ? "ended" : "exited with " + figure(*code);
}

std::string readable_event(const LogLine& line) {
  if (line.type == "process") return readable_process(line.json);
  if (line.type == "signal") return readable_signal(line.json);
  return readable_limit(line.json);
}

std::string readable_line(const LogLine& line, bool colours) {
  const Json& json = line.json;
  if (line.type == "syscall") return readable_call(json, colours);
  std::string out;
  if (line.type == "start") {
    out = readable_start(json);
  } else if (line.type == "end") {
    out = readable_end(json);
  } else {
    out = who_and_when(json) + readable_event(line);
  }
  if (!colours) return out;
  std::string dimmed(kDim);
  dimmed += out;
  dimmed += kReset;
  return dimmed;
}

}  // namespace vitrine::audit
