// Scratch: the writable in-memory folders. Semantics are those of tmpfs for one unprivileged user.
//
// A regular file's content is a memory file while the guest may have it open; a granted descriptor
// is a new open file description of it, so reads and writes are native. What was written is
// therefore measured, not counted: used() looks at the blocks of all memory files.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "vfs/scratch_node.h"

namespace vitrine::vfs {

class Scratch {
 public:
  struct Options {
    Identity identity;
    std::size_t max_memory_files = 0;  // descriptors that may be held; 0: from RLIMIT_NOFILE
  };
  explicit Scratch(const Options& options);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  // A new volume; its root folder.
  ScratchNodePtr add_volume(std::uint64_t quota, mode_t mode);

  // --- names. Every folder passed in is one; errors are those of the call named.
  static ScratchNodePtr find(const ScratchNode& folder, std::string_view name);
  // `mode` with type: a regular file, a folder, or a link to `target`. ENOSPC, EACCES, ENOENT (in a
  // removed folder); the name must be free.
  Result<ScratchNodePtr> create(const ScratchNodePtr& folder, std::string_view name, mode_t mode,
                                std::string_view target = {});
  // A file without a name (O_TMPFILE).
  Result<ScratchNodePtr> create_nameless(const ScratchNodePtr& folder, mode_t mode);
  Status unlink(const ScratchNodePtr& folder, std::string_view name);
  Status remove_folder(const ScratchNodePtr& folder, std::string_view name);
  Status link(const ScratchNodePtr& node, const ScratchNodePtr& folder, std::string_view name);
  // Both names are normal ones (not "." or ".."). flags as renameat2(2).
  Status rename(const ScratchNodePtr& from_folder, std::string_view from,
                const ScratchNodePtr& to_folder, std::string_view to, unsigned flags);
  // Path below the volume's root: "" for the root, "/a/b" else; nullopt once it has no name. Of a
  // path beyond 2 * PATH_MAX the end, after "/...".
  static std::optional<std::string> path_of(const ScratchNode& node);

  // --- nodes
  Result<Attributes> attributes(const ScratchNode& node) const;
  // flags: access mode, O_APPEND, O_TRUNC and other status flags. Permission is the caller's
  // matter.
  Result<UniqueFd> open(const ScratchNodePtr& node, int flags);
  void set_mode(ScratchNode& node, mode_t bits);
  Status set_times(ScratchNode& node, const timespec times[2]);
  Status truncate(const ScratchNodePtr& node, std::uint64_t size);
  Status allocate(const ScratchNodePtr& node, int mode, off_t offset, off_t length);
  // Calls `sink` with pieces of the file's content, in order, holes as zeroes; false ends it.
  Status read_content(const ScratchNode& node,
                      const std::function<bool(std::string_view)>& sink) const;
  // Every granted description is marked, so that dup(2) and fork(2) of it are known as the same: by
  // a lock of one byte, far behind any end of a file, which /proc/PID/fdinfo shows. The guest's own
  // locks never reach the kernel.
  static constexpr std::uint64_t kFirstMark = std::uint64_t{1} << 62;
  // Whether the description with this mark, of the memory file with this inode number, is open.
  bool is_description_open(std::uint64_t inode, std::uint64_t mark) const;
  // The node whose memory file has this inode number.
  ScratchNodePtr node_of_memory_file(std::uint64_t inode) const;

  // --- accounting
  std::uint64_t used();
  std::uint64_t peak() const { return peak_; }
  std::uint64_t quota() const;
  std::uint64_t file_size_limit();
  std::uint64_t given_back() const { return given_back_; }
  bool refused() const { return refused_; }
  std::uint64_t used_of(const ScratchVolume& volume);
  std::size_t memory_files() const { return live_.size(); }

 private:
  ScratchNodePtr make_node(ScratchVolume& volume, mode_t mode);
  Status charge(ScratchVolume& volume, std::uint64_t bytes);
  void attach(const ScratchNodePtr& node, ScratchNode& folder, std::string_view name);
  ScratchNodePtr detach(ScratchNode& folder, std::string_view name);
  void drop(const ScratchNodePtr& node);
  Status check_rename(const ScratchNode& from_folder, const ScratchNode* node,
                      const ScratchNode& to_folder, const ScratchNode* victim, unsigned flags);

  // content (scratch_content.cc)
  Status make_live(const ScratchNodePtr& node);
  Status restore(ScratchNode& node);
  Status evict(ScratchNode& node) const;
  bool reclaim_descriptors();
  void release(const ScratchNodePtr& node);
  void measure();

  Options options_;
  std::vector<std::unique_ptr<ScratchVolume>> volumes_;
  std::unordered_map<std::uint64_t, ScratchNodePtr> live_;  // by memory file's inode
  std::uint64_t next_inode_ = 2;
  std::uint64_t next_mark_ = kFirstMark;
  std::uint64_t peak_ = 0;
  std::uint64_t given_back_ = 0;
  bool refused_ = false;
};

}  // namespace vitrine::vfs
