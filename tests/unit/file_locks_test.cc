#include "vfs/file_locks.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <thread>

#include "base/clock.h"

namespace vitrine::vfs {
namespace {

constexpr std::uint64_t kMost = 512;

FileLock record_lock(pid_t process, std::uint64_t at, std::uint64_t through = 0) {
  FileLock lock;
  lock.exclusive = true;
  lock.start = lock.end = at;
  lock.owner = {LockOwner::Kind::kProcess, process, 0};
  lock.through = through;
  return lock;
}

class FileLocksTest : public ::testing::Test {
 protected:
  // Every other byte, so that none can be told with its neighbour.
  void fill() {
    for (std::uint64_t i = 0; i < kMost; ++i)
      ASSERT_TRUE(locks_.set(file_, record_lock(1, 2 * i, i + 1)));
    ASSERT_EQ(locks_.size(), kMost);
    asked_ = 0;
  }

  const FileLocks::File file_{1, 2, 3};
  std::set<std::uint64_t> gone_;  // descriptions that were closed
  bool all_gone_ = false;
  std::size_t asked_ = 0;
  Nanoseconds look_{};
  FileLocks locks_{[this](const FileLock& lock) {
    ++asked_;
    std::this_thread::sleep_for(look_);
    return !all_gone_ && !gone_.contains(lock.through);
  }};
};

TEST_F(FileLocksTest, OneMoreThanTheMostIsRefused) {
  fill();
  const Status refused = locks_.set(file_, record_lock(1, 5000));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ENOLCK);
  EXPECT_EQ(locks_.size(), kMost);
}

TEST_F(FileLocksTest, FewOwnersAreLookedForInOneCall) {
  fill();
  EXPECT_FALSE(locks_.set(file_, record_lock(1, 5000)));
  EXPECT_LE(asked_, 16U);
}

TEST_F(FileLocksTest, LooksThatTakeLongAreFewer) {
  fill();
  look_ = std::chrono::milliseconds(6);
  EXPECT_FALSE(locks_.set(file_, record_lock(1, 5000)));
  EXPECT_EQ(asked_, 1U);
}

TEST_F(FileLocksTest, WhoIsGoneIsFoundByAndBy) {
  fill();
  look_ = std::chrono::milliseconds(6);
  gone_ = {7};
  int calls = 1;
  while (!locks_.set(file_, record_lock(1, 5000))) ASSERT_LT(++calls, 20);
  EXPECT_EQ(locks_.size(), kMost);
}

TEST_F(FileLocksTest, ManyThatAreGoneAreNotAllLookedForByOneWhomTheyAreInTheWay) {
  FileLock whole = record_lock(1, 0);
  whole.exclusive = false;
  for (pid_t process = 1; process <= 100; ++process) {
    whole.owner.process = process;
    ASSERT_TRUE(locks_.set(file_, whole));
  }
  all_gone_ = true;
  asked_ = 0;
  EXPECT_TRUE(locks_.conflict(file_, record_lock(101, 0)));
  EXPECT_LE(asked_, 16U);
  look_ = std::chrono::milliseconds(6);
  asked_ = 0;
  EXPECT_TRUE(locks_.conflict(file_, record_lock(101, 0)));
  EXPECT_EQ(asked_, 1U);
  look_ = {};
  int calls = 1;
  while (locks_.conflict(file_, record_lock(101, 0))) ASSERT_LT(++calls, 100);
  EXPECT_EQ(locks_.size(), 0U);
}

TEST_F(FileLocksTest, AChainOfThoseWhoWaitIsLookedAtAsOneCall) {
  constexpr pid_t kOwners = 9;
  for (pid_t owner = 1; owner <= kOwners; ++owner)
    ASSERT_TRUE(locks_.set(file_, record_lock(owner, static_cast<std::uint64_t>(owner) * 2)));
  for (pid_t owner = 1; owner < kOwners; ++owner) {
    const auto next = static_cast<std::uint64_t>(owner + 1) * 2;
    ASSERT_FALSE(locks_.set_or_wait(file_, record_lock(owner, next), owner));
  }
  asked_ = 0;
  look_ = std::chrono::milliseconds(6);
  const Status cycle = locks_.set_or_wait(file_, record_lock(kOwners, 2), kOwners);
  ASSERT_FALSE(cycle);
  EXPECT_EQ(cycle.error().code, EDEADLK);
  EXPECT_EQ(asked_, 1U);
}

TEST_F(FileLocksTest, NeighboursOfOneHolderAreOneLock) {
  for (const std::uint64_t at : {4U, 6U, 5U}) ASSERT_TRUE(locks_.set(file_, record_lock(1, at)));
  EXPECT_EQ(locks_.size(), 1U);
  locks_.release(file_, record_lock(1, 5));
  EXPECT_EQ(locks_.size(), 2U);
}

}  // namespace
}  // namespace vitrine::vfs
