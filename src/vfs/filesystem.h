// FileSystem: the guest's tree. Resolution of names, and everything that can be done by name.
//
// A lookup never leaves the tree: every component, `.`, `..` and every link's target are walked in
// the guest's own tree; under a host mount by openat2(2) with RESOLVE_BENEATH |
// RESOLVE_NO_MAGICLINKS (or component by component with O_NOFOLLOW where openat2 is absent). The
// host is only ever read. Nothing here blocks: O_NONBLOCK on every open, regular files and folders
// only.
//
// Errors are guest-visible errnos (Error::code): ENOENT for what is not shown, EROFS for a write to
// what is read-only, ENOSPC for the scratch quota, ...
// Not thread-safe: one supervisor thread owns it.
#pragma once

#include <dirent.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/vfs.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "core/file_rules.h"
#include "core/sighting.h"

struct flock;
struct statx;

namespace vitrine::vfs {

class Directory;  // a folder of the guest's tree, as a start of lookups (cwd, dirfd); immutable
                  // handle
using DirectoryRef = std::shared_ptr<const Directory>;

// What the synthetic /proc needs to know of the run. Implemented by the supervisor. Process ids are
// the kernel's (the guest sees the same numbers).
class ProcessView {
 public:
  virtual ~ProcessView() = default;
  virtual std::vector<pid_t> processes() const = 0;               // live tgids of the tree
  virtual std::vector<pid_t> threads(pid_t tgid) const = 0;       // live tids
  virtual std::optional<pid_t> process_of(pid_t tid) const = 0;   // tgid, if tid is of the tree
  virtual bool is_stopped(pid_t /*tid*/) const { return false; }  // by a signal (job control)
  virtual std::string working_directory(pid_t tgid) const = 0;    // guest path
  virtual std::string executable(pid_t tgid) const = 0;           // guest path
  virtual unsigned cpu_count() const = 0;                         // --cpus
  virtual std::optional<std::uint64_t> memory_limit() const = 0;
  virtual std::uint64_t memory_used() const = 0;
  // A new descriptor of the terminal that the command was started on, if /dev/pts has it under this
  // number; empty else.
  virtual UniqueFd open_terminal(unsigned /*number*/, int /*flags*/) const { return UniqueFd(); }
  // A descriptor that every process of the tree holds for the supervisor, and that listings leave
  // out; -1: none.
  virtual int supervisor_descriptor() const { return -1; }
};

// Who asks: decides what /proc/self and /dev/fd mean, and the modes of new files.
struct Caller {
  pid_t tid = 0;
  pid_t tgid = 0;
  mode_t umask = 022;
};

struct Identity {  // of the guest; owners of scratch and synthetic files
  uid_t uid = 0;
  gid_t gid = 0;
};

struct Options {
  Identity identity;
  std::string host_name = "vitrine";
  std::uint64_t inode_seed = 0;
  bool use_openat2 = true;           // false: as on kernels before 5.6
  std::size_t max_memory_files = 0;  // descriptors held for scratch files; 0: from RLIMIT_NOFILE
  std::size_t max_open_entries = 0;  // open folders and synthetic files; 0: likewise
};

// A descriptor ready to be given to the guest.
struct Opened {
  UniqueFd fd;
  bool created = false;
};

enum class FinalLink { kFollow, kNoFollow };

class FileSystem {
 public:
  // Opens every host path of the rules (O_PATH). A missing host path that is not optional, and a
  // rule that contradicts another, are kInvalid errors naming the rule.
  static Result<std::unique_ptr<FileSystem>> build(const FileRules& rules, const Options& options);
  virtual ~FileSystem() = default;

  virtual void attach(
      const ProcessView* processes) = 0;  // not owned; before the first lookup in /proc

  // The rule that made the last failing or succeeding lookup decide as it did ("default" if nothing
  // shows the path); for the audit record of the call being served.
  virtual const std::string& deciding_rule() const = 0;
  // Canonical guest path that the last lookup arrived at (or as far as it came).
  virtual const std::string& resolved_path() const = 0;
  // Whether the host may have what the last lookup did not find: it was kept from the program then,
  // and is not merely missing.
  virtual bool host_may_have_missing() = 0;

