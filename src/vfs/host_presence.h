// Whether the host has what the run is not shown. What is asked for is the program's choice, and a
// look at a mount whose server is gone (NFS, FUSE, autofs) can last for ever: only mounts of kinds
// that the kernel itself answers for are entered. The root is one in any case: the supervisor's own
// program lies there.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace vitrine::vfs {

class HostPresence {
 public:
  // `mount_info`: proc_pid_mountinfo(5) of this process.
  explicit HostPresence(bool use_openat2, std::string mount_info = "/proc/self/mountinfo")
      : use_openat2_(use_openat2), mount_info_(std::move(mount_info)) {}

  // False where the host certainly has nothing at `path` (absolute). What it does not let us look
  // at, or what is not looked at for the reason above, counts as there.
  bool may_have(const std::string& path);

 private:
  struct Mount {
    std::string path;
    std::string id;
    bool local = false;
  };
  enum class Found { kYes, kNo, kOtherMount };

  Found look(int folder, const std::string& below) const;
  void read_mounts();
  // The innermost mount that holds `path`; null where one on the way to it is not local.
  const Mount* local_mount_of(std::string_view path) const;
  // An O_PATH descriptor of it, kept: what is mounted over it later is not entered. -1: none.
  int open_mount_of(std::string_view path, std::string& mount);

  bool use_openat2_;
  std::string mount_info_;
  std::vector<Mount> mounts_;
  std::map<std::string, UniqueFd> opened_;  // by path
};

}  // namespace vitrine::vfs
