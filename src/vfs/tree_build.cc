// Builds the tree of a run from its rules.
#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <utility>

#include "base/feature.h"
#include "vfs/memory_file.h"
#include "vfs/pass_on.h"
#include "vfs/path.h"
#include "vfs/tree_filesystem.h"

namespace vitrine::vfs {
namespace {

// The root of a host's symbolic link, or nullopt for what is none.
std::optional<std::string> host_link_target(const std::string& path) {
  char target[PATH_MAX];
  const ssize_t length = ::readlink(path.c_str(), target, sizeof target);
  if (length < 0) return std::nullopt;
  return std::string(target, static_cast<std::size_t>(length));
}

// Expands patterns over the host's folders, each of which is listed once: profiles hold many
// patterns for few folders.
class HostPatterns {
 public:
  // The paths of the host that `pattern` stands for.
  std::vector<std::string> expand(const std::string& pattern) {
    std::vector<std::string> paths{"/"};
    for (PathReader reader(pattern); const auto name = reader.next();) {
      std::vector<std::string> longer;
      for (const std::string& path : paths) {
        if (name->find('*') == std::string_view::npos) {
          longer.push_back(join(path, *name));
        } else {
          for (const auto& match : names_matching(path, std::string(*name)))
            longer.push_back(join(path, match));
        }
      }
      paths = std::move(longer);
    }
    return paths;
  }

 private:
  std::vector<std::string> names_matching(const std::string& folder, const std::string& pattern) {
    std::vector<std::string> names;
    for (const ListEntry& entry : entries_of(folder))
      if (::fnmatch(pattern.c_str(), entry.name.c_str(), FNM_PERIOD) == 0)
        names.push_back(entry.name);
    std::sort(names.begin(), names.end());
    return names;
  }

  const std::vector<ListEntry>& entries_of(const std::string& folder) {
    const UniqueFd fd(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    struct stat status {};
    if (!fd || ::fstat(fd.get(), &status) != 0) return none_;
    // /lib and /usr/lib are often one.
    const auto [known, is_new] = listed_.try_emplace({status.st_dev, status.st_ino});
    if (!is_new) return known->second;
    if (auto entries = list_host_folder(fd.get())) known->second = std::move(*entries);
    return known->second;
  }

  std::map<std::pair<dev_t, ino_t>, std::vector<ListEntry>> listed_;
  const std::vector<ListEntry> none_{};
};

// A file of the host, opened O_PATH, if no link is on the way to it and the path is written the
// shortest way; nothing where that is not known.
UniqueFd open_without_links(const std::string& path) {
  for (PathReader reader(path); const auto name = reader.next();)
    if (*name == "." || *name == "..") return UniqueFd();
  if (path.find("//") != std::string::npos || (path.size() > 1 && path.ends_with('/')) ||
      is_taken_away(Feature::kOpenat2))
    return UniqueFd();
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS;
  return UniqueFd(
      static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how)));
}

// As the kernel writes paths in /proc/mounts.
std::string escape_mount(const std::string& path) {
  std::string result;
  for (const char c : path) {
    switch (c) {
      case ' ':
        result += "\\040";
        break;
      case '\t':
        result += "\\011";
        break;
      case '\n':
        result += "\\012";
        break;
      case '\\':
        result += "\\134";
        break;
      default:
        result += c;
    }
  }
  return result;
}

bool exists(const std::string& path) {
  struct stat ignored {};
  return ::lstat(path.c_str(), &ignored) == 0;
}

}  // namespace

class TreeBuilder {
 public:
  TreeBuilder(TreeFileSystem& fs, const FileRule& rule, HostPatterns& patterns)
      : fs_(fs), rule_(rule), patterns_(patterns) {}

  Status apply() {
    return std::visit([this](const auto& what) { return add(what); }, rule_.what);
  }

 private:
  Status add(const ShowRule& show);
  Status add(const ScratchRule& scratch);
  Status add(const InlineRule& file);
  Status add(const LinkRule& link);
  Status add(const HideRule& hide);
  Status add(const FolderRule& folder);
  Status add(const SyntheticRule& synthetic);

