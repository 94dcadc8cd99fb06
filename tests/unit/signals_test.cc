#include "supervisor/signals.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "failing_call.h"
#include "vfs/memory_file.h"

namespace vitrine::supervisor {
namespace {

TEST(Signals, WhatIsAnErrorOfACallDoesNotEndTheSupervisor) {
  test::in_child([] {
    ASSERT_TRUE(take_signals());
    for (const int signal : {SIGPIPE, SIGTTOU, SIGIO}) EXPECT_EQ(::raise(signal), 0);
  });
}

TEST(Signals, ALeaseThatCannotBeGivenBackDoesNotEndTheSupervisor) {
  test::in_child([] {
    ASSERT_TRUE(take_signals());
    const auto file = vfs::create_memory_file();
    ASSERT_TRUE(file);
    bool fails = true;
    test::answer_calls({SYS_fcntl}, [&](const test::Call& call) {
      const bool gives_back = call.arguments[1] == F_SETLEASE && call.arguments[2] == F_UNLCK;
      return fails && gives_back ? -EIO : call.perform();
    });
    EXPECT_TRUE(vfs::is_sole_description(file->get()));
    EXPECT_FALSE(vfs::reopen(file->get(), O_RDONLY)) << "whoever opens it breaks the lease";
    fails = false;
    EXPECT_EQ(::fcntl(file->get(), F_SETLEASE, F_UNLCK), 0);
    EXPECT_TRUE(vfs::reopen(file->get(), O_RDONLY));
  });
}

// Nothing would be heard of the run.
TEST(Signals, ThatCannotBeTakenAreAnError) {
  for (const long call : {SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_signalfd4}) {
    test::in_child([call] {
      test::answer_calls({call}, [](const test::Call&) { return -EPERM; });
      const auto taken = take_signals();
      ASSERT_FALSE(taken) << call;
      EXPECT_EQ(taken.error().code, EPERM);
    });
  }
}

}  // namespace
}  // namespace vitrine::supervisor
