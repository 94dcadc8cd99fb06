#include "vfs/nameless_folders.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <string_view>
#include <utility>

#include "base/feature.h"
#include "vfs/attributes.h"
#include "vfs/listing.h"

namespace vitrine::vfs {
namespace {

constexpr std::string_view kPrefix = ".vitrine-";
constexpr int kKeptFlags = O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_APPEND | O_SYNC | O_DSYNC;

// Nothing is ever written to a disk, and no server of a network filesystem is waited for. In a
// sticky folder nobody else can put something in the place of what is ours.
UniqueFd find_place() {
  if (is_taken_away(Feature::kNamelessFolder)) return {};
  for (const char* path : {"/dev/shm", "/tmp"}) {
    UniqueFd folder(::open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
    struct statfs seen {};
    struct stat own {};
    const bool known =
        folder && ::fstatfs(folder.get(), &seen) == 0 && ::fstat(folder.get(), &own) == 0;
    if (known && seen.f_type == TMPFS_MAGIC && (own.st_mode & S_ISVTX) != 0) return folder;
  }
  return {};
}

// What a supervisor that was killed between its two calls left there. One that lives makes another
// where this takes away what it has just made.
void remove_left(int place) {
  constexpr int kMostLookedAt = 1000;
  const UniqueFd folder(::openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return;
  int looked_at = 0;
  (void)visit_opened_folder(folder.get(), [&](auto, std::string_view name, auto type) {
    if (type == DT_DIR && name.starts_with(kPrefix))
      (void)::unlinkat(place, std::string(name).c_str(), AT_REMOVEDIR);
    return ++looked_at < kMostLookedAt;
  });
}

}  // namespace

NamelessFolders::NamelessFolders() : place_(find_place()) {
  std::uint64_t random = 0;
  if (::getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random) place_.reset();
  prefix_ = std::string(kPrefix) + std::to_string(random) + "-";
  if (place_) remove_left(place_.get());
}

Result<UniqueFd> NamelessFolders::create(int flags) {
  auto made = create_once(flags);
  return !made && made.error().code == ENOENT ? create_once(flags) : std::move(made);
}

Result<UniqueFd> NamelessFolders::create_once(int flags) {
  if (!place_) return fail(ENOTSUP, "mkdir");
  const std::string name = prefix_ + std::to_string(next_++);
  // Readable and no more: without privileges nothing is looked up through it, not even "..".
  if (::mkdirat(place_.get(), name.c_str(), 0400) != 0) return fail_errno("mkdir");
  UniqueFd folder(
      ::openat(place_.get(), name.c_str(), (flags & kKeptFlags) | O_RDONLY | O_CLOEXEC));
  const int error = errno;
  if (::unlinkat(place_.get(), name.c_str(), AT_REMOVEDIR) != 0) return fail_errno("rmdir");
  if (!folder) return fail(error, "open");
  const auto seen = attributes_of(folder.get());
  if (!seen || type_of(*seen) != S_IFDIR || seen->stx_nlink != 0) return fail(EXDEV, "open");
  return folder;
}

}  // namespace vitrine::vfs
