#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "audit/log_filter.h"
#include "audit/log_reader.h"
#include "audit/log_show.h"
#include "audit/log_verify.h"
#include "audit/sha256.h"

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
  EXPECT_EQ(outcome(good + "{\"type\":\"signal\"}"), "+!") << "cut short";
  EXPECT_EQ(outcome(""), "");
}

std::string nested(std::size_t depth) {
  return "{\"type\":\"signal\",\"x\":" + std::string(depth - 1, '[') + std::string(depth - 1, ']') +
         "}\n";
}

TEST(LogReader, DeepNestingIsAnErrorThatIsSeenBeforeParsing) {
  EXPECT_EQ(outcome(nested(16)), "+");
  EXPECT_EQ(outcome(nested(17)), "!");
  const std::string in_a_string =
      "{\"type\":\"signal\",\"x\":\"\\\"" + std::string(99, '[') + "\"}\n";
  EXPECT_EQ(outcome(in_a_string), "+");
  LogReader reader(file_with(std::string(1 << 20, '[') + "\n"));
  LogLine line;
  EXPECT_EQ(reader.next(line).error().message(), "line 1: nested too deeply");
}

// What this process has at its most, in bytes.
std::size_t peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::size_t kib = 0;
    if (word == "VmHWM:" && status >> kib) return kib << 10;
  }
  ADD_FAILURE() << "no VmHWM";
  return 0;
}

TEST(LogReader, EndlessLineIsReadInBoundedMemory) {
  const UniqueFd file(::memfd_create("log", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(file.get(), 256 << 20), 0);
  std::ofstream("/proc/self/clear_refs") << "5";  // the peak is from now on
  const std::size_t before = peak_memory();
  LogReader reader(UniqueFd(::dup(file.get())));
  LogLine line;
  EXPECT_EQ(reader.next(line).error().message(),
            "line 1: cut short: the file does not end in a whole line");
  EXPECT_LT(peak_memory() - before, 5 * kMaxLineBytes);
}

TEST(LogReader, LineMayBeAsLongAsItSays) {
  const std::string start = "{\"type\":\"signal\",\"x\":\"";
  const std::string end = "\"}";
  const std::size_t room = kMaxLineBytes - start.size() - end.size();
  EXPECT_EQ(outcome(start + std::string(room, 'x') + end + "\n"), "+");
  EXPECT_EQ(outcome(start + std::string(room + 1, 'x') + end + "\n"), "!");
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

TEST(LogReader, SignalWhileWaitingIsNoError) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd writing(ends[1]);
  struct sigaction act {};  // without SA_RESTART
  act.sa_handler = [](int) {};
  ASSERT_EQ(::sigaction(SIGUSR1, &act, nullptr), 0);
  std::thread other([&, reader = ::pthread_self()] {
    for (int i = 0; i < 20; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      ::pthread_kill(reader, SIGUSR1);
    }
    EXPECT_EQ(::write(writing.get(), "{\"type\":\"signal\"}\n", 18), 18);
  });
  LogReader reader{UniqueFd(ends[0])};
  LogLine line;
  const auto more = reader.next(line);
  EXPECT_TRUE(more && *more);
  other.join();
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
  const std::string exit =
      R"({"type":"process","event":"exit","exit_code":"\u009b\u202e","program":"\u202e"})";
  EXPECT_EQ(readable_line(parsed(exit), false), "0.000000 +++ exited with ? +++");
  const std::string shown = readable_line(
      parsed(R"({"type":"syscall","syscall":"\u001b[2J","args":{"path":"\u202e\u0007\\x1b"},)"
             R"("decision":"deny","rule":"\n\u001b]0;x","where":"\u009b"})"),
      false);
  for (const char c : shown) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << shown;
  EXPECT_EQ(shown.find("\u202e"), std::string::npos);
}

TEST(Show, NamesStayWithinWhatStandsAroundThem) {
  EXPECT_EQ(
      readable_line(parsed(R"({"type":"syscall","syscall":"openat","args":{"path":"/x\", 0) = 3"},)"
                           R"("resolved":"/y> = 3","decision":"deny","rule":"default","result":-2,)"
                           R"("errno":"ENOENT"})"),
                    false),
      "0.000000 openat(\"/x\\x22, 0) = 3\") = -1 ENOENT (denied: default) </y\\x3e = 3>");
  EXPECT_EQ(readable_line(parsed(R"({"type":"process","event":"exec","program":"/a\"b",)"
                                 R"("argv":["a]","\"","b c","d"]})"),
                          false),
            "0.000000 +++ exec \"/a\\x22b\" [\"a]\" \"\\x22\" \"b c\" d] +++");
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

