// PolicyBuilder: merges profiles and options into one Policy. What comes later extends what came
// earlier; a later limit, variable or call rule of the same name wins.
#pragma once

#include <string>

#include "policy/policy.h"
#include "policy/profile.h"

namespace vitrine::policy {

class PolicyBuilder {
 public:
  // `profile` alone: what it extends was given before (profile_store.h puts them in order).
  void extend(const Profile& profile);

  void set_limits(const LimitSettings& limits);
  void set_environment(EnvironmentRule rule);
  void set_on_deny(OnDeny on_deny) { policy_.on_deny_ = on_deny; }
  // A scratch folder takes the place of an earlier one with the same path.
  void add_file(FileRule rule);
  // Before everything else: every rule covers it.
  void add_file_below(FileRule rule);
  // Every scratch folder holds at least so much.
  void widen_scratch(std::uint64_t bytes);
  const FileRules& files() const { return policy_.files_; }

  Policy build() && { return std::move(policy_); }

 private:
  void restrict_call(const CallRule& rule);
  void drop_replaced(const Replacements& replace);

  Policy policy_;
};

}  // namespace vitrine::policy
