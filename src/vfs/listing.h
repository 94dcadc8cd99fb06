// Listings: snapshots of folders, and their form in getdents64(2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace vitrine::vfs {

struct ListEntry {
  std::uint64_t inode = 0;
  std::string name;
  std::uint8_t type = 0;  // DT_DIR and the like (dirent.h)
};

inline constexpr std::size_t kMaxListed = 1U << 20;

// Told of each entry, "." and ".." among them; false ends the listing.
using EntrySink =
    std::function<bool(std::uint64_t inode, std::string_view name, std::uint8_t type)>;

// Lists the folder that `fd` was opened on for reading, from where `fd` stands.
Status visit_opened_folder(int fd, const EntrySink& sink);
// The entries of the folder behind `fd` (which may be O_PATH), without "." and "..". ENOMEM: more
// than kMaxListed.
Result<std::vector<ListEntry>> list_host_folder(int fd);

// What a guest reads of a folder, as the struct linux_dirent64 records that it is given. A position
// is the number of records before it.
class Listing {
 public:
  void add(std::uint64_t inode, std::string_view name, std::uint8_t type);
  std::size_t size() const { return starts_.size(); }
  std::size_t bytes() const { return records_.capacity() + starts_.capacity() * sizeof starts_[0]; }
  // Copies the records from `position` on that fit; 0 at the end. EINVAL if not even one fits.
  // `next` is where to go on.
  Result<std::size_t> read(std::size_t position, std::span<std::byte> buffer,
                           std::size_t& next) const;

 private:
  std::vector<std::byte> records_;
  std::vector<std::uint32_t> starts_;  // of each record in records_
};

}  // namespace vitrine::vfs
