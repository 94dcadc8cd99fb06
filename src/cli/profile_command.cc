#include "cli/profile_command.h"

#include <unistd.h>

#include <array>
#include <climits>
#include <cstring>

#include "audit/escape.h"
#include "base/path.h"
#include "base/text.h"
#include "cli/exit_status.h"
#include "cli/log_options.h"
#include "cli/messages.h"
#include "cli/standard_output.h"
#include "policy/builder.h"
#include "policy/builtin_profiles.h"
#include "policy/difference.h"
#include "policy/explain.h"
#include "policy/profile_store.h"
#include "policy/profile_writer.h"

namespace vitrine::cli {
namespace {

constexpr const char* kUsage =
    "usage: vitrine profile list\n"
    "       vitrine profile show PROFILE... [--json | --source]\n"
    "       vitrine profile check PROFILE...\n"
    "       vitrine profile check --diff A B     (what B grants more than A)\n"
    "       vitrine profile explain PROFILE [--syscall NAME] [--path GUEST]\n"
    "PROFILE is a name that `list` shows, or a file: with a '/' or ending in .json.\n"
    "See vitrine-profile(5).\n";

int fail_with(const std::string& sentence) {
  say_error(sentence);
  return kExitFailed;
}

int print(const std::string& text) {
  StandardOutput out;
  out.append(text);
  const auto finished = out.finish();
  return finished ? kExitOk : fail_with(finished.error().message());
}

std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text + " ";
}

// --- list

// The installed copy next to this program: for reading, and as a start for one's own.
std::string installed_copy(std::string_view name) {
  std::array<char, PATH_MAX> buffer{};
  const ssize_t length = ::readlink("/proc/self/exe", buffer.data(), buffer.size());
  if (length <= 0) return "";
  const std::string_view program(buffer.data(), static_cast<std::size_t>(length));
  const std::string path = join_path(parent_of(parent_of(program)), "share/vitrine/profiles/") +
                           "/" + std::string(name) + ".json";
  return ::access(path.c_str(), R_OK) == 0 ? path : "";
}

int list_profiles(const LogArguments& arguments) {
  if (!arguments.operands.empty()) return fail_with("profile list: takes no arguments");
  std::string text;
  for (const policy::BuiltinProfile& builtin : policy::builtin_profiles()) {
    const auto profile = policy::load_profile(std::string(builtin.name));
    if (!profile) return fail_with(profile.error().message());
    const std::string copy = installed_copy(builtin.name);
    text += padded(std::string(builtin.name), 20) + profile->description + "\n" + padded("", 20) +
            "built in" + (copy.empty() ? "" : "; a copy to read: " + audit::escape(copy)) + "\n";
  }
  return print(text);
}

// --- show

Result<std::vector<policy::Profile>> load(const Arguments& names) {
  if (names.empty()) return fail_invalid("profile: which one? See vitrine profile list");
  return policy::load_profiles(names);
}

policy::Policy merged(const std::vector<policy::Profile>& profiles) {
  policy::PolicyBuilder builder;
  for (const policy::Profile& profile : profiles) builder.extend(profile);
  return std::move(builder).build();
}

// One line of the readable form: what kind of rule, its subject, and its details.
struct RuleText {
  std::string kind;
  std::string subject;
};

struct RuleVisitor {
  RuleText operator()(const ShowRule& rule) const {
    const std::string at = rule.guest.empty() ? "" : " at " + rule.guest;
    return {"show", rule.host + at + (rule.optional ? " (if there)" : "")};
  }
  RuleText operator()(const ScratchRule& rule) const {
    return {"scratch", rule.guest + " of " + format_size(rule.bytes)};
  }
  RuleText operator()(const InlineRule& rule) const {
    return {"text", rule.guest + (rule.executable ? " (executable)" : "")};
  }
  RuleText operator()(const LinkRule& rule) const {
    return {"link", rule.guest + " -> " + rule.target};
  }
  RuleText operator()(const HideRule& rule) const { return {"hide", rule.guest}; }
  RuleText operator()(const FolderRule& rule) const { return {"folder", rule.guest}; }
  RuleText operator()(const SyntheticRule& rule) const { return {"synthetic", "/" + rule.tree}; }
};

std::string files_text(const FileRules& rules) {
  std::string text = "files (a later rule covers an earlier one; anything else does not exist)\n";
  for (const FileRule& rule : rules) {
    const RuleText line = std::visit(RuleVisitor{}, rule.what);
    text += "  " + padded(line.kind, 10) + padded(audit::escape(line.subject), 50) +
            audit::escape(rule.origin.rule) + "\n";
  }
  return text;
}

std::string environment_text(const std::vector<policy::EnvironmentRule>& rules) {
  std::string text = "environment (no other variable)\n";
  for (const policy::EnvironmentRule& rule : rules) {
    const std::string otherwise = rule.otherwise ? ", else " + *rule.otherwise : "";
    const std::string value = rule.value ? *rule.value : "the caller's, if it is safe" + otherwise;
    text += "  " + padded(audit::escape(rule.name), 10) + padded(audit::escape(value), 50) +
            audit::escape(rule.origin.rule) + "\n";
  }
  return text;
}

std::string limit_line(const char* name, const std::string& value) {
  return "  " + padded(name, 10) + value + "\n";
}

std::string limits_text(const Limits& limits) {
  const auto duration = [](const std::optional<Nanoseconds>& limit) {
    return limit ? format_duration(*limit) : "none";
  };
  const auto size = [](const std::optional<std::uint64_t>& limit) {
    return limit ? format_size(*limit) : "none";
  };
  return "limits (of the whole process tree)\n" + limit_line("wall", duration(limits.wall)) +
         limit_line("cpu", duration(limits.cpu)) + limit_line("memory", size(limits.memory_bytes)) +
         limit_line("output", size(limits.output_bytes)) +
         limit_line("processes", std::to_string(limits.processes)) +
         limit_line("threads", std::to_string(limits.threads)) +
         limit_line("cpus", limits.cpus ? std::to_string(*limits.cpus) : "all of the caller's");
}

std::string calls_text(const policy::Policy& policy) {
  if (policy.call_rules().empty()) return "";
  std::string text = "system calls (beyond what no profile allows)\n";
  for (const auto& [name, rule] : policy.call_rules()) {
    const bool kills = rule.action == Action::kKill;
    const std::string effect = kills ? "" : std::string(" ") + ::strerrorname_np(rule.error);
    text += "  " + padded(name_of(rule.action) + effect, 10) + padded(name, 50) +
            audit::escape(rule.origin.rule) + "\n";
  }
  return text;
}

std::string readable(const std::vector<policy::Profile>& profiles, const policy::Policy& policy) {
  std::string text;
  for (const policy::Profile& profile : profiles) {
    text += audit::escape(profile.identity.name) + "  " + audit::escape(profile.identity.path) +
            "\n  " + audit::escape(profile.description) + "\n";
  }
  const bool kills = policy.on_deny() == policy::OnDeny::kKill;
  return text + "\n" + files_text(policy.files()) + environment_text(policy.environment()) +
         limits_text(policy.limits()) + calls_text(policy) + "on a denied call\n  " +
         (kills ? "the run ends\n" : "it fails with an errno\n");
}

int show_source(const Arguments& names) {
  std::string text;
  for (const std::string& name : names) {
    const auto source = policy::profile_source(name);
    if (!source) return fail_with(source.error().message());
    text += *source;
  }
  return print(text);
}

int show_profiles(const LogArguments& arguments) {
  const auto profiles = load(arguments.operands);
  if (!profiles) return fail_with(profiles.error().message());
  if (arguments.has("--source")) return show_source(arguments.operands);
  const policy::Policy policy = merged(*profiles);
  if (!arguments.has("--json")) return print(readable(*profiles, policy));
  const policy::Profile& last = profiles->back();
  return print(policy::profile_document(policy, last.identity.name, last.description));
}

// --- check

int compare_profiles(const Arguments& names) {
  if (names.size() != 2) return fail_with("profile check --diff: needs two profiles");
  std::vector<policy::Policy> policies;
  for (const std::string& name : names) {
    const auto profiles = policy::load_profiles({name});
    if (!profiles) return fail_with(profiles.error().message());
    policies.push_back(merged(*profiles));
  }
  const std::vector<policy::Grant> grants = policy::grants_beyond(policies[0], policies[1]);
  const std::string first = audit::escape(names[0]);
  const std::string second = audit::escape(names[1]);
  if (grants.empty()) return print(second + " grants nothing more than " + first + "\n");
  std::string text = second + " grants more than " + first + "\n";
  for (const policy::Grant& grant : grants) {
    const std::string& place = grant.origin.rule;
    text += "  " + padded(grant.kind, 12) + padded(audit::escape(grant.subject), 40) +
            audit::escape(grant.change) + (place.empty() ? "" : " (" + audit::escape(place) + ")") +
            "\n";
  }
  const int printed = print(text);
  return printed == kExitOk ? kExitDiffers : printed;
}

int check_profiles(const LogArguments& arguments) {
  if (arguments.has("--diff")) return compare_profiles(arguments.operands);
  if (arguments.operands.empty()) return fail_with("profile check: needs a profile's file");
  std::string text;
  int status = kExitOk;
  for (const std::string& name : arguments.operands) {
    const auto profiles = policy::load_profiles({name});
    if (!profiles) status = kExitDiffers;
    text += profiles ? audit::escape(name) + ": ok" : audit::escape(profiles.error().message());
    text += "\n";
  }
  const int printed = print(text);
  return printed == kExitOk ? status : printed;
}

// --- explain

int explain_profile(const LogArguments& arguments) {
  if (arguments.operands.size() != 1) return fail_with("profile explain: needs one profile");
  policy::Question question{arguments.last("--syscall").value_or("openat"),
                            arguments.last("--path")};
  if (!question.path && !arguments.has("--syscall")) {
    return fail_with("profile explain: needs --syscall NAME, --path GUEST or both");
  }
  if (question.path) {
    if (!question.path->starts_with('/') || has_dot_dot(*question.path)) {
      return fail_with("--path: needs an absolute path without \"..\"");
    }
    question.path = tidy_path(*question.path);
  }
  const auto profiles = load(arguments.operands);
  if (!profiles) return fail_with(profiles.error().message());
  const policy::Explanation answer = policy::explain(merged(*profiles), question);
  const bool denies = answer.decision.action == Action::kDeny;
  const std::string error =
      denies ? std::string(" ") + ::strerrorname_np(answer.decision.error) : "";
  const std::string subject = question.path ? " " + audit::escape(*question.path) : "";
  return print(audit::escape(question.syscall) + subject + ": " + name_of(answer.decision.action) +
               error + "\n  rule:  " + audit::escape(answer.origin.rule) + "\n  place: " +
               (answer.origin.location.empty() ? "-" : audit::escape(answer.origin.location)) +
               "\n  why:   " + audit::escape(answer.note) + "\n");
}

struct Subcommand {
  std::string_view name;
  std::vector<LogOption> options;
  int (*run)(const LogArguments& arguments);
};

}  // namespace

int run_profile_command(const Arguments& arguments) {
  const std::array<Subcommand, 4> subcommands{{
      {"list", {}, list_profiles},
      {"show", {{"--json", false}, {"--source", false}}, show_profiles},
      {"check", {{"--diff", false}}, check_profiles},
      {"explain", {{"--syscall", true}, {"--path", true}}, explain_profile},
  }};
  if (arguments.empty()) return fail_with("profile: needs list, show, check or explain");
  if (arguments[0] == "--help" || arguments[0] == "-h") return print(kUsage);
  for (const Subcommand& subcommand : subcommands) {
    if (subcommand.name != arguments[0]) continue;
    const auto parsed =
        parse_log_arguments(Arguments(arguments.begin() + 1, arguments.end()), subcommand.options);
    if (!parsed) return fail_with(parsed.error().message());
    return subcommand.run(*parsed);
  }
  return fail_with("profile: \"" + arguments[0] + "\" is not one of list, show, check, explain");
}

}  // namespace vitrine::cli
