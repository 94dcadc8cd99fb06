// Every node type: stat by path and by descriptor agree, and open gives what may be given.
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <set>

#include "vfs/attributes.h"
#include "vfs/nameless_folders.h"
#include "vfs_fixture.h"

namespace vitrine::vfs {
namespace {

void expect_same(const struct statx& a, const struct statx& b, const std::string& what) {
  EXPECT_EQ(a.stx_ino, b.stx_ino) << what;
  EXPECT_EQ(a.stx_dev_major, b.stx_dev_major) << what;
  EXPECT_EQ(a.stx_dev_minor, b.stx_dev_minor) << what;
  EXPECT_EQ(a.stx_mode, b.stx_mode) << what;
  EXPECT_EQ(a.stx_size, b.stx_size) << what;
  EXPECT_EQ(a.stx_nlink, b.stx_nlink) << what;
  EXPECT_EQ(a.stx_uid, b.stx_uid) << what;
  EXPECT_EQ(a.stx_gid, b.stx_gid) << what;
  EXPECT_EQ(a.stx_rdev_minor, b.stx_rdev_minor) << what;
  EXPECT_EQ(a.stx_mtime.tv_sec, b.stx_mtime.tv_sec) << what;
  EXPECT_EQ(a.stx_mtime.tv_nsec, b.stx_mtime.tv_nsec) << what;
  EXPECT_EQ(a.stx_ctime.tv_nsec, b.stx_ctime.tv_nsec) << what;
}

class Nodes : public VfsTest {
 protected:
  void SetUp() override {
    VfsTest::SetUp();
    put("a/file", "content");
    put("a/folder/inside", "x");
    put_link("file", "a/link");
    build(ShowRule{host("a"), "/m"}, ShowRule{host("a/file"), "/single"},
          ScratchRule{"/s", 1 << 20}, InlineRule{"/inline", "text", false},
          InlineRule{"/program", "#!", true}, LinkRule{"/link", "/inline"}, FolderRule{"/empty"},
          SyntheticRule{"proc"}, SyntheticRule{"dev"}, SyntheticRule{"sys"}, SyntheticRule{"etc"});
    write("/s/file", "scratch");
    ASSERT_TRUE(fs_->make_directory(caller_, cwd_, "/s/folder", 0750));
    ASSERT_TRUE(fs_->symlink(caller_, "file", cwd_, "/s/link"));
  }
};

TEST_F(Nodes, StatByPathAndByDescriptorAgree) {
  for (const char* path : {"/",
                           "/m",
                           "/m/file",
                           "/m/folder",
                           "/single",
                           "/s",
                           "/s/file",
                           "/s/folder",
                           "/inline",
                           "/program",
                           "/empty",
                           "/proc",
                           "/proc/self",
                           "/proc/self/status",
                           "/proc/meminfo",
                           "/proc/self/fd",
                           "/proc/sys/kernel",
                           "/dev",
                           "/dev/null",
                           "/dev/zero",
                           "/dev/full",
                           "/dev/urandom",
                           "/dev/random",
                           "/sys",
                           "/sys/devices/system/cpu/online",
                           "/etc",
                           "/etc/passwd",
                           "/proc/self/task"}) {
    auto opened = open(path);
    ASSERT_TRUE(opened) << path << ": " << opened.error().message();
    expect_same(stat(path), fstat(opened->fd.get()), path);
  }
}

TEST_F(Nodes, StatOfPathOnlyDescriptorsAgrees) {
  for (const char* path : {"/", "/m", "/m/file", "/m/link", "/single", "/s", "/s/file", "/s/link",
                           "/s/folder", "/inline", "/link", "/empty", "/proc/self", "/proc",
                           "/proc/self/exe", "/dev/null", "/dev/tty", "/sys", "/etc/passwd"}) {
    auto opened = open(path, O_PATH | O_NOFOLLOW);
    ASSERT_TRUE(opened) << path << ": " << opened.error().message();
    EXPECT_NE(::fcntl(opened->fd.get(), F_GETFL) & O_PATH, 0) << path;
    expect_same(stat(path, FinalLink::kNoFollow), fstat(opened->fd.get()), path);
  }
}

TEST_F(Nodes, ListedInodeAndTypeAreStats) {
  for (const std::string folder : {"/", "/m", "/s", "/proc", "/proc/self", "/dev", "/sys", "/etc",
                                   "/proc/sys/kernel", "/empty"}) {
    const auto entries = list(folder);
    EXPECT_TRUE(entries.contains(".")) << folder;
    EXPECT_TRUE(entries.contains("..")) << folder;
    for (const auto& [name, entry] : entries) {
      const auto seen = stat(folder + "/" + name, FinalLink::kNoFollow);
      EXPECT_EQ(entry.inode, seen.stx_ino) << folder << "/" << name;
      EXPECT_EQ(entry.type, IFTODT(seen.stx_mode)) << folder << "/" << name;
    }
  }
}

TEST_F(Nodes, OwnersOfTheHostAreNotShown) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs two users";
  ASSERT_EQ(::chown(host("a/file").c_str(), 4711, 4712), 0);
  EXPECT_EQ(stat("/m/file").stx_uid, 1000U);
  EXPECT_EQ(stat("/m/file").stx_gid, 1000U);
  EXPECT_EQ(fstat(open("/m/file")->fd.get()).stx_uid, 1000U);
  EXPECT_EQ(stat("/m/folder/inside").stx_uid, 0U);
}

TEST_F(Nodes, ReadOnlyPartsGiveErofs) {
  for (const char* path : {"/m/file", "/single", "/inline", "/etc/passwd"}) {
    EXPECT_EQ(open_code(path, O_WRONLY), EROFS) << path;
    EXPECT_EQ(open_code(path, O_RDWR), EROFS) << path;
    EXPECT_EQ(open_code(path, O_RDONLY | O_TRUNC), EROFS) << path;
    EXPECT_EQ(open_code(path, O_RDONLY | O_CREAT), 0) << path;
    EXPECT_EQ(open_code(path, O_RDONLY | O_CREAT | O_EXCL), EEXIST) << path;
    EXPECT_EQ(code(fs_->unlink(caller_, cwd_, path)) == EROFS ||
                  code(fs_->unlink(caller_, cwd_, path)) == EBUSY,
              true)
        << path;
    EXPECT_EQ(code(fs_->truncate(caller_, cwd_, path, 0)), EROFS) << path;
    EXPECT_EQ(code(fs_->change_mode(caller_, cwd_, path, 0777, FinalLink::kFollow)), EROFS) << path;
    EXPECT_EQ(code(fs_->access(caller_, cwd_, path, W_OK, FinalLink::kFollow)), EROFS) << path;
    EXPECT_EQ(code(fs_->access(caller_, cwd_, path, R_OK, FinalLink::kFollow)), 0) << path;
    EXPECT_EQ(code(fs_->make_directory(caller_, cwd_, path, 0777)), EEXIST) << path;
    auto opened = open(path);
    EXPECT_EQ(code(fs_->change_mode_descriptor(caller_, guest(opened->fd.get()), 0777)), EROFS);
  }
  EXPECT_EQ(open_code("/m/new", O_WRONLY | O_CREAT), EROFS);
  EXPECT_EQ(open_code("/m/none/new", O_WRONLY | O_CREAT), ENOENT);
  EXPECT_EQ(open_code("/new", O_WRONLY | O_CREAT), EROFS);
  EXPECT_EQ(code(fs_->make_directory(caller_, cwd_, "/m/new", 0777)), EROFS);
  EXPECT_EQ(code(fs_->symlink(caller_, "x", cwd_, "/m/new")), EROFS);
  EXPECT_EQ(code(fs_->rename(caller_, cwd_, "/m/file", cwd_, "/m/new", 0)), EROFS);
  EXPECT_EQ(open_code("/m", O_RDWR | O_TMPFILE), EROFS);
  EXPECT_EQ(code(fs_->unlink(caller_, cwd_, "/m/file")), EROFS);
  EXPECT_EQ(code(fs_->unlink(caller_, cwd_, "/m/missing")), ENOENT);
  EXPECT_EQ(code(fs_->rename(caller_, cwd_, "/m/missing", cwd_, "/m/new", 0)), ENOENT);
  ASSERT_EQ(open_code("/s/moved", O_WRONLY | O_CREAT), 0);
  EXPECT_EQ(code(fs_->rename(caller_, cwd_, "/s/moved", cwd_, "/m/new", 0)), EROFS);
}

TEST_F(Nodes, FolderOpenedForWritingGivesEisdir) {
  for (const char* path : {"/", "/m", "/m/folder", "/s", "/s/folder", "/proc", "/empty"}) {
    EXPECT_EQ(open_code(path, O_WRONLY), EISDIR) << path;
    EXPECT_EQ(open_code(path, O_RDWR), EISDIR) << path;
    EXPECT_EQ(open_code(path, O_RDONLY | O_CREAT), EISDIR) << path;
  }
}

TEST(NamelessFolder, WhatAKilledSupervisorLeftIsTakenAway) {
  if (::mkdir("/dev/shm/.vitrine-left", 0400) != 0) GTEST_SKIP() << "no /dev/shm here";
  ASSERT_EQ(::mkdir("/dev/shm/vitrine-other", 0700), 0);
  NamelessFolders folders;
  EXPECT_EQ(::rmdir("/dev/shm/.vitrine-left"), -1);
  EXPECT_EQ(errno, ENOENT);
  EXPECT_EQ(::rmdir("/dev/shm/vitrine-other"), 0);
}

// Without privileges, as the guest is.
bool leads_nowhere(int fd) {
  const pid_t child = ::fork();
  if (child == 0) {
    const bool dropped = ::geteuid() != 0 || ::setresuid(65534, 65534, 65534) == 0;
    const bool led = ::openat(fd, "..", O_RDONLY) >= 0 || ::openat(fd, ".", O_RDONLY) >= 0 ||
                     ::mkdirat(fd, "in", 0700) == 0 || ::fchdir(fd) == 0;
    ::_exit(dropped && !led ? 0 : 1);
  }
  int status = -1;
  return ::waitpid(child, &status, 0) == child && status == 0;
}

TEST_F(Nodes, GrantedReadOnlyFileIsNoLever) {
  for (const char* path : {"/m/file", "/inline", "/proc/self/status", "/s/folder", "/m/folder"}) {
    auto opened = open(path);
    const int fd = opened->fd.get();
    EXPECT_EQ(::fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDONLY) << path;
    EXPECT_EQ(::write(fd, "x", 1), -1) << path;
    EXPECT_EQ(::ftruncate(fd, 0), -1) << path;
    EXPECT_EQ(::mmap(nullptr, 4096, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED) << path;
    EXPECT_TRUE(leads_nowhere(fd)) << path;
  }
}

TEST_F(Nodes, FlagsOfTheGuestAreKept) {
  auto plain = open("/m/file");
  EXPECT_EQ(::fcntl(plain->fd.get(), F_GETFL) & O_NONBLOCK, 0);
  auto nonblock = open("/m/file", O_RDONLY | O_NONBLOCK);
  EXPECT_NE(::fcntl(nonblock->fd.get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(Nodes, FolderPositionIsTheDescriptionsOwn) {
  for (int i = 0; i < 100; ++i) write("/s/folder/" + std::to_string(i), "");
  auto folder = open("/s/folder", O_RDONLY | O_DIRECTORY);
  const int fd = folder->fd.get();
  std::vector<std::byte> small(128);
  auto first = fs_->read_directory(caller_, guest(fd), small);
  ASSERT_TRUE(first);
  EXPECT_GT(::lseek(fd, 0, SEEK_CUR), 0);
  EXPECT_LT(list_descriptor(fd, 128).size(), 102U);
  ASSERT_EQ(::lseek(fd, 0, SEEK_SET), 0);
  EXPECT_EQ(list_descriptor(fd, 64).size(), 102U);
  const UniqueFd copy(::dup(fd));
  ASSERT_EQ(::lseek(copy.get(), 0, SEEK_SET), 0);
  EXPECT_EQ(list_descriptor(fd).size(), 102U);
  std::vector<std::byte> tiny(8);
  ASSERT_EQ(::lseek(fd, 0, SEEK_SET), 0);
  EXPECT_EQ(code(fs_->read_directory(caller_, guest(fd), tiny)), EINVAL);
  ASSERT_GE(::lseek(fd, 1L << 40, SEEK_SET), 0);
  EXPECT_EQ(*fs_->read_directory(caller_, guest(fd), small), 0U);
}

TEST_F(Nodes, DescriptorsThatAreNoFoldersGiveEnotdir) {
  auto file = open("/m/file");
  std::vector<std::byte> buffer(1024);
  EXPECT_EQ(code(fs_->directory_of(caller_, guest(file->fd.get()))), ENOTDIR);
  EXPECT_EQ(code(fs_->read_directory(caller_, guest(file->fd.get()), buffer)), ENOTDIR);
  EXPECT_EQ(code(fs_->directory_of(caller_, guest(9999))), EBADF);
  EXPECT_EQ(code(fs_->directory_of(caller_, guest(-1))), EBADF);
  // A real folder of the host, had the program one, is none of the tree's.
  const UniqueFd foreign(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EXPECT_EQ(code(fs_->directory_of(caller_, guest(foreign.get()))), ENOTDIR);
  const UniqueFd own_memory(::memfd_create("own", MFD_CLOEXEC));
  EXPECT_EQ(code(fs_->directory_of(caller_, guest(own_memory.get()))), ENOTDIR);
  EXPECT_TRUE(S_ISREG(fstat(own_memory.get()).stx_mode));
}

TEST_F(Nodes, LookupsStartAtADescriptor) {
  auto folder = open("/m/folder", O_PATH | O_DIRECTORY);
  auto base = fs_->directory_of(caller_, guest(folder->fd.get()));
  ASSERT_TRUE(base);
  cwd_ = *base;
  EXPECT_EQ(read("inside"), "x");
  EXPECT_EQ(read("../file"), "content");
  EXPECT_EQ(open_code("../../secret"), ENOENT);
}

TEST_F(Nodes, DevicesWorkAndOthersDoNot) {
  auto null = open("/dev/null", O_RDWR);
  ASSERT_TRUE(null);
  EXPECT_EQ(::write(null->fd.get(), "x", 1), 1);
  char byte = 1;
  EXPECT_EQ(::read(open("/dev/zero")->fd.get(), &byte, 1), 1);
  EXPECT_EQ(byte, 0);
  EXPECT_EQ(::write(open("/dev/full", O_WRONLY)->fd.get(), "x", 1), -1);
  EXPECT_EQ(::read(open("/dev/urandom")->fd.get(), &byte, 1), 1);
  EXPECT_EQ(open_code("/dev/tty", O_RDWR), ENXIO);
  for (const char* name : {"/dev/mem", "/dev/kmsg", "/dev/shm", "/dev/sda"})
    EXPECT_EQ(open_code(name), ENOENT) << name;
  EXPECT_EQ(stat("/dev/null").stx_mode, S_IFCHR | 0666);
  EXPECT_EQ(stat("/dev/null").stx_rdev_major, 1U);
  EXPECT_EQ(code(fs_->access(caller_, cwd_, "/dev/null", R_OK | W_OK, FinalLink::kFollow)), 0);
  EXPECT_EQ(read_link("/dev/fd"), "/proc/self/fd");
}

TEST_F(Nodes, EtcHasOneUser) {
  EXPECT_EQ(read("/etc/passwd"), "user:x:1000:1000:user:/tmp:/bin/sh\n");
  EXPECT_EQ(open_code("/etc/shadow"), ENOENT);
  EXPECT_EQ(open_code("/etc/hostname"), ENOENT);
  EXPECT_EQ(read("/etc/localtime").substr(0, 4), "TZif");
  EXPECT_EQ(read("/etc/localtime").size(), 54U);
}

TEST_F(Nodes, SysShowsTheBudgetsProcessors) {
  EXPECT_EQ(read("/sys/devices/system/cpu/online"), "0-2\n");
  EXPECT_EQ(stat_code("/sys/fs/cgroup"), ENOENT);
}

TEST_F(Nodes, ProgramIsOnlyWhatTheHostHas) {
  put("a/tool", "#!/bin/sh\n");
  ASSERT_EQ(::chmod(host("a/tool").c_str(), 0755), 0);
  EXPECT_EQ(code(fs_->open_program(caller_, cwd_, "/m/tool")), 0);
  EXPECT_EQ(code(fs_->open_program(caller_, cwd_, "/m/file")), EACCES);
  EXPECT_EQ(code(fs_->open_program(caller_, cwd_, "/s/file")), EACCES);
  EXPECT_EQ(code(fs_->open_program(caller_, cwd_, "/m/folder")), EACCES);
  EXPECT_EQ(code(fs_->open_program(caller_, cwd_, "/bin/none")), ENOENT);
}

TEST_F(Nodes, OpenTableIsSweptOfWhatIsClosed) {
  processes_.alive = false;  // nothing is open in the tree, so all but the youngest may go
  for (int i = 0; i < 20000; ++i) ASSERT_EQ(open_code("/m/folder", O_RDONLY | O_DIRECTORY), 0);
  for (int i = 0; i < 20000; ++i) ASSERT_EQ(open_code("/proc/meminfo"), 0);
  int held = 0;
  for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
    const std::string name = std::filesystem::read_symlink(each).string();
    held += name.starts_with("/memfd:") || name.find("/.vitrine-") != std::string::npos ? 1 : 0;
  }
  EXPECT_LT(held, 512);
}

TEST(NamelessFolder, IsEmptyForEverAndNoFile) {
  NamelessFolders folders;
  const auto made = folders.create(O_DIRECTORY);
  if (!made && made.error().code == ENOTSUP) GTEST_SKIP() << "no tmpfs here";
  ASSERT_TRUE(made);
  char byte = 0;
  EXPECT_EQ(::read(made->get(), &byte, 1), -1);
  EXPECT_EQ(errno, EISDIR);
  EXPECT_EQ(attributes_of(made->get())->stx_nlink, 0U);
  const auto other = folders.create(0);
  ASSERT_TRUE(other);
  EXPECT_NE(attributes_of(made->get())->stx_ino, attributes_of(other->get())->stx_ino);
}

TEST_F(Nodes, SweepKeepsWhatIsOpen) {
  auto folder = open("/m/folder", O_RDONLY | O_DIRECTORY);
  auto file = open("/inline");
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(open_code("/proc/meminfo"), 0);
  EXPECT_TRUE(fs_->directory_of(caller_, guest(folder->fd.get())));
  expect_same(stat("/inline"), fstat(file->fd.get()), "/inline");
}

TEST_F(Nodes, FullTableGivesEnfile) {
  options_.max_open_entries = 32;
  build(ShowRule{host("a"), "/m"});
  std::vector<Opened> held;
  int last = 0;
  while (last == 0 && held.size() < 100) {
    auto folder = open("/m", O_RDONLY | O_DIRECTORY);
    last = code(folder);
    if (folder) held.push_back(std::move(*folder));
  }
  EXPECT_EQ(last, ENFILE);
  EXPECT_EQ(held.size(), 32U);
}

TEST_F(Nodes, StatfsTellsNothingOfTheHost) {
  struct statfs seen {};
  ASSERT_TRUE(fs_->stat_filesystem(caller_, cwd_, "/m/file", seen));
  // A full file system of one block, whatever the host has.
  EXPECT_EQ(seen.f_blocks, 1U);
  EXPECT_EQ(seen.f_bfree + seen.f_bavail, 0U);
  EXPECT_NE(seen.f_flags & 1, 0);
}

TEST_F(Nodes, AccessIsAskedOfTheBits) {
  const auto ask = [this](const char* path, int mode, FinalLink final = FinalLink::kFollow) {
    return code(fs_->access(caller_, cwd_, path, mode, final));
  };
  EXPECT_EQ(ask("/etc/passwd", R_OK), 0);
  EXPECT_EQ(ask("/etc/passwd", X_OK), EACCES);
  EXPECT_EQ(ask("/proc/self/fd", R_OK | X_OK), 0);  // 0500, the guest's own
  EXPECT_EQ(ask("/proc/self/status", R_OK), 0);
  EXPECT_EQ(ask("/proc/self/status", X_OK), EACCES);
  EXPECT_EQ(ask("/program", X_OK), 0);
  EXPECT_EQ(ask("/m/link", X_OK), EACCES);
  EXPECT_EQ(ask("/m/link", X_OK, FinalLink::kNoFollow), 0);
  EXPECT_EQ(ask("/m/file", 8), EINVAL);
}

TEST_F(Nodes, LinkOfTheHostIsReadThroughItsDescriptor) {
  const auto link = open("/m/link", O_PATH | O_NOFOLLOW);
  ASSERT_TRUE(link);
  const auto target = fs_->read_link_descriptor(caller_, guest(link->fd.get()));
  ASSERT_TRUE(target);
  EXPECT_EQ(*target, "file");
  const auto file = open("/m/file", O_PATH);
  EXPECT_EQ(code(fs_->read_link_descriptor(caller_, guest(file->fd.get()))), ENOENT);
}

TEST_F(Nodes, DeviceIsNoneOfATreeWithoutDevices) {
  build(SyntheticRule{"proc"});
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  EXPECT_EQ(fstat(null.get()).stx_mode & S_IFMT, mode_t{S_IFCHR});
  const std::string path = "/proc/self/fd/" + std::to_string(null.get());
  EXPECT_EQ(read_link(path), "/dev/null");
  EXPECT_EQ(open_code("/dev/null"), ENOENT);
}

TEST_F(Nodes, WhatIsOpenBelowTheRootOfTheHostHasItsName) {
  build(ShowRule{"/", "/"}, SyntheticRule{"proc"});
  const auto opened = open(host("a/file"));
  ASSERT_TRUE(opened);
  EXPECT_EQ(read_link("/proc/self/fd/" + std::to_string(opened->fd.get())), host("a/file"));
  const UniqueFd root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  EXPECT_EQ(read_link("/proc/self/fd/" + std::to_string(root.get())), "/");
}

TEST_F(Nodes, NumbersOfProcessors) {
  const std::pair<unsigned, std::pair<const char*, const char*>> kKnown[] = {
      {1, {"0\n", "1\n"}}, {32, {"0-31\n", "ffffffff\n"}}, {33, {"0-32\n", "1,ffffffff\n"}}};
  for (const auto& [count, texts] : kKnown) {
    processes_.cpus = count;
    const std::string status = read("/proc/self/status");
    EXPECT_NE(status.find(std::string("Cpus_allowed_list:\t") + texts.first), std::string::npos);
    EXPECT_NE(status.find(std::string("Cpus_allowed:\t") + texts.second), std::string::npos);
    EXPECT_EQ(read("/sys/devices/system/cpu/online"), texts.first);
  }
  fs_->attach(nullptr);
  EXPECT_EQ(read("/sys/devices/system/cpu/online"), "0\n");
}

TEST_F(Nodes, DeviceIsOpenedAgainAsByItsName) {
  const auto zero = open("/dev/zero");
  const auto null = open("/dev/null", O_RDWR);
  ASSERT_TRUE(zero && null);
  const auto again = [](const Opened& opened) {
    return "/proc/self/fd/" + std::to_string(opened.fd.get());
  };
  EXPECT_EQ(open_code(again(*zero)), 0);
  EXPECT_EQ(open_code(again(*zero), O_RDWR), EACCES);
  EXPECT_EQ(open_code(again(*null), O_RDWR), 0);
  const auto name = open(again(*null), O_PATH);
  ASSERT_TRUE(name);
  EXPECT_EQ(open_code(again(*name), O_RDWR), 0);
  EXPECT_EQ(::write(open(again(*null), O_WRONLY)->fd.get(), "x", 1), 1);
}

}  // namespace
}  // namespace vitrine::vfs
