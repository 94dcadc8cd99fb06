#include "policy/learned.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/unique_fd.h"
#include "failing_call.h"
#include "policy/builder.h"
#include "policy/difference.h"
#include "policy/learned_writer.h"
#include "policy/profile_loader.h"
#include "policy/secrets.h"

namespace vitrine::policy {
namespace {

namespace fs = std::filesystem;

class Learned : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = "/var/tmp/vitrine-test-XXXXXX";
    root_ = fs::canonical(::mkdtemp(name.data()));
    setting_.working_directory = "/nowhere";
    setting_.scratch_bytes = 1 << 20;
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string file(const std::string& name) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << "x";
    return root_ / name;
  }
  // "show PATH", "folder PATH", ...: one line an entry.
  std::string learned() {
    result_ = learn_files(seen_, setting_);
    std::string text;
    for (const LearnedFile& entry : result_.files) {
      if (const auto* show = std::get_if<ShowRule>(&entry.rule.what))
        text += "show " + relative(show->host) + "\n";
      if (const auto* folder = std::get_if<FolderRule>(&entry.rule.what))
        text += "folder " + relative(folder->guest) + "\n";
      if (const auto* link = std::get_if<LinkRule>(&entry.rule.what))
        text += "link " + relative(link->guest) + " -> " + link->target + "\n";
      if (const auto* scratch = std::get_if<ScratchRule>(&entry.rule.what))
        text += "scratch " + scratch->guest + "\n";
    }
    return text;
  }
  std::string relative(const std::string& path) const {
    const std::string prefix = root_.string() + "/";
    return path.starts_with(prefix) ? path.substr(prefix.size()) : path;
  }
  std::string reason(const std::string& path) const {
    for (const NotGranted& kept : result_.not_granted) {
      if (kept.what == path) return kept.reason;
    }
    return "";
  }

  fs::path root_;
  Observations seen_;
  LearnSetting setting_;
  LearnedFiles result_;
};

TEST_F(Learned, OneFileIsShownAloneAndAFolderThatWasLookedAtIsEmpty) {
  seen_.used(file("a/one"), Use::kRead);
  file("b/two");
  seen_.used(root_ / "b", Use::kLooked);
  seen_.used(root_ / "a", Use::kLooked);
  EXPECT_EQ(learned(), "show a/one\nfolder b\n") << "a is on the way to a/one";
}

TEST_F(Learned, ListedFolderIsShownWhole) {
  seen_.used(file("data/one"), Use::kRead);
  seen_.used(file("data/deep/two"), Use::kRead);
  seen_.used(root_ / "data", Use::kListed);
  seen_.used(root_ / "data/deep", Use::kListed);
  EXPECT_EQ(learned(), "show data\n");
}

TEST_F(Learned, NoFolderThatHoldsSecretsIsShownWhole) {
  file("data/deep/id_ed25519");
  seen_.used(file("data/one"), Use::kRead);
  seen_.used(root_ / "data", Use::kListed);
  EXPECT_EQ(learned(), "show data/one\n");
  EXPECT_NE(reason(root_ / "data").find("it holds deep/id_ed25519"), std::string::npos);
}

TEST_F(Learned, HomesAndWhatHoldsThemAndTheRootAreNeverShownWhole) {
  setting_.homes = {(root_ / "homes/me").string()};
  fs::create_directories(root_ / "homes/me/project");
  seen_.used(root_ / "homes/me", Use::kListed);
  seen_.used(root_ / "homes", Use::kListed);
  seen_.used("/", Use::kListed);
  seen_.used("/etc", Use::kListed);
  seen_.used(root_ / "homes/me/project", Use::kListed);
  EXPECT_EQ(learned(), "show homes/me/project\nfolder /etc\n");
  EXPECT_NE(reason(root_ / "homes/me").find("a home folder"), std::string::npos);
  EXPECT_NE(reason(root_ / "homes").find("holds a home folder"), std::string::npos);
  EXPECT_NE(reason("/").find("of the host's root"), std::string::npos);
  EXPECT_NE(reason("/etc").find("of the host's root"), std::string::npos);
}

