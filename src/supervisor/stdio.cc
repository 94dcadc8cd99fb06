#include "supervisor/stdio.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

namespace vitrine::supervisor {
namespace {

constexpr std::size_t kChunk = 64UL * 1024;
constexpr std::size_t kMostAtOnce = 1 << 20;  // per wake-up and direction, so that all get a turn
constexpr int kPipeSize = 1 << 20;            // asked for; the system may refuse (pipe(7))

short state_of(int fd) {
  pollfd entry{fd, POLLIN, 0};
  return ::poll(&entry, 1, 0) == 1 ? entry.revents : short{0};
}

bool readable_now(int fd) { return (state_of(fd) & POLLIN) != 0; }

// All writers are gone and nothing is left to read (poll(2), POLLHUP).
bool has_ended(int fd) {
  const short state = state_of(fd);
  return (state & POLLIN) == 0 && (state & (POLLHUP | POLLERR)) != 0;
}

// A new open file description of what `fd` is.
UniqueFd reopened(int fd, int access) {
  char path[48];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  return UniqueFd(::open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

// A pipe or terminal of the caller, re-opened so that O_NONBLOCK is ours alone. Regular files never
// block and share their offset with the caller: used as they are. Where re-opening is refused (a
// terminal of another user) the caller's own description is used.
UniqueFd reopened_sink(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return UniqueFd();
  if (!S_ISFIFO(status.st_mode) && !S_ISCHR(status.st_mode)) return UniqueFd();
  return reopened(fd, O_WRONLY);
}

// The caller's descriptor is closed, as far as anyone outside can tell.
void release(int number) {
  const UniqueFd null(::open("/dev/null", O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (null) (void)::dup2(null.get(), number);
}

// write(2) that does not wait, for every kind of sink.
ssize_t write_without_waiting(int fd, const char* data, std::size_t size) {
  const ssize_t sent = ::send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent >= 0 || errno != ENOTSOCK) return sent;
  return ::write(fd, data, size);
}

}  // namespace

// --- Relay

Relay::Relay(int from, int to) : from_(from), to_(to) {
  struct stat status {};
  const bool appends = (::fcntl(to, F_GETFL) & O_APPEND) != 0;
  const bool plain =
      ::fstat(to, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISREG(status.st_mode));
  if (!plain || appends) way_ = Way::kCopy;  // splice(2): EINVAL for appending files and terminals
}

void Relay::add_to(std::vector<pollfd>& waiting) const {
  if (done_) return;
  if (blocked_ || !pending_.empty()) {
    waiting.push_back({to_, POLLOUT, 0});
  } else {
    waiting.push_back({from_, POLLIN, 0});
    // A reader that goes away while nothing is written must still be noticed (`| head`).
    waiting.push_back({to_, 0, 0});
  }
}

bool Relay::has_input() const { return !done_ && readable_now(from_); }

std::uint64_t Relay::splice_once(std::uint64_t allowance) {
  const std::size_t size = std::min<std::uint64_t>(allowance, kMostAtOnce);
  const ssize_t moved =
      ::splice(from_, nullptr, to_, nullptr, size, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
  if (moved > 0) {
    blocked_ = false;
    return static_cast<std::uint64_t>(moved);
  }
  if (moved == 0 && has_ended(from_)) {
    done_ = true;
  } else if (moved < 0 && errno == EAGAIN) {
    blocked_ = readable_now(from_);  // data is there: it is the sink that has no room
  } else if (moved == 0 || errno != EINTR) {
    // The end of a file; or gVisor, which says so of an empty pipe as well. Else it is not possible
    // between these two, or in this place: writing tells the rest.
    way_ = Way::kCopy;
  }
  return 0;
}

bool Relay::flush() {
  while (pending_start_ < pending_.size()) {
    const ssize_t put = write_without_waiting(to_, pending_.data() + pending_start_,
                                              pending_.size() - pending_start_);
    if (put > 0) {
      pending_start_ += static_cast<std::size_t>(put);
    } else if (put < 0 && errno == EAGAIN) {
      blocked_ = true;
      return false;
    } else if (put < 0 && errno == EINTR) {
      continue;
    } else {
      done_ = true;
      pending_.clear();
      pending_start_ = 0;
      return false;
    }
  }
  pending_.clear();
  pending_start_ = 0;
  blocked_ = false;
  return true;
}

std::uint64_t Relay::copy_once(std::uint64_t allowance) {
  if (!flush()) return 0;
  if (!readable_now(from_)) {
    pollfd entry{from_, POLLIN, 0};
    if (::poll(&entry, 1, 0) != 1) return 0;  // POLLHUP alone: the end, found by read below
  }
  pending_.resize(std::min<std::uint64_t>(allowance, kChunk));
  const ssize_t got = ::read(from_, pending_.data(), pending_.size());
  // EIO: the last holder of a pseudo-terminal's slave side is gone (pty(7)).
  if (got <= 0) {
    pending_.clear();
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    done_ = true;
    return 0;
  }
  pending_.resize(static_cast<std::size_t>(got));
  (void)flush();
  return static_cast<std::uint64_t>(got);
}

std::uint64_t Relay::pump(std::uint64_t allowance) {
  std::uint64_t moved = 0;
  // A closed reader makes the next write fail for the program as well: SIGPIPE, as natively.
  pollfd sink{to_, 0, 0};
  if (!done_ && ::poll(&sink, 1, 0) == 1 && (sink.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) {
    done_ = true;
  }
  while (!done_ && moved < kMostAtOnce) {
    const std::uint64_t left = allowance - moved;
    if (left == 0) {
      if (flush() && has_ended(from_)) done_ = true;  // it used up its allowance to the byte
      break;
    }
    const Way way = way_;
    const std::uint64_t step = way == Way::kSplice ? splice_once(left) : copy_once(left);
    if (step == 0 && (done_ || way_ == way)) break;  // else splice was not possible here
    moved += step;
  }
  return moved;
}

// --- Stdio

Result<std::unique_ptr<Stdio>> Stdio::create() {
  std::unique_ptr<Stdio> made(new Stdio());
  for (int number = 0; number < 3; ++number) {
    made->is_terminal_[static_cast<std::size_t>(number)] = ::isatty(number) == 1;
  }
  if (std::ranges::any_of(made->is_terminal_, [](bool is) { return is; })) {
    if (Status status = made->make_terminal(); !status) return tl::make_unexpected(status.error());
  }
  if (Status status = made->make_input(); !status) return tl::make_unexpected(status.error());
  for (const int number : {1, 2}) {
    if (Status status = made->make_output(number); !status) {
      return tl::make_unexpected(status.error());
    }
  }
  return made;
}

Stdio::~Stdio() { restore_terminal(); }

// A pseudo-terminal with the modes and the size of the caller's.
Status Stdio::make_terminal() {
  master_.reset(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  if (!master_) return fail_errno("posix_openpt");
  if (::grantpt(master_.get()) != 0 || ::unlockpt(master_.get()) != 0)
    return fail_errno("unlockpt");
  terminal_.reset(::ioctl(master_.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal_) {
    char name[64];
    if (::ptsname_r(master_.get(), name, sizeof name) != 0) return fail_errno("ptsname_r");
    terminal_.reset(::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!terminal_) return fail_errno(name);
  }
  const auto first = std::ranges::find(is_terminal_, true) - is_terminal_.begin();
  termios modes{};
  if (::tcgetattr(static_cast<int>(first), &modes) == 0) {
    // Without raw mode the caller's terminal still adds carriage returns: not twice.
    if (!is_terminal_[0]) modes.c_oflag &= ~static_cast<tcflag_t>(OPOST);
    (void)::tcsetattr(terminal_.get(), TCSANOW, &modes);
  }
  update_window();
  follow_foreground();
  return {};
}

UniqueFd Stdio::open_terminal(unsigned number, int flags) const {
  unsigned own = 0;
  if (!master_ || ::ioctl(master_.get(), TIOCGPTN, &own) != 0 || own != number) return UniqueFd();
  return UniqueFd(::ioctl(master_.get(), TIOCGPTPEER, flags | O_NOCTTY | O_CLOEXEC));
}

// In the background (`vitrine ... &`) modes and keys of the terminal are somebody else's.
void Stdio::follow_foreground() {
  if (!is_terminal_[0]) return;
  const pid_t group = ::tcgetpgrp(0);  // -1: not our controlling terminal, so no job control
  const bool was_in_background = in_background_;
  in_background_ = group >= 0 && group != ::getpgrp();
  if (!in_background_) enter_raw_mode();
  if (in_background_ == was_in_background) return;
  // Without raw mode the caller's terminal adds the carriage returns: not twice.
  termios inside{};
  if (::tcgetattr(master_.get(), &inside) != 0) return;
  const bool adds_returns = saved_modes_ && (saved_modes_->c_oflag & OPOST) != 0;
  inside.c_oflag &= ~static_cast<tcflag_t>(OPOST);
  if (adds_returns) inside.c_oflag |= OPOST;
  (void)::tcsetattr(master_.get(), TCSANOW, &inside);
}

void Stdio::enter_raw_mode() {
  if (saved_modes_) return;
  termios modes{};
  if (::tcgetattr(0, &modes) != 0) return;
  saved_modes_ = modes;
  ::cfmakeraw(&modes);
  (void)::tcsetattr(0, TCSADRAIN, &modes);
}

void Stdio::restore_terminal() {
  if (!saved_modes_) return;
  (void)::tcsetattr(0, TCSADRAIN, &*saved_modes_);
  saved_modes_.reset();
}

void Stdio::update_window() {
  if (!master_) return;
  const auto first = std::ranges::find(is_terminal_, true) - is_terminal_.begin();
  winsize size{};
  if (::ioctl(static_cast<int>(first), TIOCGWINSZ, &size) != 0) return;
  (void)::ioctl(master_.get(), TIOCSWINSZ, &size);
}

Status Stdio::make_input() {
  if (is_terminal_[0]) {
    input_.emplace(0, master_.get());
    return {};
  }
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe2");
  guest_[0].reset(ends[0]);
  own_[0].reset(ends[1]);
  (void)::fcntl(ends[1], F_SETFL, O_NONBLOCK);
  input_.emplace(0, ends[1]);
  return {};
}

Status Stdio::make_output(int number) {
  const auto index = static_cast<std::size_t>(number);
  const UniqueFd& reopened = sinks_[index] = reopened_sink(number);
  const int sink = reopened ? reopened.get() : number;
  if (is_terminal_[index]) {
    // Both terminals of the caller are one here, as they nearly always are there.
    if (number == 1 || !is_terminal_[1]) outputs_.emplace_back(master_.get(), sink);
    return {};
  }
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe2");
  own_[index].reset(ends[0]);
  guest_[index].reset(ends[1]);
  (void)::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  (void)::fcntl(ends[0], F_SETPIPE_SZ, kPipeSize);
  outputs_.emplace_back(ends[0], sink);
  return {};
}

std::array<int, 3> Stdio::guest_ends() const {
  std::array<int, 3> ends{};
  for (std::size_t i = 0; i < ends.size(); ++i) {
    ends[i] = guest_[i] ? guest_[i].get() : terminal_.get();
  }
  return ends;
}

void Stdio::close_guest_ends() {
  for (UniqueFd& end : guest_) end.reset();
  terminal_.reset();
}

void Stdio::add_to(std::vector<pollfd>& waiting) const {
  if (input_ && !in_background_) input_->add_to(waiting);
  for (const Relay& output : outputs_) output.add_to(waiting);
}

std::uint64_t Stdio::pump(std::uint64_t output_left) {
  if (input_ && !in_background_) {
    (void)input_->pump(kMostAtOnce);
    if (input_->done()) end_input();
  }
  std::uint64_t moved = 0;
  for (Relay& output : outputs_) {
    if (output.done()) continue;
    moved += output.pump(output_left - moved);
    // The reader is gone: close our end, so that the program gets SIGPIPE as it would natively.
    if (output.done()) end_output(output);
  }
  return moved;
}

// End of file for the program, or nobody is left to read. What a file still holds for the next
// reader must be known at the end of the run: a reading end of ours keeps the pipe's content. A
// writer at the other side of a pipe is told at once, as it would be natively.
void Stdio::end_input() {
  input_.reset();
  if (own_[0] && ::lseek(0, 0, SEEK_CUR) >= 0) {
    unread_ = reopened(own_[0].get(), O_RDONLY);
  } else if (own_[0]) {
    release(0);
  }
  own_[0].reset();
}

// Standard error stays: messages go there.
void Stdio::end_output(const Relay& output) {
  for (std::size_t number = 1; number < own_.size(); ++number) {
    if (own_[number].get() != output.source()) continue;
    own_[number].reset();
    if (number != 1) continue;
    sinks_[number].reset();
    release(1);
  }
}

bool Stdio::output_waits() const {
  return std::ranges::any_of(outputs_, [](const Relay& output) { return output.has_input(); });
}

bool Stdio::output_done() const {
  return std::ranges::all_of(outputs_, [](const Relay& output) { return output.done(); });
}

void Stdio::return_unread_input() {
  const UniqueFd& pipe = unread_ ? unread_ : own_[0];
  int unread = 0;
  if (!pipe || ::ioctl(pipe.get(), FIONREAD, &unread) != 0 || unread <= 0) return;
  (void)::lseek(0, -static_cast<off_t>(unread), SEEK_CUR);  // fails on what cannot seek
}

}  // namespace vitrine::supervisor
