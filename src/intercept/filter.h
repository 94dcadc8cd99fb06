// The kernel's share of the policy: a seccomp filter compiled from the system call table.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "arch/syscall_table.h"
#include "base/result.h"

namespace vitrine::intercept {

enum class FilterAction { kNotify, kTrace };  // what brings a supervised call to the supervisor

// SECCOMP_RET_DATA of a RET_TRACE for a call of a foreign ABI; 0 for the native one.
inline constexpr std::uint32_t kForeignAbiData = 1;

struct FilterRequest {
  FilterAction supervised = FilterAction::kNotify;
  // Native calls that the profile restricts: they are supervised, so that the refusal is recorded.
  std::function<bool(const arch::SyscallRow&)> restricted;
  // Number of the descriptor channel's end; -1: none. Calls that name it are supervised.
  int channel = -1;
};

// Every call that is not allowed by the table goes to the supervisor, foreign ABIs included: a hole
// in the table is a refusal. Never writes to the kernel; the launcher installs it.
Result<std::vector<sock_filter>> compile_filter(const FilterRequest& request);

}  // namespace vitrine::intercept
