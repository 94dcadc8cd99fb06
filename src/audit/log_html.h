// One self-contained page for a reviewer's browser: no network, nothing executed but its own
// script.
//
// Whatever the log holds reaches the page as JSON in a data block in which `<`, `>` and `&` are
// escaped, and the document as text nodes only; the content security policy allows exactly the
// page's style and script, by their digests.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "audit/log_reader.h"
#include "audit/log_summary.h"
#include "audit/timeline.h"

namespace vitrine::audit {

class HtmlPage {
 public:
  static constexpr std::size_t kMaxRows = 200000;  // events in the table; all are in the figures

  void add(const LogLine& line);
  std::string render(std::string_view title) const;

 private:
  void add_row(const LogLine& line);
  std::uint32_t text_index(const std::string& text);
  void append_data(std::string& out) const;
  void append_timeline(std::string& out) const;

  LogSummary summary_;
  Timeline timeline_;
  std::string rows_;                                      // JSON arrays, separated by commas
  std::string texts_;                                     // JSON strings, likewise
  std::unordered_map<std::string, std::uint32_t> index_;  // of texts_
  std::uint64_t row_count_ = 0;
  std::uint64_t rows_left_out_ = 0;
};

// What to add to a profile's "files" to allow what was denied: `{"show": "/etc/hosts"}`. "" where
// no line of a profile can.
std::string profile_line(const DenialKey& denial);

// page.css and page.js.
std::string_view html_style();
std::string_view html_script();

}  // namespace vitrine::audit
