// flock(2) and the locks of fcntl(2) on the guest's descriptors.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <string>
#include <string_view>

#include "vfs/pass_on.h"
#include "vfs/tree_filesystem.h"

namespace vitrine::vfs {
namespace {

struct DescriptorInfo {
  std::int64_t position = 0;
  int flags = 0;
  std::optional<std::uint64_t> description;  // the mark that Scratch::open put on it
};

template <typename Number>
Number number_in(std::string_view text, int base = 10) {
  Number value{};
  const std::size_t start = text.find_first_not_of(" \t");
  if (start != std::string_view::npos)
    std::from_chars(text.data() + start, text.data() + text.size(), value, base);
  return value;
}

// "lock:\t1: OFDLCK  ADVISORY  READ -1 00:01:2061 4611686018427387905 4611686018427387905"
std::optional<std::uint64_t> mark_in(std::string_view line) {
  const std::size_t last = line.rfind(' ');
  const std::size_t first = last == std::string_view::npos ? last : line.rfind(' ', last - 1);
  if (first == std::string_view::npos || line.find("OFDLCK") == std::string_view::npos)
    return std::nullopt;
  const auto start = number_in<std::uint64_t>(line.substr(first));
  if (start < Scratch::kFirstMark) return std::nullopt;
  return start;
}

// Of a descriptor that was closed, or of a process that ended.
bool is_gone(int error) { return error == ENOENT || error == ESRCH; }

int error_of_look(int error) { return is_gone(error) ? EBADF : ENOLCK; }

// It has no position, and the permissions of its link are how it is open (proc(5)).
Result<DescriptorInfo> info_of_anonymous(FileSystem::GuestFd fd) {
  const auto link = attributes_at(fd.proc_fd_dir, std::to_string(fd.number).c_str(), false);
  if (!link) return fail(error_of_look(link.error().code), "lock");
  const bool reads = (link->stx_mode & S_IRUSR) != 0;
  const bool writes = (link->stx_mode & S_IWUSR) != 0;
  if (!reads && !writes) return fail(EBADF, "lock");  // O_PATH
  DescriptorInfo info;
  info.flags = reads && writes ? O_RDWR : writes ? O_WRONLY : O_RDONLY;
  return info;
}

// EBADF, or ENOLCK where it is not known.
Result<DescriptorInfo> info_of(FileSystem::GuestFd fd) {
  const auto seen = attributes_at(fd.proc_fd_dir, std::to_string(fd.number).c_str(), true);
  if (!seen) return fail(error_of_look(seen.error().code), "lock");
  if (is_anonymous(*seen)) return info_of_anonymous(fd);
  const std::string path = "../fdinfo/" + std::to_string(fd.number);
  const UniqueFd file(::openat(fd.proc_fd_dir, path.c_str(), O_RDONLY | O_CLOEXEC));
  char buffer[4096];
  const ssize_t size = file ? ::read(file.get(), buffer, sizeof buffer) : -1;
  if (size < 0) return fail(error_of_look(errno), "lock");
  DescriptorInfo info;
  std::string_view rest(buffer, static_cast<std::size_t>(size));
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.starts_with("pos:")) info.position = number_in<std::int64_t>(line.substr(4));
    if (line.starts_with("flags:")) info.flags = number_in<int>(line.substr(6), 8);
    if (line.starts_with("lock:") && !info.description) info.description = mark_in(line);
  }
  if ((info.flags & O_PATH) != 0) return fail(EBADF, "lock");
  return info;
}

LockOwner description_of(const Caller& caller, FileSystem::GuestFd fd, const DescriptorInfo& info) {
  if (info.description) return {LockOwner::Kind::kDescription, 0, *info.description};
  return {LockOwner::Kind::kDescriptor, caller.tgid, static_cast<std::uint64_t>(fd.number)};
}

// The bytes that `lock` names (fcntl(2)): EINVAL, EOVERFLOW.
Status take_range(const struct flock& lock, std::int64_t base, FileLock& out) {
  std::int64_t start = 0;
  if (__builtin_add_overflow(base, lock.l_start, &start)) return fail(EOVERFLOW, "lock");
  std::int64_t end = INT64_MAX;
  if (lock.l_len > 0 && __builtin_add_overflow(start, lock.l_len - 1, &end))
    return fail(EOVERFLOW, "lock");
  if (lock.l_len < 0) {
    end = start - 1;
    if (__builtin_add_overflow(start, lock.l_len, &start)) return fail(EINVAL, "lock");
  }
  if (start < 0 || end < start) return fail(EINVAL, "lock");
  out.start = static_cast<std::uint64_t>(start);
  out.end = lock.l_len == 0 ? UINT64_MAX : static_cast<std::uint64_t>(end);
  return {};
}

// What F_GETLK tells of the lock that is in the way.
void describe_lock(const FileLock& held, struct flock& out) {
  const bool of_process = held.owner.kind == LockOwner::Kind::kProcess;
  out.l_type = held.exclusive ? F_WRLCK : F_RDLCK;
  out.l_whence = SEEK_SET;
  out.l_start = static_cast<off_t>(held.start);
  out.l_len = held.end == UINT64_MAX ? 0 : static_cast<off_t>(held.end - held.start + 1);
  out.l_pid = of_process ? held.owner.process : -1;
}

