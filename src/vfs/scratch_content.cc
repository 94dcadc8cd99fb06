// The content of scratch files: memory files while somebody may have them open, bytes else.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "vfs/memory_file.h"
#include "vfs/pass_on.h"
#include "vfs/scratch.h"

namespace vitrine::vfs {
namespace {

// Files larger or more scattered than this keep their memory file: there can be few of them.
constexpr std::uint64_t kMaxEvictedSize = 16ULL << 20;
constexpr std::size_t kMaxExtents = 64;

bool before(const statx_timestamp& a, const statx_timestamp& b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

bool same(const statx_timestamp& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == static_cast<std::uint32_t>(b.tv_nsec);
}

struct flock lock_at(std::uint64_t byte) {
  struct flock lock {};
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(byte);
  lock.l_len = 1;
  return lock;
}

// Reads [offset, offset + length) of `fd` into `out`.
Status read_range(int fd, std::uint64_t offset, std::uint64_t length, std::string& out) {
  out.resize(length);
  std::size_t done = 0;
  while (done < length) {
    const ssize_t got =
        ::pread(fd, out.data() + done, length - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("pread");
    if (got == 0) break;  // shrunk meanwhile
    done += static_cast<std::size_t>(got);
  }
  out.resize(done);
  return {};
}

Status write_range(int fd, std::uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return fail_errno("pwrite");
    bytes.remove_prefix(static_cast<std::size_t>(put));
    offset += static_cast<std::uint64_t>(put);
  }
  return {};
}

Result<std::vector<ScratchContent::Extent>> read_extents(int fd, std::uint64_t size) {
  std::vector<ScratchContent::Extent> extents;
  std::uint64_t at = 0;
  while (at < size) {
    const off_t data = ::lseek(fd, static_cast<off_t>(at), SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    if (data < 0) return fail_errno("SEEK_DATA");
    const off_t hole = ::lseek(fd, data, SEEK_HOLE);
    if (hole < 0) return fail_errno("SEEK_HOLE");
    if (extents.size() == kMaxExtents) return fail(EFBIG, "evict");
    auto& extent = extents.emplace_back();
    extent.offset = static_cast<std::uint64_t>(data);
    at = static_cast<std::uint64_t>(hole);
    if (auto status = read_range(fd, extent.offset, at - extent.offset, extent.bytes); !status)
      return pass_on(status.error());
  }
  return extents;
}

}  // namespace

Result<Attributes> Scratch::attributes(const ScratchNode& node) const {
  Attributes result =
      synthetic_attributes(node.mode, node.inode, node.is_link() ? node.target.size() : 0,
                           options_.identity, node.mtime);
  result.stx_dev_major = node.volume->device.major;
  result.stx_dev_minor = node.volume->device.minor;
  result.stx_nlink = node.is_folder() ? (node.removed ? 0 : 2 + node.subfolders)
                                      : static_cast<std::uint32_t>(node.names.size());
  result.stx_atime = to_statx(node.atime);
  result.stx_ctime = to_statx(node.ctime);
  result.stx_btime = to_statx(node.btime);
  result.stx_blocks = 0;  // as tmpfs has it for folders and short links
  if (node.is_folder()) result.stx_size = 40 + 20 * node.children.size();
  if (!node.is_file()) return result;
  result.stx_size = node.content.size;
  result.stx_blocks = node.content.held / 512;
  if (!node.content.file) return result;
  const auto live = attributes_of(node.content.file.get());
  if (!live) return pass_on(live.error());
  result.stx_size = live->stx_size;
  result.stx_blocks = live->stx_blocks;
  result.stx_atime = live->stx_atime;
  result.stx_mtime = live->stx_mtime;
  const bool ours = same(live->stx_ctime, node.content.restored_ctime);
  if (!ours && before(result.stx_ctime, live->stx_ctime)) result.stx_ctime = live->stx_ctime;
  return result;
}

Status Scratch::restore(ScratchNode& node) {
  ScratchContent& content = node.content;
  auto file = create_memory_file();
  if (!file) return pass_on(file.error());
  if (content.size != 0 && ::ftruncate(file->get(), static_cast<off_t>(content.size)) != 0)
    return fail_errno("ftruncate");
  for (const auto& extent : content.extents)
    if (auto status = write_range(file->get(), extent.offset, extent.bytes); !status) return status;
  const std::array<timespec, 2> times{node.atime, node.mtime};
  if (::futimens(file->get(), times.data()) != 0) return fail_errno("futimens");
  const auto attributes = attributes_of(file->get());
  if (!attributes) return pass_on(attributes.error());
  content.file = std::move(*file);
  content.file_inode = attributes->stx_ino;
  content.restored_ctime = to_timespec(attributes->stx_ctime);
  node.volume->charged -= content.held;
  node.volume->measured += content.held;
  content.extents.clear();
  content.held = content.size = 0;
  return {};
}

Status Scratch::make_live(const ScratchNodePtr& node) {
  if (node->content.file) return {};
  if (live_.size() >= options_.max_memory_files && !reclaim_descriptors())
    return fail(ENFILE, "scratch");
  if (auto status = restore(*node); !status) return status;
  live_[node->content.file_inode] = node;
  return {};
}

// Turns the memory file of a node that nobody has open into bytes.
Status Scratch::evict(ScratchNode& node) const {
  ScratchContent& content = node.content;
  const auto seen = attributes(node);
  if (!seen) return pass_on(seen.error());
  if (seen->stx_size > kMaxEvictedSize) return fail(EFBIG, "evict");
  auto extents = read_extents(content.file.get(), seen->stx_size);
  if (!extents) return pass_on(extents.error());
  content.extents = std::move(*extents);
  content.size = seen->stx_size;
  content.held = seen->stx_blocks * 512;
  node.volume->charged += content.held;
  node.atime = to_timespec(seen->stx_atime);
  node.mtime = to_timespec(seen->stx_mtime);
  node.ctime = to_timespec(seen->stx_ctime);
  content.file.reset();
  return {};
}

bool Scratch::reclaim_descriptors() {
  const std::size_t enough = options_.max_memory_files / 2;
  for (auto each = live_.begin(); each != live_.end() && live_.size() > enough;) {
    ScratchNode& node = *each->second;
    const bool idle = is_sole_description(node.content.file.get());
    if (idle && node.names.empty()) node.volume->charged -= std::exchange(node.cost, 0);
    const bool gone = idle && (node.names.empty() || evict(node).has_value());
    each = gone ? live_.erase(each) : std::next(each);
  }
  measure();
  return live_.size() < options_.max_memory_files;
}

// The last name of `node` is gone: its content goes too, unless a descriptor still shows it.
void Scratch::release(const ScratchNodePtr& node) {
  ScratchContent& content = node->content;
  if (!content.file) {
    node->volume->charged -= content.held;
    given_back_ += content.held;
    content = {};
  } else if (is_sole_description(content.file.get())) {
    if (const auto seen = attributes(*node)) given_back_ += seen->stx_blocks * 512;
    live_.erase(content.file_inode);
    content = {};
  }
}

void Scratch::measure() {
  for (const auto& volume : volumes_) volume->measured = volume->largest = 0;
  for (auto each = live_.begin(); each != live_.end();) {
    ScratchNode& node = *each->second;
    const int file = node.content.file.get();
    if (node.names.empty() && is_sole_description(file)) {
      node.volume->charged -= std::exchange(node.cost, 0);
      each = live_.erase(each);
      continue;
    }
    ScratchVolume& volume = *node.volume;
    if (const auto seen = attributes_of(file)) {
      volume.measured += seen->stx_blocks * 512;
      volume.largest = std::max<std::uint64_t>(volume.largest, seen->stx_size);
    } else {  // all that is left, for what is not known
      volume.measured += volume.quota - std::min(volume.quota, volume.charged + volume.measured);
    }
    ++each;
  }
  std::uint64_t sum = 0;
  for (const auto& volume : volumes_) sum += volume->charged + volume->measured;
  peak_ = std::max(peak_, sum);
}

Result<UniqueFd> Scratch::open(const ScratchNodePtr& node, int flags) {
  if (auto status = make_live(node); !status) return pass_on(status.error());
  auto granted = reopen(node->content.file.get(), flags);
  if (!granted) return granted;
  // Where it fails, locks go by the descriptor's number.
  struct flock mark = lock_at(next_mark_++);
  mark.l_type = (flags & O_ACCMODE) == O_WRONLY ? F_WRLCK : F_RDLCK;
  (void)::fcntl(granted->get(), F_OFD_SETLK, &mark);
  return granted;
}

bool Scratch::is_description_open(std::uint64_t inode, std::uint64_t mark) const {
  const ScratchNodePtr node = node_of_memory_file(inode);
  if (!node || !node->content.file) return false;
  struct flock lock = lock_at(mark);
  lock.l_type = F_WRLCK;
  return ::fcntl(node->content.file.get(), F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

Status Scratch::set_times(ScratchNode& node, const timespec times[2]) {
  if (node.content.file) {
    if (::futimens(node.content.file.get(), times) != 0) return fail_errno("utimensat");
  } else {
    const auto apply = [](const timespec& wanted, timespec& time) {
      if (wanted.tv_nsec == UTIME_OMIT) return;
      time = wanted.tv_nsec == UTIME_NOW ? now() : wanted;
    };
    apply(times[0], node.atime);
    apply(times[1], node.mtime);
  }
  node.ctime = now();
  return {};
}

Status Scratch::truncate(const ScratchNodePtr& node, std::uint64_t size) {
  // Holes cost nothing, but no file may become larger than its volume.
  if (size > node->volume->quota) {
    refused_ = true;
    return fail(ENOSPC, "truncate");
  }
  if (auto status = make_live(node); !status) return status;
  const auto before = attributes(*node);
  if (!before) return pass_on(before.error());
  if (::ftruncate(node->content.file.get(), static_cast<off_t>(size)) != 0)
    return fail_errno("truncate");
  if (const auto after = attributes(*node))
    given_back_ += (before->stx_blocks - std::min(after->stx_blocks, before->stx_blocks)) * 512;
  return {};
}

Status Scratch::allocate(const ScratchNodePtr& node, int mode, off_t offset, off_t length) {
  if (offset < 0 || length <= 0) return fail(EINVAL, "fallocate");
  constexpr int kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  if (mode != 0 && mode != FALLOC_FL_KEEP_SIZE && mode != kPunch)
    return fail(EOPNOTSUPP, "fallocate");
  off_t end = 0;
  if (__builtin_add_overflow(offset, length, &end)) return fail(EFBIG, "fallocate");
  if (auto status = make_live(node); !status) return status;
  const ScratchVolume& volume = *node->volume;
  if (mode != kPunch) {
    const std::uint64_t used = used_of(volume);
    const std::uint64_t left = volume.quota > used ? volume.quota - used : 0;
    const auto seen = attributes(*node);
    if (!seen) return pass_on(seen.error());
    const std::uint64_t own = seen->stx_blocks * 512;
    const auto wanted = static_cast<std::uint64_t>(length);
    if (static_cast<std::uint64_t>(end) > volume.quota || wanted > left + own) {
      refused_ = true;
      return fail(ENOSPC, "fallocate");
    }
  }
  if (::fallocate(node->content.file.get(), mode, offset, length) != 0)
    return fail_errno("fallocate");
  return {};
}

Status Scratch::read_content(const ScratchNode& node,
                             const std::function<bool(std::string_view)>& sink) const {
  constexpr std::uint64_t kPiece = 1 << 16;
  const auto seen = attributes(node);
  if (!seen) return pass_on(seen.error());
  std::string piece;
  auto extent = node.content.extents.begin();
  for (std::uint64_t at = 0; at < seen->stx_size; at += piece.size()) {
    const std::uint64_t length = std::min<std::uint64_t>(kPiece, seen->stx_size - at);
    if (node.content.file) {
      if (auto status = read_range(node.content.file.get(), at, length, piece); !status)
        return status;
      if (piece.empty()) return {};
    } else {
      piece.assign(length, '\0');
      for (; extent != node.content.extents.end() && extent->offset < at + length; ++extent) {
        const std::uint64_t from = std::max(at, extent->offset);
        const std::uint64_t to = std::min(at + length, extent->offset + extent->bytes.size());
        if (from < to) extent->bytes.copy(&piece[from - at], to - from, from - extent->offset);
        if (extent->offset + extent->bytes.size() > at + length)
          break;  // goes on in the next piece
      }
    }
    if (!sink(piece)) return {};
  }
  return {};
}

ScratchNodePtr Scratch::node_of_memory_file(std::uint64_t inode) const {
  const auto found = live_.find(inode);
  return found == live_.end() ? nullptr : found->second;
}

}  // namespace vitrine::vfs
