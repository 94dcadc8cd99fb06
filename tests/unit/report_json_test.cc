#include "audit/report_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace vitrine::audit {
namespace {

using Json = nlohmann::json;

TEST(ReportJson, HasTheContractsKeys) {
  Report report;
  report.verdict = Verdict::kExited;
  report.exit_code = 0;
  report.backend = "notify";
  report.profiles = {"python"};
  report.command = {"python3", "script.py"};
  report.scratch_bytes = 64ULL << 20;
  report.usage.wall = std::chrono::milliseconds(31);
  report.mediated = 241;
  report.denied = 3;
  report.by_name["openat"] = {31, 2};
  report.denials.push_back({"openat", "/etc/shadow", "ENOENT", "default", "", 2});
  const Json json = Json::parse(report_to_json(report));
  const Json expected = Json::parse(R"({"vitrine": "1.0.0", "schema": 1,
   "verdict": "exited", "exit_code": 0, "signal": null, "reason": null,
   "backend": "notify", "profile": ["python"], "command": ["python3", "script.py"],
   "limits": {"wall_s": 60.0, "cpu_s": 30.0, "memory_bytes": 536870912, "output_bytes": 67108864,
              "processes": 1, "threads": 64, "scratch_bytes": 67108864},
   "usage": {"wall_s": 0.031, "cpu_user_s": 0.0, "cpu_system_s": 0.0, "memory_peak_bytes": 0,
             "output_bytes": 0, "processes_peak": 0, "threads_peak": 0, "scratch_peak_bytes": 0},
   "syscalls": {"mediated": 241, "denied": 3, "by_name": {"openat": {"mediated": 31, "denied": 2}}},
   "limits_hit": [],
   "first_denial": {"syscall": "openat", "target": "/etc/shadow", "errno": "ENOENT",
                    "rule": "default", "where": null},
   "denials": [{"syscall": "openat", "target": "/etc/shadow", "errno": "ENOENT", "rule": "default",
                "where": null, "count": 2}]})");
  EXPECT_EQ(json, expected);
}

TEST(ReportJson, UnboundedLimitsAreNull) {
  Report report;
  report.limits.wall = std::nullopt;
  report.limits.memory_bytes = std::nullopt;
  const Json json = Json::parse(report_to_json(report));
  EXPECT_TRUE(json["limits"]["wall_s"].is_null());
  EXPECT_TRUE(json["limits"]["memory_bytes"].is_null());
}

TEST(ReportJson, HostileBytesStayInTheirStrings) {
  Report report;
  report.reason = "a\"\n\xff";
  report.command = {std::string("x\0y", 3), "\xe2\x80\xa8\x1b[2J"};
  report.denials.push_back({"openat", "/\xff\n\"}", "ENOENT", "--ro \xff", "\x1b", 1});
  const std::string line = report_to_json(report);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const Json json = Json::parse(line);
  EXPECT_EQ(json["reason"], "a\"\\x0a\\xff");
  EXPECT_EQ(json["command"][1], "\\xe2\\x80\\xa8\\x1b[2J");
  EXPECT_EQ(json["first_denial"]["target"], "/\\xff\\x0a\"}");
}

TEST(ReportJson, ListsAreBoundedAndTheRestIsCounted) {
  Report report;
  report.denials.resize(kMaxReportDenials + 10);
  report.denials_left_out = 5;
  report.command.assign(10000, "word");
  const Json json = Json::parse(report_to_json(report));
  EXPECT_EQ(json["denials"].size(), kMaxReportDenials);
  EXPECT_EQ(json["denials_left_out"], 15);
  EXPECT_EQ(json["command"].size() + json["command_left_out"].get<std::size_t>(), 10000U);
  EXPECT_LT(json["command"].size(), 1000U);
}

TEST(ReportJson, DocumentEndsWithANewline) {
  const std::string document = report_document(Report{});
  EXPECT_EQ(document.back(), '\n');
  EXPECT_EQ(Json::parse(document), Json::parse(report_to_json(Report{})));
}

}  // namespace
}  // namespace vitrine::audit
