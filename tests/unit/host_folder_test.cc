#include "vfs/host_folder.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <thread>

namespace vitrine::vfs {
namespace {

namespace fs = std::filesystem;

class HostFoldersTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = fs::temp_directory_path() / "vitrine-host-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    top_ = name;
    fs::create_directories(top_ / "a/b");
    write("a/b/file", "content");
    root_ = HostRoot(UniqueFd(::open(top_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)));
  }
  void TearDown() override { fs::remove_all(top_); }

  void write(const std::string& path, const std::string& text) const {
    std::ofstream(top_ / path) << text;
  }
  static int error_of(const auto& result) { return result ? 0 : result.error().code; }
  static std::string content_of(int fd) {
    char text[64] = {};
    const ssize_t got = ::read(fd, text, sizeof text);
    return {text, static_cast<std::size_t>(got < 0 ? 0 : got)};
  }
  // Longer than an opened folder is believed.
  static void outlast() { std::this_thread::sleep_for(std::chrono::milliseconds(30)); }

  fs::path top_;
  HostRoot root_;
  HostFolders folders_{true};
};

TEST_F(HostFoldersTest, LooksAndOpensWhatANameStandsFor) {
  for (const bool use_openat2 : {true, false}) {
    HostFolders folders(use_openat2);
    const auto file = folders.look(root_, "a/b/file");
    ASSERT_TRUE(file);
    EXPECT_EQ(type_of(file->attributes()), mode_t{S_IFREG});
    const auto opened = file->open(O_RDONLY);
    ASSERT_TRUE(opened);
    EXPECT_EQ(content_of(opened->get()), "content");
    EXPECT_EQ(::fcntl(opened->get(), F_GETFL) & (O_NONBLOCK | O_ACCMODE), O_RDONLY);
    EXPECT_EQ(error_of(folders.look(root_, "a/none")), ENOENT);
    EXPECT_EQ(error_of(folders.look(root_, "none/file")), ENOENT);
    EXPECT_EQ(error_of(folders.look(root_, "a/b/file/x")), ENOTDIR);
    EXPECT_EQ(error_of(folders.look(root_, "a")->open(O_RDONLY)), EACCES);
  }
}

TEST_F(HostFoldersTest, FollowsNoLink) {
  fs::create_directory_symlink("b", top_ / "a/link");
  fs::create_symlink("file", top_ / "a/b/link");
  for (const bool use_openat2 : {true, false}) {
    HostFolders folders(use_openat2);
    EXPECT_EQ(error_of(folders.look(root_, "a/link/file")), ELOOP);
    const auto link = folders.look(root_, "a/b/link");
    ASSERT_TRUE(link);
    EXPECT_EQ(type_of(link->attributes()), mode_t{S_IFLNK});
    EXPECT_EQ(link->target_of_link().value_or(""), "file");
    EXPECT_EQ(error_of(link->open(O_RDONLY)), EACCES);
  }
}

TEST_F(HostFoldersTest, AnotherTypeUnderTheNameIsRefused) {
  const auto file = folders_.look(root_, "a/b/file");
  ASSERT_TRUE(file);
  fs::remove(top_ / "a/b/file");
  EXPECT_EQ(error_of(file->open(O_RDONLY)), ENOENT);
  fs::create_symlink("/etc/passwd", top_ / "a/b/file");
  EXPECT_EQ(error_of(file->open(O_RDONLY)), ELOOP);
  EXPECT_EQ(error_of(file->handle()), ENOENT);
  fs::remove(top_ / "a/b/file");
  // With nobody at its other end, opening it for reading would wait.
  ASSERT_EQ(::mkfifo((top_ / "a/b/file").c_str(), 0600), 0);
  EXPECT_EQ(error_of(file->open(O_RDONLY)), ENOENT);
  fs::remove(top_ / "a/b/file");
  fs::create_directory(top_ / "a/b/file");
  EXPECT_EQ(error_of(file->open(O_RDONLY)), ENOENT);
  EXPECT_FALSE(file->may_access(R_OK));
}

TEST_F(HostFoldersTest, SeesWhatTheHostChangesInAFolder) {
  ASSERT_TRUE(folders_.look(root_, "a/b/file"));
  EXPECT_EQ(error_of(folders_.look(root_, "a/b/new")), ENOENT);
  write("a/b/new", "x");
  EXPECT_TRUE(folders_.look(root_, "a/b/new"));
  fs::remove(top_ / "a/b/file");
  EXPECT_EQ(error_of(folders_.look(root_, "a/b/file")), ENOENT);
}

