// Resolver: from a name to a Place, in the guest's tree and nowhere else.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/path.h"
#include "base/result.h"
#include "core/sighting.h"
#include "vfs/filesystem.h"
#include "vfs/host_folder.h"
#include "vfs/mount_tree.h"
#include "vfs/place.h"
#include "vfs/proc.h"

namespace vitrine::vfs {

inline constexpr int kMaxLinks = 40;  // as the kernel (path_resolution(7))

// Where a name is to be made or taken away.
struct ParentAndName {
  enum class Last { kName, kDot, kDotDot, kRoot };
  Place folder;
  std::string name;
  Last last = Last::kName;
  bool trailing_slash = false;
};

class Resolver {
 public:
  // Which folder the descriptor behind a /proc/PID/fd link stands for; ENOTDIR for anything else.
  using FolderOfDescriptor = std::function<Result<DirectoryRef>(pid_t tid, int number)>;
  // S_IFMT bits of what it refers to.
  using TypeOfDescriptor = std::function<Result<mode_t>(pid_t tid, int number)>;

  Resolver(const MountTree& tree, const Proc& proc, bool use_openat2);

  void set_descriptors(FolderOfDescriptor folder, TypeOfDescriptor type);

  Place root() const;
  Result<Place> resolve(const Caller& caller, const Place& base, std::string_view path,
                        FinalLink final);
  Result<ParentAndName> resolve_parent(const Caller& caller, const Place& base,
                                       std::string_view path);
  // One step down, no link followed.
  Result<Place> child(const Caller& caller, const Place& folder, std::string_view name);
  // The same in a scratch folder, whatever its permission bits say: for vitrine's own use.
  Result<Place> child_for_owner(const Place& folder, std::string_view name);
  // The target of a link's place.
  Result<std::string> target_of(const Caller& caller, const Place& link) const;
  // Where a magic link of /proc/PID/fd leads.
  Result<Place> follow_descriptor(const ProcNode& link) const;
  // The place at a canonical path, not looked at.
  Place place_at(const Caller& caller, std::string_view canonical);
  // Looks at a host place that was only assumed to exist.
  Status verify(Place& place);
  // Canonical guest path; for scratch nodes as it is now. "" once it has none.
  static std::string path_of(const Place& place);
  static std::string path_of(const ScratchNode& node);

  // Of the last lookup.
  const std::string& last_rule() const { return *last_rule_; }
  const std::string& last_path() const;
  // With what was still to be looked up where it failed.
  std::string last_whole_path() const;
  void note(const Place& place);
  void note_missing(const Place& folder, std::string_view name);

  // filesystem.h, watch().
  void watch(std::function<void(Sighting)> watcher) { watcher_ = std::move(watcher); }
  void saw(Sighting::Kind kind, const Place& place) const {
    if (watcher_) watcher_({kind, path_of(place), *place.rule});
  }
  // `rest`: what was still to be looked up behind the name that failed.
  void saw_nothing(std::string_view rest) {
    last_rest_ = rest;
    if (watcher_) watcher_({Sighting::Kind::kMissing, last_whole_path(), *last_rule_});
  }

 private:
  friend class Walk;
  Result<Place> enter_mount(const Place& folder, const MountNode& mount, std::string_view name);
  Result<Place> enter_passage(const Place& folder, const MountNode& mount, std::string_view name);
  Result<Place> host_child(const Place& folder, std::string_view names);
  Result<Place> scratch_child(const Place& folder, std::string_view name) const;
  Result<Place> parent(const Caller& caller, const Place& place);
  Status look(Place& place);

  const MountTree& tree_;
  const Proc& proc_;
  HostFolders host_;
  FolderOfDescriptor folder_of_descriptor_;
  TypeOfDescriptor type_of_descriptor_;
  std::function<void(Sighting)> watcher_;
  const std::string* last_rule_;
  // The path is put together only when somebody asks for it.
  std::string last_folder_ = "/";
  ScratchNodePtr last_node_;  // instead of `last_folder_`
  std::string last_name_;     // below it, where the lookup ended without a place
  std::string last_rest_;     // behind that
  mutable std::string last_path_;
};

}  // namespace vitrine::vfs
