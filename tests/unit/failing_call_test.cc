#include "failing_call.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace vitrine::test {
namespace {

TEST(FailingCall, IsAnsweredInTheKernelsPlace) {
  in_child([] {
    answer_calls({SYS_getppid, SYS_dup}, [](const Call& call) -> long {
      if (call.number == SYS_dup && call.arguments[0] == 0) return -EMFILE;
      return call.number == SYS_dup ? call.perform() : 42;
    });
    EXPECT_EQ(::getppid(), 42);
    EXPECT_EQ(::dup(0), -1);
    EXPECT_EQ(errno, EMFILE);
    EXPECT_GT(::dup(1), 2);
    EXPECT_NE(::getpid(), 42);
  });
  EXPECT_NE(::getppid(), 42);
}

TEST(FailingCall, FailsOnceEach) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  each_in_turn({SYS_dup}, EIO, [&](const auto& arm) {
    arm();
    const bool first = ::dup(1) == -1 && errno == EIO;
    const bool second = ::dup(0) == -1 && errno == EIO;
    const std::string found = std::to_string(first) + std::to_string(second) + " ";
    EXPECT_EQ(::write(ends[1], found.data(), found.size()), 3);
  });
  char text[32]{};
  EXPECT_EQ(::read(ends[0], text, sizeof text - 1), 9);
  EXPECT_STREQ(text, "10 01 00 ");
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(FailingCall, WhatAChildExpectsInVainFailsTheTest) {
  EXPECT_EQ(status_of([] {}), 0);
  EXPECT_NE(status_of([] {
              ::dup2(::open("/dev/null", O_WRONLY | O_CLOEXEC), 1);  // what gtest prints of it
              EXPECT_TRUE(false);
            }),
            0);
}

}  // namespace
}  // namespace vitrine::test
