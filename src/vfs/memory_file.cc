#include "vfs/memory_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <limits>

#include "vfs/pass_on.h"

namespace vitrine::vfs {
namespace {

// linux/memfd.h since 6.3: the file can never become executable. Older kernels answer EINVAL.
constexpr unsigned kNoExecSeal = 0x0008U;

Result<UniqueFd> create(unsigned flags) {
  UniqueFd fd(::memfd_create("vitrine", flags | MFD_CLOEXEC | kNoExecSeal));
  if (!fd && errno == EINVAL) fd.reset(::memfd_create("vitrine", flags | MFD_CLOEXEC));
  if (!fd) return fail_errno("memfd_create");
  return fd;
}

Status write_all(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return fail_errno("write memory file");
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

class OwnDescriptorPath {
 public:
  explicit OwnDescriptorPath(int fd) {
    constexpr std::string_view prefix = "/proc/self/fd/";
    prefix.copy(text_, prefix.size());
    *std::to_chars(text_ + prefix.size(), text_ + sizeof text_ - 1, fd).ptr = '\0';
  }
  const char* c_str() const { return text_; }

 private:
  char text_[32];
};

}  // namespace

Result<UniqueFd> reopen(int fd, int flags) {
  UniqueFd fresh(::open(OwnDescriptorPath(fd).c_str(), flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fresh) return fail_errno("reopen");
  const bool clear_nonblock = (flags & (O_NONBLOCK | O_PATH)) == 0;
  if (clear_nonblock && ::fcntl(fresh.get(), F_SETFL, flags & (O_APPEND | O_NOATIME)) != 0)
    return fail_errno("F_SETFL");
  return fresh;
}

Result<UniqueFd> create_memory_file() {
  auto fd = create(0);
  if (!fd) return fd;
  // With MFD_NOEXEC_SEAL the file accepts seals; without it F_SEAL_SEAL is there from the start.
  if (::fcntl(fd->get(), F_ADD_SEALS, F_SEAL_SEAL) != 0 && errno != EPERM)
    return fail_errno("F_ADD_SEALS");
  if (::fchmod(fd->get(), 0600) != 0) return fail_errno("fchmod memory file");
  // memfd_create's own description is not counted in i_writecount, a reopened one is:
  // is_sole_description() rests on that.
  return reopen(fd->get(), O_RDWR);
}

Result<UniqueFd> create_fixed_memory_file(std::uint64_t size) {
  auto fd = create(MFD_ALLOW_SEALING);
  if (!fd) return fd;
  if (size > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max()) ||
      ::ftruncate(fd->get(), static_cast<off_t>(size)) != 0)
    return fail(EFBIG, "ftruncate memory file");
  constexpr int kSizeSeals = F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
  if (::fcntl(fd->get(), F_ADD_SEALS, kSizeSeals) != 0) return fail_errno("F_ADD_SEALS");
  return reopen(fd->get(), O_RDWR);
}

Result<UniqueFd> create_sealed_file(std::string_view content) {
  auto fd = create(MFD_ALLOW_SEALING);
  if (!fd) return fd;
  if (auto status = write_all(fd->get(), content); !status) return pass_on(status.error());
  constexpr int kAllSeals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
  if (::fcntl(fd->get(), F_ADD_SEALS, kAllSeals) != 0) return fail_errno("F_ADD_SEALS");
  return reopen(fd->get(), O_RDONLY);
}

bool is_sole_description(int fd) {
  // A write lease is given only while nobody else has the inode open (fcntl(2), F_SETLEASE); the
  // kernel counts every open file description, wherever it is held.
  if (::fcntl(fd, F_SETLEASE, F_WRLCK) != 0) return false;
  ::fcntl(fd, F_SETLEASE, F_UNLCK);
  return true;
}

}  // namespace vitrine::vfs
