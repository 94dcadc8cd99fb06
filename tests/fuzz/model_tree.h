// A model of the guest's tree, written to be plainly right and not to be fast: every path is looked
// up one component at a time in maps in memory. What the resolver answers has to be the same.
#pragma once

#include <cerrno>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace vitrine::fuzz {

// A file, folder or link of the host or of a scratch folder.
struct ModelNode {
  enum class Kind { kFolder, kFile, kLink };
  Kind kind = Kind::kFolder;
  std::string text;  // content, or target
  ModelNode* parent = nullptr;
  std::string name;
  std::map<std::string, std::unique_ptr<ModelNode>> children;
  bool leads_to_mounts = false;  // of scratch: made when the tree was built, for what lies below

  ModelNode* find(const std::string& child) const {
    const auto found = children.find(child);
    return found == children.end() ? nullptr : found->second.get();
  }
  ModelNode& add(const std::string& child, Kind made, std::string with = {}) {
    auto& node = children[child];
    node = std::make_unique<ModelNode>();
    node->kind = made;
    node->text = std::move(with);
    node->parent = this;
    node->name = child;
    return *node;
  }
};

// What a rule put at a path.
struct ModelMount {
  enum class Kind { kHidden, kFolder, kHost, kScratch, kFile, kLink };
  Kind kind = Kind::kFolder;
  ModelNode* node = nullptr;  // kHost, kScratch
  std::string text;           // kFile, kLink
};

// Where a lookup has arrived.
struct Spot {
  std::string path;  // canonical; of scratch as it is now
  ModelNode::Kind kind = ModelNode::Kind::kFolder;
  std::string text;           // content, or target
  ModelNode* node = nullptr;  // of the host or of scratch; null: the tree's own
  bool scratch = false;
};

template <typename T>
using Found = std::variant<T, int>;  // or an errno

inline std::vector<std::string> components(std::string_view path) {
  std::vector<std::string> names;
  std::string name;
  for (const char c : std::string(path) + "/") {
    if (c != '/') {
      name += c;
    } else if (!name.empty()) {
      names.push_back(std::move(name));
      name.clear();
    }
  }
  return names;
}

inline std::string below(const std::string& folder, const std::string& name) {
  return (folder == "/" ? "" : folder) + "/" + name;
}

inline std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

class ModelTree {
 public:
  static constexpr int kMostLinks = 40;
  static constexpr std::size_t kLongestName = 255;
  // Natively what links lead to may be longer by any number of links.
  static constexpr std::size_t kMostPending = 2 * 4095;

  // A later rule covers an earlier one. False: the rule cannot be (and is refused).
  bool mount(const std::string& guest, ModelMount what);
  bool make_folder(const std::string& guest);

  Found<Spot> resolve(const Spot& base, std::string_view path, bool follow) const;
  Spot root() const { return *at("/"); }
  // Of the canonical path itself, no link followed.
  std::optional<Spot> at(const std::string& path) const;
  // Whether `name` below `folder` is a mount, hidden or not, or leads to one.
  bool covers(const Spot& folder, const std::string& name) const {
    if (folder.scratch && !folder.node->leads_to_mounts) return false;
    const std::string path = below(folder.path, name);
    return mounts_.contains(path) || leads_to(path, false);
  }
  // As a spot is now: scratch may have moved.
  Spot again(const Spot& spot) const;

 private:
  Found<Spot> child(const Spot& folder, const std::string& name) const;
  Spot parent(const Spot& spot) const;
  std::string path_of(const ModelNode* node) const;
  Spot spot_of(const std::string& path, ModelNode* node, bool scratch) const;
  std::string place_for(const std::string& guest) const;
  void make_way(const std::string& path, bool create);
  bool leads_to(const std::string& path, bool shown) const;

  std::map<std::string, ModelMount> mounts_{{"/", {}}};
  std::map<const ModelNode*, std::string> scratch_roots_;
  std::vector<std::unique_ptr<ModelNode>> volumes_;
};

