#include "syscalls/socket_table.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <memory>
#include <unordered_set>

namespace vitrine::syscalls {
namespace {

constexpr std::size_t kMostSockets = 512;  // each may hold a descriptor of the supervisor
constexpr std::size_t kMostNames = 4096;

struct KernelAddress {
  sockaddr_un address{};
  socklen_t length = 0;
};

KernelAddress address_of(const std::string& kernel_name) {
  KernelAddress made;
  made.address.sun_family = AF_UNIX;
  // Abstract: behind a NUL.
  kernel_name.copy(made.address.sun_path + 1, sizeof made.address.sun_path - 1);
  made.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + kernel_name.size());
  return made;
}

const sockaddr* generic(const KernelAddress& address) {
  return reinterpret_cast<const sockaddr*>(&address.address);
}

using Folder = std::unique_ptr<DIR, decltype([](DIR* folder) { ::closedir(folder); })>;

// Adds the inodes of all sockets that `process` has open. False if it cannot be known.
bool add_open_sockets(pid_t process, std::unordered_set<std::uint64_t>& out) {
  const Folder folder(::opendir(("/proc/" + std::to_string(process) + "/fd").c_str()));
  if (folder == nullptr) return errno == ENOENT || errno == ESRCH;
  while (const dirent* entry = ::readdir(folder.get())) {
    struct stat status {};
    if (::fstatat(::dirfd(folder.get()), entry->d_name, &status, 0) != 0) continue;
    if (S_ISSOCK(status.st_mode)) out.insert(status.st_ino);
  }
  return true;
}

// The last column of /proc/net/unix, '@' for NUL (net/unix/af_unix.c, unix_seq_show).
std::optional<std::string> abstract_name_of(std::uint64_t inode) {
  std::ifstream table("/proc/net/unix");
  std::string line;
  while (std::getline(table, line)) {
    const std::size_t at = line.find_last_of('@');
    if (at == std::string::npos || at < 2) continue;
    const std::size_t number = line.find_last_of(' ', at - 2) + 1;
    std::uint64_t found = 0;
    std::from_chars(line.data() + number, line.data() + at, found);
    if (found == inode) return line.substr(at + 1);
  }
  return std::nullopt;
}

constexpr timeval kShortestWait{0, 1};  // rounded up to a tick of the kernel's

// Zero: a call on the socket waits for as long as it takes (socket(7), SO_SNDTIMEO).
Status limit_wait(int socket, const timeval& longest) {
  if (::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &longest, sizeof longest) == 0) return {};
  return fail_errno("SO_SNDTIMEO");
}

}  // namespace

// Whatever was granted has reached the guest's table before the next call is served.
Status SocketTable::forget_closed(std::span<const pid_t> processes) {
  std::unordered_set<std::uint64_t> open;
  for (const pid_t process : processes) {
    if (!add_open_sockets(process, open)) return fail(ENFILE, "socket");
  }
  std::erase_if(sockets_, [&](const auto& each) { return !open.contains(each.first); });
  return {};
}

Status SocketTable::make_room(std::span<const pid_t> processes) {
  if (sockets_.size() < kMostSockets) return {};
  if (Status forgotten = forget_closed(processes); !forgotten) return forgotten;
  // What still is open can do without its entry once nothing is held for it.
  if (sockets_.size() >= kMostSockets) {
    std::erase_if(sockets_, [](const auto& each) { return !each.second.held; });
  }
  if (sockets_.size() >= kMostSockets) return fail(ENFILE, "socket");
  return {};
}

