#include "supervisor/run.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>

#include "base/feature.h"
#include "intercept/builtin_filters.h"
#include "intercept/filter.h"
#include "intercept/notify.h"
#include "intercept/patience.h"
#include "intercept/ptrace_backend.h"
#include "program/elf.h"
#include "supervisor/event_loop.h"
#include "supervisor/identity.h"
#include "supervisor/landlock.h"
#include "supervisor/signals.h"

namespace vitrine::supervisor {
namespace {

constexpr rlim_t kMostDescriptors = intercept::kBuiltinChannel;

// What a run is made of, in the order in which it is built.
struct Setup {
  UniqueFd signals;
  std::unique_ptr<vfs::FileSystem> files;
  vfs::DirectoryRef working_directory;
  UniqueFd program;
  std::string program_path;  // guest path, without links: what /proc/self/exe says
  LandlockRuleset landlock;
  std::unique_ptr<Stdio> stdio;
  std::unique_ptr<intercept::Interceptor> interceptor;
  int channel = -1;  // number of the descriptor channel in the command
};

vfs::Identity guest_identity() {
  const std::optional<uid_t> dropped = identity_to_drop_to();
  if (dropped) return {*dropped, *dropped};
  return {::getuid(), ::getgid()};
}

// Later code may count on descriptors above 2 being its own.
Status ensure_standard_descriptors() {
  for (int number = 0; number < 3; ++number) {
    if (::fcntl(number, F_GETFD) >= 0) continue;
    if (::open("/dev/null", O_RDWR) < 0) return fail_errno("/dev/null");
  }
  return {};
}

// Scratch files and folders in use hold a descriptor here each.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

// RLIMIT_NOFILE of the command. One number above it must be left for the descriptor channel; and as
// the kernel counts by user how many descriptors are on their way in messages, and refuses further
// ones above the sender's limit (net/core/scm.c), no command may bring other runs' supervisors to
// theirs. The last message passes the limit by what one holds.
rlim_t descriptor_limit() {
  constexpr rlim_t kOneMessage = 253;  // SCM_MAX_FD
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return kMostDescriptors;
  const rlim_t reserve = 1 + std::min(kOneMessage + 1, files.rlim_max / 4);
  return std::min<rlim_t>(files.rlim_max - reserve, kMostDescriptors);
}

// RLIMIT_SIGPENDING of the command: of signals that wait and timers, each some hundred bytes of the
// kernel's memory, which it counts by user. Other runs, and their supervisors' timers, need some.
rlim_t queue_limit() {
  constexpr rlim_t kMost = 16384;
  rlimit queue{};
  if (::getrlimit(RLIMIT_SIGPENDING, &queue) != 0) return 0;
  return std::min(queue.rlim_cur / 2, kMost);
}

std::vector<std::pair<int, rlimit>> launch_limits(const Limits& limits, const Setup& setup) {
  std::vector<std::pair<int, rlimit>> all{
      // 1 and not 0: a core_pattern that is a pipe ignores 0 but not 1 (fs/coredump.c).
      {RLIMIT_CORE, {1, 1}}, {RLIMIT_MEMLOCK, {0, 0}}, {RLIMIT_MSGQUEUE, {0, 0}},
      {RLIMIT_NICE, {0, 0}}, {RLIMIT_RTPRIO, {0, 0}},
  };
  all.emplace_back(RLIMIT_NOFILE, rlimit{descriptor_limit(), descriptor_limit()});
  all.emplace_back(RLIMIT_SIGPENDING, rlimit{queue_limit(), queue_limit()});
  // Soft only: the supervisor moves these two with what the tree holds.
  if (limits.memory_bytes)
    all.emplace_back(RLIMIT_DATA, rlimit{*limits.memory_bytes, RLIM_INFINITY});
  all.emplace_back(RLIMIT_FSIZE, rlimit{setup.files->file_size_limit(), RLIM_INFINITY});
  if (limits.cpu) {
    // Behind the supervisor's own account, should that ever fail.
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(*limits.cpu).count();
    const auto most = static_cast<rlim_t>(seconds + seconds / 50 + 5);
    all.emplace_back(RLIMIT_CPU, rlimit{most, most});
  }
  return all;
}

std::vector<std::string> environment_strings(const RunRequest& request) {
  std::vector<std::string> all;
  all.reserve(request.environment.size());
  for (const auto& [name, value] : request.environment) {
    std::string entry = name;
    entry += '=';
    entry += value;
    all.push_back(std::move(entry));
  }
  return all;
}

// By the last part of the path that execvp(3) would execute.
std::string name_of_command(const RunRequest& request) {
  const std::string& word = request.command.front();
  return word.substr(word.rfind('/') + 1);
}

tl::unexpected<Error> because(const std::string& what, const Error& error) {
  return tl::make_unexpected(Error{Error::Kind::kSystem, error.code, what});
}

// The program and its ELF interpreter: all that the command may ever execute natively. kInvalid for
// what is not the program's fault.
Status open_program(const RunRequest& request, Setup& setup) {
  const vfs::Caller nobody;
  Result<UniqueFd> program =
      setup.files->open_program(nobody, setup.files->root(), request.program);
  if (!program) return because(request.program, program.error());
  setup.program = std::move(*program);
  setup.program_path = setup.files->resolved_path();
  const std::string path = "/proc/self/fd/" + std::to_string(setup.program.get());
  std::vector<int> executables = setup.files->executable_mounts();
  UniqueFd loader;
  const Result<program::ElfNeeds> elf = program::read_elf(path, "/");
  if (!elf) return fail(ENOEXEC, request.program);
  if (!elf->loader.empty()) {
    Result<UniqueFd> opened = setup.files->open_program(nobody, setup.files->root(), elf->loader);
    if (!opened) return because(elf->loader, opened.error());
    loader = std::move(*opened);
    executables.push_back(loader.get());
  }
  Result<LandlockRuleset> ruleset = make_ruleset(executables);
  if (!ruleset) return fail_invalid(ruleset.error().message());
  setup.landlock = std::move(*ruleset);
  return {};
}

// Scratch is memory: what its quota allows beyond the memory budget could only end the run, and
// only after it was written. Cut to the budget, writing fails first.
FileRules within_memory(FileRules rules, const std::optional<std::uint64_t>& memory_bytes) {
  for (FileRule& rule : rules) {
    auto* scratch = std::get_if<ScratchRule>(&rule.what);
    if (scratch != nullptr && memory_bytes)
      scratch->bytes = std::min(scratch->bytes, *memory_bytes);
  }
  return rules;
}

// Descriptors, programs and memory of the command are looked at there.
Status require_proc() {
  if (::access("/proc/self/fd", X_OK) == 0) return {};
  return fail_invalid("no backend can enforce here: /proc/PID/fd: " +
                      std::string(std::strerror(errno)));
}

// What the supervisor holds already, and what serving takes: else calls of the command would fail
// for want of descriptors that are not its own.
Status require_descriptors() {
  constexpr rlim_t kForServing = 48;
  rlimit limit{};
  const UniqueFd lowest(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3));
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return fail_errno("getrlimit(RLIMIT_NOFILE)");
  const auto needed = static_cast<rlim_t>(lowest.get()) + kForServing;
  if (lowest && needed <= limit.rlim_cur) return {};
  return fail_invalid("RLIMIT_NOFILE: a hard limit of " + std::to_string(limit.rlim_max) +
                      " open files is too low" +
                      (lowest ? "; this run needs " + std::to_string(needed) : ""));
}

Status prepare(const RunRequest& request, Setup& setup) {
  if (Status status = ensure_standard_descriptors(); !status) return status;
  if (Status status = require_proc(); !status) return status;
  Result<UniqueFd> signals = take_signals();
  if (!signals) return tl::make_unexpected(signals.error());
  setup.signals = std::move(*signals);
  if (Status status = intercept::Patience::prepare(); !status) return status;
  raise_descriptor_limit();

  vfs::Options options;
  options.identity = guest_identity();
  options.use_openat2 = !is_taken_away(Feature::kOpenat2);
  Result<std::unique_ptr<vfs::FileSystem>> files = vfs::FileSystem::build(
      within_memory(request.policy.files(), request.policy.limits().memory_bytes), options);
  if (!files) return tl::make_unexpected(files.error());
  setup.files = std::move(*files);

  Result<vfs::DirectoryRef> folder =
      setup.files->open_directory(vfs::Caller{}, setup.files->root(), request.working_directory);
  if (!folder) return because("--cwd " + request.working_directory, folder.error());
  setup.working_directory = std::move(*folder);

  Result<std::unique_ptr<Stdio>> stdio = Stdio::create();
  if (!stdio) return tl::make_unexpected(stdio.error());
  setup.stdio = std::move(*stdio);
  return {};
}

LaunchPlan base_plan(const RunRequest& request, const Setup& setup) {
  LaunchPlan plan;
  plan.program = setup.program.get();
  plan.argv = request.argv;
  plan.environment = environment_strings(request);
  plan.stdio = setup.stdio->guest_ends();
  plan.terminal = setup.stdio->guest_terminal();
  plan.pass_fds = request.pass_fds;
  plan.drop_to = identity_to_drop_to();
  plan.share_identity = plan.drop_to && must_share_identity();
  plan.landlock_ruleset = setup.landlock.fd ? setup.landlock.fd.get() : -1;
  plan.limits = launch_limits(request.policy.limits(), setup);
  return plan;
}

using Restricted = std::function<bool(const arch::SyscallRow&)>;

Result<intercept::DescriptorChannel> add_channel(LaunchPlan& plan, Setup& setup) {
  const int lowest = static_cast<int>(descriptor_limit());
  Result<intercept::DescriptorChannel> channel = intercept::DescriptorChannel::create(lowest);
  if (!channel) return channel;
  plan.channel = channel->number();
  setup.channel = channel->number();
  return channel;
}

Status add_filter(LaunchPlan& plan, intercept::FilterAction action, const Restricted& restricted,
                  bool restricts) {
  if (!restricts && plan.channel == intercept::kBuiltinChannel) {
    const std::span<const sock_filter> builtin = intercept::builtin_filter(action);
    plan.filter.assign(builtin.begin(), builtin.end());
    if (!plan.filter.empty()) return {};
  }
  Result<std::vector<sock_filter>> filter =
      intercept::compile_filter({action, restricted, plan.channel});
  if (!filter) return tl::make_unexpected(filter.error());
  plan.filter = std::move(*filter);
  return {};
}

Result<Launched> start_notify(LaunchPlan plan, const Restricted& restricted, bool restricts,
                              Setup& setup) {
  Result<intercept::DescriptorChannel> channel = add_channel(plan, setup);
  if (!channel) return tl::make_unexpected(channel.error());
  if (Status added = add_filter(plan, intercept::FilterAction::kNotify, restricted, restricts);
      !added) {
    return tl::make_unexpected(added.error());
  }
  plan.listener = true;
  Result<Launched> launched = launch(plan);
  if (!launched) return launched;
  Result<std::unique_ptr<intercept::NotifyInterceptor>> interceptor =
      intercept::NotifyInterceptor::create(std::move(launched->listener), std::move(*channel));
  if (!interceptor) {
    abandon(launched->pid);
    return tl::make_unexpected(interceptor.error());
  }
  setup.interceptor = std::move(*interceptor);
  return launched;
}

Result<Launched> start_ptrace(LaunchPlan plan, intercept::PtraceBackend::Mode mode,
                              const Restricted& restricted, bool restricts, Setup& setup) {
  Result<intercept::DescriptorChannel> channel = add_channel(plan, setup);
  if (!channel) return tl::make_unexpected(channel.error());
  if (mode == intercept::PtraceBackend::Mode::kSyscall) {
    plan.stop_every_call = true;
  } else if (Status added =
                 add_filter(plan, intercept::FilterAction::kTrace, restricted, restricts);
             !added) {
    return tl::make_unexpected(added.error());
  }
  Result<Launched> launched = launch(plan);
  if (!launched) return launched;
  setup.interceptor =
      std::make_unique<intercept::PtraceBackend>(mode, std::move(*channel), restricted);
  return launched;
}

Result<Launched> start_backend(Backend backend, const RunRequest& request, Setup& setup) {
  const policy::Policy& policy = request.policy;
  const Restricted restricted = [&policy](const arch::SyscallRow& row) {
    return policy.call_rule(row.name) != nullptr;
  };
  const bool restricts = !policy.call_rules().empty();
  resign_identity();  // assumed for a backend that did not start
  LaunchPlan plan = base_plan(request, setup);
  switch (backend) {
    case Backend::kNotify:
      return start_notify(std::move(plan), restricted, restricts, setup);
    case Backend::kTrace:
      return start_ptrace(std::move(plan), intercept::PtraceBackend::Mode::kTrace, restricted,
                          restricts, setup);
    default:
      return start_ptrace(std::move(plan), intercept::PtraceBackend::Mode::kSyscall, restricted,
                          restricts, setup);
  }
}

// `auto` takes the first backend that this place lets start; what stopped each is reported when
// none does. Trying costs nothing where the first works.
Result<Launched> start(const RunRequest& request, Setup& setup) {
  if (Status enough = require_descriptors(); !enough) return tl::make_unexpected(enough.error());
  // Only stops at every call see the calls that a filter lets through, and their results.
  if (request.audit->level() == audit::Level::kAll) {
    if (request.backend != Backend::kAuto && request.backend != Backend::kSyscall) {
      return fail_invalid("--audit-level all needs the backend syscall");
    }
    return start_backend(Backend::kSyscall, request, setup);
  }
  if (request.backend != Backend::kAuto) return start_backend(request.backend, request, setup);
  std::string failures;
  for (const Backend backend : {Backend::kNotify, Backend::kTrace, Backend::kSyscall}) {
    Result<Launched> launched = start_backend(backend, request, setup);
    if (launched) return launched;
    constexpr const char* kNames[] = {"auto", "notify", "trace", "syscall"};
    if (!failures.empty()) failures += "; ";
    failures += std::string(kNames[static_cast<int>(backend)]) + ": " + launched.error().message();
  }
  return fail_invalid("no backend can enforce here: " + failures + " (see vitrine doctor)");
}

std::string utc_now() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  std::tm parts{};
  ::gmtime_r(&now.tv_sec, &parts);
  char text[48];
  const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text + length, sizeof text - length, ".%03ldZ", now.tv_nsec / 1'000'000);
  return text;
}

