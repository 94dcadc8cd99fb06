#include "cli/standard_output.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace vitrine::cli {
namespace {

constexpr std::size_t kBufferBytes = 64 << 10;

void wait_until_writable() {
  pollfd entry{STDOUT_FILENO, POLLOUT, 0};
  ::poll(&entry, 1, -1);
}

}  // namespace

void StandardOutput::append(std::string_view text) {
  buffer_ += text;
  if (buffer_.size() >= kBufferBytes) write_out();
}

void StandardOutput::write_out() {
  std::string_view rest = buffer_;
  std::signal(SIGPIPE, SIG_IGN);
  while (!rest.empty() && error_ == 0) {
    const ssize_t done = ::write(STDOUT_FILENO, rest.data(), rest.size());
    if (done >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(done));
    } else if (errno == EAGAIN) {
      wait_until_writable();
    } else if (errno != EINTR) {
      error_ = errno;
    }
  }
  buffer_.clear();
}

Status StandardOutput::finish() {
  write_out();
  if (error_ != 0 && error_ != EPIPE) return fail(error_, "write to standard output");
  return {};
}

}  // namespace vitrine::cli
