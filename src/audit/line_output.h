// LineOutput: whole lines to a descriptor, with their digest. Never blocks past its deadline on a
// pipe, socket or terminal, raises no SIGPIPE, and leaves a regular file ending in a whole line.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "audit/sha256.h"
#include "base/clock.h"
#include "base/unique_fd.h"

namespace vitrine::audit {

// One thread at a time writes; give_up_at() may be called by any.
class LineOutput {
 public:
  explicit LineOutput(UniqueFd fd);

  // Writes `lines`, each ended by a newline. After a failure this and every later call write
  // nothing.
  void write(std::string_view lines);
  // From this moment (CLOCK_MONOTONIC) on, a stalled reader is a failure: ETIMEDOUT.
  void give_up_at(Nanoseconds moment) { deadline_.store(moment.count()); }

  bool is_file() const { return is_file_; }
  int error() const { return error_; }               // errno of the failure, or 0
  std::uint64_t lines() const { return lines_; }     // whole lines that are in the file
  std::string digest() const { return sha_.hex(); }  // of those lines

 private:
  int write_some(std::string_view bytes, std::size_t& written);
  std::size_t piece_of(std::string_view rest) const;
  int wait_for_room() const;
  void count(std::string_view lines, std::size_t written);
  void cut_partial_line(std::size_t bytes) const;

  UniqueFd fd_;
  bool is_file_ = false;      // set once, before any thread
  std::uint64_t offset_ = 0;  // in the file
  std::atomic<std::int64_t> deadline_;
  int error_ = 0;
  std::uint64_t lines_ = 0;
  Sha256 sha_;
};

}  // namespace vitrine::audit
