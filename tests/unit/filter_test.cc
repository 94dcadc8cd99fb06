// The compiled filter against the table it was compiled from: what it allows, and nothing else.
#include "intercept/filter.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <malloc.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <new>
#include <vector>

#include "bpf_machine.h"
#include "failing_call.h"
#include "intercept/builtin_filters.h"
#include "intercept/native_rules.h"

namespace vitrine::intercept {
namespace {

using test::BpfMachine;

constexpr std::uint32_t kAskedByNotify = SECCOMP_RET_USER_NOTIF;
constexpr int kChannel = kBuiltinChannel;

std::vector<sock_filter> compiled(FilterAction action, std::string_view restricted = {}) {
  auto filter = compile_filter(
      {action, [restricted](const arch::SyscallRow& row) { return row.name == restricted; },
       kChannel});
  EXPECT_TRUE(filter.has_value());
  return filter ? *filter : std::vector<sock_filter>{};
}

seccomp_data call(std::uint32_t audit_arch, int number,
                  std::array<std::uint64_t, 6> arguments = {}) {
  seccomp_data data{};
  data.nr = number;
  data.arch = audit_arch;
  std::ranges::copy(arguments, std::begin(data.args));
  return data;
}

// From the channel's number on, as 64 bits.
bool reaches_channel(const arch::SyscallRow& row, const std::array<std::uint64_t, 6>& arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (is_descriptor_argument(row, i) && arguments[i] >= kChannel) return true;
  }
  return false;
}

std::uint32_t expected(int number, const std::array<std::uint64_t, 6>& arguments) {
  const arch::SyscallRow* row = arch::find_syscall(static_cast<std::uint64_t>(number));
  if (row == nullptr) return kAskedByNotify;
  if (row->name == "execve" || row->name == "execveat" || row->name == "socketpair" ||
      row->name == "openat2") {
    return SECCOMP_RET_TRACE;
  }
  if (row->name == "open" || row->name == "openat") {
    const std::uint64_t flags = arguments[row->name == "open" ? 1 : 2];
    return (flags & O_PATH) != 0 ? SECCOMP_RET_TRACE : kAskedByNotify;
  }
  constexpr std::uint64_t kSharedAnonymous = 0x21;
  if (row->name == "mmap" && (arguments[3] & kSharedAnonymous) == kSharedAnonymous) {
    return SECCOMP_RET_TRACE;
  }
  if (row->name == "close_range") {
    return arguments[1] < kChannel ? SECCOMP_RET_ALLOW : SECCOMP_RET_TRACE;
  }
  const bool may_name_channel = row->name != "recvmsg" && reaches_channel(*row, arguments);
  if (row->disposition == arch::kNative) {
    return may_name_channel ? kAskedByNotify : SECCOMP_RET_ALLOW;
  }
  if (row->disposition == arch::kAbsentInKernel) return SECCOMP_RET_ERRNO | ENOSYS;
  if (row->disposition == arch::kConditional && allowed_natively(row->name, arguments) &&
      !may_name_channel) {
    return SECCOMP_RET_ALLOW;
  }
  return kAskedByNotify;
}

TEST(Filter, EveryNativeNumberGivesWhatItsRowSays) {
  const auto filter = compiled(FilterAction::kNotify);
  BpfMachine machine(filter);
  for (int number = -2; number < 1024; ++number) {
    EXPECT_EQ(machine.run(call(arch::kNativeAuditArch, number)), expected(number, {})) << number;
  }
}

TEST(Filter, ForeignAbisAlwaysReachTheSupervisor) {
  const auto filter = compiled(FilterAction::kNotify);
  BpfMachine machine(filter);
  for (int number = 0; number < 1024; ++number) {
    EXPECT_EQ(machine.run(call(AUDIT_ARCH_I386, number)), kAskedByNotify) << number;
    EXPECT_EQ(machine.run(call(arch::kNativeAuditArch, number | 0x40000000)), kAskedByNotify)
        << number;
  }
}

TEST(Filter, TraceTellsForeignAbisApart) {
  const auto filter = compiled(FilterAction::kTrace);
  BpfMachine machine(filter);
  EXPECT_EQ(machine.run(call(AUDIT_ARCH_I386, 11)), SECCOMP_RET_TRACE | kForeignAbiData);
  EXPECT_EQ(machine.run(call(arch::kNativeAuditArch, 11 | 0x40000000)),
            SECCOMP_RET_TRACE | kForeignAbiData);
  const int openat = arch::find_syscall("openat")->x86_64;
  EXPECT_EQ(machine.run(call(arch::kNativeAuditArch, openat)),
            static_cast<std::uint32_t>(SECCOMP_RET_TRACE));
}

TEST(Filter, RegisterRulesAllowTheirValuesAndNoOther) {
  const auto filter = compiled(FilterAction::kNotify);
  BpfMachine machine(filter);
  for (const NativeRule& rule : native_rules()) {
    const int number = arch::native_number(*arch::find_syscall(rule.syscall));
    for (int bit = -1; bit < 64; ++bit) {
      std::array<std::uint64_t, 6> arguments{};
      arguments[rule.argument] = rule.value;
      arguments[rule.argument2] |= rule.value2;
      if (bit >= 0) arguments[rule.argument] ^= std::uint64_t{1} << bit;
      EXPECT_EQ(machine.run(call(arch::kNativeAuditArch, number, arguments)),
                expected(number, arguments))
          << rule.syscall << " argument " << rule.argument << " bit " << bit;
    }
  }
}

TEST(Filter, UpperHalvesOfIntArgumentsDoNotHideAForbiddenRequest) {
  const auto filter = compiled(FilterAction::kNotify);
  BpfMachine machine(filter);
  const int ioctl = arch::find_syscall("ioctl")->x86_64;
  constexpr std::uint64_t kTiocsti = 0x5412;
  EXPECT_EQ(machine.run(call(arch::kNativeAuditArch, ioctl, {0, 0xdead00000000 | kTiocsti})),
            kAskedByNotify);
  EXPECT_EQ(machine.run(call(arch::kNativeAuditArch, ioctl, {0, kTiocsti})), kAskedByNotify);
}

TEST(Filter, ARestrictedCallReachesTheSupervisor) {
  const auto filter = compiled(FilterAction::kNotify, "getpid");
  BpfMachine machine(filter);
  EXPECT_EQ(machine.run(call(arch::kNativeAuditArch, arch::find_syscall("getpid")->x86_64)),
            kAskedByNotify);
  EXPECT_EQ(machine.run(call(arch::kNativeAuditArch, arch::find_syscall("getppid")->x86_64)),
            static_cast<std::uint32_t>(SECCOMP_RET_ALLOW));
}

TEST(Filter, TheChannelsNumberIsGuarded) {
  const auto filter = compiled(FilterAction::kNotify);
  BpfMachine machine(filter);
  const int range = arch::find_syscall("close_range")->x86_64;
  for (const arch::SyscallRow& row : arch::all_syscalls()) {
    for (std::size_t i = 0; i < row.arguments.size(); ++i) {
      const bool named = is_descriptor_argument(row, i) && row.name != "recvmsg";
      for (const std::uint64_t high : {0ULL, 1ULL << 32}) {
        std::array<std::uint64_t, 6> arguments{};
        arguments[i] = high | kChannel;
        const auto result = machine.run(call(arch::kNativeAuditArch, row.x86_64, arguments));
        EXPECT_FALSE(named && result == SECCOMP_RET_ALLOW) << row.name;
        EXPECT_TRUE(!named || names_descriptor(row, arguments, kChannel)) << row.name;
      }
    }
  }
  EXPECT_EQ(machine.run(call(arch::kNativeAuditArch, range, {3, ~0U})),
            static_cast<std::uint32_t>(SECCOMP_RET_TRACE));
}

// The kernel would answer a notification with EBADF for a descriptor that is O_PATH.
TEST(Filter, OpensOfPathsAloneComeByPtrace) {
  const auto filter = compiled(FilterAction::kNotify);
  BpfMachine machine(filter);
  for (const std::uint64_t flags : {0ULL, O_PATH + 0ULL, O_PATH + (1ULL << 32), ~0ULL}) {
    for (const char* name : {"open", "openat", "openat2"}) {
      const int number = arch::find_syscall(name)->x86_64;
      const std::array<std::uint64_t, 6> arguments{0, flags, flags};
      EXPECT_EQ(machine.run(call(arch::kNativeAuditArch, number, arguments)),
                expected(number, arguments))
          << name << " " << flags;
    }
  }
}

// Runs every instruction of the filter, each jump both ways.
TEST(Filter, EveryInstructionIsReached) {
  const auto filter = compiled(FilterAction::kNotify);
  BpfMachine machine(filter);
  for (int number = 0; number < 1024; ++number) {
    machine.run(call(AUDIT_ARCH_I386, number));
    machine.run(call(arch::kNativeAuditArch, number | 0x40000000));
    machine.run(call(arch::kNativeAuditArch, number));
  }
  machine.run(call(arch::kNativeAuditArch, -1));
  std::vector<std::array<std::uint64_t, 6>> registers{{},
                                                      {~0ULL, ~0ULL, ~0ULL, ~0ULL, ~0ULL, ~0ULL}};
  for (const NativeRule& rule : native_rules()) {
    for (const std::uint64_t high : {0ULL, 1ULL << 32}) {
      for (int bit = -1; bit < 64; ++bit) {
        std::array<std::uint64_t, 6> arguments{};
        arguments[rule.argument] = rule.value;
        arguments[rule.argument2] |= rule.value2 | high;
        if (bit >= 0) arguments[rule.argument2] ^= std::uint64_t{1} << bit;
        registers.push_back(arguments);
      }
    }
  }
  for (const arch::SyscallRow& row : arch::all_syscalls()) {
    for (const auto& arguments : registers) {
      machine.run(call(arch::kNativeAuditArch, row.x86_64, arguments));
    }
    for (std::size_t i = 0; i < row.arguments.size(); ++i) {
      for (const std::uint64_t high : {0ULL, 1ULL << 32}) {
        std::array<std::uint64_t, 6> arguments{};
        arguments[i] = high | kChannel;
        machine.run(call(arch::kNativeAuditArch, row.x86_64, arguments));
        arguments[i] = high | (kChannel - 1);
        machine.run(call(arch::kNativeAuditArch, row.x86_64, arguments));
      }
    }
  }
  for (const std::uint64_t number : {1023ULL, 1024ULL, 1ULL << 32, (1ULL << 32) | 1023}) {
    machine.run(
        call(arch::kNativeAuditArch, arch::find_syscall("close")->x86_64, {number, number}));
    machine.run(
        call(arch::kNativeAuditArch, arch::find_syscall("close_range")->x86_64, {number, number}));
  }
  std::string unreached;
  for (std::size_t at = 0; at < filter.size(); ++at) {
    if (!machine.visited().contains(at)) unreached += std::to_string(at) + " ";
  }
  EXPECT_EQ(unreached, "");
}

TEST(Filter, TheBuiltInOnesAreWhatWouldBeCompiled) {
  for (const FilterAction action : {FilterAction::kNotify, FilterAction::kTrace}) {
    const auto filter = compiled(action);
    const auto builtin = builtin_filter(action);
    ASSERT_EQ(builtin.size(), filter.size());
    EXPECT_EQ(std::memcmp(builtin.data(), filter.data(), filter.size() * sizeof filter[0]), 0);
  }
}

TEST(NativeRules, NameOnlyConditionalCalls) {
  for (const NativeRule& rule : native_rules()) {
    const arch::SyscallRow* row = arch::find_syscall(rule.syscall);
    ASSERT_NE(row, nullptr) << rule.syscall;
    EXPECT_EQ(row->disposition, arch::kConditional) << rule.syscall;
    EXPECT_EQ(rule.value & ~rule.mask, 0U) << rule.syscall;
  }
}

// --- where it cannot be made

bool are_equal(const std::vector<sock_filter>& left, const std::vector<sock_filter>& right) {
  return std::ranges::equal(left, right, [](const sock_filter& a, const sock_filter& b) {
    return a.code == b.code && a.jt == b.jt && a.jf == b.jf && a.k == b.k;
  });
}

Result<std::vector<sock_filter>> compile_all() {
  return compile_filter({FilterAction::kNotify, {}, kChannel});
}

// A shorter one would let nothing more through, but what it was made for would be missing.
TEST(Filter, IsWholeOrThereIsNone) {
  const auto whole = compile_all();
  ASSERT_TRUE(whole);
  test::each_in_turn({SYS_memfd_create, SYS_write, SYS_fstat, SYS_newfstatat, SYS_pread64}, EIO,
                     [&whole](const auto& arm) {
                       arm();
                       const auto filter = compile_all();
                       test::let_pass();
                       EXPECT_TRUE(!filter || are_equal(*filter, *whole));
                     });
}

#ifdef __SANITIZE_ADDRESS__
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

// All that was freed before and would do, while there is no other memory.
void use_up_what_is_free() {
  static void* volatile used;
  for (std::size_t size = 1 << 20; size >= 16; size /= 2) {
    do {
      used = std::malloc(size);
    } while (used != nullptr);
  }
}

enum class Made { kNone, kWhole, kOther };

// With so many pages of memory, and then none for a while.
Made made_with(int pages, const std::vector<sock_filter>& whole) {
  constexpr int kMissing = 8;  // a piece is asked for in several ways
  const int status = test::status_of([&] {
    int left = 0;
    bool used_up = false;
    // mprotect(2): so the heap of a thread that is gone grows, which is tried next.
    test::answer_calls({SYS_brk, SYS_mmap, SYS_mprotect}, [&](const test::Call& call) -> long {
      if (used_up && (--left >= 0 || left < -kMissing)) return call.perform();
      return call.number == SYS_brk ? test::Call{SYS_brk, {}}.perform() : -ENOMEM;
    });
    ::mallopt(M_TOP_PAD, 0);
    use_up_what_is_free();
    left = pages;
    used_up = true;
    Made made = Made::kNone;
    try {
      const auto filter = compile_all();
      if (filter) made = are_equal(*filter, whole) ? Made::kWhole : Made::kOther;
    } catch (const std::bad_alloc&) {
    }
    ::_exit(static_cast<int>(made));
  });
  return WIFEXITED(status) ? static_cast<Made>(WEXITSTATUS(status)) : Made::kOther;
}

// So many that all fall to the rules: behind them libseccomp 2.5 itself goes astray where memory
// ends.
TEST(Filter, IsNotMadeOfTheRulesThatFit) {
  constexpr int kOfRules = 30;
  if (kSanitized) GTEST_SKIP() << "a sanitizer has memory of its own, and ends where there is none";
  const auto whole = compile_all();
  ASSERT_TRUE(whole);
  int none = 0;
  for (int pages = 0; pages < kOfRules; ++pages) {
    const Made made = made_with(pages, *whole);
    ASSERT_NE(made, Made::kOther) << pages;
    none += made == Made::kNone ? 1 : 0;
  }
  EXPECT_GT(none, kOfRules / 2);
}

}  // namespace
}  // namespace vitrine::intercept
