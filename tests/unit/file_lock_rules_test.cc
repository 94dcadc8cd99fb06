#include <gtest/gtest.h>

#include <cerrno>
#include <set>

#include "vfs/file_locks.h"

namespace vitrine::vfs {
namespace {

constexpr FileLocks::File kFile{1, 2, 3};
constexpr FileLocks::File kOther{1, 2, 4};

FileLock record(pid_t process, std::uint64_t start, std::uint64_t end, bool exclusive = true) {
  FileLock lock;
  lock.exclusive = exclusive;
  lock.start = start;
  lock.end = end;
  lock.owner = {LockOwner::Kind::kProcess, process, 0};
  lock.seen_inode = 7;
  return lock;
}

FileLock whole(std::uint64_t description, bool exclusive) {
  FileLock lock;
  lock.whole = true;
  lock.exclusive = exclusive;
  lock.owner = {LockOwner::Kind::kDescription, 0, description};
  return lock;
}

class FileLockRules : public ::testing::Test {
 protected:
  int set(const FileLock& lock, const FileLocks::File& file = kFile) {
    const Status done = locks_.set(file, lock);
    return done ? 0 : done.error().code;
  }
  int wait(const FileLock& lock, const FileLocks::File& file = kFile) {
    const Status done = locks_.set_or_wait(file, lock, lock.owner.process);
    return done ? 0 : done.error().code;
  }
  bool is_free(std::uint64_t byte, pid_t asks = 99) {
    return !locks_.conflict(kFile, record(asks, byte, byte));
  }

