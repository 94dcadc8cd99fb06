#include "vfs/mount_tree.h"

#include <algorithm>
#include <vector>

#include "vfs/path.h"

namespace vitrine::vfs {

bool MountNode::is_shown() const {
  if (kind != Kind::kPassage && kind != Kind::kHidden) return true;
  return std::any_of(children.begin(), children.end(),
                     [](const auto& each) { return each.second->is_shown(); });
}

MountTree::MountTree() : root_(std::make_unique<MountNode>()) {
  root_->path = "/";
  root_->kind = MountNode::Kind::kFolder;
}

MountNode& MountTree::at(std::string_view path) {
  MountNode* node = root_.get();
  for (PathReader reader(path); const auto name = reader.next();) {
    auto& child = node->children[std::string(*name)];
    if (!child) {
      child = std::make_unique<MountNode>();
      child->parent = node;
      child->path = join(node->path, *name);
      child->rule = node->rule;
    }
    node = child.get();
  }
  return *node;
}

bool MountTree::is_below_scratch(std::string_view path) const {
  const MountNode* node = root_.get();
  for (PathReader reader(path); node != nullptr;) {
    if (node->kind == MountNode::Kind::kScratch) return true;
    const auto name = reader.next();
    node = name ? node->find(*name) : nullptr;
  }
  return false;
}

void MountTree::cover(MountNode& node, MountNode::Kind kind, std::string rule) {
  node.children.clear();
  node.host = {};
  node.scratch.reset();
  node.file = {};
  node.device = {};
  node.target.clear();
  node.kind = kind;
  node.rule = std::move(rule);
}

std::optional<std::string> MountTree::guest_path_of(std::string_view real_path) const {
  const MountNode* best = nullptr;
  std::vector<const MountNode*> todo{root_.get()};
  while (!todo.empty()) {
    const MountNode* node = todo.back();
    todo.pop_back();
    for (const auto& [name, child] : node->children) todo.push_back(child.get());
    if (node->kind != MountNode::Kind::kHost) continue;
    const std::string& prefix = node->host.real_path;
    if (!is_same_or_below(real_path, prefix)) continue;
    if (best == nullptr || prefix.size() > best->host.real_path.size()) best = node;
  }
  if (best == nullptr) return std::nullopt;
  const std::string& prefix = best->host.real_path;
  std::string_view rest = real_path.substr(prefix == "/" ? 0 : prefix.size());
  if (rest.empty() || rest == "/") return best->path;
  return (best->path == "/" ? "" : best->path) + std::string(rest);
}

}  // namespace vitrine::vfs
