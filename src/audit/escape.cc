#include "audit/escape.h"

#include <array>
#include <charconv>

namespace vitrine::audit {
namespace {

enum class Quoting { kNone, kJson };

constexpr std::string_view kHex = "0123456789abcdef";

// Bytes that stand for themselves in both quotings. Everything else takes the slow path.
constexpr std::array<bool, 256> make_plain() {
  std::array<bool, 256> plain{};
  for (std::size_t byte = 0x20; byte < 0x7f; ++byte) plain[byte] = byte != '"' && byte != '\\';
  return plain;
}
constexpr std::array<bool, 256> kPlain = make_plain();

struct CodePoint {
  char32_t value = 0;
  std::size_t length = 0;  // 0: not valid UTF-8 here
};

unsigned byte_at(std::string_view bytes, std::size_t index) {
  return static_cast<unsigned char>(bytes[index]);
}

// RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF.
CodePoint decode(std::string_view bytes) {
  const unsigned lead = byte_at(bytes, 0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || bytes.size() < length) return {};
  char32_t value = lead & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte_at(bytes, i) & 0xc0U) != 0x80U) return {};
    value = (value << 6) | (byte_at(bytes, i) & 0x3fU);
  }
  constexpr std::array<char32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kLeast[length] || value > 0x10ffff) return {};
  if (value >= 0xd800 && value <= 0xdfff) return {};
  return {value, length};
}

struct Range {
  char32_t first;
  char32_t last;
};
// Characters that reorder, hide or break the text around them, on a terminal or in a browser.
constexpr std::array kDeceptive = {
    Range{0x00, 0x1f},     Range{0x7f, 0x9f},       Range{0xad, 0xad},       Range{0x34f, 0x34f},
    Range{0x61c, 0x61c},   Range{0x115f, 0x1160},   Range{0x17b4, 0x17b5},   Range{0x180b, 0x180f},
    Range{0x200b, 0x200f}, Range{0x2028, 0x202e},   Range{0x2060, 0x206f},   Range{0x3164, 0x3164},
    Range{0xfdd0, 0xfdef}, Range{0xfe00, 0xfe0f},   Range{0xfeff, 0xfeff},   Range{0xffa0, 0xffa0},
    Range{0xfff0, 0xfffb}, Range{0x1d173, 0x1d17a}, Range{0xe0000, 0xe0fff},
};

bool is_deceptive(char32_t value) {
  if ((value & 0xfffe) == 0xfffe) return true;  // non-characters
  for (const Range& range : kDeceptive) {
    if (value < range.first) return false;
    if (value <= range.last) return true;
  }
  return false;
}

template <Quoting quoting>
void append_backslash(std::string& out) {
  out += quoting == Quoting::kJson ? "\\\\" : "\\";
}

template <Quoting quoting>
void append_bytes_as_hex(std::string& out, std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    append_backslash<quoting>(out);
    out += 'x';
    out += kHex[byte_at(bytes, i) >> 4];
    out += kHex[byte_at(bytes, i) & 15U];
  }
}

// One character, or one invalid byte; returns how many bytes it was.
template <Quoting quoting>
std::size_t append_unusual(std::string& out, std::string_view rest) {
  if (rest[0] == '\\') {
    append_backslash<quoting>(out);
    append_backslash<quoting>(out);
    return 1;
  }
  if (rest[0] == '"') {
    out += quoting == Quoting::kJson ? "\\\"" : "\"";
    return 1;
  }
  const CodePoint point = decode(rest);
  if (point.length == 0) {
    append_bytes_as_hex<quoting>(out, rest.substr(0, 1));
    return 1;
  }
  if (is_deceptive(point.value)) {
    append_bytes_as_hex<quoting>(out, rest.substr(0, point.length));
  } else {
    out += rest.substr(0, point.length);
  }
  return point.length;
}

template <Quoting quoting>
void append_escaped(std::string& out, std::string_view bytes) {
  while (!bytes.empty()) {
    std::size_t run = 0;
    while (run < bytes.size() && kPlain[byte_at(bytes, run)]) ++run;
    out.append(bytes.data(), run);
    bytes.remove_prefix(run);
    if (!bytes.empty()) bytes.remove_prefix(append_unusual<quoting>(out, bytes));
  }
}

template <Quoting quoting>
void append_bounded(std::string& out, std::string_view bytes, std::size_t most) {
  append_escaped<quoting>(out, bytes.substr(0, most));
  if (bytes.size() <= most) return;
  append_backslash<quoting>(out);
  out += '+';
  out += std::to_string(bytes.size() - most);
}

// The byte of `xNN` at the start of `text`, or -1.
int parse_hex_byte(std::string_view text) {
  if (text.size() < 3 || text[0] != 'x') return -1;
  const std::size_t high = kHex.find(text[1]);
  const std::size_t low = kHex.find(text[2]);
  if (high == std::string_view::npos || low == std::string_view::npos) return -1;
  return static_cast<int>(high * 16 + low);
}

}  // namespace

std::string escape(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  append_escaped<Quoting::kNone>(out, bytes);
  return out;
}

std::string escape_bounded(std::string_view bytes, std::size_t most) {
  std::string out;
  append_bounded<Quoting::kNone>(out, bytes, most);
  return out;
}

void append_json_string(std::string& out, std::string_view bytes) {
  out += '"';
  append_escaped<Quoting::kJson>(out, bytes);
  out += '"';
}

void append_json_string_bounded(std::string& out, std::string_view bytes, std::size_t most) {
  out += '"';
  append_bounded<Quoting::kJson>(out, bytes, most);
  out += '"';
}

std::optional<Unescaped> unescape(std::string_view text) {
  Unescaped result;
  result.bytes.reserve(text.size());
  while (!text.empty()) {
    const std::size_t run = std::min(text.find('\\'), text.size());
    result.bytes += text.substr(0, run);
    text.remove_prefix(run);
    if (text.empty()) break;
    text.remove_prefix(1);
    if (text.starts_with('\\')) {
      result.bytes += '\\';
      text.remove_prefix(1);
    } else if (const int byte = parse_hex_byte(text); byte >= 0) {
      result.bytes += static_cast<char>(byte);
      text.remove_prefix(3);
    } else {
      if (!text.starts_with('+')) return std::nullopt;
      const char* end = text.data() + text.size();
      const auto parsed = std::from_chars(text.data() + 1, end, result.left_out);
      if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
      break;
    }
  }
  return result;
}

std::string printable(std::string_view text) { return printable_bounded(text, SIZE_MAX); }

std::string printable_bounded(std::string_view text, std::size_t most) {
  const std::optional<Unescaped> raw = unescape(text);
  if (!raw) return escape_bounded(text, most);
  std::string shown = escape(std::string_view(raw->bytes).substr(0, most));
  std::uint64_t left_out = raw->bytes.size() - std::min(raw->bytes.size(), most);
  // Saturates: the number of a log that somebody else wrote may be any.
  if (__builtin_add_overflow(left_out, raw->left_out, &left_out)) left_out = UINT64_MAX;
  if (left_out > 0) shown += "\\+" + std::to_string(left_out);
  return shown;
}

std::string enclosed(std::string_view text, char opening, char closing) {
  std::string out(1, opening);
  for (const char byte : printable(text)) {
    if (byte == closing) {
      append_bytes_as_hex<Quoting::kNone>(out, std::string_view(&byte, 1));
    } else {
      out += byte;
    }
  }
  return out + closing;
}

}  // namespace vitrine::audit
