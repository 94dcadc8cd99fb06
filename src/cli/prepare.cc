#include "cli/prepare.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <memory>

#include "base/path.h"
#include "cli/observing.h"
#include "policy/builder.h"
#include "policy/coverage.h"
#include "policy/environment.h"
#include "policy/profile_store.h"
#include "policy/secrets.h"
#include "program/find.h"

namespace vitrine::cli {
namespace {

using policy::PolicyBuilder;

template <typename T>
const T* rule_as(const FileRule& rule) {
  return std::get_if<T>(&rule.what);
}

Status add_profiles(PolicyBuilder& builder, const RunOptions& options) {
  const auto names = options.profiles.empty() ? Arguments{kDefaultProfile} : options.profiles;
  const auto profiles = policy::load_profiles(names);
  if (!profiles) {
    return fail_invalid("--profile: " + profiles.error().message());
  }
  for (const policy::Profile& profile : *profiles) builder.extend(profile);
  return {};
}

// `--ro` as given: HOST is relative to the working directory, must exist, and is shown where it is
// unless GUEST says otherwise.
Result<FileRule> completed(const FileRule& rule, const CallerState& caller) {
  const auto* given = rule_as<ShowRule>(rule);
  if (given == nullptr) return rule;
  ShowRule shown = *given;
  shown.host = join_path(caller.working_directory, given->host);
  if (::access(shown.host.c_str(), F_OK) != 0) return fail_errno(rule.origin.rule);
  if (shown.guest.empty() && has_dot_dot(shown.host)) {
    const std::unique_ptr<char, decltype(&::free)> real(::realpath(shown.host.c_str(), nullptr),
                                                        &::free);
    if (real == nullptr) return fail_errno(rule.origin.rule);
    shown.host = real.get();
  }
  return FileRule{shown, rule.origin};
}

Result<FileRules> completed_files(const RunOptions& options, const CallerState& caller) {
  FileRules files;
  for (const FileRule& rule : options.files) {
    auto file = completed(rule, caller);
    if (!file) return tl::make_unexpected(file.error());
    files.push_back(std::move(*file));
  }
  return files;
}

Result<program::ProgramPlan> find_command(const RunOptions& options, const FileRules& files,
                                          const CallerState& state) {
  program::Caller caller;
  caller.working_directory = state.working_directory;
  caller.variable = [](std::string_view name) -> std::optional<std::string> {
    const char* const value = ::getenv(std::string(name).c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
  for (const FileRule& rule : files) {
    const auto* shown = rule_as<ShowRule>(rule);
    if (shown != nullptr && !shown->guest.empty()) {
      caller.mappings.push_back({shown->guest, shown->host});
    }
  }
  return program::find_program(options.command, caller);
}

// A folder that has to exist inside; what is shown there already stays.
void ensure_folder(PolicyBuilder& builder, const std::string& guest, const Origin& origin) {
  const auto covering = policy::covering_rule(builder.files(), guest);
  if (covering == nullptr) return builder.add_file_below({FolderRule{guest}, origin});
  // What a folder shown empty or a scratch folder has below it, a rule of its own has to make.
  const auto* scratch = rule_as<ScratchRule>(*covering);
  const auto* folder = rule_as<FolderRule>(*covering);
  if ((scratch != nullptr && scratch->guest != guest) ||
      (folder != nullptr && folder->guest != guest)) {
    builder.add_file({FolderRule{guest}, origin});
  }
}

// Profiles are there already. The order: what options show, the program, what options hide; so that
// a script in a scratch folder is seen, and nothing that is hidden is.
void add_files(PolicyBuilder& builder, const FileRules& options, const program::ProgramPlan& plan) {
  for (const FileRule& rule : options) {
    if (rule_as<HideRule>(rule) == nullptr) builder.add_file(rule);
  }
  for (const FileRule& rule : plan.files) {
    if (const auto* folder = rule_as<FolderRule>(rule)) {
      ensure_folder(builder, folder->guest, rule.origin);
    } else {
      builder.add_file(rule);
    }
  }
  for (const FileRule& rule : options) {
    if (rule_as<HideRule>(rule) != nullptr) builder.add_file(rule);
  }
}

void observe(PolicyBuilder& builder, const CallerState& caller, const program::ProgramPlan& plan) {
  std::vector<std::string> own{caller.working_directory};
  if (const std::string folder = script_folder(plan.files); !folder.empty()) own.push_back(folder);
  add_observing_rules(builder, own, policy::home_folders(caller.home()));
}

bool lists_folder(std::string_view path, std::string_view folder) {
  return (":" + std::string(path) + ":").find(":" + std::string(folder) + ":") != std::string::npos;
}

// argv[0] must lead to the program inside as it did outside (sys.executable depends on it). A PATH
// that the user gave stays as it is.
void lead_to_program(policy::Environment& environment, const RunOptions& options,
                     const std::string& folder) {
  const auto is_path = [](const auto& variable) { return variable.name == "PATH"; };
  if (folder.empty() ||
      std::any_of(options.environment.begin(), options.environment.end(), is_path)) {
    return;
  }
  for (auto& [name, value] : environment) {
    if (name == "PATH" && !lists_folder(value, folder)) value = folder + ":" + value;
  }
}

Status check_collect(const RunOptions& options, const CallerState& caller,
                     std::vector<supervisor::CollectRequest>& collect) {
  for (const auto& request : options.collect) {
    const std::string host = join_path(caller.working_directory, request.host);
    const std::string folder(parent_of(host));
    struct stat status {};
    const std::string option = "--collect " + request.guest + ":" + request.host;
    if (::stat(folder.c_str(), &status) != 0) return fail_errno(option + ": " + folder);
    if (!S_ISDIR(status.st_mode)) return fail(ENOTDIR, option + ": " + folder);
    collect.push_back({request.guest, host});
  }
  return {};
}

auto failed(const Error& error, bool command_failed = false) {
  return tl::make_unexpected(PrepareError{error, command_failed});
}

}  // namespace

std::string CallerState::home() const {
  constexpr std::string_view kName = "HOME=";
  for (const char* const* entry = environment; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view variable = *entry;
    if (variable.starts_with(kName)) return std::string(variable.substr(kName.size()));
  }
  return {};
}

std::string script_folder(const FileRules& files) {
  for (const FileRule& rule : files) {
    const auto* shown = rule_as<ShowRule>(rule);
    if (shown != nullptr && rule.origin.rule == "script")
      return std::string(parent_of(shown->host));
  }
  return {};
}

CallerState current_caller() {
  CallerState caller;
  const std::unique_ptr<char, decltype(&::free)> folder(::getcwd(nullptr, 0), &::free);
  // getcwd(3): "(unreachable)..." for a folder outside the root; none for a removed one.
  caller.working_directory =
      folder != nullptr && folder.get()[0] == '/' ? tidy_path(folder.get()) : "/";
  caller.environment = environ;
  return caller;
}

tl::expected<supervisor::RunRequest, PrepareError> prepare_run(const RunOptions& options,
                                                               const CallerState& caller) {
  PolicyBuilder builder;
  supervisor::RunRequest request;
  if (auto added = add_profiles(builder, options); !added) return failed(added.error());
  if (auto checked = check_collect(options, caller, request.collect); !checked) {
    return failed(checked.error());
  }
  const auto files = completed_files(options, caller);
  if (!files) return failed(files.error());
  auto plan = find_command(options, *files, caller);
  if (!plan) return failed(plan.error(), true);

  if (options.learn) observe(builder, caller, *plan);
  add_files(builder, *files, *plan);
  request.working_directory = options.working_directory.value_or(caller.working_directory);
  ensure_folder(builder, request.working_directory, {"working directory", ""});
  for (const auto& rule : options.environment) builder.set_environment(rule);
  builder.set_limits(options.limits);
  if (options.on_deny) builder.set_on_deny(*options.on_deny);

  request.policy = std::move(builder).build();
  request.environment =
      policy::resolve_environment(request.policy.environment(), caller.environment);
  lead_to_program(request.environment, options, plan->path_folder);
  request.program = std::move(plan->program);
  request.argv = std::move(plan->argv);
  request.command = options.command;
  request.profiles = options.profiles.empty() ? Arguments{kDefaultProfile} : options.profiles;
  request.backend = options.backend;
  request.pass_fds = options.pass_fds;
  request.measure_data = options.learn.has_value();
  return request;
}

}  // namespace vitrine::cli
