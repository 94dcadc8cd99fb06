// Prints the system call table, a line a call: its name, what becomes of it, the names of its
// arguments. For the manual and its tests.
#include <cstdio>
#include <string>

#include "arch/syscall_table.h"

int main() {
  using namespace vitrine::arch;
  for (const SyscallRow& row : all_syscalls()) {
    std::printf("%s %s", std::string(row.name).c_str(), name_of(row.disposition));
    for (const Argument& argument : row.arguments) {
      if (argument.kind != kNone) std::printf(" %s", std::string(argument.name).c_str());
    }
    std::printf("\n");
  }
  return 0;
}
