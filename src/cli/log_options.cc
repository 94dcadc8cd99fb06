#include "cli/log_options.h"

#include <algorithm>

namespace vitrine::cli {
namespace {

tl::unexpected<Error> bad_option(std::string_view name, std::string_view what) {
  std::string sentence(name);
  sentence += ": ";
  sentence += what;
  return fail_invalid(std::move(sentence));
}

}  // namespace

bool LogArguments::has(std::string_view name) const { return last(name).has_value(); }

std::optional<std::string> LogArguments::last(std::string_view name) const {
  const std::vector<std::string> values = all(name);
  return values.empty() ? std::nullopt : std::optional(values.back());
}

std::vector<std::string> LogArguments::all(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [option, value] : options) {
    if (option == name) values.push_back(value);
  }
  return values;
}

Result<LogArguments> parse_log_arguments(const std::vector<std::string>& words,
                                         const std::vector<LogOption>& known) {
  LogArguments parsed;
  bool options_over = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (options_over || word == "-" || !word.starts_with('-')) {
      parsed.operands.push_back(word);
      continue;
    }
    if (word == "--") {
      options_over = true;
      continue;
    }
    const std::size_t equals = word.starts_with("--") ? word.find('=') : std::string::npos;
    const std::string name = word.substr(0, equals);
    const auto option = std::ranges::find(known, name, &LogOption::name);
    if (option == known.end()) return bad_option(name, "no such option");
    std::string value;
    if (equals != std::string::npos) {
      if (!option->takes_value) return bad_option(name, "takes no value");
      value = word.substr(equals + 1);
    } else if (option->takes_value) {
      if (++i == words.size()) return bad_option(name, "needs a value");
      value = words[i];
    }
    parsed.options.emplace_back(name, std::move(value));
  }
  return parsed;
}

}  // namespace vitrine::cli
