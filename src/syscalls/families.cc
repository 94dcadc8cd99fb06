#include "syscalls/families.h"

#include <cassert>

namespace vitrine::syscalls {
namespace {

HandlerTable build() {
  HandlerTable table;
  add_open_handlers(table);
  add_stat_handlers(table);
  add_directory_handlers(table);
  add_change_handlers(table);
  add_descriptor_handlers(table);
  add_process_handlers(table);
  add_execute_handlers(table);
  add_signal_handlers(table);
  add_resource_handlers(table);
  add_identity_handlers(table);
  add_memory_handlers(table);
  add_socket_handlers(table);
  return table;
}

}  // namespace

void HandlerTable::add(std::string_view syscall, Handler handler) {
  const arch::SyscallRow* row = arch::find_syscall(syscall);
  assert(row != nullptr);
  if (row != nullptr) handlers_[arch::index_of(*row)] = handler;
}

Handler HandlerTable::find(const arch::SyscallRow& row) const {
  return handlers_[arch::index_of(row)];
}

Handler find_handler(const arch::SyscallRow& row) {
  static const HandlerTable kTable = build();
  return kTable.find(row);
}

}  // namespace vitrine::syscalls
