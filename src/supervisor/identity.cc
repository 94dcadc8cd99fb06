#include "supervisor/identity.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace vitrine::supervisor {
namespace {

constexpr uid_t kUnprivileged = 65534;  // "nobody", on every distribution

// The two halves of capset(2)'s 64-bit sets.
struct Capabilities {
  __user_cap_data_struct halves[2]{};

  bool read() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    return ::syscall(SYS_capget, &header, halves) == 0;
  }
  bool has(unsigned capability) const {
    return (halves[capability / 32].effective >> (capability % 32) & 1) != 0;
  }
};

void raise_permitted_capabilities() {
  Capabilities own;
  if (!own.read()) return;
  for (__user_cap_data_struct& half : own.halves) half.effective = half.permitted;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  (void)::syscall(SYS_capset, &header, own.halves);
}

}  // namespace

std::optional<uid_t> identity_to_drop_to() {
  if (::geteuid() != 0) return std::nullopt;
  Capabilities own;
  // Without these the kernel refuses; the command keeps the number and loses all that it stood for.
  if (own.read() && !(own.has(CAP_SETUID) && own.has(CAP_SETGID))) return std::nullopt;
  return kUnprivileged;
}

bool must_share_identity() {
  Capabilities own;
  return !(own.read() && own.has(CAP_SYS_PTRACE) && own.has(CAP_SYS_RESOURCE) &&
           own.has(CAP_SYS_NICE));
}

void assume_identity(uid_t guest) {
  constexpr auto kKeep = static_cast<gid_t>(-1);
  if (::setresgid(guest, guest, kKeep) != 0) return;
  if (::setresuid(guest, guest, kKeep) != 0) {
    (void)!::setresgid(0, 0, 0);
    return;
  }
  raise_permitted_capabilities();
}

void resign_identity() {
  uid_t real = 0;
  uid_t effective = 0;
  uid_t saved = 0;
  if (::getresuid(&real, &effective, &saved) != 0) return;
  const bool assumed = real == kUnprivileged && effective == kUnprivileged && saved == 0;
  if (!assumed || ::setresuid(0, 0, 0) != 0) return;
  (void)!::setresgid(0, 0, 0);
}

}  // namespace vitrine::supervisor
