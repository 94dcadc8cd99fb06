#include "audit/report_json.h"

#include <nlohmann/json.hpp>

#include "audit/escape.h"
#include "audit/json_text.h"

namespace vitrine::audit {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kSchema = 1;

double seconds(Nanoseconds duration) { return std::chrono::duration<double>(duration).count(); }

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json seconds_or_null(const std::optional<Nanoseconds>& duration) {
  return duration ? Json(seconds(*duration)) : Json(nullptr);
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(escape_bounded(text));
}

Json limits_value(const Limits& limits, std::uint64_t scratch_bytes) {
  Json json = {{"wall_s", seconds_or_null(limits.wall)},
               {"cpu_s", seconds_or_null(limits.cpu)},
               {"memory_bytes", or_null(limits.memory_bytes)},
               {"output_bytes", or_null(limits.output_bytes)},
               {"processes", limits.processes},
               {"threads", limits.threads},
               {"scratch_bytes", scratch_bytes}};
  if (limits.cpus) json["cpus"] = *limits.cpus;
  return json;
}

Json usage_to_json(const Usage& usage) {
  return {{"wall_s", seconds(usage.wall)},
          {"cpu_user_s", seconds(usage.cpu_user)},
          {"cpu_system_s", seconds(usage.cpu_system)},
          {"memory_peak_bytes", usage.memory_peak_bytes},
          {"output_bytes", usage.output_bytes},
          {"processes_peak", usage.processes_peak},
          {"threads_peak", usage.threads_peak},
          {"scratch_peak_bytes", usage.scratch_peak_bytes}};
}

Json calls_to_json(const Report& report) {
  Json json = {{"mediated", report.mediated}, {"denied", report.denied}};
  if (report.total) json["total"] = *report.total;
  Json& by_name = json["by_name"] = Json::object();
  for (const auto& [name, count] : report.by_name) {
    by_name[escape(name)] = {{"mediated", count.mediated}, {"denied", count.denied}};
  }
  return json;
}

Json denial_to_json(const Denial& denial) {
  return {{"syscall", escape(denial.syscall)},
          {"target", text_or_null(denial.target)},
          {"errno", text_or_null(denial.error)},
          {"rule", escape_bounded(denial.rule)},
          {"where", text_or_null(denial.where)}};
}

void add_denials(Json& json, const Report& report) {
  json["first_denial"] =
      report.denials.empty() ? Json(nullptr) : denial_to_json(report.denials.front());
  Json& denials = json["denials"] = Json::array();
  for (const Denial& denial : report.denials) {
    if (denials.size() == kMaxReportDenials) break;
    Json entry = denial_to_json(denial);
    entry["count"] = denial.count;
    denials.push_back(std::move(entry));
  }
  const std::uint64_t left_out = report.denials_left_out + report.denials.size() - denials.size();
  if (left_out > 0) json["denials_left_out"] = left_out;
}

void add_command(Json& json, const std::vector<std::string>& command) {
  Json& words = json["command"] = Json::array();
  std::size_t bytes = 0;
  for (const std::string& word : command) {
    bytes += word.size();
    if (words.size() == kMaxListItems || (bytes > kMaxListBytes && !words.empty())) break;
    words.push_back(escape_bounded(word));
  }
  if (words.size() < command.size()) json["command_left_out"] = command.size() - words.size();
}

Json to_json(const Report& report) {
  Json json = {{"vitrine", VITRINE_VERSION},
               {"schema", kSchema},
               {"verdict", name_of(report.verdict)},
               {"exit_code", or_null(report.exit_code)},
               {"signal", or_null(report.signal)},
               {"reason", report.reason ? Json(escape_bounded(*report.reason)) : Json(nullptr)},
               {"backend", text_or_null(report.backend)}};
  Json& profiles = json["profile"] = Json::array();
  for (const std::string& profile : report.profiles) profiles.push_back(escape_bounded(profile));
  add_command(json, report.command);
  json["limits"] = limits_value(report.limits, report.scratch_bytes);
  json["usage"] = usage_to_json(report.usage);
  json["syscalls"] = calls_to_json(report);
  json["limits_hit"] = report.limits_hit;
  add_denials(json, report);
  return json;
}

}  // namespace

std::string report_to_json(const Report& report) { return to_json(report).dump(); }

std::string report_document(const Report& report) { return to_json(report).dump(1) + "\n"; }

std::string limits_to_json(const Limits& limits, std::uint64_t scratch_bytes) {
  return limits_value(limits, scratch_bytes).dump();
}

}  // namespace vitrine::audit
