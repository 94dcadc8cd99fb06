#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "policy/builder.h"
#include "policy/builtin_profiles.h"
#include "policy/coverage.h"
#include "policy/environment.h"
#include "policy/explain.h"
#include "policy/profile_loader.h"
#include "policy/profile_store.h"
#include "policy/profile_writer.h"

namespace vitrine::policy {
namespace {

namespace fs = std::filesystem;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = fs::temp_directory_path() / "vitrine-test-XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() { fs::remove_all(path_); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name) << text;
    return path_ / name;
  }

 private:
  fs::path path_;
};

Profile profile(std::string_view text, const std::string& name = "p") {
  const auto parsed = parse_profile(text, name, name + ".json");
  EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().message());
  return parsed.value_or(Profile{});
}

Policy policy_of(std::initializer_list<std::string_view> texts) {
  PolicyBuilder builder;
  for (const std::string_view text : texts) builder.extend(profile(text));
  return std::move(builder).build();
}

TEST(PolicyBuilder, LaterSettingsExtendEarlierOnes) {
  const Policy policy =
      policy_of({R"({"files": [{"folder": "/a"}], "limits": {"wall": "1s", "threads": 2},
           "environment": {"A": "1", "B": "1"}, "syscalls": {"deny": ["mkdir"]}})",
                 R"({"files": [{"folder": "/b"}], "limits": {"wall": "2s"},
           "environment": {"A": "2"}, "syscalls": {"kill": ["rmdir"]}})"});
  EXPECT_EQ(policy.files().size(), 2U);
  EXPECT_EQ(policy.limits().wall, std::chrono::seconds(2));
  EXPECT_EQ(policy.limits().threads, 2U);
  EXPECT_EQ(policy.limits().processes, 1U);
  ASSERT_EQ(policy.environment().size(), 2U);
  EXPECT_EQ(policy.environment()[1].value, "2");
  EXPECT_EQ(policy.call_rule("mkdir")->action, Action::kDeny);
  EXPECT_EQ(policy.call_rule("rmdir")->action, Action::kKill);
  EXPECT_EQ(policy.call_rule("openat"), nullptr);
}

TEST(PolicyBuilder, ALaterDenyTakesNoKillBack) {
  const std::string kills = R"({"syscalls": {"kill": ["mkdir"]}})";
  const std::string denies = R"({"syscalls": {"deny": [{"name": "mkdir", "errno": "EACCES"}]}})";
  const std::string denies_again = R"({"syscalls": {"deny": [{"name": "mkdir", "errno": "EIO"}]}})";
  EXPECT_EQ(policy_of({kills, denies}).call_rule("mkdir")->action, Action::kKill);
  EXPECT_EQ(policy_of({denies, kills}).call_rule("mkdir")->action, Action::kKill);
  EXPECT_EQ(policy_of({denies, denies_again}).call_rule("mkdir")->error, EIO);
  const std::string replaces =
      R"({"replace": ["syscalls"], "syscalls": {"deny": [{"name": "mkdir", "errno": "EIO"}]}})";
  EXPECT_EQ(policy_of({kills, replaces}).call_rule("mkdir")->action, Action::kDeny);
}

TEST(PolicyBuilder, ReplaceDropsWhatCameEarlier) {
  const Policy policy = policy_of(
      {R"({"files": [{"folder": "/a"}], "limits": {"threads": 2}, "environment": {"A": "1"},
           "syscalls": {"deny": ["mkdir"]}})",
       R"({"replace": ["files", "limits", "environment", "syscalls"], "files": [{"folder": "/b"}]})"});
  ASSERT_EQ(policy.files().size(), 1U);
  EXPECT_EQ(std::get<FolderRule>(policy.files()[0].what).guest, "/b");
  EXPECT_EQ(policy.limits().threads, Limits{}.threads);
  EXPECT_TRUE(policy.environment().empty());
  EXPECT_TRUE(policy.call_rules().empty());
}

TEST(PolicyBuilder, OneScratchFolderAPath) {
  const Policy policy = policy_of({R"({"files": [{"scratch": "/tmp"}, {"folder": "/x"}]})",
                                   R"({"files": [{"scratch": "/tmp", "size": "1G"}]})"});
  ASSERT_EQ(policy.files().size(), 2U);
  EXPECT_EQ(std::get<ScratchRule>(policy.files()[1].what).bytes, 1U << 30);
}

