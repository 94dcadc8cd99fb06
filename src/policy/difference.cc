#include "policy/difference.h"

#include <fnmatch.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <set>

#include "base/path.h"
#include "base/text.h"
#include "policy/coverage.h"

namespace vitrine::policy {
namespace {

// What a policy has at one path inside.
struct Content {
  enum class Kind { kNothing, kFolder, kLink, kText, kSynthetic, kScratch, kHost };
  Kind kind = Kind::kNothing;
  std::string source;       // host path, link's target, text, tree
  std::uint64_t bytes = 0;  // of scratch
  Origin origin;
};

std::string path_below(const std::string& base, const std::string& from, const std::string& path) {
  return path == from ? base : tidy_path(base + "/" + path.substr(from.size()));
}

struct ContentVisitor {
  const std::string& path;

  Content operator()(const ShowRule& rule) const {
    const std::string host = rule.guest.empty() ? path : path_below(rule.host, rule.guest, path);
    return {Content::Kind::kHost, host, 0, {}};
  }
  Content operator()(const ScratchRule& rule) const {
    return {Content::Kind::kScratch, rule.guest, rule.bytes, {}};
  }
  Content operator()(const InlineRule& rule) const {
    return {Content::Kind::kText, rule.content + (rule.executable ? "x" : "-"), 0, {}};
  }
  Content operator()(const LinkRule& rule) const {
    return {Content::Kind::kLink, rule.target, 0, {}};
  }
  Content operator()(const HideRule&) const { return {}; }
  Content operator()(const FolderRule& rule) const {
    return rule.guest == path ? Content{Content::Kind::kFolder, "", 0, {}} : Content{};
  }
  Content operator()(const SyntheticRule& rule) const {
    return {Content::Kind::kSynthetic, rule.tree, 0, {}};
  }
};

Content content_at(const FileRules& rules, const std::string& path) {
  const FileRule* const rule = covering_rule(rules, path);
  if (rule == nullptr) {
    const bool way = is_on_the_way(rules, path);
    return {way ? Content::Kind::kFolder : Content::Kind::kNothing, "", 0, {}};
  }
  Content content = std::visit(ContentVisitor{path}, rule->what);
  content.origin = rule->origin;
  return content;
}

std::string described(const Content& content) {
  switch (content.kind) {
    case Content::Kind::kNothing:
      return "nothing";
    case Content::Kind::kFolder:
      return "an empty folder";
    case Content::Kind::kLink:
      return "a link to " + content.source;
    case Content::Kind::kText:
      return "a text of its own";
    case Content::Kind::kSynthetic:
      return "vitrine's own /" + content.source;
    case Content::Kind::kScratch:
      return "scratch of " + format_size(content.bytes);
    case Content::Kind::kHost:
      break;
  }
  return "the host's " + content.source;
}

// An empty folder and a way to nothing new grant nothing.
bool grants_more(const Content& less, const Content& more) {
  using Kind = Content::Kind;
  if (more.kind == Kind::kNothing || more.kind == Kind::kFolder) return false;
  // What vitrine makes holds nothing of the host's, and nothing can be kept in it.
  if (more.kind == Kind::kSynthetic && less.kind == Kind::kScratch) return false;
  if (more.kind != less.kind) return true;
  if (more.kind == Kind::kScratch) return more.bytes > less.bytes;
  return more.source != less.source;
}

const char* kind_of(const Content& content) {
  constexpr const char* kWords[] = {"hide",      "folder",  "link", "text",
                                    "synthetic", "scratch", "show"};
  return kWords[static_cast<std::size_t>(content.kind)];
}

// The paths that a pattern stands for here; the pattern itself where it stands for none.
std::vector<std::string> expanded(const std::string& pattern) {
  std::vector<std::string> paths;
  std::error_code ignored;
  const std::string name(name_in(pattern));
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(parent_of(pattern)), ignored)) {
    const std::string found = entry.path().filename();
    if (::fnmatch(name.c_str(), found.c_str(), FNM_PERIOD) == 0) paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  return paths.empty() ? std::vector<std::string>{pattern} : paths;
}

std::string real_path(const std::string& path) {
  const std::unique_ptr<char, decltype(&::free)> real(::realpath(path.c_str(), nullptr), &::free);
  return real == nullptr ? path : real.get();
}

// The rules with patterns looked up, and each shown link followed by what it leads to: showing a
// link shows that as well, wherever it is.
FileRules spelled_out(const FileRules& rules) {
  FileRules all;
  for (const FileRule& rule : rules) {
    const auto* shown = std::get_if<ShowRule>(&rule.what);
    if (shown == nullptr || !shown->guest.empty()) {
      all.push_back(rule);
      continue;
    }
    const auto paths = shown->pattern ? expanded(shown->host) : std::vector{shown->host};
    for (const std::string& path : paths) {
      ShowRule one = *shown;
      one.host = path;
      one.pattern = shown->pattern && path == shown->host;
      all.push_back({one, rule.origin});
      one.host = real_path(path);
      if (one.host != path) all.push_back({one, rule.origin});
    }
  }
  return all;
}

// Where to look: at each path that a rule of either names, in the rules' order.
std::vector<std::string> places(const FileRules& less, const FileRules& more) {
  std::vector<std::string> found;
  std::set<std::string> known;
  for (const FileRules* rules : {&more, &less}) {
    for (const FileRule& rule : *rules) {
      std::string path(guest_of(rule));
      if (known.insert(path).second) found.push_back(std::move(path));
    }
  }
  return found;
}

class Comparison {
 public:
  Comparison(const Policy& less, const Policy& more)
      : less_(less),
        more_(more),
        less_files_(spelled_out(less.files())),
        more_files_(spelled_out(more.files())) {}

