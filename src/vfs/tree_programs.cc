// What of the tree can be executed.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "vfs/tree_filesystem.h"

namespace vitrine::vfs {

std::vector<int> TreeFileSystem::executable_mounts() const {
  std::vector<int> found;
  std::vector<const MountNode*> waiting{&tree_.root()};
  while (!waiting.empty()) {
    const MountNode* node = waiting.back();
    waiting.pop_back();
    for (const auto& [name, child] : node->children) waiting.push_back(child.get());
    if (node->kind != MountNode::Kind::kHost) continue;
    const mode_t mode = node->host.attributes.stx_mode;
    if (S_ISDIR(mode) || (mode & 0111) != 0) found.push_back(node->host.root.fd());
  }
  return found;
}

}  // namespace vitrine::vfs
