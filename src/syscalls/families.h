// The families of handlers. Adding a call: its row in arch/syscall_table.cc, a handler in the file
// of its family, its name here nowhere.
#pragma once

#include <vector>

#include "syscalls/context.h"

namespace vitrine::syscalls {

class HandlerTable {
 public:
  // A name that the system call table lacks is a mistake that the unit tests find.
  void add(std::string_view syscall, Handler handler);
  Handler find(const arch::SyscallRow& row) const;

 private:
  std::vector<Handler> handlers_ = std::vector<Handler>(arch::all_syscalls().size());
};

void add_open_handlers(HandlerTable& table);
void add_stat_handlers(HandlerTable& table);
void add_directory_handlers(HandlerTable& table);
void add_change_handlers(HandlerTable& table);
void add_descriptor_handlers(HandlerTable& table);
void add_process_handlers(HandlerTable& table);
void add_execute_handlers(HandlerTable& table);
void add_signal_handlers(HandlerTable& table);
void add_resource_handlers(HandlerTable& table);
void add_identity_handlers(HandlerTable& table);
void add_memory_handlers(HandlerTable& table);
void add_socket_handlers(HandlerTable& table);

}  // namespace vitrine::syscalls