const char* word_for(audit::Level level) {
  switch (level) {
    case audit::Level::kDenied:
      return "denied";
    case audit::Level::kMediated:
      return "mediated";
    case audit::Level::kAll:
      break;
  }
  return "all";
}

void write_start(const RunRequest& request, const Setup& setup) {
  audit::StartRecord record;
  record.version = VITRINE_VERSION;
  record.argv = request.command;
  for (const policy::ProfileIdentity& profile : request.policy.profiles()) {
    record.profiles.emplace_back(profile.name, profile.sha256);
  }
  if (setup.interceptor) record.backend = setup.interceptor->capabilities().name;
  record.level = word_for(request.audit->level());
  utsname host{};
  if (::uname(&host) == 0) record.kernel = host.release;
  record.limits = request.policy.limits();
  if (setup.files) record.scratch_bytes = setup.files->scratch_quota();
  record.utc = utc_now();
  request.audit->write(record);
}

int exit_status(const Ending& ending) {
  switch (ending.verdict) {
    case Verdict::kExited:
      return ending.exit_code.value_or(0);
    case Verdict::kSignaled:
      return 128 + ending.signal.value_or(0);
    case Verdict::kWallLimit:
    case Verdict::kCpuLimit:
      return 124;
    case Verdict::kMemoryLimit:
      return 122;
    case Verdict::kOutputLimit:
      return 121;
    case Verdict::kViolation:
      return 120;
    case Verdict::kSetupError:
    case Verdict::kInternalError:
      break;
  }
  return 125;
}

