// The reversible escape of the audit log (vitrine-audit(5), "ESCAPE"): any bytes become printable
// UTF-8 text, and that text gives the exact bytes back.
//
//   \\      a backslash
//   \xNN    one byte: invalid UTF-8, or part of a character that could change how a line is read
//           (controls, line and paragraph separators, bidirectional and invisible formatting)
//   \+N     at the end only: N further bytes were left out
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vitrine::audit {

// The longest argument that is written; PATH_MAX is the longest path, its NUL included.
inline constexpr std::size_t kMaxArgumentBytes = 4096;

std::string escape(std::string_view bytes);
// The same, of the first `most` bytes, with `\+N` when there are more.
std::string escape_bounded(std::string_view bytes, std::size_t most = kMaxArgumentBytes);
// Appends `bytes`, escaped and as a JSON string with its quotes.
void append_json_string(std::string& out, std::string_view bytes);
void append_json_string_bounded(std::string& out, std::string_view bytes,
                                std::size_t most = kMaxArgumentBytes);

struct Unescaped {
  std::string bytes;
  std::uint64_t left_out = 0;  // N of a trailing `\+N`
};
// nullopt: not what escape() makes (an unknown or a cut escape).
std::optional<Unescaped> unescape(std::string_view text);

// Any text, from a log that may be hostile, made safe to print: itself if it is what escape()
// makes.
std::string printable(std::string_view text);
// The same, of the first `most` bytes that it stands for.
std::string printable_bounded(std::string_view text, std::size_t most = kMaxArgumentBytes);
// The same as printable() between two characters, of which the closing one is `\xNN` within:
// whatever the text is, it ends where it seems to.
std::string enclosed(std::string_view text, char opening, char closing);

}  // namespace vitrine::audit
