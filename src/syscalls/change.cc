// Calls that change the tree by name: mkdir(2), rename(2), unlink(2), link(2), chmod(2), ...
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <utime.h>

#include <array>
#include <cerrno>

#include "syscalls/families.h"
#include "syscalls/paths.h"

namespace vitrine::syscalls {
namespace {

using vfs::DirectoryRef;
using vfs::FinalLink;

// A folder and a name in it, as an *at call gives them.
struct Named {
  DirectoryRef base;
  std::string_view path;
};

constexpr int kNoDirFd = -1;

// The name in argument `path_index`, relative to the dirfd in `dirfd_index` or, with kNoDirFd, to
// the working directory.
Result<Named> named(Context& context, int dirfd_index, std::size_t path_index) {
  Result<std::string_view> path = path_argument(context, path_index);
  if (!path) return tl::make_unexpected(path.error());
  if (dirfd_index == kNoDirFd) return Named{context.fs.working_directory, *path};
  Result<DirectoryRef> base = base_folder(context, static_cast<std::size_t>(dirfd_index), *path);
  if (!base) return tl::make_unexpected(base.error());
  return Named{*base, *path};
}

template <typename Operation>
Answer on_name(Context& context, int dirfd_index, std::size_t path_index, Operation operation) {
  Result<Named> name = named(context, dirfd_index, path_index);
  if (!name) return serve_error(name.error().code);
  return answer(context, operation(name->base, name->path));
}

template <typename Operation>
Answer on_two_names(Context& context, std::array<int, 2> dirfds, std::array<std::size_t, 2> paths,
                    Operation operation) {
  Result<Named> first = named(context, dirfds[0], paths[0]);
  if (!first) return serve_error(first.error().code);
  Result<Named> second = named(context, dirfds[1], paths[1]);
  if (!second) return serve_error(second.error().code);
  return answer(context, operation(*first, *second));
}

Answer make_directory(Context& context, int dirfd, std::size_t path) {
  const mode_t mode = context.call.unsigned_argument(path + 1) & 07777;
  return on_name(context, dirfd, path, [&](const DirectoryRef& base, std::string_view name) {
    return context.files.make_directory(context.caller(), base, name, mode);
  });
}

Answer make_node(Context& context, int dirfd, std::size_t path) {
  const mode_t mode = context.call.unsigned_argument(path + 1);
  return on_name(context, dirfd, path, [&](const DirectoryRef& base, std::string_view name) {
    return context.files.make_node(context.caller(), base, name, mode);
  });
}

Answer unlink(Context& context, int dirfd, std::size_t path) {
  return on_name(context, dirfd, path, [&](const DirectoryRef& base, std::string_view name) {
    return context.files.unlink(context.caller(), base, name);
  });
}

Answer remove_directory(Context& context, int dirfd, std::size_t path) {
  return on_name(context, dirfd, path, [&](const DirectoryRef& base, std::string_view name) {
    return context.files.remove_directory(context.caller(), base, name);
  });
}

Answer handle_unlinkat(Context& context) {
  const int flags = context.call.int_argument(2);
  if ((flags & ~AT_REMOVEDIR) != 0) return serve_error(EINVAL);
  return (flags & AT_REMOVEDIR) != 0 ? remove_directory(context, 0, 1) : unlink(context, 0, 1);
}

Answer rename(Context& context, std::array<int, 2> dirfds, std::array<std::size_t, 2> paths,
              unsigned flags) {
  return on_two_names(context, dirfds, paths, [&](const Named& from, const Named& to) {
    return context.files.rename(context.caller(), from.base, from.path, to.base, to.path, flags);
  });
}

Answer link(Context& context, std::array<int, 2> dirfds, std::array<std::size_t, 2> paths,
            FinalLink final_link) {
  return on_two_names(context, dirfds, paths, [&](const Named& from, const Named& to) {
    return context.files.link(context.caller(), from.base, from.path, to.base, to.path, final_link);
  });
}

Answer handle_linkat(Context& context) {
  const int flags = context.call.int_argument(4);
  if ((flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) != 0) return serve_error(EINVAL);
  return link(context, {0, 2}, {1, 3},
              (flags & AT_SYMLINK_FOLLOW) != 0 ? FinalLink::kFollow : FinalLink::kNoFollow);
}

Answer symlink(Context& context, int dirfd, std::size_t path) {
  Result<std::string_view> target = path_argument(context, 0);
  if (!target) return serve_error(target.error().code);
  return on_name(context, dirfd, path, [&](const DirectoryRef& base, std::string_view name) {
    return context.files.symlink(context.caller(), *target, base, name);
  });
}

Answer change_mode(Context& context, int dirfd, std::size_t path, FinalLink final_link) {
  const mode_t mode = context.call.unsigned_argument(path + 1) & 07777;
  return on_name(context, dirfd, path, [&](const DirectoryRef& base, std::string_view name) {
    return context.files.change_mode(context.caller(), base, name, mode, final_link);
  });
}

Answer handle_fchmodat2(Context& context) {
  const int flags = context.call.int_argument(3);
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0) return serve_error(EINVAL);
  return change_mode(
      context, 0, 1,
      (flags & AT_SYMLINK_NOFOLLOW) != 0 ? FinalLink::kNoFollow : FinalLink::kFollow);
}

Answer change_owner(Context& context, int dirfd, std::size_t path, FinalLink final_link) {
  const uid_t uid = context.call.unsigned_argument(path + 1);
  const gid_t gid = context.call.unsigned_argument(path + 2);
  return on_name(context, dirfd, path, [&](const DirectoryRef& base, std::string_view name) {
    return context.files.change_owner(context.caller(), base, name, uid, gid, final_link);
  });
}

Answer handle_fchownat(Context& context) {
  const int flags = context.call.int_argument(4);
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0) return serve_error(EINVAL);
  return change_owner(
      context, 0, 1,
      (flags & AT_SYMLINK_NOFOLLOW) != 0 ? FinalLink::kNoFollow : FinalLink::kFollow);
}