TEST(ProfileStore, AncestorsComeFirstAndOnce) {
  const auto profiles = load_profiles({"python-scientific", "python-multiprocess", "python"});
  ASSERT_TRUE(profiles);
  std::vector<std::string> names;
  for (const Profile& loaded : *profiles) {
    names.push_back(loaded.identity.name);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"base", "python", "python-scientific",
                                             "python-multiprocess"}));
}

TEST(ProfileStore, EveryShippedProfileLoads) {
  EXPECT_EQ(builtin_profiles().size(), 6U);
  for (const BuiltinProfile& builtin : builtin_profiles()) {
    const auto profiles = load_profiles({std::string(builtin.name)});
    ASSERT_TRUE(profiles) << profiles.error().message();
    EXPECT_EQ(profiles->back().identity.name, builtin.name);
    EXPECT_FALSE(profiles->back().description.empty());
  }
}

TEST(ProfileStore, ShippedDefaultsAreTheContracts) {
  PolicyBuilder builder;
  const auto profiles = load_profiles({"python"});
  for (const Profile& loaded : *profiles) builder.extend(loaded);
  const Policy policy = std::move(builder).build();
  EXPECT_EQ(policy.limits().wall, std::chrono::seconds(60));
  EXPECT_EQ(policy.limits().cpu, std::chrono::seconds(30));
  EXPECT_EQ(policy.limits().memory_bytes, 512U << 20);
  EXPECT_EQ(policy.limits().output_bytes, 64U << 20);
  EXPECT_EQ(policy.limits().processes, 1U);
  EXPECT_EQ(policy.limits().threads, 64U);
  EXPECT_EQ(policy.limits().cpus, std::nullopt);
}

TEST(ProfileStore, FilesExtendRelativeToThemselves) {
  const TemporaryFolder folder;
  folder.write("parent.json", R"({"files": [{"folder": "/parent"}]})");
  const std::string child =
      folder.write("child.json", R"({"extends": "parent.json", "files": [{"folder": "/child"}]})");
  const auto profiles = load_profiles({child});
  ASSERT_TRUE(profiles) << profiles.error().message();
  ASSERT_EQ(profiles->size(), 2U);
  EXPECT_EQ((*profiles)[0].identity.name, "parent");
}

TEST(ProfileStore, FilesOfTheWorkingDirectoryAndLargeOnes) {
  const TemporaryFolder folder;
  folder.write("parent.json", R"({"files": [{"folder": "/parent"}]})");
  std::string large = R"({"extends": "parent.json", "files": [{"folder": "/child"})";
  for (int i = 0; i < 5000; ++i) large += ", {\"hide\": \"/hidden/" + std::to_string(i) + "\"}";
  const std::string child = folder.write("child.json", large + "]}");
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(std::filesystem::path(child).parent_path());
  const auto profiles = load_profiles({"child.json"});
  std::filesystem::current_path(before);
  ASSERT_TRUE(profiles) << profiles.error().message();
  ASSERT_EQ(profiles->size(), 2U);
  EXPECT_EQ((*profiles)[1].files.size(), 5001U);
  const std::string spaces(kMaxProfileBytes, ' ');
  EXPECT_FALSE(load_profiles({folder.write("too-large.json", "{}" + spaces)}));
  EXPECT_TRUE(load_profiles({folder.write("not-too-large.json", "{}" + spaces.substr(2))}));
}

TEST(ProfileStore, CirclesAreErrors) {
  const TemporaryFolder folder;
  const std::string a = folder.write("a.json", R"({"extends": "./b.json"})");
  folder.write("b.json", R"({"extends": ["base", "a.json"]})");
  const auto profiles = load_profiles({a});
  ASSERT_FALSE(profiles);
  const std::string self = folder.write("self.json", R"({"extends": "self.json"})");
  const auto own = load_profiles({self});
  ASSERT_FALSE(own);
  EXPECT_NE(own.error().message().find("in a circle"), std::string::npos);
}

TEST(ProfileStore, UnknownNamesListTheKnown) {
  const auto unknown = load_profiles({"pyhton"});
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message().find("python-scientific"), std::string::npos);
  EXPECT_FALSE(load_profiles({"/no/such.json"}));
  EXPECT_TRUE(names_a_file("./python"));
  EXPECT_TRUE(names_a_file("x.json"));
  EXPECT_FALSE(names_a_file("python"));
}

