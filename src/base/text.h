// Text forms of sizes and durations, as the command line and profiles write them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace vitrine {

// "64M", "2G", "512" (bytes), "1.5G" is refused. Suffixes K M G T (also k m g t, KiB, KB/...) are
// powers of 1024. Refuses empty text, signs, spaces, exponents and overflow of 2^63-1.
Result<std::uint64_t> parse_size(std::string_view text);
// "250ms", "10s", "2m", "1h", "1.5s", "30" (seconds); also us, ns, d. Refuses what parse_size
// refuses.
Result<std::chrono::nanoseconds> parse_duration(std::string_view text);
// Like the two above, but the word "none" gives nullopt.
Result<std::optional<std::uint64_t>> parse_size_or_none(std::string_view text);
Result<std::optional<std::chrono::nanoseconds>> parse_duration_or_none(std::string_view text);
// A decimal count in [least, most].
Result<std::uint64_t> parse_count(std::string_view text, std::uint64_t least, std::uint64_t most);

std::string format_size(std::uint64_t bytes);                    // "64 MiB", "1.5 KiB", "12 B"
std::string format_duration(std::chrono::nanoseconds duration);  // "1.25 s", "31 ms", "8 µs"

}  // namespace vitrine
