#include "policy/profile_loader.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace vitrine::policy {
namespace {

Profile parsed(std::string_view text) {
  const auto profile = parse_profile(text, "p", "p.json");
  EXPECT_TRUE(profile) << (profile ? "" : profile.error().message());
  return profile.value_or(Profile{});
}

std::string error_of(std::string_view text) {
  const auto profile = parse_profile(text, "p", "p.json");
  return profile ? "no error" : profile.error().message();
}

TEST(ProfileLoader, EveryKindOfFileEntry) {
  const Profile profile = parsed(R"({"files": [
    {"show": "/usr/lib/python3*", "optional": true},
    {"show": "/a//b/", "at": "/guest"},
    {"scratch": "/tmp", "size": "1M"},
    {"scratch": "/var"},
    {"text": "hello\n", "at": "/etc/x", "executable": true},
    {"link": "target", "at": "/bin"},
    {"hide": "/path"},
    {"folder": "/x"},
    {"synthetic": "proc", "comment": "why"}]})");
  ASSERT_EQ(profile.files.size(), 9U);
  const auto& pattern = std::get<ShowRule>(profile.files[0].what);
  EXPECT_TRUE(pattern.optional);
  EXPECT_TRUE(pattern.pattern);
  const auto& shown = std::get<ShowRule>(profile.files[1].what);
  EXPECT_EQ(shown.host, "/a/b");
  EXPECT_EQ(shown.guest, "/guest");
  EXPECT_FALSE(shown.optional);
  EXPECT_FALSE(shown.pattern);
  EXPECT_EQ(std::get<ScratchRule>(profile.files[2].what).bytes, 1U << 20);
  EXPECT_EQ(std::get<ScratchRule>(profile.files[3].what).bytes, 64U << 20);
  const auto& text = std::get<InlineRule>(profile.files[4].what);
  EXPECT_EQ(text.content, "hello\n");
  EXPECT_EQ(text.guest, "/etc/x");
  EXPECT_TRUE(text.executable);
  EXPECT_EQ(std::get<LinkRule>(profile.files[5].what).target, "target");
  EXPECT_EQ(std::get<HideRule>(profile.files[6].what).guest, "/path");
  EXPECT_EQ(std::get<FolderRule>(profile.files[7].what).guest, "/x");
  EXPECT_EQ(std::get<SyntheticRule>(profile.files[8].what).tree, "proc");
}

TEST(ProfileLoader, RulesNameTheirPlace) {
  const Profile profile = parsed(
      "{\"name\": \"own\",\n \"files\": [\n  {\"folder\": \"/a\"},\n  {\"hide\": \"/b\"}],\n"
      " \"environment\": {\n  \"A\": \"1\"}}");
  EXPECT_EQ(profile.files[0].origin.rule, "own:files[0]");
  EXPECT_EQ(profile.files[0].origin.location, "p.json:3");
  EXPECT_EQ(profile.files[1].origin.rule, "own:files[1]#hide");
  EXPECT_EQ(profile.files[1].origin.location, "p.json:4");
  EXPECT_EQ(profile.environment[0].origin.rule, "own:environment.A");
  EXPECT_EQ(profile.environment[0].origin.location, "p.json:6");
}

TEST(ProfileLoader, EnvironmentForms) {
  const Profile profile = parsed(R"({"environment": {
    "PATH": "/bin", "EMPTY": "",
    "LANG": {"pass": "locale", "default": "C.UTF-8"},
    "LC_*": {"pass": "locale"},
    "ANY": {"pass": true}}})");
  ASSERT_EQ(profile.environment.size(), 5U);
  EXPECT_EQ(profile.environment[0].value, "/bin");
  EXPECT_EQ(profile.environment[1].value, "");
  EXPECT_EQ(profile.environment[2].value, std::nullopt);
  EXPECT_EQ(profile.environment[2].accept, Accept::kLocale);
  EXPECT_EQ(profile.environment[2].otherwise, "C.UTF-8");
  EXPECT_EQ(profile.environment[3].name, "LC_*");
  EXPECT_EQ(profile.environment[4].accept, Accept::kAnything);
}

TEST(ProfileLoader, Limits) {
  const Profile profile = parsed(R"({"limits": {"wall": "250ms", "cpu": "none", "memory": "2G",
    "output": 4096, "processes": 16, "threads": "8", "cpus": 2}})");
  EXPECT_EQ(profile.limits.wall, std::optional<Nanoseconds>(std::chrono::milliseconds(250)));
  ASSERT_TRUE(profile.limits.cpu.has_value());
  EXPECT_EQ(*profile.limits.cpu, std::nullopt);
  EXPECT_EQ(profile.limits.memory_bytes, std::optional<std::uint64_t>(2ULL << 30));
  EXPECT_EQ(profile.limits.output_bytes, std::optional<std::uint64_t>(4096));
  EXPECT_EQ(profile.limits.processes, 16U);
  EXPECT_EQ(profile.limits.threads, 8U);
  EXPECT_EQ(profile.limits.cpus, std::optional<unsigned>(2));
}