Answer handle_truncate(Context& context) {
  const auto length = static_cast<off_t>(context.call.event.arguments[1]);
  if (length < 0) return serve_error(EINVAL);
  // Its own limit is the only reason to look at the file first.
  const Result<Named> name = named(context, kNoDirFd, 0);
  struct statx now {};
  if (name &&
      context.files.stat(context.caller(), name->base, name->path, FinalLink::kFollow, now)) {
    if (auto refused = past_own_limit(context, now.stx_size, static_cast<std::uint64_t>(length))) {
      return std::move(*refused);
    }
  }
  return on_name(context, kNoDirFd, 0, [&](const DirectoryRef& base, std::string_view name) {
    return context.files.truncate(context.caller(), base, name, length);
  });
}

// --- times

using Times = std::array<timespec, 2>;

constexpr Times kNow{timespec{0, UTIME_NOW}, timespec{0, UTIME_NOW}};

Result<Times> times_from_timespecs(Context& context, std::uint64_t address) {
  if (address == 0) return kNow;
  return context.memory.read_value<Times>(address);
}

Result<Times> times_from_timevals(Context& context, std::uint64_t address) {
  if (address == 0) return kNow;
  Result<std::array<timeval, 2>> read = context.memory.read_value<std::array<timeval, 2>>(address);
  if (!read) return tl::make_unexpected(read.error());
  Times times{};
  for (std::size_t i = 0; i < times.size(); ++i) {
    if ((*read)[i].tv_usec < 0 || (*read)[i].tv_usec >= 1'000'000) return fail(EINVAL, "timeval");
    times[i] = {(*read)[i].tv_sec, (*read)[i].tv_usec * 1000};
  }
  return times;
}

Result<Times> times_from_utimbuf(Context& context, std::uint64_t address) {
  if (address == 0) return kNow;
  Result<utimbuf> read = context.memory.read_value<utimbuf>(address);
  if (!read) return tl::make_unexpected(read.error());
  return Times{timespec{read->actime, 0}, timespec{read->modtime, 0}};
}

bool valid(const Times& times) {
  for (const timespec& time : times) {
    const bool special = time.tv_nsec == UTIME_NOW || time.tv_nsec == UTIME_OMIT;
    if (!special && (time.tv_nsec < 0 || time.tv_nsec > 999'999'999)) return false;
  }
  return true;
}

