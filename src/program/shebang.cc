#include "program/shebang.h"

namespace vitrine::program {
namespace {

constexpr std::string_view kBlank = " \t";

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// env(1) -S: words between blanks; single and double quotes; a backslash takes the next character.
// nullopt: an open quote, or a variable, which is not expanded here.
std::optional<std::vector<std::string>> split_words(std::string_view text) {
  std::vector<std::string> words;
  char quote = '\0';
  bool in_word = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote == '\0' && kBlank.find(c) != std::string_view::npos) {
      in_word = false;
      continue;
    }
    if (c == '$' && quote != '\'') return std::nullopt;
    if (!in_word) words.emplace_back();
    in_word = true;
    if (c == quote)
      quote = '\0';
    else if (quote == '\0' && (c == '\'' || c == '"'))
      quote = c;
    else if (c == '\\' && i + 1 < text.size())
      words.back() += text[++i];
    else
      words.back() += c;
  }
  if (quote != '\0') return std::nullopt;
  return words;
}

}  // namespace

std::optional<Shebang> parse_shebang(std::string_view start) {
  start = start.substr(0, kShebangBytes);
  if (!start.starts_with("#!")) return std::nullopt;
  const auto end = start.find('\n');
  const std::string_view line =
      trimmed(start.substr(2, end == std::string_view::npos ? end : end - 2));
  const auto blank = line.find_first_of(kBlank);
  const std::string_view interpreter = line.substr(0, blank);
  if (interpreter.empty() || interpreter.find('\0') != std::string_view::npos) return std::nullopt;
  Shebang shebang{std::string(interpreter), std::nullopt};
  if (blank != std::string_view::npos) shebang.argument = trimmed(line.substr(blank));
  return shebang;
}

std::optional<std::vector<std::string>> parse_env_argument(std::string_view argument) {
  std::vector<std::string> words;
  if (argument.starts_with("-S") || argument.starts_with("--split-string=")) {
    argument.remove_prefix(argument.starts_with("-S") ? 2
                                                      : std::string_view("--split-string=").size());
    auto split = split_words(argument);
    if (!split) return std::nullopt;
    words = std::move(*split);
  } else {
    words = {std::string(argument)};  // one word for env, blanks included
  }
  if (words.empty() || words[0].empty() || words[0].starts_with('-') ||
      words[0].find('=') != std::string::npos) {
    return std::nullopt;
  }
  return words;
}

}  // namespace vitrine::program