TEST(ProfileLoader, SystemCalls) {
  const Profile profile = parsed(R"({"syscalls": {
    "deny": ["mkdir", {"name": "openat", "errno": "EACCES"}], "kill": ["ptrace"]}})");
  ASSERT_EQ(profile.calls.size(), 3U);
  EXPECT_EQ(profile.calls[0].error, EPERM);
  EXPECT_EQ(profile.calls[1].error, EACCES);
  EXPECT_EQ(profile.calls[1].syscall, "openat");
  EXPECT_EQ(profile.calls[2].action, Action::kKill);
}

TEST(ProfileLoader, TheRest) {
  const Profile profile = parsed(R"({"$schema": "x", "name": "n", "description": "d",
    "extends": ["base", "./other.json"], "replace": ["files", "syscalls"], "on_deny": "kill",
    "audit": {"on_failure": "count"}})");
  EXPECT_EQ(profile.identity.name, "n");
  EXPECT_EQ(profile.identity.sha256.size(), 64U);
  EXPECT_EQ(profile.description, "d");
  EXPECT_EQ(profile.extends, (std::vector<std::string>{"base", "./other.json"}));
  EXPECT_TRUE(profile.replace.files);
  EXPECT_FALSE(profile.replace.limits);
  EXPECT_EQ(profile.on_deny, OnDeny::kKill);
  EXPECT_EQ(profile.on_audit_failure, AuditFailure::kCountDrops);
  EXPECT_FALSE(parsed(R"({"audit": {"comment": "as what it extends has it"}})").on_audit_failure);
}

