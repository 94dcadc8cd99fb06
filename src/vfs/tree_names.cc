// Calls that make, take away and move names. Only scratch has names that can change; the order of
// the checks is the kernel's (fs/namei.c): what exists already is EEXIST before it is EROFS.
#include <linux/fs.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "vfs/pass_on.h"
#include "vfs/path.h"
#include "vfs/tree_filesystem.h"

namespace vitrine::vfs {
namespace {

using Last = ParentAndName::Last;

bool is_mount_point(const ParentAndName& at) {
  return at.folder.mount != nullptr && at.folder.mount->find(at.name) != nullptr;
}

}  // namespace

Result<ScratchNodePtr> TreeFileSystem::folder_for_new_name(const Caller& caller,
                                                           const ParentAndName& at, bool folder) {
  if (at.last != Last::kName) return fail(EEXIST, "create");
  auto existing = resolver_.child(caller, at.folder, at.name);
  if (existing && resolver_.verify(*existing)) return fail(EEXIST, "create");
  if (!existing && existing.error().code != ENOENT) return pass_on(existing.error());
  if (at.trailing_slash && !folder) return fail(ENOENT, "create");
  if (at.folder.proc() != nullptr) return fail(ENOENT, "create");
  if (!at.folder.scratch() || is_mount_point(at)) return fail(EROFS, "create");
  return at.folder.scratch();
}

Result<ScratchNodePtr> TreeFileSystem::folder_for_removal(const Caller& caller,
                                                          const ParentAndName& at) {
  if (at.folder.proc() != nullptr) return fail(EPERM, "remove");
  if (is_mount_point(at)) {
    const MountNode& mount = *at.folder.mount->find(at.name);
    const bool hidden = mount.kind == MountNode::Kind::kHidden && !mount.is_shown();
    if (hidden) return fail(ENOENT, "remove");
    return fail(EBUSY, "remove");
  }
  if (!at.folder.scratch()) {
    // What does not exist is not there to be removed, wherever it is.
    auto existing = resolver_.child(caller, at.folder, at.name);
    if (!existing) return pass_on(existing.error());
    if (auto status = resolver_.verify(*existing); !status) return pass_on(status.error());
    return fail(EROFS, "remove");
  }
  if (!at.folder.scratch()->permits(X_OK)) return fail(EACCES, "remove");
  return at.folder.scratch();
}

Status TreeFileSystem::make_directory(const Caller& caller, const DirectoryRef& base,
                                      std::string_view path, mode_t mode) {
  auto at = resolver_.resolve_parent(caller, base->place(), path);
  if (!at) return pass_on(at.error());
  auto folder = folder_for_new_name(caller, *at, true);
  if (!folder) return pass_on(folder.error());
  auto node = scratch_.create(*folder, at->name, S_IFDIR | (mode & 01777 & ~caller.umask));
  if (!node) return pass_on(node.error());
  return {};
}

Status TreeFileSystem::make_node(const Caller& caller, const DirectoryRef& base,
                                 std::string_view path, mode_t mode) {
  const mode_t type = mode & S_IFMT;
  if (type != S_IFREG && type != 0) return fail(EPERM, "mknod");
  auto at = resolver_.resolve_parent(caller, base->place(), path);
  if (!at) return pass_on(at.error());
  auto folder = folder_for_new_name(caller, *at, false);
  if (!folder) return pass_on(folder.error());
  auto node = scratch_.create(*folder, at->name, S_IFREG | (mode & 07777 & ~caller.umask));
  if (!node) return pass_on(node.error());
  return {};
}

Status TreeFileSystem::make_socket(const Caller& caller, const DirectoryRef& base,
                                   std::string_view path, mode_t mode, std::string_view key) {
  auto at = resolver_.resolve_parent(caller, base->place(), path);
  if (!at) return pass_on(at.error());
  auto folder = folder_for_new_name(caller, *at, false);
  if (!folder && folder.error().code == EEXIST) return fail(EADDRINUSE, "bind");
  if (!folder) return pass_on(folder.error());
  auto node = scratch_.create(*folder, at->name, S_IFSOCK | (mode & 0777 & ~caller.umask), key);
  if (!node) return pass_on(node.error());
  return {};
}

Result<std::string> TreeFileSystem::socket_at(const Caller& caller, const DirectoryRef& base,
                                              std::string_view path) {
  auto place = resolver_.resolve(caller, base->place(), path, FinalLink::kFollow);
  if (!place) return pass_on(place.error());
  const ScratchNodePtr node = place->scratch();
  if (!node) return fail(EACCES, "connect");  // no socket of the host can be reached
  if (!node->permits(W_OK)) return fail(EACCES, "connect");
  if (!S_ISSOCK(node->mode)) return fail(ECONNREFUSED, "connect");
  return node->target;
}

Status TreeFileSystem::symlink(const Caller& caller, std::string_view target,
                               const DirectoryRef& base, std::string_view path) {
  if (target.empty()) return fail(ENOENT, "symlink");
  if (target.size() > kMaxPath) return fail(ENAMETOOLONG, "symlink");
  auto at = resolver_.resolve_parent(caller, base->place(), path);
  if (!at) return pass_on(at.error());
  auto folder = folder_for_new_name(caller, *at, false);
  if (!folder) return pass_on(folder.error());
  auto node = scratch_.create(*folder, at->name, S_IFLNK | 0777, target);
  if (!node) return pass_on(node.error());
  return {};
}

Status TreeFileSystem::unlink(const Caller& caller, const DirectoryRef& base,
                              std::string_view path) {
  auto at = resolver_.resolve_parent(caller, base->place(), path);
  if (!at) return pass_on(at.error());
  if (at->last != Last::kName) return fail(EISDIR, "unlink");
  auto folder = folder_for_removal(caller, *at);
  if (!folder) return pass_on(folder.error());
  if (at->trailing_slash) {
    const ScratchNodePtr node = Scratch::find(**folder, at->name);
    if (!node) return fail(ENOENT, "unlink");
    return fail(node->is_folder() ? EISDIR : ENOTDIR, "unlink");
  }
  return scratch_.unlink(*folder, at->name);
}

Status TreeFileSystem::remove_directory(const Caller& caller, const DirectoryRef& base,
                                        std::string_view path) {
  auto at = resolver_.resolve_parent(caller, base->place(), path);
  if (!at) return pass_on(at.error());
  if (at->last == Last::kDot) return fail(EINVAL, "rmdir");
  if (at->last == Last::kDotDot) return fail(ENOTEMPTY, "rmdir");
  if (at->last == Last::kRoot) return fail(EBUSY, "rmdir");
  auto folder = folder_for_removal(caller, *at);
  if (!folder) return pass_on(folder.error());
  return scratch_.remove_folder(*folder, at->name);
}

Status TreeFileSystem::rename(const Caller& caller, const DirectoryRef& from_base,
                              std::string_view from, const DirectoryRef& to_base,
                              std::string_view to, unsigned flags) {
  constexpr unsigned kKnown = RENAME_NOREPLACE | RENAME_EXCHANGE;
  if ((flags & ~kKnown) != 0 || flags == kKnown) return fail(EINVAL, "rename");
  auto source = resolver_.resolve_parent(caller, from_base->place(), from);
  if (!source) return pass_on(source.error());
  auto target = resolver_.resolve_parent(caller, to_base->place(), to);
  if (!target) return pass_on(target.error());
  resolver_.note_missing(source->folder, source->name);
  const bool both = source->folder.scratch() && target->folder.scratch();
  if (both && source->folder.scratch()->volume != target->folder.scratch()->volume)
    return fail(EXDEV, "rename");
  if (source->last != Last::kName) return fail(EBUSY, "rename");
  if (target->last != Last::kName)
    return fail((flags & RENAME_NOREPLACE) != 0 ? EEXIST : EBUSY, "rename");
  auto from_folder = folder_for_removal(caller, *source);
  if (!from_folder) return pass_on(from_folder.error());
  auto to_folder = folder_for_removal(caller, *target);
  // There, a name would be made.
  if (!to_folder && to_folder.error().code == ENOENT && !is_mount_point(*target))
    return fail(EROFS, "rename");
  if (!to_folder) return pass_on(to_folder.error());
  const ScratchNodePtr node = Scratch::find(**from_folder, source->name);
  const ScratchNodePtr victim = Scratch::find(**to_folder, target->name);
  if (!node) return fail(ENOENT, "rename");
  if (victim && (flags & RENAME_NOREPLACE) != 0) return fail(EEXIST, "rename");
  const bool exchange = (flags & RENAME_EXCHANGE) != 0;
  if (exchange && !victim) return fail(ENOENT, "rename");
  if (exchange && target->trailing_slash && !victim->is_folder()) return fail(ENOTDIR, "rename");
  if (!node->is_folder() && (source->trailing_slash || (!exchange && target->trailing_slash)))
    return fail(ENOTDIR, "rename");
  return scratch_.rename(*from_folder, source->name, *to_folder, target->name, flags);
}

Status TreeFileSystem::link(const Caller& caller, const DirectoryRef& from_base,
                            std::string_view from, const DirectoryRef& to_base, std::string_view to,
                            FinalLink final) {
  auto source = resolver_.resolve(caller, from_base->place(), from, final);
  if (!source) return pass_on(source.error());
  auto at = resolver_.resolve_parent(caller, to_base->place(), to);
  if (!at) return pass_on(at.error());
  auto folder = folder_for_new_name(caller, *at, false);
  if (!folder) return pass_on(folder.error());
  ScratchNodePtr node = source->scratch();
  if (const auto* descriptor = source->descriptor()) {
    auto behind = node_of_descriptor(*descriptor);
    if (!behind) return pass_on(behind.error());
    node = *behind;
  }
  if (!node) return fail(EXDEV, "link");
  return scratch_.link(node, *folder, at->name);
}

}  // namespace vitrine::vfs
