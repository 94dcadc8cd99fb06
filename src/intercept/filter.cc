#include "intercept/filter.h"

#include <fcntl.h>
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

Status add_conditional(scmp_filter_ctx filter, const NativeRule& rule) {
  const arch::SyscallRow* row = arch::find_syscall(rule.syscall);
  if (row == nullptr || row->disposition != arch::kConditional) {
    return fail(EINVAL, "a native rule for a call that the table does not make conditional");
  }
  const int number = arch::native_number(*row);
  if (number < 0) return {};
  const scmp_arg_cmp conditions[] = {
      SCMP_CMP64(rule.argument, SCMP_CMP_MASKED_EQ, rule.mask, rule.value),
      SCMP_CMP64(rule.argument2, SCMP_CMP_MASKED_EQ, rule.mask2, rule.value2)};
  const unsigned count = rule.mask2 == 0 ? 1 : 2;
  const int code = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, number, count, conditions);
  if (code != 0) return failed(code, "seccomp_rule_add");
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

// The kernel installs no O_PATH descriptor for a notification (it looks them up with fget, which
// does not see them): those opens come by ptrace, and so does openat2, whose flags lie in memory.
Status add_path_only_opens(scmp_filter_ctx filter, const arch::SyscallRow& row) {
  const int number = arch::native_number(row);
  int code = 0;
  if (row.name == "openat2") {
    code = seccomp_rule_add(filter, SCMP_ACT_TRACE(0), number, 0);
  } else {
    const unsigned flags = row.name == "open" ? 1 : 2;
    const scmp_arg_cmp path_only = SCMP_CMP64(flags, SCMP_CMP_MASKED_EQ, O_PATH, O_PATH);
    code = seccomp_rule_add_array(filter, SCMP_ACT_TRACE(0), number, 1, &path_only);
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
    if (notify && (row.name == "execve" || row.name == "execveat")) {
      const int number = arch::native_number(row);
      if (const int code = seccomp_rule_add(filter.get(), SCMP_ACT_TRACE(0), number, 0);
          code != 0) {
        return failed(code, "seccomp_rule_add");
      }
      continue;
    }
    if (notify && (row.name == "open" || row.name == "openat" || row.name == "openat2")) {
      if (Status added = add_path_only_opens(filter.get(), row); !added) {
        return tl::make_unexpected(added.error());
      }
      continue;
    }
    if (request.channel >= 0 && (row.name == "close" || row.name == "close_range")) {
      if (Status added = add_channel_guard(filter.get(), row, request.channel, notify); !added) {
        return tl::make_unexpected(added.error());
      }
      continue;
    }
    if (Status added = add_row(filter.get(), row); !added)
      return tl::make_unexpected(added.error());
  }
  for (const NativeRule& rule : native_rules()) {
    const arch::SyscallRow* row = arch::find_syscall(rule.syscall);
    if (row != nullptr && restricted(*row)) continue;
    if (Status added = add_conditional(filter.get(), rule); !added) {
      return tl::make_unexpected(added.error());
    }
  }
  return exported(filter.get());
}

}  // namespace vitrine::intercept
