// The command line, its words one a line: options that are understood and keep what their readers
// rely on, or one line that says why not. And each word as a size, a duration and a count, against
// arithmetic that does not overflow.
#include "cli/options.h"

#include <algorithm>
#include <climits>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <variant>

#include "base/text.h"

namespace {

using namespace vitrine;
__extension__ using Wide = unsigned __int128;

void require(bool holds) {
  if (!holds) std::abort();
}

// --- numbers

struct Number {
  Wide whole = 0;
  Wide billionths = 0;
  bool has_fraction = false;
  std::string unit;
};

bool read_number(const std::string& word, Number& number) {
  std::size_t i = 0;
  const auto digit = [&] { return i < word.size() && word[i] >= '0' && word[i] <= '9'; };
  if (!digit()) return false;
  for (; digit(); ++i) {
    if (number.whole < Wide{1} << 80)
      number.whole = number.whole * 10 + static_cast<unsigned>(word[i] - '0');
  }
  if (i < word.size() && word[i] == '.') {
    number.has_fraction = true;
    const std::size_t first = ++i;
    Wide place = 1'000'000'000;
    for (; digit(); ++i) number.billionths += (place /= 10) * static_cast<unsigned>(word[i] - '0');
    if (i == first || i > first + 9) return false;
  }
  number.unit = word.substr(i);
  return true;
}

constexpr Wide kMost = INT64_MAX;

void check_size(const std::string& word) {
  const auto size = parse_size(word);
  Number number;
  if (!read_number(word, number)) return require(!size);
  static const std::string kLetters = "BKMGTbkmgt";
  const std::size_t letter = number.unit.empty() ? 0 : kLetters.find(number.unit[0]);
  if (letter == std::string::npos || number.unit[0] == 'b') return require(!size);
  const Wide bytes = number.whole << (10 * (letter % 5));
  if (number.has_fraction || bytes > kMost) return require(!size);
  if (size) require(*size == static_cast<std::uint64_t>(bytes));
  if (number.unit.size() <= 1) require(size.has_value());
}

void check_duration(const std::string& word) {
  const auto duration = parse_duration(word);
  Number number;
  if (!read_number(word, number)) return require(!duration);
  constexpr std::pair<std::string_view, std::uint64_t> kUnits[] = {{"", 1'000'000'000},
                                                                   {"s", 1'000'000'000},
                                                                   {"ms", 1'000'000},
                                                                   {"us", 1000},
                                                                   {"ns", 1},
                                                                   {"m", 60'000'000'000},
                                                                   {"h", 3600'000'000'000},
                                                                   {"d", 86400'000'000'000}};
  const auto unit =
      std::ranges::find(kUnits, number.unit, &std::pair<std::string_view, std::uint64_t>::first);
  if (unit == std::end(kUnits)) return require(!duration);
  const Wide nanoseconds =
      number.whole * unit->second + number.billionths * unit->second / 1'000'000'000;
  if (nanoseconds > kMost) return require(!duration);
  require(duration && duration->count() == static_cast<std::int64_t>(nanoseconds));
}

void check_count(const std::string& word) {
  const auto count = parse_count(word, 3, 1U << 31);
  Number number;
  const bool right = read_number(word, number) && !number.has_fraction && number.unit.empty() &&
                     number.whole >= 3 && number.whole <= 1U << 31;
  require(count.has_value() == right);
  if (right) require(*count == static_cast<std::uint64_t>(number.whole));
}

// --- options

// Absolute, and the shortest form: no "..", no ".", no empty component.
bool is_guest_path(const std::string& path) {
  if (path == "/") return true;
  if (!path.starts_with('/') || path.ends_with('/')) return false;
  const std::string closed = path + "/";
  return closed.find("//") == std::string::npos && closed.find("/./") == std::string::npos &&
         closed.find("/../") == std::string::npos;
}

// As it was written: a path that is not absolute would be made so.
bool names_absolute_path(const FileRule& rule) {
  const std::string& written = rule.origin.rule;  // "--scratch /tmp=1M"
  return written.substr(written.find(' ') + 1).starts_with('/');
}

bool is_right(const FileRule& rule) {
  if (const auto* shown = std::get_if<ShowRule>(&rule.what)) {
    return !shown->host.empty() && !shown->pattern &&
           (shown->guest.empty() || is_guest_path(shown->guest));
  }
  if (const auto* scratch = std::get_if<ScratchRule>(&rule.what)) {
    return names_absolute_path(rule) && is_guest_path(scratch->guest) &&
           scratch->bytes <= INT64_MAX;
  }
  const auto* hidden = std::get_if<HideRule>(&rule.what);
  return hidden != nullptr && names_absolute_path(rule) && is_guest_path(hidden->guest) &&
         hidden->guest != "/";
}

bool is_right(const policy::LimitSettings& limits) {
  const auto time = [](const auto& limit) { return !limit || !*limit || (*limit)->count() >= 0; };
  const auto bytes = [](const auto& limit) { return !limit || !*limit || **limit <= INT64_MAX; };
  const auto count = [](const auto& limit, std::uint64_t most) {
    return !limit || (*limit >= 1 && *limit <= most);
  };
  return time(limits.wall) && time(limits.cpu) && bytes(limits.memory_bytes) &&
         bytes(limits.output_bytes) && count(limits.processes, policy::kMostProcesses) &&
         count(limits.threads, policy::kMostThreads) &&
         (!limits.cpus || !*limits.cpus ||
          (**limits.cpus >= 1 && **limits.cpus <= policy::kMostCpus));
}

bool is_right(const std::optional<cli::Destination>& destination, const std::vector<int>& passed) {
  if (!destination) return true;
  if (destination->fd < 0) return !destination->file.empty();
  return destination->file.empty() && std::ranges::find(passed, destination->fd) == passed.end();
}

// The command is what the words end with, and begins where options do: at "--", or at a word that
// is none.
bool is_rest(const cli::Arguments& command, const cli::Arguments& words) {
  if (command.size() > words.size()) return false;
  const std::size_t at = words.size() - command.size();
  if (!std::equal(command.begin(), command.end(), words.begin() + static_cast<std::ptrdiff_t>(at)))
    return false;
  if (command.empty() || (at > 0 && words[at - 1] == "--")) return true;
  return command[0] == "-" || !command[0].starts_with('-');
}

void check(const Result<cli::RunOptions>& options, const cli::Arguments& words) {
  if (!options) {
    require(options.error().kind == Error::Kind::kInvalid && !options.error().message().empty());
    return;
  }
  require(is_rest(options->command, words));
  require(!options->command.empty() || options->help || options->version);
  for (const FileRule& rule : options->files) require(is_right(rule));
  for (const auto& request : options->collect)
    require(is_guest_path(request.guest) && !request.host.empty());
  require(!options->working_directory || is_guest_path(*options->working_directory));
  for (const auto& rule : options->environment) {
    require(!rule.name.empty() && !rule.name.ends_with('*') &&
            rule.name.find('=') == std::string::npos);
    require(!rule.value || rule.origin.rule == "--env " + rule.name);  // values may be secrets
  }
  require(is_right(options->limits));
  for (const int fd : options->pass_fds) require(fd >= 3);
  require(is_right(options->report, options->pass_fds) &&
          is_right(options->audit, options->pass_fds));
  require(options->audit_options.limit_bytes <= INT64_MAX);
  for (const std::string& profile : options->profiles) require(!profile.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cli::Arguments words(1);
  for (std::size_t i = 0; i < size; ++i) {
    const char byte = static_cast<char>(data[i]);
    if (byte == '\n') {
      words.emplace_back();
    } else if (byte != '\0') {
      words.back() += byte;
    }
  }
  for (const std::string& word : words) {
    check_size(word);
    check_duration(word);
    check_count(word);
  }
  const auto options = cli::parse_run_options(words);
  check(options, words);
  const bool of_learning = words[0] == "-o" || words[0] == "--out" || words[0] == "--merge";
  require(!options || (!options->learn && !of_learning));
  const auto learning = cli::parse_learn_options(words);
  check(learning, words);
  if (!learning || learning->help || learning->version) return 0;
  require(learning->learn && !learning->learn->file.empty());
  require(!learning->learn->merge || learning->profiles.empty());
  return 0;
}
