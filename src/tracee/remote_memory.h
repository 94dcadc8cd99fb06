// The memory of a supervised task. Reads and writes obey the page protections the program set
// (process_vm_readv(2), process_vm_writev(2)), so that EFAULT is what the kernel itself would give.
// Where those calls are refused, /proc/TID/mem takes their place, and PEEKDATA and POKEDATA where
// that is refused as well: both write to pages of the task's own that it made read-only.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>

#include "base/result.h"
#include "core/call.h"

namespace vitrine::tracee {

// Guest address. Never a pointer of the supervisor.
using RemoteAddress = std::uint64_t;

class RemoteMemory {
 public:
  explicit RemoteMemory(pid_t tid) : tid_(tid) {}

  // All of `out`, or an error: EFAULT, or kTaskGone.
  Status read(RemoteAddress from, std::span<std::byte> out) const;
  // All of `bytes`. On EFAULT some leading bytes may have been written, none outside the range.
  Status write(RemoteAddress to, std::span<const std::byte> bytes) const;
  // Whether reads and writes work while the task is not in a ptrace-stop. `known`: readable memory.
  bool is_open_while_running(RemoteAddress known) const;
  // A NUL-terminated string of at most PATH_MAX bytes (the NUL included), read page by page so that
  // an unmapped page behind the NUL does no harm. ENAMETOOLONG, EFAULT as getname_flags
  // (fs/namei.c).
  StringArgument read_path(RemoteAddress from) const;

  template <typename T>
  Result<T> read_value(RemoteAddress from) const {
    static_assert(std::is_trivially_copyable_v<T>);
    T value{};
    const Status status = read(from, std::as_writable_bytes(std::span(&value, 1)));
    if (!status) return tl::make_unexpected(status.error());
    return value;
  }
  template <typename T>
  Status write_value(RemoteAddress to, const T& value) const {
    static_assert(std::is_trivially_copyable_v<T>);
    return write(to, std::as_bytes(std::span(&value, 1)));
  }

 private:
  pid_t tid_;
};

// Copies everything that the call's row says is pointed to, once.
DecodedCall decode(const SyscallEvent& event);

}  // namespace vitrine::tracee
