// One supervised system call: as it arrived, and as it was read. Values only.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "arch/syscall_table.h"

namespace vitrine {

// The registers of a call at its entry. Nothing in here can be changed by the program any more.
struct SyscallEvent {
  pid_t tid = 0;
  std::uint32_t audit_arch = 0;  // AUDIT_ARCH_* of the ABI that was used
  std::uint64_t number = 0;
  std::array<std::uint64_t, 6> arguments{};
  std::uint64_t instruction_pointer = 0;
};

// A pointed-to string, copied once. Whatever is decided and logged rests on this copy.
struct StringArgument {
  std::string bytes;
  int error = 0;  // EFAULT, ENAMETOOLONG: the call fails with it
};

struct DecodedCall {
  SyscallEvent event;
  const arch::SyscallRow* row = nullptr;                 // nullptr: unknown number
  bool foreign_abi = false;                              // 32-bit or x32
  std::array<std::optional<StringArgument>, 6> strings;  // by argument, for kPath

  int int_argument(std::size_t index) const { return static_cast<int>(event.arguments[index]); }
  unsigned unsigned_argument(std::size_t index) const {
    return static_cast<unsigned>(event.arguments[index]);
  }
};

}  // namespace vitrine
