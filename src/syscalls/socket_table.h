// SocketTable: AF_UNIX sockets between the run's own processes.
//
// A guest's address, a path in its tree or a name of its own abstract space, never reaches the
// kernel. The supervisor makes the socket, and binds and connects it by a descriptor of its own,
// under an abstract name that nobody can guess; waiting, listening, accepting and data are native.
// Only connected stream and packet sockets send: an address in sendmsg(2) is refused or ignored for
// them (net/unix/af_unix.c), which is why no datagram socket is made.
//
// The supervisor's descriptor is closed once a socket listens or is connected, so that the guest's
// close(2) is the last.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"
#include "base/unique_fd.h"

namespace vitrine::syscalls {

class SocketTable {
 public:
  struct Socket {
    UniqueFd held;     // empty once it listens or is connected
    std::string name;  // what it is bound to: sun_path as the guest gave it; "" for nothing
    std::string peer;  // likewise what it is connected to
    bool connected = false;
  };

  // A new socket of `type` (SOCK_STREAM or SOCK_SEQPACKET, with SOCK_NONBLOCK or not): the
  // descriptor to grant. `processes`: of the run, to see which sockets are still open. ENFILE.
  Result<UniqueFd> create(int type, std::span<const pid_t> processes);
  // Forgets sockets that no process has open: none of their names is taken any more.
  Status forget_closed(std::span<const pid_t> processes);
  // By inode number; nullptr: not made here, or forgotten.
  Socket* find(std::uint64_t inode);

  // A kernel name that nobody has. ENOMEM when there are too many.
  Result<std::string> reserve_name();
  // `shown`: the guest's address.
  Status bind(Socket& socket, const std::string& kernel_name, std::string shown);
  // Binds to a name of the abstract space (with its leading NUL). EADDRINUSE.
  Status bind_abstract(Socket& socket, const std::string& name);
  // A name of the abstract space that is free (bind(2) without an address).
  std::string free_abstract_name();
  // What all kernel names begin with; "" before there is one.
  const std::string& name_prefix() const { return prefix_; }
  // ECONNREFUSED where nobody has the name.
  Result<std::string> kernel_name_of(const std::string& abstract_name) const;
  // False: the listener's queue is full and the socket would wait. EAGAIN where it does not wait.
  // `shown`: the guest's address.
  Result<bool> connect(Socket& socket, const std::string& kernel_name, std::string shown);
  // The guest's address that a socket made by accept(2) inherited; nullopt: none.
  std::optional<std::string> inherited_name(std::uint64_t inode) const;

 private:
  Status make_room(std::span<const pid_t> processes);
  void forget_dead_names();
  Status bind_as(const Socket& socket, const std::string& kernel_name) const;

  std::unordered_map<std::uint64_t, Socket> sockets_;      // by inode
  std::unordered_map<std::string, std::string> shown_;     // kernel name -> guest's address
  std::unordered_map<std::string, std::string> abstract_;  // guest's abstract name -> kernel name
  std::string prefix_;                                     // of kernel names; random
  std::uint64_t next_name_ = 1;
  std::uint32_t next_automatic_ = 1;
};

}  // namespace vitrine::syscalls
