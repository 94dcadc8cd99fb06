#include "cli/help.h"

#include <string>

#include "cli/exit_status.h"
#include "cli/messages.h"
#include "cli/options.h"
#include "cli/standard_output.h"

namespace vitrine::cli {
namespace {

constexpr const char* kUsage = R"(vitrine runs an untrusted program, Python above all, behind glass.

  vitrine [OPTIONS] [--] COMMAND [ARG...]      run COMMAND (also: vitrine run ...)
  vitrine learn   [OPTIONS] -o PROFILE [--] COMMAND [ARG...]
                                               watch a trusted run, write the least profile
  vitrine log     show|summary|html|replay|verify LOG
                                               read an audit log
  vitrine profile list|show|check|explain      read, validate and question a profile
  vitrine doctor  [--json]                     what this host permits, and why not

Options end at the first word that is not one; the rest belongs to COMMAND.

)";

constexpr const char* kEpilogue = R"(
Sizes: 512, 64K, 256M, 2G. Durations: 250ms, 1.5s, 2m, 1h, none.

Exit status: the command's own; 128+S if signal S killed it; 120 policy violation; 121 output,
122 memory, 124 time budget; 125 vitrine failed; 126 not executable; 127 not found.

More: vitrine(1), vitrine-profile(5), vitrine-audit(5).
)";

int print(const std::string& text) {
  StandardOutput out;
  out.append(text);
  if (const auto finished = out.finish(); !finished) {
    say_error(finished.error().message());
    return kExitFailed;
  }
  return kExitOk;
}

}  // namespace

int print_help() { return print(kUsage + run_options_help() + kEpilogue); }

int print_version() { return print("vitrine " VITRINE_VERSION "\n"); }

}  // namespace vitrine::cli