  std::set<pid_t> gone_;
  FileLocks locks_{[this](const FileLock& lock) { return !gone_.contains(lock.owner.process); }};
};

TEST_F(FileLockRules, WritersExcludeEachOtherWhereTheyOverlap) {
  EXPECT_EQ(set(record(1, 10, 19)), 0);
  EXPECT_EQ(set(record(2, 19, 30)), EAGAIN);
  EXPECT_EQ(set(record(2, 0, 10)), EAGAIN);
  EXPECT_EQ(set(record(2, 20, 30)), 0);
  EXPECT_EQ(set(record(2, 0, 9)), 0);
  EXPECT_EQ(set(record(2, 10, 19), kOther), 0);
}

TEST_F(FileLockRules, ReadersShareAndKeepWritersOut) {
  EXPECT_EQ(set(record(1, 0, 9, false)), 0);
  EXPECT_EQ(set(record(2, 5, 14, false)), 0);
  EXPECT_EQ(set(record(3, 5, 5)), EAGAIN);
  EXPECT_EQ(set(record(1, 0, 4)), 0);  // its own becomes a writer's where nobody else reads
  EXPECT_EQ(set(record(1, 0, 5)), EAGAIN);
}

TEST_F(FileLockRules, ReleaseInTheMiddleLeavesBothEnds) {
  EXPECT_EQ(set(record(1, 0, 99)), 0);
  locks_.release(kFile, record(1, 40, 59));
  EXPECT_EQ(locks_.size(), 2U);
  EXPECT_FALSE(is_free(39));
  EXPECT_TRUE(is_free(40));
  EXPECT_TRUE(is_free(59));
  EXPECT_FALSE(is_free(60));
  locks_.release(kFile, record(1, 0, UINT64_MAX));
  EXPECT_EQ(locks_.size(), 0U);
}

TEST_F(FileLockRules, NeighboursOfOneOwnerBecomeOne) {
  EXPECT_EQ(set(record(1, 0, 9)), 0);
  EXPECT_EQ(set(record(1, 20, 29)), 0);
  EXPECT_EQ(set(record(1, 10, 19)), 0);
  EXPECT_EQ(locks_.size(), 1U);
  EXPECT_EQ(set(record(1, 30, 39, false)), 0);  // not of the same kind
  EXPECT_EQ(locks_.size(), 2U);
  EXPECT_EQ(set(record(1, 5, UINT64_MAX)), 0);
  EXPECT_EQ(locks_.size(), 1U);
}

TEST_F(FileLockRules, WholeFilesAndRecordsDoNotMeet) {
  EXPECT_EQ(set(whole(1, true)), 0);
  EXPECT_EQ(set(record(2, 0, UINT64_MAX)), 0);
  EXPECT_EQ(set(whole(2, false)), EAGAIN);
  EXPECT_EQ(set(whole(1, false)), 0);
  EXPECT_EQ(set(whole(2, false)), 0);
}

TEST_F(FileLockRules, OwnerThatIsGoneIsForgottenWhenItIsInTheWay) {
  EXPECT_EQ(set(record(1, 0, 9)), 0);
  EXPECT_EQ(set(record(1, 20, 29)), 0);
  EXPECT_EQ(set(record(2, 0, 9)), EAGAIN);
  gone_.insert(1);
  EXPECT_EQ(set(record(2, 0, 9)), 0);
  EXPECT_TRUE(is_free(20));
  EXPECT_EQ(locks_.size(), 1U);
}

TEST_F(FileLockRules, CycleOfTwoWaitingIsADeadlock) {
  EXPECT_EQ(wait(record(1, 0, 0)), 0);
  EXPECT_EQ(wait(record(2, 1, 1)), 0);
  EXPECT_EQ(wait(record(1, 1, 1)), EAGAIN);
  EXPECT_EQ(wait(record(2, 0, 0)), EDEADLK);
}

TEST_F(FileLockRules, CycleOverSeveralFilesIsADeadlock) {
  EXPECT_EQ(wait(record(1, 0, 0)), 0);
  EXPECT_EQ(wait(record(2, 0, 0), kOther), 0);
  EXPECT_EQ(wait(record(3, 9, 9)), 0);
  EXPECT_EQ(wait(record(1, 0, 0), kOther), EAGAIN);
  EXPECT_EQ(wait(record(2, 9, 9)), EAGAIN);
  EXPECT_EQ(wait(record(3, 0, 0)), EDEADLK);
}

TEST_F(FileLockRules, WaitThatIsOverIsNoPartOfACycle) {
  EXPECT_EQ(wait(record(1, 0, 0)), 0);
  EXPECT_EQ(wait(record(2, 1, 1)), 0);
  EXPECT_EQ(wait(record(1, 1, 1)), EAGAIN);
  locks_.forget_wait(1);
  EXPECT_EQ(wait(record(2, 0, 0)), EAGAIN);
}

TEST_F(FileLockRules, WhoGotItsLockWaitsNoLonger) {
  EXPECT_EQ(wait(record(1, 0, 0)), 0);
  EXPECT_EQ(wait(record(2, 1, 1)), 0);
  EXPECT_EQ(wait(record(1, 1, 1)), EAGAIN);
  locks_.release(kFile, record(2, 1, 1));
  EXPECT_EQ(wait(record(1, 1, 1)), 0);
  locks_.release(kFile, record(1, 1, 1));
  EXPECT_EQ(wait(record(2, 1, 1)), 0);
  EXPECT_EQ(wait(record(2, 0, 0)), EAGAIN);
}

// A cycle is not seen while it goes through the second of two who share a lock. Who waits for one
// in it, and is not in it, has to come to an end all the same.
TEST_F(FileLockRules, ChainThatGoesRoundIsNotFollowedForEver) {
  EXPECT_EQ(set(record(1, 0, 0, false)), 0);
  EXPECT_EQ(set(record(2, 0, 0, false)), 0);
  EXPECT_EQ(set(record(2, 5, 5)), 0);
  EXPECT_EQ(set(record(3, 9, 9)), 0);
  EXPECT_EQ(wait(record(3, 0, 0)), EAGAIN);
  EXPECT_EQ(wait(record(2, 9, 9)), EAGAIN);
  locks_.release(kFile, record(1, 0, 0));
  EXPECT_EQ(wait(record(4, 5, 5)), EAGAIN);
}

TEST_F(FileLockRules, WhoCanHaveItsLockByNowIsNotWaitedForInACycle) {
  EXPECT_EQ(wait(record(1, 0, 0)), 0);
  EXPECT_EQ(wait(record(2, 1, 1)), 0);
  EXPECT_EQ(wait(record(1, 1, 1)), EAGAIN);
  locks_.release(kFile, record(2, 1, 1));
  EXPECT_EQ(wait(record(2, 0, 0)), EAGAIN);
}

}  // namespace
}  // namespace vitrine::vfs
