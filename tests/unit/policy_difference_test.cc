#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "policy/builder.h"
#include "policy/difference.h"
#include "policy/explain.h"
#include "policy/profile_loader.h"
#include "policy/profile_writer.h"

namespace vitrine::policy {
namespace {

Policy policy_of(std::string_view text) {
  const auto parsed = parse_profile(text, "p", "p.json");
  EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().message());
  PolicyBuilder builder;
  builder.extend(parsed.value_or(Profile{}));
  return std::move(builder).build();
}

// One line a grant.
std::string beyond(std::string_view less, std::string_view more) {
  std::string lines;
  for (const Grant& grant : grants_beyond(policy_of(less), policy_of(more))) {
    lines += grant.kind + " " + grant.subject + ": " + grant.change + "\n";
  }
  return lines;
}

constexpr std::string_view kNothing = "{}";

// Everything that a profile can say, in forms that a writer can get wrong.
constexpr std::string_view kAll = R"({
  "files": [
    {"folder": "/empty"}, {"show": "/etc", "at": "/conf"}, {"show": "/usr/lib/*.so"},
    {"scratch": "/work", "size": "3M"}, {"scratch": "/more", "size": 1000},
    {"text": "hello", "at": "/hello"}, {"text": "run", "at": "/run.sh", "executable": true},
    {"link": "hello", "at": "/other"}, {"hide": "/conf/shadow"}, {"synthetic": "dev"}],
  "environment": {"A": "1", "B": {"pass": true}, "C": {"pass": "zone", "default": "UTC"},
                  "LC_*": {"pass": "locale"}},
  "limits": {"wall": "none", "cpu": "1500ms", "memory": "none", "output": "none", "processes": 3,
             "threads": 9, "cpus": 2},
  "syscalls": {"deny": ["mkdir", {"name": "rmdir", "errno": "EACCES"}], "kill": ["link"]},
  "on_deny": "kill", "audit": {"on_failure": "count"}})";

TEST(PolicyDifference, EveryKindOfFileIsAGrant) {
  EXPECT_EQ(beyond(kNothing, R"({"files": [{"text": "x", "at": "/a"}]})"),
            "text /a: a text of its own\n");
  EXPECT_EQ(beyond(kNothing, R"({"files": [{"link": "b", "at": "/a"}]})"),
            "link /a: a link to b\n");
  EXPECT_EQ(beyond(kNothing, R"({"files": [{"scratch": "/a", "size": "1M"}]})"),
            "scratch /a: scratch of 1 MiB\n");
  EXPECT_EQ(beyond(kNothing, R"({"files": [{"show": "/etc", "at": "/a"}]})"),
            "show /a: the host's /etc\n");
  EXPECT_EQ(beyond(kNothing, R"({"files": [{"folder": "/a"}]})"), "");
}

TEST(PolicyDifference, OtherContentAtAPathIsAGrant) {
  constexpr std::string_view kText = R"({"files": [{"text": "x", "at": "/a"}]})";
  EXPECT_EQ(beyond(kText, kText), "");
  EXPECT_EQ(beyond(kText, R"({"files": [{"text": "x", "at": "/a", "executable": true}]})"),
            "text /a: a text of its own, instead of a text of its own\n");
  EXPECT_EQ(beyond(R"({"files": [{"link": "b", "at": "/a"}]})",
                   R"({"files": [{"link": "c", "at": "/a"}]})"),
            "link /a: a link to c, instead of a link to b\n");
  EXPECT_EQ(beyond(R"({"files": [{"scratch": "/a", "size": "1M"}]})",
                   R"({"files": [{"scratch": "/a", "size": "2M"}]})"),
            "scratch /a: scratch of 2 MiB, instead of scratch of 1 MiB\n");
  EXPECT_EQ(beyond(R"({"files": [{"scratch": "/a", "size": "2M"}]})",
                   R"({"files": [{"scratch": "/a", "size": "1M"}]})"),
            "");
  EXPECT_EQ(beyond(R"({"files": [{"show": "/etc"}, {"hide": "/etc/shadow"}]})",
                   R"({"files": [{"show": "/etc"}]})"),
            "show /etc/shadow: the host's /etc/shadow\n");
  EXPECT_EQ(beyond(R"({"files": [{"show": "/etc"}]})",
                   R"({"files": [{"show": "/etc"}, {"folder": "/etc/empty"}]})"),
            "");
}

TEST(PolicyDifference, WhatLeadsToAnotherGrantIsOne) {
  std::string name = "/var/tmp/vitrine-test-XXXXXX";
  const std::filesystem::path folder = ::mkdtemp(name.data());
  std::ofstream(folder / "file") << "x";
  std::filesystem::create_symlink("file", folder / "link");
  const std::string link = folder / "link";
  EXPECT_EQ(beyond(kNothing, R"({"files": [{"show": ")" + link + R"("}]})"),
            "show " + link + ": the host's " + link + "\n");
  std::filesystem::remove_all(folder);
  // What is below what is shown elsewhere, and what stands in a folder's place.
  EXPECT_EQ(beyond(R"({"files": [{"show": "/etc", "at": "/conf"}, {"hide": "/conf/hosts"}]})",
                   R"({"files": [{"show": "/etc", "at": "/conf"}]})"),
            "show /conf/hosts: the host's /etc/hosts\n");
  EXPECT_EQ(beyond(R"({"files": [{"folder": "/a"}]})",
                   R"({"files": [{"folder": "/a"}, {"text": "x", "at": "/a/b"}]})"),
            "text /a/b: a text of its own\n");
  EXPECT_EQ(beyond(R"({"files": [{"scratch": "/dev", "size": "1M"}]})",
                   R"({"files": [{"synthetic": "dev"}]})"),
            "");
}

