// OpenTable: what the descriptors that stand for something else stand for.
//
// A folder is granted as a placeholder: a fresh folder without a name, or an empty, sealed memory
// file where none can be made; so is what is opened O_PATH that no host file backs. A synthetic
// file is granted as a sealed snapshot. The guest's descriptor is recognised by the device and
// inode of that file, never by its number.
#pragma once

#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include "base/result.h"
#include "vfs/filesystem.h"
#include "vfs/listing.h"
#include "vfs/nameless_folders.h"
#include "vfs/place.h"

namespace vitrine::vfs {

// Device (major, minor) and inode.
using FileId = std::tuple<std::uint32_t, std::uint32_t, std::uint64_t>;

class OpenTable {
 public:
  struct Entry {
    // Of a folder: the guest's very description, so that its position is shared. Of a snapshot: one
    // of our own, which tells whether the guest's is gone.
    UniqueFd held;
    DirectoryRef place;  // what it stands for (a folder, or any node opened O_PATH)
    bool folder = false;
    bool path_only = false;   // opened O_PATH
    Attributes attributes{};  // of a synthetic file, as the path shows them
    std::string path;         // guest path when it was opened
    std::uint64_t bytes = 0;  // of a snapshot: the memory that it holds
    Listing listing;
    bool listed = false;
    std::uint64_t serial = 0;
  };

  explicit OpenTable(std::size_t max_entries) : max_entries_(max_entries) {}

  void attach(const ProcessView* processes) { processes_ = processes; }

  // `flags`: of open(2).
  Result<UniqueFd> grant_folder(DirectoryRef folder, std::string path, int flags);
  Result<UniqueFd> grant_path(DirectoryRef place, std::string path, bool folder);
  Result<UniqueFd> grant_snapshot(std::string_view content, DirectoryRef place,
                                  const Attributes& attributes, std::string path);
  // `seen`: what the kernel says of the descriptor. Null for what is not in the table.
  Entry* find(const Attributes& seen);
  // Where memory files live.
  void set_device(DeviceNumber device) { device_ = device; }
  bool is_memory_file(const Attributes& seen) const { return device_of(seen) == device_; }
  // Keeps what all listings hold together within bounds.
  void keep_listing(Entry& entry, Listing listing);

  // Memory that snapshots hold, measured now: a mapping, or a descriptor in flight, holds one as
  // well as an open descriptor does.
  std::uint64_t snapshot_bytes();

 private:
  Status make_room();
  void sweep();
  void forget_closed_snapshots();
  Result<Entry*> insert(int fd, DirectoryRef place, std::string path);

  std::size_t max_entries_;
  std::size_t sweep_at_ = 64;
  std::uint64_t next_serial_ = 0;
  DeviceNumber device_;
  std::size_t listed_bytes_ = 0;
  std::uint64_t snapshot_bytes_ = 0;
  const ProcessView* processes_ = nullptr;
  NamelessFolders folders_;
  std::map<FileId, Entry> entries_;
};

}  // namespace vitrine::vfs
