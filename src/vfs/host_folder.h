// The one way vitrine looks at the host's files: by a name in an opened folder, without following
// links.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "vfs/attributes.h"

namespace vitrine::vfs {

// Something on the host as it was when it was looked at. It may have been replaced since by
// something else of that name in that folder: each call below takes what is there, if it has still
// the same type (ENOENT otherwise).
class HostFile {
 public:
  const Attributes& attributes() const { return attributes_; }
  // An O_PATH descriptor.
  Result<UniqueFd> handle() const;
  // Opens a regular file for reading. flags: as open(2), without those that create.
  Result<UniqueFd> open(int flags) const;
  // Opens a folder to list it.
  Result<UniqueFd> open_folder() const;
  Result<std::string> target_of_link() const;
  // Whether the supervisor itself may access it; mode as access(2).
  bool may_access(int mode) const;

 private:
  friend class HostFolders;
  Result<UniqueFd> open_again(int flags) const;

  int folder_ = -1;                        // O_PATH
  std::shared_ptr<const UniqueFd> owner_;  // of `folder_`; null for a mount's own
  std::string name_;                       // "": the folder itself
  Attributes attributes_{};
};

// What a mount shows: a file or folder, opened O_PATH.
class HostRoot {
 public:
  HostRoot() = default;
  explicit HostRoot(UniqueFd fd) : fd_(std::move(fd)), serial_(++last_serial_) {}
  int fd() const { return fd_.get(); }
  // Unlike the descriptor's number never that of another.
  std::uint64_t serial() const { return serial_; }

 private:
  static inline std::uint64_t last_serial_ = 0;
  UniqueFd fd_;
  std::uint64_t serial_ = 0;
};

// The target of a link; with "" of the link that `folder` itself is (O_PATH).
Result<std::string> read_link_at(int folder, const char* name);

class HostFolders {
 public:
  // use_openat2 false: as on kernels before 5.6, and where a seccomp filter refuses it.
  explicit HostFolders(bool use_openat2) : use_openat2_(use_openat2) {}

  // Looks at `below` (relative; no "." or ".."; "" is the mount itself) below `mount`, which
  // stays open for as long as what is returned. The last component may be a link, which is what is
  // looked at then; a link on the way gives ELOOP. The host's /proc gives ENOENT.
  Result<HostFile> look(const HostRoot& mount, std::string_view below);

  // The host's /proc is never shown, wherever one is mounted, and not even by a mount that contains
  // it: its links and processes are the supervisor's world. `attributes` are of what `fd` is open
  // on. What cannot be told counts as one.
  static bool is_host_proc(int fd, const Attributes& attributes);

 private:
  struct Known {
    std::shared_ptr<const UniqueFd> fd;
    Nanoseconds opened{};
  };
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  using Folders = std::unordered_map<std::string, Known, Hash, std::equal_to<>>;

  Result<std::shared_ptr<const UniqueFd>> folder_at(const HostRoot& mount, std::string_view below);
  Result<UniqueFd> open_path(int mount, const std::string& below);
  static Result<UniqueFd> open_by_components(int mount, const std::string& below);
  bool is_of_host_proc(const HostFile& file);

  bool use_openat2_;
  // Folders opened a moment ago, by mount (its serial) and path: programs look for many names in
  // the same few.
  std::unordered_map<std::uint64_t, Folders> known_;
  std::size_t known_count_ = 0;
  // The last device that is no procfs's, and when it was met.
  DeviceNumber met_;
  Nanoseconds met_at_{};
};

}  // namespace vitrine::vfs
