// FileLocks: who holds which advisory locks of the run's files (flock(2), fcntl(2)). They are kept
// here and not in the kernel: on a file of the host, a run would meet the host and other runs.
//
// That an owner closed its descriptors or ended is not seen when it happens; whoever finds a lock
// in the way asks whether its owner is still there.
#pragma once

#include <sys/types.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "base/result.h"

namespace vitrine::vfs {

struct LockOwner {
  enum class Kind : std::uint8_t {
    kProcess,      // of a record lock
    kDescription,  // an open file description: `id`
    kDescriptor    // one that cannot be told from others: descriptor `id` of `process`
  };
  Kind kind = Kind::kProcess;
  pid_t process = 0;
  std::uint64_t id = 0;
  friend bool operator==(const LockOwner&, const LockOwner&) = default;
};

struct FileLock {
  bool whole = false;  // flock(2), whose locks and those of fcntl(2) do not meet
  bool exclusive = false;
  std::uint64_t start = 0;
  std::uint64_t end = UINT64_MAX;  // the last byte
  LockOwner owner;
  std::uint64_t seen_inode = 0;  // of the file behind it, as the kernel says
  std::uint64_t through = 0;     // the description by which a record lock was set; 0: not known
};

class FileLocks {
 public:
  struct File {
    std::uint32_t major = 0;
    std::uint32_t minor = 0;
    std::uint64_t inode = 0;
    friend auto operator<=>(const File&, const File&) = default;
  };
  using IsHeld = std::function<bool(const FileLock&)>;
  explicit FileLocks(IsHeld is_held) : is_held_(std::move(is_held)) {}

  // The lock of another owner that is in the way of `wanted`.
  std::optional<FileLock> conflict(const File& file, const FileLock& wanted);
  // EAGAIN: another has it. ENOLCK: there are too many.
  Status set(const File& file, const FileLock& wanted);
  // As set(), for `task`, which is known to wait where the answer is EAGAIN, until forget_wait().
  // EDEADLK: whose lock is in the way waits for one of the same owner (posix_locks_deadlock,
  // fs/locks.c).
  Status set_or_wait(const File& file, const FileLock& wanted, pid_t task);
  void forget_wait(pid_t task) { waits_.erase(task); }
  // Takes the range of `given` from what its owner has.
  void release(const File& file, const FileLock& given);
  std::size_t size() const { return count_; }

 private:
  struct Wait {
    File file;
    FileLock wanted;
  };
  class Looks;
  std::optional<FileLock> conflict(const File& file, const FileLock& wanted, Looks& looks);
  Status set(const File& file, const FileLock& wanted, Looks& looks);
  void forget_unheld(Looks& looks);
  bool would_wait_for_itself(const LockOwner& owner, const FileLock& in_the_way, Looks& looks);

  IsHeld is_held_;
  std::map<File, std::vector<FileLock>> files_;
  std::map<pid_t, Wait> waits_;  // by tid
  std::size_t count_ = 0;
  std::size_t next_look_ = 0;
};

}  // namespace vitrine::vfs
