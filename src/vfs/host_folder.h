// The one way vitrine looks at the host's files: below an opened folder, without following links.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace vitrine::vfs {

class HostFolders {
 public:
  // use_openat2 false: as on kernels before 5.6, and where a seccomp filter refuses it.
  explicit HostFolders(bool use_openat2) : use_openat2_(use_openat2) {}

  // Opens `below` (relative; no "." or ".."; "" is the folder itself) below `folder` as O_PATH. The
  // last component may be a link, which is what is opened then; a link on the way gives ELOOP.
  Result<UniqueFd> open_path(int folder, const std::string& below) const;

 private:
  static Result<UniqueFd> open_by_components(int folder, const std::string& below);

  mutable bool use_openat2_;
};

// Target of the link behind an O_PATH descriptor.
Result<std::string> read_link_of(int fd);

// Whether the supervisor itself may access what `fd` (O_PATH) refers to; mode as access(2).
bool may_access(int fd, int mode);

}  // namespace vitrine::vfs
