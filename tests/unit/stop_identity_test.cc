// The second wall behind every answer at a ptrace-stop: it is given only where the registers are
// still those of the call that was decided.
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <utility>
#include <vector>

#include "intercept/ptrace_backend.h"

namespace vitrine::intercept {
namespace {

constexpr int kResultOfCall = 42;

// A child in the syscall-enter-stop of getpriority(1, 2, 3, 4, 5, 6), whose result it ends with.
class StoppedChild : public ::testing::Test {
 protected:
  void SetUp() override {
    child_ = fork();
    if (child_ == 0) {
      ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
      raise(SIGSTOP);
      _exit(static_cast<int>(syscall(SYS_getpriority, 1, 2, 3, 4, 5, 6)) & 0x7f);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child_, &status, 0), child_);
    ptrace(PTRACE_SETOPTIONS, child_, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    do {  // raise(3) has calls of its own to end
      ASSERT_TRUE(tracee::resume_to_syscall(child_, 0));
      ASSERT_EQ(waitpid(child_, &status, 0), child_);
      ASSERT_TRUE(WIFSTOPPED(status));
    } while (registers().syscall_number() != SYS_getpriority);
    auto channel = DescriptorChannel::create(100);
    ASSERT_TRUE(channel);
    injector_.emplace(std::move(*channel), false);
  }

  void TearDown() override {
    if (child_ > 0) kill(child_, SIGKILL);
    if (child_ > 0) waitpid(child_, nullptr, 0);
  }

  tracee::Registers registers() const { return *tracee::Registers::of(child_); }

  SyscallEvent seen() const {
    SyscallEvent call;
    call.tid = child_;
    call.audit_arch = arch::kNativeAuditArch;
    call.number = registers().syscall_number();
    call.arguments = registers().arguments();
    call.instruction_pointer = registers().instruction_pointer();
    return call;
  }

  Result<Outcome> apply(const SyscallEvent& call, Effect effect) {
    return apply_at_stop(*injector_, call, std::move(effect), [this] {
      ++resumed_;
      return tracee::resume(child_, 0);
    });
  }

  pid_t child_ = 0;
  int resumed_ = 0;
  std::optional<Injector> injector_;
};

TEST_F(StoppedChild, IsAnsweredWhereItStands) {
  const Result<Outcome> outcome = apply(seen(), Return{kResultOfCall});
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->delivered);
  EXPECT_EQ(resumed_, 1);
  int status = 0;
  ASSERT_EQ(waitpid(child_, &status, 0), child_);
  child_ = 0;
  EXPECT_EQ(WEXITSTATUS(status), kResultOfCall);
}

UniqueFd file() { return UniqueFd(dup(0)); }

std::vector<Effect> every_effect() {
  Execute execution;
  execution.program = file();
  std::vector<Effect> effects;
  effects.emplace_back(Continue{});
  effects.emplace_back(Return{kResultOfCall});
  effects.emplace_back(FailWith{EPERM});
  effects.emplace_back(Restart{});
  effects.emplace_back(InstallFd{file(), false});
  effects.emplace_back(InstallPair{file(), file(), false, 0});
  effects.emplace_back(MapFile{file()});
  effects.emplace_back(std::move(execution));
  return effects;
}

TEST_F(StoppedChild, IsLeftAloneByTheAnswerToAnotherCall) {
  const SyscallEvent here = seen();
  std::vector<SyscallEvent> others(3, here);
  others[0].number = SYS_getpid;
  others[1].arguments[5] += 1;
  others[2].instruction_pointer += 2;
  for (const SyscallEvent& other : others) {
    std::vector<Effect> effects = every_effect();
    for (Effect& effect : effects) {
      const std::size_t kind = effect.index();
      const Result<Outcome> outcome = apply(other, std::move(effect));
      ASSERT_TRUE(outcome) << kind;
      EXPECT_FALSE(outcome->delivered) << kind;
      EXPECT_EQ(resumed_, 0) << kind;
      const SyscallEvent after = seen();
      EXPECT_EQ(after.number, here.number) << kind;
      EXPECT_EQ(after.arguments, here.arguments) << kind;
      EXPECT_EQ(after.instruction_pointer, here.instruction_pointer) << kind;
    }
  }
}

}  // namespace
}  // namespace vitrine::intercept
