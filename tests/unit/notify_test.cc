#include "intercept/notify.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "failing_call.h"
#include "tracee/usage.h"

namespace vitrine::intercept {
namespace {

using test::answer_calls;
using test::Call;
using test::in_child;

// A process whose one supervised call waits for an answer.
class Caller {
 public:
  static constexpr long kNoAnswer = -9999;

  // With the table of descriptors in common, its listener is ours as well.
  Caller() {
    answered_ = static_cast<volatile long*>(::mmap(
        nullptr, sizeof *answered_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    *answered_ = kNoAnswer;
    int ready[2];
    EXPECT_EQ(::pipe2(ready, O_CLOEXEC), 0);
    pid_ = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD | CLONE_FILES, 0, 0, 0, 0));
    if (pid_ == 0) call(ready[1], answered_);
    int listener = -1;
    EXPECT_EQ(::read(ready[0], &listener, sizeof listener), static_cast<ssize_t>(sizeof listener));
    listener_ = UniqueFd(listener);
    ::close(ready[0]);
    ::close(ready[1]);
  }
  ~Caller() {
    end();
    ::munmap(const_cast<long*>(answered_), sizeof *answered_);
  }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  pid_t pid() const { return pid_; }
  // What its first call returned; kNoAnswer: it waits still.
  long answered() const {
    for (int i = 0; i < 200 && *answered_ == kNoAnswer; ++i) ::usleep(1000);
    return *answered_;
  }
  bool has_listener() const { return static_cast<bool>(listener_); }
  UniqueFd take_listener() { return std::move(listener_); }
  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, -1), nullptr, 0);
  }

 private:
  [[noreturn]] static void call(int ready, volatile long* answered) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{4, code};
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    const int listener = static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                                    SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
    (void)!::write(ready, &listener, sizeof listener);
    const long result = ::syscall(SYS_getppid);
    *answered = result < 0 ? -errno : result;
    for (;;) ::pause();
  }

  pid_t pid_ = -1;
  UniqueFd listener_;
  volatile long* answered_ = nullptr;
};

using Made = Result<std::unique_ptr<NotifyInterceptor>>;

class Notify : public testing::Test {
 protected:
  void SetUp() override {
    if (!Caller().has_listener()) GTEST_SKIP() << "no listener here";
  }

  static Made interceptor_of(Caller& caller) {
    Result<DescriptorChannel> channel = DescriptorChannel::create(100);
    if (!channel) return tl::make_unexpected(channel.error());
    return NotifyInterceptor::create(caller.take_listener(), std::move(*channel));
  }
  static Result<Stop> stop_of(NotifyInterceptor& interceptor) {
    pollfd waiting{interceptor.pollable_fd(), POLLIN, 0};
    if (::poll(&waiting, 1, 10'000) != 1) return fail(ETIMEDOUT, "poll");
    Result<std::optional<Stop>> stop = interceptor.next();
    if (!stop) return tl::make_unexpected(stop.error());
    if (!*stop) return fail(ENOENT, "no call");
    return std::move(**stop);
  }
  // What becomes of an answer to a call whose task has been killed meanwhile.
  static Result<Outcome> answer_late(Effect effect) {
    Caller caller;
    Made interceptor = interceptor_of(caller);
    if (!interceptor) return tl::make_unexpected(interceptor.error());
    Result<Stop> stop = stop_of(**interceptor);
    if (!stop) return tl::make_unexpected(stop.error());
    caller.end();
    return (*interceptor)->apply(std::move(*stop), std::move(effect));
  }
};

constexpr long kReturned = 42;

Effect a_descriptor() {
  return InstallFd{UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)), true};
}

// It is its end, which is heard of next, and no fault of the supervisor's.
TEST_F(Notify, AnAnswerToATaskThatIsGoneIsNotDelivered) {
  for (int i = 0; i < 4; ++i) {
    Effect effect = Continue{};
    if (i == 1) effect = Return{1};
    if (i == 2) effect = a_descriptor();
    if (i == 3) effect = Restart{};
    const Result<Outcome> outcome = answer_late(std::move(effect));
    ASSERT_TRUE(outcome) << i << ": " << outcome.error().message();
    EXPECT_FALSE(outcome->delivered) << i;
  }
}

// Requests of ioctl(2) are told apart by their low half alone.
bool is(const Call& call, unsigned long request) {
  return call.number == SYS_ioctl &&
         static_cast<std::uint32_t>(call.arguments[1]) == static_cast<std::uint32_t>(request);
}

