#include "policy/builder.h"

#include <algorithm>

namespace vitrine::policy {
namespace {

template <typename T>
void assign(T& limit, const std::optional<T>& setting) {
  if (setting) limit = *setting;
}

}  // namespace

void PolicyBuilder::extend(const Profile& profile) {
  drop_replaced(profile.replace);
  policy_.profiles_.push_back(profile.identity);
  for (const FileRule& rule : profile.files) add_file(rule);
  for (const EnvironmentRule& rule : profile.environment) set_environment(rule);
  for (const CallRule& rule : profile.calls) restrict_call(rule);
  set_limits(profile.limits);
  if (profile.on_deny) policy_.on_deny_ = *profile.on_deny;
  if (profile.on_audit_failure) policy_.on_audit_failure_ = *profile.on_audit_failure;
}

// What ends the run goes on to: a profile only takes away from those that it extends.
void PolicyBuilder::restrict_call(const CallRule& rule) {
  const auto earlier = policy_.call_rules_.find(rule.syscall);
  const bool kills =
      earlier != policy_.call_rules_.end() && earlier->second.action == Action::kKill;
  if (kills && rule.action != Action::kKill) return;
  policy_.call_rules_[rule.syscall] = rule;
}

void PolicyBuilder::drop_replaced(const Replacements& replace) {
  if (replace.files) policy_.files_.clear();
  if (replace.environment) policy_.environment_.clear();
  if (replace.limits) policy_.limits_ = Limits{};
  if (replace.syscalls) policy_.call_rules_.clear();
}

void PolicyBuilder::set_limits(const LimitSettings& settings) {
  Limits& limits = policy_.limits_;
  assign(limits.wall, settings.wall);
  assign(limits.cpu, settings.cpu);
  assign(limits.memory_bytes, settings.memory_bytes);
  assign(limits.output_bytes, settings.output_bytes);
  assign(limits.processes, settings.processes);
  assign(limits.threads, settings.threads);
  assign(limits.cpus, settings.cpus);
}

void PolicyBuilder::set_environment(EnvironmentRule rule) {
  auto& rules = policy_.environment_;
  const auto same = [&](const EnvironmentRule& other) { return other.name == rule.name; };
  rules.erase(std::remove_if(rules.begin(), rules.end(), same), rules.end());
  rules.push_back(std::move(rule));
}

void PolicyBuilder::add_file(FileRule rule) {
  auto& files = policy_.files_;
  if (const auto* scratch = std::get_if<ScratchRule>(&rule.what)) {
    // Otherwise the quota of the covered folder would still be counted.
    const auto same = [&](const FileRule& other) {
      const auto* earlier = std::get_if<ScratchRule>(&other.what);
      return earlier != nullptr && earlier->guest == scratch->guest;
    };
    files.erase(std::remove_if(files.begin(), files.end(), same), files.end());
  }
  files.push_back(std::move(rule));
}

void PolicyBuilder::widen_scratch(std::uint64_t bytes) {
  for (FileRule& rule : policy_.files_) {
    if (auto* scratch = std::get_if<ScratchRule>(&rule.what)) {
      scratch->bytes = std::max(scratch->bytes, bytes);
    }
  }
}

void PolicyBuilder::add_file_below(FileRule rule) {
  policy_.files_.insert(policy_.files_.begin(), std::move(rule));
}

}  // namespace vitrine::policy