  Result<bool> show_if_there(const std::string& host, bool required);
  Status show_with_links(const std::string& host, bool required);
  Status show_at(const std::string& host, const std::string& guest, bool required);
  Status show_opened(UniqueFd fd, const std::string& host, std::string real_path,
                     const std::string& guest, bool required);
  Status show_link(const std::string& guest, const std::string& target);
  Result<std::string> place_for(const std::string& guest);
  void make_passages(std::string_view path, bool create);
  Result<MountNode*> cover(const std::string& guest, MountNode::Kind kind);
  Status wrong(const std::string& path, const std::string& reason) const {
    return fail_invalid(rule_.origin.rule + ": " + path + ": " + reason);
  }

  TreeFileSystem& fs_;
  const FileRule& rule_;
  HostPatterns& patterns_;
  const Caller nobody_{};
};

// The canonical guest path of `guest`: links that earlier rules show are followed, except for the
// last component, which the rule covers.
Result<std::string> TreeBuilder::place_for(const std::string& guest) {
  if (!guest.starts_with('/'))
    return fail_invalid(rule_.origin.rule + ": " + guest + ": not an absolute path");
  if (guest.size() > kMaxPath || guest.find('\0') != std::string::npos)
    return fail_invalid(rule_.origin.rule + ": not a valid path");
  std::vector<std::string_view> names;
  for (PathReader reader(guest); const auto name = reader.next();) {
    if (*name == "..") return fail_invalid(rule_.origin.rule + ": " + guest + ": holds \"..\"");
    if (*name != ".") names.push_back(*name);
  }
  std::string path = "/";
  if (names.empty()) return path;
  for (std::size_t i = 0; i + 1 < names.size(); ++i) path = join(path, names[i]);
  if (const auto parent =
          fs_.resolver_.resolve(nobody_, fs_.resolver_.root(), path, FinalLink::kFollow))
    return join(Resolver::path_of(*parent), names.back());
  // A part of the way does not exist yet: what does may still be a link.
  path = "/";
  for (std::size_t i = 0; i < names.size(); ++i) {
    path = join(path, names[i]);
    if (i + 1 == names.size()) break;
    const auto place =
        fs_.resolver_.resolve(nobody_, fs_.resolver_.root(), path, FinalLink::kFollow);
    if (place) path = Resolver::path_of(*place);
  }
  return path;
}

// Scratch folders on the way to a mount point exist in the scratch itself.
void TreeBuilder::make_passages(std::string_view path, bool create) {
  if (!fs_.tree_.is_below_scratch(path)) return;
  Place here = fs_.resolver_.root();
  std::string prefix = "/";
  for (PathReader reader(path); const auto name = reader.next();) {
    prefix = join(prefix, *name);
    if (prefix == path) return;
    auto next = fs_.resolver_.child(nobody_, here, *name);
    if (!next && create && here.scratch()) {
      if (!fs_.scratch_.create(here.scratch(), *name, S_IFDIR | 0755)) return;
      next = fs_.resolver_.child(nobody_, here, *name);
    }
    if (!next) return;
    here = std::move(*next);
    if (here.scratch() && here.scratch()->mount == nullptr)
      here.scratch()->mount = &fs_.tree_.at(prefix);
  }
}

Result<MountNode*> TreeBuilder::cover(const std::string& guest, MountNode::Kind kind) {
  auto path = place_for(guest);
  if (!path) return pass_on(path.error());
  MountNode& node = fs_.tree_.at(*path);
  const bool can_be_folder = kind == MountNode::Kind::kFolder || kind == MountNode::Kind::kHost ||
                             kind == MountNode::Kind::kScratch;
  if (node.parent == nullptr && !can_be_folder)
    return fail_invalid(rule_.origin.rule + ": the root can only be a folder");
  make_passages(*path, kind != MountNode::Kind::kHidden);
  MountTree::cover(node, kind, rule_.origin.rule);
  return &node;
}

Status TreeBuilder::show_link(const std::string& guest, const std::string& target) {
  auto path = place_for(guest);
  if (!path) return pass_on(path.error());
  auto shown = fs_.resolver_.resolve(nobody_, fs_.resolver_.root(), *path, FinalLink::kNoFollow);
  if (shown && shown->is_link()) {
    const auto there = fs_.resolver_.target_of(nobody_, *shown);
    if (there && *there == target) return {};
  }
  auto node = cover(guest, MountNode::Kind::kLink);
  if (!node) return pass_on(node.error());
  (*node)->target = target;
  return {};
}

