// Names: where they lead, and that they never lead out.
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <thread>

#include "vfs_fixture.h"

namespace vitrine::vfs {
namespace {

// Every case with openat2(2), and as on a kernel that has none.
class Resolution : public VfsTest, public ::testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    VfsTest::SetUp();
    options_.use_openat2 = GetParam();
  }
};
INSTANTIATE_TEST_SUITE_P(Openat2, Resolution, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Present" : "Absent"; });

TEST_P(Resolution, FileBelowMountGivesItsContent) {
  put("a/b/file", "hello");
  build(ShowRule{host("a"), "/shown"});
  EXPECT_EQ(read("/shown/b/file"), "hello");
  EXPECT_EQ(read("//shown//./b/../b/file"), "hello");
  EXPECT_EQ(fs_->resolved_path(), "/shown/b/file");
  EXPECT_EQ(fs_->deciding_rule(), "rule0");
}

TEST_P(Resolution, WhatIsNotShownGivesEnoent) {
  put("a/file", "x");
  build(ShowRule{host("a"), "/shown"});
  EXPECT_EQ(open_code("/etc/shadow"), ENOENT);
  EXPECT_EQ(fs_->deciding_rule(), "default");
  EXPECT_EQ(fs_->resolved_path(), "/etc");
  EXPECT_EQ(open_code("/shown/none"), ENOENT);
  EXPECT_EQ(fs_->deciding_rule(), "rule0");
  EXPECT_EQ(open_code(""), ENOENT);
  EXPECT_EQ(stat_code(host("a/file")), ENOENT);
}

TEST_P(Resolution, DotDotNeverLeavesTheTree) {
  put("a/file", "x");
  put("secret", "s");
  build(ShowRule{host("a"), "/m"});
  EXPECT_EQ(open_code("/m/../secret"), ENOENT);
  EXPECT_EQ(open_code("/../../../../m/file"), 0);
  EXPECT_EQ(stat("/../..").stx_ino, stat("/").stx_ino);
  EXPECT_EQ(open_code("/m/none/../file"), ENOENT);
  EXPECT_EQ(open_code("/m/file/../file"), ENOTDIR);
  EXPECT_EQ(open_code("/m/file/."), ENOTDIR);
}

TEST_P(Resolution, RelativeLinkIsWalkedInside) {
  put("a/real/file", "x");
  put_link("real", "a/folder");
  put_link("folder/file", "a/link");
  put_link("../a/real/file", "a/out_and_in");
  build(ShowRule{host("a"), "/m"});
  EXPECT_EQ(read("/m/folder/file"), "x");
  EXPECT_EQ(read("/m/link"), "x");
  EXPECT_EQ(fs_->resolved_path(), "/m/real/file");
  EXPECT_EQ(open_code("/m/out_and_in"), ENOENT);
  EXPECT_EQ(read("/m/folder/../real/file"), "x");
  EXPECT_EQ(read_link("/m/link"), "folder/file");
  EXPECT_EQ(read_link("/m/real"), "errno 22");
}

TEST_P(Resolution, AbsoluteLinkStartsAtTheGuestsRoot) {
  put_folder("a");
  put_link("/etc/passwd", "a/link");
  put_link("/", "a/top");
  build(ShowRule{host("a"), "/m"}, InlineRule{"/etc/passwd", "inside", false});
  EXPECT_EQ(read("/m/link"), "inside");
  EXPECT_EQ(read("/m/top/m/top/etc/passwd"), "inside");
}

TEST_P(Resolution, LinkOutOfTheMountGivesEnoent) {
  put_folder("a");
  put("secret", "s");
  put_link("../secret", "a/up");
  put_link(host("secret"), "a/absolute");
  put_link("/proc/self/root/etc/passwd", "a/magic");
  build(ShowRule{host("a"), "/m"});
  EXPECT_EQ(open_code("/m/up"), ENOENT);
  EXPECT_EQ(open_code("/m/absolute"), ENOENT);
  EXPECT_EQ(open_code("/m/magic"), ENOENT);
}

TEST_P(Resolution, LoopGivesEloop) {
  put_folder("a");
  put_link("b", "a/a");
  put_link("a", "a/b");
  build(ShowRule{host("a"), "/m"}, LinkRule{"/l", "/l"}, ScratchRule{"/s", 1 << 20});
  EXPECT_EQ(open_code("/m/a"), ELOOP);
  EXPECT_EQ(open_code("/l"), ELOOP);
  EXPECT_EQ(open_code("/l/x"), ELOOP);
  EXPECT_EQ(code(fs_->symlink(caller_, "self", cwd_, "/s/self")), 0);
  EXPECT_EQ(open_code("/s/self"), ELOOP);
  EXPECT_EQ(open_code("/s/self", O_CREAT | O_WRONLY), ELOOP);
}

TEST_P(Resolution, LoopThatGrowsPastTheLongestPathGivesEloop) {
  put_folder("a");
  put_link("b", "a/a");
  put_link("a/" + std::string(250, 'n'), "a/b");
  build(ShowRule{host("a"), "/m"});
  EXPECT_EQ(open_code("/m/a"), ELOOP);
}

TEST_P(Resolution, FortyLinksAreFollowedAndNoMore) {
  put("a/l0", "end");
  for (int i = 1; i <= 41; ++i) put_link("l" + std::to_string(i - 1), "a/l" + std::to_string(i));
  build(ShowRule{host("a"), "/m"});
  EXPECT_EQ(read("/m/l40"), "end");
  EXPECT_EQ(open_code("/m/l41"), ELOOP);
}

TEST_P(Resolution, LinkIsNotFollowedWhenAsked) {
  put("a/file", "x");
  put_link("file", "a/link");
  build(ShowRule{host("a"), "/m"});
  EXPECT_EQ(open_code("/m/link", O_RDONLY | O_NOFOLLOW), ELOOP);
  EXPECT_EQ(open_code("/m/link", O_PATH | O_NOFOLLOW), 0);
  EXPECT_TRUE(S_ISLNK(stat("/m/link", FinalLink::kNoFollow).stx_mode));
  EXPECT_TRUE(S_ISREG(stat("/m/link").stx_mode));
}

TEST_P(Resolution, TrailingSlashDemandsAFolder) {
  put("a/file", "x");
  put_folder("a/folder");
  put_link("folder", "a/link");
  put_link("file", "a/filelink");
  build(ShowRule{host("a"), "/m"});
  EXPECT_EQ(stat_code("/m/file/"), ENOTDIR);
  EXPECT_EQ(stat_code("/m/folder/"), 0);
  EXPECT_TRUE(S_ISDIR(stat("/m/link/", FinalLink::kNoFollow).stx_mode));
  EXPECT_EQ(stat_code("/m/filelink/", FinalLink::kNoFollow), ENOTDIR);
}

TEST_P(Resolution, LengthsGiveEnametoolong) {
  put("a/file", "x");
  build(ShowRule{host("a"), "/m"}, ScratchRule{"/s", 1 << 20});
  const std::string name256(256, 'n');
  EXPECT_EQ(open_code("/m/" + name256), ENAMETOOLONG);
  EXPECT_EQ(open_code("/s/" + name256, O_CREAT | O_WRONLY), ENAMETOOLONG);
  EXPECT_EQ(open_code("/s/" + std::string(255, 'n'), O_CREAT | O_WRONLY), 0);
  EXPECT_EQ(open_code("/none/" + name256), ENOENT);
  std::string long_path = "/m";
  while (long_path.size() < 4090) long_path += "/.";
  EXPECT_EQ(read(long_path + "/file"), "x");  // 4095 bytes
  EXPECT_EQ(open_code(long_path + "//file"), ENAMETOOLONG);
}

TEST_P(Resolution, FileAsFolderGivesEnotdir) {
  put("a/file", "x");
  build(ShowRule{host("a"), "/m"}, InlineRule{"/i", "x", false}, ScratchRule{"/s", 1 << 20});
  write("/s/file", "x");
  EXPECT_EQ(stat_code("/m/file/x"), ENOTDIR);
  EXPECT_EQ(stat_code("/i/x"), ENOTDIR);
  EXPECT_EQ(stat_code("/s/file/x"), ENOTDIR);
  EXPECT_EQ(open_code("/m/file", O_RDONLY | O_DIRECTORY), ENOTDIR);
}

TEST_P(Resolution, HiddenPathIsAbsentEverywhere) {
  put("a/b/secret/file", "s");
  put("a/b/open", "o");
  put("a/b/one", "1");
  put_link("b/secret", "a/link");
  build(ShowRule{host("a"), "/m"}, HideRule{"/m/b/secret"}, HideRule{"/m/b/one"},
        HideRule{"/m/b/never"});
  EXPECT_EQ(stat_code("/m/b/secret"), ENOENT);
  EXPECT_EQ(fs_->deciding_rule(), "rule1");
  EXPECT_EQ(stat_code("/m/b/secret/file"), ENOENT);
  EXPECT_EQ(stat_code("/m/link/file"), ENOENT);
  EXPECT_EQ(stat_code("/m/b/../b/secret"), ENOENT);
  EXPECT_EQ(read("/m/b/open"), "o");
  EXPECT_EQ(names("/m/b"), "open");
  EXPECT_EQ(names("/m"), "b link");
}

TEST_P(Resolution, BelowWhatIsOnlyOnTheWayToAHiddenPathNothingIsLookedFor) {
  put("a/file", "x");
  build(ShowRule{host("a"), "/m"}, HideRule{"/m/none/below/secret"});
  EXPECT_EQ(open_code("/m/none"), ENOENT);
  EXPECT_EQ(open_code("/m/none/" + std::string(256, 'n')), ENOENT);
}

TEST_P(Resolution, WhatALaterRuleShowsBelowAHiddenPathIsThereAndNothingElse) {
  put("a/hidden/secret", "s");
  put("b/file", "x");
  build(ShowRule{host("a"), "/m"}, HideRule{"/m/hidden"}, ShowRule{host("b"), "/m/hidden/b"});
  EXPECT_EQ(read("/m/hidden/b/file"), "x");
  EXPECT_EQ(names("/m/hidden"), "b");
  EXPECT_EQ(open_code("/m/hidden/secret"), ENOENT);
  build(ShowRule{host("a"), "/m"}, ShowRule{host("b"), "/m/hidden/b"}, HideRule{"/m/hidden"});
  EXPECT_EQ(open_code("/m/hidden/b/file"), ENOENT);
  EXPECT_EQ(open_code("/m/hidden"), ENOENT);
}

TEST_P(Resolution, FolderCoversWhatAnEarlierRuleHidInScratch) {
  build(ScratchRule{"/s", 1 << 20}, HideRule{"/s/work"}, FolderRule{"/s/work"},
        LinkRule{"/s/link", "/nowhere"}, FolderRule{"/s/link"});
  EXPECT_TRUE(S_ISDIR(stat("/s/work").stx_mode));
  EXPECT_TRUE(S_ISDIR(stat("/s/link", FinalLink::kNoFollow).stx_mode));
}

TEST_P(Resolution, HideThroughALinkHidesWhatItNames) {
  put("usr/lib/secret", "s");
  put("usr/lib/open", "o");
  build(ShowRule{host("usr"), "/usr"}, LinkRule{"/lib", "usr/lib"}, HideRule{"/lib/secret"});
  EXPECT_EQ(stat_code("/usr/lib/secret"), ENOENT);
  EXPECT_EQ(stat_code("/lib/secret"), ENOENT);
  EXPECT_EQ(read("/lib/open"), "o");
}

TEST_P(Resolution, MountInsideAMountCoversIt) {
  put("outer/x/inner/file", "outer");
  put("outer/x/other", "other");
  put("inner/file", "inner");
  build(ShowRule{host("outer"), "/m"}, ShowRule{host("inner"), "/m/x/inner"});
  EXPECT_EQ(read("/m/x/inner/file"), "inner");
  EXPECT_EQ(read("/m/x/other"), "other");
  EXPECT_EQ(read("/m/x/inner/../other"), "other");
  EXPECT_EQ(names("/m/x"), "inner other");
  EXPECT_EQ(list("/m/x")["inner"].inode, stat("/m/x/inner").stx_ino);
}

TEST_P(Resolution, LaterRuleCoversEarlierOnes) {
  put("one/file", "1");
  put("two/file", "2");
  build(ShowRule{host("one"), "/m"}, HideRule{"/m/file"}, ShowRule{host("two"), "/m"});
  EXPECT_EQ(read("/m/file"), "2");
  build(ShowRule{host("one"), "/m/deep/below"}, ShowRule{host("two"), "/m"});
  EXPECT_EQ(stat_code("/m/deep"), ENOENT);
}

TEST_P(Resolution, MountPointAbsentOnTheHostIsShown) {
  put("outer/file", "o");
  put("inner/file", "i");
  build(ShowRule{host("outer"), "/m"}, ShowRule{host("inner"), "/m/new/deep"});
  EXPECT_EQ(read("/m/new/deep/file"), "i");
  EXPECT_EQ(names("/m"), "file new");
  EXPECT_EQ(names("/m/new"), "deep");
  EXPECT_TRUE(S_ISDIR(stat("/m/new").stx_mode));
  EXPECT_EQ(names("/"), "m");
}

TEST_P(Resolution, LinksOnTheHostPathAreShownAsLinks) {
  put("usr/bin/python3.11", "python");
  put_link("python3.11", "usr/bin/python3");
  put_link("usr/bin", "bin");
  build(ShowRule{host("bin/python3"), ""});
  EXPECT_EQ(read(host("bin/python3")), "python");
  EXPECT_EQ(fs_->resolved_path(), host("usr/bin/python3.11"));
  EXPECT_EQ(read_link(host("bin")), "usr/bin");
  EXPECT_EQ(read_link(host("usr/bin/python3")), "python3.11");
  EXPECT_EQ(names(host("usr/bin")), "python3 python3.11");
}

TEST_P(Resolution, ShownTwiceByItsPathAndByALinkAgrees) {
  put("usr/lib/a", "a");
  put_link("usr/lib", "lib");
  build(ShowRule{host("usr"), ""}, ShowRule{host("lib"), ""}, ShowRule{host("lib/a"), ""});
  EXPECT_EQ(read(host("lib/a")), "a");
  EXPECT_EQ(stat(host("lib/a")).stx_ino, stat(host("usr/lib/a")).stx_ino);
}

TEST_P(Resolution, StarShowsWhatMatches) {
  put("p/a.py", "a");
  put("p/b.py", "b");
  put("p/c.txt", "c");
  put("p/.hidden.py", "h");
  build(ShowRule{host("p/*.py"), "", false, true}, ShowRule{host("none/*"), "", true, true});
  EXPECT_EQ(names(host("p")), "a.py b.py");
}

TEST_P(Resolution, BadRuleIsRefusedAndNamed) {
  ASSERT_EQ(::mkfifo((host_ + "/fifo").c_str(), 0600), 0);
  const auto refused = [&](auto rule) {
    const auto built = FileSystem::build({FileRule{rule, {"the rule", ""}}}, options_);
    EXPECT_FALSE(built);
    if (built) return;
    EXPECT_EQ(built.error().kind, Error::Kind::kInvalid);
    EXPECT_NE(built.error().message().find("the rule"), std::string::npos)
        << built.error().message();
  };
  refused(ShowRule{host("missing"), ""});
  refused(ShowRule{host("missing"), "/m"});
  refused(ShowRule{host("fifo"), ""});
  refused(ShowRule{"/dev/null", ""});
  refused(ShowRule{"/proc", ""});
  refused(ShowRule{host(""), "relative"});
  refused(ShowRule{host(""), "/a/../b"});
  refused(ShowRule{"relative", ""});
  refused(SyntheticRule{"nonsense"});
  put("file", "x");
  refused(ShowRule{host("file"), "/"});
  refused(HideRule{"/"});
  refused(ShowRule{host("none-*"), "", false, true});
  put_link("circle", "circle");
  refused(ShowRule{host("circle"), ""});
  refused(LinkRule{"/", "x"});
  refused(InlineRule{"//", "x", false});
  for (const char* name : {"missing", "fifo"})
    for (const std::string guest : {"", "/m"})
      EXPECT_TRUE(FileSystem::build({FileRule{ShowRule{host(name), guest, true}, {}}}, options_));
  const auto on_a_file = FileSystem::build(
      {FileRule{InlineRule{"/file", "x", false}, {}}, FileRule{FolderRule{"/file"}, {}}}, options_);
  EXPECT_EQ(on_a_file.error().kind, Error::Kind::kInvalid);
  const auto in_full_scratch = FileSystem::build(
      {FileRule{ScratchRule{"/s", 100}, {}}, FileRule{FolderRule{"/s/made"}, {}}}, options_);
  EXPECT_EQ(in_full_scratch.error().kind, Error::Kind::kInvalid);
}

TEST_P(Resolution, MountsAreNamedAsTheKernelNamesThem) {
  build(ScratchRule{"/m n\t\\\n", 1 << 20}, SyntheticRule{"proc"});
  EXPECT_NE(read("/proc/mounts").find(" /m\\040n\\011\\134\\012 "), std::string::npos)
      << read("/proc/mounts");
}

TEST_P(Resolution, RootCanBeAHostFolderOrScratch) {
  put("a/file", "x");
  build(ShowRule{host("a"), "/"}, ScratchRule{"/s", 1 << 20});
  EXPECT_EQ(read("/file"), "x");
  EXPECT_EQ(read("/../s/../file"), "x");
  EXPECT_EQ(names("/"), "file s");
  build(ScratchRule{"/", 1 << 20}, ShowRule{host("a"), "/m/n"});
  write("/new", "n");
  EXPECT_EQ(read("/m/../new"), "n");
  EXPECT_EQ(read("/m/n/file"), "x");
  EXPECT_EQ(fs_->path_of(*fs_->open_directory(caller_, cwd_, "/m")), "/m");
  EXPECT_EQ(names("/"), "m new");
}

TEST_P(Resolution, HostProcBelowAMountDoesNotExist) {
  build(ShowRule{"/", "/host"});
  EXPECT_EQ(stat_code("/host/proc/self"), ENOENT);
  EXPECT_EQ(stat_code("/host/proc"), ENOENT);
  EXPECT_EQ(stat_code("/host/etc"), 0);
}

TEST_P(Resolution, FolderRuleMakesAPathExistAndCoversNothing) {
  put("a/file", "x");
  build(ShowRule{host("a"), "/m"}, FolderRule{"/m"}, FolderRule{"/w/x/y"},
        ScratchRule{"/s", 1 << 20}, FolderRule{"/s/made/here"});
  EXPECT_EQ(read("/m/file"), "x");
  EXPECT_EQ(names("/w"), "x");
  EXPECT_EQ(names("/w/x/y"), "");
  EXPECT_EQ(names("/s/made"), "here");
}

TEST_P(Resolution, RelativeLookupStartsAtTheBase) {
  put("a/b/file", "x");
  build(ShowRule{host("a"), "/m"});
  auto folder = fs_->open_directory(caller_, cwd_, "/m/b");
  ASSERT_TRUE(folder);
  EXPECT_EQ(fs_->path_of(*folder), "/m/b");
  cwd_ = *folder;
  EXPECT_EQ(read("file"), "x");
  EXPECT_EQ(read("../b/file"), "x");
  EXPECT_EQ(read("../../m/b/file"), "x");
  EXPECT_EQ(stat(".").stx_ino, stat("/m/b").stx_ino);
  EXPECT_EQ(code(fs_->open_directory(caller_, cwd_, "file")), ENOTDIR);
}

TEST_P(Resolution, SpecialFilesBelowAMountCanBeSeenNotOpened) {
  put("a/file", "x");
  ASSERT_EQ(::mkfifo(host("a/fifo").c_str(), 0666), 0);
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  host("a/socket").copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  build(ShowRule{host("a"), "/m"});
  EXPECT_TRUE(S_ISFIFO(stat("/m/fifo").stx_mode));
  EXPECT_EQ(open_code("/m/fifo"), EACCES);
  EXPECT_EQ(open_code("/m/fifo", O_RDWR), EACCES);
  EXPECT_TRUE(S_ISSOCK(stat("/m/socket").stx_mode));
  EXPECT_EQ(open_code("/m/socket"), ENXIO);
}

// A folder swapped for a link to the outside while names below it are resolved: what is opened is
// always a file of the mount.
TEST_P(Resolution, LinkSwappedInDuringLookupNeverLeadsOut) {
  put("m/dir/file", "inside");
  put("out/file", "outside");
  put_link(host("out"), "m/swap");
  build(ShowRule{host("m"), "/m"});
  std::atomic<bool> stop{false};
  std::thread swapper([&] {
    const std::string a = host("m/dir");
    const std::string b = host("m/swap");
    while (!stop) ::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE);
  });
  int opened = 0;
  for (int i = 0; i < 20000; ++i) {
    auto file = open("/m/dir/file");
    if (!file) continue;
    ++opened;
    EXPECT_EQ(read_all(file->fd.get()), "inside");
  }
  stop = true;
  swapper.join();
  EXPECT_GT(opened, 0);
}

