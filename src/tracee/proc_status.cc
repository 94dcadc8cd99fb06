#include "tracee/proc_status.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <string_view>

#include "base/unique_fd.h"

namespace vitrine::tracee {
namespace {

std::uint64_t number_in(std::string_view text, int base = 10) {
  const std::size_t start = text.find_first_not_of(" \t");
  if (start == std::string_view::npos) return 0;
  std::uint64_t value = 0;
  std::from_chars(text.data() + start, text.data() + text.size(), value, base);
  return value;
}

void take_field(std::string_view name, std::string_view text, ProcStatus& status) {
  const std::uint64_t value = number_in(text);
  if (name == "Tgid")
    status.tgid = static_cast<pid_t>(value);
  else if (name == "PPid")
    status.ppid = static_cast<pid_t>(value);
  else if (name == "Uid")
    status.uid = static_cast<uid_t>(value);
  else if (name == "Gid")
    status.gid = static_cast<gid_t>(value);
  else if (name == "NoNewPrivs")
    status.no_new_privs = static_cast<int>(value);
  else if (name == "Seccomp")
    status.seccomp_mode = static_cast<int>(value);
  else if (name == "Seccomp_filters")
    status.seccomp_filters = static_cast<int>(value);
  else if (name == "RssAnon")
    status.rss_anonymous = value * 1024;
  else if (name == "RssShmem")
    status.rss_shared = value * 1024;
  else if (name == "VmSwap")
    status.swap = value * 1024;
  else if (name == "VmPTE")
    status.page_tables = value * 1024;
  else if (name == "VmSize")
    status.mapped = value * 1024;
  else if (name == "VmPeak")
    status.mapped_peak = value * 1024;
  else if (name == "VmData")
    status.data = value * 1024;
  else if (name == "CapInh" || name == "CapPrm" || name == "CapEff" || name == "CapAmb")
    status.capabilities |= number_in(text, 16);
  else if (name == "SigCgt")
    status.caught_signals = number_in(text, 16);
  else if (name == "SigIgn")
    status.ignored_signals = number_in(text, 16);
  else if (name == "SigBlk")
    status.blocked_signals = number_in(text, 16);
  else if (name == "SigPnd" || name == "ShdPnd")
    status.pending_signals |= number_in(text, 16);
}

}  // namespace

std::vector<std::string> command_line(pid_t tgid) {
  constexpr std::size_t kLongest = 16UL * 1024;
  char path[48];
  std::snprintf(path, sizeof path, "/proc/%d/cmdline", tgid);
  const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
  std::string text(kLongest, '\0');
  const ssize_t size = fd ? ::read(fd.get(), text.data(), text.size()) : -1;
  std::vector<std::string> arguments;
  for (std::size_t at = 0; size > 0 && at < static_cast<std::size_t>(size);) {
    arguments.emplace_back(text.c_str() + at);
    at += arguments.back().size() + 1;
  }
  return arguments;
}

std::string task_name(pid_t tid) {
  char path[48];
  std::snprintf(path, sizeof path, "/proc/%d/comm", tid);
  const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
  char text[64];
  const ssize_t size = fd ? ::read(fd.get(), text, sizeof text) : -1;
  return size > 0 ? std::string(text, static_cast<std::size_t>(size) - 1) : std::string();
}

bool is_interrupted(pid_t tid) {
  constexpr auto bit = [](int signal) { return std::uint64_t{1} << (signal - 1); };
  constexpr std::uint64_t kIgnoredByDefault =
      bit(SIGCHLD) | bit(SIGCONT) | bit(SIGURG) | bit(SIGWINCH);
  const Result<ProcStatus> status = read_proc_status(tid);
  if (!status) return false;
  const std::uint64_t ignored =
      status->ignored_signals | (kIgnoredByDefault & ~status->caught_signals);
  return (status->pending_signals & ~status->blocked_signals & ~ignored) != 0;
}

Result<ProcStatus> read_proc_status(pid_t tid) {
  char path[48];
  std::snprintf(path, sizeof path, "/proc/%d/status", tid);
  const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
  if (!fd) return errno == ENOENT ? fail_task_gone(path) : fail_errno(path);
  char buffer[8192];  // about 1.4 KiB on today's kernels
  const ssize_t size = ::read(fd.get(), buffer, sizeof buffer);
  if (size <= 0) return errno == ESRCH || size == 0 ? fail_task_gone(path) : fail_errno(path);
  ProcStatus status;
  std::string_view rest(buffer, static_cast<std::size_t>(size));
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos) {
      take_field(line.substr(0, colon), line.substr(colon + 1), status);
    }
  }
  return status;
}

}  // namespace vitrine::tracee