Report blank_report(const RunRequest& request) {
  Report report;
  report.profiles = request.profiles;
  report.command = request.command;
  report.limits = request.policy.limits();
  return report;
}

void set_failed(Report& report, const Error& error, int exit_status = 125) {
  report.verdict = Verdict::kSetupError;
  report.reason = error.message();
  report.exit_status = exit_status;
}

// 127 where the command is not there, 126 where it is and cannot be executed (env(1), timeout(1)).
int status_for_program(const Error& error) {
  if (error.kind == Error::Kind::kInvalid) return 125;
  return error.code == ENOENT || error.code == ENOTDIR ? 127 : 126;
}

void collect(const RunRequest& request, Setup& setup, Report& report) {
  for (const CollectRequest& item : request.collect) {
    const Status done =
        setup.files->collect(item.guest, item.host, setup.files->scratch_quota() + (1U << 20));
    if (done || report.reason) continue;
    report.reason = "--collect " + item.guest + ": " + done.error().message();
  }
}

// The last lines are written now: what was lost of the log is said here or nowhere. The log's own
// report cannot say it any more.
void finish_audit(const RunRequest& request, Report& report) {
  const Status finished = request.audit->finish(report);
  if (finished || report.verdict == Verdict::kInternalError) return;
  const std::string sentence = "the audit log: " + finished.error().message();
  report.reason = report.reason ? *report.reason + "; " + sentence : sentence;
  if (request.policy.on_audit_failure() != policy::AuditFailure::kEndRun) return;
  report.verdict = Verdict::kInternalError;
  report.exit_status = 125;
}

