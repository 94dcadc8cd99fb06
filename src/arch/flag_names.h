// Symbolic forms of arguments, as strace(1) users read them.
#pragma once

#include <cstdint>
#include <string>

#include "arch/syscall_table.h"

namespace vitrine::arch {

// True for kinds that have a symbolic form ("O_RDONLY|O_CLOEXEC", "SIGKILL", "AT_FDCWD").
bool is_symbolic(ArgumentKind kind);
// What the program wrote: a path, data.
bool is_text(ArgumentKind kind);
// The symbolic form of `value`; bits without a name follow as "0x...".
std::string symbolic(ArgumentKind kind, std::uint64_t value);
// "ENOENT"; "errno_N" for a number without a name.
std::string errno_name(int error);
// "SIGKILL"; "signal_N" for a number without a name.
std::string signal_name(int signal);

}  // namespace vitrine::arch
