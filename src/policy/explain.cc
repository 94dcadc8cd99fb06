#include "policy/explain.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <memory>

#include "arch/syscall_table.h"
#include "base/path.h"
#include "policy/coverage.h"

namespace vitrine::policy {
namespace {

Explanation explained(Action action, int error, const Origin& origin, std::string note) {
  return {{action, error, origin.rule}, origin, std::move(note)};
}

const Origin kDefault{"default", ""};

bool exists(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

std::string real_path_or(const std::string& path) {
  const std::unique_ptr<char, decltype(&::free)> real(::realpath(path.c_str(), nullptr), &::free);
  return real == nullptr ? path : real.get();
}

// The same rules with links on the way to shown paths followed: what "/lib64" shows is at
// "/usr/lib64" inside too, where the one is a link to the other.
FileRules with_real_hosts(const FileRules& rules) {
  FileRules real = rules;
  for (FileRule& rule : real) {
    auto* const shown = std::get_if<ShowRule>(&rule.what);
    if (shown == nullptr || !shown->guest.empty()) continue;
    shown->host = shown->pattern ? join_path(real_path_or(std::string(parent_of(shown->host))),
                                             name_in(shown->host))
                                 : real_path_or(shown->host);
  }
  return real;
}

const FileRule* deciding_rule(const FileRules& rules, std::string_view path) {
  const FileRule* const written = covering_rule(rules, path);
  const FileRules followed = with_real_hosts(rules);
  const FileRule* const real = covering_rule(followed, path);
  if (real == nullptr) return written;
  const FileRule* const same = &rules[static_cast<std::size_t>(real - followed.data())];
  return written == nullptr || written < same ? same : written;
}

Explanation uncovered(const FileRules& rules, const std::string& path) {
  if (is_on_the_way(rules, path)) {
    return explained(Action::kServe, 0, kDefault, "a folder on the way to what is shown");
  }
  return explained(Action::kDeny, ENOENT, kDefault, "nothing shows this path");
}

// What the rule that covers `path` makes of it.
struct PathVisitor {
  const FileRule& rule;
  const std::string& path;

  Explanation served(std::string note) const {
    return explained(Action::kServe, 0, rule.origin, std::move(note));
  }
  Explanation absent(std::string note) const {
    return explained(Action::kDeny, ENOENT, rule.origin, std::move(note));
  }
  Explanation operator()(const ShowRule& shown) const {
    const std::string host =
        shown.guest.empty() ? path : tidy_path(shown.host + "/" + path.substr(shown.guest.size()));
    if (!exists(host)) return absent("the rule shows it, but " + host + " is not on this host");
    return served("read-only, from " + host + " of the host; writing fails with EROFS");
  }
  Explanation operator()(const ScratchRule& scratch) const {
    return served("in the scratch folder " + scratch.guest + ": reading, writing, creating");
  }
  Explanation operator()(const InlineRule& file) const {
    if (file.guest != path) return explained(Action::kDeny, ENOTDIR, rule.origin, "below a file");
    return served("a read-only file whose content the profile holds");
  }
  Explanation operator()(const LinkRule& link) const {
    return served("through the link " + link.guest + " -> " + link.target);
  }
  Explanation operator()(const HideRule&) const { return absent("hidden"); }
  Explanation operator()(const FolderRule& folder) const {
    if (folder.guest != path) return absent("in a folder that is shown empty");
    return served("an empty folder");
  }
  Explanation operator()(const SyntheticRule& tree) const {
    return served("in the tree /" + tree.tree + " that vitrine makes, if it has such a name");
  }
};

Explanation explain_path(const Policy& policy, const std::string& path) {
  const FileRule* const rule = deciding_rule(policy.files(), path);
  if (rule == nullptr) return uncovered(policy.files(), path);
  return std::visit(PathVisitor{*rule, path}, rule->what);
}

Explanation restricted(const CallRule& rule) {
  if (rule.action == Action::kKill) {
    return explained(Action::kKill, 0, rule.origin, "the call ends the run");
  }
  return explained(Action::kDeny, rule.error, rule.origin, "the profile denies the call");
}

Explanation by_table(const arch::SyscallRow& row, const Policy& policy, const Question& question) {
  switch (row.disposition) {
    case arch::kNative:
      return explained(Action::kAllow, 0, kDefault, "acts only on what was granted before");
    case arch::kConditional:
      return explained(Action::kAllow, 0, kDefault,
                       "allowed for arguments that act on what was granted; supervised otherwise");
    case arch::kServed:
      if (question.path) return explain_path(policy, *question.path);
      return explained(Action::kServe, 0, kDefault, "decided by its arguments");
    case arch::kAbsent:
    case arch::kAbsentInKernel:
      return explained(Action::kDeny, ENOSYS, kDefault, "answered as by a kernel without the call");
    case arch::kForbidden:
      break;
  }
  return explained(Action::kDeny, EPERM, kDefault, "forbidden under every profile");
}

}  // namespace

Explanation explain(const Policy& policy, const Question& question) {
  if (const CallRule* const rule = policy.call_rule(question.syscall)) return restricted(*rule);
  const arch::SyscallRow* const row = arch::find_syscall(question.syscall);
  if (row == nullptr) {
    return explained(Action::kDeny, ENOSYS, kDefault, "not a call that this version knows");
  }
  Explanation explanation = by_table(*row, policy, question);
  if (explanation.decision.action == Action::kDeny && policy.on_deny() == OnDeny::kKill) {
    explanation.decision.action = Action::kKill;
    explanation.note += "; with on_deny \"kill\" that ends the run";
  }
  return explanation;
}

}  // namespace vitrine::policy
