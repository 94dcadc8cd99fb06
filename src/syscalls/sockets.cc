// Sockets: a run has connected pairs of its own and nothing else.
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "syscalls/families.h"
#include "syscalls/paths.h"

namespace vitrine::syscalls {
namespace {

Answer no_network(Context&) { return deny(EACCES, "network"); }

// Connected pairs reach nobody else. Not SOCK_DGRAM: such a socket can be sent to any address,
// while a connected stream or seqpacket ignores or refuses one (net/unix/af_unix.c), which is why
// sendmsg needs no supervision.
Answer handle_socketpair(Context& context) {
  const int type = context.call.int_argument(1);
  const int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
  if ((kind & ~0xf) != 0) return serve_error(EINVAL);
  const bool offered =
      context.call.int_argument(0) == AF_UNIX && (kind == SOCK_STREAM || kind == SOCK_SEQPACKET);
  if (!offered) return no_network(context);
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, context.call.int_argument(2), ends) != 0)
    return serve_error(errno);
  InstallPair pair{UniqueFd(ends[0]), UniqueFd(ends[1]), (type & SOCK_CLOEXEC) != 0,
                   context.call.event.arguments[3]};
  if (!context.budget.admit_socket(ends[0]) || !context.budget.admit_socket(ends[1])) {
    context.budget.refused("memory");
    return deny(ENOBUFS, "limit:memory");
  }
  return {std::move(pair), {Action::kServe, 0, "local-pair"}};
}

// Options of a pair's end change nothing outside it, but several hold memory or name tasks.
Answer handle_setsockopt(Context&) { return deny(EPERM, "socket-option"); }

}  // namespace

void add_socket_handlers(HandlerTable& table) {
  for (const char* name : {"socket", "connect", "accept", "accept4", "bind", "listen", "sendto"}) {
    table.add(name, no_network);
  }
  table.add("socketpair", handle_socketpair);
  table.add("setsockopt", handle_setsockopt);
}

}  // namespace vitrine::syscalls
