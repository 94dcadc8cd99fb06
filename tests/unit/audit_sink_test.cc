#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "audit/escape.h"
#include "audit/log_verify.h"
#include "audit/sha256.h"
#include "audit/sink.h"

namespace vitrine::audit {
namespace {

using Json = nlohmann::ordered_json;

// Sanitized code is slower.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kSlow = 5;
#else
constexpr int kSlow = 1;
#endif

UniqueFd memory_file() { return UniqueFd(::memfd_create("log", MFD_CLOEXEC)); }
UniqueFd another(const UniqueFd& fd) { return UniqueFd(::dup(fd.get())); }

std::string content(const UniqueFd& fd) {
  struct stat status {};
  EXPECT_EQ(::fstat(fd.get(), &status), 0);
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  EXPECT_EQ(::pread(fd.get(), text.data(), text.size(), 0), status.st_size);
  return text;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    if (end == std::string::npos) {
      ADD_FAILURE() << "a partial line at the end";
      break;
    }
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

SyscallRecord denied_open(std::string path = "/etc/shadow") {
  SyscallRecord record;
  record.time = std::chrono::microseconds(8123);
  record.pid = record.tid = 1;
  record.syscall = "openat";
  record.arguments = {{"dirfd", Symbol{"AT_FDCWD"}},
                      {"path", Bytes{std::move(path)}},
                      {"flags", Symbol{"O_RDONLY|O_CLOEXEC"}}};
  record.decision = {Action::kDeny, ENOENT, "default"};
  record.result = -ENOENT;
  return record;
}

std::vector<std::string> problems(const UniqueFd& log) {
  UniqueFd copy = another(log);
  ::lseek(copy.get(), 0, SEEK_SET);
  const auto result = verify_log(std::move(copy));
  EXPECT_TRUE(result);
  return result ? result->problems : std::vector<std::string>{"unreadable"};
}

class Pipe {
 public:
  Pipe() {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    reading = UniqueFd(ends[0]);
    writing = UniqueFd(ends[1]);
  }
  UniqueFd reading;
  UniqueFd writing;
};

TEST(JsonSink, LinesAreThoseOfTheContract) {
  const UniqueFd log = memory_file();
  const auto sink = make_json_sink(another(log), {});
  sink->write(StartRecord{});
  sink->write(denied_open());
  ProcessRecord exit;
  exit.time = std::chrono::microseconds(9001);
  exit.pid = exit.tid = 1;
  exit.event = ProcessRecord::Event::kExit;
  exit.exit_code = 0;
  sink->write(exit);
  ASSERT_TRUE(sink->finish(Report{}));
  const auto lines = lines_of(content(log));
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(lines[1],
            R"({"type":"syscall","seq":1,"t_us":8123,"pid":1,"tid":1,"syscall":"openat",)"
            R"("args":{"dirfd":"AT_FDCWD","path":"/etc/shadow","flags":"O_RDONLY|O_CLOEXEC"},)"
            R"("decision":"deny","rule":"default","result":-2,"errno":"ENOENT"})");
  EXPECT_EQ(lines[2],
            R"({"type":"process","seq":2,"t_us":9001,"pid":1,"event":"exit","exit_code":0})");
  EXPECT_TRUE(lines[0].starts_with(R"({"type":"start",)"));
  EXPECT_TRUE(lines[3].starts_with(R"({"type":"end","report":{"vitrine":)"));
}

TEST(JsonSink, ResultIsAbsentWhereUnknownAndErrnoWhereNoError) {
  const UniqueFd log = memory_file();
  const auto sink = make_json_sink(another(log), {});
  SyscallRecord record;
  record.syscall = "mmap";
  record.decision = {Action::kAllow, 0, "table"};
  record.arguments = {{"length", std::uint64_t{1} << 63}, {"fd", std::int64_t{-1}}};
  sink->write(record);
  record.result = 3;
  sink->write(record);
  record.result = -9999;  // an address near the top, no errno
  sink->write(record);
  ASSERT_TRUE(sink->finish(Report{}));
  const auto lines = lines_of(content(log));
  EXPECT_FALSE(Json::parse(lines[0]).contains("result"));
  EXPECT_EQ(Json::parse(lines[0])["args"]["length"], std::uint64_t{1} << 63);
  EXPECT_EQ(Json::parse(lines[0])["args"]["fd"], -1);
  EXPECT_EQ(Json::parse(lines[1])["result"], 3);
  EXPECT_FALSE(Json::parse(lines[1]).contains("errno"));
  EXPECT_FALSE(Json::parse(lines[2]).contains("errno"));
}

TEST(JsonSink, DigestIsOfTheBytesBeforeTheEndLine) {
  const UniqueFd log = memory_file();
  const auto sink = make_json_sink(another(log), {});
  sink->write(StartRecord{});
  sink->start();
  for (int i = 0; i < 5000; ++i) sink->write(denied_open("/etc/" + std::to_string(i)));
  ASSERT_TRUE(sink->finish(Report{}));
  const std::string text = content(log);
  const std::size_t end = text.rfind("{\"type\":\"end\"");
  Sha256 sha;
  sha.update(std::string_view(text).substr(0, end));
  const Json last = Json::parse(text.substr(end));
  EXPECT_EQ(last["sha256"], sha.hex());
  EXPECT_EQ(last["lines"], 5001);
  EXPECT_EQ(last["events_left_out"], 0);
  EXPECT_TRUE(problems(log).empty());
}

TEST(JsonSink, DeniedLevelKeepsDenialsLimitsAndLives) {
  const UniqueFd log = memory_file();
  const auto sink = make_json_sink(another(log), {Level::kDenied, 1 << 30});
  SyscallRecord served = denied_open();
  served.decision.action = Action::kServe;
  sink->write(StartRecord{});
  sink->write(served);
  sink->write(denied_open());
  ProcessRecord process;
  sink->write(process);  // kStart
  process.event = ProcessRecord::Event::kExec;
  sink->write(process);
  sink->write(SignalRecord{});
  sink->write(LimitRecord{{}, "memory", false, 1, 2});
  ASSERT_TRUE(sink->finish(Report{}));
  const auto lines = lines_of(content(log));
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_EQ(Json::parse(lines[1])["type"], "syscall");
  EXPECT_EQ(Json::parse(lines[2])["event"], "exec");
  EXPECT_EQ(Json::parse(lines[3])["type"], "limit");
  EXPECT_EQ(Json::parse(lines[4])["events_left_out"], 0);
}

TEST(JsonSink, EventsPastTheLimitAreCountedAndTheEndIsWritten) {
  const UniqueFd log = memory_file();
  const auto sink = make_json_sink(another(log), {Level::kMediated, 200000});
  sink->write(StartRecord{});
  sink->start();
  for (int i = 0; i < 2000; ++i) sink->write(denied_open());
  ASSERT_TRUE(sink->finish(Report{})) << "a limit is not an error";
  EXPECT_TRUE(sink->health());
  const std::string text = content(log);
  EXPECT_LE(text.size(), 200000U);
  const auto lines = lines_of(text);
  const Json end = Json::parse(lines.back());
  EXPECT_EQ(end["type"], "end");
  EXPECT_EQ(end["lines"], lines.size() - 1);
  EXPECT_EQ(end["events_left_out"], 2000 - (lines.size() - 2));
  EXPECT_TRUE(problems(log).empty());
}

TEST(JsonSink, WhatWasLeftOutIsNotFollowedByWhatWouldFit) {
  const UniqueFd log = memory_file();
  const auto sink = make_json_sink(another(log), {Level::kMediated, 60000});
  sink->write(denied_open());
  sink->write(denied_open(std::string(1 << 16, '\xff')));
  for (int i = 0; i < 3; ++i) sink->write(denied_open(std::string(1 << 16, '\xff')));
  sink->write(denied_open());
  ASSERT_TRUE(sink->finish(Report{}));
  const auto lines = lines_of(content(log));
  const Json end = Json::parse(lines.back());
  const std::size_t written = lines.size() - 1;
  EXPECT_LT(written, 5U);
  EXPECT_EQ(Json::parse(lines[written - 1])["seq"], written)
      << "the beginning of the run, without gaps";
  EXPECT_EQ(end["events_left_out"], 6 - written);
}

TEST(JsonSink, OneRecordIsBoundedWhateverItHolds) {
  const UniqueFd log = memory_file();
  const auto sink = make_json_sink(another(log), {});
  SyscallRecord record = denied_open(std::string(1 << 20, '\xff'));
  for (int i = 0; i < 1000; ++i) record.arguments.push_back({"more", Bytes{"x"}});
  sink->write(record);
  ProcessRecord exec;
  exec.event = ProcessRecord::Event::kExec;
  exec.argv.assign(100000, "argument");
  sink->write(exec);
  exec.argv.assign(100, std::string(1 << 16, '\n'));
  sink->write(exec);
  ASSERT_TRUE(sink->finish(Report{}));
  const auto lines = lines_of(content(log));
  for (const std::string& line : lines) EXPECT_LT(line.size(), 128U << 10);
  const auto path = unescape(Json::parse(lines[0])["args"]["path"].get<std::string>());
  EXPECT_EQ(path->left_out, (1U << 20) - kMaxArgumentBytes);
  EXPECT_EQ(Json::parse(lines[1])["argv_left_out"], 100000 - 256);
}

TEST(JsonSink, FullDiskIsReportedOnceAndTheFileEndsInAWholeLine) {
  // RLIMIT_FSIZE stops a write in its middle, as a full disk does.
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  std::signal(SIGXFSZ, SIG_IGN);
  const UniqueFd log = memory_file();
  const auto sink = make_json_sink(another(log), {});
  sink->write(StartRecord{});
  for (int i = 0; i < 2000; ++i) sink->write(denied_open());
  const rlimit small{100000, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status finished = sink->finish(Report{});
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().code, EFBIG);
  EXPECT_FALSE(sink->health());
  EXPECT_TRUE(sink->health()) << "told once";
  const std::string text = content(log);
  EXPECT_GT(text.size(), 99000U);
  EXPECT_EQ(text.back(), '\n');
  EXPECT_EQ(problems(log).size(), 1U) << "no end line";
}

TEST(JsonSink, DiskThatIsFullFromTheStartIsAnError) {
  const auto sink = make_json_sink(UniqueFd(::open("/dev/full", O_WRONLY | O_CLOEXEC)), {});
  sink->write(StartRecord{});
  sink->start();
  EXPECT_FALSE(sink->finish(Report{}));
}

TEST(JsonSink, ClosedPipeIsAnErrorAndNoSignal) {
  Pipe pipe;
  std::signal(SIGPIPE, SIG_DFL);
  const auto sink = make_json_sink(std::move(pipe.writing), {});
  pipe.reading.reset();
  sink->write(StartRecord{});
  sink->start();
  bool healthy = true;
  for (int i = 0; i < 100 && healthy; ++i) {
    sink->write(denied_open());
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    healthy = sink->health().has_value();
  }
  EXPECT_FALSE(healthy) << "it is told before the end";
  const Status finished = sink->finish(Report{});
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().code, EPIPE);
}

TEST(JsonSink, ClosedPipeWithoutThreadIsAnErrorAndNoSignal) {
  Pipe pipe;
  std::signal(SIGPIPE, SIG_DFL);
  const auto sink = make_json_sink(std::move(pipe.writing), {});
  pipe.reading.reset();
  sink->write(StartRecord{});
  EXPECT_FALSE(sink->finish(Report{}));
}

TEST(JsonSink, StalledReaderNeitherStallsTheWriterNorGrowsMemory) {
  Pipe pipe;
  const auto sink = make_json_sink(std::move(pipe.writing), {});
  sink->write(StartRecord{});
  sink->start();
  const Nanoseconds before = monotonic_now();
  for (int i = 0; i < 40000; ++i) sink->write(denied_open());  // about 9 MB
  EXPECT_LT(monotonic_now() - before, std::chrono::seconds(2) * kSlow);
  EXPECT_FALSE(sink->health()) << "lost events are told";
  EXPECT_FALSE(sink->finish(Report{}));
  EXPECT_LT(monotonic_now() - before, std::chrono::seconds(kFinishSeconds + 3) * kSlow);
}

TEST(JsonSink, SlowReaderGetsWholeLinesAndTheCountOfTheRest) {
  Pipe pipe;
  const UniqueFd copy = memory_file();
  auto sink = make_json_sink(std::move(pipe.writing), {});
  sink->write(StartRecord{});
  sink->start();
  for (int i = 0; i < 100000; ++i) sink->write(denied_open());
  std::thread reader([&] {
    char block[65536];
    ssize_t got = 0;
    while ((got = ::read(pipe.reading.get(), block, sizeof block)) > 0) {
      EXPECT_EQ(::write(copy.get(), block, static_cast<std::size_t>(got)), got);
    }
  });
  const Status finished = sink->finish(Report{});
  EXPECT_FALSE(finished) << "events were lost";
  sink.reset();  // the reader sees the end of the file
  reader.join();
  const auto lines = lines_of(content(copy));
  const Json end = Json::parse(lines.back());
  EXPECT_EQ(end["type"], "end");
  EXPECT_GT(end["events_left_out"], 0);
  EXPECT_EQ(end["events_left_out"], 100000 - (lines.size() - 2));
  EXPECT_TRUE(problems(copy).empty());
}

// In a process of its own: filters stay.
enum class Child { kRight, kWrong, kNotPossible };

template <typename Body>
void expect_in_child(Body body) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(30);
    const bool possible = body();
    const bool wrong = ::testing::Test::HasFailure();
    ::_exit(static_cast<int>(wrong      ? Child::kWrong
                             : possible ? Child::kRight
                                        : Child::kNotPossible));
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "it hangs";
  const auto how = static_cast<Child>(WEXITSTATUS(status));
  if (how == Child::kNotPossible) GTEST_SKIP() << "no such seccomp filter is to be had";
  EXPECT_EQ(how, Child::kRight);
}

bool install(std::vector<sock_filter> code, unsigned flags) {
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) >= 0;
}