TEST(ProfileLoader, DigestIsOfTheText) {
  const auto profile = parse_profile("{}", "p", "p.json");
  EXPECT_EQ(profile->identity.sha256,
            "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
}

struct BadProfile {
  const char* text;
  const char* error;  // its beginning
};

class BadProfiles : public testing::TestWithParam<BadProfile> {};

TEST_P(BadProfiles, AreErrorsThatNameThePlace) {
  const std::string error = error_of(GetParam().text);
  EXPECT_EQ(error.substr(0, std::string_view(GetParam().error).size()), GetParam().error);
}

INSTANTIATE_TEST_SUITE_P(
    ProfileLoader, BadProfiles,
    testing::Values(
        BadProfile{"", "p.json:1:1: "},
        BadProfile{"[]", "p.json:1:1: expected an object, found an array"},
        BadProfile{"{\"a\": 1}", "p.json:1:2: a: unknown key; known here: "},
        BadProfile{"{\n\"name\": \"x\",\n\"name\": \"y\"}",
                   "p.json:3:1: the key \"name\" is given twice"},
        BadProfile{"{\"name\": 3}", "p.json:1:10: name: expected a string, found a whole number"},
        BadProfile{"{\"name\": \"a b\"}", "p.json:1:10: name: a name has"},
        BadProfile{"{\n  \"files\": [\n    {\"show\": \"usr\"}]}",
                   "p.json:3:14: files[0].show: \"usr\" is not an absolute path"},
        BadProfile{"{\"files\": [{\"show\": \"/a/../b\"}]}", "p.json:1:21: files[0].show: "},
        BadProfile{"{\"files\": [{\"show\": \"/a*/b\"}]}", "p.json:1:21: files[0].show: \"*\""},
        BadProfile{"{\"files\": [{\"show\": \"/a*\", \"at\": \"/b\"}]}",
                   "p.json:1:34: files[0].at: a pattern"},
        BadProfile{"{\"files\": [{\"show\": \"/a\", \"size\": \"1M\"}]}",
                   "p.json:1:27: files[0].size: unknown key"},
        BadProfile{"{\"files\": [{\"show\": \"/a\", \"scratch\": \"/b\"}]}",
                   "p.json:1:27: files[0].scratch: unknown key"},
        BadProfile{"{\"files\": [{}]}", "p.json:1:12: files[0]: needs one of show, scratch"},
        BadProfile{"{\"files\": [{\"text\": \"x\"}]}", "p.json:1:12: files[0]: \"at\" is missing"},
        BadProfile{"{\"files\": [{\"scratch\": \"/t\", \"size\": \"64Q\"}]}",
                   "p.json:1:38: files[0].size: \"64Q\" is not a size"},
        BadProfile{"{\"files\": [{\"scratch\": \"/t\", \"size\": -1}]}",
                   "p.json:1:38: files[0].size: "},
        BadProfile{"{\"files\": [{\"scratch\": \"/t\", \"size\": 1.5}]}",
                   "p.json:1:38: files[0].size: expected a string or a whole number"},
        BadProfile{"{\"files\": [{\"synthetic\": \"run\"}]}",
                   "p.json:1:26: files[0].synthetic: \"run\""},
        BadProfile{"{\"files\": [{\"show\": \"/a\\u0000b\"}]}", "p.json:1:21: a NUL byte"},
        BadProfile{"{\"environment\": {\"A\": {\"pass\": \"x\"}}}",
                   "p.json:1:32: environment.A.pass: \"x\" is not one of"},
        BadProfile{"{\"environment\": {\"A*\": \"x\"}}", "p.json:1:24: environment.A*: a pattern"},
        BadProfile{"{\"environment\": {\"A=B\": \"x\"}}",
                   "p.json:1:25: environment.A=B: not a var"},
        BadProfile{"{\"limits\": {\"walls\": \"1s\"}}", "p.json:1:13: limits.walls: unknown key"},
        BadProfile{"{\"limits\": {\"wall\": \"1y\"}}",
                   "p.json:1:21: limits.wall: \"1y\" is not a dur"},
        BadProfile{"{\"limits\": {\"threads\": 0}}", "p.json:1:24: limits.threads: \"0\" is not"},
        BadProfile{"{\"limits\": {\"memory\": 99999999999999999999}}",
                   "p.json:1:23: limits.memory: expected a string or a whole number"},
        BadProfile{"{\"syscalls\": {\"deny\": [\"opnat\"]}}",
                   "p.json:1:24: syscalls.deny[0]: \"opnat\" is not a system call"},
        BadProfile{"{\"syscalls\": {\"deny\": [{\"name\": \"mkdir\", \"errno\": \"EWHAT\"}]}}",
                   "p.json:1:51: syscalls.deny[0].errno: \"EWHAT\""},
        BadProfile{"{\"syscalls\": {\"kill\": [{\"name\": \"mkdir\", \"errno\": \"EPERM\"}]}}",
                   "p.json:1:51: syscalls.kill[0].errno: "},
        BadProfile{"{\"syscalls\": {\"allow\": []}}", "p.json:1:15: syscalls.allow: unknown key"},
        BadProfile{"{\"on_deny\": \"stop\"}", "p.json:1:13: on_deny: expected"},
        BadProfile{"{\"audit\": {\"on_failure\": \"stop\"}}",
                   "p.json:1:26: audit.on_failure: expected"},
        BadProfile{"{\"limits\": {\"memory\": 9223372036854775808}}",
                   "p.json:1:23: limits.memory: expected a string or a whole number"},
        BadProfile{"{\"name\": true}", "p.json:1:10: name: expected a string, found true or false"},
        BadProfile{"{\"name\": null}", "p.json:1:10: name: expected a string, found null"},
        BadProfile{"{\"files\": [{\"link\": \"\", \"at\": \"/a\"}]}",
                   "p.json:1:21: files[0].link: a link needs"},
        BadProfile{"{\"environment\": {\"A\": {\"pass\": false}}}",
                   "p.json:1:32: environment.A.pass: leave the variable out"},
        BadProfile{"{\"environment\": {\"A*\": {\"pass\": true, \"default\": \"x\"}}}",
                   "p.json:1:50: environment.A*.default: a pattern"},
        BadProfile{"{\"environment\": {\"A*B\": {\"pass\": true}}}",
                   "p.json:1:25: environment.A*B: \"*\" is understood"},
        BadProfile{"{\"replace\": [\"all\"]}", "p.json:1:14: replace[0]: \"all\""},
        BadProfile{"{\"name\": \"x\",}", "p.json:1:14: syntax error"},
        BadProfile{"{\"name\": \"x\"} {}", "p.json:1:15: syntax error"},
        BadProfile{"[[[[[[[[[[[[[[[[[[[[", "p.json:1:17: nested too deeply"}));

TEST(ProfileLoader, InvalidUtf8IsAnError) {
  EXPECT_EQ(error_of("{\"name\": \"\xff\"}").substr(0, 9), "p.json:1:");
}

TEST(ProfileLoader, SizeIsBounded) {
  const std::string text = "{\"description\": \"" + std::string(kMaxProfileBytes, 'x') + "\"}";
  EXPECT_EQ(error_of(text), "p.json: larger than 1 MiB");
}

TEST(ProfileLoader, NumbersAtTheEndOfALineKeepTheCount) {
  const std::string error =
      error_of("{\"limits\": {\n\"threads\": 1\n,\n\"processes\": 2\n}\n,\n\"x\": 1}");
  EXPECT_EQ(error.substr(0, 14), "p.json:7:1: x:");
}

}  // namespace
}  // namespace vitrine::policy
