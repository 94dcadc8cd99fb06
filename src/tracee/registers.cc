#include "tracee/registers.h"

#include <elf.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include <cerrno>

namespace vitrine::tracee {
namespace {

tl::unexpected<Error> failed(const char* operation) {
  return errno == ESRCH ? fail_task_gone(operation) : fail_errno(operation);
}

}  // namespace

Result<Registers> Registers::of(pid_t tid) {
  Registers registers;
  iovec area{&registers.raw_, sizeof registers.raw_};
  if (::ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &area) != 0) {
    return failed("ptrace(PTRACE_GETREGSET)");
  }
  return registers;
}

#if defined(__x86_64__)

Status Registers::apply_to(pid_t tid) const {
  user_regs_struct raw = raw_;
  iovec area{&raw, sizeof raw};
  if (::ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &area) != 0) {
    return failed("ptrace(PTRACE_SETREGSET)");
  }
  return {};
}

std::uint64_t Registers::syscall_number() const { return raw_.orig_rax; }

std::array<std::uint64_t, 6> Registers::arguments() const {
  return {raw_.rdi, raw_.rsi, raw_.rdx, raw_.r10, raw_.r8, raw_.r9};
}

std::uint64_t Registers::instruction_pointer() const { return raw_.rip; }

void Registers::set_syscall(std::uint64_t number, const std::array<std::uint64_t, 6>& arguments) {
  raw_.orig_rax = number;
  raw_.rdi = arguments[0];
  raw_.rsi = arguments[1];
  raw_.rdx = arguments[2];
  raw_.r10 = arguments[3];
  raw_.r8 = arguments[4];
  raw_.r9 = arguments[5];
}

std::uint64_t Registers::stack_pointer() const { return raw_.rsp; }

void Registers::skip_syscall() { raw_.orig_rax = ~0ULL; }
bool Registers::skips_syscall() const { return raw_.orig_rax == ~0ULL; }

std::int64_t Registers::result() const { return static_cast<std::int64_t>(raw_.rax); }

void Registers::set_result(std::int64_t value) {
  raw_.rax = static_cast<unsigned long long>(value);
}

// `syscall` is two bytes long; entered again, the number is taken from rax.
void Registers::rewind_to_syscall(std::uint64_t number,
                                  const std::array<std::uint64_t, 6>& arguments) {
  constexpr std::uint64_t kInstructionLength = 2;
  set_syscall(~0ULL, arguments);
  raw_.rip -= kInstructionLength;
  raw_.rax = number;
}

#elif defined(__aarch64__)

Status Registers::apply_to(pid_t tid) const {
  user_regs_struct raw = raw_;
  iovec area{&raw, sizeof raw};
  if (::ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &area) != 0) {
    return failed("ptrace(PTRACE_SETREGSET)");
  }
  if (pending_number_ == kUnchanged) return {};
  int number = static_cast<int>(pending_number_);
  iovec number_area{&number, sizeof number};
  if (::ptrace(PTRACE_SETREGSET, tid, NT_ARM_SYSTEM_CALL, &number_area) != 0) {
    return failed("ptrace(PTRACE_SETREGSET, NT_ARM_SYSTEM_CALL)");
  }
  return {};
}

std::uint64_t Registers::syscall_number() const { return raw_.regs[8]; }

std::array<std::uint64_t, 6> Registers::arguments() const {
  return {raw_.regs[0], raw_.regs[1], raw_.regs[2], raw_.regs[3], raw_.regs[4], raw_.regs[5]};
}

std::uint64_t Registers::instruction_pointer() const { return raw_.pc; }

void Registers::set_syscall(std::uint64_t number, const std::array<std::uint64_t, 6>& arguments) {
  pending_number_ = static_cast<std::int64_t>(number);
  for (std::size_t i = 0; i < arguments.size(); ++i) raw_.regs[i] = arguments[i];
}

std::uint64_t Registers::stack_pointer() const { return raw_.sp; }

void Registers::skip_syscall() { pending_number_ = -1; }
bool Registers::skips_syscall() const { return pending_number_ == -1; }

std::int64_t Registers::result() const { return static_cast<std::int64_t>(raw_.regs[0]); }

void Registers::set_result(std::int64_t value) {
  raw_.regs[0] = static_cast<unsigned long long>(value);
}

void Registers::rewind_to_syscall(std::uint64_t number,
                                  const std::array<std::uint64_t, 6>& arguments) {
  constexpr std::uint64_t kInstructionLength = 4;
  for (std::size_t i = 0; i < arguments.size(); ++i) raw_.regs[i] = arguments[i];
  raw_.regs[8] = number;
  raw_.pc -= kInstructionLength;
}

#endif

}  // namespace vitrine::tracee
