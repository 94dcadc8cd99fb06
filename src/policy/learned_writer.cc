#include "policy/learned_writer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/path.h"
#include "base/text.h"
#include "policy/json_forms.h"

namespace vitrine::policy {
namespace {

Json entry_for(const LearnedFile& file) {
  Json entry = file_entry(file.rule);
  if (!file.comment.empty()) entry["comment"] = file.comment;
  return entry;
}

// Where a whole folder is shown now, its files need no entries of their own.
bool is_subsumed(const Json& entry, const std::vector<LearnedFile>& files) {
  const auto show = entry.find("show");
  if (show == entry.end() || entry.contains("at") || !show->is_string()) return false;
  const auto path = show->get<std::string>();
  return std::ranges::any_of(files, [&](const LearnedFile& file) {
    const auto* shown = std::get_if<ShowRule>(&file.rule.what);
    return shown != nullptr && shown->host != path && is_within(path, shown->host);
  });
}

void raise_scratch(Json& files, std::uint64_t needed) {
  for (Json& entry : files) {
    if (needed == 0 || !entry.contains("scratch")) continue;
    const Json size = entry.value("size", Json("64M"));
    const auto held = parse_size(size.is_string() ? size.get<std::string>() : size.dump());
    if (!held || *held < needed) entry["size"] = exact_size(needed);
  }
}

// nullopt is "none", which nothing is more than.
template <typename T>
bool is_more(const std::optional<T>& value, const std::optional<T>& than) {
  return than && (!value || *value > *than);
}

// The limits of `learned` that `policy` does not reach.
Json raised_limits(const Limits& policy, const Limits& learned) {
  const Json all = limits_value(learned);
  Json raised = Json::object();
  if (is_more(learned.wall, policy.wall)) raised["wall"] = all["wall"];
  if (is_more(learned.cpu, policy.cpu)) raised["cpu"] = all["cpu"];
  if (is_more(learned.memory_bytes, policy.memory_bytes)) raised["memory"] = all["memory"];
  if (is_more(learned.output_bytes, policy.output_bytes)) raised["output"] = all["output"];
  if (learned.processes > policy.processes) raised["processes"] = all["processes"];
  if (learned.threads > policy.threads) raised["threads"] = all["threads"];
  return raised;
}

void add_variables(Json& profile, const std::vector<std::string>& names) {
  for (const std::string& name : names) profile["environment"][name] = {{"pass", true}};
}

// Top-level members a line each, and their entries likewise: what reviewers and diff(1) can read.
std::string lines_of(const Json& profile) {
  std::string text = "{";
  const char* separator = "\n";
  for (const auto& [key, value] : profile.items()) {
    text += separator + ("  " + Json(key).dump()) + ": ";
    separator = ",\n";
    const bool listed = value.is_structured() && !value.empty() && key != "extends";
    if (!listed) {
      text += value.dump();
      continue;
    }
    text += value.is_array() ? "[" : "{";
    const char* inner = "\n";
    for (const auto& [name, item] : value.items()) {
      text += inner + std::string("    ");
      if (value.is_object()) text += Json(name).dump() + ": ";
      text += item.dump();
      inner = ",\n";
    }
    text += value.is_array() ? "\n  ]" : "\n  }";
  }
  return text + "\n}\n";
}

}  // namespace

std::string learned_document(const LearnedProfile& learned) {
  Json profile = {{"description", learned.description}};
  profile["extends"] =
      learned.extends.size() == 1 ? Json(learned.extends.front()) : Json(learned.extends);
  Json& files = profile["files"] = Json::array();
  for (const LearnedFile& file : learned.files) files.push_back(entry_for(file));
  add_variables(profile, learned.passed_variables);
  Json limits = limits_value(learned.limits);
  if (!learned.limits.cpus) limits.erase("cpus");
  profile["limits"] = std::move(limits);
  return lines_of(profile);
}

Result<std::string> merged_document(std::string_view existing, const Policy& policy,
                                    const LearnedProfile& learned) {
  Json profile = Json::parse(existing, nullptr, false);
  if (!profile.is_object()) return fail_invalid("not a profile");
  Json files = Json::array();
  for (const Json& entry : profile.value("files", Json::array())) {
    if (!is_subsumed(entry, learned.files)) files.push_back(entry);
  }
  raise_scratch(files, learned.scratch_bytes);
  for (const LearnedFile& file : learned.files) files.push_back(entry_for(file));
  if (!files.empty()) profile["files"] = std::move(files);
  add_variables(profile, learned.passed_variables);
  const Json raised = raised_limits(policy.limits(), learned.limits);
  for (const auto& [name, limit] : raised.items()) {
    profile["limits"][name] = limit;
  }
  return lines_of(profile);
}

std::vector<std::string> shown_paths(std::string_view profile) {
  std::vector<std::string> paths;
  const Json json = Json::parse(profile, nullptr, false);
  if (!json.is_object()) return paths;
  for (const Json& entry : json.value("files", Json::array())) {
    const bool shows = entry.is_object() && entry.contains("show") && !entry.contains("at");
    if (shows) paths.push_back(entry["show"].get<std::string>());
  }
  return paths;
}

}  // namespace vitrine::policy
