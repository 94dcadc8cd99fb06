#include <gtest/gtest.h>

#include "cli/options.h"

namespace vitrine::cli {
namespace {

RunOptions parsed(const Arguments& arguments) {
  auto options = parse_run_options(arguments);
  EXPECT_TRUE(options) << (options ? "" : options.error().message());
  return options.value_or(RunOptions{});
}

std::string error_of(const Arguments& arguments) {
  const auto options = parse_run_options(arguments);
  return options ? "no error" : options.error().message();
}

TEST(RunOptions, DefaultsAreEmpty) {
  const RunOptions options = parsed({"true"});
  EXPECT_TRUE(options.profiles.empty());
  EXPECT_EQ(options.backend, supervisor::Backend::kAuto);
  EXPECT_EQ(options.command, (Arguments{"true"}));
  EXPECT_EQ(options.audit_options.level, audit::Level::kMediated);
  EXPECT_EQ(options.audit_options.limit_bytes, 1ULL << 30);
  EXPECT_FALSE(options.limits.wall.has_value());
}

TEST(RunOptions, EndAtTheFirstOtherWord) {
  EXPECT_EQ(parsed({"python3", "-c", "print(1)"}).command,
            (Arguments{"python3", "-c", "print(1)"}));
  EXPECT_EQ(parsed({"--wall", "1s", "echo", "--wall", "x"}).command,
            (Arguments{"echo", "--wall", "x"}));
  EXPECT_EQ(parsed({"--wall=1s", "echo"}).command, (Arguments{"echo"}));
  EXPECT_EQ(parsed({"-q", "--", "--wall", "x"}).command, (Arguments{"--wall", "x"}));
  EXPECT_EQ(parsed({"-p", "strict", "-v", "true"}).command, (Arguments{"true"}));
  EXPECT_EQ(parsed({"-pstrict", "true"}).profiles, (Arguments{"strict"}));
  EXPECT_EQ(parsed({"-qp", "strict", "true"}).profiles, (Arguments{"strict"}));
  EXPECT_EQ(parsed({"-", "x"}).command, (Arguments{"-", "x"}));
  EXPECT_EQ(parsed({"--", "--", "x"}).command, (Arguments{"--", "x"}));
}

TEST(RunOptions, ValuesMayLookLikeOptions) {
  const RunOptions options = parsed({"--env", "A=--wall", "--env", "wall", "true"});
  ASSERT_EQ(options.environment.size(), 2U);
  EXPECT_EQ(options.environment[0].value, "--wall");
  EXPECT_EQ(options.environment[1].name, "wall");
}

TEST(RunOptions, Limits) {
  const RunOptions options =
      parsed({"--wall", "250ms", "--cpu", "none", "--memory", "2G", "--output=1M", "--processes",
              "4", "--threads", "8", "--cpus", "2", "true"});
  EXPECT_EQ(options.limits.wall, std::optional<Nanoseconds>(std::chrono::milliseconds(250)));
  ASSERT_TRUE(options.limits.cpu.has_value());
  EXPECT_EQ(*options.limits.cpu, std::nullopt);
  EXPECT_EQ(options.limits.memory_bytes, std::optional<std::uint64_t>(2ULL << 30));
  EXPECT_EQ(options.limits.output_bytes, std::optional<std::uint64_t>(1U << 20));
  EXPECT_EQ(options.limits.processes, 4U);
  EXPECT_EQ(options.limits.threads, 8U);
  EXPECT_EQ(options.limits.cpus, std::optional<unsigned>(2));
}

TEST(RunOptions, FilesKeepTheirOrder) {
  const RunOptions options = parsed({"--ro", "data", "--scratch", "/data/out=1M", "--ro",
                                     "a:b:/guest", "--hide", "/x/", "--scratch", "/y", "true"});
  ASSERT_EQ(options.files.size(), 5U);
  EXPECT_EQ(std::get<ShowRule>(options.files[0].what).host, "data");
  EXPECT_EQ(std::get<ShowRule>(options.files[0].what).guest, "");
  EXPECT_EQ(options.files[0].origin.rule, "--ro data");
  EXPECT_EQ(std::get<ScratchRule>(options.files[1].what).bytes, 1U << 20);
  EXPECT_EQ(std::get<ShowRule>(options.files[2].what).host, "a:b");
  EXPECT_EQ(std::get<ShowRule>(options.files[2].what).guest, "/guest");
  EXPECT_EQ(std::get<HideRule>(options.files[3].what).guest, "/x");
  EXPECT_EQ(std::get<ScratchRule>(options.files[4].what).bytes, 64U << 20);
}

TEST(RunOptions, SecretsStayOutOfRuleNames) {
  const RunOptions options = parsed({"--env", "TOKEN=secret", "true"});
  EXPECT_EQ(options.environment[0].origin.rule, "--env TOKEN");
}

TEST(RunOptions, Destinations) {
  const RunOptions options =
      parsed({"--report", "r.json", "--audit-fd", "7", "--audit-level", "all", "--audit-limit",
              "1K", "--pass-fd", "3", "--pass-fd", "4", "true"});
  EXPECT_EQ(options.report->file, "r.json");
  EXPECT_EQ(options.report->fd, -1);
  EXPECT_EQ(options.audit->fd, 7);
  EXPECT_EQ(options.audit->file, "");
  EXPECT_EQ(options.audit_options.level, audit::Level::kAll);
  EXPECT_EQ(options.audit_options.limit_bytes, 1024U);
  EXPECT_EQ(options.pass_fds, (std::vector<int>{3, 4}));
}

TEST(RunOptions, HelpNeedsNoCommand) {
  EXPECT_TRUE(parsed({"--help"}).help);
  EXPECT_TRUE(parsed({"-h"}).help);
  EXPECT_TRUE(parsed({"--version"}).version);
}

TEST(RunOptions, EveryOptionIsInTheHelp) {
  const std::string help = run_options_help();
  for (const char* const name :
       {"profile",     "backend",     "ro",      "scratch", "collect",   "hide",      "cwd",
        "env",         "wall",        "cpu",     "memory",  "output",    "processes", "threads",
        "cpus",        "on-deny",     "pass-fd", "report",  "report-fd", "audit",     "audit-fd",
        "audit-level", "audit-limit", "quiet",   "verbose"}) {
    EXPECT_NE(help.find(std::string("--") + name), std::string::npos) << name;
  }
}

struct BadOption {
  Arguments arguments;
  const char* names;  // what the error's sentence holds
};

class BadOptions : public testing::TestWithParam<BadOption> {};

TEST_P(BadOptions, AreErrorsThatNameTheOption) {
  const std::string error = error_of(GetParam().arguments);
  EXPECT_NE(error.find(GetParam().names), std::string::npos) << error;
  EXPECT_EQ(error.find('\n'), std::string::npos) << error;
}

INSTANTIATE_TEST_SUITE_P(
    RunOptions, BadOptions,
    testing::Values(
        BadOption{{}, "no command"}, BadOption{{"--"}, "no command"},
        BadOption{{"--wall", "10s"}, "no command"}, BadOption{{"--wal", "10s", "true"}, "--wal"},
        BadOption{{"-x", "true"}, "-x"}, BadOption{{"--wall"}, "--wall"},
        BadOption{{"--wall=", "true"}, "--wall"}, BadOption{{"--wall", "", "true"}, "--wall"},
        BadOption{{"--wall", "-1s", "true"}, "--wall"},
        BadOption{{"--wall", " 1s", "true"}, "--wall"},
        BadOption{{"--wall", "18446744073709551615", "true"}, "--wall"},
        BadOption{{"--cpu", "1e9", "true"}, "--cpu"},
        BadOption{{"--memory", "1e9G", "true"}, "--memory"},
        BadOption{{"--memory", "18446744073709551616", "true"}, "--memory"},
        BadOption{{"--output", "1.5M", "true"}, "--output"},
        BadOption{{"--threads", "0", "true"}, "--threads"},
        BadOption{{"--processes", "-5", "true"}, "--processes"},
        BadOption{{"--cpus", "none", "true"}, "--cpus"},
        BadOption{{"--quiet=1", "true"}, "--quiet"},
        BadOption{{"--backend", "magic", "true"}, "--backend"},
        BadOption{{"--on-deny", "x", "true"}, "--on-deny"}, BadOption{{"--ro", "", "true"}, "--ro"},
        BadOption{{"--ro", ":/x", "true"}, "--ro"},
        BadOption{{"--scratch", "tmp", "true"}, "--scratch"},
        BadOption{{"--scratch", "/tmp=x", "true"}, "--scratch"},
        BadOption{{"--scratch", "/a/../b", "true"}, "--scratch"},
        BadOption{{"--hide", "x", "true"}, "--hide"}, BadOption{{"--hide", "/", "true"}, "--hide"},
        BadOption{{"--collect", "/tmp/x", "true"}, "--collect"},
        BadOption{{"--collect", "/tmp/x:", "true"}, "--collect"},
        BadOption{{"--collect", "x:y", "true"}, "--collect"},
        BadOption{{"--cwd", "x", "true"}, "--cwd"}, BadOption{{"--env", "=x", "true"}, "--env"},
        BadOption{{"--env", "LC_*", "true"}, "--env"},
        BadOption{{"--pass-fd", "2", "true"}, "--pass-fd"},
        BadOption{{"--pass-fd", "99999999999", "true"}, "--pass-fd"},
        BadOption{{"--report", "x", "--report-fd", "5", "true"}, "--report-fd"},
        BadOption{{"--report-fd", "5", "--pass-fd", "5", "true"}, "--pass-fd 5"},
        BadOption{{"--audit-level", "some", "true"}, "--audit-level"},
        BadOption{{"--audit-limit", "none", "true"}, "--audit-limit"}));

}  // namespace
}  // namespace vitrine::cli
