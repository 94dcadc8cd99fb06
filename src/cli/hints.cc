#include "cli/hints.h"

#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "audit/escape.h"
#include "base/path.h"
#include "core/secrets.h"
#include "policy/secrets.h"

namespace vitrine::cli {
namespace {

// As a shell takes it for one word: a name may hold anything. nullopt where it holds what messages
// escape, or what needs an escape here: a shell would not read that as it was meant.
std::optional<std::string> in_shell(const std::string& word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-";
  if (word.find_first_not_of(kPlain) == std::string::npos) return word;
  if (word.find('\'') != std::string::npos || audit::escape(word) != word) return std::nullopt;
  return "'" + word + "'";
}

// A name to be read, whose end is where it seems to be.
std::string in_quotes(std::string name) {
  if (const auto word = in_shell(name)) return *word;
  std::ranges::replace(name, '\'', '?');
  return "'" + name + "'";
}

// The least that shows what was named `target`, or why none is offered.
std::string remedy_for_path(const std::string& target, const HintSetting& setting) {
  if (target.size() >= Denial::kLongestTarget) return "";  // it may have been cut
  const std::string path = join_path(setting.working_directory, target);
  if (may_hold_secrets(path)) return "it may hold secrets";
  if (is_made_by_vitrine(path)) return "vitrine shows its own instead";
  const std::string real = policy::real_path(path);
  if (real.empty()) return "there is none on the host";
  if (may_hold_secrets(real)) return "it may hold secrets";
  struct stat status {};
  if (::stat(real.c_str(), &status) != 0) return "";
  if (S_ISDIR(status.st_mode)) {
    if (const auto reason = policy::reason_of_place(real, setting.homes)) return *reason;
    if (const auto reason = policy::reason_to_keep(real)) return *reason;
  } else if (!S_ISREG(status.st_mode)) {
    return "neither a regular file nor a folder";
  }
  const bool as_named = setting.working_directory == setting.callers_directory;
  const std::string& host = as_named ? target : path;
  // Split at ":/", and what is behind it would be another place.
  if (host.find(":/") != std::string::npos || host.starts_with('-')) return "";
  const auto word = in_shell(host);
  return word ? "--ro " + *word + " shows it" : "";
}

std::string remedy_for(const Denial& denial, const HintSetting& setting) {
  if (denial.rule == "limit:processes") return "--processes N allows more";
  if (denial.rule == "limit:threads") return "--threads N allows more";
  if (denial.rule == "limit:memory") return "--memory SIZE allows more";
  if (denial.rule == "network") return "no option allows the network";
  if (denial.rule.starts_with("--hide")) return "hidden by " + denial.rule;
  if (denial.error == "EROFS") return "--scratch FOLDER gives a folder to write in";
  const bool of_files = denial.error == "ENOENT" || denial.error == "EACCES";
  if (!of_files || denial.target.empty() || denial.rule != "default") return "";
  return remedy_for_path(denial.target, setting);
}

}  // namespace

std::vector<std::string> hints_for(const Report& report, const HintSetting& setting) {
  std::vector<std::string> lines;
  for (const Denial& denial : report.denials) {
    if (lines.size() == kMostHints) break;
    if (denial.error == "ENOSYS") continue;  // libraries ask and do without
    std::string line = "refused: " + denial.syscall;
    if (!denial.target.empty()) line += " " + in_quotes(denial.target);
    if (!denial.error.empty()) line += " (" + denial.error + ")";
    if (const std::string remedy = remedy_for(denial, setting); !remedy.empty())
      line += "; " + remedy;
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace vitrine::cli
