#include "policy/policy.h"

namespace vitrine::policy {

const CallRule* Policy::call_rule(std::string_view syscall) const {
  const auto found = call_rules_.find(syscall);
  return found == call_rules_.end() ? nullptr : &found->second;
}

}  // namespace vitrine::policy
