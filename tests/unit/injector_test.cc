// Calls that a task is made to perform: what becomes of it where one of the supervisor's own fails
// on the way, where the task dies in one, and where the program has changed what they need.
#include "intercept/injector.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "failing_call.h"
#include "stopped_program.h"
#include "tracee/proc_status.h"
#include "tracee/remote_memory.h"
#include "tracee/usage.h"

namespace vitrine::intercept {
namespace {

using test::answer_calls;
using test::Call;
using test::each_in_turn;
using test::in_child;
using test::let_pass;

constexpr int kAnswer = 42;

// Whatever the injector asks of the kernel.
const std::vector<long> kCalls{SYS_ptrace, SYS_waitid, SYS_process_vm_readv, SYS_process_vm_writev,
                               SYS_sendmsg};

constexpr std::size_t kTooMuch = 600 << 10;  // of arguments that are to be placed
constexpr std::uint64_t kNoAddress = 8;

UniqueFd file() { return UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)); }

Execute execution_of(const char* path, std::vector<std::string> arguments = {}) {
  Execute effect;
  effect.program.reset(::open(path, O_RDONLY | O_CLOEXEC));
  effect.leading_arguments = std::move(arguments);
  return effect;
}

std::vector<Effect> every_effect(const Program& program) {
  std::vector<Effect> effects;
  effects.emplace_back(Continue{});
  effects.emplace_back(Return{kAnswer});
  effects.emplace_back(FailWith{EACCES});
  effects.emplace_back(Restart{});
  effects.emplace_back(InstallFd{file(), true});
  effects.emplace_back(
      InstallPair{file(), file(), true, reinterpret_cast<std::uint64_t>(program.numbers())});
  effects.emplace_back(MapFile{file()});
  effects.emplace_back(execution_of("/bin/true"));
  effects.emplace_back(execution_of("/bin/true", {"sh", "script"}));
  effects.emplace_back(execution_of("/"));  // the kernel refuses it
  effects.emplace_back(execution_of("/bin/true", {std::string(kTooMuch, 'a')}));
  effects.emplace_back(InstallPair{file(), file(), true, kNoAddress});
  return effects;
}
constexpr std::size_t kDescriptor = 4;
constexpr std::size_t kMapping = 6;  // with the arguments of another call: of no use
constexpr std::size_t kEffects = 12;

// The program's own call is performed when it was to go on, and never else; and what it gets back
// is its own.
void expect_an_answer_or_a_stop(Program& program, const Result<Outcome>& outcome, bool goes_on) {
  EXPECT_TRUE(program.comes_to_rest());
  if (const std::optional<Program::Report> report = program.report()) {
    EXPECT_EQ(report->blocked, 0U);
    EXPECT_TRUE(!outcome || !outcome->known || report->result == outcome->result);
  }
  EXPECT_LE(program.own_calls(), goes_on ? 1 : 0);
}

void let_each_call_fail(At at, std::size_t which, int error, const std::vector<long>& calls) {
  each_in_turn(calls, error, [&](const auto& arm) {
    Program program(at);
    std::vector<Effect> effects = every_effect(program);
    Effect& effect = effects[which];
    const bool goes_on = std::holds_alternative<Continue>(effect);
    const bool restarts = std::holds_alternative<Restart>(effect);
    arm();
    const Result<Outcome> outcome = program.apply(std::move(effect));
    const bool executes = outcome && outcome->delivered && !outcome->known;
    const bool left = program.resumed() != 0 || executes;
    if (left) (void)program.run_on();
    let_pass();
    EXPECT_TRUE(error != EPERM || !outcome || restarts || outcome->delivered);
    expect_an_answer_or_a_stop(program, outcome, goes_on && left);
  });
}

void let_each_call_fail(int error) {
  for (std::size_t which = 0; which < kEffects; ++which) {
    SCOPED_TRACE("effect " + std::to_string(which));
    let_each_call_fail(At::kSeccompStop, which, error, kCalls);
    let_each_call_fail(At::kEntry, which, error, kCalls);
  }
}

