#include "supervisor/placement.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vitrine::supervisor {
namespace {

using std::chrono::milliseconds;

int cpus_of(pid_t tid) {
  cpu_set_t set;
  CPU_ZERO(&set);
  return ::sched_getaffinity(tid, sizeof set, &set) == 0 ? CPU_COUNT(&set) : -1;
}

// A process that does nothing.
class Other {
 public:
  Other() : pid_(::fork()) {
    if (pid_ == 0) {
      while (true) ::pause();
    }
  }
  ~Other() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Other(const Other&) = delete;
  Other& operator=(const Other&) = delete;
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

class PlacementTest : public testing::Test {
 protected:
  void SetUp() override {
    all_ = cpus_of(0);
    if (all_ < 2) GTEST_SKIP() << "with one CPU there is nothing to choose";
  }
  void TearDown() override { EXPECT_EQ(cpus_of(0), all_); }

  // A burst of calls, a microsecond apart.
  void calls(Placement& placement, pid_t tid, int count) {
    for (int i = 0; i < count; ++i) placement.note_call(tid, now_ += std::chrono::microseconds(1));
  }

  int all_ = 0;
  Nanoseconds now_{};
};

TEST_F(PlacementTest, BindsTheFirstTaskUntilItComputes) {
  const Other program;
  Placement placement(0);
  placement.begin(program.pid());
  EXPECT_EQ(placement.bound(), program.pid());
  EXPECT_EQ(cpus_of(program.pid()), 1);
  EXPECT_EQ(cpus_of(0), 1);
  placement.note_idle(milliseconds(10));
  EXPECT_EQ(placement.bound(), program.pid());
  placement.note_idle(milliseconds(30));
  EXPECT_EQ(placement.bound(), 0);
  EXPECT_EQ(cpus_of(program.pid()), all_);
  EXPECT_EQ(cpus_of(0), all_);
}

TEST_F(PlacementTest, ATaskThatAsksMuchIsBound) {
  const Other program, second;
  Placement placement(0);
  placement.begin(program.pid());
  now_ = milliseconds(30);
  calls(placement, second.pid(), 47);
  EXPECT_EQ(placement.bound(), program.pid());
  calls(placement, second.pid(), 1);
  EXPECT_EQ(placement.bound(), second.pid());
  EXPECT_EQ(cpus_of(second.pid()), 1);
  EXPECT_EQ(cpus_of(program.pid()), all_);
  placement.task_ended(second.pid());
  EXPECT_EQ(placement.bound(), 0);
}

TEST_F(PlacementTest, FewCallsBindNothing) {
  const Other program;
  Placement placement(0);
  for (int i = 0; i < 1000; ++i) placement.note_call(program.pid(), milliseconds(i));
  EXPECT_EQ(placement.bound(), 0);
}

TEST_F(PlacementTest, TwoThatAskAtOnceRunSideBySide) {
  const Other program, second;
  Placement placement(0);
  placement.begin(program.pid());
  for (int i = 0; i < 100; ++i) {
    calls(placement, program.pid(), 1);
    calls(placement, second.pid(), 1);
  }
  EXPECT_EQ(placement.bound(), 0);
  EXPECT_EQ(cpus_of(program.pid()), all_);
  EXPECT_EQ(cpus_of(second.pid()), all_);
}

// The CPU that this process is on may be none that the program chose.
TEST_F(PlacementTest, BindsATaskToACpuOfItsOwnChoice) {
  const Other program;
  Placement placement(0);
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  cpu_set_t first, last;
  CPU_ZERO(&first);
  CPU_ZERO(&last);
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &before)) continue;
    if (CPU_COUNT(&first) == 0) CPU_SET(cpu, &first);
    CPU_ZERO(&last);
    CPU_SET(cpu, &last);
  }
  ASSERT_EQ(::sched_setaffinity(program.pid(), sizeof last, &last), 0);
  placement.task_started(program.pid());
  ASSERT_EQ(::sched_setaffinity(0, sizeof first, &first), 0);
  placement.begin(program.pid());
  cpu_set_t seen;
  for (const pid_t pid : {0, program.pid()}) {
    ASSERT_EQ(::sched_getaffinity(pid, sizeof seen, &seen), 0);
    EXPECT_TRUE(CPU_EQUAL(&seen, &last)) << pid;
  }
  placement.task_ended(program.pid());
  EXPECT_EQ(::sched_setaffinity(0, sizeof before, &before), 0);
}

