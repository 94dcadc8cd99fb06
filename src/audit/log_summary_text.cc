// The two outputs of `vitrine log summary`: for a person and for a program.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "audit/escape.h"
#include "audit/log_summary.h"
#include "base/clock.h"
#include "base/text.h"

namespace vitrine::audit {
namespace {

constexpr std::size_t kMaxListed = 40;  // of files of one kind, of denials, of processes

template <typename... Arguments>
void print(std::string& out, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  fmt::format_to(std::back_inserter(out), format, std::forward<Arguments>(arguments)...);
}

std::string words(const Json& object, std::string_view name) {
  std::string out;
  const Json* list = find_field(object, name);
  if (list == nullptr || !list->is_array()) return out;
  for (const Json& word : *list) {
    if (!out.empty()) out += ' ';
    if (word.is_string()) out += printable(word.get_ref<const std::string&>());
  }
  return out;
}

// "1.25" of a number field, "none" of null or of what is missing.
std::string figure(const Json* object, std::string_view name) {
  const Json* value = object == nullptr ? nullptr : find_field(*object, name);
  if (value == nullptr || !value->is_number()) return "none";
  if (!value->is_number_float()) return value->dump();
  const auto number = value->get<double>();
  return number < 100 ? fmt::format("{:.3g}", number) : fmt::format("{:.0f}", number);
}

// The same of a field that counts bytes: "64 MiB".
std::string size(const Json* object, std::string_view name) {
  const Json* value = object == nullptr ? nullptr : find_field(*object, name);
  const bool counts = value != nullptr && value->is_number_unsigned();
  return counts ? format_size(value->get<std::uint64_t>()) : figure(object, name);
}

void add_run(std::string& out, const LogSummary& summary) {
  const Json* report = find_field(summary.end(), "report");
  print(out, "command    {}\n", words(summary.start(), "argv"));
  print(out, "backend    {}, Linux {}, {}\n", printable(text_field(summary.start(), "backend")),
        printable(text_field(summary.start(), "kernel")),
        printable(text_field(summary.start(), "utc")));
  if (report == nullptr) {
    print(out, "verdict    unknown: the log has no end line\n");
    return;
  }
  print(out, "verdict    {}, exit code {}, signal {}\n", printable(text_field(*report, "verdict")),
        figure(report, "exit_code"), figure(report, "signal"));
  const std::string reason = printable(text_field(*report, "reason"));
  if (!reason.empty()) print(out, "reason     {}\n", reason);
}

void add_budgets(std::string& out, const LogSummary& summary) {
  const Json* report = find_field(summary.end(), "report");
  if (report == nullptr) return;
  const Json* used = find_field(*report, "usage");
  const Json* limits = find_field(*report, "limits");
  print(out, "budgets    wall {} of {} s; cpu {}+{} of {} s; memory {} of {}; output {} of {}\n",
        figure(used, "wall_s"), figure(limits, "wall_s"), figure(used, "cpu_user_s"),
        figure(used, "cpu_system_s"), figure(limits, "cpu_s"), size(used, "memory_peak_bytes"),
        size(limits, "memory_bytes"), size(used, "output_bytes"), size(limits, "output_bytes"));
  print(out, "           processes {} of {}; threads {} of {}; scratch {} of {}\n",
        figure(used, "processes_peak"), figure(limits, "processes"), figure(used, "threads_peak"),
        figure(limits, "threads"), size(used, "scratch_peak_bytes"), size(limits, "scratch_bytes"));
  const std::string hit = words(*report, "limits_hit");
  if (!hit.empty()) print(out, "refused    by the budgets of {}\n", hit);
}

// The moments between which the run's time is divided evenly: enough to see when what was used.
void add_course(std::string& out, const LogSummary& summary) {
  constexpr std::size_t kMoments = 12;
  const std::vector<UsageSample>& all = summary.samples();
  if (all.size() < 3) return;  // the beginning and the end are above
  print(out, "\n{:>11} {:>9} {:>11} {:>11} {:>9} {:>7}  budgets over time\n", "time", "cpu",
        "memory", "output", "processes", "threads");
  const std::size_t shown = std::min(kMoments, all.size());
  for (std::size_t i = 0; i < shown; ++i) {
    const UsageSample& at = all[i * (all.size() - 1) / (shown - 1)];
    print(out, "{:>9.3f} s {:>7.3f} s {:>11} {:>11} {:>9} {:>7}\n",
          static_cast<double>(at.time_us) / 1e6, static_cast<double>(at.cpu_us) / 1e6,
          format_size(at.memory_bytes), format_size(at.output_bytes), at.processes, at.threads);
  }
}

void add_events(std::string& out, const LogSummary& summary) {
  const std::uint64_t left_out = count_field(summary.end(), "events_left_out");
  print(out, "events     {} in this log, {} left out\n", summary.events(), left_out);
}

void add_calls(std::string& out, const LogSummary& summary) {
  std::vector<std::pair<std::string, CallTotals>> calls(summary.calls().begin(),
                                                        summary.calls().end());
  std::ranges::stable_sort(
      calls, [](const auto& a, const auto& b) { return a.second.calls > b.second.calls; });
  const bool timed = std::ranges::any_of(calls, [](const auto& c) { return c.second.took_ns > 0; });
  print(out, "\n{:>9} {:>9} {:>9} {:>10}  system call\n", "calls", "errors", "denied", "time");
  for (const auto& [name, totals] : calls) {
    const std::string time =
        timed ? format_duration(Nanoseconds(static_cast<std::int64_t>(totals.took_ns))) : "-";
    // Aligned by bytes: "µ" has two.
    const std::size_t width = time.find('\xc2') == std::string::npos ? 10 : 11;
    print(out, "{:>9} {:>9} {:>9} {:>{}}  {}\n", totals.calls, totals.errors, totals.denied, time,
          width, name);
  }
}

// What is followed by more on its line.
std::string word_of(const std::string& text) {
  if (text.empty()) return "-";
  return text.find_first_of(" \",") == std::string::npos ? text : enclosed(text, '"', '"');
}

void add_denials(std::string& out, const LogSummary& summary) {
  std::vector<std::pair<DenialKey, DenialTotals>> denials(summary.denials().begin(),
                                                          summary.denials().end());
  if (denials.empty()) return;
  std::ranges::stable_sort(
      denials, [](const auto& a, const auto& b) { return a.second.count > b.second.count; });
  print(out, "\ndenied\n");
  for (std::size_t i = 0; i < std::min(denials.size(), kMaxListed); ++i) {
    const auto& [key, totals] = denials[i];
    print(out, "{:>9}  {} {} {} (rule: {}{}{})\n", totals.count, key.syscall, word_of(key.target),
          key.error, key.rule, totals.where.empty() ? "" : ", first at ", totals.where);
  }
  if (denials.size() > kMaxListed)
    print(out, "           and {} more\n", denials.size() - kMaxListed);
}

void add_files(std::string& out, const LogSummary& summary, const char* title,
               std::uint64_t FileTotals::*count) {
  std::vector<std::pair<std::string_view, std::uint64_t>> files;
  for (const auto& [path, totals] : summary.files()) {
    if (totals.*count > 0) files.emplace_back(path, totals.*count);
  }
  if (files.empty()) return;
  print(out, "\nfiles {}: {}\n", title, files.size());
  for (std::size_t i = 0; i < std::min(files.size(), kMaxListed); ++i) {
    print(out, "{:>9}  {}\n", files[i].second, files[i].first);
  }
  if (files.size() > kMaxListed) print(out, "           and {} more\n", files.size() - kMaxListed);
}

void add_processes(std::string& out, const LogSummary& summary) {
  print(out, "\nprocesses: {}\n", summary.processes().size());
  std::size_t listed = 0;
  for (const auto& [pid, process] : summary.processes()) {
    if (++listed > kMaxListed) break;
    print(out, "{:>9}  {}{}{}\n", pid, word_of(process.program), process.end.empty() ? "" : ", ",
          process.end);
  }
  if (summary.processes().size() > kMaxListed) {
    print(out, "           and {} more\n", summary.processes().size() - kMaxListed);
  }
}

Json files_value(const LogSummary& summary) {
  Json files = Json::array();
  for (const auto& [path, totals] : summary.files()) {
    files.push_back({{"path", path},
                     {"looked", totals.looked},
                     {"read", totals.read},
                     {"written", totals.written},
                     {"run", totals.run},
                     {"absent", totals.absent},
                     {"refused", totals.refused}});
  }
  return files;
}

Json denials_value(const LogSummary& summary) {
  Json denials = Json::array();
  for (const auto& [key, totals] : summary.denials()) {
    denials.push_back({{"syscall", key.syscall},
                       {"target", key.target},
                       {"errno", key.error},
                       {"rule", key.rule},
                       {"count", totals.count},
                       {"first_us", totals.first_us},
                       {"where", totals.where.empty() ? Json(nullptr) : Json(totals.where)}});
  }
  return denials;
}

Json samples_value(const LogSummary& summary) {
  Json samples = Json::array();
  for (const UsageSample& at : summary.samples()) {
    samples.push_back({{"t_us", at.time_us},
                       {"cpu_us", at.cpu_us},
                       {"memory_bytes", at.memory_bytes},
                       {"output_bytes", at.output_bytes},
                       {"processes", at.processes},
                       {"threads", at.threads}});
  }
  return samples;
}

Json processes_value(const LogSummary& summary) {
  Json processes = Json::array();
  for (const auto& [pid, process] : summary.processes()) {
    processes.push_back({{"pid", pid},
                         {"program", process.program},
                         {"threads", process.threads},
                         {"end", process.end.empty() ? Json(nullptr) : Json(process.end)}});
  }
  return processes;
}

}  // namespace

std::string summary_text(const LogSummary& summary) {
  std::string out;
  add_run(out, summary);
  add_budgets(out, summary);
  add_events(out, summary);
  add_course(out, summary);
  add_calls(out, summary);
  add_denials(out, summary);
  add_files(out, summary, "read", &FileTotals::read);
  add_files(out, summary, "written", &FileTotals::written);
  add_files(out, summary, "run", &FileTotals::run);
  add_files(out, summary, "refused", &FileTotals::refused);
  add_processes(out, summary);
  if (summary.not_listed() > 0) {
    print(out, "\n{} uses of files are not listed: there are too many\n", summary.not_listed());
  }
  return out;
}

Json summary_json(const LogSummary& summary) {
  Json calls = Json::object();
  for (const auto& [name, totals] : summary.calls()) {
    calls[name] = {{"calls", totals.calls},
                   {"errors", totals.errors},
                   {"denied", totals.denied},
                   {"took_ns", totals.took_ns}};
  }
  const Json* report = find_field(summary.end(), "report");
  return {{"start", summary.start()},
          {"report", report == nullptr ? Json(nullptr) : *report},
          {"events", summary.events()},
          {"events_left_out", count_field(summary.end(), "events_left_out")},
          {"calls", std::move(calls)},
          {"denials", denials_value(summary)},
          {"files", files_value(summary)},
          {"processes", processes_value(summary)},
          {"samples", samples_value(summary)},
          {"not_listed", summary.not_listed()}};
}

}  // namespace vitrine::audit
