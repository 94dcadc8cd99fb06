#include "cli/learn_command.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>

#include "base/path.h"
#include "base/text.h"
#include "cli/exit_status.h"
#include "cli/help.h"
#include "cli/learn_sink.h"
#include "cli/observing.h"
#include "cli/output_file.h"
#include "cli/prepare.h"
#include "cli/run_command.h"
#include "policy/coverage.h"
#include "policy/learned_writer.h"
#include "policy/profile_store.h"
#include "policy/secrets.h"

namespace vitrine::cli {
namespace {

constexpr const char* kLeastProfile = "base";
constexpr std::size_t kMostSaid = 20;  // of what is not granted; all of it with -v

int fail_with(const std::string& message) {
  say_error("learn: " + message);
  return kExitFailed;
}

// A profile that somebody may have worked on is not overwritten.
Status check_target(const LearnOptions& learn) {
  struct stat status {};
  const bool there = ::stat(learn.file.c_str(), &status) == 0 && status.st_size > 0;
  if (there && !S_ISREG(status.st_mode)) return fail_invalid(learn.file + ": not a regular file");
  if (there && !learn.merge) {
    return fail_invalid(learn.file + " is there already; --merge adds to it");
  }
  if (!there && learn.merge) return fail_invalid(learn.file + ": there is no profile to add to");
  return {};
}

// The profiles that the learned one extends. A file's name has to lead to it from another folder.
std::vector<std::string> extended(const RunOptions& options) {
  std::vector<std::string> names = options.profiles;
  for (std::string& name : names) {
    if (policy::names_a_file(name)) name = join_path(current_caller().working_directory, name);
  }
  return names;
}

class Learning {
 public:
  Learning(const RunOptions& options, NewFile target)
      : options_(options), target_(std::move(target)) {}

  void before(supervisor::RunRequest& request);
  int after(const Report& report);

 private:
  Result<std::string> document(const policy::LearnedFiles& files, const Report& report) const;
  std::vector<policy::LearnedFile> from_options() const;
  void say_rest(const policy::LearnedFiles& files, const Report& report) const;

  const RunOptions& options_;
  NewFile target_;
  policy::Observations seen_;
  policy::LearnSetting setting_;
  FileRules shown_;  // without the rules of watching
};

void Learning::before(supervisor::RunRequest& request) {
  request.audit = std::make_unique<LearnSink>(std::move(request.audit), seen_, shown_);
  setting_.working_directory = request.working_directory;
  setting_.script_folder = script_folder(request.policy.files());
  setting_.homes = policy::home_folders(current_caller().home());
  for (const FileRule& rule : request.policy.files()) {
    const std::string& name = rule.origin.rule;
    if (name != kHostRule && name != kScratchRule && name != kHiddenRule) shown_.push_back(rule);
  }
  setting_.shown = shown_;
}

// What the command line granted by itself.
std::vector<policy::LearnedFile> Learning::from_options() const {
  std::vector<policy::LearnedFile> files;
  for (const FileRule& rule : shown_) {
    if (rule.origin.rule.starts_with("--")) files.push_back({rule, "given as " + rule.origin.rule});
  }
  return files;
}

Result<std::string> Learning::document(const policy::LearnedFiles& files,
                                       const Report& report) const {
  policy::LearnedProfile learned;
  learned.description = "Learned from a run of " + std::string(name_in(options_.command.front()));
  learned.extends = extended(options_);
  learned.files = from_options();
  learned.files.insert(learned.files.end(), files.files.begin(), files.files.end());
  for (const policy::EnvironmentRule& rule : options_.environment) {
    if (!rule.value) learned.passed_variables.push_back(rule.name);
  }
  learned.limits = policy::learn_limits(report.usage, seen_.largest_mapping());
  learned.scratch_bytes = policy::learn_scratch(report.usage);
  policy::PolicyBuilder given;
  given.set_limits(policy::all_set(learned.limits));
  given.set_limits(options_.limits);
  learned.limits = std::move(given).build().limits();
  if (!options_.learn->merge) return policy::learned_document(learned);
  const auto existing = policy::profile_source(options_.learn->file);
  if (!existing) return tl::make_unexpected(existing.error());
  const auto profiles = policy::load_profiles({options_.learn->file});
  if (!profiles) return tl::make_unexpected(profiles.error());
  policy::PolicyBuilder builder;
  for (const policy::Profile& profile : *profiles) builder.extend(profile);
  return policy::merged_document(*existing, std::move(builder).build(), learned);
}

int Learning::after(const Report& report) {
  if (report.verdict == Verdict::kSetupError || report.verdict == Verdict::kInternalError) {
    return report.exit_status;
  }
  setting_.scratch_bytes = policy::learn_scratch(report.usage);
  if (options_.learn->merge) {
    const auto existing = policy::profile_source(options_.learn->file);
    if (existing) setting_.known = policy::shown_paths(*existing);
  }
  const policy::LearnedFiles files = policy::learn_files(seen_, setting_);
  const auto text = document(files, report);
  if (!text) return fail_with(text.error().message());
  if (auto written = target_.finish(*text); !written) return fail_with(written.error().message());
  say_rest(files, report);
  return report.exit_status;
}

void Learning::say_rest(const policy::LearnedFiles& files, const Report& report) const {
  const std::string& name = options_.learn->file;
  say("learned: " + name + ", " + std::to_string(files.files.size()) +
      (options_.learn->merge ? " new file rules" : " file rules") +
      "; run again with: vitrine -p " + (policy::names_a_file(name) ? name : "./" + name) +
      " COMMAND");
  std::size_t said = 0;
  for (const policy::NotGranted& kept : files.not_granted) {
    if (++said > kMostSaid && !says_details()) continue;
    say("not granted: " + kept.what + ": " + kept.reason);
  }
  if (said > kMostSaid && !says_details()) {
    say("and " + std::to_string(said - kMostSaid) + " more; -v names them");
  }
  for (const policy::EnvironmentRule& rule : options_.environment) {
    if (rule.value) say("not in the profile: " + rule.origin.rule + "=..., for it may be a secret");
  }
  if (options_.working_directory) say("not in the profile: --cwd");
  if (report.exit_code.value_or(1) != 0) {
    say("the command did not end with 0: what it did not come to is not in the profile");
  }
}

}  // namespace

int run_learn_command(const Arguments& arguments) {
  auto options = parse_learn_options(arguments);
  if (!options) return fail_with(options.error().message());
  if (options->help) return print_help();
  if (options->version) return print_version();
  set_verbosity(options->verbosity);
  if (auto checked = check_target(*options->learn); !checked) {
    return fail_with(checked.error().message());
  }
  if (options->learn->merge) options->profiles = {options->learn->file};
  if (options->profiles.empty()) options->profiles = {kLeastProfile};
  auto target = NewFile::create(options->learn->file);
  if (!target) return fail_with(target.error().message());
  Learning learning(*options, std::move(*target));
  const Around around{[&](supervisor::RunRequest& request) { learning.before(request); },
                      [&](const Report& report) { return learning.after(report); }};
  return supervise(*options, &around);
}

}  // namespace vitrine::cli