Result<UniqueFd> SocketTable::create(int type, std::span<const pid_t> processes) {
  if (Status room = make_room(processes); !room) return tl::make_unexpected(room.error());
  Socket made;
  made.held.reset(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (!made.held) return fail_errno("socket");
  UniqueFd granted(::fcntl(made.held.get(), F_DUPFD_CLOEXEC, 3));
  if (!granted) return fail_errno("F_DUPFD");
  struct stat status {};
  if (::fstat(made.held.get(), &status) != 0) return fail_errno("fstat");
  sockets_[status.st_ino] = std::move(made);
  return granted;
}

SocketTable::Socket* SocketTable::find(std::uint64_t inode) {
  const auto found = sockets_.find(inode);
  return found == sockets_.end() ? nullptr : &found->second;
}

Result<std::string> SocketTable::reserve_name() {
  if (shown_.size() >= kMostNames) forget_dead_names();
  if (shown_.size() >= kMostNames) return fail(ENOMEM, "bind");
  if (prefix_.empty()) {
    std::uint8_t random[16];
    if (::getrandom(random, sizeof random, 0) != sizeof random) return fail_errno("getrandom");
    std::string text = "vitrine-";
    for (const unsigned byte : random) {
      text += "0123456789abcdef"[byte >> 4];
      text += "0123456789abcdef"[byte & 15];
    }
    prefix_ = text + "-";
  }
  return prefix_ + std::to_string(next_name_++);
}

Status SocketTable::bind_as(const Socket& socket, const std::string& kernel_name) const {
  const KernelAddress address = address_of(kernel_name);
  if (::bind(socket.held.get(), generic(address), address.length) != 0) return fail_errno("bind");
  return {};
}

Status SocketTable::bind(Socket& socket, const std::string& kernel_name, std::string shown) {
  if (Status bound = bind_as(socket, kernel_name); !bound) return bound;
  socket.name = shown;
  shown_[kernel_name] = std::move(shown);
  return {};
}

// The kernel itself says whether the socket that had the name is gone.
Status SocketTable::bind_abstract(Socket& socket, const std::string& name) {
  if (const auto known = abstract_.find(name); known != abstract_.end()) {
    if (Status bound = bind_as(socket, known->second); !bound) return bound;
    socket.name = name;
    return {};
  }
  Result<std::string> kernel_name = reserve_name();
  if (!kernel_name) return tl::make_unexpected(kernel_name.error());
  if (Status bound = bind(socket, *kernel_name, name); !bound) return bound;
  abstract_[name] = std::move(*kernel_name);
  return {};
}

std::string SocketTable::free_abstract_name() {
  for (;;) {
    char digits[8];
    std::snprintf(digits, sizeof digits, "%05x", next_automatic_++ & 0xfffff);
    std::string name = std::string(1, '\0') + digits;
    if (!abstract_.contains(name)) return name;
  }
}

Result<std::string> SocketTable::kernel_name_of(const std::string& abstract_name) const {
  const auto known = abstract_.find(abstract_name);
  if (known == abstract_.end()) return fail(ECONNREFUSED, "connect");
  return known->second;
}

// The socket is not connected yet, so nothing else waits on it: its flags can be the call's own for
// a moment. The supervisor must not wait.
Result<bool> SocketTable::connect(Socket& socket, const std::string& kernel_name,
                                  std::string shown) {
  const KernelAddress address = address_of(kernel_name);
  const int flags = ::fcntl(socket.held.get(), F_GETFL);
  if (flags < 0) return fail_errno("F_GETFL");
  const bool waits = (flags & O_NONBLOCK) == 0;
  if (waits && ::fcntl(socket.held.get(), F_SETFL, flags | O_NONBLOCK) != 0)
    return fail_errno("F_SETFL");
  // The flags are the description's: a sibling thread can take O_NONBLOCK away again. How long a
  // connect waits is the socket's, which no guest can change.
  if (Status limited = limit_wait(socket.held.get(), kShortestWait); !limited)
    return tl::make_unexpected(limited.error());
  const int done = ::connect(socket.held.get(), generic(address), address.length);
  const int error = errno;
  if (Status limited = limit_wait(socket.held.get(), {}); !limited)
    return tl::make_unexpected(limited.error());
  if (waits && ::fcntl(socket.held.get(), F_SETFL, flags) != 0) return fail_errno("F_SETFL");
  if (done != 0 && error == EAGAIN && waits) return false;
  if (done != 0) return fail(error, "connect");
  socket.held.reset();
  socket.peer = std::move(shown);
  socket.connected = true;
  return true;
}

std::optional<std::string> SocketTable::inherited_name(std::uint64_t inode) const {
  const std::optional<std::string> kernel_name = abstract_name_of(inode);
  if (!kernel_name) return std::nullopt;
  const auto known = shown_.find(*kernel_name);
  if (known == shown_.end()) return std::nullopt;
  return known->second;
}

// A name that can be bound is nobody's any more; closing the probe gives it back. Each type of
// socket has a name space of its own (net/unix/af_unix.c, unix_abstract_hash).
void SocketTable::forget_dead_names() {
  const auto is_free = [this](const std::string& name, int type) {
    Socket probe;
    probe.held.reset(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    return probe.held && bind_as(probe, name).has_value();
  };
  std::erase_if(shown_, [&](const auto& each) {
    return is_free(each.first, SOCK_STREAM) && is_free(each.first, SOCK_SEQPACKET);
  });
  std::erase_if(abstract_, [this](const auto& each) { return !shown_.contains(each.second); });
}

}  // namespace vitrine::syscalls
