#include "cli/run_command.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "audit/report_json.h"
#include "base/text.h"
#include "cli/exit_status.h"
#include "cli/help.h"
#include "cli/hints.h"
#include "cli/messages.h"
#include "cli/output_file.h"
#include "cli/prepare.h"
#include "core/report.h"
#include "policy/secrets.h"

namespace vitrine::cli {
namespace {

int fail_with(const Error& error, int status = kExitFailed) {
  say_error(error.message());
  return status;
}

int status_of(const PrepareError& error) {
  if (!error.command_failed) return kExitFailed;
  return error.error.code == ENOENT ? kExitNotFound : kExitNotExecutable;
}

Report report_of(const PrepareError& error, const RunOptions& options) {
  Report report;
  report.verdict = Verdict::kSetupError;
  report.exit_status = status_of(error);
  report.reason = error.error.message();
  report.profiles = options.profiles.empty() ? Arguments{kDefaultProfile} : options.profiles;
  report.command = options.command;
  return report;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) (text += text.empty() ? "" : " ") += word;
  return text;
}

void say_request(const supervisor::RunRequest& request) {
  if (!says_details()) return;
  say_detail("executes " + request.program + " as: " + joined(request.argv));
  say_detail("in " + request.working_directory + ", with " +
             std::to_string(request.policy.files().size()) + " file rules");
  for (const FileRule& rule : request.policy.files()) {
    const auto* shown = std::get_if<ShowRule>(&rule.what);
    if (shown != nullptr && rule.origin.location.empty()) {
      say_detail("shows " + shown->host + " (" + rule.origin.rule + ")");
    }
  }
}

void say_usage(const Report& report) {
  if (!says_details()) return;
  const Usage& usage = report.usage;
  say_detail("backend " + report.backend + ", " + std::to_string(report.mediated) +
             " calls supervised, " + std::to_string(report.denied) + " denied; wall " +
             format_duration(usage.wall) + ", CPU " +
             format_duration(usage.cpu_user + usage.cpu_system) + ", memory " +
             format_size(usage.memory_peak_bytes));
}

// Everything between the options and the report; `audit` is the opened log, if one is asked for.
Report prepare_and_run(const RunOptions& options, UniqueFd audit, const Around* around) {
  auto request = prepare_run(options, current_caller());
  if (!request) return report_of(request.error(), options);
  request->audit = audit ? audit::make_json_sink(std::move(audit), options.audit_options)
                         : audit::make_null_sink();
  if (around != nullptr) around->before(*request);
  say_request(*request);
  return supervisor::run(std::move(*request));
}

bool failed_to_run(Verdict verdict) {
  return verdict == Verdict::kSetupError || verdict == Verdict::kInternalError;
}

// For a person who watches: programs that read our stderr get the reason alone, and -q gets
// neither.
void say_hints(const Report& report, const RunOptions& options) {
  if (!says_details() && ::isatty(STDERR_FILENO) != 1) return;
  const CallerState caller = current_caller();
  const HintSetting setting{options.working_directory.value_or(caller.working_directory),
                            caller.working_directory, policy::home_folders(caller.home())};
  for (const std::string& line : hints_for(report, setting)) say(line);
}

void say_outcome(const Report& report) {
  if (!report.reason) return;
  if (failed_to_run(report.verdict)) return say_error(*report.reason);
  say(std::string(name_of(report.verdict)) + ": " + *report.reason);
}

Result<UniqueFd> open_if_given(const std::optional<Destination>& destination) {
  return destination ? open_destination(*destination) : Result<UniqueFd>(UniqueFd());
}

}  // namespace

int run_run_command(const Arguments& arguments) {
  const auto options = parse_run_options(arguments);
  if (!options) return fail_with(options.error());
  if (options->help) return print_help();
  if (options->version) return print_version();
  set_verbosity(options->verbosity);
  return supervise(*options);
}

int supervise(const RunOptions& options, const Around* around) {
  if (auto checked = check_descriptors(options); !checked) return fail_with(checked.error());
  const auto report_fd = open_if_given(options.report);
  if (!report_fd) return fail_with(report_fd.error());
  auto audit_fd = open_if_given(options.audit);
  if (!audit_fd) return fail_with(audit_fd.error());

  const Report report = prepare_and_run(options, std::move(*audit_fd), around);
  say_usage(report);
  if (around == nullptr) say_hints(report, options);
  say_outcome(report);
  if (*report_fd) {
    ::signal(SIGPIPE, SIG_IGN);  // a reader that went away is an error of ours, not our death
    const auto written = write_whole(report_fd->get(), audit::report_document(report));
    if (!written) {
      return fail_with({written.error().kind, written.error().code,
                        options.report->option + ": " + written.error().what});
    }
  }
  return around == nullptr ? report.exit_status : around->after(report);
}

}  // namespace vitrine::cli
