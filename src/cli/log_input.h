// What every `vitrine log` command does with its log: open it, go through its lines, tell what is
// wrong with some of them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "audit/log_reader.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace vitrine::cli {

inline constexpr int kFound = 1;            // a difference, a broken log, an unreadable line
inline constexpr int kCommandFailed = 125;  // contract section 3

// "vitrine: log: SENTENCE" on stderr; returns kCommandFailed.
int log_failure(std::string_view sentence);

// `-` is standard input.
Result<UniqueFd> open_log(const std::string& name);

// Calls `visit` with every readable line until it returns false. Unreadable lines are named on
// stderr, the first few one by one. Returns the exit status: 0, kFound, or kCommandFailed.
int for_each_line(const std::string& name, const std::function<bool(const audit::LogLine&)>& visit);

}  // namespace vitrine::cli
