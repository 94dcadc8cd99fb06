#include "cli/log_input.h"

#include <fcntl.h>
#include <unistd.h>

#include "cli/exit_status.h"
#include "cli/messages.h"

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

int for_each_line(const std::string& name,
                  const std::function<bool(const audit::LogLine&)>& visit) {
  Result<UniqueFd> fd = open_log(name);
  if (!fd) return log_failure(fd.error().message());
  audit::LogReader reader(std::move(*fd));
  audit::LogLine line;
  std::uint64_t unreadable = 0;
  while (true) {
    const Result<bool> more = reader.next(line);
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
