// The system call table: one row a call. The filter, the decoders, the audit log and the manual's
// table of calls all derive from it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace vitrine::arch {

// What an argument register means: how it is read (kPath copies a string from the program's memory)
// and how it is shown.
enum ArgumentKind : std::uint8_t {
  kNone,
  kInt,        // signed 32-bit
  kUnsigned,   // unsigned 32-bit
  kLong,       // signed 64-bit
  kSize,       // unsigned 64-bit
  kHex,        // flags without names, keys
  kPointer,    // never followed by the decoder
  kInBuffer,   // data for the kernel; its length is the next argument
  kOutBuffer,  // data from the kernel; its length is the result
  kPath,       // NUL-terminated string of at most PATH_MAX bytes, copied once
  kFd,         // signed 32-bit
  kDirFd,      // signed 32-bit or AT_FDCWD
  kPid,        // signed 32-bit
  kSignal,
  kMode,
  kWhence,
  kResource,  // RLIMIT_*
  kOpenFlags,
  kAtFlags,
  kUnlinkFlags,  // AT_REMOVEDIR shares its bit with AT_EACCESS
  kAccessMode,
  kMmapProt,
  kMmapFlags,
  kCloneFlags,
  kSocketDomain,
  kSocketType,
  kFcntl,
  kIoctl,
  kPrctl,
};

struct Argument {
  std::string_view name;
  ArgumentKind kind = kNone;
};

// What becomes of a call under the widest profile. Profiles only take away.
enum Disposition : std::uint8_t {
  kNative,          // allowed by the kernel's filter: acts only on what was granted before
  kConditional,     // allowed by the filter for the register values in intercept/native_rules.cc,
                    // otherwise supervised
  kServed,          // supervised; src/syscalls/ holds its handler
  kAbsent,          // supervised; ENOSYS, as on a kernel without it, so that libraries fall back
  kForbidden,       // supervised; EPERM
  kAbsentInKernel,  // ENOSYS from the filter itself: asked for often (clone3, once a thread)
};

struct SyscallRow {
  std::string_view name;
  int x86_64 = -1;   // arch/x86/entry/syscalls/syscall_64.tbl
  int aarch64 = -1;  // include/uapi/asm-generic/unistd.h; -1: the architecture has no such call
  Disposition disposition = kForbidden;
  std::array<Argument, 6> arguments{};
};

// Every known call, in ascending order of x86_64.
std::span<const SyscallRow> all_syscalls();
// The place of one of them in it.
std::size_t index_of(const SyscallRow& row);

// The row of a number of the native ABI; nullptr: unknown (treated as kAbsent).
const SyscallRow* find_syscall(std::uint64_t number);
const SyscallRow* find_syscall(std::string_view name);

// The row's number on the architecture that this is compiled for; -1: none.
constexpr int native_number(const SyscallRow& row) {
#if defined(__x86_64__)
  return row.x86_64;
#elif defined(__aarch64__)
  return row.aarch64;
#else
#error "vitrine knows x86_64 and aarch64"
#endif
}

// AUDIT_ARCH_* of the ABI that this is compiled for (linux/audit.h). Everything else is foreign.
extern const std::uint32_t kNativeAuditArch;

// x32 numbers carry this bit and share AUDIT_ARCH_X86_64 (asm/unistd.h): foreign as well.
inline constexpr std::uint64_t kX32Bit = 0x40000000;

const char* name_of(Disposition disposition);

}  // namespace vitrine::arch
