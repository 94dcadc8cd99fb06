#include "vfs/open_table.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "vfs/memory_file.h"
#include "vfs/pass_on.h"

namespace vitrine::vfs {
namespace {

// close(2) is native, so the table learns of it by looking at what is still open; a descriptor that
// was granted last may not have reached the guest's table yet.
constexpr std::uint64_t kYoungest = 64;
constexpr std::size_t kMaxListedBytes = 64U << 20;
// What snapshots may hold together: /proc/self/smaps of a large program is a few MiB.
constexpr std::uint64_t kMaxSnapshotBytes = 16U << 20;
constexpr std::uint64_t kPage = 4096;

FileId id_of(const Attributes& seen) {
  return {seen.stx_dev_major, seen.stx_dev_minor, seen.stx_ino};
}

// Adds what `process` has open. False if it cannot be known.
bool add_open_files(pid_t process, std::set<FileId>& out) {
  const std::string path = "/proc/" + std::to_string(process) + "/fd";
  const UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return errno == ENOENT || errno == ESRCH;
  const auto entries = list_host_folder(folder.get());
  if (!entries) return false;
  for (const ListEntry& entry : *entries) {
    const auto seen = attributes_at(folder.get(), entry.name.c_str(), true);
    if (seen) out.insert(id_of(*seen));
  }
  return true;
}

}  // namespace

Status OpenTable::make_room() {
  if (entries_.size() >= std::min(sweep_at_, max_entries_)) {
    forget_closed_snapshots();
    sweep();
    sweep_at_ = std::max<std::size_t>(64, 2 * entries_.size());
  }
  if (entries_.size() >= max_entries_) return fail(ENFILE, "open");
  return {};
}

void OpenTable::sweep() {
  if (processes_ == nullptr) return;
  std::set<FileId> open;
  for (const pid_t process : processes_->processes())
    if (!add_open_files(process, open)) return;
  std::erase_if(entries_, [&](const auto& each) {
    const bool young = each.second.serial + kYoungest >= next_serial_;
    if (each.second.bytes != 0 || young || open.contains(each.first)) return false;
    listed_bytes_ -= each.second.listing.bytes();
    return true;
  });
}

void OpenTable::forget_closed_snapshots() {
  std::erase_if(entries_, [&](const auto& each) {
    if (each.second.bytes == 0 || !is_sole_description(each.second.held.get())) return false;
    snapshot_bytes_ -= each.second.bytes;
    return true;
  });
}

std::uint64_t OpenTable::snapshot_bytes() {
  if (snapshot_bytes_ != 0) forget_closed_snapshots();
  return snapshot_bytes_;
}

Result<OpenTable::Entry*> OpenTable::insert(int fd, DirectoryRef place, std::string path) {
  const auto seen = attributes_of(fd);
  if (!seen) return pass_on(seen.error());
  Entry& entry = entries_[id_of(*seen)];
  entry = {};
  entry.place = std::move(place);
  entry.path = std::move(path);
  entry.serial = next_serial_++;
  return &entry;
}

Result<UniqueFd> OpenTable::grant_folder(DirectoryRef folder, std::string path, int flags) {
  if ((flags & O_PATH) != 0) return grant_path(std::move(folder), std::move(path), true);
  if (auto status = make_room(); !status) return pass_on(status.error());
  auto held = folders_.create(flags);
  if (!held) held = create_sealed_file({});
  if (!held) return held;
  UniqueFd granted(::fcntl(held->get(), F_DUPFD_CLOEXEC, 3));
  if (!granted) return fail_errno("F_DUPFD");
  auto entry = insert(held->get(), std::move(folder), std::move(path));
  if (!entry) return pass_on(entry.error());
  (*entry)->folder = true;
  (*entry)->held = std::move(*held);
  return granted;
}

Result<UniqueFd> OpenTable::grant_path(DirectoryRef place, std::string path, bool folder) {
  if (auto status = make_room(); !status) return pass_on(status.error());
  auto held = create_sealed_file({});
  if (!held) return held;
  auto granted = reopen(held->get(), O_PATH);
  if (!granted) return granted;
  auto entry = insert(held->get(), std::move(place), std::move(path));
  if (!entry) return pass_on(entry.error());
  (*entry)->held = std::move(*held);
  (*entry)->folder = folder;
  (*entry)->path_only = true;
  return granted;
}

Result<UniqueFd> OpenTable::grant_snapshot(std::string_view content, DirectoryRef place,
                                           const Attributes& attributes, std::string path) {
  if (auto status = make_room(); !status) return pass_on(status.error());
  const std::uint64_t bytes = (content.size() / kPage + 1) * kPage;
  if (bytes > kMaxSnapshotBytes - snapshot_bytes_) forget_closed_snapshots();
  if (bytes > kMaxSnapshotBytes - snapshot_bytes_) return fail(ENOMEM, "open");
  auto held = create_sealed_file(content);
  if (!held) return held;
  auto granted = reopen(held->get(), O_RDONLY);
  if (!granted) return granted;
  auto entry = insert(held->get(), std::move(place), std::move(path));
  if (!entry) return pass_on(entry.error());
  (*entry)->attributes = attributes;
  (*entry)->held = std::move(*held);
  (*entry)->bytes = bytes;
  snapshot_bytes_ += bytes;
  return granted;
}

OpenTable::Entry* OpenTable::find(const Attributes& seen) {
  if (!is_memory_file(seen) && type_of(seen) != S_IFDIR) return nullptr;
  const auto found = entries_.find(id_of(seen));
  return found == entries_.end() ? nullptr : &found->second;
}

void OpenTable::keep_listing(Entry& entry, Listing listing) {
  listed_bytes_ -= entry.listing.bytes();
  entry.listing = {};
  if (listed_bytes_ + listing.bytes() > kMaxListedBytes) {
    for (auto& [id, other] : entries_) {
      other.listing = {};
      other.listed = false;
    }
    listed_bytes_ = 0;
  }
  listed_bytes_ += listing.bytes();
  entry.listing = std::move(listing);
  entry.listed = true;
}

}  // namespace vitrine::vfs
