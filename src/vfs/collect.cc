// `--collect GUEST:HOST`: after the run, what is at GUEST in scratch is copied to HOST.
//
// The tree was made by an untrusted program. Regular files and folders only; a link is left out,
// never followed; on the host every name is opened relative to the folder made for it, O_NOFOLLOW,
// so that a link planted there (by anyone, at any time) is replaced or refused, not followed. Only
// HOST's own folder may be reached through links: the caller typed that path.
#include "vfs/collect.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "vfs/pass_on.h"
#include "vfs/path.h"
#include "vfs/tree_filesystem.h"

namespace vitrine::vfs {
namespace {

constexpr std::size_t kMaxDepth = 256;  // a descriptor each
constexpr int kAttempts = 100;

Status write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return fail_errno("write");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

// Copies content, leaving holes where there are only zeroes.
Status copy_content(const Scratch& scratch, const ScratchNode& node, int fd) {
  Status result;
  off_t size = 0;
  const auto sink = [&](std::string_view piece) {
    size += static_cast<off_t>(piece.size());
    const bool zeroes = piece.find_first_not_of('\0') == std::string_view::npos;
    if (zeroes)
      result = ::lseek(fd, size, SEEK_SET) == size ? Status{} : fail_errno("lseek");
    else
      result = write_all(fd, piece);
    return result.has_value();
  };
  if (auto status = scratch.read_content(node, sink); !status) return status;
  if (!result) return result;
  if (::ftruncate(fd, size) != 0) return fail_errno("ftruncate");
  return {};
}

struct Temporary {
  UniqueFd fd;
  std::string name;
};

Result<Temporary> create_temporary(int folder) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    timespec clock{};
    ::clock_gettime(CLOCK_MONOTONIC, &clock);
    std::array<char, 64> name{};
    std::snprintf(name.data(), name.size(), ".vitrine-%d-%lx-%d", ::getpid(),
                  static_cast<unsigned long>(clock.tv_nsec), attempt);
    UniqueFd fd(
        ::openat(folder, name.data(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (fd) return Temporary{std::move(fd), name.data()};
    if (errno != EEXIST) return fail_errno("create");
  }
  return fail(EEXIST, "create");
}

}  // namespace

Status Collector::measure(const ScratchNodePtr& top) {
  struct Level {
    const ScratchNode* folder;
    std::size_t depth;
  };
  std::vector<Level> todo;
  const auto visit = [&](const ScratchNode& node, std::size_t depth) -> Status {
    if (node.is_folder()) todo.push_back({&node, depth});
    if (!node.is_file()) return {};
    const auto seen = scratch_.attributes(node);
    if (!seen) return pass_on(seen.error());
    bytes_ += seen->stx_size;
    return {};
  };
  if (auto status = visit(*top, 1); !status) return status;
  while (!todo.empty()) {
    const Level level = todo.back();
    todo.pop_back();
    if (level.depth > kMaxDepth) return fail(ELOOP, "collect: nested too deeply");
    if (bytes_ > limit_) break;
    for (const auto& [name, child] : level.folder->children)
      if (auto status = visit(*child, level.depth + 1); !status) return status;
  }
  if (bytes_ > limit_) return fail(EFBIG, "collect");
  return {};
}

Status Collector::copy_file(const ScratchNode& node, int folder, const std::string& name) {
  auto temporary = create_temporary(folder);
  if (!temporary) return pass_on(temporary.error());
  const auto finish = [&]() -> Status {
    if (auto status = copy_content(scratch_, node, temporary->fd.get()); !status) return status;
    if (::fchmod(temporary->fd.get(), node.mode & 0777) != 0) return fail_errno("fchmod");
    const auto seen = scratch_.attributes(node);
    if (!seen) return pass_on(seen.error());
    const timespec times[2] = {to_timespec(seen->stx_atime), to_timespec(seen->stx_mtime)};
    if (::futimens(temporary->fd.get(), times) != 0) return fail_errno("futimens");
    // rename(2) replaces a link, and refuses a folder.
    if (::renameat(folder, temporary->name.c_str(), folder, name.c_str()) != 0)
      return fail_errno("rename to " + name);
    return {};
  };
  auto status = finish();
  if (!status) ::unlinkat(folder, temporary->name.c_str(), 0);
  return status;
}

Result<UniqueFd> Collector::make_folder(int parent, const std::string& name) {
  if (::mkdirat(parent, name.c_str(), 0700) != 0 && errno != EEXIST) return fail_errno("mkdir");
  UniqueFd fd(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return fail_errno("open folder " + name);
  return fd;
}

Status Collector::copy_tree(const ScratchNode& top, int parent, const std::string& name) {
  struct Level {
    const ScratchNode* node;
    UniqueFd fd;
    ScratchNode::Children::const_iterator next;
  };
  std::vector<Level> levels;
  const auto enter = [&](const ScratchNode& node, int above, const std::string& as) -> Status {
    auto fd = make_folder(above, as);
    if (!fd) return pass_on(fd.error());
    levels.push_back({&node, std::move(*fd), node.children.begin()});
    return {};
  };
  if (auto status = enter(top, parent, name); !status) return status;
  while (!levels.empty()) {
    Level& level = levels.back();
    if (level.next == level.node->children.end()) {
      if (::fchmod(level.fd.get(), level.node->mode & 0777) != 0) return fail_errno("fchmod");
      levels.pop_back();
      continue;
    }
    const auto& [child_name, child] = *level.next++;
    Status status;
    if (child->is_file()) status = copy_file(*child, level.fd.get(), child_name);
    if (child->is_folder()) status = enter(*child, level.fd.get(), child_name);
    if (!status) return status;
  }
  return {};
}

Status Collector::copy(const ScratchNodePtr& node, const std::string& host) {
  if (auto status = measure(node); !status) return status;
  std::string path = host;
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  const auto slash = path.rfind('/');
  const std::string name = path.substr(slash == std::string::npos ? 0 : slash + 1);
  const std::string above = slash == std::string::npos ? "."
                            : slash == 0               ? "/"
                                                       : path.substr(0, slash);
  if (name.empty() || name == "." || name == "..")
    return fail_invalid("collect: " + host + ": not a name for a new file or folder");
  const UniqueFd parent(::open(above.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent) return fail_errno("collect: " + above);
  return node->is_folder() ? copy_tree(*node, parent.get(), name)
                           : copy_file(*node, parent.get(), name);
}

Status TreeFileSystem::collect(std::string_view guest, const std::string& host,
                               std::uint64_t limit_bytes) {
  const Caller nobody{};
  Place here = resolver_.root();
  for (PathReader reader(guest); const auto name = reader.next();) {
    if (!here.is_folder()) return fail(ENOTDIR, "collect");
    if (*name == "." || *name == "..") return fail(EINVAL, "collect");
    auto next = here.scratch() ? resolver_.child_for_owner(here, *name)
                               : resolver_.child(nobody, here, *name);
    if (!next) return pass_on(next.error());
    if (next->is_link()) return fail(ELOOP, "collect");
    here = std::move(*next);
  }
  if (!here.scratch()) return fail(ENOENT, "collect: not in a scratch folder");
  return Collector(scratch_, limit_bytes).copy(here.scratch(), host);
}

}  // namespace vitrine::vfs
