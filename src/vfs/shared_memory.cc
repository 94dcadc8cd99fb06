#include "vfs/shared_memory.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "vfs/attributes.h"
#include "vfs/memory_file.h"
#include "vfs/pass_on.h"

namespace vitrine::vfs {

Result<UniqueFd> SharedMemory::create(std::uint64_t size) {
  if (files_.size() >= max_files_) (void)measure();
  if (files_.size() >= max_files_) return fail(ENOMEM, "shared memory");
  auto file = create_fixed_memory_file(size);
  if (!file) return file;
  const auto seen = attributes_of(file->get());
  if (!seen) return pass_on(seen.error());
  auto granted = reopen(file->get(), O_RDWR);
  if (!granted) return granted;
  files_[seen->stx_ino] = {std::move(*file), size};
  return granted;
}

SharedMemory::Held SharedMemory::measure() {
  Held held;
  for (auto each = files_.begin(); each != files_.end();) {
    const File& file = each->second;
    if (is_sole_description(file.fd.get())) {
      each = files_.erase(each);
      continue;
    }
    const auto seen = attributes_of(file.fd.get());
    const std::uint64_t used = seen ? seen->stx_blocks * 512 : file.size;
    held.used += used;
    held.promised += file.size > used ? file.size - used : 0;
    ++each;
  }
  return held;
}

}  // namespace vitrine::vfs
