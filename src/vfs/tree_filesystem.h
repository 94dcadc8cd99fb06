// TreeFileSystem: FileSystem over a MountTree. The implementation is split by what is done:
// tree_build.cc, tree_open.cc, tree_names.cc, tree_attributes.cc, tree_descriptors.cc,
// tree_locks.cc, collect.cc.
#pragma once

#include <memory>
#include <string>

#include "vfs/file_locks.h"
#include "vfs/filesystem.h"
#include "vfs/host_presence.h"
#include "vfs/mount_tree.h"
#include "vfs/open_table.h"
#include "vfs/proc.h"
#include "vfs/resolver.h"
#include "vfs/scratch.h"
#include "vfs/shared_memory.h"
#include "vfs/synthetic_trees.h"

namespace vitrine::vfs {

class TreeFileSystem final : public FileSystem {
 public:
  explicit TreeFileSystem(const Options& options);

  Status add_rules(const FileRules& rules);

  void attach(const ProcessView* processes) override;
  const std::string& deciding_rule() const override { return resolver_.last_rule(); }
  const std::string& resolved_path() const override { return resolver_.last_path(); }
  bool host_may_have_missing() override { return host_.may_have(resolver_.last_whole_path()); }
  void watch(std::function<void(Sighting)> watcher) override {
    resolver_.watch(std::move(watcher));
  }

  DirectoryRef root() const override { return root_; }
  Result<DirectoryRef> open_directory(const Caller&, const DirectoryRef&,
                                      std::string_view) override;
  std::string path_of(const DirectoryRef&) const override;

  Result<Opened> open(const Caller&, const DirectoryRef&, std::string_view, int, mode_t) override;
  Status stat(const Caller&, const DirectoryRef&, std::string_view, FinalLink,
              struct statx&) override;
  Status access(const Caller&, const DirectoryRef&, std::string_view, int, FinalLink) override;
  Result<std::string> read_link(const Caller&, const DirectoryRef&, std::string_view) override;
  Status make_directory(const Caller&, const DirectoryRef&, std::string_view, mode_t) override;
  Status unlink(const Caller&, const DirectoryRef&, std::string_view) override;
  Status remove_directory(const Caller&, const DirectoryRef&, std::string_view) override;
  Status rename(const Caller&, const DirectoryRef&, std::string_view, const DirectoryRef&,
                std::string_view, unsigned) override;
  Status link(const Caller&, const DirectoryRef&, std::string_view, const DirectoryRef&,
              std::string_view, FinalLink) override;
  Status symlink(const Caller&, std::string_view, const DirectoryRef&, std::string_view) override;
  Status change_mode(const Caller&, const DirectoryRef&, std::string_view, mode_t,
                     FinalLink) override;
  Status change_owner(const Caller&, const DirectoryRef&, std::string_view, uid_t, gid_t,
                      FinalLink) override;
  Status set_times(const Caller&, const DirectoryRef&, std::string_view, const struct timespec[2],
                   FinalLink) override;
  Status truncate(const Caller&, const DirectoryRef&, std::string_view, off_t) override;
  Status make_node(const Caller&, const DirectoryRef&, std::string_view, mode_t) override;
  Status make_socket(const Caller&, const DirectoryRef&, std::string_view, mode_t,
                     std::string_view) override;
  Result<std::string> socket_at(const Caller&, const DirectoryRef&, std::string_view) override;
  Status stat_filesystem(const Caller&, const DirectoryRef&, std::string_view,
                         struct statfs&) override;
  Result<UniqueFd> open_program(const Caller&, const DirectoryRef&, std::string_view) override;
  std::vector<int> executable_mounts() const override;

  Status stat_descriptor(const Caller&, GuestFd, struct statx&) override;
  Result<DirectoryRef> directory_of(const Caller&, GuestFd) override;
  Result<std::size_t> read_directory(const Caller&, GuestFd, std::span<std::byte>) override;
  Status change_mode_descriptor(const Caller&, GuestFd, mode_t) override;
  Status set_times_descriptor(const Caller&, GuestFd, const struct timespec[2]) override;
  Status truncate_descriptor(const Caller&, GuestFd, off_t) override;
  Status allocate_descriptor(const Caller&, GuestFd, int, off_t, off_t) override;
  Status stat_filesystem_descriptor(const Caller&, GuestFd, struct statfs&) override;
  Status lock_whole(const Caller&, GuestFd, int) override;
  Status lock_record(const Caller&, GuestFd, int, struct flock&) override;
  void forget_wait(pid_t tid) override { locks_.forget_wait(tid); }
  Result<std::string> read_link_descriptor(const Caller&, GuestFd) override;
  Result<std::string> path_of_descriptor(const Caller&, GuestFd) override;

