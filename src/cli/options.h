// The options of `vitrine run` (contract section 2), parsed and validated, before any of them is
// acted on.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "audit/sink.h"
#include "base/result.h"
#include "cli/messages.h"
#include "core/file_rules.h"
#include "policy/policy.h"
#include "policy/profile.h"
#include "supervisor/run.h"

namespace vitrine::cli {

using Arguments = std::vector<std::string>;

// Where a report or a log goes: a file to be made, or a descriptor of the caller's.
struct Destination {
  std::string option;  // "--report"
  std::string file;    // "" with a descriptor
  int fd = -1;
};

// `vitrine learn`.
struct LearnOptions {
  std::string file;    // the profile to be written
  bool merge = false;  // into the one that is there
};

struct RunOptions {
  std::vector<std::string> profiles;  // empty: the default
  supervisor::Backend backend = supervisor::Backend::kAuto;
  // --ro, --scratch and --hide in the order given. A ShowRule's host is as the user wrote it.
  FileRules files;
  std::vector<supervisor::CollectRequest> collect;
  std::optional<std::string> working_directory;  // guest path
  std::vector<policy::EnvironmentRule> environment;
  policy::LimitSettings limits;
  std::optional<policy::OnDeny> on_deny;
  std::vector<int> pass_fds;
  std::optional<Destination> report;
  std::optional<Destination> audit;
  audit::SinkOptions audit_options;
  Verbosity verbosity = Verbosity::kNormal;
  std::optional<LearnOptions> learn;
  Arguments command;  // empty with `help` or `version` only
  bool help = false;
  bool version = false;
};

// `arguments` without the program's name and without "run". Errors are kInvalid sentences that name
// the option.
Result<RunOptions> parse_run_options(const Arguments& arguments);
// The same with the options of `learn`; `learn` is set.
Result<RunOptions> parse_learn_options(const Arguments& arguments);

// The options' descriptions, for --help.
std::string run_options_help();

}  // namespace vitrine::cli
