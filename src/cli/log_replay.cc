#include "cli/log_replay.h"

#include <cerrno>
#include <cstring>
#include <variant>

#include "audit/escape.h"
#include "audit/log_filter.h"
#include "audit/log_show.h"
#include "audit/log_summary.h"
#include "base/path.h"

namespace vitrine::cli {
namespace {

using audit::Json;
using policy::Explanation;

// A log may differ in as many ways as it has lines, and hold paths of any length.
constexpr std::size_t kMaxGroups = 1000;
constexpr std::size_t kMaxGroupBytes = 8 << 20;
constexpr std::size_t kMaxAnswerBytes = 8 << 20;

bool is_refusal(Action action) { return action == Action::kDeny || action == Action::kKill; }

// Rules that a profile does not have: what the command line showed.
bool is_of_command_line(const std::string& rule) {
  return rule == "program" || rule == "interpreter" || rule == "script" ||
         rule == "working directory" || rule.starts_with("--");
}

// What was not there is not there under a policy that shows nothing either, nor to be changed under
// one that shows it read-only.
bool sees_the_same(const Json& call, const Decision& decision) {
  return audit::text_field(call, "errno") == "ENOENT" && decision.action == Action::kDeny &&
         (decision.error == ENOENT || decision.error == EROFS);
}

// Of a change that failed by itself (EEXIST) the kernel says so before it says EROFS, if the file
// is there under the other policy as well.
bool may_fail_alike(const Json& call, const Decision& decision) {
  const std::string error = audit::text_field(call, "errno");
  return !error.empty() && error != "ENOENT" && decision.error == EROFS;
}

// Whether the last of its paths is made by the call.
bool creates(const std::string& syscall, const Json& call) {
  for (const char* name : {"creat", "mkdir", "mknod", "link", "symlink", "rename"}) {
    if (syscall.starts_with(name)) return true;
  }
  const Json* arguments = audit::find_field(call, "args");
  return arguments != nullptr && syscall.starts_with("open") &&
         audit::text_field(*arguments, "flags").find("O_CREAT") != std::string::npos;
}

// Nothing is there, whatever the host has.
bool shows_nothing_at(const FileRule& rule, const std::string& path) {
  if (std::holds_alternative<HideRule>(rule.what)) return true;
  const auto* folder = std::get_if<FolderRule>(&rule.what);
  return folder != nullptr && folder->guest != path;
}

const FileRule* rule_named(const policy::Policy& policy, const std::string& name) {
  for (const FileRule& rule : policy.files()) {
    if (rule.origin.rule == name) return &rule;
  }
  return nullptr;
}

std::string describe(const Explanation& explanation) {
  const Decision& decision = explanation.decision;
  std::string text = name_of(decision.action);
  if (decision.action == Action::kDeny) {
    text += ' ';
    text += ::strerrorname_np(decision.error);
  }
  text += ", rule " + audit::escape(explanation.origin.rule);
  if (!explanation.origin.location.empty()) {
    text += " (" + audit::escape(explanation.origin.location) + ")";
  }
  return text + ": " + audit::escape(explanation.note);
}

}  // namespace

void Replay::add(const audit::LogLine& line) {
  if (line.type != "syscall") return;
  const std::string syscall = audit::printable(audit::text_field(line.json, "syscall"));
  const bool was_refused = audit::is_refused(audit::text_field(line.json, "decision"));
  const Answer answer = answer_call(syscall, line.json);
  const bool differs = answer.refused != was_refused &&
                       (was_refused || !sees_the_same(line.json, answer.explanation.decision));
  const bool of_command_line = is_of_command_line(audit::text_field(line.json, "rule"));
  // What is refused whatever the paths are is told even where the rest is not.
  const bool open = answer.path_unknown || (!answer.told && was_refused);
  const bool unsettled =
      differs &&
      (of_command_line || (!was_refused && may_fail_alike(line.json, answer.explanation.decision)));
  if ((open && !answer.refused) || unsettled) {
    ++untold_;
    return;
  }
  ++compared_;
  if (differs) note_difference(line, answer.explanation);
}

// Refused if one of its paths is.
Replay::Answer Replay::answer_call(const std::string& syscall, const Json& call) {
  const Explanation general = policy::explain(policy_, {syscall, std::nullopt});
  Answer answer{is_refusal(general.decision.action), true, general};
  if (answer.refused) return answer;
  answer.told = general.decision.action == Action::kAllow;
  const bool writes = audit::writes_files(call);
  const bool creates_last = creates(syscall, call);
  bool path_unknown = false;
  bool all_told = true;
  const std::vector<std::string> paths = audit::call_paths(call);
  for (const std::string& path : paths) {
    const std::optional<audit::Unescaped> raw = audit::unescape(path);
    if (!raw || raw->left_out > 0 || !raw->bytes.starts_with('/') || has_dot_dot(raw->bytes)) {
      path_unknown = true;
      continue;
    }
    const Use use = !writes                                  ? Use::kLook
                    : creates_last && &path == &paths.back() ? Use::kCreate
                                                             : Use::kChange;
    answer = answer_path(syscall, tidy_path(raw->bytes), use);
    if (answer.refused) return answer;
    all_told = all_told && answer.told;
  }
  answer.told = answer.told && all_told;
  answer.path_unknown = path_unknown;
  return answer;
}

const Replay::Answer& Replay::answer_path(const std::string& syscall, const std::string& path,
                                          Use use) {
  const std::string key = syscall + ' ' + std::to_string(static_cast<int>(use)) + ' ' + path;
  const auto known = answers_.find(key);
  if (known != answers_.end()) return known->second;
  Answer answer = decide_path(syscall, path, use);
  answer_bytes_ += 2 * key.size() + answer.explanation.note.size() + sizeof answer;
  if (answer_bytes_ > kMaxAnswerBytes) {
    answers_.clear();
    answer_bytes_ = 0;
  }
  return answers_[key] = std::move(answer);
}

Replay::Answer Replay::decide_path(const std::string& syscall, const std::string& path,
                                   Use use) const {
  Answer answer{false, true, policy::explain(policy_, {syscall, path})};
  Explanation& explanation = answer.explanation;
  answer.refused = is_refusal(explanation.decision.action);
  const FileRule* const rule = rule_named(policy_, explanation.origin.rule);
  if (rule == nullptr) return answer;
  if (std::holds_alternative<SyntheticRule>(rule->what)) {
    answer.told = false;  // the trees decide by name
  } else if (shows_nothing_at(*rule, path)) {
    // To be made there, the folder decides.
    if (use != Use::kCreate || path == "/") return answer;
    Answer of_folder = decide_path(syscall, std::string(parent_of(path)), Use::kChange);
    if (of_folder.refused) return of_folder;
  } else if (use != Use::kLook && !std::holds_alternative<ScratchRule>(rule->what)) {
    answer.refused = true;
    explanation.decision = {Action::kDeny, EROFS, explanation.origin.rule};
    explanation.note = "what the rule shows is read-only";
  } else if (std::holds_alternative<ShowRule>(rule->what)) {
    answer.refused = false;  // at most absent on this host now
  }
  return answer;
}

void Replay::note_difference(const audit::LogLine& line, const Explanation& explanation) {
  ++different_;
  std::string answer = describe(explanation);
  std::string key = audit::text_field(line.json, "syscall");
  key += '\n' + audit::call_target(line.json) + '\n' + answer;
  const auto known = groups_.find(key);
  if (known != groups_.end()) {
    ++known->second.count;
  } else if (groups_.size() < kMaxGroups && group_bytes_ < kMaxGroupBytes) {
    Group group{1, audit::readable_line(line, false), std::move(answer)};
    group_bytes_ += key.size() + group.example.size() + group.answer.size();
    groups_[std::move(key)] = std::move(group);
  } else {
    ++not_listed_;
  }
}

std::string Replay::text() const {
  std::string out;
  for (const auto& [key, group] : groups_) {
    out += group.example;
    if (group.count > 1) out += "   (" + std::to_string(group.count) + " times)";
    out += "\n    would be: " + group.answer + "\n";
  }
  if (not_listed_ > 0) out += "and " + std::to_string(not_listed_) + " calls that are not listed\n";
  out += std::to_string(different_) + " of " + std::to_string(compared_) +
         " calls would be decided differently";
  if (untold_ > 0) {
    out += "; " + std::to_string(untold_) +
           " more depend on the command line or on arguments that the log cannot settle";
  }
  return out + "\n";
}

}  // namespace vitrine::cli