TEST_F(Learned, HomeBehindALinkIsOne) {
  fs::create_directories(root_ / "disk/me");
  fs::create_directory_symlink("disk/me", root_ / "me");
  setting_.homes = {(root_ / "me").string()};
  seen_.used(root_ / "disk/me", Use::kListed);
  EXPECT_EQ(learned(), "folder disk/me\n");
  EXPECT_NE(reason(root_ / "disk/me").find("a home folder"), std::string::npos);
}

TEST_F(Learned, FolderThatIsTooLargeToSearchForSecretsIsNotShownWhole) {
  fs::create_directories(root_ / "large");
  for (int i = 0; i <= 20'000; ++i) fs::create_directory(root_ / "large" / std::to_string(i));
  seen_.used(root_ / "large", Use::kListed);
  EXPECT_EQ(learned(), "folder large\n");
  EXPECT_NE(reason(root_ / "large").find("more than 20000 files"), std::string::npos);
}

TEST_F(Learned, WhatIsNeitherFileNorFolderIsNamed) {
  ASSERT_EQ(::mkfifo((root_ / "pipe").c_str(), 0600), 0);
  seen_.used(root_ / "pipe", Use::kLooked);
  EXPECT_EQ(learned(), "");
  EXPECT_NE(reason(root_ / "pipe").find("neither a regular file"), std::string::npos);
}

TEST_F(Learned, UsesBeyondTheMostAreCountedAndSaid) {
  for (std::size_t i = 0; i < Observations::kMostUses + 3; ++i)
    seen_.used("/nonexistent/" + std::to_string(i), Use::kRead);
  EXPECT_EQ(seen_.uses().size(), Observations::kMostUses);
  EXPECT_EQ(learned(), "");
  EXPECT_NE(reason("3 further uses of files").find("too many"), std::string::npos);
}

TEST_F(Learned, EntriesAreBoundedAndTheRestIsNamed) {
  for (int i = 0; i < 4001; ++i) seen_.used(file(std::to_string(i) + "/file"), Use::kRead);
  const std::string text = learned();
  EXPECT_EQ(std::ranges::count(text, '\n'), 4000);
  EXPECT_EQ(result_.not_granted.size(), 1U);
  EXPECT_NE(result_.not_granted.at(0).reason.find("too many entries"), std::string::npos);
}

TEST_F(Learned, WorkingDirectoryAndScriptFolderAreNotTakenForListed) {
  setting_.working_directory = root_ / "work";
  setting_.script_folder = root_ / "app";
  seen_.used(file("work/a"), Use::kRead);
  seen_.used(file("app/b"), Use::kRead);
  seen_.used(root_ / "work", Use::kListed);
  seen_.used(root_ / "app", Use::kListed);
  EXPECT_EQ(learned(), "show app/b\nshow work/a\n");
}

TEST_F(Learned, LinkToAFolderIsALinkAndOneToAFileIsShown) {
  file("releases/42/data");
  fs::create_directory_symlink("releases/42", root_ / "current");
  fs::create_symlink("releases/42/data", root_ / "newest");
  seen_.followed(root_ / "current");
  seen_.followed(root_ / "newest");
  EXPECT_EQ(learned(), "show newest\nlink current -> releases/42\n");
}

TEST_F(Learned, SecretsAreKeptAlsoBehindLinks) {
  file("store/server.key");
  fs::create_symlink("store/server.key", root_ / "innocent");
  seen_.used(root_ / "store/server.key", Use::kRead);
  seen_.used(root_ / "innocent", Use::kRead);
  EXPECT_EQ(learned(), "");
  EXPECT_NE(reason(root_ / "innocent").find("may hold secrets"), std::string::npos);
}

TEST_F(Learned, NamesThatAProfileCannotWriteAreKept) {
  seen_.used(file("data\n"), Use::kRead);
  seen_.used(file("st*r"), Use::kRead);
  seen_.used(file("in\xffvalid"), Use::kRead);
  for (const char* cut : {"cut\xe2\x82", "low\xc0\xaf", "long\xf5\x80\x80\x80", "broken\xe2(\xa1"})
    seen_.used(file(cut), Use::kRead);
  for (const char* whole : {"\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x90\x8d"})
    seen_.used(file(whole), Use::kRead);
  file("folder/data");
  fs::create_directory_symlink("folder", root_ / "link\n");
  seen_.followed(root_ / "link\n");
  EXPECT_EQ(learned(), "show \xc3\xa4\nshow \xe2\x82\xac\nshow \xf0\x9f\x90\x8d\n");
  EXPECT_EQ(result_.not_granted.size(), 8U);
}

TEST_F(Learned, DocumentIsAProfile) {
  LearnedProfile profile;
  profile.description = "quote \" and back\\slash";
  profile.extends = {"base"};
  profile.files = {{{ScratchRule{"/tmp", 1 << 20}, {}}, "written"},
                   {{ShowRule{"/srv/\"data\"", "", false, false}, {}}, "read"}};
  profile.limits.cpu = std::nullopt;
  profile.passed_variables = {"EDITOR"};
  const std::string text = learned_document(profile);
  const auto parsed = parse_profile(text, "x", "x.json");
  ASSERT_TRUE(parsed) << parsed.error().message() << text;
  EXPECT_EQ(parsed->files.size(), 2U);
  EXPECT_EQ(parsed->environment.size(), 1U);
  EXPECT_EQ(std::get<ShowRule>(parsed->files[1].what).host, "/srv/\"data\"");
}

TEST_F(Learned, MergingRaisesAndNeverLowers) {
  Policy policy;  // 60 s, 512 MiB, one process
  LearnedProfile more;
  more.limits.wall = std::chrono::seconds(5);
  more.limits.memory_bytes = 1ULL << 30;
  more.limits.processes = 4;
  more.scratch_bytes = 8 << 20;
  const auto merged = merged_document(
      R"({"name": "mine", "files": [{"scratch": "/tmp", "size": "1M"}, {"show": "/d/a"}, {"show": "/e"}]})",
      policy, [&] {
        more.files = {{{ShowRule{"/d", "", false, false}, {}}, "listed"}};
        return more;
      }());
  ASSERT_TRUE(merged);
  const auto parsed = parse_profile(*merged, "x", "x.json");
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(parsed->identity.name, "mine");
  ASSERT_EQ(parsed->files.size(), 3U) << "the folder stands for its file: " << *merged;
  EXPECT_EQ(std::get<ScratchRule>(parsed->files[0].what).bytes, 8U << 20);
  EXPECT_FALSE(parsed->limits.wall);
  EXPECT_EQ(parsed->limits.memory_bytes, std::optional(std::optional<std::uint64_t>(1ULL << 30)));
  EXPECT_EQ(parsed->limits.processes, 4U);
}

TEST_F(Learned, MergingRaisesEveryLimitAndScratchOfAnyForm) {
  const auto given =
      parse_profile(R"({"limits": {"wall": "1s", "cpu": "1s", "output": "1K"}})", "x", "x");
  ASSERT_TRUE(given);
  PolicyBuilder builder;
  builder.extend(*given);
  const Policy policy = std::move(builder).build();
  LearnedProfile more;
  more.limits.wall = std::chrono::seconds(5);
  more.limits.cpu = std::nullopt;
  more.limits.output_bytes = 1 << 20;
  more.limits.threads = policy.limits().threads + 1;
  more.scratch_bytes = 8 << 20;
  const auto merged = merged_document(
      R"({"files": [{"scratch": "/a", "size": 1000}, {"scratch": "/b"}, {"scratch": "/c", "size": 9000000}]})",
      policy, more);
  ASSERT_TRUE(merged);
  const auto parsed = parse_profile(*merged, "x", "x.json");
  ASSERT_TRUE(parsed) << parsed.error().message() << *merged;
  const std::uint64_t expected[] = {8U << 20, 64U << 20, 9'000'000};
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_EQ(std::get<ScratchRule>(parsed->files[i].what).bytes, expected[i]) << i;
  builder.extend(*given);
  builder.extend(*parsed);
  const Policy raised = std::move(builder).build();
  EXPECT_EQ(raised.limits().wall, std::chrono::seconds(5));
  EXPECT_EQ(raised.limits().cpu, std::nullopt);
  EXPECT_EQ(raised.limits().output_bytes, 1U << 20);
  EXPECT_EQ(raised.limits().threads, policy.limits().threads + 1);
  LearnedProfile of_two;
  of_two.extends = {"python", "./mine.json"};
  EXPECT_EQ(parse_profile(learned_document(of_two), "x", "x")->extends, of_two.extends);
  EXPECT_EQ(shown_paths("not JSON").size(), 0U);
}

TEST(Secrets, AreFoundByNameAnywhereAndByPlace) {
  for (const char* path : {"/home/x/.ssh", "/home/x/.ssh/config", "/srv/app/.env", "/a/.env.local",
                           "/etc/shadow", "/etc/ssl/private/x.pem", "/x/server.key", "/r/id_rsa",
                           "/h/.config/gcloud/access", "/h/.bash_history", "/run/secrets/token"}) {
    EXPECT_TRUE(may_hold_secrets(path)) << path;
  }
  for (const char* path :
       {"/home/x", "/home/x/ssh", "/srv/app/env", "/etc/passwd", "/etc/ssl/certs", "/x/keys",
        "/x/server.key.d.txt", "/h/.config/app.json"}) {
    EXPECT_FALSE(may_hold_secrets(path)) << path;
  }
}

TEST(Secrets, AFolderThatCannotBeSearchedIsKept) {
  EXPECT_EQ(reason_to_keep("/etc/ssl/private").value_or(""), "it may hold secrets");
  EXPECT_EQ(reason_to_keep("/no/such/folder").value_or(""),
            "it could not be searched: No such file or directory");
  EXPECT_EQ(reason_to_keep("/etc/passwd").value_or(""),
            "it could not be searched: Not a directory");
  EXPECT_FALSE(reason_to_keep("/proc/sys/abi"));
}

// passwd(5), in lines that are none as well.
TEST(Secrets, HomesAreThoseOfTheAccounts) {
  std::string name = "/var/tmp/vitrine-test-XXXXXX";
  const UniqueFd accounts(::mkstemp(name.data()));
  const std::string text =
      "half:/bogus\n\nu:x:1:1::relative:/bin/sh\nu:x:1:1::/srv/../etc:/bin/sh\nu:x:1:1::/:/bin/sh\n"
      "u:x:1:1::/srv/own/:/bin/sh\nu:x:1:1::/srv/last";
  ASSERT_EQ(::write(accounts.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  test::in_child([&] {
    test::answer_calls({SYS_openat}, [&](const test::Call& call) {
      test::Call other = call;
      if (std::string_view(reinterpret_cast<const char*>(call.arguments[1])) == "/etc/passwd")
        other.arguments[1] = reinterpret_cast<long>(name.c_str());
      return other.perform();
    });
    const std::vector<std::string> homes = home_folders("/a/caller");
    const auto has = [&](const char* home) { return std::ranges::count(homes, home) == 1; };
    EXPECT_TRUE(has("/root") && has("/a/caller") && has("/srv/own") && has("/srv/last"));
    for (const std::string& home : homes) {
      const bool tidy = home.starts_with('/') && home != "/" && home != "/etc" &&
                        home != "/bogus" && home.find("..") == std::string::npos &&
                        !home.ends_with('/');
      EXPECT_TRUE(tidy) << home;
    }
  });
  EXPECT_EQ(::unlink(name.c_str()), 0);
}

TEST(LearnedLimits, OfALongRunAreWholeHours) {
  Usage usage;
  usage.wall = std::chrono::minutes(40);
  usage.cpu_user = std::chrono::minutes(15);
  const Limits limits = learn_limits(usage, 0);
  EXPECT_EQ(limits.wall, std::chrono::hours(3));
  EXPECT_EQ(limits.cpu, std::chrono::hours(1));
}

TEST(LearnedLimits, HaveHeadRoom) {
  Usage usage;
  usage.wall = std::chrono::milliseconds(1600);
  usage.memory_peak_bytes = 40 << 20;
  usage.data_peak_bytes = 90 << 20;
  usage.processes_peak = 1;
  usage.threads_peak = 3;
  const Limits limits = learn_limits(usage, 0);
  EXPECT_EQ(limits.wall, std::chrono::seconds(10));
  EXPECT_EQ(limits.memory_bytes, 128U << 20);
  EXPECT_EQ(limits.processes, 1U);
  EXPECT_EQ(limits.threads, 6U);
  EXPECT_EQ(learn_limits(usage, 128 << 20).memory_bytes, 512U << 20)
      << "a large reservation is refused whole";
}

}  // namespace
}  // namespace vitrine::policy
