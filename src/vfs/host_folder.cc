#include "vfs/host_folder.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <utility>

#include "base/feature.h"
#include "vfs/memory_file.h"
#include "vfs/pass_on.h"
#include "vfs/path.h"

namespace vitrine::vfs {
namespace {

constexpr int kLookFlags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
constexpr int kOpenFlags = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
// EAGAIN means that a rename raced with the walk (openat2(2)); without ".." it cannot last.
constexpr int kMaxRaces = 16;
// For how long an opened folder is believed to be what its path names: a folder that the host moves
// meanwhile is seen where it was, as by a call that had begun before.
constexpr Nanoseconds kBelieved = std::chrono::milliseconds(20);
constexpr std::size_t kMaxKnown = 64;  // each is a descriptor of the supervisor

bool may_access_handle(int fd, int mode) {
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

}  // namespace

Result<std::string> read_link_at(int folder, const char* name) {
  std::array<char, PATH_MAX> target{};
  const ssize_t length = ::readlinkat(folder, name, target.data(), target.size());
  if (length < 0) return fail_errno("readlinkat");
  return std::string(target.data(), static_cast<std::size_t>(length));
}

// `flags` with O_PATH, or such that opening waits for nothing.
Result<UniqueFd> HostFile::open_again(int flags) const {
  // A mount of a file has no folder and no name to be opened by, and cannot be replaced.
  if (name_.empty() && type_of(attributes_) != S_IFDIR) {
    if ((flags & O_PATH) == 0) return reopen(folder_, flags & ~O_NOFOLLOW);
    UniqueFd same(::fcntl(folder_, F_DUPFD_CLOEXEC, 3));
    return same ? Result<UniqueFd>(std::move(same)) : fail_errno("F_DUPFD");
  }
  UniqueFd fd(::openat(folder_, name_.empty() ? "." : name_.c_str(), flags));
  if (!fd) return fail_errno("openat");
  const auto now = attributes_of(fd.get());
  if (!now) return pass_on(now.error());
  if (type_of(*now) != type_of(attributes_) || HostFolders::is_host_proc(fd.get(), *now))
    return fail(ENOENT, "replaced while it was looked at");
  return fd;
}

Result<UniqueFd> HostFile::handle() const { return open_again(kLookFlags); }

Result<UniqueFd> HostFile::open(int flags) const {
  if (type_of(attributes_) != S_IFREG) return fail(EACCES, "open");
  auto fd = open_again(flags | kOpenFlags);
  if (!fd) return fd;
  if ((flags & O_NONBLOCK) == 0 && ::fcntl(fd->get(), F_SETFL, flags & O_NOATIME) != 0)
    return fail_errno("F_SETFL");
  return fd;
}

Result<UniqueFd> HostFile::open_folder() const {
  return open_again(O_RDONLY | O_DIRECTORY | kOpenFlags);
}

Result<std::string> HostFile::target_of_link() const {
  return read_link_at(folder_, name_.c_str());
}

bool HostFile::may_access(int mode) const {
  const auto fd = handle();
  return fd && may_access_handle(fd->get(), mode);
}

bool HostFolders::is_host_proc(int fd, const Attributes& attributes) {
  if (attributes.stx_dev_major != 0) return false;  // a disk's
  struct statfs seen {};
  return ::fstatfs(fd, &seen) != 0 || seen.f_type == PROC_SUPER_MAGIC;
}

// The same of what is only looked at: opened for that where its device was not met just now.
bool HostFolders::is_of_host_proc(const HostFile& file) {
  const Attributes& attributes = file.attributes_;
  const Nanoseconds now = monotonic_now();
  const bool met = device_of(attributes) == met_ && now - met_at_ < kBelieved;
  if (met || attributes.stx_dev_major != 0) return false;
  const UniqueFd fd(::openat(file.folder_, file.name_.c_str(), kLookFlags));
  if (!fd || is_host_proc(fd.get(), attributes)) return true;
  met_ = device_of(attributes);
  met_at_ = now;
  return false;
}

Result<HostFile> HostFolders::look(const HostRoot& mount, std::string_view below) {
  HostFile file;
  file.folder_ = mount.fd();
  const auto slash = below.rfind('/');
  if (slash != std::string_view::npos) {
    auto folder = folder_at(mount, below.substr(0, slash));
    if (!folder) return pass_on(folder.error());
    file.owner_ = std::move(*folder);
    file.folder_ = file.owner_->get();
    below.remove_prefix(slash + 1);
  }
  file.name_ = below;
  auto attributes = below.empty() ? attributes_of(mount.fd())
                                  : attributes_at(file.folder_, file.name_.c_str(), false);
  if (!attributes) return pass_on(attributes.error());
  file.attributes_ = *attributes;
  const bool of_proc =
      below.empty() ? is_host_proc(mount.fd(), *attributes) : is_of_host_proc(file);
  if (of_proc) return fail(ENOENT, "host /proc");
  return file;
}

Result<std::shared_ptr<const UniqueFd>> HostFolders::folder_at(const HostRoot& mount,
                                                               std::string_view below) {
  const Nanoseconds now = monotonic_now();
  Folders& folders = known_[mount.serial()];
  const auto found = folders.find(below);
  if (found != folders.end() && now - found->second.opened < kBelieved) return found->second.fd;
  std::string path(below);
  auto fd = open_path(mount.fd(), path);
  if (!fd) return pass_on(fd.error());
  const auto attributes = attributes_of(fd->get());
  if (!attributes) return pass_on(attributes.error());
  if (type_of(*attributes) == S_IFLNK) return fail(ELOOP, "lookup");
  if (type_of(*attributes) != S_IFDIR) return fail(ENOTDIR, "lookup");
  if (is_host_proc(fd->get(), *attributes)) return fail(ENOENT, "host /proc");
  met_ = device_of(*attributes);
  met_at_ = now;
  if (known_count_ >= kMaxKnown) {
    known_.clear();
    known_count_ = 0;
  }
  const auto shared = std::make_shared<const UniqueFd>(std::move(*fd));
  const bool added =
      known_[mount.serial()].insert_or_assign(std::move(path), Known{shared, now}).second;
  if (added) ++known_count_;
  return shared;
}

Result<UniqueFd> HostFolders::open_path(int mount, const std::string& below) {
  if (!use_openat2_) return open_by_components(mount, below);
  open_how how{};
  how.flags = kLookFlags;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;
  for (int race = 0; race < kMaxRaces; ++race) {
    UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, mount, below.c_str(), &how, sizeof how)));
    if (fd) return fd;
    if (errno == EAGAIN || errno == EINTR) continue;
    if (errno != ENOSYS && errno != EPERM) return fail_errno("openat2");
    use_openat2_ = false;
    return open_by_components(mount, below);
  }
  return fail(EAGAIN, "openat2");
}

Result<UniqueFd> HostFolders::open_by_components(int mount, const std::string& below) {
  UniqueFd at;
  for (PathReader reader(below); const auto name = reader.next();) {
    const std::string text(*name);
    UniqueFd next(::openat(at ? at.get() : mount, text.c_str(), kLookFlags));
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

}  // namespace vitrine::vfs
