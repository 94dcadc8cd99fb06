// MountTree: what the rules show, as a trie of guest paths. Built at the start; what is added
// later are the terminals that the run makes.
//
// A node either says what is at its path, or is only on the way to one that does (kPassage): then
// the path shows what the mount above it shows there, or an empty folder.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "vfs/host_folder.h"
#include "vfs/scratch_node.h"

namespace vitrine::vfs {

// A file or folder of the host, opened O_PATH when the tree was built.
struct HostMount {
  HostRoot root;
  std::string real_path;    // on the host, without links
  Attributes attributes{};  // when it was built; only the type is relied on
};

// What the generators of synthetic files know.
struct SystemView;

// A file whose content vitrine makes.
struct SyntheticFile {
  std::function<std::string(const SystemView&)> generate;
  mode_t permissions = 0444;
  bool reports_size = true;  // procfs says 0
};

struct DeviceFile {
  std::string host;  // "/dev/null"; empty: cannot be opened (ENXIO)
  DeviceNumber number;
};

struct MountNode {
  enum class Kind {
    kPassage,
    kFolder,  // shown, empty but for its mount points
    kHost,
    kScratch,
    kFile,
    kLink,
    kDevice,
    kProc,  // the root of the processes' folders
    kHidden,
  };
  using Children = std::map<std::string, std::unique_ptr<MountNode>, std::less<>>;

  MountNode* parent = nullptr;
  std::string path;  // canonical guest path
  std::string rule = "default";
  Kind kind = Kind::kPassage;
  Children children;

  HostMount host;          // kHost
  ScratchNodePtr scratch;  // kScratch
  SyntheticFile file;      // kFile
  DeviceFile device;       // kDevice
  std::string target;      // kLink

  const MountNode* find(std::string_view name) const {
    const auto found = children.find(name);
    return found == children.end() ? nullptr : found->second.get();
  }
  // Whether something is shown here whatever the mount above shows.
  bool is_shown() const;
};

class MountTree {
 public:
  MountTree();
  const MountNode& root() const { return *root_; }
  // The node at canonical `path`, made with passages on the way where it is absent. Not its
  // content: that is replaced with cover().
  MountNode& at(std::string_view path);
  // Forgets what `node` and everything below it shows: a later rule covers an earlier one.
  static void cover(MountNode& node, MountNode::Kind kind, std::string rule);
  // Whether a scratch folder is on the way to canonical `path`.
  bool is_below_scratch(std::string_view path) const;
  // Where the host's `real_path` is shown, nullopt if nowhere. Of several places the closest mount.
  std::optional<std::string> guest_path_of(std::string_view real_path) const;

 private:
  std::unique_ptr<MountNode> root_;
};

}  // namespace vitrine::vfs
