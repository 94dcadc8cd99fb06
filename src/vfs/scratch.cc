#include "vfs/scratch.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <utility>

#include "vfs/pass_on.h"

namespace vitrine::vfs {
namespace {

// What a node costs beside its content, so that a million empty files meet the quota too.
constexpr std::uint64_t kNodeCost = 1024;
// Unlinking looks through a node's names, so their number is bounded.
constexpr std::size_t kMaxLinks = 1024;
constexpr unsigned kPermissionBits = 01777;  // setuid and setgid of files mean nothing here

// A folder hands its setgid bit on to new folders in it (inode_init_owner, fs/inode.c).
mode_t inherited_bits(const ScratchNode& folder, mode_t mode) {
  return S_ISDIR(mode) ? folder.mode & S_ISGID : 0;
}

std::size_t default_memory_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 256;
  return std::clamp<std::size_t>(static_cast<std::size_t>(limit.rlim_cur) / 2, 64, 4096);
}

std::uint64_t cost_of(std::string_view name) { return name.size() + sizeof(ScratchNode::Name); }

bool is_ancestor(const ScratchNode& ancestor, const ScratchNode& node) {
  for (const ScratchNode* at = &node; at != nullptr; at = at->parent())
    if (at == &ancestor) return true;
  return false;
}

// Permission to add or take names (may_create, may_delete of fs/namei.c).
Status check_writable(const ScratchNode& folder) {
  if (folder.removed) return fail(ENOENT, "scratch");
  if (!folder.permits(W_OK | X_OK)) return fail(EACCES, "scratch");
  return {};
}

void touch(ScratchNode& node) { node.mtime = node.ctime = now(); }

}  // namespace

Scratch::Scratch(const Options& options) : options_(options) {
  if (options_.max_memory_files == 0) options_.max_memory_files = default_memory_files();
}

Scratch::~Scratch() {
  // Iterative: the guest decides how deep the tree is, and destructors would recurse.
  std::vector<ScratchNodePtr> doomed;
  for (auto& volume : volumes_) doomed.push_back(std::move(volume->root));
  while (!doomed.empty()) {
    const ScratchNodePtr node = std::move(doomed.back());
    doomed.pop_back();
    node->names.clear();
    for (auto& [name, child] : node->children) doomed.push_back(std::move(child));
    node->children.clear();
  }
}

ScratchNodePtr Scratch::add_volume(std::uint64_t quota, mode_t mode) {
  auto volume = std::make_unique<ScratchVolume>();
  volume->quota = quota;
  volume->device = {0, kFirstScratchMinor + static_cast<std::uint32_t>(volumes_.size())};
  volume->root = make_node(*volume, S_IFDIR | (mode & kPermissionBits));
  volumes_.push_back(std::move(volume));
  return volumes_.back()->root;
}

ScratchNodePtr Scratch::make_node(ScratchVolume& volume, mode_t mode) {
  auto node = std::make_shared<ScratchNode>();
  node->volume = &volume;
  node->mode = mode;
  node->inode = next_inode_++;
  node->atime = node->mtime = node->ctime = node->btime = now();
  return node;
}

Status Scratch::charge(ScratchVolume& volume, std::uint64_t bytes) {
  if (volume.charged + volume.measured + bytes > volume.quota) {
    measure();  // files may have shrunk or gone since
    if (volume.charged + volume.measured + bytes > volume.quota) {
      refused_ = true;
      return fail(ENOSPC, "scratch quota");
    }
  }
  volume.charged += bytes;
  return {};
}

ScratchNodePtr Scratch::find(const ScratchNode& folder, std::string_view name) {
  const auto found = folder.children.find(name);
  return found == folder.children.end() ? nullptr : found->second;
}

void Scratch::attach(const ScratchNodePtr& node, ScratchNode& folder, std::string_view name) {
  folder.children.emplace(std::string(name), node);
  node->names.push_back({&folder, std::string(name)});
  if (node->is_folder()) ++folder.subfolders;
  touch(folder);
}

