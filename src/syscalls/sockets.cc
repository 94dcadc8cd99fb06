// Sockets: connected pairs, and AF_UNIX stream and packet sockets between the run's own processes
// (socket_table.h). No other address is one that a run can name.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

#include "syscalls/families.h"
#include "syscalls/paths.h"
#include "tracee/proc_status.h"

namespace vitrine::syscalls {
namespace {

using Socket = SocketTable::Socket;

constexpr int kTypeMask = 0xf;
constexpr std::size_t kPathOffset = offsetof(sockaddr_un, sun_path);

Answer no_network(Context&) { return deny(EACCES, "network"); }

Answer no_memory(Context& context) {
  context.budget.refused("memory");
  return deny(ENOBUFS, "limit:memory");
}

Answer handle_socket(Context& context) {
  const int domain = context.call.int_argument(0);
  const int type = context.call.int_argument(1);
  const int kind = type & kTypeMask;
  // A single process has nobody of its own to talk to.
  if (context.budget.limits().processes < 2) return no_network(context);
  if (domain != AF_UNIX || (kind != SOCK_STREAM && kind != SOCK_SEQPACKET)) {
    return no_network(context);
  }
  if ((type & ~(kTypeMask | SOCK_CLOEXEC | SOCK_NONBLOCK)) != 0) return serve_error(EINVAL);
  const int protocol = context.call.int_argument(2);
  if (protocol != 0 && protocol != PF_UNIX) return serve_error(EPROTONOSUPPORT);
  Result<UniqueFd> made =
      context.sockets.create(kind | (type & SOCK_NONBLOCK), context.tasks.processes());
  if (!made) return serve_error(made.error().code);
  if (!context.budget.admit_socket(made->get())) return no_memory(context);
  return {InstallFd{std::move(*made), (type & SOCK_CLOEXEC) != 0},
          {Action::kServe, 0, "own-socket"}};
}

// Connected pairs reach nobody else. A datagram socket can send to any address that sendmsg(2)
// names, while a connected stream or packet socket refuses or ignores one (net/unix/af_unix.c),
// which is why sendmsg needs no supervision: in place of a datagram pair stands one of packet
// sockets, which keeps the boundaries of messages as well.
Answer handle_socketpair(Context& context) {
  const int type = context.call.int_argument(1);
  const int flags = type & (SOCK_NONBLOCK | SOCK_CLOEXEC);
  int kind = type & ~flags;
  if ((kind & ~kTypeMask) != 0) return serve_error(EINVAL);
  if (kind == SOCK_DGRAM) kind = SOCK_SEQPACKET;
  const bool offered =
      context.call.int_argument(0) == AF_UNIX && (kind == SOCK_STREAM || kind == SOCK_SEQPACKET);
  if (!offered) return no_network(context);
  int ends[2] = {-1, -1};
  const int protocol = context.call.int_argument(2);
  if (::socketpair(AF_UNIX, kind | flags | SOCK_CLOEXEC, protocol, ends) != 0)
    return serve_error(errno);
  InstallPair pair{UniqueFd(ends[0]), UniqueFd(ends[1]), (type & SOCK_CLOEXEC) != 0,
                   context.call.event.arguments[3]};
  if (!context.budget.admit_socket(ends[0]) || !context.budget.admit_socket(ends[1]))
    return no_memory(context);
  return {std::move(pair), {Action::kServe, 0, "local-pair"}};
}

// The inode of the socket that argument 0 is. EBADF, ENOTSOCK.
Result<std::uint64_t> socket_inode(Context& context) {
  Result<vfs::FileSystem::GuestFd> fd = guest_fd(context, 0);
  if (!fd) return tl::make_unexpected(fd.error());
  struct statx found {};
  if (Status seen = context.files.stat_descriptor(context.caller(), *fd, found); !seen) {
    return tl::make_unexpected(seen.error());
  }
  if (!S_ISSOCK(found.stx_mode)) return fail(ENOTSOCK, "socket argument");
  return found.stx_ino;
}

// sun_path as bind(2) and connect(2) understand it (unix(7)): a path without its NUL, an abstract
// name with the NUL it begins with, "" for no name. Read once.
Result<std::string> address_argument(Context& context) {
  const std::uint64_t length = context.call.event.arguments[2] & 0xffffffff;
  if (length < sizeof(sa_family_t) || length > sizeof(sockaddr_un)) return fail(EINVAL, "address");
  sockaddr_un address{};
  const auto bytes = std::as_writable_bytes(std::span(&address, 1)).first(length);
  if (Status read = context.memory.read(context.call.event.arguments[1], bytes); !read) {
    return tl::make_unexpected(read.error());
  }
  if (address.sun_family != AF_UNIX) return fail(EINVAL, "address");
  std::string name(address.sun_path, length - kPathOffset);
  if (!name.empty() && name[0] != '\0') name.resize(std::min(name.find('\0'), name.size()));
  return name;
}

// Its path is made first, as the kernel does it: a name that is taken leaves the socket unbound.
Answer bind_path(Context& context, Socket& socket, const std::string& path) {
  Result<std::string> kernel_name = context.sockets.reserve_name();
  if (!kernel_name) return serve_error(kernel_name.error().code);
  const Status made = context.files.make_socket(context.caller(), context.fs.working_directory,
                                                path, 0777, *kernel_name);
  if (!made) return answer(context, made);
  if (Status bound = context.sockets.bind(socket, *kernel_name, path); !bound) {
    (void)context.files.unlink(context.caller(), context.fs.working_directory, path);
    return serve_error(bound.error().code);
  }
  return answer(context, {});
}

// A socket that was closed before it listened is still held for its connect(2).
Answer bind_abstract(Context& context, std::uint64_t inode, const std::string& name) {
  Status bound = context.sockets.bind_abstract(*context.sockets.find(inode), name);
  if (!bound && bound.error().code == EADDRINUSE) {
    if (Status looked = context.sockets.forget_closed(context.tasks.processes()); !looked) {
      return serve_error(looked.error().code);
    }
    Socket* socket = context.sockets.find(inode);
    if (socket == nullptr) return serve_error(EBADF);
    bound = context.sockets.bind_abstract(*socket, name);
  }
  return bound ? serve() : serve_error(bound.error().code);
}

Answer handle_bind(Context& context) {
  Result<std::uint64_t> inode = socket_inode(context);
  if (!inode) return serve_error(inode.error().code);
  Socket* socket = context.sockets.find(*inode);
  if (socket == nullptr) return no_network(context);
  Result<std::string> name = address_argument(context);
  if (!name) return serve_error(name.error().code);
  if (!socket->held || !socket->name.empty()) return serve_error(EINVAL);
  if (name->empty()) name = context.sockets.free_abstract_name();
  if ((*name)[0] != '\0') return bind_path(context, *socket, *name);
  return bind_abstract(context, *inode, *name);
}

// From here on the guest's descriptors alone keep the socket open.
Answer handle_listen(Context& context) {
  Result<std::uint64_t> inode = socket_inode(context);
  if (!inode) return serve_error(inode.error().code);
  Socket* socket = context.sockets.find(*inode);
  if (socket != nullptr && !socket->name.empty()) socket->held.reset();
  return proceed();
}

Result<std::string> kernel_name_of(Context& context, const std::string& name) {
  if (!name.empty() && name[0] == '\0') return context.sockets.kernel_name_of(name);
  return context.files.socket_at(context.caller(), context.fs.working_directory, name);
}

Answer handle_connect(Context& context) {
  Result<std::uint64_t> inode = socket_inode(context);
  if (!inode) return serve_error(inode.error().code);
  Socket* socket = context.sockets.find(*inode);
  if (socket == nullptr) return no_network(context);
  Result<std::string> name = address_argument(context);
  if (!name) return serve_error(name.error().code);
  if (name->empty()) return serve_error(EINVAL);
  Result<std::string> kernel_name = kernel_name_of(context, *name);
  if (!kernel_name) return answer_error(context, kernel_name.error());
  if (socket->connected) return serve_error(EISCONN);
  if (!socket->held) return serve_error(EINVAL);
  // The other end comes to be with the connection, and has buffers of its own.
  if (!context.budget.shared_memory_fits(0)) return no_memory(context);
  Result<bool> done = context.sockets.connect(*socket, *kernel_name, std::move(*name));
  if (!done) return serve_error(done.error().code);
  if (!*done) return {Wait{}, {Action::kServe, 0, "own-socket"}};
  context.budget.connection_made(context.sockets.name_prefix());
  return serve();
}

// As move_addr_to_user (net/socket.c): as much as fits, and the whole length.
Answer answer_with_address(Context& context, const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path, sizeof address.sun_path);
  const bool path = !name.empty() && name[0] != '\0';
  const std::size_t whole = kPathOffset + name.size() + (path ? 1 : 0);
  const std::uint64_t length_at = context.call.event.arguments[2];
  Result<int> room = context.memory.read_value<int>(length_at);
  if (!room) return serve_error(room.error().code);
  if (*room < 0) return serve_error(EINVAL);
  const std::size_t length = std::min({static_cast<std::size_t>(*room), whole, sizeof address});
  const auto bytes = std::as_bytes(std::span(&address, 1)).first(length);
  if (Status put = context.memory.write(context.call.event.arguments[1], bytes); !put) {
    return serve_error(put.error().code);
  }
  return answer_with(context, length_at, static_cast<int>(whole));
}

// What is not found was not made by socket(2), or is known to the kernel under no name of ours: the
// kernel answers, into memory that is the program's own.
Answer handle_getsockname(Context& context) {
  Result<std::uint64_t> inode = socket_inode(context);
  if (!inode) return serve_error(inode.error().code);
  if (const Socket* socket = context.sockets.find(*inode)) {
    return answer_with_address(context, socket->name);
  }
  const std::optional<std::string> name = context.sockets.inherited_name(*inode);
  return name ? answer_with_address(context, *name) : proceed();
}

Answer handle_getpeername(Context& context) {
  Result<std::uint64_t> inode = socket_inode(context);
  if (!inode) return serve_error(inode.error().code);
  const Socket* socket = context.sockets.find(*inode);
  if (socket == nullptr) return proceed();
  return socket->connected ? answer_with_address(context, socket->peer) : serve_error(ENOTCONN);
}

// The kernel would name the supervisor, which connected the socket: of the peer it is told whose it
// is, and not which process (as of one in another process-id namespace).
Answer peer_credentials(Context& context) {
  Result<std::uint64_t> inode = socket_inode(context);
  if (!inode) return serve_error(inode.error().code);
  Result<tracee::ProcStatus> own = tracee::read_proc_status(context.task.tid);
  if (!own) return serve_error(EIO);
  const ucred peer{0, own->uid, own->gid};
  const std::uint64_t length_at = context.call.event.arguments[4];
  Result<int> room = context.memory.read_value<int>(length_at);
  if (!room) return serve_error(room.error().code);
  if (*room < 0) return serve_error(EINVAL);
  const std::size_t length = std::min(static_cast<std::size_t>(*room), sizeof peer);
  const auto bytes = std::as_bytes(std::span(&peer, 1)).first(length);
  if (Status put = context.memory.write(context.call.event.arguments[3], bytes); !put) {
    return serve_error(put.error().code);
  }
  return answer_with(context, length_at, static_cast<int>(length));
}

// Options outside the filter's list tell of the peer's process or are nothing a run can have.
Answer handle_getsockopt(Context& context) {
  const bool of_socket = context.call.int_argument(1) == SOL_SOCKET;
  if (of_socket && context.call.int_argument(2) == SO_PEERCRED) return peer_credentials(context);
  return deny(ENOPROTOOPT, "socket-option");
}

// Hints change nothing that a local socket does; the rest holds memory, names tasks or adds
// authority.
Answer handle_setsockopt(Context& context) {
  constexpr std::array kHints{SO_REUSEADDR, SO_KEEPALIVE, SO_SNDBUF, SO_RCVBUF, SO_LINGER};
  const bool of_socket = context.call.int_argument(1) == SOL_SOCKET;
  const bool hint =
      of_socket && std::ranges::find(kHints, context.call.int_argument(2)) != kHints.end();
  if (!hint) return deny(EPERM, "socket-option");
  Result<std::uint64_t> inode = socket_inode(context);
  return inode ? serve() : serve_error(inode.error().code);
}

}  // namespace

void add_socket_handlers(HandlerTable& table) {
  table.add("socket", handle_socket);
  table.add("socketpair", handle_socketpair);
  table.add("bind", handle_bind);
  table.add("listen", handle_listen);
  table.add("connect", handle_connect);
  table.add("sendto", no_network);
  table.add("getsockname", handle_getsockname);
  table.add("getpeername", handle_getpeername);
  table.add("getsockopt", handle_getsockopt);
  table.add("setsockopt", handle_setsockopt);
}

}  // namespace vitrine::syscalls
