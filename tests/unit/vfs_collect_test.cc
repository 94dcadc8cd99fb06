// --collect: from scratch to the host, with links planted on both sides.
#include "vfs_fixture.h"

namespace vitrine::vfs {
namespace {

class Collect : public VfsTest {
 protected:
  void SetUp() override {
    VfsTest::SetUp();
    build(ScratchRule{"/s", 64 << 20}, InlineRule{"/i", "inline", false});
  }
  int collect(const std::string& guest_path, const std::string& to, std::uint64_t limit = 1 << 20) {
    return code(fs_->collect(guest_path, to, limit));
  }
  std::string on_host(const std::string& below) const {
    std::ifstream file(host(below));
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  void make(const std::string& path) {
    ASSERT_TRUE(fs_->make_directory(caller_, cwd_, path, 0755));
  }
  void make_link(const std::string& target, const std::string& path) {
    ASSERT_TRUE(fs_->symlink(caller_, target, cwd_, path));
  }
};

TEST_F(Collect, FileIsCopied) {
  write("/s/result", "42");
  ASSERT_EQ(collect("/s/result", host("out")), 0);
  EXPECT_EQ(on_host("out"), "42");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(host_), {}), 1) << "no temporary";
}

TEST_F(Collect, TreeIsCopiedAndLinksAreLeftOut) {
  make("/s/d");
  make("/s/d/empty");
  write("/s/d/file", "x");
  write("/s/d/\xff\n", "odd");
  make_link("/etc/passwd", "/s/d/link");
  make_link("..", "/s/d/up");
  ASSERT_EQ(collect("/s/d", host("out")), 0);
  EXPECT_EQ(on_host("out/file"), "x");
  EXPECT_EQ(on_host("out/\xff\n"), "odd");
  EXPECT_TRUE(std::filesystem::is_directory(host("out/empty")));
  EXPECT_FALSE(std::filesystem::exists(std::filesystem::symlink_status(host("out/link"))));
  EXPECT_FALSE(std::filesystem::exists(std::filesystem::symlink_status(host("out/up"))));
}

TEST_F(Collect, LinkInTheGuestPathIsRefused) {
  write("/s/file", "x");
  make("/s/d");
  write("/s/d/file", "x");
  make_link("file", "/s/link");
  make_link("d", "/s/dlink");
  EXPECT_EQ(collect("/s/link", host("out")), ELOOP);
  EXPECT_EQ(collect("/s/dlink/file", host("out")), ELOOP);
  EXPECT_EQ(collect("/i", host("out")), ENOENT);
  EXPECT_EQ(collect("/s/none", host("out")), ENOENT);
  EXPECT_EQ(collect("/s/file/x", host("out")), ENOTDIR);
}

TEST_F(Collect, LinkOnTheHostIsReplacedNotFollowed) {
  put("victim", "precious");
  put_link(host("victim"), "out");
  write("/s/file", "new");
  ASSERT_EQ(collect("/s/file", host("out")), 0);
  EXPECT_EQ(on_host("victim"), "precious");
  EXPECT_EQ(on_host("out"), "new");
}

TEST_F(Collect, LinkToAFolderOnTheHostIsRefused) {
  put_folder("victim");
  put_link(host("victim"), "out");
  put_folder("real");
  put_link(host("victim"), "real/d");
  make("/s/d");
  make("/s/d/d");
  write("/s/d/d/file", "x");
  EXPECT_NE(collect("/s/d", host("out")), 0);
  EXPECT_NE(collect("/s/d", host("real")), 0);
  EXPECT_TRUE(std::filesystem::is_empty(host("victim")));
}

TEST_F(Collect, LimitIsCheckedBeforeAnythingIsWritten) {
  make("/s/d");
  write("/s/d/a", std::string(600, 'x'));
  write("/s/d/b", std::string(600, 'x'));
  EXPECT_EQ(collect("/s/d", host("out"), 1000), EFBIG);
  EXPECT_FALSE(std::filesystem::exists(host("out")));
  EXPECT_EQ(collect("/s/d", host("out"), 1200), 0);
}

TEST_F(Collect, UnreadableFilesOfTheGuestAreCopied) {
  make("/s/d");
  write("/s/d/file", "x");
  ASSERT_TRUE(fs_->change_mode(caller_, cwd_, "/s/d/file", 0, FinalLink::kFollow));
  ASSERT_TRUE(fs_->change_mode(caller_, cwd_, "/s/d", 0, FinalLink::kFollow));
  EXPECT_EQ(collect("/s/d/file", host("out")), 0);
  struct stat seen {};
  ASSERT_EQ(::stat(host("out").c_str(), &seen), 0);
  EXPECT_EQ(seen.st_mode & 07777, 0U);
  EXPECT_EQ(seen.st_size, 1);
}

TEST_F(Collect, HolesStayHoles) {
  {
    auto file = open("/s/file", O_RDWR | O_CREAT);
    ASSERT_EQ(::pwrite(file->fd.get(), "end", 3, 10 << 20), 3);
  }
  ASSERT_EQ(collect("/s/file", host("out"), 64 << 20), 0);
  struct stat seen {};
  ASSERT_EQ(::stat(host("out").c_str(), &seen), 0);
  EXPECT_EQ(seen.st_size, (10 << 20) + 3);
  EXPECT_LT(seen.st_blocks, 1024);
}

TEST_F(Collect, BadDestinationIsRefused) {
  write("/s/file", "x");
  put_folder("folder/inside");
  EXPECT_NE(collect("/s/file", host("folder")), 0);
  EXPECT_EQ(collect("/s/file", host("missing/out")), ENOENT);
  EXPECT_EQ(collect("/s/file", host("folder/..")), EINVAL);
  EXPECT_EQ(collect("/s/file", "/"), EINVAL);
}

TEST_F(Collect, DestinationIsNamedInAnyWay) {
  write("/s/file", "x");
  ASSERT_EQ(collect("/s/file", host("slashes//")), 0);
  EXPECT_EQ(on_host("slashes"), "x");
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(host_);
  EXPECT_EQ(collect("/s/file", "relative"), 0);
  std::filesystem::current_path(before);
  EXPECT_EQ(on_host("relative"), "x");
  EXPECT_NE(collect("/s/file", "/"), 0);
  EXPECT_NE(collect("/s/file", "/proc/new"), 0);
  EXPECT_EQ(collect("/s/file", "/vitrine-" + std::to_string(::getpid())), 0);
  EXPECT_TRUE(std::filesystem::remove("/vitrine-" + std::to_string(::getpid())));
}

TEST_F(Collect, LimitCountsWhatIsDeep) {
  make("/s/d");
  make("/s/d/e");
  make("/s/d/e/f");
  write("/s/d/e/file", std::string(5000, 'x'));
  write("/s/d/e/f/file", "y");
  EXPECT_EQ(collect("/s/d", host("out"), 4999), EFBIG);
  EXPECT_FALSE(std::filesystem::exists(host("out")));
  EXPECT_EQ(collect("/s/d", host("out"), 5001), 0);
}

TEST_F(Collect, ScratchInScratchIsEntered) {
  build(ScratchRule{"/s", 1 << 20}, ScratchRule{"/s/m/inner", 1 << 20});
  write("/s/m/inner/file", "inner");
  EXPECT_EQ(collect("/s/m/inner/file", host("out")), 0);
  EXPECT_EQ(on_host("out"), "inner");
}

// Those that nobody has open for long are kept as bytes, without their holes.
TEST_F(Collect, FilesThatWereClosedLongAgoAreWhole) {
  options_.max_memory_files = 4;
  build(ScratchRule{"/s", 64 << 20});
  make("/s/d");
  std::string expected(300'000, '\0');
  {
    const auto file = open("/s/d/sparse", O_WRONLY | O_CREAT);
    for (const off_t at : {off_t{0}, off_t{65'530}, off_t{200'000}}) {
      ASSERT_EQ(::pwrite(file->fd.get(), "twelve bytes", 12, at), 12);
      expected.replace(static_cast<std::size_t>(at), 12, "twelve bytes");
    }
    ASSERT_EQ(::ftruncate(file->fd.get(), 300'000), 0);
  }
  for (int i = 0; i < 20; ++i) write("/s/d/" + std::to_string(i), std::to_string(i));
  ASSERT_EQ(collect("/s/d", host("out")), 0);
  EXPECT_EQ(on_host("out/sparse"), expected);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(on_host("out/" + std::to_string(i)), std::to_string(i));
}

}  // namespace
}  // namespace vitrine::vfs