TEST_P(Resolution, FolderThatTheHostTakesAwayHasNoParent) {
  put("a/b/c/file", "x");
  build(ShowRule{host("a"), "/m"});
  auto base = fs_->open_directory(caller_, cwd_, "/m/b/c");
  ASSERT_TRUE(base);
  struct statx out {};
  EXPECT_EQ(code(fs_->stat(caller_, *base, "..", FinalLink::kFollow, out)), 0);
  EXPECT_EQ(code(fs_->stat(caller_, *base, ".", FinalLink::kFollow, out)), 0);
  std::filesystem::rename(host("a/b"), host("elsewhere"));
  std::this_thread::sleep_for(std::chrono::milliseconds(30));  // longer than a folder is believed
  EXPECT_EQ(code(fs_->stat(caller_, *base, "..", FinalLink::kFollow, out)), ENOENT);
  EXPECT_EQ(code(fs_->stat(caller_, *base, ".", FinalLink::kFollow, out)), ENOENT);
  EXPECT_EQ(code(fs_->stat(caller_, *base, "../..", FinalLink::kFollow, out)), ENOENT);
  put("a/b/c", "a file");
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_EQ(code(fs_->stat(caller_, *base, ".", FinalLink::kFollow, out)), ENOTDIR);
  EXPECT_EQ(code(fs_->stat(caller_, *base, "..", FinalLink::kFollow, out)), ENOTDIR);
}

}  // namespace
}  // namespace vitrine::vfs
