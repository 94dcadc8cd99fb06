#include "audit/json_text.h"

#include <algorithm>

#include "audit/escape.h"

namespace vitrine::audit {

void append_text_field(std::string& out, std::string_view name, std::string_view value) {
  out += ",\"";
  out += name;
  out += "\":";
  append_json_string_bounded(out, value);
}

void append_list_field(std::string& out, std::string_view name,
                       const std::vector<std::string>& values) {
  out += ",\"";
  out += name;
  out += "\":[";
  std::size_t written = 0;
  std::size_t bytes = 0;
  for (; written < values.size() && written < kMaxListItems && bytes < kMaxListBytes; ++written) {
    if (written > 0) out += ',';
    append_json_string_bounded(out, values[written]);
    bytes += std::min(values[written].size(), kMaxArgumentBytes);
  }
  out += ']';
  if (written == values.size()) return;
  append_number_field(out, std::string(name) + "_left_out", values.size() - written);
}

}  // namespace vitrine::audit
