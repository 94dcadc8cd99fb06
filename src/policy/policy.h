// Policy: what a run may do; immutable once built. Profiles and command-line options are merged
// into one by PolicyBuilder (policy/builder.h); profile JSON is read only by
// policy/profile_loader.h.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/decision.h"
#include "core/file_rules.h"
#include "core/limits.h"

namespace vitrine::policy {

enum class OnDeny { kErrno, kKill };
enum class AuditFailure { kEndRun, kCountDrops };  // what a full disk or a closed audit pipe does

// A restriction of one system call by name. Profiles can only take away: what the syscall table
// forbids cannot be allowed by a profile.
struct CallRule {
  std::string syscall;
  Action action = Action::kDeny;  // kDeny or kKill
  int error = 1;                  // EPERM
  Origin origin;
};

// What a caller's value must look like to be passed through.
enum class Accept {
  kAnything,
  kTerminal,  // a terminal's name: [A-Za-z0-9+._-]{1,64}
  kZone,      // a time zone's name or rule; never a path: no leading '/' or ':', no ".."
  kLocale,    // a locale's name; never a path
};

struct EnvironmentRule {
  std::string name;                  // may end in `*` where the value is passed through ("LC_*")
  std::optional<std::string> value;  // nullopt: pass the caller's value through, if it has one
  Accept accept = Accept::kAnything;
  std::optional<std::string> otherwise;  // stands in for a caller's value that is not acceptable
  Origin origin;
};

struct ProfileIdentity {
  std::string name;    // "python", or the file's path
  std::string path;    // of the file; "builtin:python.json" for a profile in the program itself
  std::string sha256;  // of the file
};

class Policy {
 public:
  const FileRules& files() const { return files_; }
  const Limits& limits() const { return limits_; }
  const std::vector<EnvironmentRule>& environment() const { return environment_; }
  OnDeny on_deny() const { return on_deny_; }
  AuditFailure on_audit_failure() const { return on_audit_failure_; }
  const std::vector<ProfileIdentity>& profiles() const { return profiles_; }
  // The restriction on this call, or nullptr.
  const CallRule* call_rule(std::string_view syscall) const;
  const std::map<std::string, CallRule, std::less<>>& call_rules() const { return call_rules_; }

 private:
  friend class PolicyBuilder;
  FileRules files_;
  Limits limits_;
  std::vector<EnvironmentRule> environment_;
  OnDeny on_deny_ = OnDeny::kErrno;
  AuditFailure on_audit_failure_ = AuditFailure::kEndRun;
  std::vector<ProfileIdentity> profiles_;
  std::map<std::string, CallRule, std::less<>> call_rules_;
};

}  // namespace vitrine::policy
