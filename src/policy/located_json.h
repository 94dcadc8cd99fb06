// JSON that remembers where each value stood, so that an error can name line and column. Stricter
// than RFC 8259 asks: duplicate keys, NUL bytes in strings and deep nesting are errors.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace vitrine::policy {

struct Position {
  int line = 1;
  int column = 1;  // in bytes
};

struct JsonMember;

struct JsonValue {
  enum class Kind { kNull, kBoolean, kInteger, kFraction, kString, kArray, kObject };
  Kind kind = Kind::kNull;
  Position position;
  bool boolean = false;
  std::int64_t integer = 0;
  std::string text;
  std::vector<JsonValue> items;
  std::vector<JsonMember> members;  // in the file's order
};

struct JsonMember {
  std::string name;
  Position position;
  JsonValue value;
};

// "a string", "an array", ...: for error messages.
const char* name_of(JsonValue::Kind kind);

// Errors are kInvalid: "FILE:LINE:COLUMN: sentence".
Result<JsonValue> parse_located_json(std::string_view text, const std::string& file);

// "FILE:LINE:COLUMN"
std::string place(const std::string& file, Position position);

}  // namespace vitrine::policy