ScratchNodePtr Scratch::detach(ScratchNode& folder, std::string_view name) {
  const auto found = folder.children.find(name);
  ScratchNodePtr node = std::move(found->second);
  // Somebody else holds it: a descriptor, which /proc/self/fd will still name.
  if (node->names.size() == 1 && (node.use_count() > 2 || node->content.file))
    node->former_path = path_of(*node).value_or("");
  folder.children.erase(found);
  std::erase_if(node->names, [&](const ScratchNode::Name& each) {
    return each.folder == &folder && each.name == name;
  });
  if (node->is_folder()) --folder.subfolders;
  touch(folder);
  node->ctime = folder.ctime;
  return node;
}

void Scratch::drop(const ScratchNodePtr& node) {
  if (!node->names.empty()) return;
  node->volume->charged -= std::exchange(node->cost, 0);
  if (node->is_folder()) node->removed = true;
  if (node->is_file()) release(node);
}

Result<ScratchNodePtr> Scratch::create(const ScratchNodePtr& folder, std::string_view name,
                                       mode_t mode, std::string_view target) {
  if (auto status = check_writable(*folder); !status) return pass_on(status.error());
  const std::uint64_t cost = kNodeCost + cost_of(name) + target.size();
  if (auto status = charge(*folder->volume, cost); !status) return pass_on(status.error());
  auto node = make_node(*folder->volume,
                        (mode & (S_IFMT | kPermissionBits)) | inherited_bits(*folder, mode));
  node->target = target;
  node->cost = kNodeCost + target.size();
  attach(node, *folder, name);
  return node;
}

Result<ScratchNodePtr> Scratch::create_nameless(const ScratchNodePtr& folder, mode_t mode) {
  if (auto status = check_writable(*folder); !status) return pass_on(status.error());
  if (auto status = charge(*folder->volume, kNodeCost); !status) return pass_on(status.error());
  auto node = make_node(*folder->volume, S_IFREG | (mode & kPermissionBits));
  node->cost = kNodeCost;
  node->linkable = true;
  return node;
}

Status Scratch::unlink(const ScratchNodePtr& folder, std::string_view name) {
  const ScratchNodePtr node = find(*folder, name);
  if (!node) return fail(ENOENT, "unlink");
  if (auto status = check_writable(*folder); !status) return status;
  if (node->is_folder()) return fail(EISDIR, "unlink");
  detach(*folder, name);
  folder->volume->charged -= cost_of(name);
  drop(node);
  return {};
}

Status Scratch::remove_folder(const ScratchNodePtr& folder, std::string_view name) {
  const ScratchNodePtr node = find(*folder, name);
  if (!node) return fail(ENOENT, "rmdir");
  if (auto status = check_writable(*folder); !status) return status;
  if (!node->is_folder()) return fail(ENOTDIR, "rmdir");
  if (node->mount != nullptr) return fail(EBUSY, "rmdir");
  if (!node->children.empty()) return fail(ENOTEMPTY, "rmdir");
  detach(*folder, name);
  folder->volume->charged -= cost_of(name);
  drop(node);
  return {};
}

Status Scratch::link(const ScratchNodePtr& node, const ScratchNodePtr& folder,
                     std::string_view name) {
  if (node->volume != folder->volume) return fail(EXDEV, "link");
  if (auto status = check_writable(*folder); !status) return status;
  if (node->is_folder()) return fail(EPERM, "link");
  if (node->names.empty() && !node->linkable) return fail(ENOENT, "link");
  if (node->names.size() >= kMaxLinks) return fail(EMLINK, "link");
  if (auto status = charge(*folder->volume, cost_of(name)); !status) return status;
  attach(node, *folder, name);
  node->linkable = false;  // once (vfs_link, fs/namei.c)
  node->ctime = now();
  return {};
}

