#include "tracee/event_queue.h"

#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <vector>

namespace vitrine::tracee {
namespace {

// Children that make one call after the other, seized and stopped at each.
class BusyChildren : public ::testing::Test {
 protected:
  void start(int count) {
    for (int i = 0; i < count; ++i) {
      const pid_t pid = fork();
      if (pid == 0) {
        for (;;) syscall(SYS_getppid);
      }
      children_.push_back(pid);
      ASSERT_TRUE(seize(pid));
      ASSERT_TRUE(interrupt(pid));
      ASSERT_TRUE(resume_to_syscall(pid, 0));
    }
  }

  void TearDown() override {
    for (const pid_t pid : children_) kill(pid, SIGKILL);
    while (waitpid(-1, nullptr, __WALL) > 0) {
    }
  }

  // How many of `events` each child had, resumed as soon as it was heard of.
  template <typename Next>
  std::vector<int> shares(int events, Next next) {
    std::map<pid_t, int> heard;
    for (int taken = 0; taken < events;) {
      const Result<std::optional<TaskEvent>> event = next();
      if (!event) ADD_FAILURE() << event.error().message();
      if (!event) break;
      if (!*event) continue;
      ++taken;
      ++heard[(*event)->tid];
      EXPECT_TRUE(resume_to_syscall((*event)->tid, 0));
    }
    std::vector<int> shares;
    for (const pid_t pid : children_) shares.push_back(heard[pid]);
    return shares;
  }

  std::vector<pid_t> children_;
};

// By wait4(2) alone the last of five had 367 of 20,000 here, and the first 11,063.
TEST_F(BusyChildren, AreHeardOfInTurn) {
  constexpr int kChildren = 5;
  constexpr int kEvents = 20000;
  start(kChildren);
  EventQueue queue;
  const std::vector<int> fair = shares(kEvents, [&] { return queue.next(kChildren); });
  EXPECT_GT(*std::ranges::min_element(fair), kEvents / kChildren / 4);
}

TEST_F(BusyChildren, AnEndComesAtOnceAndTakesTheStopWithIt) {
  start(3);
  EventQueue queue;
  usleep(10'000);
  ASSERT_TRUE(*queue.next(3));  // the other two are in the queue
  for (const pid_t pid : children_) kill(pid, SIGKILL);
  std::map<pid_t, bool> ended;
  while (ended.size() < 3) {
    const Result<std::optional<TaskEvent>> event = queue.next(3);
    ASSERT_TRUE(event);
    if (!*event) continue;
    EXPECT_FALSE(ended.contains((*event)->tid));
    if ((*event)->kind == TaskEvent::Kind::kKilled) ended[(*event)->tid] = true;
  }
  EXPECT_FALSE(queue.next(3));  // ECHILD
}

}  // namespace
}  // namespace vitrine::tracee
