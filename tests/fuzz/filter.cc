// The compiled filters against the rules that the backend without one goes by: what a filter lets
// through, for any ABI, number and registers, the rules let through, and the other way round; a
// call of a foreign ABI is never let through and always told apart.
//
// The input: which filter (1 byte), ABI (1), number (2), six arguments of a shape (1) and bytes.
// The number, and arguments, can be those of a rule.
#include "intercept/filter.h"

#include <linux/audit.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "../unit/bpf_machine.h"
#include "fuzz_input.h"
#include "intercept/builtin_filters.h"
#include "intercept/native_rules.h"

namespace {

using namespace vitrine;
using intercept::FilterAction;

// Calls that are let through but for the sake of a restricting profile.
constexpr std::string_view kRestrictable[] = {"", "read", "ioctl", "clone", "mmap"};
constexpr std::size_t kFilters = 2 * std::size(kRestrictable);

bool is_restricted(const arch::SyscallRow& row, std::size_t which) {
  return row.name == kRestrictable[which % std::size(kRestrictable)];
}

FilterAction action_of(std::size_t which) {
  return which < std::size(kRestrictable) ? FilterAction::kNotify : FilterAction::kTrace;
}

const std::vector<sock_filter>& filter_of(std::size_t which) {
  static std::vector<sock_filter> filters[kFilters];
  std::vector<sock_filter>& filter = filters[which];
  if (filter.empty()) {
    auto compiled = intercept::compile_filter(
        {action_of(which),
         [which](const arch::SyscallRow& row) { return is_restricted(row, which); },
         intercept::kBuiltinChannel});
    if (!compiled) std::abort();
    filter = std::move(*compiled);
  }
  return filter;
}

std::uint64_t argument_from(fuzz::Input& input) {
  const std::uint8_t shape = input.byte();
  const std::uint64_t low = input.word();
  const auto rules = intercept::native_rules();
  if ((shape & 0x80) != 0) {
    const intercept::NativeRule& rule = rules[low % rules.size()];
    return ((shape & 0x40) != 0 ? rule.value2 : rule.value) ^ (shape & 7);
  }
  switch (shape & 7) {
    case 0:
      return low;
    case 1:
      return low << 16;
    case 2:
      return low << 48 | (shape >> 3);
    case 3:
      return ~low;
    case 4:
      return 0xffffffff - low;
    case 5:
      return std::uint64_t{1} << (low % 64);
    case 6:
      return intercept::kBuiltinChannel + (low % 4) - 1;
    default:
      return low << 32 | (low >> 3);
  }
}

// What PtraceBackend goes by, mode kSyscall.
bool is_native(const arch::SyscallRow& row, const std::array<std::uint64_t, 6>& arguments,
               std::size_t which) {
  if (is_restricted(row, which)) return false;
  if (intercept::names_descriptor(row, arguments, intercept::kBuiltinChannel)) return false;
  if (row.disposition == arch::kNative) return true;
  return row.disposition == arch::kConditional && intercept::allowed_natively(row.name, arguments);
}

// The kernel takes these from registers only, so that a filter may be more careful than needed.
bool may_name_channel(const arch::SyscallRow& row, const std::array<std::uint64_t, 6>& arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (intercept::is_descriptor_argument(row, i) && arguments[i] >= intercept::kBuiltinChannel)
      return true;
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::size_t which = input.byte() % kFilters;
  const std::uint8_t abi = input.byte();
  seccomp_data call{};
  call.arch = (abi & 3) == 3 ? AUDIT_ARCH_I386 : arch::kNativeAuditArch;
  std::uint32_t number = input.word();
  if ((abi & 16) != 0) {
    const auto rules = intercept::native_rules();
    const auto* of_rule = arch::find_syscall(rules[number % rules.size()].syscall);
    if (of_rule != nullptr) number = static_cast<std::uint32_t>(arch::native_number(*of_rule));
  }
  if ((abi & 4) != 0) number |= arch::kX32Bit;
  if ((abi & 8) != 0) number |= 0x80000000;
  call.nr = static_cast<int>(number);
  std::array<std::uint64_t, 6> arguments{};
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    arguments[i] = argument_from(input);
    call.args[i] = arguments[i];
  }
  const std::uint32_t verdict = test::BpfMachine(filter_of(which)).run(call);
  const std::uint32_t action = verdict & SECCOMP_RET_ACTION_FULL;
  const bool allowed = action == SECCOMP_RET_ALLOW;
  const bool foreign = call.arch != arch::kNativeAuditArch || ((abi & 4) != 0 && (abi & 8) == 0);
  if (foreign) {
    if (allowed || action == SECCOMP_RET_ERRNO) std::abort();
    const bool told = (verdict & SECCOMP_RET_DATA) == intercept::kForeignAbiData;
    if (action_of(which) == FilterAction::kTrace && !told) std::abort();
    return 0;
  }
  const arch::SyscallRow* row = arch::find_syscall(number);
  const bool native = row != nullptr && is_native(*row, arguments, which);
  if (allowed && !native && (row == nullptr || row->name != "recvmsg")) std::abort();
  const bool excused =
      row != nullptr && (may_name_channel(*row, arguments) || action == SECCOMP_RET_TRACE);
  if (native && !allowed && !excused) std::abort();
  // Of negative numbers the kernel has to be asked.
  if ((abi & 8) == 0 && action == SECCOMP_RET_TRACE &&
      (verdict & SECCOMP_RET_DATA) == intercept::kForeignAbiData)
    std::abort();
  return 0;
}
