#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <functional>
#include <thread>
#include <vector>

#include "audit/line_output.h"

namespace vitrine::audit {
namespace {

using namespace std::chrono_literals;

UniqueFd another(const UniqueFd& fd) { return UniqueFd(::dup(fd.get())); }

UniqueFd file_of(std::size_t bytes) {
  UniqueFd fd(::memfd_create("log", MFD_CLOEXEC));
  const std::string content(bytes, '.');
  EXPECT_EQ(::write(fd.get(), content.data(), bytes), static_cast<ssize_t>(bytes));
  return fd;
}

std::string content_of(const UniqueFd& fd) {
  struct stat status {};
  EXPECT_EQ(::fstat(fd.get(), &status), 0);
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  EXPECT_EQ(::pread(fd.get(), text.data(), text.size(), 0), status.st_size);
  return text;
}

// Lines of so many bytes each, the newline included.
std::string lines_of(std::size_t count, std::size_t bytes) {
  std::string lines;
  for (std::size_t i = 0; i < count; ++i) {
    lines.append(bytes - 1, static_cast<char>('a' + i % 26)) += '\n';
  }
  return lines;
}

std::string digest_of(std::string_view bytes) {
  Sha256 sha;
  sha.update(bytes);
  return sha.hex();
}

// Stops writes at this many bytes of a file, in their middle as a full disk does.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    EXPECT_EQ(::getrlimit(RLIMIT_FSIZE, &old_), 0);
    const rlimit small{bytes, old_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &old_); }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit old_{};
};

// A pipe that nobody reads until its destruction, or 3 s later: what waits without end fails by its
// time, and does not hang the test.
class StalledPipe {
 public:
  StalledPipe() {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    reading_ = UniqueFd(ends[0]);
    writing = UniqueFd(ends[1]);
    int over[2];
    EXPECT_EQ(::pipe2(over, O_CLOEXEC), 0);
    over_ = UniqueFd(over[1]);
    reader_ = std::thread([this, wakes = UniqueFd(over[0])] {
      pollfd entry{wakes.get(), POLLIN, 0};
      ::poll(&entry, 1, 3000);
      drain();
    });
  }
  ~StalledPipe() {
    writing.reset();
    over_.reset();
    reader_.join();
  }
  StalledPipe(const StalledPipe&) = delete;
  StalledPipe& operator=(const StalledPipe&) = delete;

  std::size_t read_what_is_there() {
    pollfd entry{reading_.get(), POLLIN, 0};
    return ::poll(&entry, 1, 0) == 1 ? read() : 0;
  }

  UniqueFd writing;

 private:
  std::size_t read() {
    std::string block(1 << 20, '\0');
    const ssize_t got = ::read(reading_.get(), block.data(), block.size());
    return got < 0 ? 0 : static_cast<std::size_t>(got);
  }
  void drain() {
    while (read() > 0) continue;
  }
  UniqueFd reading_;
  UniqueFd over_;
  std::thread reader_;
};

// The sizes of the write(2) calls on `fd` that a child makes in `body`.
std::vector<std::size_t> writes_of(int fd, const std::function<void()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::raise(SIGSTOP);
    body();
    ::_exit(0);
  }
  std::vector<std::size_t> sizes;
  int status = 0;
  ::waitpid(child, &status, 0);
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  while (WIFSTOPPED(status)) {
    __ptrace_syscall_info info{};
    ::ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info);
    if (WSTOPSIG(status) == (SIGTRAP | 0x80) && info.op == PTRACE_SYSCALL_INFO_ENTRY &&
        info.entry.nr == SYS_write && info.entry.args[0] == static_cast<std::uint64_t>(fd)) {
      sizes.push_back(info.entry.args[2]);
    }
    ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    ::waitpid(child, &status, 0);
  }
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  return sizes;
}

using Sizes = std::vector<std::size_t>;

TEST(LineOutput, PiecesOfAFileEndWithinAPage) {
  UniqueFd file = file_of(0);
  const int fd = file.get();
  const auto write = [&] { LineOutput(std::move(file)).write(lines_of(10, 1000)); };
  EXPECT_EQ(writes_of(fd, write), (Sizes{4000, 1000, 3000, 1000, 1000}));
}