  Result<UniqueFd> create_shared_memory(std::uint64_t size) override {
    return shared_.create(size);
  }
  MemoryHeld memory_held() override;
  std::uint64_t scratch_used() override { return scratch_.used(); }
  bool scratch_in_use() const override { return scratch_.memory_files() != 0; }
  std::uint64_t scratch_peak() const override { return scratch_.peak(); }
  std::uint64_t scratch_quota() const override { return scratch_.quota(); }
  std::uint64_t file_size_limit() override { return scratch_.file_size_limit(); }
  std::uint64_t scratch_given_back() const override { return scratch_.given_back(); }
  bool scratch_refused() const override { return scratch_.refused(); }

  Status collect(std::string_view, const std::string&, std::uint64_t) override;

 private:
  friend class TreeBuilder;

  // What a guest's descriptor is. Exactly one of `entry`, `node` is set for what is ours.
  struct Described {
    Attributes seen{};                  // as the kernel says
    OpenTable::Entry* entry = nullptr;  // placeholder or snapshot
    ScratchNodePtr node;                // scratch file
    const MountNode* device = nullptr;  // one of our devices
  };
  Result<Described> describe(GuestFd fd);
  // What a lock on a descriptor is a lock of.
  struct Lockable {
    FileLocks::File file;
    std::uint64_t seen_inode = 0;
    std::uint64_t size = 0;
  };
  Result<Lockable> lockable(GuestFd fd);
  bool is_held(const FileLock& lock);
  Result<Attributes> attributes_of_described(const Described& described);
  Result<std::string> name_of_descriptor(GuestFd fd);
  Result<ScratchNodePtr> node_of_descriptor(const DescriptorPlace& place);
  static bool is_open_for_writing(GuestFd fd);
  static std::string path_of_node(const ScratchNode& node);
  void describe_mounts();
  const MountNode* device_of_number(DeviceNumber number) const;
  std::string mapped_name(std::uint64_t inode, std::string_view host_name) const;
  // The scratch node behind a descriptor that may be changed through it; else `otherwise`.
  Result<ScratchNodePtr> writable_node(GuestFd fd, int otherwise);

  Result<Attributes> attributes(const Place& place);
  Attributes fixed_attributes(const MountNode& node) const;
  Status stat_filesystem_of(const Place& place, struct statfs& out);
  Result<Listing> list(const Caller& caller, const DirectoryRef& folder);
  Status add_entries(const Caller& caller, const Place& place, Listing& listing);
  void add_mounts(const Caller& caller, const Place& folder, Listing& listing);

  Result<Opened> open_place(const Caller& caller, Place place, int flags);
  Result<Opened> open_folder(Place place, int flags);
  Result<Opened> open_path_only(Place place);
  Result<Opened> open_host_file(const Place& place, int flags);
  Result<Opened> open_scratch_file(const ScratchNodePtr& node, int flags);
  Result<Opened> open_synthetic(const Caller& caller, Place place, int flags);
  Result<Opened> open_device(const MountNode& node, int flags);
  Result<Opened> open_own_terminal(const Caller& caller, int flags);
  bool may_have_another_terminal() const;
  bool show_terminal(int master, const std::string& rule);
  bool is_own_terminal(unsigned number) const;
  static UniqueFd find_device(const MountNode& node);
  Result<Opened> open_descriptor(const Caller& caller, const DescriptorPlace& place, int flags);
  Result<Opened> create_file(const Caller& caller, const ParentAndName& at, int flags, mode_t mode);
  Result<Opened> open_or_create(const Caller& caller, const DirectoryRef& base,
                                std::string_view path, int flags, mode_t mode);
  Result<Opened> open_nameless(const Caller& caller, const Place& folder, int flags, mode_t mode);
  Result<std::string> synthetic_content(const Place& place);

  // The scratch folder in which `name` may be made: EEXIST, EROFS, ENOENT, ... else. A
  // trailing slash is for `folder`s only.
  Result<ScratchNodePtr> folder_for_new_name(const Caller& caller, const ParentAndName& at,
                                             bool folder);
  // The scratch folder and the name that may be taken away.
  Result<ScratchNodePtr> folder_for_removal(const Caller& caller, const ParentAndName& at);
  Result<ScratchNodePtr> writable_place(const Caller& caller, const DirectoryRef& base,
                                        std::string_view path, FinalLink final);

  Options options_;
  MountTree tree_;
  Scratch scratch_;
  SharedMemory shared_;
  Proc proc_;
  Resolver resolver_;
  HostPresence host_;
  OpenTable table_;
  FileLocks locks_{[this](const FileLock& lock) { return is_held(lock); }};
  SystemView system_;
  DirectoryRef root_;
  timespec built_at_{};
  std::size_t terminals_made_ = 0;
};

// "/proc/TID/fd", opened O_PATH; empty if the task is gone.
UniqueFd open_descriptors_of(pid_t tid);

// Guest-visible status flags that a granted descriptor keeps.
int granted_flags(int flags);

}  // namespace vitrine::vfs
