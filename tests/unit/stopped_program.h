// A process that stands at a call which the supervisor is asked about.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "failing_call.h"
#include "intercept/ptrace_backend.h"
#include "tracee/usage.h"

namespace vitrine::intercept {

inline constexpr long kMark = 0x1000;  // the sixth argument of the program's own call
inline constexpr int kChannel = 100;

enum class At { kSeccompStop, kEntry };  // of the backends trace and notify; of syscall

// A process whose own call, of which the supervisor is asked, would write a byte into a pipe.
class Program {
 public:
  struct Report {
    std::int64_t result = 0;
    std::uint64_t blocked = 0;  // signals
    int next = -1;              // the number of a descriptor that is opened now
  };

  explicit Program(At at, bool has_channel = true) : at_(at), has_channel_(has_channel) {
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
  const SyscallEvent& call() const { return seen_; }
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
    for (int fd = 0; fd < 2 * kChannel; ++fd) count += is_open(fd) ? 1 : 0;
    return count;
  }
  int next_descriptor() const {
    int number = 0;
    while (is_open(number)) ++number;
    return number;
  }
  // Its table of descriptors takes `more` from now on.
  void limit_descriptors(rlim_t more) const {
    const rlim_t most = static_cast<rlim_t>(next_descriptor()) + more;
    const rlimit limit{most, most};
    EXPECT_EQ(::prlimit(pid_, RLIMIT_NOFILE, &limit, nullptr), 0);
  }
  void end() {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
    if (pid_ > 0) ::waitpid(pid_, nullptr, __WALL);
    pid_ = -1;
  }

 private:
  bool is_open(int fd) const {
    const std::string name = "/proc/" + std::to_string(pid_) + "/fd/" + std::to_string(fd);
    char target[64];
    return ::readlink(name.c_str(), target, sizeof target) > 0;
  }
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
    if (!has_channel_) ::close(injector_->channel().number());
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
        test::Call{SYS_write, {own_[1], reinterpret_cast<long>("x"), 1, 0, -1, kMark}}.perform();
    ::syscall(SYS_rt_sigprocmask, SIG_BLOCK, nullptr, &report.blocked, sizeof report.blocked);
    report.next = ::dup(go_[0]);
    (void)!::write(report_[1], &report, sizeof report);
    ::_exit(0);
  }

  At at_;
  bool has_channel_;
  std::array<int, 2> own_{};
  std::array<int, 2> go_{};
  std::array<int, 2> report_{};
  std::array<int, 2> numbers_{-1, -1};
  pid_t pid_ = -1;
  int resumed_ = 0;
  std::optional<Injector> injector_;
  SyscallEvent seen_;
};

}  // namespace vitrine::intercept
