#include "program/rules.h"

#include <unistd.h>

#include <algorithm>

namespace vitrine::program {

void show(FileRules& rules, const std::string& path, std::string_view rule) {
  const auto same = [&](const FileRule& other) {
    const auto* shown = std::get_if<ShowRule>(&other.what);
    return shown != nullptr && shown->host == path;
  };
  if (std::any_of(rules.begin(), rules.end(), same)) return;
  ShowRule shown;
  shown.host = path;
  rules.push_back({std::move(shown), {std::string(rule), ""}});
}

void show_if_there(FileRules& rules, const std::string& path, std::string_view rule) {
  if (::access(path.c_str(), F_OK) == 0) show(rules, path, rule);
}

}  // namespace vitrine::program
