#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cli/hints.h"

namespace vitrine::cli {
namespace {

Denial denial(std::string syscall, std::string target, std::string error, std::string rule) {
  Denial made;
  made.syscall = std::move(syscall);
  made.target = std::move(target);
  made.error = std::move(error);
  made.rule = std::move(rule);
  return made;
}

std::string hint(const Denial& one, const HintSetting& setting = {}) {
  Report report;
  report.denials = {one};
  const auto lines = hints_for(report, setting);
  return lines.empty() ? "" : lines.front();
}

// A host: a home with secrets and data, and a name that a shell would not take for one word.
class HintsOfFiles : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/var/tmp/hints-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    root_ = std::filesystem::canonical(name);
    for (const char* folder : {"/homes/me/.ssh", "/homes/me/data", "/homes/me/project/sub"}) {
      std::filesystem::create_directories(root_ + folder);
    }
    for (const char* file : {"/homes/me/data/x.csv", "/homes/me/.ssh/config", "/its $(x)",
                             "/homes/me/project/sub/.env", "/a:", "/b"}) {
      std::ofstream(root_ + file) << "x";
    }
    std::filesystem::create_directories(root_ + "/c:");
    std::ofstream(root_ + "/c:/d") << "x";
    ASSERT_EQ(::mkfifo((root_ + "/pipe").c_str(), 0600), 0);
    std::filesystem::create_symlink(root_ + "/homes/me/.ssh/config", root_ + "/link");
    std::filesystem::create_symlink(root_ + "/homes", root_ + "/users");
    setting_ = {root_ + "/homes/me/data", root_ + "/homes/me/data", {root_ + "/homes/me"}};
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  // What the hint says behind the refusal of `target`.
  std::string remedy(const std::string& target, const std::string& rule = "default") {
    const std::string line = hint(denial("openat", target, "ENOENT", rule), setting_);
    const std::string start = "refused: openat " + target + " (ENOENT)";
    EXPECT_TRUE(line.starts_with(start)) << line;
    return line == start ? "" : line.substr(start.size() + 2);
  }

  std::string root_;
  HintSetting setting_;
};

TEST_F(HintsOfFiles, AnUnshownPathNamesTheLeastThatShowsIt) {
  const std::string data = root_ + "/homes/me/data";
  EXPECT_EQ(remedy(data + "/x.csv"), "--ro " + data + "/x.csv shows it");
  EXPECT_EQ(remedy(data), "--ro " + data + " shows it");
  EXPECT_EQ(remedy("x.csv"), "--ro x.csv shows it");
  EXPECT_EQ(remedy("."), "--ro . shows it");
  EXPECT_EQ(remedy("x.csv", "python:files[0]#hide"), "") << "--ro may not be what decides";
  setting_.callers_directory = root_;
  EXPECT_EQ(remedy("x.csv"), "--ro " + data + "/x.csv shows it") << "of another folder than --ro's";
}

TEST_F(HintsOfFiles, NoFolderIsNamedThatIsTooMuchToShow) {
  EXPECT_EQ(remedy(root_ + "/homes/me"), "it is a home folder");
  EXPECT_EQ(remedy(root_ + "/homes"), "it holds a home folder");
  EXPECT_EQ(remedy(root_ + "/users"), "it holds a home folder") << "a link";
  EXPECT_EQ(remedy(root_ + "/homes/me/project"), "it holds sub/.env");
  EXPECT_EQ(remedy(".."), "it is a home folder");
  EXPECT_EQ(remedy("/"), "it is a folder of the host's root");
  EXPECT_EQ(remedy("/var"), "it is a folder of the host's root");
  setting_.working_directory = root_ + "/homes/me";
  EXPECT_EQ(remedy("."), "it is a home folder");
}

TEST_F(HintsOfFiles, SecretsAreNotOffered) {
  EXPECT_EQ(remedy("/etc/shadow"), "it may hold secrets");
  EXPECT_EQ(remedy("../.ssh/config"), "it may hold secrets");
  EXPECT_EQ(remedy(root_ + "/link"), "it may hold secrets") << "where it leads to";
}

TEST_F(HintsOfFiles, WhatCannotBeShownIsNotOffered) {
  EXPECT_EQ(remedy("/sys/class"), "vitrine shows its own instead");
  EXPECT_EQ(remedy("gone.csv"), "there is none on the host");
  EXPECT_EQ(remedy(std::string(512, 'x')), "") << "the report cuts it";
  EXPECT_EQ(remedy(root_ + "/pipe"), "neither a regular file nor a folder");
  EXPECT_EQ(remedy(root_ + "/c:/d"), "") << "--ro would split it";
  EXPECT_EQ(remedy(root_ + "/a:"), "--ro " + root_ + "/a: shows it");
}

TEST_F(HintsOfFiles, AShellTakesANameForOneWord) {
  const std::string word = "'" + root_ + "/its $(x)'";
  EXPECT_EQ(hint(denial("openat", root_ + "/its $(x)", "ENOENT", "default"), setting_),
            "refused: openat " + word + " (ENOENT); --ro " + word + " shows it");
}

// What is said is escaped on its way out, and a shell undoes only its own escapes.
TEST_F(HintsOfFiles, ANameThatNeedsAnEscapeIsNotOffered) {
  for (const std::string name : {"it's", "a\\b", "a\nb", "a\x80", "a'; touch x; '"}) {
    std::ofstream(root_ + "/" + name) << "there";
    const std::string said =
        hint(denial("openat", root_ + "/" + name, "ENOENT", "default"), setting_);
    EXPECT_EQ(said.find("--ro"), std::string::npos) << said;
    EXPECT_EQ(std::ranges::count(said, '\''), 2) << said;
  }
}

TEST(Hints, AWriteNamesScratch) {
  EXPECT_EQ(hint(denial("openat", "/srv/out", "EROFS", "--ro /srv")),
            "refused: openat /srv/out (EROFS); --scratch FOLDER gives a folder to write in");
}

TEST(Hints, BudgetsNameTheirOptions) {
  EXPECT_EQ(hint(denial("clone", "", "EAGAIN", "limit:processes")),
            "refused: clone (EAGAIN); --processes N allows more");
}

TEST(Hints, TheNetworkHasNoOption) {
  EXPECT_EQ(hint(denial("socket", "AF_INET", "EACCES", "network")),
            "refused: socket AF_INET (EACCES); no option allows the network");
}

TEST(Hints, AbsentCallsAreNotWorthALine) {
  EXPECT_EQ(hint(denial("memfd_secret", "", "ENOSYS", "absent-call")), "");
}

TEST(Hints, AtMostThreeLines) {
  Report report;
  for (int i = 0; i < 10; ++i) {
    report.denials.push_back(denial("openat", "/" + std::to_string(i), "ENOENT", "default"));
  }
  EXPECT_EQ(hints_for(report, {}).size(), kMostHints);
}

}  // namespace
}  // namespace vitrine::cli