TEST_F(HostFoldersTest, AMovedFolderIsSoonForgotten) {
  ASSERT_TRUE(folders_.look(root_, "a/b/file"));
  fs::rename(top_ / "a/b", top_ / "a/c");
  outlast();
  EXPECT_EQ(error_of(folders_.look(root_, "a/b/file")), ENOENT);
  EXPECT_TRUE(folders_.look(root_, "a/c/file"));
  fs::create_directory_symlink("c", top_ / "a/b");
  EXPECT_EQ(error_of(folders_.look(root_, "a/b/file")), ELOOP);
}

TEST_F(HostFoldersTest, AnotherMountIsNeverTakenForOneThatIsGone) {
  ASSERT_TRUE(folders_.look(root_, "a/b/file"));
  const int number = root_.fd();
  fs::create_directories(top_ / "other/a/b");
  root_ = HostRoot();
  root_ = HostRoot(UniqueFd(::open((top_ / "other").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)));
  ASSERT_EQ(root_.fd(), number) << "the descriptor's number was not used again";
  EXPECT_EQ(error_of(folders_.look(root_, "a/b/file")), ENOENT);
}

TEST_F(HostFoldersTest, KeepsFewDescriptors) {
  const auto open_now = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  const auto before = open_now();
  for (int i = 0; i < 500; ++i) {
    const std::string folder = "many/" + std::to_string(i);
    fs::create_directories(top_ / folder);
    EXPECT_EQ(error_of(folders_.look(root_, folder + "/none")), ENOENT);
  }
  EXPECT_LE(open_now(), before + 64);
}

TEST_F(HostFoldersTest, AMountOfAFileIsItself) {
  const HostRoot file(UniqueFd(::open((top_ / "a/b/file").c_str(), O_PATH | O_CLOEXEC)));
  fs::remove(top_ / "a/b/file");
  const auto seen = folders_.look(file, "");
  ASSERT_TRUE(seen);
  const auto opened = seen->open(O_RDONLY);
  ASSERT_TRUE(opened);
  EXPECT_EQ(content_of(opened->get()), "content");
  EXPECT_EQ(::fcntl(opened->get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_TRUE(seen->handle());
  EXPECT_EQ(error_of(folders_.look(file, "x")), ENOTDIR);
}

TEST_F(HostFoldersTest, TheHostsProcIsNotThere) {
  const HostRoot host(UniqueFd(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)));
  EXPECT_EQ(error_of(folders_.look(host, "proc")), ENOENT);
  EXPECT_EQ(error_of(folders_.look(host, "proc/version")), ENOENT);
  EXPECT_EQ(error_of(folders_.look(host, "proc/sys/kernel/ostype")), ENOENT);
}

// Each has a device number of its own (Linux 5.8).
TEST_F(HostFoldersTest, NoProcIsThereWhereverOneIsMounted) {
  for (const char* folder : {"a/proc", "a/later", "a/memory"})
    fs::create_directories(top_ / folder);
  bool may = false;
  std::thread([&] {  // a thread of its own has a namespace of its own
    const auto mount_proc = [&](const char* folder) {
      return ::mount("proc", (top_ / folder).c_str(), "proc", 0, nullptr) == 0;
    };
    may = ::unshare(CLONE_NEWNS) == 0 &&
          ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 && mount_proc("a/proc");
    if (!may) return;
    const auto open = [&](const char* folder) {
      return HostRoot(UniqueFd(::open((top_ / folder).c_str(), O_PATH | O_CLOEXEC)));
    };
    const HostRoot here = open("");
    const HostRoot proc = open("a/proc");
    EXPECT_TRUE(fs::exists(top_ / "a/proc/version"));
    EXPECT_EQ(error_of(folders_.look(here, "a/proc")), ENOENT);
    EXPECT_EQ(error_of(folders_.look(here, "a/proc/version")), ENOENT);
    EXPECT_EQ(error_of(folders_.look(here, "a/proc/sys/kernel/ostype")), ENOENT);
    EXPECT_EQ(error_of(folders_.look(proc, "")), ENOENT);
    EXPECT_EQ(error_of(folders_.look(proc, "version")), ENOENT);
    EXPECT_EQ(error_of(folders_.look(here, "a/b/file")), 0);
    ASSERT_EQ(::mount("none", (top_ / "a/memory").c_str(), "tmpfs", 0, nullptr), 0);
    write("a/memory/file", "content");
    EXPECT_EQ(error_of(folders_.look(here, "a/memory/file")), 0);
    outlast();
    EXPECT_EQ(error_of(folders_.look(here, "a/memory")), 0);
    const auto later = folders_.look(here, "a/later");
    ASSERT_TRUE(later);
    EXPECT_TRUE(later->open_folder());
    ASSERT_TRUE(mount_proc("a/later"));
    EXPECT_EQ(error_of(later->open_folder()), ENOENT);
    EXPECT_EQ(error_of(later->handle()), ENOENT);
  })
      .join();
  if (!may) GTEST_SKIP() << "no mount namespace here";
}

}  // namespace
}  // namespace vitrine::vfs