// Whether `process` still has the description open by which it set a record lock, or the file where
// that is not known: with the first close of either, the lock went (fcntl(2)). What cannot be
// looked at keeps it.
bool has_open(pid_t process, std::uint64_t inode, std::uint64_t through) {
  const UniqueFd fds(::open(("/proc/" + std::to_string(process) + "/fd").c_str(),
                            O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fds) return !is_gone(errno);
  const auto entries = list_host_folder(fds.get());
  if (!entries) return true;
  for (const ListEntry& entry : *entries) {
    const auto seen = attributes_at(fds.get(), entry.name.c_str(), true);
    if (!seen && !is_gone(seen.error().code)) return true;
    if (!seen || seen->stx_ino != inode) continue;
    if (through == 0) return true;
    const auto info = info_of({fds.get(), number_in<int>(entry.name)});
    if (info ? info->description == through : info.error().code == ENOLCK) return true;
  }
  return false;
}

}  // namespace

bool TreeFileSystem::is_held(const FileLock& lock) {
  const LockOwner& owner = lock.owner;
  if (owner.kind == LockOwner::Kind::kDescription)
    return scratch_.is_description_open(lock.seen_inode, owner.id);
  if (system_.processes == nullptr || !system_.processes->process_of(owner.process)) return false;
  if (owner.kind == LockOwner::Kind::kProcess)
    return has_open(owner.process, lock.seen_inode, lock.through);
  const UniqueFd fds = open_descriptors_of(owner.process);
  if (!fds) return !is_gone(errno);
  const auto seen = attributes_at(fds.get(), std::to_string(owner.id).c_str(), true);
  return seen ? seen->stx_ino == lock.seen_inode : !is_gone(seen.error().code);
}

Result<TreeFileSystem::Lockable> TreeFileSystem::lockable(GuestFd fd) {
  auto described = describe(fd);
  if (!described) return pass_on(described.error());
  const auto shown = attributes_of_described(*described);
  if (!shown) return pass_on(shown.error());
  return Lockable{{shown->stx_dev_major, shown->stx_dev_minor, shown->stx_ino},
                  described->seen.stx_ino,
                  shown->stx_size};
}

Status TreeFileSystem::lock_whole(const Caller& caller, GuestFd fd, int operation) {
  const auto info = info_of(fd);
  if (!info) return pass_on(info.error());
  const auto target = lockable(fd);
  if (!target) return pass_on(target.error());
  FileLock lock;
  lock.whole = true;
  lock.exclusive = operation == LOCK_EX;
  lock.owner = description_of(caller, fd, *info);
  lock.seen_inode = target->seen_inode;
  if (operation == LOCK_UN) {
    locks_.release(target->file, lock);
    return {};
  }
  return locks_.set(target->file, lock);
}

Status TreeFileSystem::lock_record(const Caller& caller, GuestFd fd, int command,
                                   struct flock& lock) {
  const auto info = info_of(fd);
  if (!info) return pass_on(info.error());
  const auto target = lockable(fd);
  if (!target) return pass_on(target.error());
  const bool asks = command == F_GETLK || command == F_OFD_GETLK;
  const bool of_process = command == F_GETLK || command == F_SETLK || command == F_SETLKW;
  if (!of_process && lock.l_pid != 0) return fail(EINVAL, "lock");
  if (asks && lock.l_type == F_UNLCK) return fail(EINVAL, "lock");
  if (lock.l_whence != SEEK_SET && lock.l_whence != SEEK_CUR && lock.l_whence != SEEK_END)
    return fail(EINVAL, "lock");
  FileLock wanted;
  const std::int64_t base = lock.l_whence == SEEK_CUR   ? info->position
                            : lock.l_whence == SEEK_END ? static_cast<std::int64_t>(target->size)
                                                        : 0;
  if (Status range = take_range(lock, base, wanted); !range) return range;
  wanted.exclusive = lock.l_type == F_WRLCK;
  wanted.owner = of_process ? LockOwner{LockOwner::Kind::kProcess, caller.tgid, 0}
                            : description_of(caller, fd, *info);
  wanted.seen_inode = target->seen_inode;
  wanted.through = info->description.value_or(0);
  if (asks) {
    const auto held = locks_.conflict(target->file, wanted);
    lock.l_type = F_UNLCK;
    if (held) describe_lock(*held, lock);
    return {};
  }
  const int mode = info->flags & O_ACCMODE;
  if (lock.l_type == F_RDLCK && mode == O_WRONLY) return fail(EBADF, "lock");
  if (lock.l_type == F_WRLCK && mode == O_RDONLY) return fail(EBADF, "lock");
  if (lock.l_type == F_UNLCK) {
    locks_.release(target->file, wanted);
    return {};
  }
  if (command == F_SETLKW) return locks_.set_or_wait(target->file, wanted, caller.tid);
  return locks_.set(target->file, wanted);
}

}  // namespace vitrine::vfs
