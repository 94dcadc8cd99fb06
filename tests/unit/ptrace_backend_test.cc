#include "intercept/ptrace_backend.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdint>
#include <optional>
#include <vector>

#include "failing_call.h"
#include "intercept/filter.h"
#include "stopped_program.h"

namespace vitrine::intercept {
namespace {

using test::answer_calls;
using test::Call;
using test::in_child;
using test::let_pass;
using Kind = tracee::TaskEvent::Kind;

PtraceBackend backend_of(PtraceBackend::Mode mode) {
  auto channel = DescriptorChannel::create(kChannel);
  EXPECT_TRUE(channel);
  return PtraceBackend(mode, std::move(*channel), [](const arch::SyscallRow&) { return false; });
}

// The filter says the same of calls of another ABI and of negative numbers, which only are unknown.
// Where the kernel cannot tell them apart, the call counts as the former.
Result<std::optional<Stop>> stop_at_a_negative_number(long error) {
  Program program(At::kSeccompStop);
  PtraceBackend backend = backend_of(PtraceBackend::Mode::kTrace);
  backend.task_started(program.pid(), program.pid(), 0);
  const tracee::TaskEvent event{Kind::kSeccompStop, program.pid(), kForeignAbiData, {}};
  EXPECT_TRUE(backend.on_stop(event));  // learns what the kernel has
  answer_calls({SYS_ptrace}, [error](const Call& call) -> long {
    if (call.arguments[0] == PTRACE_GET_SYSCALL_INFO && error != 0) return -error;
    const long result = call.perform();
    if (call.arguments[0] == PTRACE_GETREGSET) {
      auto& area = *reinterpret_cast<iovec*>(call.arguments[3]);
      static_cast<user_regs_struct*>(area.iov_base)->orig_rax = ~0ULL - 4;
    }
    return result;
  });
  auto stop = backend.on_stop(event);
  let_pass();
  return stop;
}

TEST(PtraceBackend, ACallThatTheKernelDoesNotExplainIsForeign) {
  in_child([] {
    const auto stop = stop_at_a_negative_number(0);
    ASSERT_TRUE(stop && *stop);
    EXPECT_EQ((*stop)->event().audit_arch, arch::kNativeAuditArch);
  });
  in_child([] {
    const auto stop = stop_at_a_negative_number(EIO);  // before Linux 5.3
    ASSERT_TRUE(stop && *stop);
    EXPECT_EQ((*stop)->event().audit_arch, std::uint32_t{AUDIT_ARCH_I386});
  });
  in_child([] {
    const auto stop = stop_at_a_negative_number(ESRCH);
    ASSERT_FALSE(stop);
    EXPECT_EQ(stop.error().kind, Error::Kind::kTaskGone);
  });
}

// What is told of a call that ends with EFBIG, when `settle` has said what the program sees of it.
template <typename Settle>
std::vector<std::optional<std::int64_t>> told_of_too_large_a_file(const Settle& settle) {
  std::vector<std::optional<std::int64_t>> told;
  Program program(At::kEntry);
  PtraceBackend backend = backend_of(PtraceBackend::Mode::kSyscall);
  backend.task_started(program.pid(), program.pid(), 0);
  backend.observe([&told](const SyscallEvent&, const std::string&,
                          std::optional<std::int64_t> result) { told.push_back(result); });
  const tracee::TaskEvent event{Kind::kSyscallStop, program.pid(), 0, {}};
  const auto entry = backend.on_stop(event);
  EXPECT_TRUE(entry && !*entry);  // a native call
  EXPECT_EQ(::waitpid(program.pid(), nullptr, __WALL), program.pid());
  answer_calls({SYS_ptrace}, [](const Call& call) {
    const long result = call.perform();
    if (call.arguments[0] == PTRACE_GET_SYSCALL_INFO) {
      reinterpret_cast<__ptrace_syscall_info*>(call.arguments[3])->exit.rval = -EFBIG;
    }
    return result;
  });
  EXPECT_TRUE(backend.on_stop(event));
  let_pass();
  EXPECT_TRUE(told.empty());
  settle(backend, program.pid());
  backend.task_ended(program.pid());
  return told;
}

TEST(PtraceBackend, AResultThatMayBeReplacedIsToldWhenItIsKnown) {
  using Told = std::vector<std::optional<std::int64_t>>;
  in_child([] { EXPECT_EQ(told_of_too_large_a_file([](PtraceBackend&, pid_t) {}), Told{-EFBIG}); });
  in_child([] {
    const auto replace = [](PtraceBackend& backend, pid_t tid) {
      backend.result_settled(tid, -ENOSPC);
    };
    EXPECT_EQ(told_of_too_large_a_file(replace), Told{-ENOSPC});
  });
  in_child([] {  // the call is entered again
    const auto forget = [](PtraceBackend& backend, pid_t tid) {
      backend.result_settled(tid, std::nullopt);
    };
    EXPECT_EQ(told_of_too_large_a_file(forget), Told{});
  });
}

TEST(PtraceBackend, HasNothingOnADescriptor) {
  for (const auto mode : {PtraceBackend::Mode::kTrace, PtraceBackend::Mode::kSyscall}) {
    PtraceBackend backend = backend_of(mode);
    EXPECT_EQ(backend.pollable_fd(), -1);
    EXPECT_FALSE(backend.capabilities().uses_listener);
    const auto stop = backend.next();
    ASSERT_TRUE(stop);
    EXPECT_FALSE(*stop);
  }
}

}  // namespace
}  // namespace vitrine::intercept