Status TreeBuilder::show_at(const std::string& host, const std::string& guest, bool required) {
  UniqueFd fd(::open(host.c_str(), O_PATH | O_CLOEXEC));
  if (!fd) return required ? wrong(host, std::strerror(errno)) : Status{};
  auto real = host_link_target("/proc/self/fd/" + std::to_string(fd.get()));
  return show_opened(std::move(fd), host, real.value_or(host), guest, required);
}

Status TreeBuilder::show_opened(UniqueFd fd, const std::string& host, std::string real_path,
                                const std::string& guest, bool required) {
  const auto attributes = attributes_of(fd.get());
  if (!attributes) return wrong(host, std::strerror(attributes.error().code));
  const mode_t type = type_of(*attributes);
  if (type != S_IFREG && type != S_IFDIR)
    return required ? wrong(host, "neither a regular file nor a folder") : Status{};
  if (HostFolders::is_host_proc(fd.get(), *attributes))
    return wrong(host, "the host's /proc is never shown");
  if (guest.find_first_not_of('/') == std::string::npos && type != S_IFDIR)
    return wrong(host, "the root can only be a folder");
  auto node = cover(guest, MountNode::Kind::kHost);
  if (!node) return pass_on(node.error());
  (*node)->host = HostMount{HostRoot(std::move(fd)), std::move(real_path), *attributes};
  return {};
}

// Walks the host's path as the kernel would, and shows each link on it as a link.
Status TreeBuilder::show_with_links(const std::string& host, bool required) {
  std::string pending = host;
  std::string real = "/";
  int links = 0;
  while (true) {
    PathReader reader(pending);
    const auto name = reader.next();
    if (!name) break;
    const std::string rest(reader.rest());
    const std::string next = *name == ".."  ? std::string(parent_of(real))
                             : *name == "." ? real
                                            : join(real, *name);
    const auto target = next == real ? std::nullopt : host_link_target(next);
    if (target && ++links > kMaxLinks) return wrong(host, std::strerror(ELOOP));
    if (target) {
      if (auto status = show_link(next, *target); !status) return status;
      if (target->starts_with('/')) real = "/";
      pending = *target + rest;
    } else {
      real = next;
      pending = rest;
    }
  }
  return show_at(real, real, required);
}

// Whether there is something at `host`, which is shown then.
Result<bool> TreeBuilder::show_if_there(const std::string& host, bool required) {
  Status shown;
  if (UniqueFd fd = open_without_links(host)) {
    shown = show_opened(std::move(fd), host, host, host, required);
  } else if (exists(host)) {
    shown = show_with_links(host, required);
  } else {
    return false;
  }
  if (!shown) return tl::make_unexpected(shown.error());
  return true;
}

Status TreeBuilder::add(const ShowRule& show) {
  if (!show.host.starts_with('/')) return wrong(show.host, "not an absolute path");
  if (!show.guest.empty()) return show_at(show.host, show.guest, !show.optional);
  const bool literal = !show.pattern || show.host.find('*') == std::string::npos;
  const std::vector<std::string> paths =
      literal ? std::vector<std::string>{show.host} : patterns_.expand(show.host);
  bool any = false;
  for (const std::string& path : paths) {
    const Result<bool> shown = show_if_there(path, literal && !show.optional);
    if (!shown) return tl::make_unexpected(shown.error());
    any = any || *shown;
  }
  if (any || show.optional) return {};
  return wrong(show.host, literal ? std::strerror(errno) : "matches nothing");
}

Status TreeBuilder::add(const ScratchRule& scratch) {
  auto node = cover(scratch.guest, MountNode::Kind::kScratch);
  if (!node) return pass_on(node.error());
  const std::string& path = (*node)->path;
  const bool shared = path == "/tmp" || path == "/var/tmp" || path == "/dev/shm";
  (*node)->scratch = fs_.scratch_.add_volume(scratch.bytes, shared ? 01777 : 0755);
  (*node)->scratch->mount = *node;
  return {};
}

