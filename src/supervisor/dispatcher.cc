#include "supervisor/dispatcher.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "arch/flag_names.h"
#include "intercept/native_rules.h"
#include "tracee/proc_status.h"
#include "tracee/remote_memory.h"

namespace vitrine::supervisor {
namespace {

using syscalls::Answer;

std::string unknown_name(const DecodedCall& call) {
  const char* prefix = call.foreign_abi ? "foreign_" : "syscall_";
  return prefix + std::to_string(call.event.number);
}

audit::ArgumentValue shown(const arch::Argument& argument, std::uint64_t value,
                           const std::optional<StringArgument>& text) {
  if (text && text->error == 0) return audit::Bytes{text->bytes};
  if (arch::is_text(argument.kind)) return value;  // a string would be taken for the program's
  if (arch::is_symbolic(argument.kind)) return audit::Symbol{arch::symbolic(argument.kind, value)};
  switch (argument.kind) {
    case arch::kSize:
      return value;
    case arch::kLong:
      return static_cast<std::int64_t>(value);
    case arch::kUnsigned:
      return static_cast<std::uint64_t>(static_cast<std::uint32_t>(value));
    default:
      return static_cast<std::int64_t>(static_cast<std::int32_t>(value));
  }
}

std::vector<audit::Argument> arguments_of(const DecodedCall& call) {
  std::vector<audit::Argument> all;
  if (call.row == nullptr) return all;
  for (std::size_t i = 0; i < call.row->arguments.size(); ++i) {
    const arch::Argument& argument = call.row->arguments[i];
    if (argument.kind == arch::kNone) break;
    all.emplace_back(argument.name, shown(argument, call.event.arguments[i], call.strings[i]));
  }
  return all;
}

}  // namespace

std::string target_of(const DecodedCall& call) {
  for (const auto& text : call.strings) {
    if (text && text->error == 0) return text->bytes;
  }
  if (call.row == nullptr) return {};
  for (std::size_t i = 0; i < call.row->arguments.size(); ++i) {
    switch (call.row->arguments[i].kind) {
      case arch::kSocketDomain:
      case arch::kCloneFlags:
      case arch::kPrctl:
      case arch::kIoctl:
      case arch::kFcntl:
        return arch::symbolic(call.row->arguments[i].kind, call.event.arguments[i]);
      case arch::kPid:
        return std::to_string(static_cast<int>(call.event.arguments[i]));
      default:
        break;
    }
  }
  return {};
}

Dispatcher::Dispatcher(const Parts& parts, vfs::DirectoryRef working_directory)
    : parts_(parts), first_working_directory_(std::move(working_directory)) {
  if (!parts_.audit.wants_lookups()) return;
  parts_.files.watch([this](Sighting seen) { sightings_.push_back(std::move(seen)); });
}

void Dispatcher::task_started(const tracee::Task& task) {
  (void)fs_of(task);
  if (task.tid != task.tgid || programs_.contains(task.tgid)) return;
  if (const auto parent = programs_.find(task.parent); parent != programs_.end()) {
    programs_[task.tgid] = std::string(parent->second);
  }
}

void Dispatcher::task_ended(const tracee::Task& task) {
  forget_wait(task);
  fs_.erase(task.tid);
  expected_.erase(task.tid);
  if (task.tid == task.tgid) programs_.erase(task.tgid);
}

void Dispatcher::task_renamed(pid_t former, const tracee::Task& task) {
  const pid_t tid = task.tid;
  // The leader that waited is gone, without a word of its end.
  forget_wait(task);
  if (former == tid) return;
  if (const auto fs = fs_.find(former); fs != fs_.end()) {
    fs_[tid] = fs->second;
    fs_.erase(former);
  }
  continued_.erase(tid);
  if (auto call = continued_.extract(former)) {
    call.key() = tid;
    continued_.insert(std::move(call));
  }
}

std::string Dispatcher::program(pid_t tgid) const {
  const auto known = programs_.find(tgid);
  return known == programs_.end() ? std::string() : known->second;
}

void Dispatcher::expect_program(pid_t tid, int file, std::string path, std::string name) {
  struct stat status {};
  // What cannot be identified can never be confirmed.
  if (::fstat(file, &status) != 0) status = {};
  expected_[tid] = {status.st_dev, status.st_ino, std::move(path), std::move(name)};
}

// The descriptor and the empty path of an execution lie where the program's own threads could reach
// them: what the kernel executed in the end decides, before the first instruction of it.
Result<std::string> Dispatcher::confirm_program(pid_t former, pid_t tgid) {
  const auto expected = expected_.find(former);
  if (expected == expected_.end()) return fail(EACCES, "an execution that was not decided");
  struct stat status {};
  const std::string link = "/proc/" + std::to_string(tgid) + "/exe";
  if (::stat(link.c_str(), &status) != 0) return fail_errno(link);
  if (status.st_dev != expected->second.device || status.st_ino != expected->second.inode) {
    return fail(EACCES, "another program than the decided one was executed");
  }
  programs_[tgid] = std::move(expected->second.path);
  std::string name = std::move(expected->second.name);
  expected_.erase(former);
  expected_.erase(tgid);  // of the leader, which this execution ended
  return name;
}

std::string Dispatcher::working_directory(pid_t tgid) const {
  for (const pid_t tid : parts_.tasks.threads(tgid)) {
    if (const auto fs = fs_.find(tid); fs != fs_.end()) {
      return parts_.files.path_of(fs->second->working_directory);
    }
  }
  return "/";
}

// Threads share it, a new process starts with a copy of its parent's (clone(2), CLONE_FS).
std::shared_ptr<syscalls::FsContext> Dispatcher::fs_of(const tracee::Task& task) {
  if (const auto known = fs_.find(task.tid); known != fs_.end()) return known->second;
  const auto find_in = [&](pid_t tgid) -> std::shared_ptr<syscalls::FsContext> {
    for (const pid_t other : parts_.tasks.threads(tgid)) {
      if (const auto fs = fs_.find(other); fs != fs_.end()) return fs->second;
    }
    return nullptr;
  };
  std::shared_ptr<syscalls::FsContext> made = find_in(task.tgid);
  if (made == nullptr) {
    const auto parent = find_in(task.parent);
    made = parent != nullptr ? std::make_shared<syscalls::FsContext>(*parent)
                             : std::make_shared<syscalls::FsContext>(
                                   syscalls::FsContext{first_working_directory_, 022});
  }
  fs_[task.tid] = made;
  return made;
}

std::optional<Answer> Dispatcher::restricted(const DecodedCall& call) const {
  const policy::CallRule* rule = parts_.policy.call_rule(call.row->name);
  if (rule == nullptr) return std::nullopt;
  if (rule->action == Action::kKill) {
    return Answer{Kill{std::string(call.row->name) + " is forbidden by " + rule->origin.rule},
                  {Action::kKill, 0, rule->origin.rule}};
  }
  return syscalls::deny(rule->error, rule->origin.rule);
}

Answer Dispatcher::by_disposition(const DecodedCall& call) const {
  if (call.row == nullptr) return syscalls::deny(ENOSYS, "unknown-call");
  switch (call.row->disposition) {
    case arch::kNative:
      return syscalls::proceed();
    case arch::kAbsent:
    case arch::kAbsentInKernel:
      return syscalls::deny(ENOSYS, "absent-call");
    default:
      return syscalls::deny(EPERM, "forbidden-call");
  }
}

Answer Dispatcher::decide(const DecodedCall& call, tracee::Task& task) {
  if (call.foreign_abi) {
    return {Kill{"a system call of a foreign ABI"}, {Action::kKill, 0, "foreign-abi"}};
  }
  if (call.row == nullptr) return by_disposition(call);
  if (std::optional<Answer> answer = restricted(call)) return std::move(*answer);
  // Ours: as if nothing were there (descriptor_channel.h).
  if (intercept::names_descriptor(*call.row, call.event.arguments, parts_.channel)) {
    return syscalls::serve_error(EBADF);
  }
  if (call.row->disposition == arch::kConditional &&
      intercept::allowed_natively(call.row->name, call.event.arguments)) {
    return syscalls::proceed();
  }
  const syscalls::Handler handler = syscalls::find_handler(*call.row);
  if (handler == nullptr) return by_disposition(call);
  const std::shared_ptr<syscalls::FsContext> fs = fs_of(task);
  const tracee::RemoteMemory memory(task.tid);
  syscalls::Context context{call,         memory,          parts_.tasks,  task,    *fs,
                            parts_.files, parts_.affinity, parts_.budget, sockets_};
  return handler(context);
}

void Dispatcher::enforce_on_deny(const DecodedCall& call, Answer& answer) {
  if (auto* kill = std::get_if<Kill>(&answer.effect)) {
    violation_ = kill->reason;
    return;
  }
  // A budget's refusal is not the policy's, and a call the kernel lacks is asked for by libraries
  // that can do without: only what the policy refuses ends the run.
  const bool by_policy = answer.decision.action == Action::kDeny &&
                         !answer.decision.rule.starts_with("limit:") &&
                         answer.decision.error != ENOSYS && answer.decision.error != ENOTTY;
  if (!by_policy || parts_.policy.on_deny() != policy::OnDeny::kKill) return;
  violation_ = (call.row != nullptr ? std::string(call.row->name) : unknown_name(call));
  if (const std::string target = target_of(call); !target.empty()) violation_ += " " + target;
  violation_ += " was denied (" + answer.decision.rule + ")";
  answer.decision.action = Action::kKill;
  answer.decision.error = 0;  // the program is told nothing
  answer.effect = Kill{violation_};
}

// Where the lookup of the call's path ended. Empty for what named no path, or two.
std::string Dispatcher::resolved_path(const DecodedCall& call) const {
  std::size_t paths = 0;
  for (const auto& text : call.strings) paths += text && text->error == 0 && !text->bytes.empty();
  if (paths != 1 || sightings_.empty()) return {};
  const Sighting& last = sightings_.back();
  return last.kind == Sighting::Kind::kMissing ? last.path : parts_.files.resolved_path();
}

bool Dispatcher::is_recorded(const Decision& decision) const {
  const bool refused = decision.action == Action::kDeny || decision.action == Action::kKill;
  return refused || parts_.audit.level() != audit::Level::kDenied;
}

void Dispatcher::record(Decided decided, const tracee::Task& task, const Outcome& outcome,
                        Nanoseconds took) {
  const bool all = parts_.audit.level() == audit::Level::kAll;
  const DecodedCall& call = decided.call;
  // Where there is a filter it refuses these unseen: the records of all backends are to agree.
  const bool unseen = call.row != nullptr && call.row->disposition == arch::kAbsentInKernel;
  if (unseen && !all) return;
  const Action action = decided.decision.action;
  const bool refused = action == Action::kDeny || action == Action::kKill;
  const std::string unknown = call.row == nullptr ? unknown_name(call) : std::string();
  parts_.tally.count(call.row != nullptr ? call.row->name : std::string_view(unknown),
                     decided.decision, refused ? target_of(call) : std::string());
  if (!is_recorded(decided.decision)) return;
  if (all && !outcome.known && outcome.delivered && action != Action::kKill) {
    continued_[task.tid] = std::move(decided);
    return;
  }
  std::optional<std::int64_t> result;
  if (outcome.known && outcome.delivered) result = outcome.result;
  write_record(decided, task, result, took);
}

void Dispatcher::write_record(const Decided& decided, const tracee::Task& task,
                              std::optional<std::int64_t> result, std::optional<Nanoseconds> took) {
  ++calls_seen_;
  const DecodedCall& call = decided.call;
  const std::string unknown = call.row == nullptr ? unknown_name(call) : std::string();
  audit::SyscallRecord entry;
  entry.time = decided.time;
  entry.pid = task.process_number;
  entry.tid = task.number;
  entry.syscall = call.row != nullptr ? call.row->name : std::string_view(unknown);
  entry.arguments = arguments_of(call);
  entry.resolved = decided.resolved;
  entry.sightings = decided.sightings;
  entry.decision = decided.decision;
  entry.result = result;
  entry.took = took;
  parts_.audit.write(entry);
}

void Dispatcher::observed(const SyscallEvent& event, const std::string& leading_bytes,
                          std::optional<std::int64_t> result) {
  const tracee::Task* task = parts_.tasks.find(event.tid);
  if (task == nullptr) return;
  if (const auto known = continued_.find(event.tid); known != continued_.end()) {
    write_record(known->second, *task, result, parts_.budget.elapsed() - known->second.time);
    continued_.erase(known);
    return;
  }
  Decided seen;
  seen.call.event = event;
  seen.call.row = arch::find_syscall(event.number);
  seen.decision = {Action::kAllow, 0, "native"};
  seen.time = parts_.budget.elapsed();
  const arch::SyscallRow* row = seen.call.row;
  for (std::size_t i = 0; row != nullptr && i < row->arguments.size(); ++i) {
    const arch::ArgumentKind kind = row->arguments[i].kind;
    const bool buffer = kind == arch::kInBuffer || kind == arch::kOutBuffer;
    if (buffer && !leading_bytes.empty()) {
      seen.call.strings[i] = StringArgument{leading_bytes, 0};
    }
  }
  write_record(seen, *task, result, std::nullopt);
}

Status Dispatcher::dispatch(intercept::Stop stop, Nanoseconds now) {
  const SyscallEvent event = stop.event();
  tracee::Task* task = parts_.tasks.find(event.tid);
  if (task == nullptr) {
    // A thread whose first stop has not been reaped yet, or one made by an exec: look it up now.
    Result<tracee::Task*> added = parts_.tasks.add_new(event.tid);
    if (!added) return {};  // gone: nobody waits for an answer
    task = *added;
  }
  forget_wait(*task);
  Waiting taken{std::move(stop), tracee::decode(event, tracee::RemoteMemory(event.tid)), now, {}};
  sightings_.clear();
  Answer answer = decide(taken.call, *task);
  if (std::holds_alternative<Wait>(answer.effect)) {
    taken.decision = std::move(answer.decision);
    waiting_.push_back(std::move(taken));
    return {};
  }
  return finish(std::move(taken), *task, std::move(answer));
}

Status Dispatcher::retry_waiting(Nanoseconds most) {
  const Nanoseconds start = parts_.budget.elapsed();
  for (std::size_t left = waiting_.size(); left > 0; --left) {
    if (parts_.budget.elapsed() - start > most) break;
    Waiting each = std::move(waiting_.front());
    waiting_.pop_front();
    tracee::Task* task = parts_.tasks.find(each.call.event.tid);
    if (task == nullptr) continue;  // it has ended
    if (parts_.interceptor.sibling_executes(task->tgid, task->tid)) {
      waiting_.push_back(std::move(each));
      continue;
    }
    sightings_.clear();
    Answer answer = decide(each.call, *task);
    const bool waits = std::holds_alternative<Wait>(answer.effect);
    if (waits && !tracee::is_interrupted(task->tid)) {
      waiting_.push_back(std::move(each));
      continue;
    }
    if (waits) answer.effect = Restart{};
    if (Status done = finish(std::move(each), *task, std::move(answer)); !done) return done;
  }
  return {};
}

Status Dispatcher::restart_waiting(pid_t tgid) {
  for (Waiting& each : std::exchange(waiting_, {})) {
    tracee::Task* task = parts_.tasks.find(each.call.event.tid);
    if (task == nullptr) continue;
    if (task->tgid != tgid || parts_.interceptor.sibling_executes(tgid, task->tid)) {
      waiting_.push_back(std::move(each));
      continue;
    }
    Answer answer{Restart{}, {Action::kServe, 0, "stop"}};
    if (Status done = finish(std::move(each), *task, std::move(answer)); !done) return done;
  }
  return {};
}

// A task makes one call at a time: a signal has taken it out of the one that waited, or its end
// has. It made that call all the same.
void Dispatcher::forget_wait(const tracee::Task& task) {
  parts_.files.forget_wait(task.tid);
  const auto of_task = [&](const Waiting& each) { return each.call.event.tid == task.tid; };
  const auto waited = std::find_if(waiting_.begin(), waiting_.end(), of_task);
  if (waited == waiting_.end()) return;
  Decided decided;
  decided.time = waited->time;
  decided.call = std::move(waited->call);
  decided.decision = std::move(waited->decision);
  waiting_.erase(waited);
  const Nanoseconds took = parts_.budget.elapsed() - decided.time;
  record(std::move(decided), task, {.known = false, .delivered = false}, took);
}

Status Dispatcher::finish(Waiting taken, tracee::Task& task, Answer answer) {
  parts_.files.forget_wait(task.tid);
  Decided decided;
  decided.time = taken.time;
  decided.call = std::move(taken.call);
  enforce_on_deny(decided.call, answer);
  decided.decision = answer.decision;
  decided.resolved = resolved_path(decided.call);
  decided.sightings = std::exchange(sightings_, {});
  if (const auto* execution = std::get_if<Execute>(&answer.effect)) {
    expect_program(task.tid, execution->program.get(), execution->path, execution->name);
  }
  parts_.budget.follow_scratch();
  // Up to the answer: behind it the task may run at once, on this CPU.
  Nanoseconds took{};
  if (is_recorded(decided.decision)) took = parts_.budget.elapsed() - decided.time;
  Result<Outcome> outcome =
      parts_.interceptor.apply(std::move(taken.stop), std::move(answer.effect));
  if (!outcome) return tl::make_unexpected(outcome.error());
  record(std::move(decided), task, *outcome, took);
  return {};
}

}  // namespace vitrine::supervisor
