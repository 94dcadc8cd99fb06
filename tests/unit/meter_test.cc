#include "supervisor/meter.h"

#include <sys/mman.h>

#include <cstring>

#include "failing_call.h"
#include "vfs_fixture.h"

namespace vitrine::supervisor {
namespace {

// What cannot be read for once is as much as it was: nothing is free for want of a descriptor.
TEST(Meter, WhatCannotBeReadIsWhatItWas) {
  test::in_child([] {
    auto files = vfs::FileSystem::build({}, {});
    ASSERT_TRUE(files);
    tracee::TaskTable tasks;
    tasks.add_first(::getpid());
    Meter meter(tasks, **files);
    constexpr std::size_t kSize = 32U << 20;
    void* const held =
        ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(held, MAP_FAILED);
    std::memset(held, 1, kSize);
    int error = 0;
    test::answer_calls(
        {SYS_openat}, [&](const test::Call& call) { return error != 0 ? -error : call.perform(); });
    const limits::Measured before = meter.measure();
    EXPECT_GE(before.memory, kSize);
    EXPECT_GT(before.cpu.count(), 0);
    for (const int each : {EMFILE, EIO, EACCES}) {
      error = each;
      EXPECT_EQ(meter.measure().memory, before.memory) << each;
      EXPECT_GE(meter.measure().cpu, before.cpu) << each;
      EXPECT_GE(meter.held_elsewhere(1), kSize);
    }
    error = ENOENT;  // it has gone
    EXPECT_EQ(meter.measure().memory, 0U);
    error = 0;
    EXPECT_GE(meter.measure().memory, kSize);
  });
}

}  // namespace
}  // namespace vitrine::supervisor
