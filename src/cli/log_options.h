// The options of `vitrine log ...`, which may stand before or after the log's name.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace vitrine::cli {

struct LogOption {
  std::string_view name;  // "--path", "-o"
  bool takes_value = false;
};

struct LogArguments {
  std::vector<std::string> operands;
  std::vector<std::pair<std::string, std::string>> options;  // name, value ("" if it takes none)

  bool has(std::string_view name) const;
  std::optional<std::string> last(std::string_view name) const;
  std::vector<std::string> all(std::string_view name) const;
};

// "--name VALUE", "--name=VALUE", "-o VALUE"; "--" ends the options; "-" is an operand.
Result<LogArguments> parse_log_arguments(const std::vector<std::string>& words,
                                         const std::vector<LogOption>& known);

}  // namespace vitrine::cli