TEST(ProfileWriter, WhatIsWrittenReadsBackTheSame) {
  for (const BuiltinProfile& builtin : builtin_profiles()) {
    PolicyBuilder builder;
    const auto profiles = load_profiles({std::string(builtin.name)});
    for (const Profile& loaded : *profiles) builder.extend(loaded);
    const Policy policy = std::move(builder).build();
    const std::string written = profile_document(policy, "copy", "");
    const Policy copy = policy_of({written});
    EXPECT_EQ(copy.files().size(), policy.files().size());
    EXPECT_EQ(copy.call_rules().size(), policy.call_rules().size());
    EXPECT_EQ(copy.limits().wall, policy.limits().wall);
    EXPECT_EQ(copy.limits().memory_bytes, policy.limits().memory_bytes);
    EXPECT_EQ(copy.limits().cpus, policy.limits().cpus);
    EXPECT_EQ(copy.environment().size(), policy.environment().size());
  }
}

TEST(ProfileWriter, DurationsAreExact) {
  for (const Nanoseconds wall : {Nanoseconds(3), Nanoseconds(1'500), Nanoseconds(250'000'000),
                                 Nanoseconds(2'000'000'000), Nanoseconds(2'000'000'001)}) {
    Policy policy =
        policy_of({R"({"limits": {"wall": ")" + std::to_string(wall.count()) + R"(ns"}})"});
    EXPECT_EQ(policy.limits().wall, wall);
    EXPECT_EQ(policy_of({profile_document(policy, "copy", "")}).limits().wall, wall);
  }
}

TEST(Environment, WhatIsSetLaterStands) {
  const char* const caller[] = {"LC_ALL=de_DE.UTF-8", "LC_TIME=de_DE.UTF-8", nullptr};
  PolicyBuilder builder;
  builder.extend(
      profile(R"({"environment": {"LC_TIME": "C", "LC_*": {"pass": "locale"}, "LC_ALL": "C"}})"));
  const Environment environment =
      resolve_environment(std::move(builder).build().environment(), caller);
  EXPECT_EQ(environment, (Environment{{"LC_TIME", "de_DE.UTF-8"}, {"LC_ALL", "C"}}));
}

TEST(Environment, PassesOnlyWhatIsAcceptable) {
  const char* const caller[] = {
      "LANG=de_DE.UTF-8",    "LC_TIME=C", "LC_BAD=../../etc", "TZ=:/etc/shadow",
      "TERM=xterm-256color", "SECRET=1",  "HOME=/root",       nullptr};
  PolicyBuilder builder;
  builder.extend(profile(R"({"environment": {"HOME": "/tmp",
    "LANG": {"pass": "locale", "default": "C.UTF-8"}, "LC_*": {"pass": "locale"},
    "TERM": {"pass": "terminal", "default": "dumb"}, "TZ": {"pass": "zone"},
    "MISSING": {"pass": true}, "OTHER": {"pass": true, "default": "x"}}})"));
  const Environment environment =
      resolve_environment(std::move(builder).build().environment(), caller);
  const Environment expected{{"HOME", "/tmp"},
                             {"LANG", "de_DE.UTF-8"},
                             {"LC_TIME", "C"},
                             {"TERM", "xterm-256color"},
                             {"OTHER", "x"}};
  EXPECT_EQ(environment, expected);
}

TEST(Environment, ZonesAreNeverPaths) {
  EXPECT_TRUE(is_acceptable(Accept::kZone, "Europe/Berlin"));
  EXPECT_TRUE(is_acceptable(Accept::kZone, "CET-1CEST,M3.5.0,M10.5.0/3"));
  EXPECT_TRUE(is_acceptable(Accept::kZone, "<+03>-3"));
  for (const char* const bad :
       {"", "/etc/x", ":Europe/Berlin", "../x", "Europe/../../x", "a b", "a\n"}) {
    EXPECT_FALSE(is_acceptable(Accept::kZone, bad)) << bad;
  }
  EXPECT_FALSE(is_acceptable(Accept::kTerminal, "xterm/../x"));
  EXPECT_FALSE(is_acceptable(Accept::kTerminal, std::string(65, 'x')));
  EXPECT_TRUE(is_acceptable(Accept::kLocale, "ca_ES.UTF-8@valencia"));
  EXPECT_FALSE(is_acceptable(Accept::kLocale, "/tmp/locale"));
}

