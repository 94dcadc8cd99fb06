// The profile loader, on any text: an error that names a place in it, or a profile that keeps what
// its readers rely on, and that is the same when it is written down and read again.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>

#include "arch/syscall_table.h"
#include "policy/builder.h"
#include "policy/profile_loader.h"
#include "policy/profile_writer.h"

namespace {

using namespace vitrine;

void require(bool holds) {
  if (!holds) std::abort();
}

// Takes a number from 1 to `most` and what follows it from the front of `text`.
std::size_t take_number(std::string_view& text, std::size_t most, std::string_view behind) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  require(error == std::errc() && number >= 1 && number <= most);
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  require(text.starts_with(behind));
  text.remove_prefix(behind.size());
  return number;
}

// "p.json:LINE:COLUMN: sentence", and there is such a place.
void check_error(const Error& error, std::string_view text) {
  const std::string message = error.message();
  std::string_view rest = message;
  require(error.kind == Error::Kind::kInvalid && rest.starts_with("p.json:"));
  rest.remove_prefix(7);
  if (rest.starts_with(" larger than ")) return require(text.size() > policy::kMaxProfileBytes);
  const auto lines = static_cast<std::size_t>(std::ranges::count(text, '\n')) + 1;
  std::size_t line = take_number(rest, lines, ":");
  while (--line > 0) text.remove_prefix(text.find('\n') + 1);
  take_number(rest, std::min(text.find('\n'), text.size()) + 1, ": ");
  require(!rest.empty());
}

bool is_guest_path(const std::string& path) {
  if (path == "/") return true;
  if (!path.starts_with('/') || path.ends_with('/')) return false;
  const std::string closed = path + "/";
  return closed.find("//") == std::string::npos && closed.find("/./") == std::string::npos &&
         closed.find("/../") == std::string::npos && path.find('\0') == std::string::npos;
}

struct RuleCheck {
  bool operator()(const ShowRule& rule) const {
    const std::size_t star = rule.host.find('*');
    const bool last_only = star == std::string::npos || star > rule.host.rfind('/');
    return is_guest_path(rule.host) && last_only && rule.pattern == (star != std::string::npos) &&
           (rule.guest.empty() || (is_guest_path(rule.guest) && !rule.pattern));
  }
  bool operator()(const ScratchRule& rule) const {
    return is_guest_path(rule.guest) && rule.bytes <= INT64_MAX;
  }
  bool operator()(const InlineRule& rule) const { return is_guest_path(rule.guest); }
  bool operator()(const LinkRule& rule) const {
    return is_guest_path(rule.guest) && !rule.target.empty();
  }
  bool operator()(const HideRule& rule) const { return is_guest_path(rule.guest); }
  bool operator()(const FolderRule& rule) const { return is_guest_path(rule.guest); }
  bool operator()(const SyntheticRule& rule) const {
    return rule.tree == "proc" || rule.tree == "sys" || rule.tree == "dev" || rule.tree == "etc";
  }
};

void check_rules(const policy::Profile& profile) {
  for (const FileRule& rule : profile.files) require(std::visit(RuleCheck{}, rule.what));
  for (const policy::EnvironmentRule& rule : profile.environment) {
    const std::size_t star = rule.name.find('*');
    require(!rule.name.empty() &&
            rule.name.find_first_of(std::string("=\0", 2)) == std::string::npos);
    require(star == std::string::npos ||
            (star + 1 == rule.name.size() && !rule.value && !rule.otherwise));
  }
  for (const policy::CallRule& rule : profile.calls) {
    require(arch::find_syscall(rule.syscall) != nullptr);
    require(rule.action == Action::kKill || (rule.action == Action::kDeny && rule.error >= 1));
  }
}

// As they were written: a path that is not absolute would be made so.
void check_written_paths(std::string_view text) {
  const auto json = nlohmann::json::parse(text);
  if (!json.contains("files")) return;
  for (const auto& entry : json["files"]) {
    for (const char* key : {"show", "scratch", "hide", "folder", "at"}) {
      require(!entry.contains(key) || entry[key].get<std::string>().starts_with('/'));
    }
  }
}

policy::Policy policy_of(const policy::Profile& profile) {
  policy::PolicyBuilder builder;
  builder.extend(profile);
  return std::move(builder).build();
}

void check_limits(const Limits& limits) {
  const auto bytes = [](const auto& limit) { return !limit || *limit <= INT64_MAX; };
  require(!limits.wall || limits.wall->count() >= 0);
  require(!limits.cpu || limits.cpu->count() >= 0);
  require(bytes(limits.memory_bytes) && bytes(limits.output_bytes));
  require(limits.processes >= 1 && limits.processes <= policy::kMostProcesses);
  require(limits.threads >= 1 && limits.threads <= policy::kMostThreads);
  require(!limits.cpus || (*limits.cpus >= 1 && *limits.cpus <= policy::kMostCpus));
}

// All that a rule says, which the document might leave out.
struct RuleText {
  std::string operator()(const ShowRule& rule) const {
    return "show\n" + rule.host + "\n" + rule.guest + (rule.optional ? "\noptional" : "");
  }
  std::string operator()(const ScratchRule& rule) const {
    return "scratch\n" + rule.guest + "\n" + std::to_string(rule.bytes);
  }
  std::string operator()(const InlineRule& rule) const {
    return "text\n" + rule.guest + "\n" + rule.content + (rule.executable ? "\nexecutable" : "");
  }
  std::string operator()(const LinkRule& rule) const {
    return "link\n" + rule.guest + "\n" + rule.target;
  }
  std::string operator()(const HideRule& rule) const { return "hide\n" + rule.guest; }
  std::string operator()(const FolderRule& rule) const { return "folder\n" + rule.guest; }
  std::string operator()(const SyntheticRule& rule) const { return "synthetic\n" + rule.tree; }
};

std::vector<std::string> rules_of(const policy::Policy& policy) {
  std::vector<std::string> texts;
  for (const FileRule& rule : policy.files()) texts.push_back(std::visit(RuleText{}, rule.what));
  return texts;
}

bool same_limits(const Limits& a, const Limits& b) {
  return a.wall == b.wall && a.cpu == b.cpu && a.memory_bytes == b.memory_bytes &&
         a.output_bytes == b.output_bytes && a.processes == b.processes && a.threads == b.threads &&
         a.cpus == b.cpus;
}

// As it is written down; the comments name places, which differ.
nlohmann::json document_of(const policy::Policy& policy) {
  const std::string text = policy::profile_document(policy, "p", "");
  nlohmann::json json = nlohmann::json::parse(text);
  for (auto& entry : json["files"]) entry.erase("comment");
  return json;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto profile = policy::parse_profile(text, "p", "p.json");
  if (!profile) {
    check_error(profile.error(), text);
    return 0;
  }
  check_rules(*profile);
  check_written_paths(text);
  const policy::Policy policy = policy_of(*profile);
  check_limits(policy.limits());
  const std::string written = policy::profile_document(policy, "p", "");
  const auto again = policy::parse_profile(written, "p", "p.json");
  require(again.has_value());
  const policy::Policy same = policy_of(*again);
  require(document_of(same) == document_of(policy));
  require(rules_of(same) == rules_of(policy) && same_limits(same.limits(), policy.limits()));
  return 0;
}
