#include "vfs/attributes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include <cerrno>

#include "base/feature.h"

namespace vitrine::vfs {
namespace {

bool extended_stat(int dirfd, const char* name, int flags, Attributes& out) {
  return !fails_as_absent(Feature::kStatx, EPERM) &&
         ::statx(dirfd, name, flags, kAttributeMask, &out) == 0;
}

Attributes from_stat(const struct stat& from) {
  Attributes to{};
  to.stx_mask = STATX_BASIC_STATS;
  to.stx_dev_major = ::major(from.st_dev);
  to.stx_dev_minor = ::minor(from.st_dev);
  to.stx_ino = from.st_ino;
  to.stx_nlink = static_cast<std::uint32_t>(from.st_nlink);
  to.stx_mode = static_cast<std::uint16_t>(from.st_mode);
  to.stx_uid = from.st_uid;
  to.stx_gid = from.st_gid;
  to.stx_rdev_major = ::major(from.st_rdev);
  to.stx_rdev_minor = ::minor(from.st_rdev);
  to.stx_size = static_cast<std::uint64_t>(from.st_size);
  to.stx_blksize = static_cast<std::uint32_t>(from.st_blksize);
  to.stx_blocks = static_cast<std::uint64_t>(from.st_blocks);
  to.stx_atime = to_statx(from.st_atim);
  to.stx_mtime = to_statx(from.st_mtim);
  to.stx_ctime = to_statx(from.st_ctim);
  return to;
}

// Without setting off an automount, which would block. gVisor has none and refuses to be told so.
// Filters that are older than statx(2) answer it with EPERM, upon which glibc gives up.
Result<Attributes> look(int dirfd, const char* name, int flags) {
  Attributes result{};
  if (extended_stat(dirfd, name, flags | AT_NO_AUTOMOUNT, result)) return result;
  if (errno == EINVAL && extended_stat(dirfd, name, flags, result)) return result;
  if (errno != EPERM) return fail_errno("statx");
  struct stat found {};
  if (::fstatat(dirfd, name, &found, flags | AT_NO_AUTOMOUNT) != 0) return fail_errno("fstatat");
  return from_stat(found);
}

}  // namespace

statx_timestamp to_statx(const timespec& time) {
  statx_timestamp result{};
  result.tv_sec = time.tv_sec;
  result.tv_nsec = static_cast<std::uint32_t>(time.tv_nsec);
  return result;
}

timespec to_timespec(const statx_timestamp& time) {
  return {.tv_sec = static_cast<time_t>(time.tv_sec), .tv_nsec = static_cast<long>(time.tv_nsec)};
}

timespec now() {
  timespec result{};
  // The clock that the kernel stamps inodes with.
  ::clock_gettime(CLOCK_REALTIME_COARSE, &result);
  return result;
}

Result<Attributes> attributes_of(int fd) { return look(fd, "", AT_EMPTY_PATH); }

Result<Attributes> attributes_at(int dirfd, const char* name, bool follow) {
  return look(dirfd, name, follow ? 0 : AT_SYMLINK_NOFOLLOW);
}

Attributes synthetic_attributes(mode_t mode, std::uint64_t inode, std::uint64_t size,
                                const Identity& identity, const timespec& time) {
  Attributes result{};
  result.stx_mask = kAttributeMask;
  result.stx_blksize = 4096;
  result.stx_nlink = S_ISDIR(mode) ? 2 : 1;
  result.stx_uid = identity.uid;
  result.stx_gid = identity.gid;
  result.stx_mode = static_cast<std::uint16_t>(mode);
  result.stx_ino = inode;
  result.stx_size = size;
  result.stx_blocks = (size + 511) / 512;
  result.stx_atime = result.stx_btime = result.stx_ctime = result.stx_mtime = to_statx(time);
  result.stx_dev_major = kSyntheticDevice.major;
  result.stx_dev_minor = kSyntheticDevice.minor;
  return result;
}

void hide_owner(Attributes& attributes, const Identity& identity) {
  if (attributes.stx_uid != 0) attributes.stx_uid = identity.uid;
  if (attributes.stx_gid != 0) attributes.stx_gid = identity.gid;
}

std::uint64_t inode_for(std::string_view path, std::uint64_t seed) {
  std::uint64_t hash = 0xcbf29ce484222325ULL ^ seed;  // FNV-1a
  for (const char c : path) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  hash ^= hash >> 29;
  return (hash & 0x7fffffffffffULL) | 0x400000000000ULL;  // never 0, never small
}

}  // namespace vitrine::vfs
