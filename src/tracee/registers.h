// The registers of a stopped task. Everything that depends on the architecture's register names is
// in registers.cc.
#pragma once

#include <sys/types.h>
#include <sys/user.h>

#include <array>
#include <cstdint>

#include "base/result.h"

namespace vitrine::tracee {

class Registers {
 public:
  // PTRACE_GETREGSET; kTaskGone if the task was killed in its stop.
  static Result<Registers> of(pid_t tid);
  // PTRACE_SETREGSET.
  Status apply_to(pid_t tid) const;

  // At a syscall-enter-stop or seccomp-stop.
  std::uint64_t syscall_number() const;
  std::array<std::uint64_t, 6> arguments() const;
  std::uint64_t instruction_pointer() const;
  std::uint64_t stack_pointer() const;
  // Makes the kernel perform another call instead. On aarch64 the number is a register set of its
  // own (NT_ARM_SYSTEM_CALL): apply_to writes both.
  void set_syscall(std::uint64_t number, const std::array<std::uint64_t, 6>& arguments);
  // Makes the kernel perform none; what set_result gives is returned.
  void skip_syscall();
  bool skips_syscall() const;

  // At a syscall-exit-stop, or behind skip_syscall.
  std::int64_t result() const;
  void set_result(std::int64_t value);

  // Steps back onto the system call instruction, to have another call performed from its exit.
  void rewind_to_syscall(std::uint64_t number, const std::array<std::uint64_t, 6>& arguments);

 private:
  user_regs_struct raw_{};
  [[maybe_unused]] std::int64_t pending_number_ = kUnchanged;  // aarch64
  static constexpr std::int64_t kUnchanged = INT64_MIN;
};

}  // namespace vitrine::tracee
