#include "base/text.h"

#include <array>
#include <charconv>
#include <cstdio>
#include <limits>

namespace vitrine {
namespace {

constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();

struct Number {
  std::uint64_t whole = 0;
  std::uint64_t nanos = 0;  // the fraction, in billionths
  bool has_fraction = false;
  std::string_view unit;  // what follows the digits
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Digits, at most nine digits of a fraction, and a unit. nullopt: not of this form, or above
// 2^63-1.
std::optional<Number> split_number(std::string_view text) {
  Number number;
  const char* const end = text.data() + text.size();
  if (text.empty() || !is_digit(text.front())) return std::nullopt;
  auto [rest, error] = std::from_chars(text.data(), end, number.whole);
  if (error != std::errc() || number.whole > kMost) return std::nullopt;
  if (rest != end && *rest == '.') {
    number.has_fraction = true;
    const char* const first = ++rest;
    std::uint64_t place = 100'000'000;
    for (; rest != end && is_digit(*rest); ++rest, place /= 10) {
      if (place == 0) return std::nullopt;
      number.nanos += static_cast<std::uint64_t>(*rest - '0') * place;
    }
    if (rest == first) return std::nullopt;
  }
  number.unit = std::string_view(rest, static_cast<std::size_t>(end - rest));
  return number;
}

std::optional<std::uint64_t> size_factor(std::string_view unit) {
  if (unit.empty() || unit == "B") return 1;
  constexpr std::string_view kLetters = "KMGT";
  const char upper = unit[0] >= 'a' ? static_cast<char>(unit[0] - 'a' + 'A') : unit[0];
  const auto power = kLetters.find(upper);
  if (power == std::string_view::npos) return std::nullopt;
  const std::string_view tail = unit.substr(1);
  if (!tail.empty() && tail != "iB" && tail != "B") return std::nullopt;
  return 1ULL << (10 * (power + 1));
}

// Nanoseconds in one unit; a bare number is seconds.
std::optional<std::uint64_t> duration_factor(std::string_view unit) {
  struct Unit {
    std::string_view name;
    std::uint64_t nanoseconds;
  };
  static constexpr std::array<Unit, 8> kUnits{{{"", 1'000'000'000},
                                               {"s", 1'000'000'000},
                                               {"ms", 1'000'000},
                                               {"us", 1'000},
                                               {"ns", 1},
                                               {"m", 60'000'000'000},
                                               {"h", 3'600'000'000'000},
                                               {"d", 86'400'000'000'000}}};
  for (const Unit& known : kUnits) {
    if (known.name == unit) return known.nanoseconds;
  }
  return std::nullopt;
}

std::string quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

tl::unexpected<Error> bad_size(std::string_view text) {
  return fail_invalid(quoted(text) +
                      " is not a size: a whole number with an optional K, M, G or T (as in 64M)");
}

tl::unexpected<Error> bad_duration(std::string_view text) {
  return fail_invalid(quoted(text) +
                      " is not a duration: a number with ms, s, m or h (as in 250ms, 1.5s, 2m)");
}

std::string with_fraction(double value, const char* unit) {
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.2f", value);
  std::string text = buffer.data();
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text + " " + unit;
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  const auto number = split_number(text);
  if (!number || number->has_fraction) return bad_size(text);
  const auto factor = size_factor(number->unit);
  if (!factor || number->whole > kMost / *factor) return bad_size(text);
  return number->whole * *factor;
}

Result<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  const auto number = split_number(text);
  if (!number) return bad_duration(text);
  const auto factor = duration_factor(number->unit);
  if (!factor || number->whole > kMost / *factor) return bad_duration(text);
  // Units above a second are whole seconds; in this order nothing overflows. Less than a nanosecond
  // is dropped.
  const std::uint64_t fraction = *factor >= 1'000'000'000
                                     ? number->nanos * (*factor / 1'000'000'000)
                                     : number->nanos * *factor / 1'000'000'000;
  const std::uint64_t whole = number->whole * *factor;
  if (fraction > kMost - whole) return bad_duration(text);
  return std::chrono::nanoseconds(static_cast<std::int64_t>(whole + fraction));
}

Result<std::optional<std::uint64_t>> parse_size_or_none(std::string_view text) {
  if (text == "none") return std::nullopt;
  const auto size = parse_size(text);
  if (!size) return tl::make_unexpected(size.error());
  return *size;
}

Result<std::optional<std::chrono::nanoseconds>> parse_duration_or_none(std::string_view text) {
  if (text == "none") return std::nullopt;
  const auto duration = parse_duration(text);
  if (!duration) return tl::make_unexpected(duration.error());
  return *duration;
}

Result<std::uint64_t> parse_count(std::string_view text, std::uint64_t least, std::uint64_t most) {
  const auto number = split_number(text);
  if (!number || number->has_fraction || !number->unit.empty() || number->whole < least ||
      number->whole > most) {
    return fail_invalid(quoted(text) + " is not a whole number from " + std::to_string(least) +
                        " to " + std::to_string(most));
  }
  return number->whole;
}

std::string format_size(std::uint64_t bytes) {
  static constexpr std::array<const char*, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  auto value = static_cast<double>(bytes);
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return with_fraction(value, kUnits[unit]);
}

std::string format_duration(std::chrono::nanoseconds duration) {
  const auto nanoseconds = static_cast<double>(duration.count());
  if (nanoseconds >= 1e9) return with_fraction(nanoseconds / 1e9, "s");
  if (nanoseconds >= 1e6) return with_fraction(nanoseconds / 1e6, "ms");
  if (nanoseconds >= 1e3) return with_fraction(nanoseconds / 1e3, "µs");
  return with_fraction(nanoseconds, "ns");
}

}  // namespace vitrine
