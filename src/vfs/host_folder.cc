#include "vfs/host_folder.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>

#include "base/feature.h"
#include "vfs/path.h"

namespace vitrine::vfs {
namespace {

constexpr int kLookFlags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
// EAGAIN means that a rename raced with the walk (openat2(2)); without ".." it cannot last.
constexpr int kMaxRaces = 16;

}  // namespace

Result<UniqueFd> HostFolders::open_path(int folder, const std::string& below) const {
  if (below.empty()) {
    UniqueFd same(::openat(folder, ".", kLookFlags));
    if (same) return same;
    if (errno != ENOTDIR) return fail_errno("openat");
    UniqueFd file(::fcntl(folder, F_DUPFD_CLOEXEC, 3));  // a mount of a file
    if (!file) return fail_errno("F_DUPFD");
    return file;
  }
  if (!use_openat2_) return open_by_components(folder, below);
  open_how how{};
  how.flags = kLookFlags;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;
  for (int race = 0; race < kMaxRaces; ++race) {
    UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, folder, below.c_str(), &how, sizeof how)));
    if (fd) return fd;
    if (errno == EAGAIN || errno == EINTR) continue;
    if (errno != ENOSYS && errno != EPERM) return fail_errno("openat2");
    use_openat2_ = false;
    return open_by_components(folder, below);
  }
  return fail(EAGAIN, "openat2");
}

Result<UniqueFd> HostFolders::open_by_components(int folder, const std::string& below) {
  UniqueFd at;
  for (PathReader reader(below); const auto name = reader.next();) {
    const std::string text(*name);
    UniqueFd next(::openat(at ? at.get() : folder, text.c_str(), kLookFlags));
    if (!next) {
      // A link that is not the last component was opened as itself: it has nothing below it.
      const int code = errno;
      char probe = 0;
      const bool link = code == ENOTDIR && at && ::readlinkat(at.get(), "", &probe, 1) >= 0;
      return fail(link ? ELOOP : code, "openat");
    }
    at = std::move(next);
  }
  return at;
}

bool may_access(int fd, int mode) {
  const bool absent = is_taken_away(Feature::kFaccessat2);
  if (!absent && ::syscall(SYS_faccessat2, fd, "", mode, AT_EMPTY_PATH | AT_EACCESS) == 0) {
    return true;
  }
  if (!absent && errno == EACCES) return false;
  // Before Linux 5.8, and below filters that do not know it: by the real ids, which are the same or
  // may do less.
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  return ::syscall(SYS_faccessat, AT_FDCWD, path.c_str(), mode) == 0;
}

Result<std::string> read_link_of(int fd) {
  std::array<char, PATH_MAX> target{};
  const ssize_t length = ::readlinkat(fd, "", target.data(), target.size());
  if (length < 0) return fail_errno("readlinkat");
  return std::string(target.data(), static_cast<std::size_t>(length));
}

}  // namespace vitrine::vfs
