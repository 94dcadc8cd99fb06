#include "policy/profile_writer.h"

#include <cstring>

#include "policy/json_forms.h"

namespace vitrine::policy {
namespace {

std::string exact_duration(Nanoseconds duration) {
  const auto count = duration.count();
  if (count % 1'000'000'000 == 0) return std::to_string(count / 1'000'000'000) + "s";
  if (count % 1'000'000 == 0) return std::to_string(count / 1'000'000) + "ms";
  return std::to_string(count) + "ns";
}

struct EntryVisitor {
  Json operator()(const ShowRule& rule) const {
    Json entry = {{"show", rule.host}};
    if (!rule.guest.empty()) entry["at"] = rule.guest;
    if (rule.optional) entry["optional"] = true;
    return entry;
  }
  Json operator()(const ScratchRule& rule) const {
    return {{"scratch", rule.guest}, {"size", exact_size(rule.bytes)}};
  }
  Json operator()(const InlineRule& rule) const {
    Json entry = {{"text", rule.content}, {"at", rule.guest}};
    if (rule.executable) entry["executable"] = true;
    return entry;
  }
  Json operator()(const LinkRule& rule) const {
    return {{"link", rule.target}, {"at", rule.guest}};
  }
  Json operator()(const HideRule& rule) const { return {{"hide", rule.guest}}; }
  Json operator()(const FolderRule& rule) const { return {{"folder", rule.guest}}; }
  Json operator()(const SyntheticRule& rule) const { return {{"synthetic", rule.tree}}; }
};

Json files_to_json(const FileRules& rules) {
  Json files = Json::array();
  for (const FileRule& rule : rules) {
    Json entry = file_entry(rule);
    if (!rule.origin.rule.empty()) {
      const std::string& location = rule.origin.location;
      entry["comment"] = rule.origin.rule + (location.empty() ? "" : " at " + location);
    }
    files.push_back(std::move(entry));
  }
  return files;
}

Json pass_word(Accept accept) {
  switch (accept) {
    case Accept::kTerminal:
      return "terminal";
    case Accept::kZone:
      return "zone";
    case Accept::kLocale:
      return "locale";
    case Accept::kAnything:
      break;
  }
  return true;
}

Json environment_to_json(const std::vector<EnvironmentRule>& rules) {
  Json environment = Json::object();
  for (const EnvironmentRule& rule : rules) {
    if (rule.value) {
      environment[rule.name] = *rule.value;
      continue;
    }
    Json& entry = environment[rule.name] = {{"pass", pass_word(rule.accept)}};
    if (rule.otherwise) entry["default"] = *rule.otherwise;
  }
  return environment;
}

Json calls_to_json(const Policy& policy) {
  Json deny = Json::array();
  Json kill = Json::array();
  for (const auto& [name, rule] : policy.call_rules()) {
    if (rule.action == Action::kKill)
      kill.push_back(name);
    else
      deny.push_back({{"name", name}, {"errno", ::strerrorname_np(rule.error)}});
  }
  Json json = Json::object();
  if (!deny.empty()) json["deny"] = std::move(deny);
  if (!kill.empty()) json["kill"] = std::move(kill);
  return json;
}

}  // namespace

std::string exact_size(std::uint64_t bytes) {
  static constexpr std::string_view kSuffixes = "KMGT";
  std::size_t power = 0;
  for (; bytes != 0 && bytes % 1024 == 0 && power < kSuffixes.size(); ++power) bytes /= 1024;
  return std::to_string(bytes) + (power == 0 ? "" : std::string(1, kSuffixes[power - 1]));
}

Json file_entry(const FileRule& rule) { return std::visit(EntryVisitor{}, rule.what); }

Json limits_value(const Limits& limits) {
  Json json = {
      {"wall", limits.wall ? exact_duration(*limits.wall) : "none"},
      {"cpu", limits.cpu ? exact_duration(*limits.cpu) : "none"},
      {"memory", limits.memory_bytes ? exact_size(*limits.memory_bytes) : "none"},
      {"output", limits.output_bytes ? exact_size(*limits.output_bytes) : "none"},
      {"processes", limits.processes},
      {"threads", limits.threads},
  };
  json["cpus"] = limits.cpus ? Json(*limits.cpus) : Json("none");
  return json;
}

std::string profile_document(const Policy& policy, std::string_view name,
                             std::string_view description) {
  Json json = {{"name", name}};
  if (!description.empty()) json["description"] = description;
  json["files"] = files_to_json(policy.files());
  json["environment"] = environment_to_json(policy.environment());
  json["limits"] = limits_value(policy.limits());
  if (Json calls = calls_to_json(policy); !calls.empty()) json["syscalls"] = std::move(calls);
  json["on_deny"] = policy.on_deny() == OnDeny::kKill ? "kill" : "errno";
  const bool end = policy.on_audit_failure() == AuditFailure::kEndRun;
  json["audit"] = {{"on_failure", end ? "end" : "count"}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace vitrine::policy
