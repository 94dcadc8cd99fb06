// stat(2), access(2), readlink(2) and what changes attributes, by name.
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "vfs/pass_on.h"
#include "vfs/path.h"
#include "vfs/tree_filesystem.h"

namespace vitrine::vfs {
namespace {

mode_t fixed_mode(const MountNode& node) {
  switch (node.kind) {
    case MountNode::Kind::kFile:
      return S_IFREG | node.file.permissions;
    case MountNode::Kind::kLink:
      return S_IFLNK | 0777;
    case MountNode::Kind::kDevice:
      return S_IFCHR | 0666;
    default:
      return S_IFDIR | 0755;
  }
}

// Each costs the supervisor a descriptor.
constexpr std::size_t kMaxSharedMappings = 1024;

}  // namespace

TreeFileSystem::TreeFileSystem(const Options& options)
    : options_(options),
      scratch_({options.identity, options.max_memory_files}),
      shared_(options.max_memory_files != 0 ? options.max_memory_files : kMaxSharedMappings),
      proc_(options.identity, options.inode_seed),
      resolver_(tree_, proc_, options.use_openat2),
      host_(options.use_openat2),
      table_(options.max_open_entries != 0 ? options.max_open_entries : 4096),
      system_{nullptr, options, monotonic_now(), now().tv_sec},
      built_at_(now()) {
  const auto folder = [this](pid_t tid, int number) -> Result<DirectoryRef> {
    const UniqueFd fds = open_descriptors_of(tid);
    return directory_of({}, {fds.get(), number});
  };
  const auto type = [this](pid_t tid, int number) -> Result<mode_t> {
    const UniqueFd fds = open_descriptors_of(tid);
    auto described = describe({fds.get(), number});
    if (!described) return fail(ENOENT, "lookup");
    auto attributes = attributes_of_described(*described);
    if (!attributes) return pass_on(attributes.error());
    return type_of(*attributes);
  };
  resolver_.set_descriptors(folder, type);
  proc_.set_names(
      [this](pid_t tid, int number) {
        const UniqueFd fds = open_descriptors_of(tid);
        return name_of_descriptor({fds.get(), number});
      },
      [this](std::uint64_t inode, std::string_view host_name) {
        return mapped_name(inode, host_name);
      });
  root_ = std::make_shared<const Directory>(resolver_.root());
}

void TreeFileSystem::attach(const ProcessView* processes) {
  system_.processes = processes;
  proc_.attach(processes);
  table_.attach(processes);
}

Result<DirectoryRef> TreeFileSystem::open_directory(const Caller& caller, const DirectoryRef& base,
                                                    std::string_view path) {
  auto place = resolver_.resolve(caller, base->place(), path, FinalLink::kFollow);
  if (!place) return pass_on(place.error());
  if (!place->is_folder()) return fail(ENOTDIR, "lookup");
  if (place->scratch() && !place->scratch()->permits(X_OK)) return fail(EACCES, "lookup");
  return std::make_shared<const Directory>(place->copy());
}

std::string TreeFileSystem::path_of(const DirectoryRef& folder) const {
  return Resolver::path_of(folder->place());
}

Result<Attributes> TreeFileSystem::attributes(const Place& place) {
  if (const auto* host = place.host()) {
    Attributes result = host->seen->attributes();
    hide_owner(result, options_.identity);
    return result;
  }
  if (place.scratch()) return scratch_.attributes(*place.scratch());
  if (place.proc() != nullptr) return proc_.attributes(*place.proc(), place.path);
  if (const auto* descriptor = place.descriptor()) {
    const UniqueFd fds = open_descriptors_of(descriptor->tid);
    auto described = describe({fds.get(), descriptor->number});
    if (!described) return fail(ENOENT, "stat");
    return attributes_of_described(*described);
  }
  return fixed_attributes(*place.mount);
}

Attributes TreeFileSystem::fixed_attributes(const MountNode& node) const {
  std::uint64_t size = node.target.size();
  if (node.kind == MountNode::Kind::kFile && node.file.reports_size)
    size = node.file.generate(system_).size();
  Attributes result = synthetic_attributes(
      fixed_mode(node), inode_for(node.path, options_.inode_seed), size, Identity{}, built_at_);
  result.stx_rdev_major = node.device.number.major;
  result.stx_rdev_minor = node.device.number.minor;
  return result;
}

Status TreeFileSystem::stat(const Caller& caller, const DirectoryRef& base, std::string_view path,
                            FinalLink final, struct statx& out) {
  auto place = resolver_.resolve(caller, base->place(), path, final);
  if (!place) return pass_on(place.error());
  auto attributes = this->attributes(*place);
  if (!attributes) return pass_on(attributes.error());
  out = *attributes;
  return {};
}

Status TreeFileSystem::access(const Caller& caller, const DirectoryRef& base, std::string_view path,
                              int mode, FinalLink final) {
  if ((mode & ~(R_OK | W_OK | X_OK)) != 0) return fail(EINVAL, "access");
  auto place = resolver_.resolve(caller, base->place(), path, final);
  if (!place) return pass_on(place.error());
  if (mode == F_OK) return {};
  if (place->scratch()) {
    if (place->is_link() || place->scratch()->permits(mode)) return {};
    return fail(EACCES, "access");
  }
  const bool device = place->type == S_IFCHR || place->type == S_IFIFO || place->type == S_IFSOCK;
  if ((mode & W_OK) != 0 && !device) return fail(EROFS, "access");
  if (const auto* host = place->host()) {
    if (!host->seen->may_access(mode & ~W_OK)) return fail(EACCES, "access");
    return {};
  }
  const auto attributes = this->attributes(*place);
  if (!attributes) return pass_on(attributes.error());
  const auto wanted = static_cast<unsigned>(mode);
  const bool owner = attributes->stx_uid == options_.identity.uid;
  const unsigned bits = (attributes->stx_mode >> (owner ? 6 : 0)) & 7U;
  return (bits & wanted) == wanted ? Status{} : fail(EACCES, "access");
}

Result<std::string> TreeFileSystem::read_link(const Caller& caller, const DirectoryRef& base,
                                              std::string_view path) {
  auto place = resolver_.resolve(caller, base->place(), path, FinalLink::kNoFollow);
  if (!place) return pass_on(place.error());
  if (!place->is_link()) return fail(EINVAL, "readlink");
  return resolver_.target_of(caller, *place);
}

// The scratch node that a call may change; EROFS for anything else that exists.
Result<ScratchNodePtr> TreeFileSystem::writable_place(const Caller& caller,
                                                      const DirectoryRef& base,
                                                      std::string_view path, FinalLink final) {
  auto place = resolver_.resolve(caller, base->place(), path, final);
  if (!place) return pass_on(place.error());
  if (const auto* descriptor = place->descriptor()) {
    const UniqueFd fds = open_descriptors_of(descriptor->tid);
    return writable_node({fds.get(), descriptor->number}, EROFS);
  }
  if (!place->scratch()) return fail(EROFS, "change");
  return place->scratch();
}

Status TreeFileSystem::change_mode(const Caller& caller, const DirectoryRef& base,
                                   std::string_view path, mode_t mode, FinalLink final) {
  auto node = writable_place(caller, base, path, final);
  if (!node) return pass_on(node.error());
  if ((*node)->is_link()) return fail(EOPNOTSUPP, "chmod");
  scratch_.set_mode(**node, mode);
  return {};
}

Status TreeFileSystem::change_owner(const Caller& caller, const DirectoryRef& base,
                                    std::string_view path, uid_t uid, gid_t gid, FinalLink final) {
  auto node = writable_place(caller, base, path, final);
  if (!node) return pass_on(node.error());
  const bool same_user = uid == static_cast<uid_t>(-1) || uid == options_.identity.uid;
  const bool same_group = gid == static_cast<gid_t>(-1) || gid == options_.identity.gid;
  if (!same_user || !same_group) return fail(EPERM, "chown");
  return {};
}

Status TreeFileSystem::set_times(const Caller& caller, const DirectoryRef& base,
                                 std::string_view path, const struct timespec times[2],
                                 FinalLink final) {
  auto node = writable_place(caller, base, path, final);
  if (!node) return pass_on(node.error());
  return scratch_.set_times(**node, times);
}

Status TreeFileSystem::truncate(const Caller& caller, const DirectoryRef& base,
                                std::string_view path, off_t length) {
  if (length < 0) return fail(EINVAL, "truncate");
  auto place = resolver_.resolve(caller, base->place(), path, FinalLink::kFollow);
  if (!place) return pass_on(place.error());
  if (place->is_folder()) return fail(EISDIR, "truncate");
  if (place->type != S_IFREG) return fail(EINVAL, "truncate");
  auto node = writable_place(caller, base, path, FinalLink::kFollow);
  if (!node) return pass_on(node.error());
  if (!(*node)->permits(W_OK)) return fail(EACCES, "truncate");
  return scratch_.truncate(*node, static_cast<std::uint64_t>(length));
}

Status TreeFileSystem::stat_filesystem(const Caller& caller, const DirectoryRef& base,
                                       std::string_view path, struct statfs& out) {
  auto place = resolver_.resolve(caller, base->place(), path, FinalLink::kFollow);
  if (!place) return pass_on(place.error());
  return stat_filesystem_of(*place, out);
}

// Free space is the quota's; nothing is told of the host's file systems.
Status TreeFileSystem::stat_filesystem_of(const Place& place, struct statfs& out) {
  out = {};
  out.f_bsize = out.f_frsize = 4096;
  out.f_namelen = static_cast<long>(kMaxName);
  out.f_type = place.proc() != nullptr ? PROC_SUPER_MAGIC : TMPFS_MAGIC;
  out.f_flags = ST_NOSUID;
  if (!place.scratch()) {
    out.f_flags |= ST_RDONLY;
    if (place.proc() == nullptr) out.f_blocks = out.f_files = 1;  // full
    return {};
  }
  const ScratchVolume& volume = *place.scratch()->volume;
  const std::uint64_t used = std::min(scratch_.used_of(volume), volume.quota);
  out.f_blocks = volume.quota / 4096;
  out.f_bfree = out.f_bavail = (volume.quota - used) / 4096;
  out.f_files = volume.quota / 1024;
  out.f_ffree = (volume.quota - used) / 1024;
  return {};
}

}  // namespace vitrine::vfs
