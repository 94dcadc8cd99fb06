#include "tracee/event_queue.h"

#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <deque>
#include <map>
#include <string>
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
  int least = 0;
  // A child that gets no CPU beside what else runs here has nothing to be heard of.
  for (int i = 0; i < 5 && least <= kEvents / kChildren / 4; ++i) {
    const std::vector<int> fair = shares(kEvents, [&] { return queue.next(kChildren); });
    least = *std::ranges::min_element(fair);
  }
  EXPECT_GT(least, kEvents / kChildren / 4);
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

// What is heard of `events`, behind which no child is left.
std::string heard(std::size_t tasks, std::deque<TaskEvent> events) {
  EventQueue queue([&]() -> Result<std::optional<TaskEvent>> {
    if (events.empty()) return fail(ECHILD, "wait4");
    const TaskEvent event = events.front();
    events.pop_front();
    return event;
  });
  std::string text;
  for (;;) {
    const Result<std::optional<TaskEvent>> event = queue.next(tasks);
    if (!event) return text + (event.error().code == ECHILD ? "none" : event.error().message());
    if (!*event) return text + "nothing now";
    const bool ended = (*event)->kind == TaskEvent::Kind::kKilled;
    text += std::to_string((*event)->tid) + (ended ? " ends, " : " stops, ");
  }
}

// Killed in a stop that had been taken already: its number may be another's by the next turn.
TEST(EventQueue, StopsOfAnEndedTaskAreNotHeardOf) {
  constexpr auto kStop = TaskEvent::Kind::kSyscallStop;
  constexpr auto kEnd = TaskEvent::Kind::kKilled;
  EXPECT_EQ(heard(4, {{kStop, 7, 0, {}}, {kStop, 8, 0, {}}, {kEnd, 7, SIGKILL, {}}}),
            "7 ends, 8 stops, none");
  EXPECT_EQ(heard(4, {{kStop, 7, 0, {}}, {kStop, 8, 0, {}}, {kEnd, 9, SIGKILL, {}}}),
            "9 ends, 7 stops, 8 stops, none");
}

// The error is told once what came before it has been.
TEST(EventQueue, NoStopIsLostToAnError) {
  constexpr auto kStop = TaskEvent::Kind::kSyscallStop;
  EXPECT_EQ(heard(4, {{kStop, 7, 0, {}}, {kStop, 8, 0, {}}}), "7 stops, 8 stops, none");
}

}  // namespace
}  // namespace vitrine::tracee
