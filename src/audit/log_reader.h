// LogReader: the lines of an audit log, one at a time, in constant memory. The log may be hostile:
// long lines, deep nesting and text that is no JSON are errors of that line, and the next one can
// still be read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace vitrine::audit {

using Json = nlohmann::ordered_json;

// Of vitrine's own lines the last is the longest, which holds the report: below 2 MiB.
inline constexpr std::size_t kMaxLineBytes = 4 << 20;

struct LogLine {
  std::uint64_t number = 0;  // in the file, from 1
  std::string_view text;     // without its newline; valid until the next line is read
  Json json;                 // an object
  std::string type;          // "syscall", ...
};

// Fields of a line that anyone may have written: absent or of another type gives the fallback.
std::string text_field(const Json& object, std::string_view name);
std::uint64_t count_field(const Json& object, std::string_view name, std::uint64_t fallback = 0);
// nullptr: absent.
const Json* find_field(const Json& object, std::string_view name);

class LogReader {
 public:
  explicit LogReader(UniqueFd fd) : fd_(std::move(fd)) {}

  // true: `line` is the next one. false: the end. An error of kind kInvalid concerns one line
  // ("line 12: not JSON") and reading may go on; any other ends it.
  Result<bool> next(LogLine& line);
  // Bytes of the file that were given out.
  std::uint64_t bytes_read() const { return before_buffer_ + start_; }

 private:
  Result<bool> next_text();
  Result<bool> fill();
  tl::unexpected<Error> bad_line(std::string_view what) const;

  UniqueFd fd_;
  std::string buffer_;
  std::size_t start_ = 0;            // of what was not yet given out
  std::uint64_t before_buffer_ = 0;  // what the buffer held earlier
  std::string_view text_;
  std::uint64_t number_ = 0;
  bool at_end_ = false;
};

}  // namespace vitrine::audit
