// Memory files (memfd_create(2)): the content of scratch files, snapshots of synthetic files, and
// the placeholders that stand for folders.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace vitrine::vfs {

// An empty, unsealed memory file, close-on-exec, that nobody can add seals to.
Result<UniqueFd> create_memory_file();

// The same, of `size` bytes for ever: it can neither grow nor shrink. EFBIG for more than a file
// can have.
Result<UniqueFd> create_fixed_memory_file(std::uint64_t size);

// A memory file that holds `content` and can never change again (all of F_SEAL_*). The descriptor
// returned is read-only.
Result<UniqueFd> create_sealed_file(std::string_view content);

// A new open file description of the file behind `fd` (which may be O_PATH), through
// /proc/self/fd. `flags` is an access mode with O_APPEND and the like; never waits: a lease held by
// another process gives EAGAIN. The description has exactly the flags asked for.
Result<UniqueFd> reopen(int fd, int flags);

// Whether no open file description but `fd` exists on its memory file: no descriptor of any
// process, none in flight over a socket, no mapping. `fd` comes from one of the functions above.
// O_PATH descriptors do not count.
bool is_sole_description(int fd);

}  // namespace vitrine::vfs