// Whether a mount lies somewhere below `path` (one that shows something, if `shown`).
inline bool ModelTree::leads_to(const std::string& path, bool shown) const {
  const std::string prefix = path == "/" ? path : path + "/";
  for (const auto& [where, what] : mounts_) {
    if (where.size() > prefix.size() && where.starts_with(prefix) &&
        !(shown && what.kind == ModelMount::Kind::kHidden)) {
      return true;
    }
  }
  return false;
}

inline Spot ModelTree::spot_of(const std::string& path, ModelNode* node, bool scratch) const {
  return {path, node->kind, node->text, node, scratch};
}

inline Found<Spot> ModelTree::child(const Spot& folder, const std::string& name) const {
  using Kind = ModelMount::Kind;
  if (name.size() > kLongestName) return ENAMETOOLONG;
  const std::string path = below(folder.path, name);
  ModelNode* under = folder.node == nullptr ? nullptr : folder.node->find(name);
  if (folder.scratch && !folder.node->leads_to_mounts) {
    if (under == nullptr) return ENOENT;
    return spot_of(path, under, true);
  }
  if (const auto found = mounts_.find(path); found != mounts_.end()) {
    const ModelMount& what = found->second;
    switch (what.kind) {
      case Kind::kHidden:  // a later rule may show something below
        if (!leads_to(path, true)) return ENOENT;
        return Spot{path, ModelNode::Kind::kFolder, "", nullptr, false};
      case Kind::kFolder:
        return Spot{path, ModelNode::Kind::kFolder, "", nullptr, false};
      case Kind::kFile:
        return Spot{path, ModelNode::Kind::kFile, what.text, nullptr, false};
      case Kind::kLink:
        return Spot{path, ModelNode::Kind::kLink, what.text, nullptr, false};
      case Kind::kHost:
      case Kind::kScratch:
        return spot_of(path, what.node, what.kind == Kind::kScratch);
    }
  }
  // On the way to a mount there is a folder, whatever is there.
  const bool is_folder = under != nullptr && under->kind == ModelNode::Kind::kFolder;
  if (!is_folder && leads_to(path, true)) {
    return Spot{path, ModelNode::Kind::kFolder, "", nullptr, false};
  }
  // And where something is hidden below, nothing but a folder.
  if (under == nullptr || (!is_folder && leads_to(path, false))) return ENOENT;
  return spot_of(path, under, folder.scratch);
}

inline std::optional<Spot> ModelTree::at(const std::string& path) const {
  const ModelMount& top = mounts_.at("/");
  Spot here{"/", ModelNode::Kind::kFolder, "", top.node, top.kind == ModelMount::Kind::kScratch};
  for (const std::string& name : components(path)) {
    const Found<Spot> next = child(here, name);
    if (std::holds_alternative<int>(next)) return std::nullopt;
    here = std::get<Spot>(next);
  }
  return here;
}

inline std::string ModelTree::path_of(const ModelNode* node) const {
  if (const auto root = scratch_roots_.find(node); root != scratch_roots_.end()) {
    return root->second;
  }
  return below(path_of(node->parent), node->name);
}

inline Spot ModelTree::again(const Spot& spot) const {
  if (!spot.scratch) return spot;
  return spot_of(path_of(spot.node), spot.node, true);
}

inline Spot ModelTree::parent(const Spot& spot) const {
  if (spot.scratch && spot.node->parent != nullptr) {
    return spot_of(path_of(spot.node->parent), spot.node->parent, true);
  }
  return *at(folder_of(spot.path));
}

