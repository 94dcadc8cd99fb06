// ScratchNode: a file, folder or link of a writable in-memory folder. Data; Scratch (scratch.h)
// keeps its rules.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/unique_fd.h"
#include "vfs/attributes.h"

namespace vitrine::vfs {

struct MountNode;
struct ScratchNode;
using ScratchNodePtr = std::shared_ptr<ScratchNode>;

struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};

// One scratch folder of the rules: what it may hold and what it holds.
struct ScratchVolume {
  std::uint64_t quota = 0;
  std::uint64_t charged = 0;   // for names, nodes and the content that is not in memory files
  std::uint64_t measured = 0;  // blocks of its memory files when they were last looked at
  std::uint64_t largest = 0;   // size of the largest file, likewise
  DeviceNumber device;
  ScratchNodePtr root;
};

// What a regular file holds. Either in a memory file, of which descriptors can be granted, or
// (while nobody has it open) as extents, because each memory file costs the supervisor a
// descriptor.
struct ScratchContent {
  struct Extent {
    std::uint64_t offset = 0;
    std::string bytes;
  };
  UniqueFd file;                 // from create_memory_file()
  std::uint64_t file_inode = 0;  // of `file`
  timespec restored_ctime{};     // ctime of `file` that our own restoring caused: not the guest's
  std::uint64_t size = 0;        // as are the next two: valid while there is no `file`
  std::uint64_t held = 0;        // bytes in `extents`, in whole blocks
  std::vector<Extent> extents;
};

struct ScratchNode {
  struct Name {
    ScratchNode* folder = nullptr;  // outlives the name: a folder is removed only when empty
    std::string name;
  };
  using Children = std::unordered_map<std::string, ScratchNodePtr, StringHash, std::equal_to<>>;

  ScratchVolume* volume = nullptr;
  mode_t mode = 0;  // with the type
  std::uint64_t inode = 0;
  timespec atime{}, mtime{}, ctime{}, btime{};
  std::vector<Name> names;  // one for each hard link; none for a volume's root
  std::string former_path;  // below the volume, once the last name is gone and somebody may ask
  const MountNode* mount = nullptr;  // of a root, or a folder on the way to a mount point
  std::uint64_t cost = 0;            // charged to the volume for the node itself
  bool linkable = false;             // made without a name, may be given one (O_TMPFILE)
  bool removed = false;              // a folder that rmdir(2) took away

  Children children;  // of a folder
  std::uint32_t subfolders = 0;
  std::string target;      // of a link
  ScratchContent content;  // of a regular file

  bool is_folder() const { return S_ISDIR(mode); }
  bool is_file() const { return S_ISREG(mode); }
  bool is_link() const { return S_ISLNK(mode); }
  ScratchNode* parent() const { return names.empty() ? nullptr : names.back().folder; }
  // The guest owns every node, so the owner's bits decide. `mask` is of R_OK, W_OK, X_OK.
  bool permits(int mask) const {
    return ((mode >> 6) & 7U & static_cast<mode_t>(mask)) == static_cast<mode_t>(mask);
  }
};

}  // namespace vitrine::vfs