TEST(PolicyDifference, HigherLimitsAndNoneAreGrants) {
  constexpr std::string_view kLess =
      R"({"limits": {"wall": "1s", "memory": "1M", "threads": 2, "processes": 1, "cpus": 1}})";
  EXPECT_EQ(beyond(kLess, R"({"limits": {"wall": "none", "memory": "2M", "threads": 3,
                                         "processes": 1, "cpus": 1}})"),
            "limit wall: none, instead of 1 s\nlimit memory: 2 MiB, instead of 1 MiB\n"
            "limit threads: 3, instead of 2\n");
  EXPECT_EQ(beyond(R"({"limits": {"wall": "none"}})", R"({"limits": {"wall": "1s"}})"), "");
}

TEST(PolicyDifference, CallsThatAreNoLongerRefusedAreGrants) {
  EXPECT_EQ(beyond(R"({"syscalls": {"deny": ["mkdir"], "kill": ["rmdir", "link"]}})",
                   R"({"syscalls": {"deny": ["link"]}})"),
            "call link: it fails, instead of ending the run\n"
            "call mkdir: no longer denied\ncall rmdir: no longer ends the run\n");
  EXPECT_EQ(beyond(kNothing, R"({"syscalls": {"deny": ["mkdir"]}})"), "");
}

TEST(PolicyDifference, VariablesAndReactionsAreGrants) {
  EXPECT_EQ(beyond(R"({"environment": {"A": "1", "B": {"pass": "zone"}}, "on_deny": "kill",
                       "audit": {"on_failure": "end"}})",
                   R"({"environment": {"A": {"pass": true}, "B": {"pass": true}, "C": "2",
                                       "D": {"pass": true}},
                       "on_deny": "errno", "audit": {"on_failure": "count"}})"),
            "environment A: passed, instead of what was set or checked\n"
            "environment B: passed, instead of what was set or checked\n"
            "environment C: set\nenvironment D: passed, instead of nothing\n"
            "on_deny a denied call: it fails, instead of ending the run\n"
            "audit a log that cannot be written: the run goes on, instead of ending\n");
}

TEST(PolicyDifference, WhatIsWrittenGrantsTheSame) {
  const std::string written = profile_document(policy_of(kAll), "all", "every form");
  EXPECT_EQ(beyond(kAll, written), "") << written;
  EXPECT_EQ(beyond(written, kAll), "") << written;
  // And it would have been said, had it been lost.
  for (const char* part : {"/hello", "/other", "/work", "LC_*"}) {
    EXPECT_NE(beyond(kNothing, written).find(part), std::string::npos) << part;
  }
  const Policy again = policy_of(written);
  EXPECT_EQ(again.limits().processes, 3U);
  EXPECT_EQ(again.limits().cpu, std::chrono::milliseconds(1500));
  EXPECT_FALSE(again.limits().wall || again.limits().memory_bytes || again.limits().output_bytes);
  EXPECT_EQ(again.on_deny(), OnDeny::kKill);
  EXPECT_EQ(again.on_audit_failure(), AuditFailure::kCountDrops);
  EXPECT_EQ(again.call_rule("rmdir")->error, EACCES);
  EXPECT_EQ(again.call_rule("link")->action, Action::kKill);
}

TEST(PolicyDifference, WhatIsWrittenSaysWhereARuleCameFrom) {
  PolicyBuilder builder;
  builder.add_file({LinkRule{"/a", "b"}, {"--option", ""}});
  builder.add_file({LinkRule{"/c", "d"}, {"rule", "p.json:3"}});
  const std::string written = profile_document(std::move(builder).build(), "all", "");
  EXPECT_NE(written.find("\"--option\""), std::string::npos) << written;
  EXPECT_NE(written.find("\"rule at p.json:3\""), std::string::npos) << written;
}

// The asterisk stands for a part of one name, and for none that begins with a dot.
TEST(PolicyExplain, PatternsAreOfOneFolder) {
  const auto shown_by = [](std::string_view pattern, const char* path) {
    const std::string text = R"({"files": [{"show": ")" + std::string(pattern) + "\"}]}";
    return explain(policy_of(text), {"openat", path}).decision.action != Action::kDeny;
  };
  EXPECT_TRUE(shown_by("/us*", "/usr"));
  EXPECT_TRUE(shown_by("/us*", "/usr/lib"));
  EXPECT_FALSE(shown_by("/us*", "/etc"));
  EXPECT_FALSE(shown_by("/us*", "/etc/usr"));
  EXPECT_TRUE(shown_by("/usr/l*", "/usr/lib"));
  EXPECT_FALSE(shown_by("/usr/l*", "/lib"));
  EXPECT_FALSE(shown_by("/*", "/.hidden"));
}

TEST(PolicyExplain, LinksAreNamed) {
  const Explanation found = explain(policy_of(kAll), {"openat", "/other"});
  EXPECT_EQ(found.note, "through the link /other -> hello");
}

}  // namespace
}  // namespace vitrine::policy