TEST(LineOutput, ALineLongerThanAPageIsOnePiece) {
  UniqueFd file = file_of(0);
  const int fd = file.get();
  const auto write = [&] {
    LineOutput(std::move(file)).write(lines_of(1, 10) + lines_of(1, 10000) + lines_of(1, 10));
  };
  EXPECT_EQ(writes_of(fd, write), (Sizes{10, 10000, 10}));
}

TEST(LineOutput, PiecesCountFromWhereAFileIsAppendedTo) {
  UniqueFd file = file_of(3000);
  const int fd = file.get();
  ::lseek(fd, 0, SEEK_SET);
  ASSERT_EQ(::fcntl(fd, F_SETFL, O_APPEND), 0);
  const auto write = [&] { LineOutput(std::move(file)).write(lines_of(10, 1000)); };
  EXPECT_EQ(writes_of(fd, write), (Sizes{1000, 1000, 3000, 1000, 3000, 1000}));
}

TEST(LineOutput, AnErrorStopsFurtherWriting) {
  const UniqueFd file = file_of(0);
  LineOutput output(another(file));
  const std::string whole = lines_of(1, 4000);
  {
    const FileSizeLimit limit(5000);
    output.write(whole);
    EXPECT_EQ(output.error(), 0);
    output.write(lines_of(1, 4000));
    EXPECT_EQ(output.error(), EFBIG);
    output.write(lines_of(1, 100));  // for this there would be room
  }
  output.write(lines_of(1, 100));  // there is room again, but a line is missing
  EXPECT_EQ(output.error(), EFBIG);
  EXPECT_EQ(content_of(file), whole);
  EXPECT_EQ(output.lines(), 1U);
  EXPECT_EQ(output.digest(), digest_of(whole));
}

TEST(LineOutput, OnlyWholeLinesStayAndAreCounted) {
  const UniqueFd file = file_of(0);
  LineOutput output(another(file));
  {
    const FileSizeLimit limit(2500);
    output.write(lines_of(5, 1000));
  }
  EXPECT_EQ(content_of(file), lines_of(2, 1000));
  EXPECT_EQ(output.lines(), 2U);
  EXPECT_EQ(output.digest(), digest_of(lines_of(2, 1000)));
  EXPECT_EQ(::lseek(file.get(), 0, SEEK_CUR), 2000) << "who writes on leaves no hole";
}

TEST(LineOutput, WhatStandsBehindIsNotCutOff) {
  const UniqueFd file = file_of(20000);
  ::lseek(file.get(), 0, SEEK_SET);
  LineOutput output(another(file));
  {
    const FileSizeLimit limit(2500);
    output.write(lines_of(5, 1000));
  }
  EXPECT_EQ(output.error(), EFBIG);
  EXPECT_EQ(content_of(file).substr(2500), std::string(17500, '.'));
}

TEST(LineOutput, AStalledReaderIsGivenUpAtTheDeadline) {
  StalledPipe pipe;
  LineOutput output(std::move(pipe.writing));
  const Nanoseconds before = monotonic_now();
  output.give_up_at(before + 300ms);
  output.write(lines_of(200, 1000));
  EXPECT_LT(monotonic_now() - before, 2s);
  EXPECT_EQ(output.error(), ETIMEDOUT);
  EXPECT_GT(pipe.read_what_is_there(), 0U);
  output.write(lines_of(1, 10));
  EXPECT_EQ(output.error(), ETIMEDOUT) << "whatever the reader does later";
}

TEST(LineOutput, ANewDeadlineIsSeenWhileWaiting) {
  StalledPipe pipe;
  LineOutput output(std::move(pipe.writing));
  std::thread writer([&] { output.write(lines_of(200, 1000)); });
  std::this_thread::sleep_for(200ms);
  const Nanoseconds before = monotonic_now();
  output.give_up_at(before);
  writer.join();
  EXPECT_LT(monotonic_now() - before, 2s);
  EXPECT_EQ(output.error(), ETIMEDOUT);
}

TEST(LineOutput, OfAPipeOnlyWholeLinesCount) {
  StalledPipe pipe;
  ASSERT_EQ(::fcntl(pipe.writing.get(), F_SETPIPE_SZ, 65536), 65536);
  LineOutput output(std::move(pipe.writing));
  output.give_up_at(monotonic_now() + 100ms);
  output.write(lines_of(200, 1000));
  EXPECT_EQ(output.lines(), 65U);
  EXPECT_EQ(output.digest(), digest_of(lines_of(65, 1000)));
}

}  // namespace
}  // namespace vitrine::audit
