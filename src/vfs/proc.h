// Proc: the processes' part of the synthetic /proc. Only processes of the tree exist in it: one
// membership rule, Proc::child(), for open, stat, readlink and listing alike.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "vfs/attributes.h"
#include "vfs/filesystem.h"
#include "vfs/listing.h"
#include "vfs/proc_node.h"

namespace vitrine::vfs {

class MountTree;

class Proc {
 public:
  // Guest path of what the descriptor `number` of `tid` refers to.
  using DescriptorName = std::function<Result<std::string>(pid_t tid, int number)>;
  // Guest name of a mapped file, from the host's device, inode and name (proc_pid_maps(5)).
  using MappedName = std::function<std::string(std::uint64_t inode, std::string_view host_name)>;

  Proc(const Identity& identity, std::uint64_t inode_seed);

  void attach(const ProcessView* processes) { processes_ = processes; }
  void set_names(DescriptorName descriptor, MappedName mapped);
  // Content of mounts and mountinfo: the mount points of the guest's tree.
  void set_mounts(std::string mounts, std::string mount_info);

  Result<ProcNode> child(const Caller& caller, const ProcNode& folder, std::string_view name) const;
  mode_t type_of(const ProcNode& node) const;
  Result<Attributes> attributes(const ProcNode& node, std::string_view path) const;
  Result<std::string> read_link(const Caller& caller, const ProcNode& node) const;
  Result<std::string> content(const ProcNode& node) const;
  Result<std::vector<ListEntry>> list(const Caller& caller, const ProcNode& folder,
                                      std::string_view path) const;

 private:
  friend struct ProcContent;
  bool has_process(pid_t tgid) const;
  bool has_thread(pid_t tgid, pid_t tid) const;
  Result<ProcNode> child_of_process(const ProcNode& folder, std::string_view name) const;
  Result<ProcNode> child_by_number(const ProcNode& folder, std::string_view name) const;
  std::vector<std::string> numbers_in(const ProcNode& folder) const;
  Result<std::string> descriptor_info(const ProcNode& node) const;

  Identity identity_;
  std::uint64_t inode_seed_;
  timespec built_at_{};
  std::uint64_t boot_ticks_at_start_ = 0;
  const ProcessView* processes_ = nullptr;
  DescriptorName descriptor_name_;
  MappedName mapped_name_;
  std::string mounts_;
  std::string mount_info_;
};

// A file or link of /proc/PID and /proc/PID/task/TID.
struct ProcFileRow {
  const char* name;
  bool link;
  Result<std::string> (*content)(const Proc& proc, const ProcNode& node);
};
std::span<const ProcFileRow> proc_file_rows();

}  // namespace vitrine::vfs
