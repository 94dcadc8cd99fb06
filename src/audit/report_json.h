// The report as JSON (contract section 4): what `--report` writes and the audit log's last line
// holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/limits.h"
#include "core/report.h"

namespace vitrine::audit {

// Bounds of the report's lists; what was cut is counted in `denials_left_out`, `command_left_out`.
inline constexpr std::size_t kMaxReportDenials = 256;

// One line of valid UTF-8 without a newline: for the audit log. Strings that hold bytes of the
// program's or the user's are escaped (escape.h).
std::string report_to_json(const Report& report);
// The same, indented and with a newline at the end: for `--report`.
std::string report_document(const Report& report);
// The report's "limits" object, which the audit log's first line holds too. null is "none".
std::string limits_to_json(const Limits& limits, std::uint64_t scratch_bytes);

}  // namespace vitrine::audit