// Its own, which it gets; any other error is the supervisor's, and the call is not answered at all.
TEST_F(Notify, ADescriptorThatTheTaskHasNoRoomForIsItsError) {
  for (const int error : {EMFILE, ENFILE, ENOMEM, EIO, EPERM}) {
    in_child([error] {
      Caller caller;
      Made interceptor = interceptor_of(caller);
      ASSERT_TRUE(interceptor);
      Result<Stop> stop = stop_of(**interceptor);
      ASSERT_TRUE(stop);
      answer_calls({SYS_ioctl}, [error](const Call& call) -> long {
        return is(call, SECCOMP_IOCTL_NOTIF_ADDFD) ? -error : call.perform();
      });
      const Result<Outcome> outcome = (*interceptor)->apply(std::move(*stop), a_descriptor());
      const bool its = error != EIO && error != EPERM;
      ASSERT_EQ(outcome.has_value(), its);
      EXPECT_EQ(its ? outcome->result : 0, its ? -error : 0);
      EXPECT_EQ(caller.answered(), its ? -error : Caller::kNoAnswer);
    });
  }
}

TEST_F(Notify, AnAnswerThatCannotBeGivenIsAnError) {
  for (int i = 0; i < 3; ++i) {
    in_child([i] {
      Caller caller;
      Made interceptor = interceptor_of(caller);
      ASSERT_TRUE(interceptor);
      Result<Stop> stop = stop_of(**interceptor);
      ASSERT_TRUE(stop);
      ASSERT_TRUE(tracee::seize(caller.pid()));
      answer_calls({SYS_ioctl}, [](const Call&) { return -EIO; });
      Effect effect = Continue{};
      if (i == 1) effect = Return{1};
      if (i == 2) effect = Restart{};
      EXPECT_FALSE((*interceptor)->apply(std::move(*stop), std::move(effect)));
      EXPECT_EQ(caller.answered(), Caller::kNoAnswer);
    });
  }
}

// What it is to be answered with afterwards would come too late.
TEST_F(Notify, ATaskThatCannotBeStoppedIsNotTakenOutOfItsCall) {
  in_child([] {
    Caller caller;
    Made interceptor = interceptor_of(caller);
    ASSERT_TRUE(interceptor);
    Result<Stop> stop = stop_of(**interceptor);
    ASSERT_TRUE(stop);
    answer_calls({SYS_ptrace}, [](const Call&) { return -EIO; });
    EXPECT_FALSE((*interceptor)->apply(std::move(*stop), Restart{}));
    EXPECT_EQ(caller.answered(), Caller::kNoAnswer);
  });
}

// Its calls are continued behind its back.
TEST_F(Notify, TellsAnObserverNothing) {
  Caller caller;
  Made interceptor = interceptor_of(caller);
  ASSERT_TRUE(interceptor);
  EXPECT_FALSE((*interceptor)->capabilities().sees_results);
  int told = 0;
  (*interceptor)->observe([&told](const auto&...) { ++told; });
  Result<Stop> stop = stop_of(**interceptor);
  ASSERT_TRUE(stop);
  EXPECT_TRUE((*interceptor)->apply(std::move(*stop), Return{kReturned}));
  EXPECT_EQ(caller.answered(), kReturned);
  EXPECT_EQ(told, 0);
}

// ENOENT: the task is gone, or was taken out of its call, between poll(2) and this.
TEST_F(Notify, OnlyACallThatIsGoneIsNone) {
  for (const int error : {ENOENT, EINTR, EIO, ENOMEM}) {
    in_child([error] {
      Caller caller;
      Made interceptor = interceptor_of(caller);
      ASSERT_TRUE(interceptor);
      answer_calls({SYS_ioctl}, [error](const Call&) { return -error; });
      const auto stop = (*interceptor)->next();
      EXPECT_EQ(stop.has_value(), error == ENOENT || error == EINTR);
      EXPECT_FALSE(stop && stop->has_value());
    });
  }
}

TEST_F(Notify, IsNotMadeWhereTheKernelCannotInstallAndAnswerAtOnce) {
  for (const long failing : {SYS_seccomp, SYS_ioctl}) {
    in_child([failing] {
      Caller caller;
      answer_calls({failing}, [](const Call&) { return -EINVAL; });
      EXPECT_FALSE(interceptor_of(caller));
    });
  }
}

// Which call it is in decides whether a signal may end that; where that is not known, it stays.
TEST_F(Notify, ATaskWhoseRegistersCannotBeReadIsGivenNoSignal) {
  in_child([] {
    Caller caller;
    Made interceptor = interceptor_of(caller);
    ASSERT_TRUE(interceptor);
    ASSERT_TRUE(tracee::seize(caller.pid()));
    ASSERT_TRUE(tracee::interrupt(caller.pid()));
    answer_calls({SYS_ptrace}, [](const Call& call) -> long {
      return call.arguments[0] == PTRACE_GETREGSET ? -EPERM : call.perform();
    });
    EXPECT_FALSE((*interceptor)->resume(caller.pid(), SIGUSR1));
    EXPECT_FALSE(tracee::may_run(caller.pid(), true));
  });
}

}  // namespace
}  // namespace vitrine::intercept
