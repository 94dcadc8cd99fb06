#include "tracee/task_table.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vitrine::tracee {
namespace {

// Numbers that no process has.
constexpr pid_t kFirst = 0x3000000;
constexpr pid_t kOther = 0x3000001;

TEST(TaskTable, ATaskThatIsThereIsNotAddedAgain) {
  TaskTable tasks;
  Task& task = tasks.add_first(kFirst);
  task.clone_pending = true;
  EXPECT_EQ(&tasks.add_first(kFirst), &task);
  const Result<Task*> again = tasks.add_new(kFirst);
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, &task);
  EXPECT_TRUE(task.clone_pending);
  EXPECT_EQ(tasks.thread_count(), 1U);
  EXPECT_EQ(tasks.threads_of(kFirst), 1U);
}

TEST(TaskTable, WhatIsNotThereChangesNothing) {
  TaskTable tasks;
  tasks.add_first(kFirst);
  tasks.remove(kOther);
  EXPECT_EQ(tasks.threads_of(kOther), 0U);
  EXPECT_EQ(tasks.image_of(kOther), 0U);
  EXPECT_FALSE(tasks.add_new(kOther));
  EXPECT_EQ(tasks.thread_count(), 1U);
  EXPECT_EQ(tasks.process_count(), 1U);
}

// A leader that ended before its thread executed: the thread has its number from then on.
TEST(TaskTable, AnExecutionBringsALeaderBack) {
  TaskTable tasks;
  tasks.add_first(kFirst);
  tasks.remove(kFirst);
  tasks.collapse_to_leader(kFirst, kOther);
  const Task* leader = tasks.find(kFirst);
  ASSERT_NE(leader, nullptr);
  EXPECT_EQ(leader->tgid, kFirst);
  EXPECT_EQ(tasks.thread_count(), 1U);
}

TEST(TaskTable, RemembersTheLastFewThousandThatEnded) {
  constexpr pid_t kMany = 8193;
  TaskTable tasks;
  for (pid_t pid = kFirst; pid < kFirst + kMany; ++pid) {
    tasks.add_first(pid);
    tasks.remove(pid);
  }
  EXPECT_TRUE(tasks.was_process(kFirst + kMany - 1));
  EXPECT_FALSE(tasks.was_process(kFirst));
}

}  // namespace
}  // namespace vitrine::tracee
