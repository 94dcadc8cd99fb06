// The JSON forms of a policy's parts, as profiles write them (vitrine-profile(5)).
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "core/file_rules.h"
#include "core/limits.h"

namespace vitrine::policy {

using Json = nlohmann::ordered_json;

// As text, with the largest suffix that is exact: "64M".
std::string exact_size(std::uint64_t bytes);
// One entry of `files`, without a comment.
Json file_entry(const FileRule& rule);
// An object for `limits`, complete.
Json limits_value(const Limits& limits);

}  // namespace vitrine::policy