using Problems = std::vector<std::string>;

const std::string kOtherDigest = "the SHA-256 in the end line is not that of the lines before it: ";

std::string sha256_of(const std::string& text) {
  Sha256 sha;
  sha.update(text);
  return sha.hex();
}

// `body`, and an end line that holds its digest and says so many lines and events left out.
std::string ended(const std::string& body, std::uint64_t lines, std::uint64_t left_out) {
  const Json end{{"type", "end"},
                 {"lines", lines},
                 {"events_left_out", left_out},
                 {"sha256", sha256_of(body)}};
  return body + end.dump() + "\n";
}

TEST(Verify, FindsDamageByItsDigest) {
  const std::string good = with_digest(small_log());
  std::string edited = good;
  edited.replace(edited.find("\"signal\","), 9, "\"signal\" ,");
  EXPECT_EQ(problems(edited),
            Problems{kOtherDigest + sha256_of(edited.substr(0, edited.find("{\"type\":\"end\"")))});
}

TEST(Verify, FindsALogThatDoesNotEnd) {
  const std::string good = with_digest(small_log());
  const std::string unended = good.substr(0, good.find("{\"type\":\"end\""));
  const std::string none = "there is no end line: the run did not finish writing";
  EXPECT_EQ(problems(""), Problems{"the file is empty"});
  EXPECT_EQ(problems(unended), Problems{none});
  EXPECT_EQ(problems(good.substr(0, good.size() - 1)),
            (Problems{"line 4: cut short: the file does not end in a whole line", none}));
}

TEST(Verify, FindsWhatStandsWhereItMayNot) {
  const std::string start = "{\"type\":\"start\"}\n";
  const auto event = [](int seq) {
    return "{\"type\":\"signal\",\"seq\":" + std::to_string(seq) + "}\n";
  };
  const std::string good = ended(start + event(1) + event(2), 3, 0);
  EXPECT_EQ(problems(good), Problems{});
  EXPECT_EQ(problems(good + event(3)), Problems{"line 5: stands after the end line"});
  EXPECT_EQ(problems(good + start), (Problems{"line 5: stands after the end line",
                                              "line 5: a start line that is not the first line"}));
  EXPECT_EQ(problems(ended(start + start + event(1), 3, 0)),
            Problems{"line 2: a start line that is not the first line"});
  EXPECT_EQ(problems(ended(event(1) + event(2), 2, 0)),
            Problems{"the first line is not a start line"});
  EXPECT_EQ(problems(ended(start + "[]\n" + event(1), 3, 0)),
            (Problems{"line 2: not a JSON object",
                      "the end line counts 3 lines before it, the file has 2",
                      kOtherDigest + sha256_of(start + event(1))}));
}

TEST(Verify, FindsEventsThatAreMissing) {
  const std::string start = "{\"type\":\"start\"}\n";
  const auto event = [](const char* seq) {
    return "{\"type\":\"signal\",\"seq\":" + std::string(seq) + "}\n";
  };
  EXPECT_EQ(problems(ended(start + event("1"), 3, 0)),
            Problems{"the end line counts 3 lines before it, the file has 2"});
  EXPECT_EQ(problems(ended(start + event("2") + event("5"), 3, 3)), Problems{});
  EXPECT_EQ(problems(ended(start + event("2") + event("5"), 3, 2)),
            Problems{"3 events are missing, the end line admits 2"});
  EXPECT_EQ(problems(ended(start + event("1"), 2, 7)), Problems{}) << "those after the last line";
  for (const char* wrong : {"1", "0", "-1", "\"3\"", "2.0", "18446744073709551616"}) {
    EXPECT_EQ(problems(ended(start + event("1") + event(wrong), 3, 0)),
              Problems{"line 3: its \"seq\" does not increase"})
        << wrong;
  }
}

TEST(Verify, NamesTheFirstFewProblems) {
  std::string text = "{\"type\":\"start\"}\n";
  for (int i = 0; i < 100000; ++i) text += "x\n";
  const Problems named = problems(text);
  ASSERT_EQ(named.size(), 10U);
  EXPECT_EQ(named.back(), "line 11: not a JSON object");
}

}  // namespace
}  // namespace vitrine::audit
