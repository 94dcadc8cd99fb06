#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cli/prepare.h"
#include "policy/coverage.h"

namespace vitrine::cli {
namespace {

namespace fs = std::filesystem;

class Prepare : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = fs::path("/var/tmp") / "vitrine-test-XXXXXX";
    root_ = fs::canonical(::mkdtemp(name.data()));
    caller_.working_directory = root_;
    caller_.environment = environment_;
    fs::copy_file("/bin/true", root_ / "tool");
  }
  void TearDown() override { fs::remove_all(root_); }

  supervisor::RunRequest request(const Arguments& arguments) const {
    auto prepared = prepare_run(parse_run_options(arguments).value(), caller_);
    EXPECT_TRUE(prepared) << (prepared ? "" : prepared.error().error.message());
    return prepared ? std::move(*prepared) : supervisor::RunRequest{};
  }
  PrepareError error(const Arguments& arguments) const {
    auto prepared = prepare_run(parse_run_options(arguments).value(), caller_);
    EXPECT_FALSE(prepared);
    return prepared ? PrepareError{} : prepared.error();
  }
  static std::string rule_at(const supervisor::RunRequest& request, const std::string& path) {
    const FileRule* const rule = policy::covering_rule(request.policy.files(), path);
    return rule == nullptr ? "" : rule->origin.rule;
  }
  std::string path(const std::string& name) const { return root_ / name; }

  fs::path root_;
  const char* environment_[3] = {"SECRET=1", "LANG=C", nullptr};
  CallerState caller_;
};

TEST_F(Prepare, WorkingDirectoryExistsAndIsEmpty) {
  const auto run = request({"./tool"});
  EXPECT_EQ(run.working_directory, root_);
  EXPECT_EQ(rule_at(run, root_), "working directory");
  EXPECT_EQ(rule_at(run, path("tool")), "program");
  EXPECT_EQ(rule_at(run, path("other")), "working directory");
  EXPECT_EQ(run.argv, (Arguments{"./tool"}));
  EXPECT_EQ(run.command, (Arguments{"./tool"}));
}

TEST_F(Prepare, WorkingDirectoryBelowAFolderThatIsShownEmptyExists) {
  std::ofstream(root_ / "own.json") << R"({"files": [{"folder": "/var/tmp"}]})";
  const auto run = request({"-p", path("own.json"), "./tool"});
  EXPECT_EQ(rule_at(run, root_), "working directory");
}

TEST_F(Prepare, WorkingDirectoryThatIsScratchStaysSo) {
  const auto run = request({"--scratch", root_, "--cwd", root_, "./tool"});
  EXPECT_EQ(rule_at(run, path("new")), "--scratch " + root_.string());
  EXPECT_EQ(rule_at(run, path("tool")), "program") << "covers the scratch folder";
}

TEST_F(Prepare, WorkingDirectoryBelowScratchExists) {
  const auto run = request({"--scratch", root_.parent_path(), "--cwd", path("sub"), "./tool"});
  EXPECT_EQ(rule_at(run, path("sub")), "working directory");
  EXPECT_EQ(rule_at(run, path("other")), "--scratch " + root_.parent_path().string());
}

TEST_F(Prepare, ShownWorkingDirectoryStaysShown) {
  const auto run = request({"--ro", ".", "./tool"});
  EXPECT_EQ(rule_at(run, path("other")), "--ro .");
}

TEST_F(Prepare, HidingComesLast) {
  const auto run = request({"--hide", path("tool"), "--ro", ".", "./tool"});
  EXPECT_EQ(rule_at(run, path("tool")), "--hide " + path("tool"));
}

TEST_F(Prepare, OnlySafeVariablesLeakIn) {
  const auto run = request({"--env", "A=1", "./tool"});
  std::vector<std::string> names;
  for (const auto& [name, value] : run.environment) names.push_back(name);
  EXPECT_EQ(std::count(names.begin(), names.end(), "SECRET"), 0);
  EXPECT_EQ(std::count(names.begin(), names.end(), "A"), 1);
  const auto passed = request({"--env", "SECRET", "./tool"}).environment;
  EXPECT_NE(
      std::find(passed.begin(), passed.end(), std::pair<std::string, std::string>("SECRET", "1")),
      passed.end());
}

TEST_F(Prepare, OptionsWinOverProfiles) {
  const auto run = request({"-p", "strict", "--threads", "7", "--scratch", "/tmp", "./tool"});
  EXPECT_EQ(run.policy.limits().threads, 7U);
  EXPECT_EQ(run.policy.limits().processes, 1U);
  EXPECT_EQ(rule_at(run, "/tmp"), "--scratch /tmp");
}

TEST_F(Prepare, MissingFilesAreErrorsOfTheOption) {
  EXPECT_EQ(error({"--ro", "absent", "./tool"}).error.message(),
            "--ro absent: No such file or directory");
  const PrepareError collect = error({"--collect", "/tmp/x:absent/x", "./tool"});
  EXPECT_FALSE(collect.command_failed);
  EXPECT_EQ(collect.error.code, ENOENT);
}

TEST_F(Prepare, MissingCommandIsTheCommandsFault) {
  const PrepareError failed = error({"./absent"});
  EXPECT_TRUE(failed.command_failed);
  EXPECT_EQ(failed.error.code, ENOENT);
}

TEST_F(Prepare, StarsOnTheCommandLineAreNoPatterns) {
  std::ofstream(root_ / "a*b") << "";
  std::ofstream(root_ / "acb") << "";
  const auto run = request({"--ro", "a*b", "./tool"});
  EXPECT_EQ(rule_at(run, path("a*b")), "--ro a*b");
  EXPECT_EQ(rule_at(run, path("acb")), "working directory");
}

}  // namespace
}  // namespace vitrine::cli