  // From now on every lookup tells `watcher` of the links that it follows and of where it ends or
  // fails. Watching costs a copy of each path.
  virtual void watch(std::function<void(Sighting)> watcher) = 0;

  // --- where lookups start
  virtual DirectoryRef root() const = 0;
  virtual Result<DirectoryRef> open_directory(const Caller&, const DirectoryRef& base,
                                              std::string_view path) = 0;
  virtual std::string path_of(
      const DirectoryRef&) const = 0;  // "/a/b"; "" once removed; may exceed PATH_MAX

  // --- by name. `base` is ignored for absolute paths. `path` holds no NUL; "" gives ENOENT.
  virtual Result<Opened> open(const Caller&, const DirectoryRef& base, std::string_view path,
                              int flags, mode_t mode) = 0;
  virtual Status stat(const Caller&, const DirectoryRef& base, std::string_view path, FinalLink,
                      struct statx& out) = 0;
  // mode: R_OK | W_OK | X_OK or F_OK, as access(2).
  virtual Status access(const Caller&, const DirectoryRef& base, std::string_view path, int mode,
                        FinalLink) = 0;
  virtual Result<std::string> read_link(const Caller&, const DirectoryRef& base,
                                        std::string_view path) = 0;
  virtual Status make_directory(const Caller&, const DirectoryRef& base, std::string_view path,
                                mode_t mode) = 0;
  virtual Status unlink(const Caller&, const DirectoryRef& base, std::string_view path) = 0;
  virtual Status remove_directory(const Caller&, const DirectoryRef& base,
                                  std::string_view path) = 0;
  // flags: RENAME_NOREPLACE, RENAME_EXCHANGE of renameat2(2).
  virtual Status rename(const Caller&, const DirectoryRef& from_base, std::string_view from,
                        const DirectoryRef& to_base, std::string_view to, unsigned flags) = 0;
  virtual Status link(const Caller&, const DirectoryRef& from_base, std::string_view from,
                      const DirectoryRef& to_base, std::string_view to, FinalLink) = 0;
  virtual Status symlink(const Caller&, std::string_view target, const DirectoryRef& base,
                         std::string_view path) = 0;
  virtual Status change_mode(const Caller&, const DirectoryRef& base, std::string_view path,
                             mode_t mode, FinalLink) = 0;
  virtual Status change_owner(const Caller&, const DirectoryRef& base, std::string_view path,
                              uid_t uid, gid_t gid, FinalLink) = 0;
  // times: two entries as utimensat(2), UTIME_NOW and UTIME_OMIT included.
  virtual Status set_times(const Caller&, const DirectoryRef& base, std::string_view path,
                           const struct timespec times[2], FinalLink) = 0;
  virtual Status truncate(const Caller&, const DirectoryRef& base, std::string_view path,
                          off_t length) = 0;
  // FIFOs in scratch may be refused (EPERM); regular files created as open would.
  virtual Status make_node(const Caller&, const DirectoryRef& base, std::string_view path,
                           mode_t mode) = 0;
  // A socket's name in scratch; `key` is what socket_at() gives. EADDRINUSE where the name is
  // taken.
  virtual Status make_socket(const Caller&, const DirectoryRef& base, std::string_view path,
                             mode_t mode, std::string_view key) = 0;
  // The key of the socket that a connect(2) to this path reaches. ECONNREFUSED for what is none.
  virtual Result<std::string> socket_at(const Caller&, const DirectoryRef& base,
                                        std::string_view path) = 0;
  virtual Status stat_filesystem(const Caller&, const DirectoryRef& base, std::string_view path,
                                 struct statfs& out) = 0;
  // The host file behind a shown, executable regular file, opened O_PATH|O_CLOEXEC or O_RDONLY, for
  // execveat(2). EACCES for what is not shown or not executable.
  virtual Result<UniqueFd> open_program(const Caller&, const DirectoryRef& base,
                                        std::string_view path) = 0;

  // Host files and folders of the tree that hold programs, as O_PATH descriptors of this object:
  // what a second wall (Landlock) has to let be executed.
  virtual std::vector<int> executable_mounts() const = 0;

