// BackgroundWriter: a bounded queue of lines and the thread that writes them, so that a stalled
// reader of the log stalls neither the supervisor nor the enforcement of its deadlines.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "audit/line_output.h"
#include "base/result.h"

namespace vitrine::audit {

class BackgroundWriter {
 public:
  explicit BackgroundWriter(UniqueFd fd);
  ~BackgroundWriter();
  BackgroundWriter(const BackgroundWriter&) = delete;
  BackgroundWriter& operator=(const BackgroundWriter&) = delete;

  // Starts the thread. When the system refuses one, lines are written by flush() and append().
  void start();
  // Queues one line. false: it was dropped, for the output failed or the queue is full and the
  // reader took nothing for a while.
  bool append(std::string_view line);
  // Writes what is queued if no thread does.
  void flush();

  struct Totals {
    std::uint64_t lines = 0;
    std::string sha256;
  };
  // Writes everything queued and ends the thread; waits until `deadline` at most. append() is over.
  Result<Totals> drain(Nanoseconds deadline);
  // After drain(): one more line, past the totals.
  Status write_last(std::string_view line);

  // The errno of the first failure (ENOBUFS: a line was dropped because the queue was full), or 0.
  int error() const;

 private:
  struct Shared;
  static void run(const std::shared_ptr<Shared>& shared);
  bool wait_for_space(std::size_t bytes);
  bool stop_thread(Nanoseconds deadline);
  void write_inline();

  std::shared_ptr<Shared> shared_;  // outlives this object when the thread hangs in the kernel
  std::thread thread_;
  bool threadless_ = false;  // start() failed
  bool stalled_ = false;     // the last append() found no room
};

}  // namespace vitrine::audit
