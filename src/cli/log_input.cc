#include "cli/log_input.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/exit_status.h"
#include "cli/messages.h"
#include "cli/progress.h"

namespace vitrine::cli {
namespace {

constexpr std::uint64_t kMaxNamedLines = 5;

}  // namespace

int log_failure(const std::string& sentence) {
  say_error("log: " + sentence);
  return kExitFailed;
}

Result<UniqueFd> open_log(const std::string& name) {
  const bool standard_input = name == "-";
  UniqueFd fd(standard_input ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                             : ::open(name.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno(standard_input ? "standard input" : name);
  return fd;
}

std::uint64_t size_of(const UniqueFd& log) {
  struct stat status {};
  const bool known = ::fstat(log.get(), &status) == 0 && S_ISREG(status.st_mode);
  return known ? static_cast<std::uint64_t>(status.st_size) : 0;
}

int for_each_line(const std::string& name, const std::function<bool(const audit::LogLine&)>& visit,
                  bool prints) {
  Result<UniqueFd> fd = open_log(name);
  if (!fd) return log_failure(fd.error().message());
  Progress progress(name, size_of(*fd), prints);
  audit::LogReader reader(std::move(*fd));
  audit::LogLine line;
  std::uint64_t unreadable = 0;
  while (true) {
    const Result<bool> more = reader.next(line);
    progress.at(reader.bytes_read());
    if (!more) progress.clear();
    if (!more && more.error().kind != Error::Kind::kInvalid) {
      return log_failure(name + ": " + more.error().message());
    }
    if (!more) {
      if (++unreadable <= kMaxNamedLines) log_failure(name + ": " + more.error().message());
    } else if (!*more || !visit(line)) {
      break;
    }
  }
  if (unreadable > kMaxNamedLines) {
    log_failure(name + ": " + std::to_string(unreadable) + " unreadable lines in all");
  }
  return unreadable == 0 ? kExitOk : kExitDiffers;
}

}  // namespace vitrine::cli
