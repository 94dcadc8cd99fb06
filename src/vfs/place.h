// Place: where a lookup has arrived.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "vfs/host_folder.h"
#include "vfs/mount_tree.h"
#include "vfs/proc_node.h"
#include "vfs/scratch_node.h"

namespace vitrine::vfs {

// What the mount node itself says: a folder, a synthetic file, a device or a link.
struct FixedPlace {};

// `below` a host mount: a relative path without links, "." and ".."; "" for the mount itself.
struct HostPlace {
  const MountNode* mount = nullptr;
  std::string below;
  std::optional<HostFile> seen;  // once it was looked at
};

struct ScratchPlace {
  ScratchNodePtr node;
};

// Arrived at through a link of /proc/PID/fd: whatever that descriptor refers to, except for
// folders (which are arrived at by what they stand for).
struct DescriptorPlace {
  pid_t tid = 0;
  int number = -1;
};

struct Place {
  const MountNode* mount = nullptr;  // at this very path; null below mounts
  std::variant<FixedPlace, HostPlace, ScratchPlace, ProcNode, DescriptorPlace> what;
  std::string path;                   // canonical guest path; not kept up for scratch nodes
  const std::string* rule = nullptr;  // of the mount that shows it
  mode_t type = S_IFDIR;              // S_IFMT bits; assumed S_IFDIR for a host place not seen

  bool is_folder() const { return type == S_IFDIR; }
  bool is_link() const { return type == S_IFLNK; }
  HostPlace* host() { return std::get_if<HostPlace>(&what); }
  const HostPlace* host() const { return std::get_if<HostPlace>(&what); }
  const ScratchNodePtr& scratch() const {
    static const ScratchNodePtr kNone;
    const auto* place = std::get_if<ScratchPlace>(&what);
    return place != nullptr ? place->node : kNone;
  }
  const ProcNode* proc() const { return std::get_if<ProcNode>(&what); }
  const DescriptorPlace* descriptor() const { return std::get_if<DescriptorPlace>(&what); }
  bool is_fixed() const { return std::holds_alternative<FixedPlace>(what); }

  // A copy of a folder's place that has not been looked at.
  Place copy() const;
};

// The handle that callers keep of a folder (filesystem.h).
class Directory {
 public:
  explicit Directory(Place place) : place_(std::move(place)) {}
  const Place& place() const { return place_; }

 private:
  Place place_;
};

}  // namespace vitrine::vfs
