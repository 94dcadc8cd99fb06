// What the host has where the run is shown nothing, and where that is not looked at.
#include "vfs/host_presence.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "failing_call.h"

namespace vitrine::vfs {
namespace {

// With openat2(2) and without.
class HostPresenceTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "vitrine-presence-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = std::filesystem::canonical(pattern);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // The host's table, but with /proc of the type `type` and the root of the type `root`.
  std::string table(const std::string& type, const std::string& root = "tmpfs") {
    const std::string path = folder_ / "mounts";
    std::ofstream out(path);
    std::ifstream in("/proc/self/mountinfo");
    for (std::string line; std::getline(in, line);) {
      std::istringstream words(line);
      std::string id, parent, device, of, at;
      words >> id >> parent >> device >> of >> at;
      if (at == "/proc") out << id << " 1 0:1 / /proc rw - " << type << " proc rw\n";
      if (at == "/") out << id << " 1 0:2 / / rw - " << root << " none rw\n";
    }
    return path;
  }

  std::filesystem::path folder_;
};

// What cannot be looked at counts as there.
TEST_P(HostPresenceTest, NothingIsMissingForACallThatFails) {
  std::filesystem::create_directories(folder_ / "below");
  std::ofstream(folder_ / "below/file");
  const std::vector<long> calls{SYS_openat, SYS_openat2, SYS_newfstatat, SYS_fcntl, SYS_read};
  for (const int error : {EMFILE, EACCES, EXDEV}) {
    test::each_in_turn(calls, error, [&](const auto& arm) {
      arm();
      HostPresence host(GetParam());
      for (int i = 0; i < 2; ++i) EXPECT_TRUE(host.may_have(folder_ / "below/file"));
    });
  }
}

TEST_P(HostPresenceTest, TellsWhatIsThereFromWhatIsNot) {
  HostPresence host(GetParam());
  std::ofstream(folder_ / "file");
  std::filesystem::create_symlink("/nonexistent", folder_ / "link");
  EXPECT_TRUE(host.may_have("/"));
  EXPECT_TRUE(host.may_have(folder_));
  EXPECT_TRUE(host.may_have(folder_ / "file"));
  EXPECT_TRUE(host.may_have(folder_ / "link"));
  EXPECT_FALSE(host.may_have(folder_ / "missing"));
  EXPECT_FALSE(host.may_have(folder_ / "missing/below"));
  EXPECT_FALSE(host.may_have(folder_ / "file/below"));
}

TEST_P(HostPresenceTest, EntersLocalMounts) {
  HostPresence host(GetParam(), table("proc"));
  EXPECT_TRUE(host.may_have("/proc"));
  EXPECT_TRUE(host.may_have("/proc/self"));
  EXPECT_TRUE(host.may_have("/proc/version"));
  EXPECT_FALSE(host.may_have("/proc/missing"));
}

TEST_P(HostPresenceTest, EntersNoMountOfAnotherKind) {
  EXPECT_TRUE(HostPresence(GetParam(), table("nfs4")).may_have("/proc/missing"));
  EXPECT_TRUE(HostPresence(GetParam(), table("fuse.sshfs")).may_have("/proc/missing"));
}

TEST_P(HostPresenceTest, EntersNothingThatIsNotWhatTheTableSays) {
  const std::string path = folder_ / "mounts";
  std::ofstream(path) << "999999 1 0:1 / /proc rw - proc proc rw\n";
  EXPECT_TRUE(HostPresence(GetParam(), path).may_have("/proc/missing"));
}

TEST_P(HostPresenceTest, EntersNothingThatTheTableDoesNotHave) {
  const std::string path = folder_ / "root";
  std::ifstream own(table("proc"));
  std::string line;
  while (std::getline(own, line) && line.find(" / / ") == std::string::npos) {
  }
  std::ofstream(path) << line << "\n";
  EXPECT_TRUE(HostPresence(GetParam(), path).may_have("/proc/missing"));
}

TEST_P(HostPresenceTest, TakesTheRootAsItIs) {
  EXPECT_FALSE(HostPresence(GetParam(), table("proc", "9p")).may_have("/proc/missing"));
  EXPECT_FALSE(HostPresence(GetParam(), table("proc", "nfs4")).may_have("/missing/below"));
}

TEST_P(HostPresenceTest, EntersNoMountThatItDoesNotKnow) {
  EXPECT_TRUE(HostPresence(GetParam(), "/nonexistent").may_have("/proc/missing"));
}

TEST_P(HostPresenceTest, FollowsNoLinkIntoAMount) {
  HostPresence host(GetParam(), table("proc"));
  std::filesystem::create_symlink("/proc", folder_ / "link");
  EXPECT_TRUE(host.may_have(folder_ / "link/missing"));
  EXPECT_TRUE(host.may_have("/proc/../proc/missing"));
}

TEST_P(HostPresenceTest, WhatMayNotBeLookedAtCounts) {
  HostPresence host(GetParam());
  std::filesystem::create_directory(folder_ / "closed");
  ASSERT_EQ(chmod((folder_ / "closed").c_str(), 0), 0);
  constexpr uid_t kNobody = 65534;
  if (getuid() == 0) setfsuid(kNobody);  // root may look everywhere
  EXPECT_TRUE(host.may_have(folder_ / "closed/missing"));
  setfsuid(getuid());
}

TEST_P(HostPresenceTest, NamesInTheTableAreEscaped) {
  const std::filesystem::path place = folder_ / "a b\\c";
  std::filesystem::create_directory(place);
  bool may = false;
  std::thread([&] {  // a thread of its own has a namespace of its own
    may = ::unshare(CLONE_NEWNS) == 0 &&
          ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
          ::mount("none", place.c_str(), "tmpfs", 0, nullptr) == 0;
    if (!may) return;
    HostPresence host(GetParam(), "/proc/thread-self/mountinfo");
    EXPECT_FALSE(host.may_have(place / "missing"));
    std::ofstream(place / "file") << "x";
    EXPECT_TRUE(host.may_have(place / "file"));
  })
      .join();
  if (!may) GTEST_SKIP() << "no mount namespace here";
}

INSTANTIATE_TEST_SUITE_P(Kernels, HostPresenceTest, ::testing::Bool(),
                         [](const auto& each) { return each.param ? "Openat2" : "ByName"; });

}  // namespace
}  // namespace vitrine::vfs
