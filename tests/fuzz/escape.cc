// The log's escape: reversible, for any bytes; what it makes, and what is made printable, is UTF-8
// of one line that nothing in it can reorder, hide or break.
#include "audit/escape.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

namespace {

using vitrine::audit::escape;
using vitrine::audit::printable;
using vitrine::audit::unescape;

void require(bool holds) {
  if (!holds) std::abort();
}

// The code points of UTF-8, as the JSON library understands it (what is none throws).
std::u32string code_points(const std::string& text) {
  require(!nlohmann::json(text).dump().empty());
  std::u32string points;
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    char32_t value = length == 1 ? lead : lead & (0xffU >> (length + 1));
    for (std::size_t k = 1; k < length; ++k) {
      value = (value << 6) | (static_cast<unsigned char>(text[i + k]) & 0x3fU);
    }
    points += value;
    i += length;
  }
  return points;
}

// Controls, line ends, directions, and what has no width: by Unicode's own lists (general
// categories Cc, Zl, Zp; Bidi_Control; Default_Ignorable_Code_Point; non-characters).
bool is_deceptive(char32_t point) {
  struct Range {
    char32_t first;
    char32_t last;
  };
  constexpr std::array kRanges = {
      Range{0, 0x1f},          Range{0x7f, 0x9f},       Range{0xad, 0xad},
      Range{0x34f, 0x34f},     Range{0x61c, 0x61c},     Range{0x115f, 0x1160},
      Range{0x17b4, 0x17b5},   Range{0x180b, 0x180f},   Range{0x200b, 0x200f},
      Range{0x2028, 0x202e},   Range{0x2060, 0x206f},   Range{0x3164, 0x3164},
      Range{0xfdd0, 0xfdef},   Range{0xfe00, 0xfe0f},   Range{0xfeff, 0xfeff},
      Range{0xffa0, 0xffa0},   Range{0xfff0, 0xfff8},   Range{0xfffe, 0xffff},
      Range{0x1d173, 0x1d17a}, Range{0xe0000, 0xe0fff}, Range{0x10fffe, 0x10ffff}};
  return std::ranges::any_of(
      kRanges, [&](const Range& range) { return point >= range.first && point <= range.last; });
}

void require_safe(const std::string& text) {
  require(std::ranges::none_of(code_points(text), is_deceptive));
}

// The escape read backwards, a character at a time. false: it is none.
bool read_escaped(std::string_view text, std::string& bytes, std::uint64_t& left_out) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  left_out = 0;
  while (!text.empty()) {
    const char first = text[0];
    text.remove_prefix(1);
    if (first != '\\') {
      bytes += first;
      continue;
    }
    if (text.empty()) return false;
    const char kind = text[0];
    text.remove_prefix(1);
    if (kind == '\\') {
      bytes += '\\';
    } else if (kind == 'x') {
      const std::size_t high =
          text.size() < 2 ? 16 : std::min<std::size_t>(kDigits.find(text[0]), 16);
      const std::size_t low =
          text.size() < 2 ? 16 : std::min<std::size_t>(kDigits.find(text[1]), 16);
      if (high == 16 || low == 16) return false;
      bytes += static_cast<char>(16 * high + low);
      text.remove_prefix(2);
    } else if (kind == '+') {
      if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos)
        return false;
      errno = 0;
      left_out = std::strtoull(std::string(text).c_str(), nullptr, 10);
      return errno == 0;
    } else {
      return false;
    }
  }
  return true;
}

void check_unescape(std::string_view text) {
  std::string bytes;
  std::uint64_t left_out = 0;
  const bool is_one = read_escaped(text, bytes, left_out);
  const auto raw = unescape(text);
  require(raw.has_value() == is_one);
  if (is_one) require(raw->bytes == bytes && raw->left_out == left_out);
}

void check_bounded(std::string_view bytes, std::size_t most) {
  const std::string text = vitrine::audit::escape_bounded(bytes, most);
  require_safe(text);
  require(printable(text) == text);
  const auto cut = unescape(text);
  require(cut && cut->bytes == bytes.substr(0, most));
  require(cut->bytes.size() + cut->left_out == bytes.size());
  std::string json;
  vitrine::audit::append_json_string_bounded(json, bytes, most);
  require(nlohmann::json::parse(json).get<std::string>() == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string text = escape(bytes);
  require_safe(text);
  const auto back = unescape(text);
  require(back && back->bytes == bytes && back->left_out == 0);
  require(printable(text) == text);
  std::string json;
  vitrine::audit::append_json_string(json, bytes);
  require(nlohmann::json::parse(json).get<std::string>() == text);

  // As the text of a log that anyone may have written.
  check_unescape(bytes);
  const std::string shown = printable(bytes);
  require_safe(shown);
  require(printable(shown) == shown);
  const std::string quoted = vitrine::audit::enclosed(bytes, '"', '"');
  require_safe(quoted);
  require(quoted.size() >= 2 && quoted.front() == '"' && quoted.find('"', 1) == quoted.size() - 1);
  require(unescape(quoted.substr(1, quoted.size() - 2))->bytes == unescape(shown)->bytes);
  for (const std::size_t most : {std::size_t{0}, std::size_t{1}, std::size_t{16}, size / 2}) {
    check_bounded(bytes, most);
  }
  return 0;
}
