// The memory of a supervised task. Reads and writes obey the page protections the program set
// (process_vm_readv(2), process_vm_writev(2)), so that EFAULT is what the kernel itself would give.
// Where those calls are refused, /proc/TID/mem takes their place, and PEEKDATA and POKEDATA where
// that is refused as well: both write to pages of the task's own that it made read-only.
#pragma once

#include <sys/types.h>

#include "tracee/memory.h"

namespace vitrine::tracee {

class RemoteMemory final : public Memory {
 public:
  explicit RemoteMemory(pid_t tid) : tid_(tid) {}

  Status read(RemoteAddress from, std::span<std::byte> out) const override;
  Status write(RemoteAddress to, std::span<const std::byte> bytes) const override;
  // Whether reads and writes work while the task is not in a ptrace-stop. `known`: readable memory.
  bool is_open_while_running(RemoteAddress known) const;

 private:
  pid_t tid_;
};

}  // namespace vitrine::tracee
