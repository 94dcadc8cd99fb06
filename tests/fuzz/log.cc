// The reader of audit logs, on any file: it ends, gives out lines that are objects with a type, and
// never more bytes than there are. What is shown of a line cannot act on a terminal.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "audit/log_reader.h"
#include "audit/log_show.h"
#include "audit/log_summary.h"
#include "log_bytes.h"

namespace {

bool is_safe(std::string_view text, bool lines) {
  return std::ranges::none_of(text, [lines](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && !(lines && c == '\n')) || byte == 0x7f;
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vitrine;
  audit::LogReader reader(fuzz::file_of({reinterpret_cast<const char*>(data), size}));
  audit::LogLine line;
  audit::LogSummary summary;
  std::size_t turns = 0;
  for (;;) {
    const Result<bool> more = reader.next(line);
    if (!more && more.error().kind != Error::Kind::kInvalid) break;
    if (!more && !is_safe(more.error().message(), false)) std::abort();
    if (more && !*more) break;
    if (++turns > size + 1) std::abort();
    if (!more) continue;
    if (!line.json.is_object() || line.type.empty()) std::abort();
    if (!is_safe(audit::readable_line(line, false), false)) std::abort();
    summary.add(line);
  }
  if (reader.bytes_read() > size) std::abort();
  if (!is_safe(audit::summary_text(summary), true)) std::abort();
  if (!audit::Json::accept(audit::summary_json(summary).dump())) std::abort();
  return 0;
}
