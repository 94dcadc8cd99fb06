// Listings: snapshots of folders, and their form in getdents64(2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace vitrine::vfs {

struct ListEntry {
  std::uint64_t inode = 0;
  std::string name;
  std::uint8_t type = 0;  // DT_DIR and the like (dirent.h)
};

inline constexpr std::size_t kMaxListed = 1U << 20;

// The entries of the folder behind `fd` (which may be O_PATH), without "." and "..".
Result<std::vector<ListEntry>> list_host_folder(int fd);

// Writes struct linux_dirent64 records of entries[from...] into `buffer`. EINVAL if not even one
// fits. `next` is where to go on.
Result<std::size_t> encode_entries(const std::vector<ListEntry>& entries, std::size_t from,
                                   std::span<std::byte> buffer, std::size_t& next);

}  // namespace vitrine::vfs
