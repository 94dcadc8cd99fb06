// Standard input and output of the command: fresh pipes, or a fresh pseudo-terminal where the
// caller has a terminal, never the caller's own open file descriptions. What the program writes is
// counted while it is relayed (splice(2): the bytes do not pass through the supervisor).
#pragma once

#include <poll.h>
#include <termios.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace vitrine::supervisor {

// One direction: from a readable descriptor to a writable one. Never blocks: a slow reader must not
// keep the supervisor from its clocks.
class Relay {
 public:
  Relay(int from, int to);

  bool done() const { return done_; }
  // Adds the descriptors to wait for to `waiting`: the source when there is room, else the sink.
  void add_to(std::vector<pollfd>& waiting) const;
  // Moves what can be moved now, at most `allowance` bytes; returns the number moved. When the sink
  // is gone or the source has ended, done() becomes true.
  std::uint64_t pump(std::uint64_t allowance);
  // The source has more although the allowance was used up.
  bool has_input() const;
  int source() const { return from_; }

 private:
  enum class Way { kSplice, kCopy };
  std::uint64_t splice_once(std::uint64_t allowance);
  std::uint64_t copy_once(std::uint64_t allowance);
  bool flush();

  int from_;
  int to_;
  Way way_ = Way::kSplice;
  bool done_ = false;
  bool blocked_ = false;       // the sink is full
  std::vector<char> pending_;  // copied, not yet taken by the sink
  std::size_t pending_start_ = 0;
};

class Stdio {
 public:
  // Looks at descriptors 0, 1 and 2 of this process and makes the guest's ends.
  static Result<std::unique_ptr<Stdio>> create();
  ~Stdio();
  Stdio(const Stdio&) = delete;
  Stdio& operator=(const Stdio&) = delete;

  std::array<int, 3> guest_ends() const;
  int guest_terminal() const { return terminal_.get(); }  // slave side; -1: none
  // The slave side again, if it has this number; empty else.
  UniqueFd open_terminal(unsigned number, int flags) const;
  // Keys typed at the caller's terminal are the command's now.
  bool has_foreground() const { return is_terminal_[0] && !in_background_; }
  // Called once the command has its own copies.
  void close_guest_ends();

  void add_to(std::vector<pollfd>& waiting) const;
  // Moves data in all directions. `output_left`: bytes that the output budget still allows.
  // Returns bytes of output moved.
  std::uint64_t pump(std::uint64_t output_left);
  bool output_waits() const;  // output is there and the allowance is used up
  bool output_done() const;   // every output has ended
  // The size of the caller's terminal changed (SIGWINCH).
  void update_window();
  // Takes the caller's terminal over while this process is in its foreground: at the start, and
  // whenever the process is continued (SIGCONT).
  void follow_foreground();
  // Gives the caller's terminal its modes back. Idempotent.
  void restore_terminal();
  // Gives input that the command did not read back to a seekable standard input.
  void return_unread_input();

 private:
  Stdio() = default;
  Status make_terminal();
  Status make_input();
  Status make_output(int number);
  void enter_raw_mode();
  void end_input();
  void end_output(const Relay& output);

  std::array<bool, 3> is_terminal_{};
  std::array<UniqueFd, 3> guest_;  // pipe ends for the guest; empty where the terminal serves
  std::array<UniqueFd, 3> own_;    // our ends of the pipes
  std::array<UniqueFd, 3> sinks_;  // re-opened sinks, where the caller's would block
  UniqueFd unread_;                // reads what is left of an input that can seek
  UniqueFd master_;
  UniqueFd terminal_;
  std::optional<termios> saved_modes_;
  bool in_background_ = false;
  std::optional<Relay> input_;
  std::vector<Relay> outputs_;
};

}  // namespace vitrine::supervisor
