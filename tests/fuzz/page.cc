// The page made of a log that anyone may have written: nothing of the log becomes markup, whatever
// is in it. The input's first line is the page's title, the rest is the log.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "audit/log_html.h"
#include "log_bytes.h"

namespace {

using vitrine::audit::HtmlPage;

constexpr std::string_view kDataBegins = "<script type=\"application/json\" id=\"data\">";
constexpr std::string_view kDataEnds = "</script>\n<script>";

// The page of no log: all the markup that there may be.
const std::string& empty_page() {
  static const std::string page = HtmlPage().render("");
  return page;
}

void check_data(const std::string& page) {
  const std::size_t begin = page.find(kDataBegins) + kDataBegins.size();
  const std::string data = page.substr(begin, page.find(kDataEnds, begin) - begin);
  if (data.find_first_of("<>&") != std::string::npos) std::abort();
  const auto parsed = vitrine::audit::Json::parse(data, nullptr, false);
  if (!parsed.is_object() || !parsed.contains("rows")) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vitrine;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view title = input.substr(0, input.find('\n'));
  audit::LogReader reader(fuzz::file_of(input.substr(std::min(title.size() + 1, size))));
  HtmlPage page;
  audit::LogLine line;
  for (;;) {
    const Result<bool> more = reader.next(line);
    if (more && !*more) break;
    if (!more && more.error().kind != Error::Kind::kInvalid) break;
    if (more) page.add(line);
  }
  const std::string html = page.render(title);
  for (const char mark : {'<', '>'}) {
    if (std::ranges::count(html, mark) != std::ranges::count(empty_page(), mark)) std::abort();
  }
  const bool printable = std::ranges::none_of(
      html, [](char c) { return static_cast<unsigned char>(c) < 0x20 && c != '\n'; });
  if (!printable || html.find("\u202e") != std::string::npos) std::abort();
  check_data(html);
  return 0;
}
