// Attributes: what stat(2) says of a node. The kernel's struct statx throughout.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "vfs/filesystem.h"

namespace vitrine::vfs {

using Attributes = struct statx;

inline constexpr unsigned kAttributeMask = STATX_BASIC_STATS | STATX_BTIME;

struct DeviceNumber {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  friend bool operator==(const DeviceNumber&, const DeviceNumber&) = default;
};

// Devices of nodes that no host filesystem holds. Real anonymous devices have major 0 and a minor
// counted up from 1, so these are far away from them.
inline constexpr DeviceNumber kSyntheticDevice{0, 0xfff00};
inline constexpr std::uint32_t kFirstScratchMinor = 0xfff10;

inline DeviceNumber device_of(const Attributes& a) { return {a.stx_dev_major, a.stx_dev_minor}; }
inline mode_t type_of(const Attributes& a) { return a.stx_mode & S_IFMT; }
// An epoll, an eventfd: the kernel gives them no type, and their /proc/PID/fdinfo may be as long as
// the program likes (a line for each watch), all of it made for the first byte that is read.
inline bool is_anonymous(const Attributes& a) { return type_of(a) == 0; }

statx_timestamp to_statx(const timespec& time);
timespec to_timespec(const statx_timestamp& time);
timespec now();

// Attributes of the file behind `fd` itself (AT_EMPTY_PATH), O_PATH included.
Result<Attributes> attributes_of(int fd);
// Attributes of `name` below `dirfd`; follows the last component when asked (only ever done for
// the magic links of a /proc/TID/fd folder).
Result<Attributes> attributes_at(int dirfd, const char* name, bool follow);

// A node that no host filesystem holds: one link (two for a folder), owned by `identity`.
Attributes synthetic_attributes(mode_t mode, std::uint64_t inode, std::uint64_t size,
                                const Identity& identity, const timespec& time);

// The host's numbers of users and groups are not shown: root stays root, anyone else is the guest.
void hide_owner(Attributes& attributes, const Identity& identity);

// A stable inode number for a path of the synthetic trees.
std::uint64_t inode_for(std::string_view path, std::uint64_t seed);

}  // namespace vitrine::vfs
