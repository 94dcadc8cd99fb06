#include <gtest/gtest.h>

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

std::string hint(const Denial& one) {
  Report report;
  report.denials = {one};
  const auto lines = hints_for(report);
  return lines.empty() ? "" : lines.front();
}

TEST(Hints, AnUnshownPathNamesTheOptionThatShowsIt) {
  EXPECT_EQ(hint(denial("openat", "/data/x.csv", "ENOENT", "default")),
            "refused: openat /data/x.csv (ENOENT); --ro /data/x.csv shows it");
  EXPECT_EQ(hint(denial("openat", "x.csv", "ENOENT", "default")),
            "refused: openat x.csv (ENOENT); --ro . shows it");
}

TEST(Hints, AWriteNamesScratch) {
  EXPECT_EQ(hint(denial("openat", "/srv/out", "EROFS", "--ro /srv")),
            "refused: openat /srv/out (EROFS); --scratch FOLDER gives a folder to write in");
}

TEST(Hints, BudgetsNameTheirOptions) {
  EXPECT_EQ(hint(denial("clone", "", "EAGAIN", "limit:processes")),
            "refused: clone (EAGAIN); --processes N allows more");
}

TEST(Hints, SecretsAreNotOffered) {
  EXPECT_EQ(hint(denial("openat", "/etc/shadow", "ENOENT", "default")),
            "refused: openat /etc/shadow (ENOENT); it may hold secrets");
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
  EXPECT_EQ(hints_for(report).size(), kMostHints);
}

}  // namespace
}  // namespace vitrine::cli
