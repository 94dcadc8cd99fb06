#include "cli/hints.h"

#include <string_view>

#include "core/secrets.h"

namespace vitrine::cli {
namespace {

std::string remedy_for(const Denial& denial) {
  if (denial.rule == "limit:processes") return "--processes N allows more";
  if (denial.rule == "limit:threads") return "--threads N allows more";
  if (denial.rule == "limit:memory") return "--memory SIZE allows more";
  if (denial.rule == "network") return "no option allows the network";
  if (denial.rule.starts_with("--hide")) return "hidden by " + denial.rule;
  if (denial.target.empty() || denial.target.front() != '/') {
    // A relative name: the folder it was meant in is the working directory, nearly always.
    const bool file = denial.error == "ENOENT" || denial.error == "EACCES";
    if (file && !denial.target.empty() && denial.rule == "default") return "--ro . shows it";
    return denial.error == "EROFS" ? "--scratch FOLDER gives a folder to write in" : "";
  }
  if (denial.error == "EROFS") return "--scratch FOLDER gives a folder to write in";
  if (may_hold_secrets(denial.target)) return "it may hold secrets";
  if (denial.rule == "default") return "--ro " + denial.target + " shows it";
  return "";
}

}  // namespace

std::vector<std::string> hints_for(const Report& report) {
  std::vector<std::string> lines;
  for (const Denial& denial : report.denials) {
    if (lines.size() == kMostHints) break;
    if (denial.error == "ENOSYS") continue;  // libraries ask and do without
    std::string line = "refused: " + denial.syscall;
    if (!denial.target.empty()) line += " " + denial.target;
    if (!denial.error.empty()) line += " (" + denial.error + ")";
    if (const std::string remedy = remedy_for(denial); !remedy.empty()) line += "; " + remedy;
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace vitrine::cli
