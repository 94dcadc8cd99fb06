#include <gtest/gtest.h>

#include "audit/log_html.h"
#include "audit/log_summary.h"

namespace vitrine::audit {
namespace {

LogLine parsed(const std::string& text) {
  LogLine line;
  line.json = Json::parse(text);
  line.type = text_field(line.json, "type");
  return line;
}

std::size_t occurrences(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) {
    ++count;
  }
  return count;
}

std::string denied_open(const std::string& path) {
  return R"({"type":"syscall","seq":1,"t_us":5,"pid":1,"tid":1,"syscall":"openat","args":{"dirfd":)"
         R"("AT_FDCWD","path":)" +
         Json(path).dump() +
         R"(,"flags":"O_RDONLY"},"decision":"deny","rule":"default","result":-2,"errno":"ENOENT"})";
}

// The data block of a page, parsed.
Json data_of(const std::string& page) {
  const std::string open = "id=\"data\">";
  const std::size_t from = page.find(open) + open.size();
  return Json::parse(page.substr(from, page.find("</script>", from) - from), nullptr, false);
}

TEST(HtmlPage, HostileTextStaysText) {
  const std::string evil = "</script><img src=x onerror=alert(1)><!--<script>";
  HtmlPage page;
  Json start = {
      {"type", "start"}, {"vitrine", evil}, {"argv", {evil, "\u202e\u001b"}}, {evil, evil}};
  page.add(parsed(start.dump()));
  page.add(parsed(denied_open("/etc/" + evil)));
  page.add(
      parsed(R"({"type":"process","pid":1,"event":"exec","program":)" + Json(evil).dump() + "}"));
  Json end = {{"type", "end"}, {"report", {{"verdict", evil}, {"reason", evil}}}};
  page.add(parsed(end.dump()));
  const std::string html = page.render(evil);
  EXPECT_EQ(occurrences(html, "<script"), 2U) << "the data and the page's own";
  EXPECT_EQ(occurrences(html, "</script"), 2U);
  EXPECT_EQ(occurrences(html, "<img"), 0U);
  EXPECT_EQ(occurrences(html, "<!--"), 0U);
  EXPECT_EQ(html.find("\u202e"), std::string::npos);
  const Json data = data_of(html);
  ASSERT_TRUE(data.is_object());
  EXPECT_EQ(data["denials"][0][3], "/etc/" + evil) << "nothing is lost";
}

TEST(HtmlPage, PolicyAllowsNothingButItself) {
  const std::string html = HtmlPage().render("x");
  EXPECT_NE(html.find("default-src 'none'; style-src 'sha256-"), std::string::npos);
  EXPECT_NE(html.find("; script-src 'sha256-"), std::string::npos);
  EXPECT_EQ(html.find("unsafe-"), std::string::npos);
  EXPECT_EQ(html.find("http://"), std::string::npos);
  EXPECT_EQ(html.find("https://"), std::string::npos);
  EXPECT_EQ(html_script().find("innerHTML"), std::string_view::npos);
  EXPECT_TRUE(data_of(html).is_object()) << "an empty log has a page, too";
}

TEST(HtmlPage, EventsPastTheTableAreCounted) {
  HtmlPage page;
  const LogLine line = parsed(denied_open("/etc/shadow"));
  for (std::uint64_t i = 0; i < HtmlPage::kMaxRows + 7; ++i) page.add(line);
  const Json data = data_of(page.render("x"));
  EXPECT_EQ(data["rows"].size(), HtmlPage::kMaxRows);
  EXPECT_EQ(data["rows_left_out"], 7);
  EXPECT_EQ(data["denials"][0][0], HtmlPage::kMaxRows + 7);
}

TEST(ProfileLine, IsWhatAProfileUnderstandsOrNothing) {
  EXPECT_EQ(profile_line({"openat", "/etc/my file", "ENOENT", "default"}),
            R"({"show": "/etc/my file"})");
  EXPECT_EQ(profile_line({"openat", "/data/out/x", "EROFS", "python:files[1]"}),
            R"({"scratch": "/data/out", "size": "16M"})");
  for (const char* of_the_system : {"/x", "/etc/x", "/etc/python3/x", "/usr/lib/x", "/proc/1/x"}) {
    EXPECT_EQ(profile_line({"openat", of_the_system, "EROFS", "default"}), "")
        << "an empty folder there would take away what is shown";
  }
  EXPECT_EQ(profile_line({"openat", "/home/me/data", "ENOENT", "default"}),
            R"({"show": "/home/me/data"})");
  for (const char* wide :
       {"/", "/home", "/home/me", "/home/me/", "/root", "//srv/.", "/sys/class/net", "/dev/kmsg"}) {
    EXPECT_EQ(profile_line({"openat", wide, "ENOENT", "default"}), "") << wide;
  }
  EXPECT_EQ(profile_line({"socket", "", "EACCES", "network"}), "");
  EXPECT_EQ(profile_line({"openat", "relative", "ENOENT", "default"}), "");
  EXPECT_EQ(profile_line({"openat", "/srv/\\xff", "ENOENT", "default"}), "") << "no text";
  EXPECT_EQ(profile_line({"openat", "/srv/*", "ENOENT", "default"}), "") << "would be a pattern";
}

TEST(Timeline, WidensItsBucketsAndLosesNothing) {
  Timeline timeline;
  for (std::uint64_t i = 0; i < 1000; ++i)
    timeline.add(i % 40 + 1, i * i, Family::kFiles, i % 2 == 0);
  timeline.add(1, UINT64_MAX, Family::kNetwork, false);
  EXPECT_EQ(timeline.lanes().size(), Timeline::kMaxLanes + 1);
  EXPECT_EQ(timeline.lanes().back().tid, 0U) << "shared";
  std::uint64_t calls = 0;
  std::uint64_t denied = 0;
  for (const auto& lane : timeline.lanes()) {
    for (const auto& bucket : lane.buckets) {
      denied += bucket.denied;
      for (const std::uint32_t n : bucket.calls) calls += n;
    }
  }
  EXPECT_EQ(calls, 1001U);
  EXPECT_EQ(denied, 500U);
}

TEST(Family, IsThatOfTheName) {
  EXPECT_EQ(family_of("openat"), Family::kFiles);
  EXPECT_EQ(family_of("getdents64"), Family::kFiles);
  EXPECT_EQ(family_of("getpid"), Family::kProcesses);
  EXPECT_EQ(family_of("mmap"), Family::kMemory);
  EXPECT_EQ(family_of("sendmsg"), Family::kNetwork);
  EXPECT_EQ(family_of("syscall_999"), Family::kOther);
}

TEST(Summary, CountsFilesByUse) {
  LogSummary summary;
  const auto call = [&](const std::string& name, const std::string& path, const std::string& flags,
                        int result) {
    Json line = {
        {"type", "syscall"},   {"syscall", name}, {"args", {{"path", path}, {"flags", flags}}},
        {"decision", "serve"}, {"rule", "r"},     {"result", result}};
    summary.add(parsed(line.dump()));
  };
  call("openat", "/a", "O_RDONLY", 3);
  call("openat", "/a", "O_RDWR|O_CREAT", 3);
  call("openat", "/a", "O_RDONLY", -2);
  call("newfstatat", "/a", "0", 0);
  call("unlinkat", "/a", "0", 0);
  call("execve", "/a", "0", 0);
  call("newfstatat", "", "AT_EMPTY_PATH", 0);
  summary.add(parsed(denied_open("/a")));
  ASSERT_EQ(summary.files().size(), 1U);
  const FileTotals& file = summary.files().at("/a");
  EXPECT_EQ(file.read, 1U);
  EXPECT_EQ(file.written, 2U);
  EXPECT_EQ(file.absent, 1U);
  EXPECT_EQ(file.looked, 1U);
  EXPECT_EQ(file.run, 1U);
  EXPECT_EQ(file.refused, 1U);
  ASSERT_EQ(summary.denials().size(), 1U);
  EXPECT_EQ(summary.denials().begin()->first.rule, "default");
  EXPECT_NE(summary_text(summary).find("openat /a ENOENT (rule: default)"), std::string::npos);
  EXPECT_EQ(summary_json(summary)["calls"]["openat"]["calls"], 4);
}

}  // namespace
}  // namespace vitrine::audit
