// Memory: what handlers and the reader of arguments see of a task's memory. A process's is
// RemoteMemory; tests have others.
#pragma once

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

class Memory {
 public:
  virtual ~Memory() = default;

  // All of `out`, or an error: EFAULT, or kTaskGone.
  virtual Status read(RemoteAddress from, std::span<std::byte> out) const = 0;
  // All of `bytes`. On EFAULT some leading bytes may have been written, none outside the range.
  virtual Status write(RemoteAddress to, std::span<const std::byte> bytes) const = 0;

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
};

// Copies everything that the call's row says is pointed to, once.
DecodedCall decode(const SyscallEvent& event, const Memory& memory);

}  // namespace vitrine::tracee
