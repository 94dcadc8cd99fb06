// Locks asked for through descriptors: what the kernel answers for a file of its own is what is
// expected for one in scratch.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/resource.h>

#include <climits>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "vfs_fixture.h"

namespace vitrine::vfs {
namespace {

struct flock lock_of(int type, int whence, off_t start, off_t length) {
  struct flock lock {};
  lock.l_type = static_cast<short>(type);
  lock.l_whence = static_cast<short>(whence);
  lock.l_start = start;
  lock.l_len = length;
  return lock;
}

class TreeLocks : public VfsTest {
 protected:
  void SetUp() override {
    VfsTest::SetUp();
    put("real", "0123456789");
    build(ScratchRule{"/s", 1U << 20});
    write("/s/file", "0123456789");
  }
  UniqueFd real(int flags = O_RDWR) const {
    return UniqueFd(::open(host("real").c_str(), flags | O_CLOEXEC));
  }
  UniqueFd scratch(int flags = O_RDWR) {
    auto opened = open("/s/file", flags);
    EXPECT_TRUE(opened);
    return std::move(opened->fd);
  }
  int ask(int fd, int command, struct flock& lock) {
    return code(fs_->lock_record(caller_, guest(fd), command, lock));
  }
  int set(int fd, int command, struct flock lock) { return ask(fd, command, lock); }
  int whole(int fd, int operation) { return code(fs_->lock_whole(caller_, guest(fd), operation)); }
};

int ask_kernel(int fd, int command, struct flock& lock) {
  return ::fcntl(fd, command, &lock) == 0 ? 0 : errno;
}

TEST_F(TreeLocks, RangesAreTheKernels) {
  const auto own = scratch();
  const auto other = real();
  ASSERT_EQ(::lseek(own.get(), 4, SEEK_SET), 4);
  ASSERT_EQ(::lseek(other.get(), 4, SEEK_SET), 4);
  constexpr off_t kNumbers[] = {0,        1, 3, 4, 10, -1, -4, -5, -11, INT64_MAX, INT64_MAX - 1,
                                INT64_MIN};
  int refused = 0;
  for (const int whence : {SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, 99})
    for (const off_t start : kNumbers)
      for (const off_t length : kNumbers) {
        auto ours = lock_of(F_RDLCK, whence, start, length);
        auto kernels = ours;
        const int expected = ask_kernel(other.get(), F_SETLK, kernels);
        EXPECT_EQ(ask(own.get(), F_SETLK, ours), expected)
            << whence << " " << start << " " << length;
        refused += expected != 0 ? 1 : 0;
      }
  EXPECT_GT(refused, 100);
}

// fcntl(2): only for F_OFD_GETLK, and of late, is that a question.
TEST_F(TreeLocks, WhoAsksForWhatIsInTheWayOfNothingIsRefused) {
  const auto own = scratch();
  const auto kernels = real();
  for (const int type : {F_UNLCK, F_RDLCK, F_WRLCK}) {
    auto ours = lock_of(type, SEEK_SET, 0, 0);
    auto theirs = ours;
    EXPECT_EQ(ask(own.get(), F_GETLK, ours), ask_kernel(kernels.get(), F_GETLK, theirs)) << type;
  }
  auto nothing = lock_of(F_UNLCK, SEEK_SET, 0, 0);
  EXPECT_EQ(ask(own.get(), F_OFD_GETLK, nothing), EINVAL);
}

TEST_F(TreeLocks, WhatIsInTheWayIsToldAsTheKernelTells) {
  const auto own = scratch();
  const auto own_other = scratch();
  const auto kernels = real();
  const auto kernels_other = real();
  for (const off_t length : {3, 0})
    for (const int type : {F_RDLCK, F_WRLCK}) {
      auto held = lock_of(type, SEEK_SET, 2, length);
      ASSERT_EQ(set(own.get(), F_OFD_SETLK, held), 0);
      ASSERT_EQ(ask_kernel(kernels.get(), F_OFD_SETLK, held), 0);
      for (const int wanted : {F_RDLCK, F_WRLCK})
        for (const int command : {F_GETLK, F_OFD_GETLK}) {
          auto ours = lock_of(wanted, SEEK_END, -7, 100);
          auto theirs = ours;
          EXPECT_EQ(ask(own_other.get(), command, ours), 0);
          EXPECT_EQ(ask_kernel(kernels_other.get(), command, theirs), 0);
          EXPECT_EQ(ours.l_type, theirs.l_type) << type << wanted;
          if (theirs.l_type == F_UNLCK) continue;
          EXPECT_EQ(ours.l_start, theirs.l_start);
          EXPECT_EQ(ours.l_len, theirs.l_len);
          EXPECT_EQ(ours.l_pid, theirs.l_pid);
          EXPECT_EQ(ours.l_whence, theirs.l_whence);
        }
      held.l_type = F_UNLCK;
      ASSERT_EQ(set(own.get(), F_OFD_SETLK, held), 0);
      ASSERT_EQ(ask_kernel(kernels.get(), F_OFD_SETLK, held), 0);
    }
}

TEST_F(TreeLocks, LocksNeedTheAccessThatTheyStandFor) {
  const auto reading = scratch(O_RDONLY);
  const auto writing = scratch(O_WRONLY);
  const auto name = scratch(O_PATH);
  const auto shared = lock_of(F_RDLCK, SEEK_SET, 0, 0);
  const auto exclusive = lock_of(F_WRLCK, SEEK_SET, 0, 0);
  EXPECT_EQ(set(reading.get(), F_SETLK, exclusive), EBADF);
  EXPECT_EQ(set(writing.get(), F_SETLK, shared), EBADF);
  EXPECT_EQ(set(name.get(), F_SETLK, shared), EBADF);
  EXPECT_EQ(whole(name.get(), LOCK_SH), EBADF);
  EXPECT_EQ(set(-1, F_SETLK, shared), EBADF);
  EXPECT_EQ(set(reading.get(), F_SETLK, shared), 0);
  EXPECT_EQ(set(writing.get(), F_SETLK, exclusive), 0);  // the same process
  EXPECT_EQ(whole(reading.get(), LOCK_EX), 0);           // flock(2) does not ask for access
  auto with_process = shared;
  with_process.l_pid = 1;
  EXPECT_EQ(set(reading.get(), F_OFD_SETLK, with_process), EINVAL);
}

TEST_F(TreeLocks, DescriptionHoldsItsLocksUntilItsLastDescriptorIsClosed) {
  auto first = scratch();
  UniqueFd second(::dup(first.get()));
  const auto other = scratch();
  const auto exclusive = lock_of(F_WRLCK, SEEK_SET, 0, 5);
  ASSERT_EQ(whole(first.get(), LOCK_EX), 0);
  ASSERT_EQ(set(first.get(), F_OFD_SETLK, exclusive), 0);
  EXPECT_EQ(whole(second.get(), LOCK_EX), 0);
  EXPECT_EQ(set(second.get(), F_OFD_SETLK, exclusive), 0);
  EXPECT_EQ(whole(other.get(), LOCK_SH), EAGAIN);
  EXPECT_EQ(set(other.get(), F_OFD_SETLK, exclusive), EAGAIN);
  first.reset();
  EXPECT_EQ(whole(other.get(), LOCK_SH), EAGAIN);
  EXPECT_EQ(set(other.get(), F_OFD_SETLK, exclusive), EAGAIN);
  second.reset();
  EXPECT_EQ(whole(other.get(), LOCK_SH), 0);
  EXPECT_EQ(set(other.get(), F_OFD_SETLK, exclusive), 0);
}

TEST_F(TreeLocks, ProcessLosesItsLockWithTheDescriptionThatSetIt) {
  auto mine = scratch();
  const auto other = scratch();
  const auto exclusive = lock_of(F_WRLCK, SEEK_SET, 0, 0);
  ASSERT_EQ(set(mine.get(), F_SETLK, exclusive), 0);
  EXPECT_EQ(set(other.get(), F_OFD_SETLK, exclusive), EAGAIN);
  mine.reset();
  EXPECT_EQ(set(other.get(), F_OFD_SETLK, exclusive), 0);
}

TEST_F(TreeLocks, FoldersAndSyntheticFilesCanBeLockedToo) {
  build(ScratchRule{"/s", 1U << 20}, SyntheticRule{"proc"});
  for (const char* path : {"/s", "/proc/meminfo"}) {
    auto first = open(path);
    auto second = open(path);
    ASSERT_TRUE(first && second) << path;
    EXPECT_EQ(whole(first->fd.get(), LOCK_EX), 0) << path;
    EXPECT_EQ(whole(second->fd.get(), LOCK_EX), EAGAIN) << path;
    EXPECT_EQ(whole(first->fd.get(), LOCK_UN), 0) << path;
    EXPECT_EQ(whole(second->fd.get(), LOCK_EX), 0) << path;
  }
}

// The fdinfo of an epoll has a line for each watch: it is as long as the program likes.
TEST_F(TreeLocks, WhatHasNoNameIsLockedByWhatItsLinkTells) {
  const auto file = scratch();
  EXPECT_EQ(infos_opened([&] { EXPECT_EQ(whole(file.get(), LOCK_EX), 0); }), 1);
  const auto answers = [](const UniqueFd& fd, const auto& set, const auto& whole) {
    std::vector<int> all;
    for (const int command : {F_SETLK, F_OFD_SETLK})
      for (const int type : {F_WRLCK, F_UNLCK, F_RDLCK, F_UNLCK})
        for (const int whence : {SEEK_SET, SEEK_CUR})
          all.push_back(set(fd.get(), command, lock_of(type, whence, 3, 1)));
    for (const int operation : {LOCK_EX, LOCK_UN}) all.push_back(whole(fd.get(), operation));
    return all;
  };
  const auto as_the_kernel_does = [&](int flags) {
    return answers(
        real(flags),
        [](int fd, int command, struct flock lock) { return ask_kernel(fd, command, lock); },
        [](int fd, int operation) { return ::flock(fd, operation) == 0 ? 0 : errno; });
  };
  const auto check = [&](const UniqueFd& fd, int flags) {
    const auto expected = as_the_kernel_does(flags);
    const auto all = [&] {
      const auto found = answers(
          fd,
          [&](int number, int command, struct flock lock) { return set(number, command, lock); },
          [&](int number, int operation) { return whole(number, operation); });
      EXPECT_EQ(found, expected);
    };
    EXPECT_EQ(infos_opened(all), 0);
  };
  const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  check(epoll, O_RDWR);
  check(UniqueFd(::eventfd(0, EFD_CLOEXEC)), O_RDWR);
  check(UniqueFd(::inotify_init1(IN_CLOEXEC)), O_RDONLY);
  const std::string name = "/proc/self/fd/" + std::to_string(epoll.get());
  check(UniqueFd(::open(name.c_str(), O_PATH | O_CLOEXEC)), O_PATH);
}

// Two descriptors are needed to look for the owner's: with one left, whether it has the file still
// is not known.
TEST_F(TreeLocks, LockStaysWhereItsOwnerCannotBeLookedAt) {
  if (std::getenv("VITRINE_SANITIZED") != nullptr)
    GTEST_SKIP() << "UndefinedBehaviorSanitizer needs descriptors to look at memory";
  const auto mine = scratch();
  const auto exclusive = lock_of(F_WRLCK, SEEK_SET, 0, 0);
  ASSERT_EQ(set(mine.get(), F_SETLK, exclusive), 0);
  caller_.tgid = caller_.tid = 1;  // another process asks
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const UniqueFd next(::dup(mine.get()));
  for (const rlim_t left : {1UL, 2UL, 3UL}) {
    const rlimit limit{static_cast<rlim_t>(next.get()) + left, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
    const int answer = set(mine.get(), F_SETLK, exclusive);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_EQ(answer, left == 1 ? ENOLCK : EAGAIN) << left;
  }
}

}  // namespace
}  // namespace vitrine::vfs