void fill(Report& report, const Ending& ending, const Setup& setup, const Tally& tally) {
  report.verdict = ending.verdict;
  if (ending.verdict != Verdict::kSetupError) {
    report.exit_code = ending.exit_code;
    report.signal = ending.signal;
  }
  report.reason = ending.reason;
  if (ending.launch_failure) {
    report.reason = std::string(ending.launch_failure->step) + ": " +
                    fail(ending.launch_failure->error, "").value().message().substr(2);
  }
  report.exit_status = exit_status(ending);
  if (ending.launch_failure && std::string_view(ending.launch_failure->step) == "execveat") {
    report.exit_status = 126;
  }
  report.usage = ending.usage;
  report.total = ending.calls;
  report.scratch_bytes = setup.files->scratch_quota();
  tally.fill(report);
}

}  // namespace

Report run(RunRequest request) {
  Report report = blank_report(request);
  Setup setup;
  if (Status prepared = prepare(request, setup); !prepared) {
    set_failed(report, prepared.error());
    (void)request.audit->finish(report);
    return report;
  }
  report.scratch_bytes = setup.files->scratch_quota();
  if (Status opened = open_program(request, setup); !opened) {
    setup.stdio->restore_terminal();
    set_failed(report, opened.error(), status_for_program(opened.error()));
    (void)request.audit->finish(report);
    return report;
  }
  Result<Launched> launched = start(request, setup);
  if (!launched) {
    setup.stdio->restore_terminal();
    set_failed(report, launched.error());
    (void)request.audit->finish(report);
    return report;
  }
  report.backend = setup.interceptor->capabilities().name;
  write_start(request, setup);
  request.audit->start();

  Tally tally;
  Placement placement(request.policy.limits().cpus.value_or(0));
  placement.begin(launched->pid);
  EventLoop loop(
      {request.policy, *setup.interceptor, *setup.files, *request.audit, tally, placement,
       *setup.stdio, setup.signals.get(), setup.program.get(), setup.program_path,
       name_of_command(request), setup.channel, request.measure_data},
      std::move(*launched), setup.working_directory);
  const Ending ending = loop.run();
  fill(report, ending, setup, tally);
  resign_identity();
  collect(request, setup, report);
  finish_audit(request, report);
  return report;
}

}  // namespace vitrine::supervisor
