#include "vfs/host_presence.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <fstream>
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

// Spaces, tabs, newlines and backslashes stand as \040 and so on.
std::string unescape_mount(std::string_view text) {
  constexpr std::size_t kDigits = 3;
  std::string made;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned byte = 0;
    const char* const digits = text.data() + i + 1;
    const bool escaped = text[i] == '\\' && i + kDigits < text.size() &&
                         std::from_chars(digits, digits + kDigits, byte, 8).ptr == digits + kDigits;
    made += escaped ? static_cast<char>(byte) : text[i];
    if (escaped) i += kDigits;
  }
  return made;
}

// The id that mountinfo has for what `fd` is open on; "" where the kernel does not say. Unlike
// stat(2), this asks no file system.
std::string mount_id_of(int fd) {
  std::ifstream info("/proc/self/fdinfo/" + std::to_string(fd));
  for (std::string word; info >> word;) {
    if (word == "mnt_id:" && info >> word) return word;
  }
  return "";
}

// Where openat2(2) is missing: name by name, and neither a link nor into another mount, as either
// may lead anywhere.
bool may_have_below(int folder, const std::string& below) {
  const std::string mount = mount_id_of(folder);
  UniqueFd at(::fcntl(folder, F_DUPFD_CLOEXEC, 0));
  std::istringstream names(below);
  for (std::string name; std::getline(names, name, '/');) {
    if (name.empty()) continue;
    at = UniqueFd(::openat(at.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!at) return !is_missing(errno);
    if (mount_id_of(at.get()) != mount) return true;
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
  mounts_.clear();
  std::ifstream table(mount_info_);
  for (std::string line; std::getline(table, line);) {
    std::string id, parent, device, root, path, type;
    std::istringstream(line) >> id >> parent >> device >> root >> path;
    const std::size_t separator = line.find(" - ");
    if (separator != std::string::npos) std::istringstream(line.substr(separator + 3)) >> type;
    mounts_.push_back({unescape_mount(path), id, is_local(type)});
  }
}

const HostPresence::Mount* HostPresence::local_mount_of(std::string_view path) const {
  const Mount* innermost = nullptr;
  for (const Mount& mount : mounts_) {
    if (!is_within(path, mount.path)) continue;
    if (!mount.local && mount.path != "/") return nullptr;
    // Of two at one place the later one hides the other.
    if (innermost == nullptr || innermost->path.size() <= mount.path.size()) innermost = &mount;
  }
  return innermost;
}

int HostPresence::open_mount_of(std::string_view path, std::string& mount) {
  constexpr std::size_t kMostKept = 16;
  const Mount* known = local_mount_of(path);
  if (known == nullptr || !opened_.contains(known->path)) {
    read_mounts();
    known = local_mount_of(path);
  }
  if (known == nullptr) return -1;
  mount = known->path;
  if (const auto found = opened_.find(mount); found != opened_.end()) return found->second.get();
  UniqueFd folder(::open(mount.c_str(), O_PATH | O_CLOEXEC));
  if (!folder) return -1;
  // Something else was mounted there meanwhile.
  const std::string id = mount_id_of(folder.get());
  if (!id.empty() && id != known->id) return -1;
  if (opened_.size() >= kMostKept) opened_.clear();
  return opened_.emplace(mount, std::move(folder)).first->second.get();
}

bool HostPresence::may_have(const std::string& path) {
  if (use_openat2_) {
    const Found found = look(AT_FDCWD, path);
    if (found != Found::kOtherMount) return found == Found::kYes;
  }
  if (has_dot_dot(path)) return true;
  std::string mount;
  const int folder = open_mount_of(path, mount);
  if (folder < 0 || path.size() <= mount.size()) return true;
  const std::string below = path.substr(mount == "/" ? 1 : mount.size() + 1);
  if (!use_openat2_) return may_have_below(folder, below);
  return look(folder, below) != Found::kNo;
}

}  // namespace vitrine::vfs
