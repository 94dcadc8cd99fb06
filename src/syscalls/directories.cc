// chdir(2), getcwd(2), getdents(2), umask(2).
#include <dirent.h>
#include <linux/limits.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <vector>

#include "syscalls/families.h"
#include "syscalls/paths.h"

namespace vitrine::syscalls {
namespace {

constexpr std::size_t kLongestListing = 64UL * 1024;  // one answer; the guest asks again

Answer change_to(Context& context, Result<vfs::DirectoryRef> folder) {
  if (!folder) return answer_error(context, folder.error());
  context.fs.working_directory = std::move(*folder);
  return serve();
}

Answer handle_chdir(Context& context) {
  Result<std::string_view> path = path_argument(context, 0);
  if (!path) return serve_error(path.error().code);
  return change_to(
      context, context.files.open_directory(context.caller(), context.fs.working_directory, *path));
}

Answer handle_fchdir(Context& context) {
  Result<vfs::FileSystem::GuestFd> fd = guest_fd(context, 0);
  if (!fd) return serve_error(fd.error().code);
  return change_to(context, context.files.directory_of(context.caller(), *fd));
}

Answer handle_getcwd(Context& context) {
  struct statx found {};
  const Status exists = context.files.stat(context.caller(), context.fs.working_directory, ".",
                                           vfs::FinalLink::kFollow, found);
  if (!exists) return serve_error(ENOENT);
  const std::string path = context.files.path_of(context.fs.working_directory);
  const std::size_t length = path.size() + 1;
  if (length > PATH_MAX) return serve_error(ENAMETOOLONG);
  if (length > context.call.event.arguments[1]) return serve_error(ERANGE);
  const auto bytes = std::as_bytes(std::span(path.c_str(), length));
  if (Status written = context.memory.write(context.call.event.arguments[0], bytes); !written) {
    return serve_error(written.error().code);
  }
  return serve(static_cast<std::int64_t>(length));
}

// Records of getdents(2) are as long as those of getdents64(2): the name comes one byte earlier,
// and the type behind it, at the record's end.
void make_old_records(std::span<std::byte> records) {
  constexpr std::size_t kNew = offsetof(dirent64, d_name);
  constexpr std::size_t kOld = kNew - 1;
  while (!records.empty()) {
    std::uint16_t length = 0;
    std::memcpy(&length, &records[offsetof(dirent64, d_reclen)], sizeof length);
    const std::byte type = records[offsetof(dirent64, d_type)];
    std::memmove(&records[kOld], &records[kNew], length - kNew);
    records[length - 1U] = type;
    records = records.subspan(length);
  }
}

Answer list_directory(Context& context, bool old_records) {
  Result<vfs::FileSystem::GuestFd> fd = guest_fd(context, 0);
  if (!fd) return serve_error(fd.error().code);
  const std::size_t size =
      std::min<std::size_t>(context.call.unsigned_argument(2), kLongestListing);
  std::vector<std::byte> buffer(size);
  Result<std::size_t> filled = context.files.read_directory(context.caller(), *fd, buffer);
  if (!filled) return serve_error(filled.error().code);
  if (old_records) make_old_records(std::span(buffer).first(*filled));
  if (Status written =
          context.memory.write(context.call.event.arguments[1], std::span(buffer).first(*filled));
      !written) {
    return serve_error(written.error().code);
  }
  return serve(static_cast<std::int64_t>(*filled));
}

Answer handle_umask(Context& context) {
  const mode_t before = context.fs.umask;
  context.fs.umask = context.call.unsigned_argument(0) & 0777;
  return serve(before);
}

}  // namespace

void add_directory_handlers(HandlerTable& table) {
  table.add("chdir", handle_chdir);
  table.add("fchdir", handle_fchdir);
  table.add("getcwd", handle_getcwd);
  table.add("getdents", [](Context& c) { return list_directory(c, true); });
  table.add("getdents64", [](Context& c) { return list_directory(c, false); });
  table.add("umask", handle_umask);
}

}  // namespace vitrine::syscalls
