#include "vfs/host_presence.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <mntent.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <sstream>

#include "base/path.h"

namespace vitrine::vfs {
namespace {

// Nothing but this kernel stands between a look and its answer.
bool is_local(std::string_view type) {
  constexpr std::array<std::string_view, 33> kLocal = {
      "bcachefs", "binfmt_misc", "bpf",       "btrfs",      "cgroup",   "cgroup2", "configfs",
      "debugfs",  "devpts",      "devtmpfs",  "erofs",      "exfat",    "ext2",    "ext3",
      "ext4",     "f2fs",        "hugetlbfs", "iso9660",    "mqueue",   "overlay", "proc",
      "pstore",   "ramfs",       "rootfs",    "securityfs", "squashfs", "sysfs",   "tmpfs",
      "tracefs",  "vfat",        "xfs",       "zfs",        "fusectl"};
  return std::ranges::find(kLocal, type) != kLocal.end();
}

bool is_missing(int error) { return error == ENOENT || error == ENOTDIR; }

// Where openat2(2) is missing: name by name, and a link is not followed, as it may lead anywhere.
bool may_have_below(int folder, const std::string& below) {
  UniqueFd at(::fcntl(folder, F_DUPFD_CLOEXEC, 0));
  std::istringstream names(below);
  for (std::string name; std::getline(names, name, '/');) {
    if (name.empty()) continue;
    at = UniqueFd(::openat(at.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!at) return !is_missing(errno);
    struct stat seen {};
    if (::fstat(at.get(), &seen) != 0 || S_ISLNK(seen.st_mode)) return true;
  }
  return true;
}

}  // namespace

HostPresence::Found HostPresence::look(int folder, const std::string& below) const {
  open_how how{};
  how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS;
  const UniqueFd found(
      static_cast<int>(::syscall(SYS_openat2, folder, below.c_str(), &how, sizeof how)));
  if (found) return Found::kYes;
  if (errno == EXDEV) return Found::kOtherMount;
  return is_missing(errno) ? Found::kNo : Found::kYes;
}

void HostPresence::read_mounts() {
  struct Close {
    void operator()(FILE* file) const { ::endmntent(file); }
  };
  const std::unique_ptr<FILE, Close> table(::setmntent(mount_table_.c_str(), "re"));
  mounts_.emplace();
  mntent entry{};
  std::array<char, 16384> buffer{};
  while (table &&
         ::getmntent_r(table.get(), &entry, buffer.data(), static_cast<int>(buffer.size())))
    mounts_->push_back({entry.mnt_dir, is_local(entry.mnt_type)});
}

std::optional<std::string> HostPresence::local_mount_of(std::string_view path) {
  if (!mounts_) read_mounts();
  std::optional<std::string> innermost;
  for (const Mount& mount : *mounts_) {
    if (!is_within(path, mount.path)) continue;
    if (!mount.local && mount.path != "/") return std::nullopt;
    if (!innermost || innermost->size() < mount.path.size()) innermost = mount.path;
  }
  return innermost;
}

bool HostPresence::may_have(const std::string& path) {
  if (use_openat2_) {
    const Found found = look(AT_FDCWD, path);
    if (found != Found::kOtherMount) return found == Found::kYes;
  }
  if (has_dot_dot(path)) return true;
  const auto mount = local_mount_of(path);
  if (!mount) return true;
  const UniqueFd folder(::open(mount->c_str(), O_PATH | O_CLOEXEC));
  if (!folder || path.size() <= mount->size()) return true;
  const std::string below = path.substr(*mount == "/" ? 1 : mount->size() + 1);
  if (!use_openat2_) return may_have_below(folder.get(), below);
  return look(folder.get(), below) != Found::kNo;
}

}  // namespace vitrine::vfs