// What is found below is found of these.
TEST(Injector, PerformsEachEffect) {
  using End = Program::End;
  const std::vector<std::pair<End, std::int64_t>> expected{
      {End::kGone, 1},     {End::kGone, kAnswer}, {End::kGone, -EACCES}, {End::kAsksAgain, 0},
      {End::kGone, 0},     {End::kGone, 0},       {End::kGone, 0},       {End::kExecuted, 0},
      {End::kExecuted, 0}, {End::kGone, -EACCES}, {End::kGone, -E2BIG},  {End::kGone, -EFAULT},
  };
  for (const At at : {At::kSeccompStop, At::kEntry}) {
    for (std::size_t which = 0; which < kEffects; ++which) {
      SCOPED_TRACE("effect " + std::to_string(which));
      Program program(at);
      std::vector<Effect> effects = every_effect(program);
      const Result<Outcome> outcome = program.apply(std::move(effects[which]));
      ASSERT_TRUE(outcome) << outcome.error().message();
      if (which == 0 && at == At::kEntry) continue;  // its exit looks like its entry
      EXPECT_EQ(program.run_on(), expected[which].first);
      const auto report = program.report();
      const std::int64_t result = report ? report->result : 0;
      if (which == kDescriptor) {
        EXPECT_GT(result, 2);
      } else if (which == kMapping) {
        EXPECT_LT(result, 0);
      } else {
        EXPECT_EQ(result, expected[which].second);
      }
      EXPECT_EQ(report.has_value(), expected[which].first == End::kGone);
      EXPECT_EQ(program.own_calls(), which == 0 ? 1 : 0);
    }
  }
}

// Only ESRCH and, of a wait, ECHILD mean that the task has ended.
TEST(Injector, ACallOfItsOwnThatFailsLetsNothingThrough) { let_each_call_fail(EPERM); }

TEST(Injector, ATaskThatIsGoneOnTheWayIsLeftWhereItIs) {
  let_each_call_fail(ESRCH);
  let_each_call_fail(At::kSeccompStop, kDescriptor, ECHILD, {SYS_waitid});
  let_each_call_fail(At::kEntry, kDescriptor, ECHILD, {SYS_waitid});
}

constexpr std::array kBothStops{At::kSeccompStop, At::kEntry};

// Its end is left to be waited for: the event loop hears of every one.
TEST(Injector, ATaskThatDiesInACallIsGone) {
  for (const At at : kBothStops) {
    for (const long number : {SYS_exit, SYS_exit_group, SYS_kill}) {
      Program program(at);
      auto calls = InjectedCalls::at_entry(program.call(), program.traits());
      ASSERT_TRUE(calls);
      const auto first = number == SYS_kill ? static_cast<std::uint64_t>(program.pid()) : 7;
      const Result<std::int64_t> result =
          calls->perform(static_cast<std::uint64_t>(number), {first, SIGKILL, 0, 0, 0, 0});
      ASSERT_FALSE(result);
      EXPECT_EQ(result.error().kind, Error::Kind::kTaskGone);
      int status = 0;
      EXPECT_EQ(::waitpid(program.pid(), &status, __WALL), program.pid());
      EXPECT_EQ(status, number == SYS_kill ? SIGKILL : 7 << 8);
      EXPECT_EQ(program.own_calls(), 0);
    }
  }
}

TEST(Injector, ACallThatTheKernelHasNotIsNotPerformedTwice) {
  for (const At at : kBothStops) {
    Program program(at);
    auto calls = InjectedCalls::at_entry(program.call(), program.traits());
    ASSERT_TRUE(calls);
    for (int i = 0; i < 2; ++i) EXPECT_EQ(calls->perform(9999, {}), -ENOSYS);
    EXPECT_EQ(calls->perform(SYS_getpid, {}), program.pid());
    EXPECT_TRUE(calls->finish(kAnswer));
    EXPECT_TRUE(program.resume());
    EXPECT_EQ(program.run_on(), Program::End::kGone);
    EXPECT_EQ(program.report()->result, kAnswer);
  }
}

// It cannot be blocked. What stops the program is its own business again behind the calls.
TEST(Injector, PassesOverAStopThatComesMeanwhile) {
  for (const At at : kBothStops) {
    Program program(at);
    auto calls = InjectedCalls::at_entry(program.call(), program.traits());
    ASSERT_TRUE(calls);
    ASSERT_EQ(::kill(program.pid(), SIGSTOP), 0);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(calls->perform(SYS_getpid, {}), program.pid());
    EXPECT_TRUE(calls->finish(kAnswer));
    EXPECT_EQ(program.own_calls(), 0);
  }
}

// What it was made to perform does not change how its own call is ended.
TEST(Injector, AFailingCallEndsNoInterruptionWithSignalsBlocked) {
  each_in_turn(kCalls, EPERM, [](const auto& arm) {
    Program program(At::kEntry);
    auto calls = InjectedCalls::at_entry(program.call(), program.traits());
    ASSERT_TRUE(calls);
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(calls->perform(SYS_getpid, {}));
    arm();
    const Status done = calls->interrupted();
    let_pass();
    const auto status = tracee::read_proc_status(program.pid());
    ASSERT_TRUE(status);
    EXPECT_EQ(done.has_value(), status->blocked_signals == 0 &&
                                    tracee::Registers::of(program.pid())->result() == kRestartSys);
    EXPECT_EQ(program.own_calls(), 0);
  });
}

