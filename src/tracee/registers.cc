#include "tracee/registers.h"

#include <elf.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

#include <cerrno>

namespace vitrine::tracee {
namespace {

#if defined(__x86_64__)
using Registers = user_regs_struct;
auto& result_of(Registers& registers) { return registers.rax; }
#elif defined(__aarch64__)
using Registers = user_regs_struct;
auto& result_of(Registers& registers) { return registers.regs[0]; }
#endif

tl::unexpected<Error> failed(const char* operation) {
  return errno == ESRCH ? fail_task_gone(operation) : fail_errno(operation);
}

Result<Registers> get(pid_t tid) {
  Registers registers{};
  iovec area{&registers, sizeof registers};
  if (::ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &area) != 0) {
    return failed("ptrace(PTRACE_GETREGSET)");
  }
  return registers;
}

}  // namespace

Result<std::int64_t> return_value(pid_t tid) {
  Result<Registers> registers = get(tid);
  if (!registers) return tl::make_unexpected(registers.error());
  return static_cast<std::int64_t>(result_of(*registers));
}

Status set_return_value(pid_t tid, std::int64_t value) {
  Result<Registers> registers = get(tid);
  if (!registers) return tl::make_unexpected(registers.error());
  result_of(*registers) = static_cast<unsigned long long>(value);
  iovec area{&*registers, sizeof(Registers)};
  if (::ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &area) != 0) {
    return failed("ptrace(PTRACE_SETREGSET)");
  }
  return {};
}

}  // namespace vitrine::tracee
