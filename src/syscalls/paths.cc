#include "syscalls/paths.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "tracee/proc_status.h"
#include "tracee/usage.h"

namespace vitrine::syscalls {

Answer proceed() { return {Continue{}, {Action::kAllow, 0, "registers"}}; }
Answer serve(std::int64_t value) { return {Return{value}, {Action::kServe, 0, "served"}}; }
Answer serve_error(int error) { return {FailWith{error}, {Action::kServe, error, "served"}}; }
Answer deny(int error, std::string rule) {
  return {FailWith{error}, {Action::kDeny, error, std::move(rule)}};
}

Result<std::string_view> path_argument(const Context& context, std::size_t index) {
  const auto& argument = context.call.strings[index];
  if (!argument) return fail(EFAULT, "path argument");
  if (argument->error != 0) return fail(argument->error, "path argument");
  return std::string_view(argument->bytes);
}

Result<vfs::FileSystem::GuestFd> guest_fd(Context& context, std::size_t index) {
  Result<int> folder = tracee::TaskTable::descriptors_of(context.task);
  if (!folder) return fail(EBADF, "descriptor argument");
  const int number = context.call.int_argument(index);
  if (number < 0) return fail(EBADF, "descriptor argument");
  return vfs::FileSystem::GuestFd{*folder, number};
}

Result<vfs::DirectoryRef> base_folder(Context& context, std::size_t index, std::string_view path) {
  if (path.starts_with('/')) return context.files.root();
  if (path.empty()) return fail(ENOENT, "an empty path");  // before the descriptor is looked at
  if (context.call.int_argument(index) == AT_FDCWD) return context.fs.working_directory;
  Result<vfs::FileSystem::GuestFd> fd = guest_fd(context, index);
  if (!fd) return tl::make_unexpected(fd.error());
  return context.files.directory_of(context.caller(), *fd);
}

std::optional<Answer> past_own_limit(const Context& context, std::uint64_t size,
                                     std::uint64_t wanted) {
  const tracee::Task& task = context.task;
  if (wanted <= size || wanted <= context.budget.own_file_limit(task.tgid)) return std::nullopt;
  (void)::syscall(SYS_tgkill, task.tgid, task.tid, SIGXFSZ);  // fails where it has ended
  return serve_error(EFBIG);
}

// Its number can be nobody else's while it is a child of a process of the run.
bool is_zombie(const Context& context, pid_t pid) {
  if (!context.tasks.was_process(pid) || !tracee::has_ended(pid)) return false;
  const Result<tracee::ProcStatus> status = tracee::read_proc_status(pid);
  return status && status->tgid == pid && context.tasks.is_process(status->ppid);
}

Answer answer_error(Context& context, const Error& error) {
  const int code = error.code == 0 ? EIO : error.code;
  const std::string& rule = context.files.deciding_rule();
  const bool hidden = rule == "default" || rule.starts_with("--hide") || rule.ends_with("#hide");
  // Python looks for many files that exist nowhere. Only what the host has, and the run is not
  // shown, was kept from the program: that alone is a denial.
  const bool kept_away =
      (code == ENOENT || code == EACCES) && hidden && context.files.host_may_have_missing();
  if (code == EROFS || kept_away) return deny(code, rule);
  Answer made = serve_error(code);
  made.decision.rule = rule;
  if (code == ENOSPC || code == EDQUOT) context.budget.refused("scratch");
  return made;
}

Answer answer(Context& context, const Status& status) {
  if (!status) return answer_error(context, status.error());
  Answer made = serve();
  made.decision.rule = context.files.deciding_rule();
  return made;
}

}  // namespace vitrine::syscalls