// A kernel before 4.8, and gVisor: behind a seccomp-stop comes the entry of the same call.
void expect_a_result_behind_an_entry(bool syscall_info) {
  in_child([syscall_info] {
    Program program(At::kSeccompStop);
    auto calls = InjectedCalls::at_entry(program.call(), {false, syscall_info});
    ASSERT_TRUE(calls);
    int resumed = 0;
    answer_calls({SYS_ptrace, SYS_waitid}, [&](const Call& call) -> long {
      if (call.number == SYS_ptrace && call.arguments[0] == PTRACE_SYSCALL) {
        return ++resumed == 1 ? 0 : call.perform();
      }
      if (call.number == SYS_waitid && resumed == 1) {
        auto& info = *reinterpret_cast<siginfo_t*>(call.arguments[2]);
        info.si_pid = program.pid();
        info.si_code = CLD_TRAPPED;
        info.si_status = SIGTRAP | 0x80;
        return 0;
      }
      const long result = call.perform();
      if (call.arguments[0] == PTRACE_GET_SYSCALL_INFO && resumed == 1) {
        reinterpret_cast<__ptrace_syscall_info*>(call.arguments[3])->op = PTRACE_SYSCALL_INFO_ENTRY;
      }
      return result;
    });
    EXPECT_EQ(calls->perform(SYS_getpid, {}), program.pid());
    EXPECT_EQ(resumed, 2);
    let_pass();
  });
}

TEST(Injector, TakesAnEntryBehindASeccompStopForNoResult) {
  expect_a_result_behind_an_entry(true);
  expect_a_result_behind_an_entry(false);
}

// gVisor: waitid(2) tells of a stop as of an end by signal 127.
long as_told_by_gvisor(const Call& call) {
  const long result = call.perform();
  auto& info = *reinterpret_cast<siginfo_t*>(call.arguments[2]);
  if (result == 0 && (call.arguments[3] & WNOWAIT) != 0 && info.si_code == CLD_TRAPPED) {
    info.si_code = CLD_KILLED;
    info.si_status = 127;
  }
  return result;
}

TEST(Injector, FindsAStopThatReadsAsAnEnd) {
  for (const At at : kBothStops) {
    in_child([at] {
      Program program(at);
      auto calls = InjectedCalls::at_entry(program.call(), program.traits());
      ASSERT_TRUE(calls);
      ASSERT_EQ(::kill(program.pid(), SIGSTOP), 0);
      answer_calls({SYS_waitid}, as_told_by_gvisor);
      for (int i = 0; i < 3; ++i) EXPECT_EQ(calls->perform(SYS_getpid, {}), program.pid());
      let_pass();
      EXPECT_TRUE(calls->finish(kAnswer));
    });
  }
}

TEST(Injector, AStopThatReadsAsAnEndMayBeFollowedByOne) {
  for (const int error : {0, ECHILD, EIO}) {
    in_child([error] {
      Program program(At::kEntry);
      auto calls = InjectedCalls::at_entry(program.call(), program.traits());
      ASSERT_TRUE(calls);
      answer_calls({SYS_waitid, SYS_wait4}, [&](const Call& call) -> long {
        if (call.number == SYS_waitid) return as_told_by_gvisor(call);
        if (error != 0) return -error;
        ::kill(program.pid(), SIGKILL);
        return call.perform();
      });
      const auto result = calls->perform(SYS_getpid, {});
      let_pass();
      ASSERT_FALSE(result);
      EXPECT_EQ(result.error().kind, error == EIO ? Error::Kind::kSystem : Error::Kind::kTaskGone);
    });
  }
}

// --- descriptors

std::uint64_t numbers_of(const Program& program) {
  return reinterpret_cast<std::uint64_t>(program.numbers());
}

// For the next receiver what nobody received would be another's.
TEST(Injector, NothingIsLeftInAChannelThatTheProgramHasNot) {
  for (const At at : kBothStops) {
    Program program(at, false);
    EXPECT_EQ(program.injector().install(program.call(), {file(), true}), -EBADF);
    char byte = 0;
    EXPECT_EQ(::recv(program.injector().channel().number(), &byte, 1, MSG_DONTWAIT), -1);
    EXPECT_EQ(errno, EAGAIN);
    EXPECT_EQ(program.own_calls(), 0);
  }
}

