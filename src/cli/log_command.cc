#include "cli/log_command.h"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "audit/escape.h"
#include "audit/log_filter.h"
#include "audit/log_html.h"
#include "audit/log_show.h"
#include "audit/log_summary.h"
#include "audit/log_verify.h"
#include "base/text.h"
#include "cli/exit_status.h"
#include "cli/log_input.h"
#include "cli/log_options.h"
#include "cli/log_replay.h"
#include "cli/output_file.h"
#include "cli/progress.h"
#include "cli/standard_output.h"
#include "core/decision.h"
#include "policy/builder.h"
#include "policy/profile_store.h"

namespace vitrine::cli {
namespace {

constexpr const char* kUsage =
    "usage: vitrine log show LOG [--denied] [--syscall NAME]... [--path GLOB] [--pid N]\n"
    "                            [--decision allow|serve|deny|kill] [--since DUR] [--until DUR]\n"
    "       vitrine log summary LOG [--json]\n"
    "       vitrine log html LOG -o FILE        (- for standard output)\n"
    "       vitrine log replay LOG --profile PROFILE\n"
    "       vitrine log verify LOG\n"
    "LOG may be - for standard input. See vitrine-audit(5).\n";

bool wants_colours() {
  const char* no_color = std::getenv("NO_COLOR");  // no-color.org: present and not empty
  return ::isatty(STDOUT_FILENO) == 1 && (no_color == nullptr || *no_color == '\0');
}

// --since, --until.
Status read_moment(const LogArguments& arguments, std::string_view name,
                   std::optional<Nanoseconds>& moment) {
  const std::optional<std::string> text = arguments.last(name);
  if (!text) return {};
  const Result<Nanoseconds> parsed = parse_duration(*text);
  if (!parsed) return fail_invalid(std::string(name) + ": " + parsed.error().message());
  moment = *parsed;
  return {};
}

Status check_decision(const std::optional<std::string>& decision) {
  constexpr std::array kDecisions = {Action::kAllow, Action::kServe, Action::kDeny, Action::kKill};
  if (!decision) return {};
  for (const Action action : kDecisions) {
    if (*decision == name_of(action)) return {};
  }
  return fail_invalid("--decision: must be allow, serve, deny or kill");
}

Result<audit::LogFilter> read_filter(const LogArguments& arguments) {
  audit::LogFilter filter;
  filter.denied = arguments.has("--denied");
  filter.syscalls = arguments.all("--syscall");
  filter.path = arguments.last("--path");
  filter.decision = arguments.last("--decision");
  if (const auto pid = arguments.last("--pid")) {
    const Result<std::uint64_t> number = parse_count(*pid, 1, INT64_MAX);
    if (!number) return fail_invalid("--pid: " + number.error().message());
    filter.pid = *number;
  }
  Status status = check_decision(filter.decision);
  if (status) status = read_moment(arguments, "--since", filter.since);
  if (status) status = read_moment(arguments, "--until", filter.until);
  if (!status) return tl::make_unexpected(status.error());
  return filter;
}

int finish(StandardOutput& output, int status) {
  const Status written = output.finish();
  return written ? status : log_failure(written.error().message());
}

int show(const LogArguments& arguments) {
  const Result<audit::LogFilter> filter = read_filter(arguments);
  if (!filter) return log_failure(filter.error().message());
  const bool colours = wants_colours();
  StandardOutput output;
  const auto print = [&](const audit::LogLine& line) {
    if (filter->matches(line)) {
      output.append(audit::readable_line(line, colours));
      output.append("\n");
    }
    return !output.is_over();
  };
  return finish(output, for_each_line(arguments.operands[0], print, true));
}

std::string sentences_of(const audit::Verification& result, const std::string& log) {
  const std::string name = audit::escape(log) + ": ";
  std::string text;
  for (const std::string& problem : result.problems) text += name + problem + "\n";
  if (!text.empty()) return text;
  text = name + "intact, " + std::to_string(result.lines) + " lines, sha256 " + result.sha256;
  if (result.events_left_out > 0) {
    text += ", " + std::to_string(result.events_left_out) + " events left out by vitrine itself";
  }
  return text + "\n";
}

int verify(const LogArguments& arguments) {
  const std::string& log = arguments.operands[0];
  Result<UniqueFd> fd = open_log(log);
  if (!fd) return log_failure(fd.error().message());
  std::optional<Progress> progress;
  progress.emplace(log, size_of(*fd), false);
  const Result<audit::Verification> result =
      audit::verify_log(std::move(*fd), [&](std::uint64_t bytes) { progress->at(bytes); });
  progress.reset();
  if (!result) return log_failure(log + ": " + result.error().message());
  StandardOutput output;
  output.append(sentences_of(*result, log));
  return finish(output, result->problems.empty() ? kExitOk : kExitDiffers);
}

int summary(const LogArguments& arguments) {
  audit::LogSummary summary;
  const int status = for_each_line(arguments.operands[0], [&](const audit::LogLine& line) {
    summary.add(line);
    return true;
  });
  if (status == kExitFailed) return status;
  StandardOutput output;
  if (arguments.has("--json")) {
    output.append(audit::summary_json(summary).dump(-1, ' ', true));  // ASCII: it may be a terminal
    output.append("\n");
  } else {
    output.append(audit::summary_text(summary));
  }
  return finish(output, status);
}

int html(const LogArguments& arguments) {
  const std::optional<std::string> file = arguments.last("-o");
  if (!file) return log_failure("html needs -o FILE");
  audit::HtmlPage html;
  const std::string& log = arguments.operands[0];
  const int status = for_each_line(log, [&](const audit::LogLine& line) {
    html.add(line);
    return true;
  });
  if (status == kExitFailed) return status;
  const std::string page = html.render("Audit log " + log);
  if (*file == "-") {
    StandardOutput output;
    output.append(page);
    return finish(output, status);
  }
  auto target = NewFile::create(*file);
  if (!target) return log_failure(target.error().message());
  const Status written = target->finish(page);
  return written ? status : log_failure(written.error().message());
}

int replay(const LogArguments& arguments) {
  const std::vector<std::string> names = arguments.all("--profile");
  if (names.empty()) return log_failure("replay needs --profile PROFILE");
  const Result<std::vector<policy::Profile>> profiles = policy::load_profiles(names);
  if (!profiles) return log_failure(profiles.error().message());
  policy::PolicyBuilder builder;
  for (const policy::Profile& profile : *profiles) builder.extend(profile);
  Replay comparison(std::move(builder).build());
  const int status = for_each_line(arguments.operands[0], [&](const audit::LogLine& line) {
    comparison.add(line);
    return true;
  });
  if (status == kExitFailed) return status;
  StandardOutput output;
  output.append(comparison.text());
  return finish(output, comparison.different() > 0 ? kExitDiffers : status);
}

struct LogCommand {
  std::string_view name;
  std::vector<LogOption> options;
  int (*run)(const LogArguments& arguments);
};

const std::vector<LogCommand>& commands() {
  static const std::vector<LogCommand> all = {
      {"show",
       {{"--denied"},
        {"--syscall", true},
        {"--path", true},
        {"--pid", true},
        {"--decision", true},
        {"--since", true},
        {"--until", true}},
       show},
      {"summary", {{"--json"}}, summary},
      {"html", {{"-o", true}}, html},
      {"replay", {{"--profile", true}}, replay},
      {"verify", {}, verify},
  };
  return all;
}

int run_command(const LogCommand& command, const std::vector<std::string>& words) {
  const Result<LogArguments> arguments = parse_log_arguments(words, command.options);
  if (!arguments) return log_failure(arguments.error().message());
  if (arguments->operands.size() != 1) {
    return log_failure(std::string(command.name) + " needs one LOG (- for standard input)");
  }
  return command.run(*arguments);
}

}  // namespace

int run_log_command(const std::vector<std::string>& arguments) {
  const std::string name = arguments.empty() ? "" : arguments[0];
  if (name == "--help" || name == "-h") {
    std::fputs(kUsage, stdout);
    return 0;
  }
  for (const LogCommand& command : commands()) {
    if (command.name == name) {
      return run_command(command, {arguments.begin() + 1, arguments.end()});
    }
  }
  log_failure(name.empty() ? "a command is needed" : "no such command: " + name);
  std::fputs(kUsage, stderr);
  return kExitFailed;
}

}  // namespace vitrine::cli
