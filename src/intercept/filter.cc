#include "intercept/filter.h"

#include <seccomp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/unique_fd.h"
#include "intercept/native_rules.h"

namespace vitrine::intercept {
namespace {

using Context = std::unique_ptr<void, decltype(&seccomp_release)>;

constexpr std::uint32_t kBinaryTree = 2;  // SCMP_FLTATR_CTL_OPTIMIZE

tl::unexpected<Error> failed(int code, const char* operation) { return fail(-code, operation); }

Status add_row(scmp_filter_ctx filter, const arch::SyscallRow& row) {
  const int number = arch::native_number(row);
  if (row.disposition == arch::kAbsentInKernel) {
    const int code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), number, 0);
    if (code != 0) return failed(code, "seccomp_rule_add");
  } else if (row.disposition == arch::kNative) {
    const int code = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
    if (code != 0) return failed(code, "seccomp_rule_add");
  }
  return {};
}

Status add_rule(scmp_filter_ctx filter, const arch::SyscallRow& row, std::uint32_t action,
                const NativeRule& rule) {
  const int number = arch::native_number(row);
  if (number < 0) return {};
  const scmp_arg_cmp conditions[] = {
      SCMP_CMP64(rule.argument, SCMP_CMP_MASKED_EQ, rule.mask, rule.value),
      SCMP_CMP64(rule.argument2, SCMP_CMP_MASKED_EQ, rule.mask2, rule.value2)};
  const unsigned count = (rule.mask != 0 ? 1U : 0U) + (rule.mask2 != 0 ? 1U : 0U);
  const int code = seccomp_rule_add_array(filter, action, number, count, conditions);
  if (code != 0) return failed(code, "seccomp_rule_add");
  return {};
}

Status add_rules(scmp_filter_ctx filter, std::span<const NativeRule> rules, std::uint32_t action,
                 const std::function<bool(const arch::SyscallRow&)>& restricted) {
  for (const NativeRule& rule : rules) {
    const arch::SyscallRow* row = arch::find_syscall(rule.syscall);
    if (row == nullptr || row->disposition == arch::kNative) {
      return fail(EINVAL, "a rule on registers for a call that the table does not supervise");
    }
    if (restricted(*row)) continue;
    if (Status added = add_rule(filter, *row, action, rule); !added) return added;
  }
  return {};
}

// Native as long as the channel's number is not touched. Numbers are unsigned int: compared whole,
// so that odd upper halves only mean that the supervisor is asked.
Status add_channel_guard(scmp_filter_ctx filter, const arch::SyscallRow& row, int channel,
                         bool notify) {
  const auto number = static_cast<scmp_datum_t>(channel);
  const unsigned argument = row.name == "close" ? 0 : 1;
  const scmp_arg_cmp below = SCMP_CMP64(argument, SCMP_CMP_LT, number);
  const scmp_arg_cmp rest = SCMP_CMP64(argument, SCMP_CMP_GE, number);
  int code = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, arch::native_number(row), 1, &below);
  // By ptrace in both backends: a notification cannot change the call's registers.
  if (code == 0 && notify) {
    code = seccomp_rule_add_array(filter, SCMP_ACT_TRACE(0), arch::native_number(row), 1, &rest);
  }
  if (code != 0) return failed(code, "seccomp_rule_add");
  return {};
}

Result<std::vector<sock_filter>> exported(scmp_filter_ctx filter) {
  const UniqueFd file(::memfd_create("filter", MFD_CLOEXEC));
  if (!file) return fail_errno("memfd_create");
  const int code = seccomp_export_bpf(filter, file.get());
  if (code != 0) return failed(code, "seccomp_export_bpf");
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return fail_errno("fstat");
  const auto size = static_cast<std::size_t>(status.st_size);
  std::vector<sock_filter> program(size / sizeof(sock_filter));
  if (::pread(file.get(), program.data(), size, 0) != static_cast<ssize_t>(size)) {
    return fail_errno("pread");
  }
  return program;
}

}  // namespace

Result<std::vector<sock_filter>> compile_filter(const FilterRequest& request) {
  const bool notify = request.supervised == FilterAction::kNotify;
  const std::uint32_t supervised = notify ? SCMP_ACT_NOTIFY : SCMP_ACT_TRACE(0);
  const std::uint32_t foreign = notify ? SCMP_ACT_NOTIFY : SCMP_ACT_TRACE(kForeignAbiData);
  const Context filter(seccomp_init(supervised), &seccomp_release);
  if (filter == nullptr) return fail(ENOMEM, "seccomp_init");
  if (const int code = seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, foreign);
      code != 0) {
    return failed(code, "seccomp_attr_set(SCMP_FLTATR_ACT_BADARCH)");
  }
  if (const int code = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, kBinaryTree);
      code != 0) {
    return failed(code, "seccomp_attr_set(SCMP_FLTATR_CTL_OPTIMIZE)");
  }
  const auto restricted = [&](const arch::SyscallRow& row) {
    return request.restricted && request.restricted(row);
  };
  for (const arch::SyscallRow& row : arch::all_syscalls()) {
    if (arch::native_number(row) < 0 || restricted(row)) continue;
    if (request.channel >= 0 && (row.name == "close" || row.name == "close_range")) {
      if (Status added = add_channel_guard(filter.get(), row, request.channel, notify); !added) {
        return tl::make_unexpected(added.error());
      }
      continue;
    }
    if (Status added = add_row(filter.get(), row); !added)
      return tl::make_unexpected(added.error());
  }
  if (Status added = add_rules(filter.get(), native_rules(), SCMP_ACT_ALLOW, restricted); !added) {
    return tl::make_unexpected(added.error());
  }
  if (notify) {
    if (Status added = add_rules(filter.get(), traced_rules(), SCMP_ACT_TRACE(0), restricted);
        !added) {
      return tl::make_unexpected(added.error());
    }
  }
  return exported(filter.get());
}

}  // namespace vitrine::intercept