  // --- by descriptor. A descriptor is described by what it *is*: `fd` is a directory descriptor
  // "/proc/TID/fd" of the guest's task and a number in it; nothing is remembered of numbers.
  struct GuestFd {
    int proc_fd_dir;  // an open "/proc/TID/fd"
    int number;
  };
  // EBADF where the number is not open. EINVAL-like refusals as the kernel's fstat(2), fchmod(2),
  // ...
  virtual Status stat_descriptor(const Caller&, GuestFd, struct statx& out) = 0;
  // ENOTDIR for what is not one of our folders; EBADF where closed.
  virtual Result<DirectoryRef> directory_of(const Caller&, GuestFd) = 0;
  // Fills `buffer` with struct linux_dirent64 records; returns the number of bytes, 0 at the end.
  // The position is the open file description's own (lseek(2) by the guest moves it).
  virtual Result<std::size_t> read_directory(const Caller&, GuestFd,
                                             std::span<std::byte> buffer) = 0;
  virtual Status change_mode_descriptor(const Caller&, GuestFd, mode_t) = 0;
  virtual Status set_times_descriptor(const Caller&, GuestFd, const struct timespec times[2]) = 0;
  virtual Status truncate_descriptor(const Caller&, GuestFd, off_t length) = 0;
  // fallocate(2) modes 0 and FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE; others EOPNOTSUPP.
  virtual Status allocate_descriptor(const Caller&, GuestFd, int mode, off_t offset,
                                     off_t length) = 0;
  virtual Status stat_filesystem_descriptor(const Caller&, GuestFd, struct statfs& out) = 0;
  // flock(2): operation LOCK_SH, LOCK_EX or LOCK_UN. EAGAIN: somebody else of the run holds it.
  virtual Status lock_whole(const Caller&, GuestFd, int operation) = 0;
  // fcntl(2), F_GETLK to F_OFD_SETLKW; none of them waits. EAGAIN likewise; with F_SETLKW the
  // caller's task is known to wait from then on, and EDEADLK says that it would wait for itself.
  virtual Status lock_record(const Caller&, GuestFd, int command, struct flock& lock) = 0;
  // The task waits for no lock any more.
  virtual void forget_wait(pid_t tid) = 0;
  // The target of the link that the descriptor was opened on (O_PATH | O_NOFOLLOW). ENOENT: it
  // is no link's.
  virtual Result<std::string> read_link_descriptor(const Caller&, GuestFd) = 0;
  // Guest path of what the descriptor refers to (as readlink of /proc/self/fd/N shows it).
  virtual Result<std::string> path_of_descriptor(const Caller&, GuestFd) = 0;

  // --- memory that no name leads to
  // What a shared anonymous mapping of `size` bytes is made of (mmap(2)): a descriptor to map.
  virtual Result<UniqueFd> create_shared_memory(std::uint64_t size) = 0;
  // Bytes held beside scratch, measured now: shared anonymous memory, snapshots of synthetic files.
  // `promised` is what shared mappings have room for and nobody has touched yet.
  struct MemoryHeld {
    std::uint64_t used = 0;
    std::uint64_t promised = 0;
  };
  virtual MemoryHeld memory_held() = 0;

  // --- scratch accounting
  virtual std::uint64_t scratch_used() = 0;  // bytes held by all scratch files now (measured)
  virtual bool scratch_in_use() const = 0;   // some scratch file has been opened
  virtual std::uint64_t scratch_peak() const = 0;
  virtual std::uint64_t scratch_quota() const = 0;  // sum over scratch folders
  // The largest size a scratch file may reach now: RLIMIT_FSIZE for the guest. 0 when the quota is
  // full.
  virtual std::uint64_t file_size_limit() = 0;
  // Bytes that removals and truncations have given back since file_size_limit() was asked.
  virtual std::uint64_t scratch_given_back() const = 0;
  virtual bool scratch_refused() const = 0;  // ENOSPC was ever returned

  // --- after the run (`--collect GUEST:HOST`): copies a scratch file or tree to the host. Never
  // follows a link on either side, regular files and folders only, each file written to a
  // temporary name and renamed into place. `limit_bytes` bounds the copy.
  virtual Status collect(std::string_view guest, const std::string& host,
                         std::uint64_t limit_bytes) = 0;
};

}  // namespace vitrine::vfs
