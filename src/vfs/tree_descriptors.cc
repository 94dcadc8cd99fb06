// Calls on the guest's descriptors. A descriptor is what the kernel says it is: memory files of
// ours are found by inode in the tables, anything else is described as the kernel describes it.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <unordered_map>
#include <utility>

#include "vfs/memory_file.h"
#include "vfs/pass_on.h"
#include "vfs/path.h"
#include "vfs/tree_filesystem.h"

namespace vitrine::vfs {
namespace {

std::uint8_t entry_type(mode_t type) { return static_cast<std::uint8_t>(IFTODT(type)); }

}  // namespace

UniqueFd open_descriptors_of(pid_t tid) {
  const std::string path = "/proc/" + std::to_string(tid) + "/fd";
  return UniqueFd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

Result<TreeFileSystem::Described> TreeFileSystem::describe(GuestFd fd) {
  if (fd.number < 0) return fail(EBADF, "fstat");
  auto seen = attributes_at(fd.proc_fd_dir, std::to_string(fd.number).c_str(), true);
  if (!seen) return fail(seen.error().code == ENOENT ? EBADF : seen.error().code, "fstat");
  Described result;
  result.seen = *seen;
  result.entry = table_.find(*seen);
  if (result.entry != nullptr) return result;
  if (table_.is_memory_file(*seen)) {
    result.node = scratch_.node_of_memory_file(seen->stx_ino);
  } else if (type_of(*seen) == S_IFCHR) {
    result.device = device_of_number({seen->stx_rdev_major, seen->stx_rdev_minor});
  }
  return result;
}

const MountNode* TreeFileSystem::device_of_number(DeviceNumber number) const {
  const MountNode* dev = tree_.root().find("dev");
  if (dev == nullptr) return nullptr;
  for (const MountNode* folder : {dev, dev->find("pts")}) {
    if (folder == nullptr) continue;
    for (const auto& [name, node] : folder->children)
      if (node->kind == MountNode::Kind::kDevice && node->device.number == number)
        return node.get();
  }
  return nullptr;
}

Result<Attributes> TreeFileSystem::attributes_of_described(const Described& described) {
  if (described.node) return scratch_.attributes(*described.node);
  if (described.device != nullptr) return fixed_attributes(*described.device);
  if (described.entry != nullptr) {
    if (described.entry->attributes.stx_mask != 0) return described.entry->attributes;
    Place place = described.entry->place->place().copy();
    if (auto status = resolver_.verify(place); !status) return pass_on(status.error());
    return attributes(place);
  }
  Attributes result = described.seen;
  hide_owner(result, options_.identity);
  return result;
}

Status TreeFileSystem::stat_descriptor(const Caller&, GuestFd fd, struct statx& out) {
  auto described = describe(fd);
  if (!described) return pass_on(described.error());
  auto attributes = attributes_of_described(*described);
  if (!attributes) return pass_on(attributes.error());
  out = *attributes;
  return {};
}

Result<DirectoryRef> TreeFileSystem::directory_of(const Caller&, GuestFd fd) {
  auto described = describe(fd);
  if (!described) return pass_on(described.error());
  if (described->entry == nullptr || !described->entry->folder) return fail(ENOTDIR, "lookup");
  return described->entry->place;
}

// What mounts show in this folder covers, adds to and takes from what is there.
void TreeFileSystem::add_mounts(const Caller& caller, const Place& folder, Listing& listing) {
  if (folder.mount == nullptr) return;
  for (const auto& [name, mount] : folder.mount->children) {
    auto place = resolver_.child(caller, folder, name);
    if (!place || !resolver_.verify(*place)) continue;
    const auto attributes = this->attributes(*place);
    if (attributes) listing.add(attributes->stx_ino, name, entry_type(place->type));
  }
}

Status TreeFileSystem::add_entries(const Caller& caller, const Place& place, Listing& listing) {
  const auto add = [&](std::uint64_t inode, std::string_view name, std::uint8_t type) {
    const bool covered = place.mount != nullptr && place.mount->find(name) != nullptr;
    if (!covered) listing.add(inode, name, type);
    return listing.size() <= kMaxListed;
  };
  Status visited;
  if (place.host() != nullptr) {
    const auto opened = place.host()->seen->open_folder();
    if (!opened) return pass_on(opened.error());
    visited = visit_opened_folder(opened->get(), [&](auto inode, auto name, auto type) {
      return name == "." || name == ".." || add(inode, name, type);
    });
  } else if (place.scratch()) {
    if (place.scratch()->removed) return fail(ENOENT, "getdents64");
    for (const auto& [name, node] : place.scratch()->children)
      (void)add(node->inode, name, entry_type(node->mode & S_IFMT));
  } else if (place.proc() != nullptr) {
    auto entries = proc_.list(caller, *place.proc(), place.path);
    if (!entries) return pass_on(entries.error());
    for (const ListEntry& entry : *entries) (void)add(entry.inode, entry.name, entry.type);
  }
  if (visited && listing.size() > kMaxListed) return fail(ENOMEM, "getdents64");
  return visited;
}

Result<Listing> TreeFileSystem::list(const Caller& caller, const DirectoryRef& folder) {
  Place place = folder->place().copy();
  if (auto status = resolver_.verify(place); !status) return pass_on(status.error());
  const auto own = attributes(place);
  std::uint64_t above = own ? own->stx_ino : 1;
  if (auto up = resolver_.resolve(caller, place, "..", FinalLink::kFollow)) {
    if (const auto parent = attributes(*up)) above = parent->stx_ino;
  }
  Listing listing;
  listing.add(own ? own->stx_ino : 1, ".", DT_DIR);
  listing.add(above, "..", DT_DIR);
  if (auto added = add_entries(caller, place, listing); !added) return pass_on(added.error());
  add_mounts(caller, place, listing);
  return listing;
}

Result<std::size_t> TreeFileSystem::read_directory(const Caller& caller, GuestFd fd,
                                                   std::span<std::byte> buffer) {
  auto described = describe(fd);
  if (!described) return pass_on(described.error());
  OpenTable::Entry* entry = described->entry;
  if (entry != nullptr && entry->path_only) return fail(EBADF, "getdents64");
  if (entry == nullptr || !entry->folder) return fail(ENOTDIR, "getdents64");
  // The guest's description: its lseek(2) moves this very position.
  const off_t position = ::lseek(entry->held.get(), 0, SEEK_CUR);
  if (position < 0) return fail(EBADF, "getdents64");
  if (position == 0 || !entry->listed) {
    auto listing = list(caller, entry->place);
    if (!listing) return pass_on(listing.error());
    table_.keep_listing(*entry, std::move(*listing));
  }
  std::size_t next = 0;
  auto used = entry->listing.read(static_cast<std::size_t>(position), buffer, next);
  if (!used) return used;
  if (*used != 0 && ::lseek(entry->held.get(), static_cast<off_t>(next), SEEK_SET) < 0)
    return fail_errno("lseek");
  return used;
}

Result<ScratchNodePtr> TreeFileSystem::writable_node(GuestFd fd, int otherwise) {
  auto described = describe(fd);
  if (!described) return pass_on(described.error());
  if (described->node) return described->node;
  if (described->entry != nullptr && described->entry->place->place().scratch()) {
    if (described->entry->path_only) return fail(EBADF, "change");
    return described->entry->place->place().scratch();
  }
  return fail(otherwise, "change");
}

Result<ScratchNodePtr> TreeFileSystem::node_of_descriptor(const DescriptorPlace& place) {
  const UniqueFd fds = open_descriptors_of(place.tid);
  auto described = describe({fds.get(), place.number});
  if (!described) return fail(ENOENT, "lookup");
  if (described->node) return described->node;
  return fail(EXDEV, "lookup");
}

Status TreeFileSystem::change_mode_descriptor(const Caller&, GuestFd fd, mode_t mode) {
  auto node = writable_node(fd, EROFS);
  if (!node) return pass_on(node.error());
  scratch_.set_mode(**node, mode);
  return {};
}

Status TreeFileSystem::set_times_descriptor(const Caller&, GuestFd fd,
                                            const struct timespec times[2]) {
  auto node = writable_node(fd, EROFS);
  if (!node) return pass_on(node.error());
  return scratch_.set_times(**node, times);
}

// The link's own bits in /proc/TID/fd are the descriptor's access mode (proc_pid_fd(5)).
bool TreeFileSystem::is_open_for_writing(GuestFd fd) {
  const auto link = attributes_at(fd.proc_fd_dir, std::to_string(fd.number).c_str(), false);
  return link && (link->stx_mode & 0200) != 0;
}

Status TreeFileSystem::truncate_descriptor(const Caller&, GuestFd fd, off_t length) {
  if (length < 0) return fail(EINVAL, "ftruncate");
  auto node = writable_node(fd, EINVAL);
  if (!node) return pass_on(node.error());
  if (!(*node)->is_file() || !is_open_for_writing(fd)) return fail(EINVAL, "ftruncate");
  return scratch_.truncate(*node, static_cast<std::uint64_t>(length));
}

Status TreeFileSystem::allocate_descriptor(const Caller&, GuestFd fd, int mode, off_t offset,
                                           off_t length) {
  auto node = writable_node(fd, EBADF);
  if (!node) return pass_on(node.error());
  if (!(*node)->is_file() || !is_open_for_writing(fd)) return fail(EBADF, "fallocate");
  return scratch_.allocate(*node, mode, offset, length);
}

Status TreeFileSystem::stat_filesystem_descriptor(const Caller&, GuestFd fd, struct statfs& out) {
  auto described = describe(fd);
  if (!described) return pass_on(described.error());
  Place place;
  if (described->node)
    place.what = ScratchPlace{described->node};
  else if (described->entry != nullptr)
    place = described->entry->place->place().copy();
  return stat_filesystem_of(place, out);
}

Result<std::string> TreeFileSystem::read_link_descriptor(const Caller& caller, GuestFd fd) {
  auto described = describe(fd);
  if (!described) return pass_on(described.error());
  if (described->entry != nullptr) {
    const Place& place = described->entry->place->place();
    if (!place.is_link()) return fail(ENOENT, "readlink");
    return resolver_.target_of(caller, place);
  }
  if (type_of(described->seen) != S_IFLNK) return fail(ENOENT, "readlink");
  // A link of the host, in a shown folder: /proc leads to the link itself.
  const UniqueFd link(
      ::openat(fd.proc_fd_dir, std::to_string(fd.number).c_str(), O_PATH | O_CLOEXEC));
  if (!link) return fail_errno("readlink");
  return read_link_at(link.get(), "");
}

Result<std::string> TreeFileSystem::path_of_descriptor(const Caller&, GuestFd fd) {
  return name_of_descriptor(fd);
}

Result<std::string> TreeFileSystem::name_of_descriptor(GuestFd fd) {
  auto described = describe(fd);
  if (!described) return pass_on(described.error());
  if (described->device != nullptr) return described->device->path;
  if (described->node) return path_of_node(*described->node);
  if (described->entry != nullptr) {
    const Place& place = described->entry->place->place();
    return place.scratch() ? path_of_node(*place.scratch()) : described->entry->path;
  }
  std::array<char, PATH_MAX> text{};
  const ssize_t length =
      ::readlinkat(fd.proc_fd_dir, std::to_string(fd.number).c_str(), text.data(), text.size());
  if (length < 0) return fail(EBADF, "readlink");
  const std::string_view name(text.data(), static_cast<std::size_t>(length));
  // "pipe:[7]", "socket:[8]", "anon_inode:[eventfd]"; terminals and the guest's own memory files.
  const bool of_no_host_file =
      type_of(described->seen) == S_IFCHR || table_.is_memory_file(described->seen);
  if (!name.starts_with('/') || of_no_host_file) return std::string(name);
  return tree_.guest_path_of(name).value_or("/(unreachable)");
}

std::string TreeFileSystem::path_of_node(const ScratchNode& node) {
  std::string path = Resolver::path_of(node);
  if (!path.empty()) return path;
  // A file without a name (O_TMPFILE) is shown as tmpfs shows it.
  const std::string& mount = node.volume->root->mount->path;
  const std::string former =
      node.former_path.empty() ? "/#" + std::to_string(node.inode) : node.former_path;
  return (mount == "/" ? "" : mount) + former + " (deleted)";
}

std::string TreeFileSystem::mapped_name(std::uint64_t inode, std::string_view host_name) const {
  if (host_name.starts_with("/memfd:vitrine")) {
    if (shared_.contains(inode)) return "/dev/zero (deleted)";  // what shmem_zero_setup() names it
    const ScratchNodePtr node = scratch_.node_of_memory_file(inode);
    return node ? path_of_node(*node) : "/(deleted)";
  }
  return tree_.guest_path_of(host_name).value_or("/(unreachable)");
}

FileSystem::MemoryHeld TreeFileSystem::memory_held() {
  const SharedMemory::Held shared = shared_.measure();
  return {shared.used + table_.snapshot_bytes(), shared.promised};
}

}  // namespace vitrine::vfs
