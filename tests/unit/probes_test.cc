#include "intercept/probes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <initializer_list>

namespace vitrine::intercept {
namespace {

// What this host gives, in which everything but `failing` works.
std::vector<Probe> with_failing(std::initializer_list<std::string_view> failing) {
  std::vector<Probe> probes = run_probes();
  for (Probe& probe : probes) {
    const bool fails = std::ranges::find(failing, probe.name) != failing.end();
    probe.answer = fails ? Probe::Answer::kRefused : Probe::Answer::kWorks;
    probe.error = fails ? EPERM : 0;
  }
  return probes;
}

std::string verdicts(const std::vector<Probe>& probes) {
  std::string text;
  for (const BackendVerdict& verdict : judge_backends(probes)) {
    text += std::string(verdict.name) + (verdict.works ? "+" : "-");
    for (const Probe* probe : verdict.missing) text += " " + std::string(probe->name);
    text += "; ";
  }
  return text;
}

TEST(Probes, AllWorkingGivesEveryBackend) {
  EXPECT_EQ(verdicts(with_failing({})), "notify+; trace+; syscall+; ");
}

TEST(Probes, EachBackendNeedsItsOwn) {
  EXPECT_EQ(verdicts(with_failing({"seccomp-listener"})),
            "notify- seccomp-listener; trace+; syscall+; ");
  EXPECT_EQ(verdicts(with_failing({"ptrace-syscall-info"})),
            "notify+; trace+; syscall- ptrace-syscall-info; ");
  EXPECT_EQ(verdicts(with_failing({"seccomp-filter"})),
            "notify- seccomp-filter; trace- seccomp-filter; syscall+; ");
  EXPECT_EQ(verdicts(with_failing({"memfd"})), "notify- memfd; trace- memfd; syscall- memfd; ");
}

TEST(Probes, AlternativesDo) {
  EXPECT_EQ(verdicts(with_failing({"process-vm"})), "notify+; trace+; syscall+; ");
  EXPECT_EQ(verdicts(with_failing({"process-vm", "proc-mem"})),
            "notify- process-vm; trace+; syscall+; ");
}

TEST(Probes, WhatFollowsFromAnotherIsNotNamed) {
  EXPECT_EQ(verdicts(with_failing({"ptrace-seize", "ptrace-exitkill", "ptrace-registers",
                                   "ptrace-syscall", "ptrace-syscall-info", "seccomp-trace"})),
            "notify- ptrace-seize; trace- ptrace-seize; syscall- ptrace-seize; ");
}

TEST(Probes, LacksAreOfTheBackendThatIsAskedFor) {
  const std::vector<Probe> probes = with_failing({"seccomp-sync-wake-up", "landlock"});
  EXPECT_EQ(lacks_of("notify", probes).size(), 2U);
  ASSERT_EQ(lacks_of("trace", probes).size(), 1U);
  EXPECT_EQ(lacks_of("trace", probes)[0].probe->name, "landlock");
}

}  // namespace
}  // namespace vitrine::intercept
