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

// "log: SENTENCE" as an error message; returns kExitFailed.
int log_failure(const std::string& sentence);

// `-` is standard input.
Result<UniqueFd> open_log(const std::string& name);

// Calls `visit` with every readable line until it returns false. Unreadable lines are named on
// stderr, the first few one by one. Returns the exit status: kExitOk, kExitDiffers if
// a line was unreadable, or kExitFailed.
// On a terminal a bar tells how far it is; not where `prints` says that `visit` prints there.
int for_each_line(const std::string& name, const std::function<bool(const audit::LogLine&)>& visit,
                  bool prints = false);
// The bytes of a regular file; 0 for what has no size.
std::uint64_t size_of(const UniqueFd& log);

}  // namespace vitrine::cli
