#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "audit/log_filter.h"
#include "audit/log_reader.h"
#include "audit/log_show.h"
#include "audit/log_verify.h"

namespace vitrine::audit {
namespace {

UniqueFd file_with(const std::string& text) {
  UniqueFd fd(::memfd_create("log", MFD_CLOEXEC));
  EXPECT_EQ(::write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  ::lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

// What reading `text` gives, a letter a line: '+' a record, '!' an error of that line.
std::string outcome(const std::string& text) {
  LogReader reader(file_with(text));
  LogLine line;
  std::string out;
  while (true) {
    const auto more = reader.next(line);
    if (more && !*more) return out;
    out += more ? '+' : '!';
    if (!more && more.error().kind != Error::Kind::kInvalid) return out + "X";
  }
}

TEST(LogReader, BadLinesAreErrorsAndReadingGoesOn) {
  const std::string good = "{\"type\":\"signal\"}\n";
  EXPECT_EQ(outcome(good + "not json\n" + good), "+!+");
  EXPECT_EQ(outcome("[1]\n" + good), "!+");
  EXPECT_EQ(outcome("{\"type\":\"other\"}\n{\"type\":7}\n{}\n\n" + good), "!!!!+");
  EXPECT_EQ(outcome("{\"type\":\"signal\",\"x\":\"\xff\"}\n" + good), "!+");
  EXPECT_EQ(outcome("{\"type\":" + std::string(100000, '[') + "\n" + good), "!+");
  EXPECT_EQ(outcome(good + "{\"type\":\"signal\"}"), "+!") << "cut short";
  EXPECT_EQ(outcome(""), "");
}

TEST(LogReader, OverlongLineIsAnErrorInBoundedMemory) {
  const std::string good = "{\"type\":\"signal\"}\n";
  std::string endless(kMaxLineBytes + (5 << 20), ' ');
  EXPECT_EQ(outcome(good + endless + "\n" + good), "+!+");
  EXPECT_EQ(outcome(good + endless), "+!");
}

TEST(LogReader, UnreadableFileIsASystemError) {
  LogReader reader(UniqueFd(::open("/", O_RDONLY | O_CLOEXEC)));
  LogLine line;
  const auto more = reader.next(line);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().kind, Error::Kind::kSystem);
}

LogLine parsed(const std::string& text) {
  LogLine line;
  line.json = Json::parse(text);
  line.type = text_field(line.json, "type");
  return line;
}

constexpr const char* kDenied =
    R"({"type":"syscall","seq":17,"t_us":8123,"pid":1,"tid":1,"syscall":"openat",)"
    R"("args":{"dirfd":"AT_FDCWD","path":"/etc/shadow","flags":"O_RDONLY|O_CLOEXEC"},)"
    R"("decision":"deny","rule":"default","result":-2,"errno":"ENOENT"})";

TEST(Show, LooksLikeStrace) {
  EXPECT_EQ(readable_line(parsed(kDenied), false),
            "[pid 1] 0.008123 openat(AT_FDCWD, \"/etc/shadow\", O_RDONLY|O_CLOEXEC) = -1 ENOENT "
            "(denied: default)");
}

TEST(Show, NothingReachesTheTerminalUnescaped) {
  const std::string shown = readable_line(
      parsed(R"({"type":"syscall","syscall":"\u001b[2J","args":{"path":"\u202e\u0007\\x1b"},)"
             R"("decision":"deny","rule":"\n\u001b]0;x","where":"\u009b"})"),
      false);
  for (const char c : shown) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << shown;
  EXPECT_EQ(shown.find("\u202e"), std::string::npos);
}

TEST(Show, FieldsOfWrongTypesAreTolerated) {
  for (const char* text :
       {R"({"type":"syscall","args":[1],"pid":"x","t_us":-1,"result":"3","syscall":{}})",
        R"({"type":"process","event":7,"argv":{"a":1}})", R"({"type":"limit","ended":3})",
        R"({"type":"end","report":[],"events_left_out":-1})", R"({"type":"start","argv":[1,[2]]})",
        R"({"type":"signal","signal":1e99})"}) {
    EXPECT_FALSE(readable_line(parsed(text), true).empty());
  }
}

TEST(Filter, SelectsCalls) {
  const LogLine call = parsed(kDenied);
  LogFilter filter;
  EXPECT_TRUE(filter.matches(call));
  filter.denied = true;
  filter.syscalls = {"stat", "openat"};
  filter.path = "/etc/*";
  filter.pid = 1;
  filter.since = std::chrono::milliseconds(8);
  filter.until = std::chrono::milliseconds(9);
  EXPECT_TRUE(filter.matches(call));
  EXPECT_FALSE(filter.matches(parsed(R"({"type":"signal","pid":1,"t_us":8500})")));
  filter.path = "/usr/*";
  EXPECT_FALSE(filter.matches(call));
  filter.path.reset();
  filter.until = std::chrono::milliseconds(8);
  EXPECT_FALSE(filter.matches(call));
}

std::vector<std::string> problems(const std::string& text) {
  const auto result = verify_log(file_with(text));
  return result ? result->problems : std::vector<std::string>{"unreadable"};
}

// A log of three events, of which the one with seq 2 was left out.
std::string small_log() {
  return "{\"type\":\"start\"}\n{\"type\":\"signal\",\"seq\":1}\n{\"type\":\"signal\",\"seq\":3}\n"
         "{\"type\":\"end\",\"report\":{},\"lines\":3,\"events_left_out\":1,\"sha256\":"
         "\"DIGEST\"}\n";
}

std::string with_digest(std::string log) {
  const auto result = verify_log(file_with(log));
  return log.replace(log.find("DIGEST"), 6, result->sha256);
}

TEST(Verify, IntactLogHasNoProblem) { EXPECT_TRUE(problems(with_digest(small_log())).empty()); }

TEST(Verify, FindsEveryKindOfDamage) {
  const std::string good = with_digest(small_log());
  const auto broken = [&](const std::string& from, const std::string& to) {
    std::string log = good;
    log.replace(log.find(from), from.size(), to);
    return problems(log).size();
  };
  EXPECT_EQ(problems("").size(), 1U);
  EXPECT_EQ(problems(good.substr(0, good.find("{\"type\":\"end\""))).size(), 1U) << "no end line";
  EXPECT_GE(problems(good.substr(0, good.size() - 1)).size(), 1U) << "cut short";
  EXPECT_GE(problems(good + "{\"type\":\"signal\",\"seq\":4}\n").size(), 1U) << "after the end";
  EXPECT_EQ(broken("signal", "SIGNAL"), 4U) << "no record: lines, events and digest differ";
  EXPECT_EQ(broken("\"lines\":3", "\"lines\":4"), 1U);
  EXPECT_EQ(broken("left_out\":1", "left_out\":0"), 1U) << "an event is missing";
  EXPECT_GE(broken("\"seq\":3", "\"seq\":1"), 2U) << "seq does not increase; digest";
  EXPECT_EQ(broken("\"signal\",", "\"signal\" ,"), 1U) << "digest alone";
  EXPECT_GE(broken("{\"type\":\"start\"}\n", ""), 3U);
}

}  // namespace
}  // namespace vitrine::audit
