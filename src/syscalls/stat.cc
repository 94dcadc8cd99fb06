// stat(2) and its relatives, access(2), readlink(2), statfs(2).
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "syscalls/families.h"
#include "syscalls/paths.h"

namespace vitrine::syscalls {
namespace {

using vfs::FinalLink;

struct stat to_stat(const struct statx& from) {
  struct stat to {};
  to.st_dev = ::makedev(from.stx_dev_major, from.stx_dev_minor);
  to.st_ino = from.stx_ino;
  to.st_nlink = from.stx_nlink;
  to.st_mode = from.stx_mode;
  to.st_uid = from.stx_uid;
  to.st_gid = from.stx_gid;
  to.st_rdev = ::makedev(from.stx_rdev_major, from.stx_rdev_minor);
  to.st_size = static_cast<off_t>(from.stx_size);
  to.st_blksize = static_cast<blksize_t>(from.stx_blksize);
  to.st_blocks = static_cast<blkcnt_t>(from.stx_blocks);
  to.st_atim = {from.stx_atime.tv_sec, static_cast<long>(from.stx_atime.tv_nsec)};
  to.st_mtim = {from.stx_mtime.tv_sec, static_cast<long>(from.stx_mtime.tv_nsec)};
  to.st_ctim = {from.stx_ctime.tv_sec, static_cast<long>(from.stx_ctime.tv_nsec)};
  return to;
}

// `path` with AT_EMPTY_PATH names the descriptor (or the working directory) itself. Linux 6.11
// takes a null pointer for it as well; a register, so it can be believed.
bool names_descriptor(const Context& context, std::size_t path_index, int flags) {
  if ((flags & AT_EMPTY_PATH) == 0) return false;
  if (context.call.event.arguments[path_index] == 0) return true;
  Result<std::string_view> path = path_argument(context, path_index);
  return path && path->empty();
}

Status stat_descriptor(Context& context, std::size_t index, struct statx& out) {
  if (context.call.int_argument(index) == AT_FDCWD) {
    return context.files.stat(context.caller(), context.fs.working_directory, ".",
                              FinalLink::kFollow, out);
  }
  Result<vfs::FileSystem::GuestFd> fd = guest_fd(context, index);
  if (!fd) return tl::make_unexpected(fd.error());
  return context.files.stat_descriptor(context.caller(), *fd, out);
}

Status stat_path(Context& context, const Result<vfs::DirectoryRef>& base, std::size_t path_index,
                 FinalLink final_link, struct statx& out) {
  Result<std::string_view> path = path_argument(context, path_index);
  if (!path) return tl::make_unexpected(path.error());
  if (!base) return tl::make_unexpected(base.error());
  return context.files.stat(context.caller(), *base, *path, final_link, out);
}

Status stat_at(Context& context, int flags, struct statx& out) {
  if (names_descriptor(context, 1, flags)) return stat_descriptor(context, 0, out);
  Result<std::string_view> path = path_argument(context, 1);
  if (!path) return tl::make_unexpected(path.error());
  const FinalLink link =
      (flags & AT_SYMLINK_NOFOLLOW) != 0 ? FinalLink::kNoFollow : FinalLink::kFollow;
  return stat_path(context, base_folder(context, 0, *path), 1, link, out);
}

Answer finish_stat(Context& context, const Status& status, const struct statx& found,
                   std::size_t out_index) {
  if (!status) return answer_error(context, status.error());
  Answer made = answer_with(context, context.call.event.arguments[out_index], to_stat(found));
  made.decision.rule = context.files.deciding_rule();
  return made;
}

Answer handle_stat(Context& context) {
  struct statx found {};
  const Status status =
      stat_path(context, context.fs.working_directory, 0, FinalLink::kFollow, found);
  return finish_stat(context, status, found, 1);
}

Answer handle_lstat(Context& context) {
  struct statx found {};
  const Status status =
      stat_path(context, context.fs.working_directory, 0, FinalLink::kNoFollow, found);
  return finish_stat(context, status, found, 1);
}

Answer handle_fstat(Context& context) {
  struct statx found {};
  return finish_stat(context, stat_descriptor(context, 0, found), found, 1);
}

Answer handle_newfstatat(Context& context) {
  constexpr int kKnown = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH;
  const int flags = context.call.int_argument(3);
  if ((flags & ~kKnown) != 0) return serve_error(EINVAL);
  struct statx found {};
  const Status status = stat_at(context, flags, found);
  return finish_stat(context, status, found, 2);
}

Answer handle_statx(Context& context) {
  constexpr int kKnown = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE;
  const int flags = context.call.int_argument(2);
  if ((flags & ~kKnown) != 0) return serve_error(EINVAL);
  struct statx found {};
  const Status status = stat_at(context, flags, found);
  if (!status) return answer_error(context, status.error());
  Answer made = answer_with(context, context.call.event.arguments[4], found);
  made.decision.rule = context.files.deciding_rule();
  return made;
}

Answer access_in(Context& context, const Result<vfs::DirectoryRef>& base, std::size_t path_index,
                 int mode, FinalLink final_link) {
  if ((mode & ~(R_OK | W_OK | X_OK)) != 0) return serve_error(EINVAL);
  Result<std::string_view> path = path_argument(context, path_index);
  if (!path) return serve_error(path.error().code);
  if (!base) return serve_error(base.error().code);
  return answer(context, context.files.access(context.caller(), *base, *path, mode, final_link));
}

Answer handle_access(Context& context) {
  return access_in(context, context.fs.working_directory, 0, context.call.int_argument(1),
                   FinalLink::kFollow);
}

Answer handle_faccessat(Context& context) {
  Result<std::string_view> path = path_argument(context, 1);
  if (!path) return serve_error(path.error().code);
  return access_in(context, base_folder(context, 0, *path), 1, context.call.int_argument(2),
                   FinalLink::kFollow);
}

Answer handle_faccessat2(Context& context) {
  const int flags = context.call.int_argument(3);
  if ((flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0) {
    return serve_error(EINVAL);
  }
  if (names_descriptor(context, 1, flags)) {
    struct statx found {};
    return answer(context, stat_descriptor(context, 0, found));
  }
  Result<std::string_view> path = path_argument(context, 1);
  if (!path) return serve_error(path.error().code);
  const FinalLink link =
      (flags & AT_SYMLINK_NOFOLLOW) != 0 ? FinalLink::kNoFollow : FinalLink::kFollow;
  return access_in(context, base_folder(context, 0, *path), 1, context.call.int_argument(2), link);
}

// The target that `ask` gives, once the size at argument `buffer_index` + 1 is known to be one.
template <typename Target>
Answer answer_link(Context& context, std::size_t buffer_index, Target ask) {
  const auto size = static_cast<int>(context.call.event.arguments[buffer_index + 1]);
  if (size <= 0) return serve_error(EINVAL);
  const Result<std::string> target = ask();
  if (!target) return answer_error(context, target.error());
  const std::size_t length = std::min(target->size(), static_cast<std::size_t>(size));
  const auto bytes = std::as_bytes(std::span(target->data(), length));
  if (Status written = context.memory.write(context.call.event.arguments[buffer_index], bytes);
      !written) {
    return serve_error(written.error().code);
  }
  Answer made = serve(static_cast<std::int64_t>(length));
  made.decision.rule = context.files.deciding_rule();
  return made;
}

Answer read_link(Context& context, const Result<vfs::DirectoryRef>& base, std::size_t path_index) {
  Result<std::string_view> path = path_argument(context, path_index);
  if (!path) return serve_error(path.error().code);
  if (!base) return serve_error(base.error().code);
  return answer_link(context, path_index + 1,
                     [&] { return context.files.read_link(context.caller(), *base, *path); });
}

Answer handle_readlink(Context& context) {
  return read_link(context, context.fs.working_directory, 0);
}

Answer handle_readlinkat(Context& context) {
  Result<std::string_view> path = path_argument(context, 1);
  if (!path) return serve_error(path.error().code);
  if (path->empty()) {
    // The descriptor itself, where it is a link's (fs/stat.c, do_readlinkat).
    if (context.call.int_argument(0) == AT_FDCWD) return serve_error(ENOENT);
    Result<vfs::FileSystem::GuestFd> fd = guest_fd(context, 0);
    if (!fd) return serve_error(fd.error().code);
    return answer_link(context, 2,
                       [&] { return context.files.read_link_descriptor(context.caller(), *fd); });
  }
  return read_link(context, base_folder(context, 0, *path), 1);
}

Answer handle_statfs(Context& context) {
  Result<std::string_view> path = path_argument(context, 0);
  if (!path) return serve_error(path.error().code);
  struct statfs found {};
  const Status status =
      context.files.stat_filesystem(context.caller(), context.fs.working_directory, *path, found);
  if (!status) return answer_error(context, status.error());
  return answer_with(context, context.call.event.arguments[1], found);
}

Answer handle_fstatfs(Context& context) {
  Result<vfs::FileSystem::GuestFd> fd = guest_fd(context, 0);
  if (!fd) return serve_error(fd.error().code);
  struct statfs found {};
  const Status status = context.files.stat_filesystem_descriptor(context.caller(), *fd, found);
  if (!status) return answer_error(context, status.error());
  return answer_with(context, context.call.event.arguments[1], found);
}

}  // namespace

void add_stat_handlers(HandlerTable& table) {
  table.add("stat", handle_stat);
  table.add("lstat", handle_lstat);
  table.add("fstat", handle_fstat);
  table.add("newfstatat", handle_newfstatat);
  table.add("statx", handle_statx);
  table.add("access", handle_access);
  table.add("faccessat", handle_faccessat);
  table.add("faccessat2", handle_faccessat2);
  table.add("readlink", handle_readlink);
  table.add("readlinkat", handle_readlinkat);
  table.add("statfs", handle_statfs);
  table.add("fstatfs", handle_fstatfs);
}

}  // namespace vitrine::syscalls
