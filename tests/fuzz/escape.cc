// The log's escape: reversible, printable, one line, for any bytes; and any text can be made
// printable.
#include "audit/escape.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>

namespace {

bool is_one_safe_line(std::string_view text) {
  return std::ranges::none_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using vitrine::audit::escape;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string text = escape(bytes);
  const auto back = vitrine::audit::unescape(text);
  if (!back || back->bytes != bytes || back->left_out != 0) std::abort();
  if (!is_one_safe_line(text)) std::abort();
  if (!is_one_safe_line(vitrine::audit::printable(bytes))) std::abort();
  std::string json;
  vitrine::audit::append_json_string(json, bytes);
  if (nlohmann::json::parse(json).get<std::string>() != text) std::abort();
  const auto cut = vitrine::audit::unescape(vitrine::audit::escape_bounded(bytes, 16));
  if (!cut || !bytes.starts_with(cut->bytes)) std::abort();
  if (cut->bytes.size() + cut->left_out != size) std::abort();
  return 0;
}