TEST(Injector, AFullTableTakesNone) {
  for (const At at : kBothStops) {
    Program program(at);
    program.limit_descriptors(0);
    const std::size_t before = program.descriptors();
    EXPECT_EQ(program.injector().install(program.call(), {file(), true}), -EMFILE);
    EXPECT_EQ(program.descriptors(), before);
  }
}

TEST(Injector, APairIsInstalledWholeOrNotAtAll) {
  for (const At at : kBothStops) {
    for (rlim_t room = 0; room <= 2; ++room) {
      Program program(at);
      program.limit_descriptors(room);
      const std::size_t before = program.descriptors();
      const bool fits = room == 2;
      EXPECT_EQ(program.injector().install_pair(program.call(),
                                                {file(), file(), true, numbers_of(program)}),
                fits ? 0 : -EMFILE);
      EXPECT_EQ(program.descriptors(), before + (fits ? 2 : 0));
    }
    Program program(at);
    const std::size_t before = program.descriptors();
    EXPECT_EQ(program.injector().install_pair(program.call(), {file(), file(), true, kNoAddress}),
              -EFAULT);
    EXPECT_EQ(program.descriptors(), before);
  }
}

// As recvmsg(2) filled it in.
struct Receipt {
  msghdr header;
  iovec data;
  std::uint64_t label;
  std::size_t length;
  int level;
  int type;
  int number;
};

// What another thread of the program can do, in the moment before the supervisor looks.
Result<std::int64_t> install_with_receipt(void (*change)(Receipt&)) {
  Program program(At::kSeccompStop);
  answer_calls({SYS_process_vm_readv}, [change](const Call& call) {
    const long result = call.perform();
    const auto& local = *reinterpret_cast<const iovec*>(call.arguments[1]);
    if (local.iov_len >= sizeof(Receipt)) change(*static_cast<Receipt*>(local.iov_base));
    return result;
  });
  auto result = program.injector().install(program.call(), {file(), true});
  let_pass();
  EXPECT_EQ(program.own_calls(), 0);
  return result;
}

TEST(Injector, BelievesNoReceiptThatWasWrittenOver) {
  in_child([] { EXPECT_GT(*install_with_receipt([](Receipt&) {}), 2); });
  in_child([] { EXPECT_EQ(install_with_receipt([](Receipt& r) { ++r.label; }), -EIO); });
  in_child([] { EXPECT_EQ(install_with_receipt([](Receipt& r) { r.number = kChannel; }), -EIO); });
  in_child([] { EXPECT_EQ(install_with_receipt([](Receipt& r) { r.type = 0; }), -EMFILE); });
  in_child([] {
    EXPECT_EQ(install_with_receipt([](Receipt& r) { r.header.msg_flags |= MSG_CTRUNC; }), -EMFILE);
  });
}

// --- executions

std::vector<std::string> arguments_of(std::size_t size) {
  return {"interpreter", std::string(size, 'a')};
}

TEST(Injector, AnExecutionThatIsNotStartedLeavesNothing) {
  constexpr std::size_t kMuch = 400 << 10;
  for (const At at : kBothStops) {
    Program program(at);
    const std::size_t before = program.descriptors();
    EXPECT_EQ(program.injector().execute(program.call(),
                                         execution_of("/bin/true", arguments_of(kTooMuch))),
              -E2BIG);
    EXPECT_EQ(program.descriptors(), before);
    EXPECT_FALSE(program.injector().is_led(program.pid()));
    EXPECT_EQ(program.own_calls(), 0);
  }
  for (const At at : kBothStops) {
    Program program(at);
    const std::size_t before = program.descriptors();
    const rlimit none{kMuch, kMuch};
    ASSERT_EQ(::prlimit(program.pid(), RLIMIT_DATA, &none, nullptr), 0);
    EXPECT_EQ(
        program.injector().execute(program.call(), execution_of("/bin/true", arguments_of(kMuch))),
        -ENOMEM);
    EXPECT_EQ(program.descriptors(), before);
    EXPECT_EQ(program.own_calls(), 0);
  }
}

// The receipt, the arguments as they are placed, these with their addresses, and the empty path.
TEST(Injector, AnExecutionWhoseArgumentsCannotBeWrittenIsRefused) {
  each_in_turn({SYS_process_vm_writev}, EFAULT, [](const auto& arm) {
    Program program(At::kSeccompStop);
    const std::size_t before = program.descriptors();
    arm();
    const auto result =
        program.injector().execute(program.call(), execution_of("/bin/true", {"sh", "script"}));
    let_pass();
    ASSERT_TRUE(result);
    if (*result == 0) return;  // the last time
    EXPECT_EQ(*result, -EFAULT);
    EXPECT_EQ(program.descriptors(), before);
    EXPECT_EQ(program.own_calls(), 0);
  });
}

