// Calls that a task is made to perform: what becomes of it where one of the supervisor's own fails
// on the way, where the task dies in one, and where the program has changed what they need.
#include "intercept/injector.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

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
#include "intercept/ptrace_backend.h"
#include "tracee/remote_memory.h"
#include "tracee/usage.h"

namespace vitrine::intercept {
namespace {

using test::answer_calls;
using test::Call;
using test::each_in_turn;
using test::in_child;
using test::let_pass;

constexpr long kMark = 0x1000;  // the sixth argument of the program's own call
constexpr int kChannel = 100;
constexpr int kAnswer = 42;

// Whatever the injector asks of the kernel.
const std::vector<long> kCalls{SYS_ptrace, SYS_waitid, SYS_process_vm_readv, SYS_process_vm_writev,
                               SYS_sendmsg};

enum class At { kSeccompStop, kEntry };  // of the backends trace and notify; of syscall

// A process whose own call, of which the supervisor is asked, would write a byte into a pipe.
class Program {
 public:
  struct Report {
    std::int64_t result = 0;
    std::uint64_t blocked = 0;  // signals
  };

  explicit Program(At at) : at_(at) {
    EXPECT_EQ(::pipe2(own_.data(), O_CLOEXEC | O_NONBLOCK), 0);
    EXPECT_EQ(::pipe2(go_.data(), O_CLOEXEC), 0);
    EXPECT_EQ(::pipe2(report_.data(), O_CLOEXEC), 0);
    auto channel = DescriptorChannel::create(kChannel);
    EXPECT_TRUE(channel);
    injector_.emplace(std::move(*channel), at == At::kEntry);
    pid_ = ::fork();
    if (pid_ == 0) live();
    EXPECT_TRUE(tracee::seize(pid_));
    injector_->task_started(pid_, pid_, 0);
    lead_to_its_call();
  }
  ~Program() {
    end();
    for (const auto& ends : {own_, go_, report_}) {
      ::close(ends[0]);
      ::close(ends[1]);
    }
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pid_t pid() const { return pid_; }
  Injector& injector() { return *injector_; }
  int resumed() const { return resumed_; }
  StopTraits traits() const { return {.filters_follow = at_ == At::kEntry}; }
  const int* numbers() const { return numbers_.data(); }  // the same address inside

  SyscallEvent seen() const {
    const auto registers = tracee::Registers::of(pid_);
    if (!registers) return {};
    SyscallEvent call;
    call.tid = pid_;
    call.audit_arch = arch::kNativeAuditArch;
    call.number = registers->syscall_number();
    call.arguments = registers->arguments();
    call.instruction_pointer = registers->instruction_pointer();
    return call;
  }

  Status resume(int signal = 0) const {
    return at_ == At::kEntry || injector_->is_led(pid_) ? tracee::resume_to_syscall(pid_, signal)
                                                        : tracee::resume(pid_, signal);
  }
  Result<Outcome> apply(Effect effect) {
    return apply_at_stop(*injector_, seen_, std::move(effect), [this] {
      const Status done = resume();
      if (done) ++resumed_;
      return done;
    });
  }

  enum class End { kGone, kExecuted, kAsksAgain, kError };
  // As the event loop does: to its end, to the program that it executed, or to its call once more.
  End run_on() {
    for (;;) {
      int status = 0;
      if (::waitpid(pid_, &status, __WALL) != pid_) return End::kError;
      const tracee::TaskEvent event = tracee::classify(pid_, status, {});
      using Kind = tracee::TaskEvent::Kind;
      if (event.kind == Kind::kExited || event.kind == Kind::kKilled) {
        pid_ = -1;
        return End::kGone;
      }
      if (event.kind == Kind::kExecStop) return End::kExecuted;
      const Result<bool> of_execution = injector_->on_stop(event);
      if (!of_execution) return End::kError;
      if (*of_execution) continue;
      if (is_its_call()) return End::kAsksAgain;
      const bool signal = event.kind == Kind::kSignalStop;
      if (!resume(signal ? static_cast<int>(event.value) : 0)) return End::kError;
    }
  }

  // Stands in a stop, or has ended.
  bool comes_to_rest() const {
    for (int i = 0; i < 5000 && tracee::may_run(pid_, true); ++i) ::usleep(1000);
    return !tracee::may_run(pid_, true);
  }
  // How often its own call was performed.
  long own_calls() {
    end();
    char bytes[8];
    return std::max(static_cast<long>(::read(own_[0], bytes, sizeof bytes)), 0L);
  }
  std::optional<Report> report() const {
    Report report;
    pollfd told{report_[0], POLLIN, 0};
    if (::poll(&told, 1, 0) != 1) return std::nullopt;
    if (::read(report_[0], &report, sizeof report) != sizeof report) return std::nullopt;
    return report;
  }
  std::size_t descriptors() const {
    std::size_t count = 0;
    for (int fd = 0; fd < 2 * kChannel; ++fd) {
      const std::string name = "/proc/" + std::to_string(pid_) + "/fd/" + std::to_string(fd);
      char target[64];
      count += ::readlink(name.c_str(), target, sizeof target) > 0 ? 1 : 0;
    }
    return count;
  }
  void end() {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
    if (pid_ > 0) ::waitpid(pid_, nullptr, __WALL);
    pid_ = -1;
  }

 private:
  bool is_its_call() const {
    const auto registers = tracee::Registers::of(pid_);
    return registers && (registers->syscall_number() & 0xffffffff) == SYS_write &&
           registers->arguments()[5] == kMark;
  }
  void lead_to_its_call() {
    EXPECT_TRUE(tracee::interrupt(pid_));
    EXPECT_EQ(::write(go_[1], "", 1), 1);
    while (!is_its_call()) {
      EXPECT_TRUE(at_ == At::kEntry ? tracee::resume_to_syscall(pid_, 0) : tracee::resume(pid_, 0));
      int status = 0;
      ASSERT_EQ(::waitpid(pid_, &status, __WALL), pid_);
      ASSERT_TRUE(WIFSTOPPED(status));
    }
    seen_ = seen();
  }
  [[noreturn]] void live() const {
    if (at_ == At::kSeccompStop) {
      sock_filter code[] = {
          BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[5])),
          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kMark, 0, 1),
          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      };
      const sock_fprog program{4, code};
      ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
    }
    char byte = 0;
    if (::read(go_[0], &byte, 1) != 1) ::_exit(1);
    Report report;
    report.result =
        Call{SYS_write, {own_[1], reinterpret_cast<long>("x"), 1, 0, -1, kMark}}.perform();
    ::syscall(SYS_rt_sigprocmask, SIG_BLOCK, nullptr, &report.blocked, sizeof report.blocked);
    (void)!::write(report_[1], &report, sizeof report);
    ::_exit(0);
  }

