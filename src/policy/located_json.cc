#include "policy/located_json.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

namespace vitrine::policy {
namespace {

constexpr std::size_t kMaxDepth = 16;

// The parser's input: an iterator whose copies share one count of what was read.
struct Reader {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  const char* at;
  const char** furthest;

  reference operator*() const { return *at; }
  Reader& operator++() {
    ++at;
    if (at > *furthest) *furthest = at;
    return *this;
  }
  friend bool operator==(const Reader& a, const Reader& b) { return a.at == b.at; }
};

// Builds the tree. The parser reports a token when it has read it (a number: one byte further), so
// a token's start is the first byte after the previous one that is neither space nor punctuation,
// and there always is one.
class Builder {
 public:
  Builder(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  const char** furthest() { return &furthest_; }
  const std::optional<Error>& error() const { return error_; }
  JsonValue take() { return std::move(root_); }

  // --- the events of nlohmann's SAX interface
  bool null() {
    add(JsonValue::Kind::kNull);
    return true;
  }
  bool boolean(bool value) {
    add(JsonValue::Kind::kBoolean).boolean = value;
    return true;
  }
  bool number_integer(std::int64_t value) {
    add(JsonValue::Kind::kInteger).integer = value;
    return true;
  }
  bool number_unsigned(std::uint64_t value) {
    constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
    if (value > kMost) return number_float(0, {});
    return number_integer(static_cast<std::int64_t>(value));
  }
  bool number_float(double, const std::string&) {
    add(JsonValue::Kind::kFraction);
    return true;
  }
  bool string(std::string& value) {
    JsonValue& added = add(JsonValue::Kind::kString);
    if (value.find('\0') != std::string::npos) {
      return refuse(added.position, "a NUL byte in a string");
    }
    added.text = std::move(value);
    return true;
  }
  bool binary(nlohmann::json::binary_t&) { return false; }
  bool start_object(std::size_t) { return open(JsonValue::Kind::kObject); }
  bool start_array(std::size_t) { return open(JsonValue::Kind::kArray); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& name) {
    const Position start = next_token();
    auto& members = open_.back()->members;
    const auto same = [&](const JsonMember& member) { return member.name == name; };
    if (std::any_of(members.begin(), members.end(), same)) {
      return refuse(start, "the key \"" + name + "\" is given twice");
    }
    members.push_back({std::move(name), start, {}});
    end_token();
    return true;
  }
  bool parse_error(std::size_t offset, const std::string&, const nlohmann::json::exception& what) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while ..."
    std::string sentence = what.what();
    const auto colon = sentence.find(": ");
    if (colon != std::string::npos) sentence.erase(0, colon + 2);
    advance_to(offset - 1);  // which counts from 1
    return refuse(position_, sentence);
  }

 private:
  bool refuse(Position position, const std::string& sentence) {
    error_ = Error{Error::Kind::kInvalid, EINVAL, place(file_, position) + ": " + sentence};
    return false;
  }

  void advance_to(std::size_t offset) {
    for (; offset_ < offset; ++offset_) {
      if (text_[offset_] == '\n') {
        ++position_.line;
        position_.column = 1;
      } else {
        ++position_.column;
      }
    }
  }

  Position next_token() {
    advance_to(text_.find_first_not_of(" \t\r\n,:]}", offset_));
    return position_;
  }

  void end_token() { advance_to(static_cast<std::size_t>(furthest_ - text_.data())); }

  JsonValue& add(JsonValue::Kind kind) {
    JsonValue& value = next_slot();
    value.kind = kind;
    value.position = next_token();
    end_token();
    return value;
  }

  JsonValue& next_slot() {
    if (open_.empty()) return root_;
    JsonValue& parent = *open_.back();
    return parent.kind == JsonValue::Kind::kArray ? parent.items.emplace_back()
                                                  : parent.members.back().value;
  }

  bool open(JsonValue::Kind kind) {
    JsonValue& value = add(kind);
    if (open_.size() == kMaxDepth) return refuse(value.position, "nested too deeply");
    // Sizes of profiles as they are: growing moves every value.
    if (kind == JsonValue::Kind::kArray)
      value.items.reserve(32);
    else
      value.members.reserve(8);
    open_.push_back(&value);
    return true;
  }

  bool close() {
    open_.pop_back();
    end_token();
    return true;
  }

  std::string_view text_;
  const std::string& file_;
  const char* furthest_ = text_.data();
  std::size_t offset_ = 0;
  Position position_;
  JsonValue root_;
  // The values being filled, outermost first. A parent does not grow while its child is open, so
  // these stay valid.
  std::vector<JsonValue*> open_;
  std::optional<Error> error_;
};

}  // namespace

const char* name_of(JsonValue::Kind kind) {
  switch (kind) {
    case JsonValue::Kind::kNull:
      return "null";
    case JsonValue::Kind::kBoolean:
      return "true or false";
    case JsonValue::Kind::kInteger:
      return "a whole number";
    case JsonValue::Kind::kFraction:
      return "a number that is not whole, or too large";
    case JsonValue::Kind::kString:
      return "a string";
    case JsonValue::Kind::kArray:
      return "an array";
    case JsonValue::Kind::kObject:
      break;
  }
  return "an object";
}

std::string place(const std::string& file, Position position) {
  return file + ":" + std::to_string(position.line) + ":" + std::to_string(position.column);
}

Result<JsonValue> parse_located_json(std::string_view text, const std::string& file) {
  Builder builder(text, file);
  const Reader begin{text.data(), builder.furthest()};
  const Reader end{text.data() + text.size(), builder.furthest()};
  if (!nlohmann::json::sax_parse(begin, end, &builder)) {
    if (builder.error()) return tl::make_unexpected(*builder.error());
    return fail_invalid(file + ": not JSON");
  }
  return builder.take();
}

}  // namespace vitrine::policy