// From here on the system has no more threads.
bool refuse_threads() {
  return install({BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 1, 0),
                  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
                  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
                  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)},
                 0);
}

// From here on every write(2) to `fd` waits for ever, as with a file system that does not answer.
bool hang_writes_to(int fd) {
  return install({BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 0, 3),
                  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[0])),
                  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(fd), 0, 1),
                  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
                  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)},
                 SECCOMP_FILTER_FLAG_NEW_LISTENER);
}

TEST(JsonSink, RefusedThreadLosesNothing) {
  expect_in_child([] {
    const UniqueFd log = memory_file();
    const auto sink = make_json_sink(another(log), {});
    sink->write(StartRecord{});
    if (!refuse_threads()) return false;
    sink->start();
    for (int i = 0; i < 40000; ++i) sink->write(denied_open());  // more than may wait
    EXPECT_GT(content(log).size(), 1U << 20) << "it does not wait for the end";
    EXPECT_TRUE(sink->finish(Report{}));
    EXPECT_EQ(lines_of(content(log)).size(), 40002U);
    EXPECT_TRUE(problems(log).empty());
    return true;
  });
}

TEST(JsonSink, RefusedThreadAndStalledReaderStallTheWriterForAMoment) {
  expect_in_child([] {
    Pipe pipe;
    const auto sink = make_json_sink(std::move(pipe.writing), {});
    sink->write(StartRecord{});
    if (!refuse_threads()) return false;
    sink->start();
    const Nanoseconds before = monotonic_now();
    for (int i = 0; i < 40000; ++i) sink->write(denied_open());
    EXPECT_LT(monotonic_now() - before, std::chrono::seconds(3));
    EXPECT_FALSE(sink->health());
    EXPECT_FALSE(sink->finish(Report{}));
    return true;
  });
}

