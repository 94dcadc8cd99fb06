// open(2) and its relatives, openat2(2), memfd_create(2).
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "syscalls/families.h"
#include "syscalls/paths.h"

namespace vitrine::syscalls {
namespace {

Answer open_in(Context& context, const Result<vfs::DirectoryRef>& base, std::size_t path_index,
               int flags, mode_t mode) {
  Result<std::string_view> path = path_argument(context, path_index);
  if (!path) return serve_error(path.error().code);
  if (!base) return serve_error(base.error().code);
  Result<vfs::Opened> opened =
      context.files.open(context.caller(), *base, *path, flags, mode & 07777);
  if (!opened) return answer_error(context, opened.error());
  return {InstallFd{std::move(opened->fd), (flags & O_CLOEXEC) != 0},
          {Action::kServe, 0, context.files.deciding_rule()}};
}

Result<vfs::DirectoryRef> base_of(Context& context, std::size_t dirfd, std::size_t path_index) {
  Result<std::string_view> path = path_argument(context, path_index);
  return base_folder(context, dirfd, path ? *path : std::string_view{});
}

Answer handle_open(Context& context) {
  return open_in(context, context.fs.working_directory, 0, context.call.int_argument(1),
                 context.call.unsigned_argument(2));
}

Answer handle_creat(Context& context) {
  return open_in(context, context.fs.working_directory, 0, O_CREAT | O_WRONLY | O_TRUNC,
                 context.call.unsigned_argument(1));
}

Answer handle_openat(Context& context) {
  return open_in(context, base_of(context, 0, 1), 1, context.call.int_argument(2),
                 context.call.unsigned_argument(3));
}

// The structure is read once. RESOLVE_* other than RESOLVE_CACHED narrow the lookup in ways that
// the virtual tree does not offer: E2BIG and EINVAL as openat2(2) has them, then ENOSYS, on which
// callers fall back to openat.
Answer handle_openat2(Context& context) {
  const std::uint64_t size = context.call.event.arguments[3];
  if (size < sizeof(open_how)) return serve_error(EINVAL);
  if (size > sizeof(open_how)) return serve_error(E2BIG);
  Result<open_how> how = context.memory.read_value<open_how>(context.call.event.arguments[2]);
  if (!how) return serve_error(how.error().code);
  if (how->resolve != 0) return serve_error(ENOSYS);
  if ((how->flags >> 32) != 0 || how->mode > 07777) return serve_error(EINVAL);
  const int flags = static_cast<int>(how->flags);
  if (how->mode != 0 && (flags & (O_CREAT | O_TMPFILE)) == 0) return serve_error(EINVAL);
  return open_in(context, base_of(context, 0, 1), 1, flags, static_cast<mode_t>(how->mode));
}

// Memory behind a descriptor is a nameless scratch file: it counts against the same quota, and what
// stat(2) and /proc say of it is known. Sealing is not offered (F_ADD_SEALS gives EPERM).
Answer handle_memfd_create(Context& context) {
  const unsigned flags = context.call.unsigned_argument(1);
  constexpr unsigned kExec = 0x10;  // MFD_EXEC, MFD_NOEXEC_SEAL: Linux 6.3
  constexpr unsigned kNoExecSeal = 0x8;
  if ((flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING | kExec | kNoExecSeal)) != 0) {
    return serve_error(EINVAL);
  }
  if (Result<std::string_view> name = path_argument(context, 0); !name) {
    return serve_error(name.error().code);
  }
  for (const char* folder : {"/tmp", "/dev/shm"}) {
    Result<vfs::Opened> opened = context.files.open(context.caller(), context.files.root(), folder,
                                                    O_TMPFILE | O_RDWR, 0600);
    if (opened) {
      return {InstallFd{std::move(opened->fd), (flags & MFD_CLOEXEC) != 0},
              {Action::kServe, 0, context.files.deciding_rule()}};
    }
    if (opened.error().code == ENOSPC) return answer_error(context, opened.error());
  }
  return deny(EPERM, "no-scratch");
}

}  // namespace

void add_open_handlers(HandlerTable& table) {
  table.add("open", handle_open);
  table.add("creat", handle_creat);
  table.add("openat", handle_openat);
  table.add("openat2", handle_openat2);
  table.add("memfd_create", handle_memfd_create);
}

}  // namespace vitrine::syscalls
