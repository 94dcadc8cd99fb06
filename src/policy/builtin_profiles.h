// The shipped profiles, embedded in the program: a lone copied binary works, and a start reads no
// file. Generated from profiles/*.json by embed_profiles.cmake.
#pragma once

#include <span>
#include <string_view>

namespace vitrine::policy {

struct BuiltinProfile {
  std::string_view name;  // "python"
  std::string_view text;  // of profiles/python.json
};

std::span<const BuiltinProfile> builtin_profiles();

}  // namespace vitrine::policy
