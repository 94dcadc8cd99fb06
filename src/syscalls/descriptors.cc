// Calls on an open descriptor that reach beyond it: locks, ownership, sizes, attributes.
#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/file.h>
#include <sys/ioctl.h>

#include <cerrno>

#include "syscalls/families.h"
#include "syscalls/paths.h"

namespace vitrine::syscalls {
namespace {

constexpr int kLargestPipe = 64 * 1024;  // what a pipe has without asking

// What a lock that somebody else has gives: the call waits, or fails.
Answer answer_lock(Context& context, const Status& locked, bool waits) {
  if (locked) return serve();
  if (locked.error().code != EAGAIN) return answer_error(context, locked.error());
  if (waits) return {Wait{}, {Action::kServe, 0, "lock"}};
  return serve_error(EAGAIN);
}

Answer record_lock(Context& context) {
  Result<vfs::FileSystem::GuestFd> fd = guest_fd(context, 0);
  if (!fd) return serve_error(EBADF);
  const std::uint64_t address = context.call.event.arguments[2];
  Result<struct flock> lock = context.memory.read_value<struct flock>(address);
  if (!lock) return serve_error(lock.error().code);
  const bool known = lock->l_type == F_RDLCK || lock->l_type == F_WRLCK || lock->l_type == F_UNLCK;
  if (!known) return serve_error(EINVAL);
  const int command = context.call.int_argument(1);
  const Status done = context.files.lock_record(context.caller(), *fd, command, *lock);
  if (done && (command == F_GETLK || command == F_OFD_GETLK))
    return answer_with(context, address, *lock);
  return answer_lock(context, done, command == F_SETLKW || command == F_OFD_SETLKW);
}

Answer handle_fcntl(Context& context) {
  switch (context.call.int_argument(1)) {
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
      return record_lock(context);
    case F_SETPIPE_SZ:
      if (context.call.event.arguments[2] <= kLargestPipe) return proceed();
      return deny(EPERM, "pipe-size");
    case F_GETOWN:
    case F_GETSIG:
      return serve(0);
    case F_SETOWN:
    case F_SETOWN_EX:
    case F_SETSIG:
    case F_SETLEASE:
    case F_NOTIFY:
      return deny(EPERM, "fcntl");  // signals and leases by another road
    default:
      return serve_error(EINVAL);
  }
}

Answer handle_flock(Context& context) {
  Result<vfs::FileSystem::GuestFd> fd = guest_fd(context, 0);
  if (!fd) return serve_error(EBADF);
  const int operation = context.call.int_argument(1) & ~LOCK_NB;
  if (operation != LOCK_SH && operation != LOCK_EX && operation != LOCK_UN) {
    return serve_error(EINVAL);
  }
  const bool waits = (context.call.int_argument(1) & LOCK_NB) == 0;
  return answer_lock(context, context.files.lock_whole(context.caller(), *fd, operation), waits);
}

// Commands outside the filter's list. Those that could reach beyond the descriptor are forbidden by
// name; the rest are unknown to what a run can hold, and said so as a kernel would.
Answer handle_ioctl(Context& context) {
  switch (context.call.unsigned_argument(1)) {
    case TIOCSTI:
    case TIOCLINUX:
    case TIOCSETD:
    case TIOCCONS:
    case TIOCVHANGUP:
    case FIOSETOWN:
    case SIOCSPGRP:
    case FIOASYNC:
      return deny(EPERM, "ioctl");
    default:
      return deny(ENOTTY, "ioctl");
  }
}

template <typename Operation>
Answer on_descriptor(Context& context, Operation operation) {
  Result<vfs::FileSystem::GuestFd> fd = guest_fd(context, 0);
  if (!fd) return serve_error(fd.error().code);
  return answer(context, operation(*fd));
}

// Would the file behind descriptor 0 of the call pass the program's own RLIMIT_FSIZE?
std::optional<Answer> past_own_limit(Context& context, off_t wanted) {
  if (context.budget.own_file_limit(context.task.tgid) == UINT64_MAX) return std::nullopt;
  const Result<vfs::FileSystem::GuestFd> fd = guest_fd(context, 0);
  struct statx now {};
  if (!fd || !context.files.stat_descriptor(context.caller(), *fd, now)) return std::nullopt;
  return syscalls::past_own_limit(context, now.stx_size, static_cast<std::uint64_t>(wanted));
}

Answer handle_ftruncate(Context& context) {
  const auto length = static_cast<off_t>(context.call.event.arguments[1]);
  if (length < 0) return serve_error(EINVAL);
  if (auto refused = past_own_limit(context, length)) return std::move(*refused);
  return on_descriptor(context, [&](vfs::FileSystem::GuestFd fd) {
    return context.files.truncate_descriptor(context.caller(), fd, length);
  });
}

Answer handle_fallocate(Context& context) {
  const auto offset = static_cast<off_t>(context.call.event.arguments[2]);
  const auto length = static_cast<off_t>(context.call.event.arguments[3]);
  if (offset < 0 || length <= 0) return serve_error(EINVAL);
  off_t end = 0;
  const bool grows = (context.call.unsigned_argument(1) & FALLOC_FL_KEEP_SIZE) == 0 &&
                     !__builtin_add_overflow(offset, length, &end);
  if (auto refused = past_own_limit(context, grows ? end : 0)) return std::move(*refused);
  return on_descriptor(context, [&](vfs::FileSystem::GuestFd fd) {
    return context.files.allocate_descriptor(context.caller(), fd, context.call.int_argument(1),
                                             offset, length);
  });
}

Answer handle_fchmod(Context& context) {
  return on_descriptor(context, [&](vfs::FileSystem::GuestFd fd) {
    return context.files.change_mode_descriptor(context.caller(), fd,
                                                context.call.unsigned_argument(1) & 07777);
  });
}

// By the descriptor's own path: chown is refused but for the guest's own ids, so a name that has
// moved meanwhile can gain nothing.
Answer handle_fchown(Context& context) {
  Result<vfs::FileSystem::GuestFd> fd = guest_fd(context, 0);
  if (!fd) return serve_error(fd.error().code);
  Result<std::string> path = context.files.path_of_descriptor(context.caller(), *fd);
  if (!path) return serve_error(path.error().code);
  return answer(context, context.files.change_owner(context.caller(), context.files.root(), *path,
                                                    context.call.unsigned_argument(1),
                                                    context.call.unsigned_argument(2),
                                                    vfs::FinalLink::kFollow));
}

// No node has extended attributes: as on a filesystem that lacks them, which has an empty list of
// them (vfs_listxattr, fs/xattr.c).
Answer without_attributes(Context& context, const Status& found) {
  if (!found) return answer_error(context, found.error());
  if (context.call.row->name.ends_with("listxattr")) return serve(0);
  return serve_error(EOPNOTSUPP);
}

template <vfs::FinalLink kFinal>
Answer no_attributes_of_path(Context& context) {
  Result<std::string_view> path = path_argument(context, 0);
  if (!path) return serve_error(path.error().code);
  struct statx found {};
  return without_attributes(
      context,
      context.files.stat(context.caller(), context.fs.working_directory, *path, kFinal, found));
}

Answer no_attributes_of_descriptor(Context& context) {
  Result<vfs::FileSystem::GuestFd> fd = guest_fd(context, 0);
  if (!fd) return serve_error(fd.error().code);
  struct statx found {};
  return without_attributes(context, context.files.stat_descriptor(context.caller(), *fd, found));
}

// The host's disks are not the guest's to flush; its own files are memory.
Answer nothing_to_flush(Context&) { return serve(); }

}  // namespace

void add_descriptor_handlers(HandlerTable& table) {
  table.add("fcntl", handle_fcntl);
  table.add("flock", handle_flock);
  table.add("ioctl", handle_ioctl);
  table.add("ftruncate", handle_ftruncate);
  table.add("fallocate", handle_fallocate);
  table.add("fchmod", handle_fchmod);
  table.add("fchown", handle_fchown);
  table.add("sync", nothing_to_flush);
  table.add("syncfs", nothing_to_flush);
  for (const char* name : {"setxattr", "getxattr", "listxattr", "removexattr"})
    table.add(name, no_attributes_of_path<vfs::FinalLink::kFollow>);
  for (const char* name : {"lsetxattr", "lgetxattr", "llistxattr", "lremovexattr"})
    table.add(name, no_attributes_of_path<vfs::FinalLink::kNoFollow>);
  for (const char* name : {"fsetxattr", "fgetxattr", "flistxattr", "fremovexattr"})
    table.add(name, no_attributes_of_descriptor);
}

}  // namespace vitrine::syscalls
