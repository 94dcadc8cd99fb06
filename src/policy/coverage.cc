#include "policy/coverage.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/path.h"

namespace vitrine::policy {
namespace {

// The files of the synthetic /etc. Its folder is shared with what else is shown there.
constexpr std::array<std::string_view, 5> kSyntheticEtc{"/etc/passwd", "/etc/group", "/etc/hosts",
                                                        "/etc/nsswitch.conf", "/etc/localtime"};

bool matches_pattern(const std::string& pattern, std::string_view path) {
  const std::string_view folder = parent_of(pattern);
  if (!is_within(path, folder) || path.size() <= folder.size()) return false;
  const std::size_t start = folder == "/" ? 1 : folder.size() + 1;
  const std::string component(path.substr(start, path.find('/', start) - start));
  return ::fnmatch(std::string(name_in(pattern)).c_str(), component.c_str(), FNM_PERIOD) == 0;
}

bool covers(const FileRule& rule, std::string_view path) {
  if (const auto* shown = std::get_if<ShowRule>(&rule.what); shown != nullptr && shown->pattern) {
    return matches_pattern(shown->host, path);
  }
  if (const auto* tree = std::get_if<SyntheticRule>(&rule.what);
      tree != nullptr && tree->tree == "etc") {
    return std::find(kSyntheticEtc.begin(), kSyntheticEtc.end(), path) != kSyntheticEtc.end();
  }
  return is_within(path, guest_of(rule));
}

}  // namespace

std::string_view guest_of(const FileRule& rule) {
  struct Visitor {
    std::string_view operator()(const ShowRule& r) const {
      return r.guest.empty() ? r.host : r.guest;
    }
    std::string_view operator()(const ScratchRule& r) const { return r.guest; }
    std::string_view operator()(const InlineRule& r) const { return r.guest; }
    std::string_view operator()(const LinkRule& r) const { return r.guest; }
    std::string_view operator()(const HideRule& r) const { return r.guest; }
    std::string_view operator()(const FolderRule& r) const { return r.guest; }
    std::string_view operator()(const SyntheticRule& r) const {
      if (r.tree == "proc") return "/proc";
      if (r.tree == "sys") return "/sys";
      return r.tree == "dev" ? "/dev" : "/etc";
    }
  };
  return std::visit(Visitor{}, rule.what);
}

// A rule for a folder only makes it exist: what an earlier rule shows there stays, unless that is
// scratch, in which the folder is made.
const FileRule* covering_rule(const FileRules& rules, std::string_view path) {
  const FileRule* folder = nullptr;
  for (auto rule = rules.rbegin(); rule != rules.rend(); ++rule) {
    if (!covers(*rule, path)) continue;
    if (std::holds_alternative<FolderRule>(rule->what)) {
      if (folder == nullptr) folder = &*rule;
      continue;
    }
    const bool empty = std::holds_alternative<HideRule>(rule->what) ||
                       (std::holds_alternative<ScratchRule>(rule->what) && folder != nullptr &&
                        guest_of(*folder) == path);
    return folder != nullptr && empty ? folder : &*rule;
  }
  return folder;
}

bool is_on_the_way(const FileRules& rules, std::string_view path) {
  return std::any_of(rules.begin(), rules.end(), [&](const FileRule& rule) {
    return !std::holds_alternative<HideRule>(rule.what) && is_within(guest_of(rule), path);
  });
}

}  // namespace vitrine::policy
