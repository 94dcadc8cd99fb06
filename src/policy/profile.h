// Profile: what one profile file says, before it is merged with what it extends. Values only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "policy/policy.h"

namespace vitrine::policy {

// Each is absent, or what the limit becomes (where the limit itself may be nullopt: "none").
struct LimitSettings {
  std::optional<std::optional<Nanoseconds>> wall;
  std::optional<std::optional<Nanoseconds>> cpu;
  std::optional<std::optional<std::uint64_t>> memory_bytes;
  std::optional<std::optional<std::uint64_t>> output_bytes;
  std::optional<std::uint64_t> processes;
  std::optional<std::uint64_t> threads;
  std::optional<std::optional<unsigned>> cpus;
};

// Bounds of what options and profiles may ask for.
inline constexpr std::uint64_t kMostProcesses = 4096;
inline constexpr std::uint64_t kMostThreads = 32768;
inline constexpr std::uint64_t kMostCpus = 4096;

// What `"replace"` names: settings of extended profiles that are dropped instead of added to.
struct Replacements {
  bool files = false;
  bool environment = false;
  bool limits = false;
  bool syscalls = false;
};

struct Profile {
  ProfileIdentity identity;
  std::string description;
  std::vector<std::string> extends;
  Replacements replace;
  FileRules files;
  std::vector<EnvironmentRule> environment;
  LimitSettings limits;
  std::vector<CallRule> calls;
  std::optional<OnDeny> on_deny;
  std::optional<AuditFailure> on_audit_failure;
};

}  // namespace vitrine::policy