class TemporaryProgram {
 public:
  explicit TemporaryProgram(const std::string& text) {
    fd_ = ::mkstemp(name_.data());
    EXPECT_EQ(::write(fd_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    EXPECT_EQ(::fchmod(fd_, 0755), 0);
    ::close(fd_);
  }
  ~TemporaryProgram() { ::unlink(name_.c_str()); }
  TemporaryProgram(const TemporaryProgram&) = delete;
  TemporaryProgram& operator=(const TemporaryProgram&) = delete;
  const char* path() const { return name_.c_str(); }

 private:
  std::string name_ = "/tmp/vitrine-test-XXXXXX";
  int fd_ = -1;
};

// The path that the kernel followed may have been another one for a moment: only an error of what
// was passed along is told. That of a script whose descriptor is closed by the execution is ENOENT.
TEST(Injector, AnExecutionThatTheKernelRefusesTellsNothingOfAPath) {
  const TemporaryProgram script("#!/bin/true\n");
  const TemporaryProgram nothing("nothing\n");
  for (const At at : kBothStops) {
    for (const bool known : {true, false}) {
      Program program(at);
      const int next = program.next_descriptor();
      ASSERT_EQ(program.injector().execute(program.call(),
                                           execution_of(known ? nothing.path() : script.path())),
                0);
      EXPECT_EQ(program.run_on(), Program::End::kGone);
      const auto report = program.report();
      ASSERT_TRUE(report);
      EXPECT_EQ(report->result, known ? -ENOEXEC : -EACCES);
      EXPECT_EQ(report->next, next);
    }
  }
}

// --- names

// At its first stop of a call.
Result<bool> name(Program& program) {
  program.injector().name_task(program.pid(), "called");
  return program.injector().on_stop({tracee::TaskEvent::Kind::kSyscallStop, program.pid(), 0, {}});
}

void expect_its_call(Program& program, bool named) {
  EXPECT_EQ(tracee::task_name(program.pid()) == "called", named);
  EXPECT_FALSE(program.injector().is_led(program.pid()));
  EXPECT_TRUE(tracee::resume(program.pid(), 0));
  EXPECT_EQ(program.run_on(), Program::End::kGone);
  EXPECT_EQ(program.report()->result, 1);
  EXPECT_EQ(program.own_calls(), 1);
}

TEST(Injector, NamesATaskBeforeItsFirstCall) {
  Program program(At::kEntry);
  EXPECT_EQ(name(program), false);
  expect_its_call(program, true);
}

TEST(Injector, ATaskThatCannotBeNamedMakesItsCall) {
  for (const long request : {PTRACE_GETREGSET, PTRACE_GET_SYSCALL_INFO, PTRACE_PEEKDATA}) {
    in_child([request] {
      Program program(At::kEntry);
      answer_calls({SYS_ptrace, SYS_process_vm_readv}, [request](const Call& call) -> long {
        // The kernel has no such request; the call is of another ABI; the stack cannot be read.
        const bool info = call.arguments[0] == PTRACE_GET_SYSCALL_INFO;
        if (call.number == SYS_process_vm_readv && request == PTRACE_PEEKDATA) return -EFAULT;
        if (call.number == SYS_ptrace && info && request == PTRACE_GETREGSET) return -EIO;
        const long result = call.perform();
        if (call.number == SYS_ptrace && info && request == PTRACE_GET_SYSCALL_INFO) {
          reinterpret_cast<__ptrace_syscall_info*>(call.arguments[3])->arch = AUDIT_ARCH_I386;
        }
        return result;
      });
      EXPECT_EQ(name(program), false);
      let_pass();
      expect_its_call(program, false);
    });
  }
}

TEST(Injector, KnowsNothingOfATaskThatItWasNotToldOf) {
  Program program(At::kEntry);
  EXPECT_FALSE(program.injector().has_executed(1));
  program.injector().task_ended(1);
  program.injector().task_executed(program.pid(), program.pid());
  EXPECT_TRUE(program.injector().has_executed(program.pid()));
  program.injector().task_ended(program.pid());
  EXPECT_FALSE(program.injector().has_executed(program.pid()));
}

}  // namespace
}  // namespace vitrine::intercept
