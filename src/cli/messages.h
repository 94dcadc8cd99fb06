// What vitrine says to its operator on stderr. Every message is one line, whatever it quotes:
// control characters of paths and arguments are escaped (audit/escape.h).
#pragma once

#include <string>
#include <string_view>

namespace vitrine::cli {

enum class Verbosity { kQuiet, kNormal, kVerbose };

void set_verbosity(Verbosity verbosity);

// At every verbosity: why nothing ran, or why vitrine failed.
void say_error(std::string_view message);
// Unless --quiet: why the run was ended.
void say(std::string_view message);
// With --verbose only.
void say_detail(std::string_view message);
bool says_details();

}  // namespace vitrine::cli