Status TreeBuilder::add(const InlineRule& file) {
  auto node = cover(file.guest, MountNode::Kind::kFile);
  if (!node) return pass_on(node.error());
  (*node)->file.generate = [content = file.content](const SystemView&) { return content; };
  (*node)->file.permissions = file.executable ? 0555 : 0444;
  return {};
}

Status TreeBuilder::add(const LinkRule& link) {
  auto node = cover(link.guest, MountNode::Kind::kLink);
  if (!node) return pass_on(node.error());
  (*node)->target = link.target;
  return {};
}

Status TreeBuilder::add(const HideRule& hide) {
  auto node = cover(hide.guest, MountNode::Kind::kHidden);
  if (!node) return pass_on(node.error());
  return {};
}

// Only makes the path exist: what is shown there already stays.
Status TreeBuilder::add(const FolderRule& folder) {
  auto path = place_for(folder.guest);
  if (!path) return pass_on(path.error());
  std::string prefix = "/";
  for (PathReader reader(*path); const auto name = reader.next();) {
    prefix = join(prefix, *name);
    auto place = fs_.resolver_.resolve(nobody_, fs_.resolver_.root(), prefix, FinalLink::kFollow);
    if (place && place->is_folder()) continue;
    if (place) return wrong(folder.guest, "not a folder");
    auto parent =
        fs_.resolver_.resolve(nobody_, fs_.resolver_.root(), parent_of(prefix), FinalLink::kFollow);
    const MountNode* there =
        parent && parent->mount != nullptr ? parent->mount->find(*name) : nullptr;
    const bool covered = there != nullptr && there->kind != MountNode::Kind::kPassage;
    if (parent && parent->scratch() && !covered) {
      auto made = fs_.scratch_.create(parent->scratch(), *name, S_IFDIR | 0755);
      if (!made) return wrong(folder.guest, made.error().message());
      continue;
    }
    auto node = cover(prefix, MountNode::Kind::kFolder);
    if (!node) return pass_on(node.error());
  }
  return {};
}

Status TreeBuilder::add(const SyntheticRule& synthetic) {
  if (!add_synthetic_tree(fs_.tree_, synthetic.tree, rule_.origin.rule, fs_.options_.identity))
    return wrong(synthetic.tree, "no such synthetic tree");
  return {};
}

Status TreeFileSystem::add_rules(const FileRules& rules) {
  const auto probe = create_memory_file();
  if (!probe) return pass_on(probe.error());
  const auto seen = attributes_of(probe->get());
  if (!seen) return pass_on(seen.error());
  table_.set_device(device_of(*seen));
  HostPatterns patterns;
  for (const FileRule& rule : rules)
    if (auto status = TreeBuilder(*this, rule, patterns).apply(); !status) return status;
  root_ = std::make_shared<const Directory>(resolver_.root());
  describe_mounts();
  return {};
}

// proc_pid_mounts(5), proc_pid_mountinfo(5): the root, and what is a file system of its own.
void TreeFileSystem::describe_mounts() {
  std::string mounts = "vitrine / tmpfs ro,nosuid 0 0\n";
  std::string info = "1 0 0:1 / / ro,nosuid - tmpfs vitrine ro\n";
  int id = 2;
  std::vector<const MountNode*> todo{&tree_.root()};
  while (!todo.empty()) {
    const MountNode* node = todo.back();
    todo.pop_back();
    for (const auto& [name, child] : node->children) todo.push_back(child.get());
    const bool proc = node->kind == MountNode::Kind::kProc;
    if (!proc && node->kind != MountNode::Kind::kScratch) continue;
    const std::string type = proc ? "proc" : "tmpfs";
    const std::string path = escape_mount(node->path);
    mounts += type + " " + path + " " + type + " rw,nosuid 0 0\n";
    info += std::to_string(id) + " 1 0:" + std::to_string(id) + " / " + path + " rw,nosuid - " +
            type + " " + type + " rw\n";
    ++id;
  }
  proc_.set_mounts(std::move(mounts), std::move(info));
}

Result<std::unique_ptr<FileSystem>> FileSystem::build(const FileRules& rules,
                                                      const Options& options) {
  auto tree = std::make_unique<TreeFileSystem>(options);
  if (auto status = tree->add_rules(rules); !status) return pass_on(status.error());
  return tree;
}

}  // namespace vitrine::vfs