  std::vector<Grant> run() {
    for (const std::string& path : places(less_files_, more_files_)) compare_path(path);
    compare_limits();
    compare_calls();
    compare_environment();
    compare_reactions();
    return std::move(grants_);
  }

 private:
  void add(std::string kind, std::string subject, std::string change, Origin origin = {}) {
    grants_.push_back({std::move(kind), std::move(subject), std::move(change), std::move(origin)});
  }

  void compare_path(const std::string& path) {
    const Content less = content_at(less_files_, path);
    const Content more = content_at(more_files_, path);
    if (!grants_more(less, more)) return;
    // One rule's links and what they lead to are one grant.
    const bool said = std::ranges::any_of(grants_, [&](const Grant& grant) {
      return grant.subject != path && grant.origin.rule == more.origin.rule &&
             real_path(grant.subject) == path;
    });
    if (said) return;
    const bool new_here = less.kind == Content::Kind::kNothing;
    add(kind_of(more), path, described(more) + (new_here ? "" : ", instead of " + described(less)),
        more.origin);
  }

  template <typename T, typename Format>
  void compare_limit(const char* name, const std::optional<T>& less, const std::optional<T>& more,
                     Format format) {
    if (!less || (more && *more <= *less)) return;
    add("limit", name, (more ? format(*more) : "none") + ", instead of " + format(*less));
  }

  void compare_limits() {
    const auto number = [](std::uint64_t value) { return std::to_string(value); };
    const Limits& less = less_.limits();
    const Limits& more = more_.limits();
    compare_limit("wall", less.wall, more.wall, format_duration);
    compare_limit("cpu", less.cpu, more.cpu, format_duration);
    compare_limit("memory", less.memory_bytes, more.memory_bytes, format_size);
    compare_limit("output", less.output_bytes, more.output_bytes, format_size);
    compare_limit("processes", std::optional(less.processes), std::optional(more.processes),
                  number);
    compare_limit("threads", std::optional(less.threads), std::optional(more.threads), number);
    compare_limit("cpus", less.cpus, more.cpus, number);
  }

  void compare_calls() {
    for (const auto& [name, rule] : less_.call_rules()) {
      const CallRule* const now = more_.call_rule(name);
      if (now == nullptr) {
        const bool killed = rule.action == Action::kKill;
        add("call", name, killed ? "no longer ends the run" : "no longer denied");
      } else if (rule.action == Action::kKill && now->action == Action::kDeny) {
        add("call", name, "it fails, instead of ending the run", now->origin);
      }
    }
  }

  const EnvironmentRule* variable(const Policy& policy, const std::string& name) const {
    for (const EnvironmentRule& rule : policy.environment()) {
      if (rule.name == name) return &rule;
    }
    return nullptr;
  }

  void compare_environment() {
    for (const EnvironmentRule& rule : more_.environment()) {
      const EnvironmentRule* const before = variable(less_, rule.name);
      const bool passes = !rule.value;
      if (before == nullptr) {
        add("environment", rule.name, passes ? "passed, instead of nothing" : "set", rule.origin);
      } else if (passes && (before->value || (rule.accept == Accept::kAnything &&
                                              before->accept != Accept::kAnything))) {
        add("environment", rule.name, "passed, instead of what was set or checked", rule.origin);
      }
    }
  }

  void compare_reactions() {
    if (less_.on_deny() == OnDeny::kKill && more_.on_deny() == OnDeny::kErrno) {
      add("on_deny", "a denied call", "it fails, instead of ending the run");
    }
    if (less_.on_audit_failure() == AuditFailure::kEndRun &&
        more_.on_audit_failure() == AuditFailure::kCountDrops) {
      add("audit", "a log that cannot be written", "the run goes on, instead of ending");
    }
  }

  const Policy& less_;
  const Policy& more_;
  FileRules less_files_;
  FileRules more_files_;
  std::vector<Grant> grants_;
};

}  // namespace

std::vector<Grant> grants_beyond(const Policy& less, const Policy& more) {
  return Comparison(less, more).run();
}

}  // namespace vitrine::policy
