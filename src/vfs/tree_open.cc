// open(2) on every kind of node.
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <sstream>
#include <utility>

#include "vfs/memory_file.h"
#include "vfs/pass_on.h"
#include "vfs/path.h"
#include "vfs/tree_filesystem.h"

namespace vitrine::vfs {
namespace {

constexpr DeviceNumber kTerminals{5, 2};       // /dev/ptmx
constexpr std::uint32_t kTerminalMajor = 136;  // /dev/pts/N (linux/major.h, UNIX98_PTY_SLAVE_MAJOR)

bool wants_write(int flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0; }

// What access(2) would be asked for these flags.
int access_mask(int flags) {
  const int mode = flags & O_ACCMODE;
  int mask = mode == O_RDONLY ? R_OK : mode == O_WRONLY ? W_OK : R_OK | W_OK;
  if ((flags & O_TRUNC) != 0) mask |= W_OK;
  return mask;
}

// Field 7 of proc_pid_stat(5), in the kernel's encoding (new_encode_dev, linux/kdev_t.h).
std::optional<DeviceNumber> controlling_terminal(pid_t tgid) {
  const UniqueFd file(
      ::open(("/proc/" + std::to_string(tgid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC));
  std::string text(1024, '\0');
  const ssize_t size = file ? ::read(file.get(), text.data(), text.size()) : -1;
  if (size <= 0) return std::nullopt;
  text.resize(static_cast<std::size_t>(size));
  std::istringstream fields(text.substr(std::min(text.rfind(')') + 1, text.size())));
  std::string state;
  int parent = 0;
  int group = 0;
  int session = 0;
  std::int32_t number = 0;
  if (!(fields >> state >> parent >> group >> session >> number)) return std::nullopt;
  const auto encoded = static_cast<std::uint32_t>(number);
  return DeviceNumber{(encoded >> 8) & 0xfff, (encoded & 0xff) | ((encoded >> 12) & 0xfff00)};
}

// Whether `path` in /dev/pts is the other end of the new terminal `master`. The kernel makes it in
// the devpts that /dev/ptmx is of, if it is of one, and at "pts" beside it else (devpts_acquire,
// fs/devpts/inode.c). Where another is mounted at /dev/pts, the number is somebody else's there.
bool is_other_end(const std::string& path, int master) {
  const auto named = attributes_at(AT_FDCWD, path.c_str(), false);
  struct statfs of_master {};
  if (!named || ::fstatfs(master, &of_master) != 0) return false;
  if (of_master.f_type != DEVPTS_SUPER_MAGIC) return true;
  const auto made = attributes_of(master);
  return made && device_of(*made) == device_of(*named);
}

// Whether the fdinfo of this descriptor has the line. That of others than terminals is not read: it
// may be as long as the program likes.
bool is_terminal_that_tells(int proc_fd_dir, const std::string& name, const std::string& line) {
  const auto seen = attributes_at(proc_fd_dir, name.c_str(), true);
  if (!seen || type_of(*seen) != S_IFCHR ||
      DeviceNumber{seen->stx_rdev_major, seen->stx_rdev_minor} != kTerminals)
    return false;
  const UniqueFd info(::openat(proc_fd_dir, ("../fdinfo/" + name).c_str(), O_RDONLY | O_CLOEXEC));
  std::string text(1024, '\0');
  const ssize_t size = info ? ::read(info.get(), text.data(), text.size()) : -1;
  if (size < 0) return false;
  text.resize(static_cast<std::size_t>(size));
  return text.find(line) != std::string::npos;
}

}  // namespace

int granted_flags(int flags) {
  // O_DIRECT has no meaning for memory files and O_ASYNC would be a road for signals.
  return flags & (O_ACCMODE | O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC);
}

Result<Opened> TreeFileSystem::open(const Caller& caller, const DirectoryRef& base,
                                    std::string_view path, int flags, mode_t mode) {
  if ((flags & O_PATH) != 0) flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  const bool nameless = (flags & O_TMPFILE) == O_TMPFILE;
  if ((flags & O_CREAT) != 0 && !nameless) {
    if ((flags & O_DIRECTORY) != 0) return fail(EINVAL, "open");
    return open_or_create(caller, base, path, flags, mode);
  }
  const auto final = (flags & O_NOFOLLOW) != 0 ? FinalLink::kNoFollow : FinalLink::kFollow;
  auto place = resolver_.resolve(caller, base->place(), path, final);
  if (!place) return pass_on(place.error());
  if (nameless) return open_nameless(caller, *place, flags, mode);
  return open_place(caller, std::move(*place), flags);
}

Result<Opened> TreeFileSystem::open_place(const Caller& caller, Place place, int flags) {
  const bool path_only = (flags & O_PATH) != 0;
  if (place.is_link() && (flags & O_DIRECTORY) != 0) return fail(ENOTDIR, "open");
  if (place.is_link() && !path_only) return fail(ELOOP, "open");
  if (place.is_folder()) return open_folder(std::move(place), flags);
  if ((flags & O_DIRECTORY) != 0) return fail(ENOTDIR, "open");
  if (place.descriptor() != nullptr) return open_descriptor(caller, *place.descriptor(), flags);
  if (path_only) return open_path_only(std::move(place));
  if (place.scratch()) return open_scratch_file(place.scratch(), flags);
  if (place.host() != nullptr) return open_host_file(place, flags);
  if (place.is_fixed() && place.mount->kind == MountNode::Kind::kDevice) {
    constexpr DeviceNumber kOwnTerminal{5, 0};  // /dev/tty
    if (place.mount->device.number == kOwnTerminal) return open_own_terminal(caller, flags);
    return open_device(*place.mount, flags);
  }
  return open_synthetic(caller, std::move(place), flags);
}

Result<Opened> TreeFileSystem::open_folder(Place place, int flags) {
  const bool path_only = (flags & O_PATH) != 0;
  if ((flags & O_CREAT) != 0 || (!path_only && wants_write(flags))) return fail(EISDIR, "open");
  if (place.scratch() && !path_only && !place.scratch()->permits(R_OK)) return fail(EACCES, "open");
  std::string path = Resolver::path_of(place);
  auto fd = table_.grant_folder(std::make_shared<const Directory>(std::move(place)),
                                std::move(path), flags);
  if (!fd) return pass_on(fd.error());
  return Opened{std::move(*fd)};
}

// A host file is granted as it is: every call that takes a path or a descriptor's path is served,
// so an O_PATH descriptor gives nothing else. What no host file backs gets a placeholder.
Result<Opened> TreeFileSystem::open_path_only(Place place) {
  if (place.host() != nullptr) {
    auto handle = place.host()->seen->handle();
    if (!handle) return pass_on(handle.error());
    return Opened{std::move(*handle)};
  }
  std::string path = Resolver::path_of(place);
  auto fd = table_.grant_path(std::make_shared<const Directory>(std::move(place)), std::move(path),
                              false);
  if (!fd) return pass_on(fd.error());
  return Opened{std::move(*fd)};
}

Result<Opened> TreeFileSystem::open_host_file(const Place& place, int flags) {
  if (place.type == S_IFSOCK) return fail(ENXIO, "open");
  if (place.type != S_IFREG) return fail(EACCES, "open");
  if (wants_write(flags)) return fail(EROFS, "open");
  auto fd = place.host()->seen->open(granted_flags(flags) & ~O_APPEND);
  if (!fd) return pass_on(fd.error());
  return Opened{std::move(*fd)};
}

Result<Opened> TreeFileSystem::open_scratch_file(const ScratchNodePtr& node, int flags) {
  if (!node->is_file()) return fail(ENXIO, "open");
  if (!node->permits(access_mask(flags))) return fail(EACCES, "open");
  if ((flags & O_TRUNC) != 0)
    if (auto status = scratch_.truncate(node, 0); !status) return pass_on(status.error());
  auto fd = scratch_.open(node, granted_flags(flags));
  if (!fd) return pass_on(fd.error());
  return Opened{std::move(*fd)};
}

Result<std::string> TreeFileSystem::synthetic_content(const Place& place) {
  if (const ProcNode* proc = place.proc()) return proc_.content(*proc);
  return place.mount->file.generate(system_);
}

Result<Opened> TreeFileSystem::open_synthetic(const Caller&, Place place, int flags) {
  if (wants_write(flags)) return fail(place.proc() != nullptr ? EACCES : EROFS, "open");
  const auto content = synthetic_content(place);
  if (!content) return pass_on(content.error());
  const auto attributes = this->attributes(place);
  if (!attributes) return pass_on(attributes.error());
  std::string path = place.path;
  auto fd = table_.grant_snapshot(*content, std::make_shared<const Directory>(std::move(place)),
                                  *attributes, std::move(path));
  if (!fd) return pass_on(fd.error());
  return Opened{std::move(*fd)};
}

// Terminals are a resource of the whole host (pty(7)), and their buffers are the kernel's memory: a
// run has a few. One exists for as long as its name does, even when its only descriptor is in
// flight over a socket. A number that somebody else's terminal has by now counts as well: too many,
// not too few.
bool TreeFileSystem::may_have_another_terminal() const {
  constexpr int kMostTerminals = 32;
  // Closed at this end and open at the other, one has a number of the host's and no name any more.
  constexpr std::size_t kMostEver = 128;
  if (terminals_made_ >= kMostEver) return false;
  const MountNode* dev = tree_.root().find("dev");
  const MountNode* shown = dev == nullptr ? nullptr : dev->find("pts");
  if (shown == nullptr) return true;
  return std::ranges::count_if(shown->children, [](const auto& each) {
           return each.second->kind == MountNode::Kind::kDevice &&
                  ::access(each.second->device.host.c_str(), F_OK) == 0;
         }) < kMostTerminals;
}

// In containers /dev/ptmx is a link.
UniqueFd TreeFileSystem::find_device(const MountNode& node) {
  UniqueFd fd(::open(node.device.host.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (node.device.number != kTerminals || !fd) return fd;
  const auto direct = attributes_of(fd.get());
  if (direct && type_of(*direct) == S_IFCHR) return fd;
  return UniqueFd(::open("/dev/pts/ptmx", O_PATH | O_NOFOLLOW | O_CLOEXEC));
}

Result<Opened> TreeFileSystem::open_device(const MountNode& node, int flags) {
  if (node.device.host.empty()) return fail(ENXIO, "open");
  // A shared mapping of /dev/zero that may be written is shared anonymous memory
  // (drivers/char/mem.c, mmap_zero), which no memory file of ours would stand behind.
  constexpr DeviceNumber kZero{1, 5};
  if (node.device.number == kZero && (flags & O_ACCMODE) == O_RDWR) return fail(EACCES, "open");
  if (node.device.number == kTerminals && !may_have_another_terminal()) return fail(ENOSPC, "open");
  const UniqueFd fd = find_device(node);
  if (!fd) return fail(ENXIO, "open");
  const auto seen = attributes_of(fd.get());
  const DeviceNumber expected = node.device.number;
  if (!seen || type_of(*seen) != S_IFCHR ||
      DeviceNumber{seen->stx_rdev_major, seen->stx_rdev_minor} != expected)
    return fail(ENXIO, "open");
  auto granted = reopen(fd.get(), granted_flags(flags));
  if (!granted) return pass_on(granted.error());
  if (expected == kTerminals && !show_terminal(granted->get(), node.rule))
    return fail(ENXIO, "open");
  // The open end keeps its number from being given to another terminal of the host.
  if (expected.major == kTerminalMajor && !is_own_terminal(expected.minor))
    return fail(ENOENT, "open");
  return Opened{std::move(*granted)};
}

// The controlling terminal of the caller's session: the one that the command was started on, or one
// that the run made. ENXIO as for a process that has none (tty(4)).
Result<Opened> TreeFileSystem::open_own_terminal(const Caller& caller, int flags) {
  const auto number = controlling_terminal(caller.tgid);
  if (!number || number->major != kTerminalMajor) return fail(ENXIO, "open");
  if (const MountNode* shown = device_of_number(*number)) return open_device(*shown, flags);
  UniqueFd terminal = system_.processes->open_terminal(number->minor, granted_flags(flags));
  if (!terminal) return fail(ENXIO, "open");
  return Opened{std::move(terminal)};
}

// The other end of the new terminal `master`, under its usual name. False: it has none on the host,
// and could not be counted.
bool TreeFileSystem::show_terminal(int master, const std::string& rule) {
  unsigned number = 0;
  if (::ioctl(master, TIOCGPTN, &number) != 0) return false;
  const std::string path = "/dev/pts/" + std::to_string(number);
  if (!is_other_end(path, master)) return false;
  MountNode& node = tree_.at(path);
  MountTree::cover(node, MountNode::Kind::kDevice, rule);
  node.device.number = {kTerminalMajor, number};
  node.device.host = path;
  ++terminals_made_;
  return true;
}

// Whether a process of the run holds the terminal with this number: /proc/PID/fdinfo tells it of
// its /dev/ptmx descriptors.
bool TreeFileSystem::is_own_terminal(unsigned number) const {
  const std::string line = "tty-index:\t" + std::to_string(number) + "\n";
  for (const pid_t process : system_.processes->processes()) {
    const std::string folder = "/proc/" + std::to_string(process) + "/fd";
    const UniqueFd fds(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const auto entries = fds ? list_host_folder(fds.get()) : Result<std::vector<ListEntry>>{};
    if (!entries) continue;
    for (const ListEntry& entry : *entries)
      if (is_terminal_that_tells(fds.get(), entry.name, line)) return true;
  }
  return false;
}

Result<Opened> TreeFileSystem::open_nameless(const Caller& caller, const Place& folder, int flags,
                                             mode_t mode) {
  if (!folder.is_folder()) return fail(ENOTDIR, "open");
  if ((flags & O_ACCMODE) == O_RDONLY) return fail(EINVAL, "open");
  if (!folder.scratch()) return fail(EROFS, "open");
  auto node = scratch_.create_nameless(folder.scratch(), mode & ~caller.umask & 07777);
  if (!node) return pass_on(node.error());
  (*node)->linkable = (flags & O_EXCL) == 0;
  auto fd = scratch_.open(*node, granted_flags(flags));
  if (!fd) return pass_on(fd.error());
  return Opened{std::move(*fd), true};
}

Result<Opened> TreeFileSystem::create_file(const Caller& caller, const ParentAndName& at, int flags,
                                           mode_t mode) {
  auto folder = folder_for_new_name(caller, at, false);
  if (!folder) return pass_on(folder.error());
  auto node = scratch_.create(*folder, at.name, S_IFREG | (mode & ~caller.umask));
  if (!node) return pass_on(node.error());
  // The creator may write whatever the mode says (open(2)).
  auto fd = scratch_.open(*node, granted_flags(flags));
  if (!fd) {
    (void)scratch_.unlink(*folder, at.name);
    return pass_on(fd.error());
  }
  return Opened{std::move(*fd), true};
}

Result<Opened> TreeFileSystem::open_or_create(const Caller& caller, const DirectoryRef& base,
                                              std::string_view path, int flags, mode_t mode) {
  Place at = base->place().copy();
  std::string pending(path);
  for (int links = 0; links <= kMaxLinks; ++links) {
    auto parent = resolver_.resolve_parent(caller, at, pending);
    if (!parent) return pass_on(parent.error());
    if (parent->last != ParentAndName::Last::kName)
      return fail((flags & O_EXCL) != 0 ? EEXIST : EISDIR, "open");
    if (parent->trailing_slash) return fail(EISDIR, "open");
    auto place = resolver_.child(caller, parent->folder, parent->name);
    if (!place && place.error().code != ENOENT) return pass_on(place.error());
    if (!place) return create_file(caller, *parent, flags, mode);
    if (auto status = resolver_.verify(*place); !status) return pass_on(status.error());
    const bool follows = place->is_link() && (flags & (O_EXCL | O_NOFOLLOW)) == 0;
    resolver_.saw(follows ? Sighting::Kind::kLink : Sighting::Kind::kFound, *place);
    if ((flags & O_EXCL) != 0) return fail(EEXIST, "open");
    if (!place->is_link() || (flags & O_NOFOLLOW) != 0)
      return open_place(caller, std::move(*place), flags);
    if (place->proc() != nullptr && place->proc()->kind == ProcNode::Kind::kFd) {
      auto target = resolver_.follow_descriptor(*place->proc());
      if (!target) return pass_on(target.error());
      return open_place(caller, std::move(*target), flags);
    }
    auto target = resolver_.target_of(caller, *place);
    if (!target) return pass_on(target.error());
    at = std::move(parent->folder);
    pending = std::move(*target);
  }
  return fail(ELOOP, "open");
}

// Opening /proc/PID/fd/N again: never gives more access than the descriptor, or its path, has.
Result<Opened> TreeFileSystem::open_descriptor(const Caller& caller, const DescriptorPlace& place,
                                               int flags) {
  const std::string number = std::to_string(place.number);
  const UniqueFd fds = open_descriptors_of(place.tid);
  if (!fds) return fail(ENOENT, "open");
  auto described = describe({fds.get(), place.number});
  if (!described) return fail(ENOENT, "open");
  if (described->node) {
    if ((flags & O_PATH) != 0) return fail(EACCES, "open");
    return open_scratch_file(described->node, flags);
  }
  if (described->entry != nullptr) {
    Place origin = described->entry->place->place().copy();
    if (auto status = resolver_.verify(origin); !status) return pass_on(status.error());
    return open_place(caller, std::move(origin), flags);
  }
  // One that stands behind a shared mapping: whoever held it by another road than a mapping would
  // hold its memory unseen.
  if (shared_.contains(described->seen.stx_ino)) return fail(EACCES, "open");
  if (described->device != nullptr && (flags & O_PATH) == 0)
    return open_device(*described->device, flags);
  const auto link = attributes_at(fds.get(), number.c_str(), false);
  if (!link) return fail(ENOENT, "open");
  const mode_t type = type_of(described->seen);
  if ((flags & O_PATH) != 0) {
    UniqueFd name(::openat(fds.get(), number.c_str(), O_PATH | O_CLOEXEC));
    if (!name) return fail_errno("open");
    return Opened{std::move(name)};
  }
  if (type == S_IFSOCK) return fail(ENXIO, "open");
  // The link's own bits are the descriptor's access mode (proc_pid_fd(5)).
  const int allowed =
      ((link->stx_mode & 0400) != 0 ? R_OK : 0) | ((link->stx_mode & 0200) != 0 ? W_OK : 0);
  if ((access_mask(flags) & ~allowed) != 0) return fail(type == S_IFREG ? EROFS : EACCES, "open");
  UniqueFd fd(::openat(fds.get(), number.c_str(),
                       granted_flags(flags) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd) return fail_errno("open");
  if ((flags & O_NONBLOCK) == 0 && ::fcntl(fd.get(), F_SETFL, flags & O_APPEND) != 0)
    return fail_errno("F_SETFL");
  return Opened{std::move(fd)};
}

Result<UniqueFd> TreeFileSystem::open_program(const Caller& caller, const DirectoryRef& base,
                                              std::string_view path) {
  auto place = resolver_.resolve(caller, base->place(), path, FinalLink::kFollow);
  if (!place) return pass_on(place.error());
  if (place->host() == nullptr || place->type != S_IFREG) return fail(EACCES, "execve");
  if (!place->host()->seen->may_access(X_OK)) return fail(EACCES, "execve");
  return place->host()->seen->handle();
}

}  // namespace vitrine::vfs
