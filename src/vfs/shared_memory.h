// SharedMemory: what stands behind the guest's shared anonymous mappings (mmap(2), MAP_SHARED |
// MAP_ANONYMOUS). The kernel accounts such memory to a process only while its page tables show it;
// what was unmapped in part, or forgotten by MADV_DONTNEED, is held all the same. So each mapping
// is made of a memory file of ours, whose blocks can be counted for as long as anybody holds it.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "base/result.h"
#include "base/unique_fd.h"

namespace vitrine::vfs {

class SharedMemory {
 public:
  struct Held {
    std::uint64_t used = 0;      // bytes that were touched
    std::uint64_t promised = 0;  // bytes that can still be touched without asking
  };

  explicit SharedMemory(std::size_t max_files) : max_files_(max_files) {}

  // Memory of `size` bytes, all zero, that can never grow or shrink. ENOMEM where as many mappings
  // exist as descriptors may be held for them.
  Result<UniqueFd> create(std::uint64_t size);
  // Looks at all of it, and lets go of what nobody maps any more.
  Held measure();
  // Whether the memory file with this inode number is one of these.
  bool contains(std::uint64_t inode) const { return files_.contains(inode); }

 private:
  struct File {
    UniqueFd fd;
    std::uint64_t size = 0;
  };
  std::size_t max_files_;
  std::unordered_map<std::uint64_t, File> files_;  // by inode
};

}  // namespace vitrine::vfs
