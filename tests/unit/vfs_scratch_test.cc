// Scratch folders: content, quota, descriptors held, names of what is open.
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/statfs.h>

#include <climits>
#include <cstring>

#include "vfs_fixture.h"

namespace vitrine::vfs {
namespace {

class ScratchFolder : public VfsTest {
 protected:
  void start(std::uint64_t quota = 1 << 20) {
    build(ScratchRule{"/s", quota}, ScratchRule{"/t", quota}, InlineRule{"/i", "x", false});
  }
  int make(const std::string& path) { return code(fs_->make_directory(caller_, cwd_, path, 0777)); }
};

TEST_F(ScratchFolder, WrittenFileIsReadBackAndStatAgrees) {
  start();
  auto file = open("/s/file", O_RDWR | O_CREAT | O_EXCL, 0666);
  ASSERT_TRUE(file);
  EXPECT_TRUE(file->created);
  ASSERT_EQ(::write(file->fd.get(), "hello", 5), 5);
  const auto by_path = stat("/s/file");
  const auto by_fd = fstat(file->fd.get());
  EXPECT_EQ(by_path.stx_size, 5U);
  EXPECT_EQ(by_path.stx_ino, by_fd.stx_ino);
  EXPECT_EQ(by_path.stx_dev_minor, by_fd.stx_dev_minor);
  EXPECT_EQ(by_path.stx_mode, S_IFREG | 0644);
  EXPECT_EQ(by_path.stx_uid, 1000U);
  EXPECT_EQ(by_path.stx_nlink, 1U);
  EXPECT_EQ(read("/s/file"), "hello");
  EXPECT_FALSE(open("/s/file", O_RDWR | O_CREAT)->created);
  EXPECT_EQ(open_code("/s/file", O_CREAT | O_EXCL | O_WRONLY), EEXIST);
}

TEST_F(ScratchFolder, EachOpenHasItsOwnPositionAndFlags) {
  start();
  write("/s/file", "hello");
  auto one = open("/s/file", O_RDONLY);
  auto two = open("/s/file", O_WRONLY | O_APPEND);
  char byte = 0;
  ASSERT_EQ(::read(one->fd.get(), &byte, 1), 1);
  EXPECT_EQ(::lseek(two->fd.get(), 0, SEEK_CUR), 0);
  EXPECT_EQ(::fcntl(two->fd.get(), F_GETFL) & (O_ACCMODE | O_APPEND), O_WRONLY | O_APPEND);
  EXPECT_EQ(::write(one->fd.get(), "x", 1), -1);
}

TEST_F(ScratchFolder, QuotaOfContentIsMeasuredAndLimitsTheSize) {
  start(1 << 20);
  EXPECT_EQ(fs_->scratch_quota(), 2U << 20);
  EXPECT_GT(fs_->file_size_limit(), 1000U << 10);
  auto file = open("/s/file", O_WRONLY | O_CREAT);
  const std::string content(800 << 10, 'x');
  ASSERT_EQ(::write(file->fd.get(), content.data(), content.size()),
            static_cast<ssize_t>(content.size()));
  EXPECT_GE(fs_->scratch_used(), 800U << 10);
  EXPECT_LT(fs_->scratch_used(), 810U << 10);
  EXPECT_LE(fs_->file_size_limit(), 1U << 20);
  auto more = open("/t/file", O_WRONLY | O_CREAT);
  ASSERT_EQ(::ftruncate(more->fd.get(), 0), 0);
  EXPECT_EQ(code(fs_->truncate(caller_, cwd_, "/s/file", (1 << 20) + 1)), ENOSPC);
  EXPECT_TRUE(fs_->scratch_refused());
  EXPECT_EQ(code(fs_->truncate(caller_, cwd_, "/s/file", 1 << 20)), 0);
  EXPECT_GE(fs_->scratch_peak(), 800U << 10);
}

// What is written natively may pass the quota for a moment.
TEST_F(ScratchFolder, PastTheQuotaNothingMoreIsAllocated) {
  start(64 << 10);
  auto file = open("/s/a", O_RDWR | O_CREAT);
  auto other = open("/s/b", O_RDWR | O_CREAT);
  const std::string content(128 << 10, 'x');
  ASSERT_EQ(::write(file->fd.get(), content.data(), content.size()),
            static_cast<ssize_t>(content.size()));
  EXPECT_EQ(code(fs_->allocate_descriptor(caller_, guest(other->fd.get()), 0, 0, 4096)), ENOSPC);
  EXPECT_EQ(code(fs_->truncate(caller_, cwd_, "/s/a", 0)), 0);
  EXPECT_EQ(code(fs_->allocate_descriptor(caller_, guest(other->fd.get()), 0, 0, 4096)), 0);
}

// Its file is not even a file any more by then.
TEST_F(ScratchFolder, ALockEndsWithItsClosedDescription) {
  options_.max_memory_files = 4;
  start();
  struct flock whole {};
  whole.l_type = F_WRLCK;
  const auto lock = [&](const UniqueFd& fd, struct flock wanted) {
    return code(fs_->lock_record(caller_, guest(fd.get()), F_OFD_SETLK, wanted));
  };
  const auto write_others = [&] {
    for (int i = 0; i < 10; ++i) write("/s/" + std::to_string(i), "x");
  };
  write_others();
  {
    const auto holder = open("/s/file", O_RDWR | O_CREAT);
    ASSERT_EQ(lock(holder->fd, whole), 0);
    const auto second = open("/s/file", O_RDWR);
    EXPECT_EQ(lock(second->fd, whole), EAGAIN);
  }
  write_others();
  const auto next = open("/s/file", O_RDWR);
  EXPECT_EQ(lock(next->fd, whole), 0);
}

TEST_F(ScratchFolder, FullQuotaGivesEnospcAndNoSize) {
  start(64 << 10);
  auto file = open("/s/a", O_WRONLY | O_CREAT);
  auto other = open("/t/a", O_WRONLY | O_CREAT);
  const std::string content(64 << 10, 'x');
  for (auto* each : {&file, &other})
    ASSERT_EQ(::write((*each)->fd.get(), content.data(), content.size()),
              static_cast<ssize_t>(content.size()));
  EXPECT_EQ(fs_->file_size_limit(), 0U);
  EXPECT_EQ(open_code("/s/b", O_WRONLY | O_CREAT), ENOSPC);
  EXPECT_EQ(make("/s/d"), ENOSPC);
  EXPECT_EQ(code(fs_->symlink(caller_, "x", cwd_, "/s/l")), ENOSPC);
  EXPECT_EQ(code(fs_->unlink(caller_, cwd_, "/s/a")), 0);
  EXPECT_EQ(make("/s/d"), ENOSPC) << "the descriptor still holds the content";
  file->fd.reset();
  EXPECT_EQ(make("/s/d"), 0);
}

TEST_F(ScratchFolder, EmptyFilesAreChargedToo) {
  start(1 << 20);
  int made = 0;
  while (code(fs_->make_node(caller_, cwd_, "/s/" + std::to_string(made), S_IFREG)) == 0) ++made;
  EXPECT_GT(made, 500);
  EXPECT_LT(made, 1024);
  const auto full = fs_->scratch_used();
  for (int i = 0; i < made; ++i)
    ASSERT_EQ(code(fs_->unlink(caller_, cwd_, "/s/" + std::to_string(i))), 0);
  EXPECT_GT(full, fs_->scratch_used());
  EXPECT_EQ(fs_->scratch_used(), 0U);
}

TEST_F(ScratchFolder, AccountingReturnsToZeroWhateverWasDone) {
  start(1 << 20);
  write("/s/a", "aaa");
  write("/s/b", "bbb");
  ASSERT_EQ(make("/s/d"), 0);
  ASSERT_EQ(code(fs_->symlink(caller_, std::string(300, 't'), cwd_, "/s/l")), 0);
  ASSERT_EQ(code(fs_->link(caller_, cwd_, "/s/a", cwd_, "/s/d/hard", FinalLink::kNoFollow)), 0);
  ASSERT_EQ(code(fs_->rename(caller_, cwd_, "/s/a", cwd_, "/s/d/a_longer_name", 0)), 0);
  ASSERT_EQ(code(fs_->rename(caller_, cwd_, "/s/b", cwd_, "/s/d/a_longer_name", 0)), 0);
  ASSERT_EQ(code(fs_->rename(caller_, cwd_, "/s/l", cwd_, "/s/d/hard", 2)), 0);
  ASSERT_TRUE(open("/s", O_RDWR | O_TMPFILE));
  for (const char* path : {"/s/l", "/s/d/hard", "/s/d/a_longer_name"})
    EXPECT_EQ(code(fs_->unlink(caller_, cwd_, path)), 0) << path;
  EXPECT_EQ(code(fs_->remove_directory(caller_, cwd_, "/s/d")), 0);
  EXPECT_EQ(fs_->scratch_used(), 0U);
}

TEST_F(ScratchFolder, UnlinkedFileLivesWhileOpen) {
  start();
  auto file = open("/s/file", O_RDWR | O_CREAT);
  ASSERT_EQ(::write(file->fd.get(), "hello", 5), 5);
  ASSERT_EQ(code(fs_->unlink(caller_, cwd_, "/s/file")), 0);
  EXPECT_EQ(stat_code("/s/file"), ENOENT);
  const auto seen = fstat(file->fd.get());
  EXPECT_EQ(seen.stx_nlink, 0U);
  EXPECT_EQ(seen.stx_size, 5U);
  EXPECT_EQ(*fs_->path_of_descriptor(caller_, guest(file->fd.get())), "/s/file (deleted)");
  EXPECT_GE(fs_->scratch_used(), 4096U);
  EXPECT_EQ(code(fs_->truncate_descriptor(caller_, guest(file->fd.get()), 2)), 0);
  EXPECT_EQ(fstat(file->fd.get()).stx_size, 2U);
  file->fd.reset();
  EXPECT_EQ(fs_->scratch_used(), 0U);
}

TEST_F(ScratchFolder, MappingAloneKeepsTheContentCharged) {
  start();
  auto file = open("/s/file", O_RDWR | O_CREAT);
  ASSERT_EQ(::ftruncate(file->fd.get(), 64 << 10), 0);
  void* mapped = ::mmap(nullptr, 64 << 10, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd.get(), 0);
  ASSERT_NE(mapped, MAP_FAILED);
  file->fd.reset();
  ASSERT_EQ(code(fs_->unlink(caller_, cwd_, "/s/file")), 0);
  std::memset(mapped, 1, 64 << 10);
  EXPECT_GE(fs_->scratch_used(), 64U << 10);
  ::munmap(mapped, 64 << 10);
  EXPECT_EQ(fs_->scratch_used(), 0U);
}

TEST_F(ScratchFolder, ClosedFilesGiveTheirDescriptorsBack) {
  options_.max_memory_files = 16;
  start(64 << 20);
  for (int i = 0; i < 500; ++i) write("/s/" + std::to_string(i), "content " + std::to_string(i));
  const auto before = stat("/s/3");
  for (int i = 0; i < 500; ++i)
    ASSERT_EQ(read("/s/" + std::to_string(i)), "content " + std::to_string(i));
  const auto after = stat("/s/3");
  EXPECT_EQ(before.stx_mtime.tv_nsec, after.stx_mtime.tv_nsec);
  EXPECT_EQ(before.stx_ctime.tv_nsec, after.stx_ctime.tv_nsec);
  EXPECT_EQ(before.stx_blocks, after.stx_blocks);
  EXPECT_EQ(before.stx_ino, after.stx_ino);
  int open_files = 0;
  for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd"))
    open_files += std::filesystem::read_symlink(each).string().starts_with("/memfd:") ? 1 : 0;
  EXPECT_LE(open_files, 16);
  EXPECT_GE(fs_->scratch_used(), 500U * 4096);
  for (int i = 0; i < 500; ++i)
    ASSERT_EQ(code(fs_->unlink(caller_, cwd_, "/s/" + std::to_string(i))), 0);
  EXPECT_EQ(fs_->scratch_used(), 0U);
}

TEST_F(ScratchFolder, OpenFilesAreNeverTakenAway) {
  options_.max_memory_files = 8;
  start(64 << 20);
  std::vector<Opened> held;
  for (int i = 0; i < 8; ++i) {
    auto file = open("/s/" + std::to_string(i), O_RDWR | O_CREAT);
    ASSERT_TRUE(file);
    held.push_back(std::move(*file));
  }
  EXPECT_EQ(open_code("/s/more", O_RDWR | O_CREAT), ENFILE);
  EXPECT_EQ(stat_code("/s/more"), ENOENT);
  held.pop_back();
  EXPECT_EQ(open_code("/s/more", O_RDWR | O_CREAT), 0);
}

TEST_F(ScratchFolder, SparseFileSurvivesEviction) {
  options_.max_memory_files = 4;
  start(64 << 20);
  {
    auto file = open("/s/sparse", O_RDWR | O_CREAT);
    ASSERT_EQ(::pwrite(file->fd.get(), "middle", 6, 1 << 20), 6);
    ASSERT_EQ(::ftruncate(file->fd.get(), 3 << 20), 0);
  }
  for (int i = 0; i < 20; ++i) write("/s/" + std::to_string(i), "x");
  EXPECT_EQ(stat("/s/sparse").stx_size, 3U << 20);
  EXPECT_LT(stat("/s/sparse").stx_blocks, 64U);
  const std::string content = read("/s/sparse");
  ASSERT_EQ(content.size(), 3U << 20);
  EXPECT_EQ(content.substr(1 << 20, 6), "middle");
  EXPECT_EQ(content.find_first_not_of('\0'), 1U << 20);
}

TEST_F(ScratchFolder, NamelessFileCanBeGivenAName) {
  build(ScratchRule{"/s", 1 << 20}, SyntheticRule{"proc"});
  auto file = open("/s", O_RDWR | O_TMPFILE, 0600);
  ASSERT_TRUE(file);
  ASSERT_EQ(::write(file->fd.get(), "hello", 5), 5);
  EXPECT_EQ(fstat(file->fd.get()).stx_nlink, 0U);
  const std::string link = "/proc/self/fd/" + std::to_string(file->fd.get());
  ASSERT_EQ(code(fs_->link(caller_, cwd_, link, cwd_, "/s/named", FinalLink::kFollow)), 0);
  EXPECT_EQ(read("/s/named"), "hello");
  EXPECT_EQ(open_code("/s", O_RDONLY | O_TMPFILE), EINVAL);
  auto unlinkable = open("/s", O_RDWR | O_TMPFILE | O_EXCL, 0600);
  const std::string other = "/proc/self/fd/" + std::to_string(unlinkable->fd.get());
  EXPECT_EQ(code(fs_->link(caller_, cwd_, other, cwd_, "/s/other", FinalLink::kFollow)), ENOENT);
}

TEST_F(ScratchFolder, DeepTreeIsMadeAndTornDown) {
  start(64 << 20);
  auto here = fs_->open_directory(caller_, cwd_, "/s");
  for (int depth = 0; depth < 30000; ++depth) {
    ASSERT_EQ(code(fs_->make_directory(caller_, *here, "d", 0755)), 0);
    here = fs_->open_directory(caller_, *here, "d");
    ASSERT_TRUE(here);
  }
  EXPECT_GT(fs_->path_of(*here).size(), static_cast<std::size_t>(PATH_MAX));
  EXPECT_LT(fs_->path_of(*here).size(), 3U * PATH_MAX);
  EXPECT_EQ(code(fs_->collect("/s", host("out"), 1 << 20)), ELOOP);
  cwd_ = *here;
  EXPECT_EQ(stat_code(".."), 0);
}

TEST_F(ScratchFolder, ManyFilesStayFast) {
  start(512 << 20);
  for (int i = 0; i < 100000; ++i)
    ASSERT_EQ(code(fs_->make_node(caller_, cwd_, "/s/file" + std::to_string(i), S_IFREG)), 0);
  EXPECT_EQ(list("/s").size(), 100002U);
  EXPECT_EQ(stat_code("/s/file99999"), 0);
}

TEST_F(ScratchFolder, RemovedWorkingDirectoryIsDead) {
  start();
  ASSERT_EQ(make("/s/d"), 0);
  auto folder = fs_->open_directory(caller_, cwd_, "/s/d");
  auto opened = open("/s/d", O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(code(fs_->remove_directory(caller_, cwd_, "/s/d")), 0);
  EXPECT_EQ(fs_->path_of(*folder), "");
  cwd_ = *folder;
  EXPECT_EQ(open_code("x", O_CREAT | O_WRONLY), ENOENT);
  EXPECT_EQ(make("x"), ENOENT);
  EXPECT_EQ(stat(".").stx_nlink, 0U);
  EXPECT_EQ(fstat(opened->fd.get()).stx_nlink, 0U);
  std::vector<std::byte> buffer(1024);
  EXPECT_EQ(code(fs_->read_directory(caller_, guest(opened->fd.get()), buffer)), ENOENT);
}

TEST_F(ScratchFolder, RenamedFolderIsSeenThroughItsHandles) {
  start();
  ASSERT_EQ(make("/s/d"), 0);
  write("/s/d/file", "x");
  auto folder = fs_->open_directory(caller_, cwd_, "/s/d");
  auto opened = open("/s/d", O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(code(fs_->rename(caller_, cwd_, "/s/d", cwd_, "/s/e", 0)), 0);
  EXPECT_EQ(fs_->path_of(*folder), "/s/e");
  EXPECT_EQ(*fs_->path_of_descriptor(caller_, guest(opened->fd.get())), "/s/e");
  EXPECT_EQ(*fs_->path_of_descriptor(caller_, guest(open("/s/e/file")->fd.get())), "/s/e/file");
}

TEST_F(ScratchFolder, AcrossVolumesGivesExdev) {
  start();
  write("/s/a", "x");
  EXPECT_EQ(code(fs_->rename(caller_, cwd_, "/s/a", cwd_, "/t/a", 0)), EXDEV);
  EXPECT_EQ(code(fs_->link(caller_, cwd_, "/s/a", cwd_, "/t/a", FinalLink::kNoFollow)), EXDEV);
  EXPECT_EQ(code(fs_->link(caller_, cwd_, "/i", cwd_, "/t/i", FinalLink::kNoFollow)), EXDEV);
}

TEST_F(ScratchFolder, MountPointInsideCannotBeMoved) {
  put("a/file", "x");
  build(ScratchRule{"/s", 1 << 20}, ShowRule{host("a"), "/s/x/y"});
  EXPECT_EQ(read("/s/x/y/file"), "x");
  EXPECT_EQ(names("/s"), "x");
  EXPECT_EQ(names("/s/x"), "y");
  EXPECT_EQ(code(fs_->remove_directory(caller_, cwd_, "/s/x/y")), EBUSY);
  EXPECT_EQ(code(fs_->remove_directory(caller_, cwd_, "/s/x")), EBUSY);
  EXPECT_EQ(code(fs_->rename(caller_, cwd_, "/s/x", cwd_, "/s/z", 0)), EBUSY);
  EXPECT_EQ(code(fs_->unlink(caller_, cwd_, "/s/x/y/file")), EROFS);
  write("/s/x/own", "o");
  EXPECT_EQ(names("/s/x"), "own y");
  EXPECT_EQ(stat("/s/x/y/..").stx_ino, stat("/s/x").stx_ino);
}

TEST_F(ScratchFolder, PermissionBitsAreHonoured) {
  start();
  write("/s/file", "x");
  ASSERT_EQ(code(fs_->change_mode(caller_, cwd_, "/s/file", 06200, FinalLink::kFollow)), 0);
  EXPECT_EQ(stat("/s/file").stx_mode, S_IFREG | 0200) << "no setuid, no setgid";
  EXPECT_EQ(open_code("/s/file"), EACCES);
  EXPECT_EQ(open_code("/s/file", O_WRONLY), 0);
  auto made = open("/s/readonly", O_CREAT | O_RDWR, 0400);
  EXPECT_TRUE(made) << "the creator's own descriptor may write";
  EXPECT_EQ(open_code("/s/readonly", O_WRONLY), EACCES);
  EXPECT_EQ(code(fs_->change_owner(caller_, cwd_, "/s/file", 1000, 1000, FinalLink::kFollow)), 0);
  EXPECT_EQ(code(fs_->change_owner(caller_, cwd_, "/s/file", 0, 0, FinalLink::kFollow)), EPERM);
}

TEST_F(ScratchFolder, AllocationStaysWithinTheQuota) {
  start(1 << 20);
  auto file = open("/s/file", O_RDWR | O_CREAT);
  const auto fd = guest(file->fd.get());
  EXPECT_EQ(code(fs_->allocate_descriptor(caller_, fd, 0, 0, 512 << 10)), 0);
  EXPECT_EQ(fstat(file->fd.get()).stx_size, 512U << 10);
  EXPECT_EQ(code(fs_->allocate_descriptor(caller_, fd, 0, 0, 2 << 20)), ENOSPC);
  EXPECT_EQ(code(fs_->allocate_descriptor(caller_, fd, 0, 0, INT64_MAX)), ENOSPC);
  EXPECT_EQ(code(fs_->allocate_descriptor(caller_, fd, 0, 1, INT64_MAX)), EFBIG);
  EXPECT_EQ(code(fs_->allocate_descriptor(caller_, fd, 0, -1, 1)), EINVAL);
  EXPECT_EQ(code(fs_->allocate_descriptor(caller_, fd, FALLOC_FL_ZERO_RANGE, 0, 1)), EOPNOTSUPP);
  EXPECT_EQ(code(fs_->allocate_descriptor(caller_, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                          0, 512 << 10)),
            0);
  EXPECT_LT(fs_->scratch_used(), 8192U);
  auto reader = open("/s/file", O_RDONLY);
  EXPECT_EQ(code(fs_->allocate_descriptor(caller_, guest(reader->fd.get()), 0, 0, 1)), EBADF);
  EXPECT_EQ(code(fs_->truncate_descriptor(caller_, guest(reader->fd.get()), 0)), EINVAL);
}

TEST_F(ScratchFolder, TimesAreSetOnEveryKind) {
  start();
  write("/s/file", "x");
  ASSERT_EQ(make("/s/d"), 0);
  ASSERT_EQ(code(fs_->symlink(caller_, "file", cwd_, "/s/l")), 0);
  const timespec times[2] = {{100, 1}, {200, 2}};
  for (const char* path : {"/s/file", "/s/d", "/s/l"}) {
    ASSERT_EQ(code(fs_->set_times(caller_, cwd_, path, times, FinalLink::kNoFollow)), 0) << path;
    const auto seen = stat(path, FinalLink::kNoFollow);
    EXPECT_EQ(seen.stx_atime.tv_sec, 100) << path;
    EXPECT_EQ(seen.stx_mtime.tv_sec, 200) << path;
    EXPECT_EQ(seen.stx_mtime.tv_nsec, 2U) << path;
  }
  const timespec omit[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
  ASSERT_EQ(code(fs_->set_times(caller_, cwd_, "/s/d", omit, FinalLink::kFollow)), 0);
  EXPECT_EQ(stat("/s/d").stx_atime.tv_sec, 100);
  EXPECT_GT(stat("/s/d").stx_mtime.tv_sec, 200);
}

TEST_F(ScratchFolder, StatfsTellsTheQuota) {
  start(1 << 20);
  struct statfs seen {};
  ASSERT_EQ(code(fs_->stat_filesystem(caller_, cwd_, "/s", seen)), 0);
  EXPECT_EQ(seen.f_blocks, 256U);
  EXPECT_EQ(seen.f_bfree, 256U);
  write("/s/file", std::string(100 << 10, 'x'));
  auto file = open("/s/file");
  ASSERT_EQ(code(fs_->stat_filesystem_descriptor(caller_, guest(file->fd.get()), seen)), 0);
  EXPECT_EQ(seen.f_blocks, 256U);
  EXPECT_LT(seen.f_bfree, 256U - 24);
}

TEST_F(ScratchFolder, FifoAndDeviceAreRefused) {
  start();
  EXPECT_EQ(code(fs_->make_node(caller_, cwd_, "/s/fifo", S_IFIFO | 0600)), EPERM);
  EXPECT_EQ(code(fs_->make_node(caller_, cwd_, "/s/dev", S_IFCHR | 0600)), EPERM);
}

TEST_F(ScratchFolder, NamelessFilesThatWereClosedCostNothing) {
  options_.max_memory_files = 4;
  start(64 << 20);
  const std::uint64_t before = fs_->scratch_used();
  for (int i = 0; i < 20; ++i) {
    const auto file = open("/s", O_RDWR | O_TMPFILE, 0600);
    ASSERT_TRUE(file) << i;
    ASSERT_EQ(::write(file->fd.get(), "hello", 5), 5);
  }
  EXPECT_EQ(fs_->scratch_used(), before);
}

}  // namespace
}  // namespace vitrine::vfs
