#include "vfs/listing.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

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

Result<std::vector<ListEntry>> list_host_folder(int fd) {
  const UniqueFd folder(
      ::openat(fd, ".", O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!folder) return fail_errno("open folder");
  std::vector<ListEntry> entries;
  alignas(8) std::byte buffer[32768];
  while (true) {
    const long got = ::syscall(SYS_getdents64, folder.get(), buffer, sizeof buffer);
    if (got < 0) return fail_errno("getdents64");
    if (got == 0) return entries;
    constexpr std::size_t kUsualRecord = 32;  // bytes
    entries.reserve(entries.size() + static_cast<std::size_t>(got) / kUsualRecord);
    for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
      DirentHead head{};
      std::memcpy(&head, buffer + at, kNameOffset);
      const char* name = reinterpret_cast<const char*>(buffer + at + kNameOffset);
      at += head.length;
      if (std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0) continue;
      if (entries.size() == kMaxListed) return fail(ENOMEM, "getdents64");
      entries.push_back({head.inode, name, head.type});
    }
  }
}

Result<std::size_t> encode_entries(const std::vector<ListEntry>& entries, std::size_t from,
                                   std::span<std::byte> buffer, std::size_t& next) {
  std::size_t used = 0;
  for (next = from; next < entries.size(); ++next) {
    const ListEntry& entry = entries[next];
    const std::size_t length = (kNameOffset + entry.name.size() + 1 + 7) / 8 * 8;
    if (used + length > buffer.size()) break;
    const DirentHead head{entry.inode, static_cast<std::int64_t>(next + 1),
                          static_cast<std::uint16_t>(length), entry.type};
    std::byte* record = buffer.data() + used;
    std::memset(record, 0, length);
    std::memcpy(record, &head, kNameOffset);
    std::memcpy(record + kNameOffset, entry.name.data(), entry.name.size());
    used += length;
  }
  if (used == 0 && next < entries.size()) return fail(EINVAL, "getdents64");
  return used;
}

}  // namespace vitrine::vfs
