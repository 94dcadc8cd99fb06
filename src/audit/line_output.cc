#include "audit/line_output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <limits>

namespace vitrine::audit {
namespace {

// SIGPIPE is sent to the writing thread: blocked, it stays pending and is taken away again here. So
// neither the process's disposition nor its other threads matter.
class SigpipeGuard {
 public:
  SigpipeGuard() {
    ::sigemptyset(&sigpipe_);
    ::sigaddset(&sigpipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &sigpipe_, &previous_);
  }
  ~SigpipeGuard() {
    const timespec no_wait{};
    if (::sigismember(&previous_, SIGPIPE) == 0) ::sigtimedwait(&sigpipe_, nullptr, &no_wait);
    ::pthread_sigmask(SIG_SETMASK, &previous_, nullptr);
  }
  SigpipeGuard(const SigpipeGuard&) = delete;
  SigpipeGuard& operator=(const SigpipeGuard&) = delete;

 private:
  sigset_t sigpipe_{};
  sigset_t previous_{};
};

// When poll(2) says a pipe is writable there is room for this much (PIPE_BUF), so the write cannot
// block.
constexpr std::size_t kPipePiece = 4096;
constexpr std::size_t kPageBytes = 4096;
constexpr int kPollMilliseconds = 100;  // how soon a new deadline is seen

}  // namespace

LineOutput::LineOutput(UniqueFd fd)
    : fd_(std::move(fd)), deadline_(std::numeric_limits<std::int64_t>::max()) {
  struct stat status {};
  is_file_ = ::fstat(fd_.get(), &status) == 0 && S_ISREG(status.st_mode);
  if (!is_file_) return;
  const bool appends = (::fcntl(fd_.get(), F_GETFL) & O_APPEND) != 0;
  const off_t offset = ::lseek(fd_.get(), 0, appends ? SEEK_END : SEEK_CUR);
  offset_ = offset > 0 ? static_cast<std::uint64_t>(offset) : 0;
}

void LineOutput::write(std::string_view lines) {
  if (error_ != 0 || lines.empty()) return;
  const SigpipeGuard guard;
  std::size_t written = 0;
  error_ = write_some(lines, written);
  count(lines, written);
}

// Returns 0 when everything was written, or the errno that stopped it.
int LineOutput::write_some(std::string_view bytes, std::size_t& written) {
  while (written < bytes.size()) {
    if (!is_file_) {
      if (const int error = wait_for_room(); error != 0) return error;
    }
    const std::string_view rest = bytes.substr(written);
    const ssize_t done = ::write(fd_.get(), rest.data(), piece_of(rest));
    if (done >= 0) {
      written += static_cast<std::size_t>(done);
      offset_ += static_cast<std::uint64_t>(done);
    } else if (errno != EINTR && errno != EAGAIN) {
      return errno;
    }
  }
  return 0;
}

// SIGKILL ends a write(2) to a file between two pages of it (generic_perform_write() in
// mm/filemap.c). So whole lines within one page are a piece, and a line across two is one by
// itself: the moment in which a killed supervisor leaves half a line is that between the two halves
// of such a line.
std::size_t LineOutput::piece_of(std::string_view rest) const {
  if (!is_file_) return std::min(rest.size(), kPipePiece);
  const std::size_t room = kPageBytes - offset_ % kPageBytes;
  if (rest.size() <= room) return rest.size();
  const std::size_t last_newline = rest.rfind('\n', room - 1);
  if (last_newline != std::string_view::npos) return last_newline + 1;
  return std::min(rest.find('\n'), rest.size() - 1) + 1;
}

int LineOutput::wait_for_room() const {
  while (true) {
    pollfd entry{fd_.get(), POLLOUT, 0};
    const int ready = ::poll(&entry, 1, kPollMilliseconds);
    if (ready > 0) return 0;  // an error condition, too: write(2) names it
    if (ready < 0 && errno != EINTR) return errno;
    if (monotonic_now().count() >= deadline_.load()) return ETIMEDOUT;
  }
}

void LineOutput::count(std::string_view lines, std::size_t written) {
  std::string_view whole = lines.substr(0, written);
  if (written < lines.size()) {
    whole = whole.substr(0, whole.rfind('\n') + 1);  // npos + 1 is 0: no whole line
    cut_partial_line(written - whole.size());
  }
  lines_ += static_cast<std::uint64_t>(std::count(whole.begin(), whole.end(), '\n'));
  sha_.update(whole);
}

// A full disk stops in the middle of a line. Only when nobody wrote behind it.
void LineOutput::cut_partial_line(std::size_t bytes) const {
  struct stat status {};
  if (!is_file_ || bytes == 0 || ::fstat(fd_.get(), &status) != 0) return;
  const off_t end = ::lseek(fd_.get(), 0, SEEK_CUR);
  if (end != status.st_size) return;
  const off_t kept = end - static_cast<off_t>(bytes);
  if (::ftruncate(fd_.get(), kept) == 0) ::lseek(fd_.get(), kept, SEEK_SET);
}

}  // namespace vitrine::audit
