#include "supervisor/deadline.h"

#include <gtest/gtest.h>
#include <poll.h>

#include "failing_call.h"

namespace vitrine::supervisor {
namespace {

using std::chrono::milliseconds;

bool is_due(const Deadline& deadline, int wait) {
  pollfd timer{deadline.fd(), POLLIN, 0};
  return poll(&timer, 1, wait) == 1;
}

TEST(Deadline, IsReadableFromItsTimeOn) {
  Deadline deadline;
  EXPECT_FALSE(is_due(deadline, 0));
  const Nanoseconds time = monotonic_now() + milliseconds(20);
  deadline.set(time);
  EXPECT_FALSE(is_due(deadline, 0));
  EXPECT_TRUE(is_due(deadline, 5000));
  EXPECT_GE(monotonic_now(), time);
  deadline.set(time);
  EXPECT_TRUE(is_due(deadline, 0));
}

TEST(Deadline, ALaterOneTakesItsPlace) {
  Deadline deadline;
  deadline.set(monotonic_now());
  EXPECT_TRUE(is_due(deadline, 5000));
  deadline.set(monotonic_now() + std::chrono::hours(1));
  EXPECT_FALSE(is_due(deadline, 0));
}

TEST(Deadline, OneThatHasPassedIsDueAtOnce) {
  Deadline deadline;
  deadline.set(Nanoseconds(-5));
  EXPECT_TRUE(is_due(deadline, 0));
}

// Who waits is told by the descriptor that there is none: it has to look at the time itself.
TEST(Deadline, OneThatCannotBeSetIsNone) {
  test::in_child([] {
    Deadline deadline;
    test::answer_calls({SYS_timerfd_settime}, [](const test::Call&) { return -EINVAL; });
    EXPECT_GE(deadline.fd(), 0);
    deadline.set(monotonic_now());
    EXPECT_LT(deadline.fd(), 0);
  });
  test::in_child([] {
    test::answer_calls({SYS_timerfd_create}, [](const test::Call&) { return -EMFILE; });
    EXPECT_LT(Deadline().fd(), 0);
  });
}

}  // namespace
}  // namespace vitrine::supervisor