inline Found<Spot> ModelTree::resolve(const Spot& base, std::string_view path, bool follow) const {
  if (path.empty()) return ENOENT;
  Spot here = path.starts_with('/') ? root() : again(base);
  std::string pending(path);
  int links = 0;
  while (true) {
    const auto begin = pending.find_first_not_of('/');
    if (begin == std::string::npos) break;
    if (here.kind != ModelNode::Kind::kFolder) return ENOTDIR;
    const std::string name = pending.substr(begin, pending.find('/', begin) - begin);
    pending = pending.substr(begin + name.size());
    if (name == ".") continue;
    if (name == "..") {
      here = parent(here);
      continue;
    }
    Found<Spot> found = child(here, name);
    if (std::holds_alternative<int>(found)) return found;
    Spot next = std::get<Spot>(std::move(found));
    if (next.kind == ModelNode::Kind::kLink && (follow || !pending.empty())) {
      if (++links > kMostLinks) return ELOOP;
      if (next.text.empty()) return ENOENT;
      if (next.text.size() + pending.size() > kMostPending) return ENAMETOOLONG;
      pending = next.text + pending;
      if (pending.starts_with('/')) here = root();
      continue;
    }
    here = std::move(next);
  }
  const bool slash = !pending.empty() || path.ends_with('/');
  if (slash && here.kind != ModelNode::Kind::kFolder) return ENOTDIR;
  return here;
}

// The canonical path that a rule's path means: links that earlier rules show are followed, but for
// the last component.
inline std::string ModelTree::place_for(const std::string& guest) const {
  const std::vector<std::string> names = components(guest);
  if (names.empty()) return "/";
  std::string path = "/";
  for (std::size_t i = 0; i + 1 < names.size(); ++i) path = below(path, names[i]);
  const Found<Spot> whole = resolve(root(), path, true);
  if (const Spot* spot = std::get_if<Spot>(&whole)) return below(spot->path, names.back());
  path = "/";
  for (std::size_t i = 0; i + 1 < names.size(); ++i) {
    path = below(path, names[i]);
    const Found<Spot> found = resolve(root(), path, true);
    if (const Spot* spot = std::get_if<Spot>(&found)) path = spot->path;
  }
  return below(path, names.back());
}

// Scratch folders on the way to a mount are made.
inline void ModelTree::make_way(const std::string& path, bool create) {
  Spot here = root();
  for (const std::string& name : components(folder_of(path))) {
    Found<Spot> next = child(here, name);
    if (std::holds_alternative<int>(next)) {
      if (!create || !here.scratch) return;
      here.node->add(name, ModelNode::Kind::kFolder);
      next = child(here, name);
    }
    if (std::holds_alternative<int>(next)) return;
    here = std::get<Spot>(next);
    if (here.scratch) here.node->leads_to_mounts = true;
  }
}

inline bool ModelTree::mount(const std::string& guest, ModelMount what) {
  using Kind = ModelMount::Kind;
  const std::string path = place_for(guest);
  const bool folder = what.kind == Kind::kFolder || what.kind == Kind::kScratch ||
                      (what.kind == Kind::kHost && what.node->kind == ModelNode::Kind::kFolder);
  if (path == "/" && !folder) return false;
  make_way(path, what.kind != Kind::kHidden);
  std::erase_if(mounts_, [&](const auto& each) {
    return each.first == path || each.first.starts_with(path == "/" ? path : path + "/");
  });
  if (what.kind == Kind::kScratch) {
    volumes_.push_back(std::make_unique<ModelNode>());
    what.node = volumes_.back().get();
    what.node->leads_to_mounts = true;
    scratch_roots_[what.node] = path;
  }
  mounts_[path] = std::move(what);
  return true;
}

inline bool ModelTree::make_folder(const std::string& guest) {
  std::string path = "/";
  for (const std::string& name : components(place_for(guest))) {
    path = below(path, name);
    const Found<Spot> found = resolve(root(), path, true);
    if (const Spot* spot = std::get_if<Spot>(&found)) {
      if (spot->kind != ModelNode::Kind::kFolder) return false;
      continue;
    }
    const Found<Spot> above = resolve(root(), folder_of(path), true);
    const Spot* folder = std::get_if<Spot>(&above);
    const auto there = mounts_.find(path);  // hidden, or a link to nowhere
    const bool covered = folder != nullptr && folder->node != nullptr &&
                         folder->node->leads_to_mounts && there != mounts_.end();
    if (folder != nullptr && folder->scratch && !covered) {
      if (folder->node->find(name) != nullptr) return false;
      folder->node->add(name, ModelNode::Kind::kFolder);
    } else if (!mount(path, {})) {
      return false;
    }
  }
  return true;
}

}  // namespace vitrine::fuzz
