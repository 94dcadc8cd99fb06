#include "audit/log_reader.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace vitrine::audit {
namespace {

constexpr std::size_t kReadBytes = 256 << 10;
constexpr int kMaxDepth = 16;  // vitrine's own lines have 5

// Before parsing: a document of brackets alone would cost a hundred times its size.
bool is_too_deep(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

bool is_known_type(std::string_view type) {
  constexpr std::array kTypes = {"syscall", "process", "signal", "limit", "start", "end"};
  for (const char* known : kTypes) {
    if (type == known) return true;
  }
  return false;
}

}  // namespace

const Json* find_field(const Json& object, std::string_view name) {
  if (!object.is_object()) return nullptr;
  for (const auto& [key, value] : object.get_ref<const Json::object_t&>()) {
    if (key == name) return &value;
  }
  return nullptr;
}

std::string text_field(const Json& object, std::string_view name) {
  const Json* value = find_field(object, name);
  return value != nullptr && value->is_string() ? value->get_ref<const std::string&>() : "";
}

std::uint64_t count_field(const Json& object, std::string_view name, std::uint64_t fallback) {
  const Json* value = find_field(object, name);
  return value != nullptr && value->is_number_unsigned() ? value->get<std::uint64_t>() : fallback;
}

tl::unexpected<Error> LogReader::bad_line(std::string_view what) const {
  std::string sentence = "line ";
  sentence += std::to_string(number_);
  sentence += ": ";
  sentence += what;
  return fail_invalid(std::move(sentence));
}

Result<bool> LogReader::next(LogLine& line) {
  Result<bool> more = next_text();
  if (!more || !*more) return more;
  line.number = number_;
  line.text = text_;
  if (is_too_deep(text_)) return bad_line("nested too deeply");
  line.json = Json::parse(text_, nullptr, false);
  if (!line.json.is_object()) return bad_line("not a JSON object");
  line.type = text_field(line.json, "type");
  if (!is_known_type(line.type)) return bad_line("no record of an audit log (unknown \"type\")");
  return true;
}

// Sets text_ to the next line.
Result<bool> LogReader::next_text() {
  std::size_t searched = start_;
  while (true) {
    const std::size_t newline = buffer_.find('\n', searched);
    if (newline != std::string::npos) {
      text_ = std::string_view(buffer_).substr(start_, newline - start_);
      start_ = newline + 1;
      ++number_;
      if (text_.size() > kMaxLineBytes) return bad_line("longer than 4 MiB");
      return true;
    }
    if (at_end_) break;
    // The start of an endless line is thrown away, its newline is kept to be found.
    if (buffer_.size() - start_ > kMaxLineBytes + kReadBytes)
      buffer_.resize(start_ + kMaxLineBytes + 1);
    searched = buffer_.size() - start_;
    Result<bool> filled = fill();
    if (!filled) return filled;
  }
  if (start_ == buffer_.size()) return false;
  start_ = buffer_.size();
  ++number_;
  return bad_line("cut short: the file does not end in a whole line");
}

// Moves what is left to the front and reads more behind it.
Result<bool> LogReader::fill() {
  buffer_.erase(0, start_);
  before_buffer_ += start_;
  start_ = 0;
  const std::size_t kept = buffer_.size();
  buffer_.resize(kept + kReadBytes);
  ssize_t got = -1;
  do {
    got = ::read(fd_.get(), buffer_.data() + kept, kReadBytes);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return fail_errno("read");
  buffer_.resize(kept + static_cast<std::size_t>(got));
  at_end_ = got == 0;
  return true;
}

}  // namespace vitrine::audit