Status Scratch::check_rename(const ScratchNode& from_folder, const ScratchNode* node,
                             const ScratchNode& to_folder, const ScratchNode* victim,
                             unsigned flags) {
  const bool exchange = (flags & RENAME_EXCHANGE) != 0;
  if (node == nullptr) return fail(ENOENT, "rename");
  if (victim != nullptr && (flags & RENAME_NOREPLACE) != 0) return fail(EEXIST, "rename");
  if (victim == nullptr && exchange) return fail(ENOENT, "rename");
  if (node->is_folder() && is_ancestor(*node, to_folder)) return fail(EINVAL, "rename");
  if (victim != nullptr && victim->is_folder() && is_ancestor(*victim, from_folder))
    return fail(exchange ? EINVAL : ENOTEMPTY, "rename");
  if (node == victim) return {};
  if (auto status = check_writable(from_folder); !status) return status;
  if (auto status = check_writable(to_folder); !status) return status;
  if (victim != nullptr && !exchange) {
    if (node->is_folder() && !victim->is_folder()) return fail(ENOTDIR, "rename");
    if (!node->is_folder() && victim->is_folder()) return fail(EISDIR, "rename");
  }
  // A folder that changes its parent has its ".." rewritten.
  const bool moves = &from_folder != &to_folder;
  if (moves && node->is_folder() && !node->permits(W_OK)) return fail(EACCES, "rename");
  if (moves && exchange && victim->is_folder() && !victim->permits(W_OK))
    return fail(EACCES, "rename");
  if (node->mount != nullptr || (victim != nullptr && victim->mount != nullptr))
    return fail(EBUSY, "rename");
  if (victim != nullptr && !exchange && !victim->children.empty()) return fail(ENOTEMPTY, "rename");
  return {};
}

Status Scratch::rename(const ScratchNodePtr& from_folder, std::string_view from,
                       const ScratchNodePtr& to_folder, std::string_view to, unsigned flags) {
  if (from_folder->volume != to_folder->volume) return fail(EXDEV, "rename");
  const ScratchNodePtr node = find(*from_folder, from);
  const ScratchNodePtr victim = find(*to_folder, to);
  if (auto status = check_rename(*from_folder, node.get(), *to_folder, victim.get(), flags);
      !status)
    return status;
  if (node == victim) return {};

  ScratchVolume& volume = *from_folder->volume;
  if ((flags & RENAME_EXCHANGE) != 0) {
    detach(*from_folder, from);
    detach(*to_folder, to);
    attach(victim, *from_folder, from);
    attach(node, *to_folder, to);
    return {};
  }
  // The new name is longer than the old one by at most NAME_MAX bytes.
  if (!victim && to.size() > from.size())
    if (auto status = charge(volume, to.size() - from.size()); !status) return status;
  if (!victim && to.size() < from.size()) volume.charged -= from.size() - to.size();
  if (victim) {
    detach(*to_folder, to);
    volume.charged -= cost_of(from);
    drop(victim);
  }
  detach(*from_folder, from);
  attach(node, *to_folder, to);
  return {};
}

std::optional<std::string> Scratch::path_of(const ScratchNode& node) {
  // The guest decides how deep a tree is: what is longer than any path can be is cut short.
  constexpr std::size_t kLongest = std::size_t{2} * PATH_MAX;
  std::vector<const std::string*> names;
  std::size_t length = 0;
  const ScratchNode* at = &node;
  for (; at != at->volume->root.get() && length < kLongest; at = at->names.back().folder) {
    if (at->names.empty()) return std::nullopt;
    names.push_back(&at->names.back().name);
    length += names.back()->size() + 1;
  }
  std::string path = at == at->volume->root.get() ? "" : "/...";
  path.reserve(length);
  for (auto name = names.rbegin(); name != names.rend(); ++name) path.append("/").append(**name);
  return path;
}

void Scratch::set_mode(ScratchNode& node, mode_t bits) {
  const unsigned kept = kPermissionBits | (node.is_folder() ? S_ISGID : 0U);
  node.mode = (node.mode & S_IFMT) | (bits & kept);
  node.ctime = now();
}

std::uint64_t Scratch::quota() const {
  std::uint64_t sum = 0;
  for (const auto& volume : volumes_) sum += volume->quota;
  return sum;
}

std::uint64_t Scratch::used_of(const ScratchVolume& volume) {
  measure();
  return volume.charged + volume.measured;
}

std::uint64_t Scratch::used() {
  measure();
  std::uint64_t sum = 0;
  for (const auto& volume : volumes_) sum += volume->charged + volume->measured;
  return sum;
}

std::uint64_t Scratch::file_size_limit() {
  measure();
  given_back_ = 0;
  std::uint64_t limit = 0;
  for (const auto& volume : volumes_) {
    const std::uint64_t used = volume->charged + volume->measured;
    if (used >= volume->quota) continue;
    limit = std::max(limit, std::min(volume->quota, volume->largest + volume->quota - used));
  }
  return limit;
}

}  // namespace vitrine::vfs
