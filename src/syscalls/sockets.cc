// Sockets: a run has connected pairs of its own and nothing else.
#include <cerrno>

#include "syscalls/families.h"
#include "syscalls/paths.h"

namespace vitrine::syscalls {
namespace {

Answer no_network(Context&) { return deny(EACCES, "network"); }

// Options of a pair's end change nothing outside it, but several hold memory or name tasks.
Answer handle_setsockopt(Context&) { return deny(EPERM, "socket-option"); }

}  // namespace

void add_socket_handlers(HandlerTable& table) {
  for (const char* name :
       {"socket", "connect", "accept", "accept4", "bind", "listen", "sendto", "socketpair"}) {
    table.add(name, no_network);
  }
  table.add("setsockopt", handle_setsockopt);
}

}  // namespace vitrine::syscalls