TEST_F(PlacementTest, ANewTaskHasAllCpusUnlessItsCreatorChoseFewer) {
  const Other program;
  Placement placement(0);
  placement.begin(program.pid());
  {
    const Other child;  // of this process, which is bound as well
    EXPECT_EQ(cpus_of(child.pid()), 1);
    placement.task_started(child.pid());
    EXPECT_EQ(cpus_of(child.pid()), all_);
    const cpu_set_t seen = placement.visible(child.pid());
    EXPECT_EQ(CPU_COUNT(&seen), all_);
    placement.task_ended(child.pid());
  }
  cpu_set_t first;
  CPU_ZERO(&first);
  CPU_SET(0, &first);
  ASSERT_TRUE(placement.choose(program.pid(), first));
  EXPECT_EQ(placement.bound(), 0);
  const Other child;
  ASSERT_EQ(::sched_setaffinity(child.pid(), sizeof first, &first), 0);  // as inherited from it
  placement.task_started(child.pid());
  EXPECT_EQ(cpus_of(child.pid()), 1);
  const cpu_set_t seen = placement.visible(child.pid());
  EXPECT_TRUE(CPU_EQUAL(&seen, &first));
}

// A thread that executes takes the leader's place, and its own choice with it.
TEST_F(PlacementTest, WhatAThreadChoseIsItsProgramsOnceItExecutes) {
  const Other leader, thread;
  Placement placement(0);
  cpu_set_t first;
  CPU_ZERO(&first);
  CPU_SET(0, &first);
  ASSERT_TRUE(placement.choose(thread.pid(), first));
  placement.task_executed(thread.pid(), leader.pid());
  cpu_set_t seen = placement.visible(leader.pid());
  EXPECT_TRUE(CPU_EQUAL(&seen, &first));
  seen = placement.visible(thread.pid());
  EXPECT_EQ(CPU_COUNT(&seen), all_);
  // What the leader chose went with it.
  ASSERT_TRUE(placement.choose(leader.pid(), first));
  placement.task_executed(thread.pid(), leader.pid());
  seen = placement.visible(leader.pid());
  EXPECT_EQ(CPU_COUNT(&seen), all_);
}

TEST_F(PlacementTest, ExecutionOfAThreadEndsTheBond) {
  const Other leader, thread;
  for (const pid_t bound : {leader.pid(), thread.pid()}) {
    Placement placement(0);
    placement.begin(bound);
    placement.task_executed(leader.pid(), leader.pid());  // a leader's own changes nothing
    EXPECT_EQ(placement.bound(), bound);
    placement.task_executed(thread.pid(), leader.pid());
    EXPECT_EQ(placement.bound(), 0);
    EXPECT_EQ(cpus_of(leader.pid()), all_);
    EXPECT_EQ(cpus_of(0), all_);
  }
}

TEST_F(PlacementTest, TaskOfOneThatChoseAndIsBoundHasItsChoice) {
  const Other program;
  Placement placement(0);
  cpu_set_t first;
  CPU_ZERO(&first);
  CPU_SET(0, &first);
  ASSERT_TRUE(placement.choose(program.pid(), first));
  placement.begin(program.pid());
  const Other child;
  ASSERT_EQ(::sched_setaffinity(child.pid(), sizeof first, &first), 0);  // as inherited from it
  placement.task_started(child.pid());
  const cpu_set_t seen = placement.visible(child.pid());
  EXPECT_TRUE(CPU_EQUAL(&seen, &first));
  placement.task_ended(program.pid());
}

// Nobody runs here, as if others had the CPU: the scheduler is to choose again.
TEST_F(PlacementTest, WhereOthersHaveTheCpuTheBondEnds) {
  const Other program;
  Placement placement(0);
  placement.begin(program.pid());
  calls(placement, program.pid(), 100);
  EXPECT_EQ(placement.bound(), program.pid());
  now_ = milliseconds(100);
  calls(placement, program.pid(), 1);
  EXPECT_EQ(placement.bound(), 0);
  calls(placement, program.pid(), 48);
  EXPECT_EQ(placement.bound(), program.pid());
  placement.task_ended(program.pid());
}

TEST_F(PlacementTest, FewerCpusAreShown) {
  const Other program;
  Placement placement(1);
  EXPECT_EQ(placement.visible_count(), 1U);
  placement.begin(program.pid());
  placement.note_idle(milliseconds(50));
  EXPECT_EQ(cpus_of(program.pid()), 1);
}

}  // namespace
}  // namespace vitrine::supervisor