  At at_;
  std::array<int, 2> own_{};
  std::array<int, 2> go_{};
  std::array<int, 2> report_{};
  std::array<int, 2> numbers_{-1, -1};
  pid_t pid_ = -1;
  int resumed_ = 0;
  std::optional<Injector> injector_;
  SyscallEvent seen_;
};

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
  return effects;
}
constexpr std::size_t kDescriptor = 4;
constexpr std::size_t kEffects = 10;

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

void let_each_call_fail(At at, std::size_t which, int error) {
  each_in_turn(kCalls, error, [&](const auto& arm) {
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
    let_each_call_fail(At::kSeccompStop, which, error);
    let_each_call_fail(At::kEntry, which, error);
  }
}

// What is found below is found of these.
TEST(Injector, PerformsEachEffect) {
  using End = Program::End;
  const std::vector<std::pair<End, std::int64_t>> expected{
      {End::kGone, 1},     {End::kGone, kAnswer}, {End::kGone, -EACCES}, {End::kAsksAgain, 0},
      {End::kGone, 0},     {End::kGone, 0},       {End::kGone, -ENOMEM}, {End::kExecuted, 0},
      {End::kExecuted, 0}, {End::kGone, -EACCES},
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
      EXPECT_TRUE(which == kDescriptor ? result > 2 : result == expected[which].second) << result;
      EXPECT_EQ(report.has_value(), expected[which].first == End::kGone);
      EXPECT_EQ(program.own_calls(), which == 0 ? 1 : 0);
    }
  }
}

// Only ESRCH and, of a wait, ECHILD mean that the task has ended.
TEST(Injector, ACallOfItsOwnThatFailsLetsNothingThrough) { let_each_call_fail(EPERM); }

TEST(Injector, ATaskThatIsGoneOnTheWayIsLeftWhereItIs) {
  let_each_call_fail(ESRCH);
  let_each_call_fail(ECHILD);
}

}  // namespace
}  // namespace vitrine::intercept
