#include "vfs/listing.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "base/unique_fd.h"

namespace vitrine::vfs {
namespace {

// struct linux_dirent64 of getdents64(2), which no header exports.
struct DirentHead {
  std::uint64_t inode;
  std::int64_t offset;
  std::uint16_t length;
  std::uint8_t type;
};
constexpr std::size_t kNameOffset = 19;
static_assert(offsetof(DirentHead, type) + 1 == kNameOffset);

}  // namespace

Status visit_opened_folder(int fd, const EntrySink& sink) {
  alignas(8) std::byte buffer[32768];
  while (true) {
    const long got = ::syscall(SYS_getdents64, fd, buffer, sizeof buffer);
    if (got < 0) return fail_errno("getdents64");
    if (got == 0) return {};
    for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
      DirentHead head{};
      std::memcpy(&head, buffer + at, kNameOffset);
      const char* name = reinterpret_cast<const char*>(buffer + at + kNameOffset);
      at += head.length;
      if (!sink(head.inode, name, head.type)) return {};
    }
  }
}

Result<std::vector<ListEntry>> list_host_folder(int fd) {
  const UniqueFd folder(
      ::openat(fd, ".", O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!folder) return fail_errno("open folder");
  std::vector<ListEntry> entries;
  const Status visited = visit_opened_folder(
      folder.get(), [&](std::uint64_t inode, std::string_view name, std::uint8_t type) {
        if (name != "." && name != "..") entries.push_back({inode, std::string(name), type});
        return entries.size() <= kMaxListed;
      });
  if (!visited) return tl::make_unexpected(visited.error());
  if (entries.size() > kMaxListed) return fail(ENOMEM, "getdents64");
  return entries;
}

void Listing::add(std::uint64_t inode, std::string_view name, std::uint8_t type) {
  const std::size_t start = records_.size();
  const std::size_t length = (kNameOffset + name.size() + 1 + 7) / 8 * 8;
  starts_.push_back(static_cast<std::uint32_t>(start));
  records_.resize(start + length);  // the padding, and the NUL, are zero
  const DirentHead head{inode, static_cast<std::int64_t>(starts_.size()),
                        static_cast<std::uint16_t>(length), type};
  std::memcpy(records_.data() + start, &head, kNameOffset);
  std::memcpy(records_.data() + start + kNameOffset, name.data(), name.size());
}

Result<std::size_t> Listing::read(std::size_t position, std::span<std::byte> buffer,
                                  std::size_t& next) const {
  next = std::min(position, size());
  if (next == size()) return 0;
  const std::size_t start = starts_[next];
  const std::size_t most = start + buffer.size();
  if (most >= records_.size()) {
    next = size();
  } else {
    // The first record that ends beyond the buffer begins there or before.
    const auto beyond = std::upper_bound(starts_.begin(), starts_.end(), most);
    next = static_cast<std::size_t>(beyond - starts_.begin()) - 1;
  }
  const std::size_t end = next == size() ? records_.size() : starts_[next];
  if (end == start) return fail(EINVAL, "getdents64");
  std::memcpy(buffer.data(), records_.data() + start, end - start);
  return end - start;
}

}  // namespace vitrine::vfs