Answer set_times(Context& context, int dirfd, std::size_t path, const Result<Times>& times,
                 FinalLink final_link) {
  if (!times) return serve_error(times.error().code);
  if (!valid(*times)) return serve_error(EINVAL);
  return on_name(context, dirfd, path, [&](const DirectoryRef& base, std::string_view name) {
    return context.files.set_times(context.caller(), base, name, times->data(), final_link);
  });
}

Answer handle_utimensat(Context& context) {
  const int flags = context.call.int_argument(3);
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0) return serve_error(EINVAL);
  const Result<Times> times = times_from_timespecs(context, context.call.event.arguments[2]);
  const bool names_descriptor =
      context.call.event.arguments[1] == 0 && context.call.int_argument(0) != AT_FDCWD;
  if (!names_descriptor) {
    return set_times(
        context, 0, 1, times,
        (flags & AT_SYMLINK_NOFOLLOW) != 0 ? FinalLink::kNoFollow : FinalLink::kFollow);
  }
  if (!times) return serve_error(times.error().code);
  if (!valid(*times)) return serve_error(EINVAL);
  Result<vfs::FileSystem::GuestFd> fd = guest_fd(context, 0);
  if (!fd) return serve_error(fd.error().code);
  return answer(context, context.files.set_times_descriptor(context.caller(), *fd, times->data()));
}

}  // namespace

void add_change_handlers(HandlerTable& table) {
  table.add("mkdir", [](Context& c) { return make_directory(c, kNoDirFd, 0); });
  table.add("mkdirat", [](Context& c) { return make_directory(c, 0, 1); });
  table.add("mknod", [](Context& c) { return make_node(c, kNoDirFd, 0); });
  table.add("mknodat", [](Context& c) { return make_node(c, 0, 1); });
  table.add("unlink", [](Context& c) { return unlink(c, kNoDirFd, 0); });
  table.add("unlinkat", handle_unlinkat);
  table.add("rmdir", [](Context& c) { return remove_directory(c, kNoDirFd, 0); });
  table.add("rename", [](Context& c) { return rename(c, {kNoDirFd, kNoDirFd}, {0, 1}, 0); });
  table.add("renameat", [](Context& c) { return rename(c, {0, 2}, {1, 3}, 0); });
  table.add("renameat2", [](Context& c) {
    return rename(c, {0, 2}, {1, 3}, c.call.unsigned_argument(4));
  });
  table.add("link", [](Context& c) {
    return link(c, {kNoDirFd, kNoDirFd}, {0, 1}, FinalLink::kNoFollow);
  });
  table.add("linkat", handle_linkat);
  table.add("symlink", [](Context& c) { return symlink(c, kNoDirFd, 1); });
  table.add("symlinkat", [](Context& c) { return symlink(c, 1, 2); });
  table.add("chmod", [](Context& c) { return change_mode(c, kNoDirFd, 0, FinalLink::kFollow); });
  table.add("fchmodat", [](Context& c) { return change_mode(c, 0, 1, FinalLink::kFollow); });
  table.add("fchmodat2", handle_fchmodat2);
  table.add("chown", [](Context& c) { return change_owner(c, kNoDirFd, 0, FinalLink::kFollow); });
  table.add("lchown",
            [](Context& c) { return change_owner(c, kNoDirFd, 0, FinalLink::kNoFollow); });
  table.add("fchownat", handle_fchownat);
  table.add("truncate", handle_truncate);
  table.add("utime", [](Context& c) {
    return set_times(c, kNoDirFd, 0, times_from_utimbuf(c, c.call.event.arguments[1]),
                     FinalLink::kFollow);
  });
  table.add("utimes", [](Context& c) {
    return set_times(c, kNoDirFd, 0, times_from_timevals(c, c.call.event.arguments[1]),
                     FinalLink::kFollow);
  });
  table.add("futimesat", [](Context& c) {
    return set_times(c, 0, 1, times_from_timevals(c, c.call.event.arguments[2]),
                     FinalLink::kFollow);
  });
  table.add("utimensat", handle_utimensat);
}

}  // namespace vitrine::syscalls
