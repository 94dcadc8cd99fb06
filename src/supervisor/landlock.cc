#include "supervisor/landlock.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "base/feature.h"

namespace vitrine::supervisor {
namespace {

// include/uapi/linux/landlock.h of Linux 6.12; Debian 12's header ends at ABI 2.
struct RulesetAttribute {
  std::uint64_t handled_access_fs;
  std::uint64_t handled_access_net;  // ABI 4
  std::uint64_t scoped;              // ABI 6
};
struct __attribute__((packed)) PathBeneath {
  std::uint64_t allowed_access;
  std::int32_t parent_fd;
};

constexpr std::uint64_t kExecute = 1U << 0;
constexpr std::uint64_t kReadFile = 1U << 2;
constexpr int kRulePathBeneath = 1;
constexpr unsigned kCreateRulesetVersion = 1U << 0;

std::uint64_t filesystem_rights(int abi) {
  std::uint64_t rights = (1U << 13) - 1;  // ABI 1: EXECUTE to MAKE_SYM
  if (abi >= 2) rights |= 1U << 13;       // REFER
  if (abi >= 3) rights |= 1U << 14;       // TRUNCATE
  if (abi >= 5) rights |= 1U << 15;       // IOCTL_DEV
  return rights;
}

RulesetAttribute everything(int abi) {
  RulesetAttribute attribute{filesystem_rights(abi), 0, 0};
  if (abi >= 4) attribute.handled_access_net = 3;  // BIND_TCP, CONNECT_TCP
  if (abi >= 6) attribute.scoped = 3;              // ABSTRACT_UNIX_SOCKET, SIGNAL
  return attribute;
}

std::size_t attribute_size(int abi) {
  if (abi >= 6) return sizeof(RulesetAttribute);
  return abi >= 4 ? 2 * sizeof(std::uint64_t) : sizeof(std::uint64_t);
}

}  // namespace

Result<LandlockRuleset> make_ruleset(const std::vector<int>& executables) {
  LandlockRuleset ruleset;
  if (is_taken_away(Feature::kLandlock)) return ruleset;
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kCreateRulesetVersion);
  // ENOSYS: not built in; EOPNOTSUPP: not enabled at boot; EPERM: refused by a filter around us.
  if (abi < 1) return ruleset;
  ruleset.abi = static_cast<int>(abi);
  const RulesetAttribute attribute = everything(ruleset.abi);
  ruleset.fd.reset(static_cast<int>(
      ::syscall(SYS_landlock_create_ruleset, &attribute, attribute_size(ruleset.abi), 0)));
  if (!ruleset.fd) return fail_errno("landlock_create_ruleset");
  for (const int executable : executables) {
    const PathBeneath rule{kExecute | kReadFile, executable};
    if (::syscall(SYS_landlock_add_rule, ruleset.fd.get(), kRulePathBeneath, &rule, 0) != 0) {
      return fail_errno("landlock_add_rule");
    }
  }
  return ruleset;
}

}  // namespace vitrine::supervisor