TEST(JsonSink, StalledReaderWithoutThreadIsGivenUp) {
  Pipe pipe;
  const std::string full(1 << 20, '\n');
  ASSERT_EQ(::fcntl(pipe.writing.get(), F_SETFL, O_NONBLOCK), 0);
  while (::write(pipe.writing.get(), full.data(), full.size()) > 0) continue;
  ASSERT_EQ(::fcntl(pipe.writing.get(), F_SETFL, 0), 0);
  const auto sink = make_json_sink(std::move(pipe.writing), {});
  sink->write(StartRecord{});
  const Nanoseconds before = monotonic_now();
  std::promise<void> over;
  std::thread reader([&] {  // what waits without end fails by its time
    over.get_future().wait_for(std::chrono::seconds(kFinishSeconds + 4));
    pipe.reading.reset();
  });
  EXPECT_FALSE(sink->finish(Report{}));
  EXPECT_LT(monotonic_now() - before, std::chrono::seconds(kFinishSeconds + 3));
  over.set_value();
  reader.join();
}

TEST(JsonSink, HangingFileIsGivenUp) {
  expect_in_child([] {
    UniqueFd log = memory_file();
    if (!hang_writes_to(log.get())) return false;
    const auto sink = make_json_sink(std::move(log), {});
    sink->start();
    sink->write(denied_open());
    const Nanoseconds before = monotonic_now();
    EXPECT_FALSE(sink->finish(Report{}));
    EXPECT_LT(monotonic_now() - before, std::chrono::seconds(kFinishSeconds + 3));
    return true;
  });
}

TEST(JsonSink, WhatWaitsReachesTheFileSoon) {
  const UniqueFd log = memory_file();
  const auto sink = make_json_sink(another(log), {});
  sink->start();
  sink->write(denied_open());
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  EXPECT_EQ(lines_of(content(log)).size(), 1U);
}

TEST(JsonSink, AbandonedSinkEndsItsThread) {
  Pipe pipe;
  auto sink = make_json_sink(std::move(pipe.writing), {});
  sink->start();
  for (int i = 0; i < 1000; ++i) sink->write(denied_open());
  const Nanoseconds before = monotonic_now();
  sink.reset();
  EXPECT_LT(monotonic_now() - before, std::chrono::seconds(1));
}

}  // namespace
}  // namespace vitrine::audit
