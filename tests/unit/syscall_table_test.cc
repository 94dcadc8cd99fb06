#include "arch/syscall_table.h"

#include <gtest/gtest.h>
#include <seccomp.h>

#include <set>
#include <string>

#include "syscalls/context.h"

namespace vitrine::arch {
namespace {

TEST(SyscallTable, NumbersAscendAndNamesAreUnique) {
  std::set<std::string_view> names;
  int last = -1;
  for (const SyscallRow& row : all_syscalls()) {
    EXPECT_GT(row.x86_64, last) << row.name;
    last = row.x86_64;
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
  }
}

// libseccomp 2.5 knows Linux 5.17; newer names it calls unknown.
TEST(SyscallTable, NumbersAreTheKernelsOnBothArchitectures) {
  int compared = 0;
  for (const SyscallRow& row : all_syscalls()) {
    const std::string name(row.name);
    const int x86 = seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, name.c_str());
    const int arm = seccomp_syscall_resolve_name_arch(SCMP_ARCH_AARCH64, name.c_str());
    if (x86 == __NR_SCMP_ERROR) continue;
    ++compared;
    EXPECT_EQ(row.x86_64, x86) << name;
    EXPECT_EQ(row.aarch64, arm < 0 ? -1 : arm) << name;
  }
  EXPECT_GT(compared, 350);
}

TEST(SyscallTable, LookupByNumberFindsTheRow) {
  for (const SyscallRow& row : all_syscalls()) {
    if (native_number(row) < 0) continue;
    EXPECT_EQ(find_syscall(static_cast<std::uint64_t>(native_number(row))), &row);
    EXPECT_EQ(find_syscall(row.name), &row);
  }
  EXPECT_EQ(find_syscall(std::uint64_t{1} << 40), nullptr);
  EXPECT_EQ(find_syscall(std::uint64_t{400}), nullptr);
  EXPECT_EQ(find_syscall("no_such_call"), nullptr);
}

// What is never let through, whatever else changes in the table.
TEST(SyscallTable, DangerousCallsAreNotNative) {
  for (const char* name : {"ptrace",
                           "process_vm_readv",
                           "process_vm_writev",
                           "pidfd_getfd",
                           "bpf",
                           "io_uring_setup",
                           "io_uring_enter",
                           "userfaultfd",
                           "perf_event_open",
                           "keyctl",
                           "add_key",
                           "mount",
                           "umount2",
                           "setns",
                           "unshare",
                           "seccomp",
                           "open_by_handle_at",
                           "kcmp",
                           "process_madvise",
                           "shmget",
                           "modify_ldt",
                           "iopl",
                           "ioperm",
                           "init_module",
                           "kexec_load",
                           "quotactl",
                           "memfd_secret",
                           "fanotify_init",
                           "vmsplice",
                           "move_pages",
                           "migrate_pages",
                           "cachestat",
                           "mq_open"}) {
    const SyscallRow* row = find_syscall(name);
    ASSERT_NE(row, nullptr) << name;
    EXPECT_NE(row->disposition, kNative) << name;
    EXPECT_NE(row->disposition, kConditional) << name;
    EXPECT_NE(row->disposition, kServed) << name;
  }
}

TEST(SyscallTable, NativeCallsNameNothingByPath) {
  for (const SyscallRow& row : all_syscalls()) {
    if (row.disposition != kNative && row.disposition != kConditional) continue;
    for (const Argument& argument : row.arguments) EXPECT_NE(argument.kind, kPath) << row.name;
  }
}

// A served row without a handler would be refused as forbidden.
TEST(SyscallTable, ServedCallsHaveHandlers) {
  for (const SyscallRow& row : all_syscalls()) {
    if (row.disposition != kServed) continue;
    EXPECT_NE(syscalls::find_handler(row), nullptr) << row.name;
  }
}

}  // namespace
}  // namespace vitrine::arch
