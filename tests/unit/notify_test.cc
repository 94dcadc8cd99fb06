#include "intercept/notify.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <utility>

namespace vitrine::intercept {
namespace {

// A process whose one supervised call waits for an answer.
class Caller {
 public:
  // With the table of descriptors in common, its listener is ours as well.
  Caller() {
    int ready[2];
    EXPECT_EQ(::pipe2(ready, O_CLOEXEC), 0);
    pid_ = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD | CLONE_FILES, 0, 0, 0, 0));
    if (pid_ == 0) call(ready[1]);
    int listener = -1;
    EXPECT_EQ(::read(ready[0], &listener, sizeof listener), static_cast<ssize_t>(sizeof listener));
    listener_ = UniqueFd(listener);
    ::close(ready[0]);
    ::close(ready[1]);
  }
  ~Caller() { end(); }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  bool has_listener() const { return static_cast<bool>(listener_); }
  UniqueFd take_listener() { return std::move(listener_); }
  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, -1), nullptr, 0);
  }

 private:
  [[noreturn]] static void call(int ready) {
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
    for (;;) ::syscall(SYS_getppid);
  }

  pid_t pid_ = -1;
  UniqueFd listener_;
};

class Notify : public testing::Test {
 protected:
  // What becomes of an answer to a call whose task has been killed meanwhile.
  static Result<Outcome> answer_late(Effect effect) {
    Caller caller;
    if (!caller.has_listener()) return fail_invalid("no listener here");
    Result<DescriptorChannel> channel = DescriptorChannel::create(100);
    if (!channel) return tl::make_unexpected(channel.error());
    auto interceptor = NotifyInterceptor::create(caller.take_listener(), std::move(*channel));
    if (!interceptor) return tl::make_unexpected(interceptor.error());
    pollfd waiting{(*interceptor)->pollable_fd(), POLLIN, 0};
    if (::poll(&waiting, 1, 10'000) != 1) return fail(ETIMEDOUT, "poll");
    Result<std::optional<Stop>> stop = (*interceptor)->next();
    if (!stop) return tl::make_unexpected(stop.error());
    if (!*stop) return fail(ENOENT, "no call");
    caller.end();
    return (*interceptor)->apply(std::move(**stop), std::move(effect));
  }
};

// It is its end, which is heard of next, and no fault of the supervisor's.
TEST_F(Notify, AnAnswerToATaskThatIsGoneIsNotDelivered) {
  for (int i = 0; i < 4; ++i) {
    Effect effect = Continue{};
    if (i == 1) effect = Return{1};
    if (i == 2) effect = InstallFd{UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)), true};
    if (i == 3) effect = Restart{};
    const Result<Outcome> outcome = answer_late(std::move(effect));
    if (!outcome && outcome.error().kind == Error::Kind::kInvalid)
      GTEST_SKIP() << outcome.error().message();
    ASSERT_TRUE(outcome) << i << ": " << outcome.error().message();
    EXPECT_FALSE(outcome->delivered) << i;
  }
}

}  // namespace
}  // namespace vitrine::intercept