Explanation ask(const Policy& policy, const std::string& syscall, std::optional<std::string> path) {
  return explain(policy, {syscall, std::move(path)});
}

TEST(Explain, PathsByTheLastRuleThatCoversThem) {
  const Policy policy = policy_of({R"({"files": [
    {"show": "/etc"}, {"show": "/usr/share", "at": "/data"}, {"show": "/usr/b*"},
    {"scratch": "/etc/scratch"}, {"text": "x", "at": "/etc/inline"}, {"link": "/etc", "at": "/l"},
    {"hide": "/etc/passwd"}, {"folder": "/empty"}, {"synthetic": "etc"}]})"});
  EXPECT_EQ(ask(policy, "openat", "/etc/fstab-that-is-not-there").decision.error, ENOENT);
  EXPECT_EQ(ask(policy, "openat", "/etc/passwd").origin.rule, "p:files[8]") << "synthetic";
  EXPECT_EQ(ask(policy, "openat", "/data").decision.action, Action::kServe);
  EXPECT_EQ(ask(policy, "openat", "/usr/bin").origin.rule, "p:files[2]");
  EXPECT_EQ(ask(policy, "openat", "/etc/scratch/a/b").origin.rule, "p:files[3]");
  EXPECT_EQ(ask(policy, "openat", "/etc/inline").origin.rule, "p:files[4]");
  EXPECT_EQ(ask(policy, "openat", "/etc/inline/x").decision.error, ENOTDIR);
  EXPECT_EQ(ask(policy, "openat", "/empty").decision.action, Action::kServe);
  EXPECT_EQ(ask(policy, "openat", "/empty/x").decision.error, ENOENT);
  EXPECT_EQ(ask(policy, "openat", "/usr").decision.action, Action::kServe);
  const Explanation nothing = ask(policy, "openat", "/root/.ssh/id_rsa");
  EXPECT_EQ(nothing.decision.error, ENOENT);
  EXPECT_EQ(nothing.origin.rule, "default");
}

TEST(Explain, HiddenPathsNameTheirRule) {
  const Policy policy = policy_of({R"({"files": [{"show": "/etc"}, {"hide": "/etc/ssl"}]})"});
  const Explanation answer = ask(policy, "newfstatat", "/etc/ssl/certs");
  EXPECT_EQ(answer.decision.action, Action::kDeny);
  EXPECT_EQ(answer.decision.error, ENOENT);
  EXPECT_EQ(answer.origin.rule, "p:files[1]#hide");
}

TEST(Explain, CallsByProfileThenTable) {
  const Policy policy = policy_of({R"({"syscalls": {"deny": [{"name": "openat", "errno": "EACCES"}],
    "kill": ["mkdir"]}})"});
  EXPECT_EQ(ask(policy, "openat", "/x").decision.error, EACCES);
  EXPECT_EQ(ask(policy, "mkdir", std::nullopt).decision.action, Action::kKill);
  EXPECT_EQ(ask(policy, "read", std::nullopt).decision.action, Action::kAllow);
  EXPECT_EQ(ask(policy, "bpf", std::nullopt).decision.action, Action::kDeny);
  EXPECT_EQ(ask(policy, "no_such_call", std::nullopt).decision.error, ENOSYS);
  EXPECT_EQ(ask(policy, "uselib", std::nullopt).decision.error, ENOSYS);
}

TEST(Explain, OnDenyKillEndsTheRun) {
  const Policy policy = policy_of({R"({"on_deny": "kill"})"});
  EXPECT_EQ(ask(policy, "openat", "/x").decision.action, Action::kKill);
}

TEST(Coverage, PatternsMatchOneComponent) {
  const Policy policy = policy_of({R"({"files": [{"show": "/usr/lib/python3*"}]})"});
  EXPECT_NE(covering_rule(policy.files(), "/usr/lib/python3.11/os.py"), nullptr);
  EXPECT_NE(covering_rule(policy.files(), "/usr/lib/python3"), nullptr);
  EXPECT_EQ(covering_rule(policy.files(), "/usr/lib/python2.7"), nullptr);
  EXPECT_EQ(covering_rule(policy.files(), "/usr/lib"), nullptr);
  EXPECT_TRUE(is_on_the_way(policy.files(), "/usr/lib"));
}

}  // namespace
}  // namespace vitrine::policy
