#include "cli/options.h"

#include <algorithm>
#include <array>
#include <boost/program_options.hpp>
#include <climits>
#include <sstream>

#include "base/path.h"
#include "base/text.h"

namespace vitrine::cli {
namespace {

namespace po = boost::program_options;

constexpr std::uint64_t kDefaultScratchBytes = 64ULL << 20;

// Thrown while an option's value is read, caught by parse_run_options.
struct OptionError {
  std::string sentence;
};

// The option that is being read, as the user wrote it: "--wall 10x".
struct Given {
  std::string name;  // "wall"
  std::string value;

  std::string spelled() const { return "--" + name + " " + value; }
  [[noreturn]] void refuse(const std::string& sentence) const {
    throw OptionError{"--" + name + ": " + sentence};
  }
};

template <typename T>
T take(const Given& given, Result<T> result) {
  if (!result) given.refuse(result.error().message());
  return std::move(*result);
}

std::string guest_path(const Given& given, std::string_view path) {
  const std::string text(path);
  if (!path.starts_with('/')) given.refuse("\"" + text + "\" is not an absolute path");
  if (has_dot_dot(path)) given.refuse("\"" + text + "\" holds \"..\"");
  return tidy_path(path);
}

int descriptor(const Given& given, std::uint64_t least) {
  return static_cast<int>(take(given, parse_count(given.value, least, INT_MAX)));
}

// --- readers, one an option

void read_profile(RunOptions& options, const Given& given) {
  if (given.value.empty()) given.refuse("needs a name or a file");
  options.profiles.push_back(given.value);
}

void read_backend(RunOptions& options, const Given& given) {
  using supervisor::Backend;
  static constexpr std::array<std::pair<std::string_view, Backend>, 4> kBackends{
      {{"auto", Backend::kAuto},
       {"notify", Backend::kNotify},
       {"trace", Backend::kTrace},
       {"syscall", Backend::kSyscall}}};
  for (const auto& [name, backend] : kBackends) {
    if (name == given.value) {
      options.backend = backend;
      return;
    }
  }
  given.refuse("\"" + given.value + "\" is not one of auto, notify, trace, syscall");
}

void read_show(RunOptions& options, const Given& given) {
  // GUEST is absolute, so the last ":/" splits; a host path may hold a colon.
  ShowRule rule;
  const auto colon = given.value.rfind(":/");
  rule.host = given.value.substr(0, colon);
  if (colon != std::string::npos) rule.guest = guest_path(given, given.value.substr(colon + 1));
  if (rule.host.empty()) given.refuse("needs HOST or HOST:GUEST");
  options.files.push_back({std::move(rule), {given.spelled(), ""}});
}

void read_scratch(RunOptions& options, const Given& given) {
  const auto equals = given.value.rfind('=');
  ScratchRule rule{guest_path(given, given.value.substr(0, equals)), kDefaultScratchBytes};
  if (equals != std::string::npos) {
    rule.bytes = take(given, parse_size(given.value.substr(equals + 1)));
  }
  options.files.push_back({std::move(rule), {given.spelled(), ""}});
}

void read_hide(RunOptions& options, const Given& given) {
  HideRule rule{guest_path(given, given.value)};
  if (rule.guest == "/") given.refuse("\"/\" cannot be hidden");
  options.files.push_back({std::move(rule), {given.spelled(), ""}});
}

void read_collect(RunOptions& options, const Given& given) {
  const auto colon = given.value.find(':');
  if (colon == std::string::npos || colon + 1 == given.value.size()) {
    given.refuse("needs GUEST:HOST");
  }
  options.collect.push_back(
      {guest_path(given, given.value.substr(0, colon)), given.value.substr(colon + 1)});
}

void read_working_directory(RunOptions& options, const Given& given) {
  options.working_directory = guest_path(given, given.value);
}

void read_variable(RunOptions& options, const Given& given) {
  policy::EnvironmentRule rule;
  const auto equals = given.value.find('=');
  rule.name = given.value.substr(0, equals);
  if (rule.name.empty()) given.refuse("needs NAME or NAME=VALUE");
  if (rule.name.ends_with('*')) given.refuse("a variable is named in full");
  if (equals != std::string::npos) rule.value = given.value.substr(equals + 1);
  // The value may be a secret: only the name goes into reports.
  rule.origin = {"--env " + rule.name, ""};
  options.environment.push_back(std::move(rule));
}

void read_wall(RunOptions& options, const Given& given) {
  options.limits.wall = take(given, parse_duration_or_none(given.value));
}

void read_cpu(RunOptions& options, const Given& given) {
  options.limits.cpu = take(given, parse_duration_or_none(given.value));
}

void read_memory(RunOptions& options, const Given& given) {
  options.limits.memory_bytes = take(given, parse_size_or_none(given.value));
}

void read_output(RunOptions& options, const Given& given) {
  options.limits.output_bytes = take(given, parse_size_or_none(given.value));
}

void read_processes(RunOptions& options, const Given& given) {
  options.limits.processes = take(given, parse_count(given.value, 1, policy::kMostProcesses));
}

void read_threads(RunOptions& options, const Given& given) {
  options.limits.threads = take(given, parse_count(given.value, 1, policy::kMostThreads));
}

void read_cpus(RunOptions& options, const Given& given) {
  const auto count = take(given, parse_count(given.value, 1, policy::kMostCpus));
  options.limits.cpus = static_cast<unsigned>(count);
}

void read_on_deny(RunOptions& options, const Given& given) {
  if (given.value != "errno" && given.value != "kill") {
    given.refuse("\"" + given.value + "\" is not one of errno, kill");
  }
  options.on_deny = given.value == "kill" ? policy::OnDeny::kKill : policy::OnDeny::kErrno;
}

void read_pass_fd(RunOptions& options, const Given& given) {
  options.pass_fds.push_back(descriptor(given, 3));
}

void read_destination(std::optional<Destination>& destination, const Given& given) {
  if (destination && destination->option != "--" + given.name) {
    given.refuse("cannot be given together with " + destination->option);
  }
  if (given.value.empty()) given.refuse("needs a file's name");
  destination = Destination{"--" + given.name, given.value, -1};
}

void read_destination_fd(std::optional<Destination>& destination, const Given& given) {
  const int fd = descriptor(given, 0);
  read_destination(destination, given);
  destination->file.clear();
  destination->fd = fd;
}

void read_report(RunOptions& o, const Given& given) { read_destination(o.report, given); }
void read_report_fd(RunOptions& o, const Given& given) { read_destination_fd(o.report, given); }
void read_audit(RunOptions& o, const Given& given) { read_destination(o.audit, given); }
void read_audit_fd(RunOptions& o, const Given& given) { read_destination_fd(o.audit, given); }

void read_audit_level(RunOptions& options, const Given& given) {
  using audit::Level;
  if (given.value == "denied")
    options.audit_options.level = Level::kDenied;
  else if (given.value == "mediated")
    options.audit_options.level = Level::kMediated;
  else if (given.value == "all")
    options.audit_options.level = Level::kAll;
  else
    given.refuse("\"" + given.value + "\" is not one of denied, mediated, all");
}

void read_audit_limit(RunOptions& options, const Given& given) {
  options.audit_options.limit_bytes = take(given, parse_size(given.value));
}

void read_learned_file(RunOptions& options, const Given& given) {
  if (given.value.empty()) given.refuse("needs a file's name");
  options.learn->file = given.value;
}
void read_merge(RunOptions& options, const Given&) { options.learn->merge = true; }

void read_quiet(RunOptions& options, const Given&) { options.verbosity = Verbosity::kQuiet; }
void read_verbose(RunOptions& options, const Given&) { options.verbosity = Verbosity::kVerbose; }
void read_help(RunOptions& options, const Given&) { options.help = true; }
void read_version(RunOptions& options, const Given&) { options.version = true; }

// --- the options: one row each

struct OptionRow {
  const char* group;  // heading in --help
  const char* names;  // "profile,p", as Boost takes them
  const char* value;  // what its value is called; nullptr: it takes none
  void (*read)(RunOptions& options, const Given& given);
  const char* description;
};

constexpr const char* kLearning = "Learning (vitrine learn only)";

constexpr auto kOptions = std::to_array<OptionRow>({
    {"Policy", "profile,p", "NAME|FILE", read_profile,
     "profile to run under (default: python); may be given again, later ones extend earlier ones"},
    {"Policy", "on-deny", "errno|kill", read_on_deny,
     "a denied call fails with an errno (default), or ends the run"},
    {"Policy", "backend", "NAME", read_backend,
     "how calls are intercepted: auto (default), notify, trace or syscall"},
    {"Files", "ro", "HOST[:GUEST]", read_show,
     "show a host file or folder, read-only, at the same path or at GUEST; repeatable"},
    {"Files", "scratch", "GUEST[=SIZE]", read_scratch,
     "a writable in-memory folder (default: /tmp=64M); repeatable"},
    {"Files", "collect", "GUEST:HOST", read_collect,
     "after the run, copy what is at GUEST (in scratch) to HOST; repeatable"},
    {"Files", "hide", "GUEST", read_hide, "remove a path that a profile shows; repeatable"},
    {"Files", "cwd", "GUEST", read_working_directory,
     "working directory inside (default: the caller's path)"},
    {"Files", "env", "NAME[=VALUE]", read_variable,
     "set, or pass through, one variable; repeatable"},
    {"Files", "pass-fd", "N", read_pass_fd,
     "let the program inherit this open descriptor; repeatable"},
    {"Budgets of the whole process tree", "wall", "DUR", read_wall,
     "wall-clock time: 250ms, 10s, 2m, none (default: 60s)"},
    {"Budgets of the whole process tree", "cpu", "DUR", read_cpu, "CPU time (default: 30s)"},
    {"Budgets of the whole process tree", "memory", "SIZE", read_memory,
     "memory: 256M, 2G, none (default: 512M)"},
    {"Budgets of the whole process tree", "output", "SIZE", read_output,
     "bytes written to stdout plus stderr (default: 64M)"},
    {"Budgets of the whole process tree", "processes", "N", read_processes,
     "live processes (default: 1)"},
    {"Budgets of the whole process tree", "threads", "N", read_threads,
     "live threads (default: 64)"},
    {"Budgets of the whole process tree", "cpus", "N", read_cpus,
     "CPUs that the program sees and may use (default: all)"},
    {"Records", "report", "FILE", read_report, "write the JSON report at the end"},
    {"Records", "report-fd", "N", read_report_fd, "the same, to an open descriptor"},
    {"Records", "audit", "FILE", read_audit, "write the audit log"},
    {"Records", "audit-fd", "N", read_audit_fd, "the same, to an open descriptor"},
    {"Records", "audit-level", "LEVEL", read_audit_level,
     "denied; mediated (default): every supervised call; all: every single call with its result"},
    {"Records", "audit-limit", "SIZE", read_audit_limit,
     "stop logging events past this size (default: 1G)"},
    {kLearning, "out,o", "PROFILE", read_learned_file, "the profile to write"},
    {kLearning, "merge", nullptr, read_merge, "add to the profile that is there already"},
    {"Messages", "quiet,q", nullptr, read_quiet, "errors only"},
    {"Messages", "verbose,v", nullptr, read_verbose, "say more on stderr"},
    {"Messages", "help,h", nullptr, read_help, "this text"},
    {"Messages", "version", nullptr, read_version, "the version"},
});

po::options_description described_options() {
  po::options_description all;
  for (auto row = kOptions.begin(); row != kOptions.end();) {
    const std::string_view name = row->group;
    po::options_description group(row->group, 100, 64);
    for (; row != kOptions.end() && row->group == name; ++row) {
      if (row->value == nullptr) {
        group.add_options()(row->names, row->description);
      } else {
        group.add_options()(row->names, po::value<std::string>()->value_name(row->value),
                            row->description);
      }
    }
    all.add(group);
  }
  return all;
}

const OptionRow* find_row(std::string_view name) {
  for (const OptionRow& row : kOptions) {
    const std::string_view names = row.names;
    if (names.substr(0, names.find(',')) == name) return &row;
  }
  return nullptr;
}

bool takes_value(char letter) {
  for (const OptionRow& row : kOptions) {
    const std::string_view names = row.names;
    if (names.size() > 2 && names[names.size() - 2] == ',' && names.back() == letter) {
      return row.value != nullptr;
    }
  }
  return false;
}

// Whether the value of the option `word` is the next word.
bool needs_next_word(std::string_view word) {
  if (word.starts_with("--")) {
    const OptionRow* const row = find_row(word.substr(2));  // "--wall=10s" is no row's name
    return row != nullptr && row->value != nullptr;
  }
  for (std::size_t i = 1; i < word.size(); ++i) {
    if (takes_value(word[i])) return i + 1 == word.size();
  }
  return false;
}

// Options end at the first word that is not one: everything after it is the command's. Boost has no
// such mode, so it is given the options alone.
std::size_t end_of_options(const Arguments& arguments) {
  std::size_t i = 0;
  while (i < arguments.size()) {
    const std::string& word = arguments[i];
    if (word == "--" || word == "-" || !word.starts_with('-')) break;
    i += needs_next_word(word) ? 2 : 1;
  }
  return std::min(i, arguments.size());
}

void read_options(RunOptions& options, const Arguments& words) {
  const po::options_description described = described_options();
  const auto style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
  const auto parsed = po::command_line_parser(words).options(described).style(style).run();
  for (const po::option& option : parsed.options) {
    const OptionRow* const row = find_row(option.string_key);
    const Given given{option.string_key, option.value.empty() ? "" : option.value.front()};
    if (row == nullptr) continue;
    if (std::string_view(row->group) == kLearning && !options.learn)
      given.refuse("belongs to vitrine learn");
    row->read(options, given);
  }
}

Status check_together(const RunOptions& options) {
  for (const int fd : options.pass_fds) {
    const bool report = options.report && options.report->fd == fd;
    const bool audit = options.audit && options.audit->fd == fd;
    if (report || audit) {
      return fail_invalid("--pass-fd " + std::to_string(fd) + ": the program could write its own " +
                          (report ? "report" : "audit log"));
    }
  }
  return {};
}

Status check_learning(const RunOptions& options) {
  if (options.help || options.version) return {};
  if (options.learn->file.empty()) return fail_invalid("needs -o PROFILE");
  if (options.learn->merge && !options.profiles.empty()) {
    return fail_invalid(
        "--merge: the profile that is added to is the one to run under; leave out --profile");
  }
  return {};
}

// Boost puts what was written in the place of its own %words%, over and over: where they were
// written, it never ends.
std::string sentence_of(const po::error& error, const Arguments& words) {
  const auto* named = dynamic_cast<const po::error_with_option_name*>(&error);
  const bool endless = std::ranges::any_of(
      words, [](const std::string& word) { return word.find('%') != std::string::npos; });
  if (named == nullptr || !endless) return error.what();
  return "option '" + named->get_option_name() + "' is not understood";
}

Result<RunOptions> parse_options(const Arguments& arguments, RunOptions options) {
  const std::size_t end = end_of_options(arguments);
  const auto middle = arguments.begin() + static_cast<std::ptrdiff_t>(end);
  try {
    read_options(options, Arguments(arguments.begin(), middle));
  } catch (const OptionError& error) {
    return fail_invalid(error.sentence);
  } catch (const po::error& error) {
    return fail_invalid(sentence_of(error, Arguments(arguments.begin(), middle)));
  }
  options.command.assign(middle, arguments.end());
  if (!options.command.empty() && options.command.front() == "--") {
    options.command.erase(options.command.begin());
  }
  if (auto checked = check_together(options); !checked) {
    return tl::make_unexpected(checked.error());
  }
  if (options.command.empty() && !options.help && !options.version) {
    return fail_invalid("no command is given; see vitrine --help");
  }
  return options;
}

}  // namespace

Result<RunOptions> parse_run_options(const Arguments& arguments) {
  return parse_options(arguments, {});
}

Result<RunOptions> parse_learn_options(const Arguments& arguments) {
  RunOptions options;
  options.learn.emplace();
  auto parsed = parse_options(arguments, std::move(options));
  if (!parsed) return parsed;
  if (auto checked = check_learning(*parsed); !checked) {
    return tl::make_unexpected(checked.error());
  }
  return parsed;
}

std::string run_options_help() {
  std::ostringstream text;
  text << described_options();
  return text.str();
}

}  // namespace vitrine::cli
