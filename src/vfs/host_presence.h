// Whether the host has what the run is not shown. What is asked for is the program's choice, and a
// look at a mount whose server is gone (NFS, FUSE, autofs) can last for ever: only mounts of kinds
// that the kernel itself answers for are entered. The root is one in any case: the supervisor's own
// program lies there.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace vitrine::vfs {

class HostPresence {
 public:
  // `mount_table`: in the form of fstab(5); read when a path first leads into a mount.
  explicit HostPresence(bool use_openat2, std::string mount_table = "/proc/self/mounts")
      : use_openat2_(use_openat2), mount_table_(std::move(mount_table)) {}

  // False where the host certainly has nothing at `path` (absolute). What it does not let us look
  // at, or what is not looked at for the reason above, counts as there.
  bool may_have(const std::string& path);

 private:
  struct Mount {
    std::string path;
    bool local;
  };
  enum class Found { kYes, kNo, kOtherMount };

  void read_mounts();
  Found look(int folder, const std::string& below) const;
  // The innermost mount that holds `path`; none where one on the way to it is not local.
  std::optional<std::string> local_mount_of(std::string_view path);

  bool use_openat2_;
  std::string mount_table_;
  std::optional<std::vector<Mount>> mounts_;
};

}  // namespace vitrine::vfs
