#include <cerrno>

#include "vfs/tree_filesystem.h"

namespace vitrine::vfs {

Status TreeFileSystem::collect(std::string_view, const std::string&, std::uint64_t) {
  return fail(ENOSYS, "collect");
}

}  // namespace vitrine::vfs
