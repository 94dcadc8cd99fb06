// Whom the command runs as when vitrine was started as root, and how a root without capabilities
// over other users' processes (the default in containers) may still supervise it.
#pragma once

#include <sys/types.h>

#include <optional>

namespace vitrine::supervisor {

// The uid and gid that the command gets; nullopt: the caller's own.
std::optional<uid_t> identity_to_drop_to();

// Whether a capability over processes of other users is missing, so that supervising one that was
// dropped to another identity takes sharing that identity.
bool must_share_identity();

// Takes on the command's ids, real, effective and for files: reading memory (process_vm_readv),
// limits and placement compare the real or effective ids (ptrace(2), "Ptrace access mode checking";
// prlimit(2); sched_setaffinity(2)), and links below /proc/PID the filesystem ids. The saved ids
// stay, and the capabilities, which a change of ids takes out of the effective set, are raised
// again: what the broker may open stays the same. The command is seized before: its ids are still
// the caller's then. Best effort: where it is refused, what cannot be read or limited is refused.
void assume_identity(uid_t guest);
// Back to root's ids, for a further launch and for files that are written for the caller.
void resign_identity();

}  // namespace vitrine::supervisor
