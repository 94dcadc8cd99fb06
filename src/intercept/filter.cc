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

// Descriptors from the channel's number on (there are none that the program was given) are the
// supervisor's to look at. Numbers are 32 bits to the kernel, but compared whole, so that odd upper
// halves only mean that the supervisor is asked. Not recvmsg, by which descriptors arrive: a task
// is made to call it.
std::vector<scmp_arg_cmp> below_channel(const arch::SyscallRow& row, int channel) {
  std::vector<scmp_arg_cmp> conditions;
  if (channel < 0 || row.name == "recvmsg") return conditions;
  for (unsigned i = 0; i < row.arguments.size(); ++i) {
    if (!is_descriptor_argument(row, i)) continue;
    conditions.push_back(scmp_arg_cmp{i, SCMP_CMP_LT, static_cast<scmp_datum_t>(channel), 0});
  }
  return conditions;
}

Status add_when(scmp_filter_ctx filter, const arch::SyscallRow& row, std::uint32_t action,
                const std::vector<scmp_arg_cmp>& conditions) {
  const int code =
      seccomp_rule_add_array(filter, action, arch::native_number(row),
                             static_cast<unsigned>(conditions.size()), conditions.data());
  if (code != 0) return failed(code, "seccomp_rule_add");
  return {};
}

Status add_row(scmp_filter_ctx filter, const arch::SyscallRow& row, int channel) {
  if (row.disposition == arch::kAbsentInKernel) {
    return add_when(filter, row, SCMP_ACT_ERRNO(ENOSYS), {});
  }
  if (row.disposition != arch::kNative) return {};
  return add_when(filter, row, SCMP_ACT_ALLOW, below_channel(row, channel));
}

// close_range(2) of numbers below the channel's. The rest comes by ptrace in every backend: a
// notification cannot change the call's registers.
Status add_range(scmp_filter_ctx filter, const arch::SyscallRow& row, int channel, bool notify) {
  const auto number = static_cast<scmp_datum_t>(channel);
  Status below = add_when(filter, row, SCMP_ACT_ALLOW, {scmp_arg_cmp{1, SCMP_CMP_LT, number, 0}});
  if (!below || !notify) return below;
  return add_when(filter, row, SCMP_ACT_TRACE(0), {scmp_arg_cmp{1, SCMP_CMP_GE, number, 0}});
}

Status add_rule(scmp_filter_ctx filter, const arch::SyscallRow& row, std::uint32_t action,
                const NativeRule& rule, std::vector<scmp_arg_cmp> conditions) {
  if (rule.mask != 0) {
    conditions.push_back(scmp_arg_cmp{rule.argument, SCMP_CMP_MASKED_EQ, rule.mask, rule.value});
  }
  if (rule.mask2 != 0) {
    conditions.push_back(scmp_arg_cmp{rule.argument2, SCMP_CMP_MASKED_EQ, rule.mask2, rule.value2});
  }
  return add_when(filter, row, action, conditions);
}

Status add_rules(scmp_filter_ctx filter, std::span<const NativeRule> rules, std::uint32_t action,
                 const FilterRequest& request) {
  for (const NativeRule& rule : rules) {
    const arch::SyscallRow* row = arch::find_syscall(rule.syscall);
    if (row == nullptr || row->disposition == arch::kNative) {
      return fail(EINVAL, "a rule on registers for a call that the table does not supervise");
    }
    const bool restricted = request.restricted && request.restricted(*row);
    if (arch::native_number(*row) < 0 || restricted) continue;
    const bool allows = action == SCMP_ACT_ALLOW;
    std::vector<scmp_arg_cmp> conditions;
    if (allows) conditions = below_channel(*row, request.channel);
    if (Status added = add_rule(filter, *row, action, rule, std::move(conditions)); !added) {
      return added;
    }
  }
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
  for (const arch::SyscallRow& row : arch::all_syscalls()) {
    const bool restricted = request.restricted && request.restricted(row);
    if (arch::native_number(row) < 0 || restricted) continue;
    const bool ranges = request.channel >= 0 && row.name == "close_range";
    const Status added = ranges ? add_range(filter.get(), row, request.channel, notify)
                                : add_row(filter.get(), row, request.channel);
    if (!added) return tl::make_unexpected(added.error());
  }
  Status added = add_rules(filter.get(), native_rules(), SCMP_ACT_ALLOW, request);
  if (added && notify) {
    added = add_rules(filter.get(), traced_rules(), SCMP_ACT_TRACE(0), request);
  }
  if (!added) return tl::make_unexpected(added.error());
  return exported(filter.get());
}

}  // namespace vitrine::intercept
