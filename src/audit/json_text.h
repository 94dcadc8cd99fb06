// Pieces of a JSON object, appended to a string: what the hot path of the log needs and no more.
#pragma once

#include <charconv>
#include <concepts>
#include <string>
#include <string_view>
#include <vector>

namespace vitrine::audit {

inline constexpr std::size_t kMaxListItems = 256;
inline constexpr std::size_t kMaxListBytes = 16384;

template <std::integral Number>
void append_number(std::string& out, Number value) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, static_cast<std::size_t>(end - digits));
}

// `,"name":value`: every field but an object's first.
template <std::integral Number>
void append_number_field(std::string& out, std::string_view name, Number value) {
  out += ",\"";
  out += name;
  out += "\":";
  append_number(out, value);
}

// Escaped (escape.h) and cut at kMaxArgumentBytes.
void append_text_field(std::string& out, std::string_view name, std::string_view value);

// A list of strings. Past kMaxListItems or kMaxListBytes the rest is counted: `,"argv_left_out":N`.
void append_list_field(std::string& out, std::string_view name,
                       const std::vector<std::string>& values);

}  // namespace vitrine::audit
