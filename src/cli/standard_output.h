// StandardOutput: buffered text to descriptor 1 for commands that print much. A reader that has
// enough (`| head`) is not an error.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace vitrine::cli {

class StandardOutput {
 public:
  void append(std::string_view text);
  // Nobody reads any more, or writing failed: the command may stop.
  bool is_over() const { return error_ != 0; }
  // Writes what is buffered. An error, unless the reader just went away.
  Status finish();

 private:
  void write_out();

  std::string buffer_;
  int error_ = 0;
};

}  // namespace vitrine::cli
