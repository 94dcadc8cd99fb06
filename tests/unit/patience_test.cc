#include "intercept/patience.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/clock.h"
#include "failing_call.h"

namespace vitrine::intercept {
namespace {

// A child that does `work` until it is destroyed.
class Child {
 public:
  explicit Child(void (*work)()) : pid_(::fork()) {
    EXPECT_TRUE(Patience::prepare());
    if (pid_ == 0) {
      ::alarm(60);  // should the test be killed
      for (;;) work();
    }
  }
  ~Child() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }

  // Waits for its end, which does not come, until `patience` or `most` is over.
  bool outlasts(Patience& patience, Nanoseconds most) const {
    const Nanoseconds start = monotonic_now();
    while (monotonic_now() - start < most) {
      siginfo_t info{};
      EXPECT_NE(::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT), 0);
      EXPECT_EQ(errno, EINTR);
      if (patience.is_over()) return true;
    }
    return false;
  }

 private:
  pid_t pid_;
};

// Without a timer a wait would have no end. First of all: what was prepared stays so.
TEST(Patience, IsNotToBeHadWithoutATimer) {
  for (const long failing : {SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_timer_create}) {
    test::in_child([failing] {
      test::answer_calls({failing}, [](const test::Call&) { return -EAGAIN; });
      EXPECT_FALSE(Patience::prepare());
    });
  }
}

TEST(Patience, IsOverWithATaskThatRunsAndDoesNotArrive) {
  const Child child([] {});
  Patience patience(child.pid());
  const Nanoseconds start = monotonic_now();
  EXPECT_TRUE(child.outlasts(patience, std::chrono::seconds(20)));
  EXPECT_GT(monotonic_now() - start, std::chrono::seconds(2));
}

TEST(Patience, IsNotOverWithATaskThatGetsNoTimeToRun) {
  const Child child([] { ::pause(); });
  Patience patience(child.pid());
  EXPECT_FALSE(child.outlasts(patience, std::chrono::milliseconds(2500)));
}

TEST(Patience, IsOverWhenTheRunHasEnded) {
  const Child child([] { ::pause(); });
  int asked = 0;
  Patience::watch([&asked] { return ++asked == 3; });
  Patience patience(child.pid());
  EXPECT_TRUE(child.outlasts(patience, std::chrono::seconds(20)));
  EXPECT_EQ(asked, 3);
  Patience::watch(nullptr);
}

// Nothing is known of what it does: only the time counts.
TEST(Patience, IsOverWithATaskThatCannotBeLookedAt) {
  constexpr pid_t kNobody = 0x3ffffff;
  Patience patience(kNobody);
  EXPECT_FALSE(patience.is_over());
  const Nanoseconds start = monotonic_now();
  while (monotonic_now() - start < std::chrono::milliseconds(2100)) ::usleep(10'000);
  EXPECT_TRUE(patience.is_over());
}

}  // namespace
}  // namespace vitrine::intercept
