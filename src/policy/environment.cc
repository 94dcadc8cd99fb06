#include "policy/environment.h"

#include <algorithm>
#include <optional>

namespace vitrine::policy {
namespace {

constexpr std::string_view kAlphanumeric =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

bool is_made_of(std::string_view value, std::string_view others, std::size_t most) {
  return !value.empty() && value.size() <= most &&
         std::all_of(value.begin(), value.end(), [&](char c) {
           return kAlphanumeric.find(c) != std::string_view::npos ||
                  others.find(c) != std::string_view::npos;
         });
}

std::optional<std::string_view> value_in(const char* const* caller, std::string_view name) {
  for (; *caller != nullptr; ++caller) {
    const std::string_view entry = *caller;
    if (entry.size() > name.size() && entry[name.size()] == '=' && entry.starts_with(name)) {
      return entry.substr(name.size() + 1);
    }
  }
  return std::nullopt;
}

void set(Environment& environment, std::string_view name, std::string_view value) {
  const auto same = [&](const auto& entry) { return entry.first == name; };
  const auto found = std::find_if(environment.begin(), environment.end(), same);
  if (found == environment.end())
    environment.emplace_back(name, value);
  else
    found->second = value;
}

void pass_matching(Environment& environment, const EnvironmentRule& rule,
                   const char* const* caller) {
  const std::string_view prefix(rule.name.data(), rule.name.size() - 1);
  for (; *caller != nullptr; ++caller) {
    const std::string_view entry = *caller;
    const auto equals = entry.find('=');
    if (equals == std::string_view::npos || !entry.starts_with(prefix)) continue;
    const std::string_view value = entry.substr(equals + 1);
    if (is_acceptable(rule.accept, value)) set(environment, entry.substr(0, equals), value);
  }
}

}  // namespace

bool is_acceptable(Accept accept, std::string_view value) {
  switch (accept) {
    case Accept::kAnything:
      return true;
    case Accept::kTerminal:
      return is_made_of(value, "+._-", 64);
    case Accept::kZone:
      // tzset(3): a leading ':' and a leading '/' make it a file's name. Rules as
      // "<+03>-3" and "CET-1CEST,M3.5.0/2" are zones too.
      return is_made_of(value, "+-_/,.<>:", 64) && value[0] != '/' && value[0] != ':' &&
             value.find("..") == std::string_view::npos;
    case Accept::kLocale:
      return is_made_of(value, "@._-", 64) && value[0] != '.';
  }
  return false;
}

Environment resolve_environment(const std::vector<EnvironmentRule>& rules,
                                const char* const* caller) {
  Environment environment;
  for (const EnvironmentRule& rule : rules) {
    if (rule.value) {
      set(environment, rule.name, *rule.value);
      continue;
    }
    if (rule.name.ends_with('*')) {
      pass_matching(environment, rule, caller);
      continue;
    }
    const auto value = value_in(caller, rule.name);
    if (value && is_acceptable(rule.accept, *value))
      set(environment, rule.name, *value);
    else if (rule.otherwise)
      set(environment, rule.name, *rule.otherwise);
  }
  return environment;
}

}  // namespace vitrine::policy
