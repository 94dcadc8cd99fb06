#include "limits/socket_buffers.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <string>
#include <unordered_set>

namespace vitrine::limits {
namespace {

constexpr std::size_t kFewSockets = 32;
constexpr std::size_t kMostSockets = 8192;

// proc_pid_net(5), "unix": the seventh column is the inode.
bool read_living(std::unordered_set<std::uint64_t>& living) {
  std::ifstream list("/proc/self/net/unix");
  std::string line;
  if (!std::getline(list, line)) return false;
  while (std::getline(list, line)) {
    std::istringstream words(line);
    std::string skipped;
    std::uint64_t inode = 0;
    for (int i = 0; i < 6; ++i) words >> skipped;
    if (words >> inode) living.insert(inode);
  }
  return list.eof();
}

// The last message may reach beyond the limit by half of it (net/unix/af_unix.c,
// unix_stream_sendmsg).
Result<std::uint64_t> most_held(int fd) {
  int buffer = 0;
  socklen_t size = sizeof buffer;
  if (::getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, &size) != 0)
    return fail_errno("getsockopt(SO_SNDBUF)");
  const auto bytes = static_cast<std::uint64_t>(std::max(buffer, 0));
  return bytes + bytes / 2;
}

}  // namespace

// Where the list cannot be read, every socket counts as if it were open.
void SocketBuffers::forget_closed() {
  std::unordered_set<std::uint64_t> living;
  if (!read_living(living)) return;
  std::erase_if(sockets_, [&](const auto& each) {
    if (living.contains(each.first)) return false;
    promised_ -= each.second;
    return true;
  });
}

// What listens, or is bound only, counts twice then.
void SocketBuffers::recount_accepted(const std::string& prefix) {
  std::ifstream list("/proc/self/net/unix");
  std::string line;
  std::size_t found = 0;
  if (!std::getline(list, line)) return;
  while (std::getline(list, line)) found += line.find("@" + prefix) != std::string::npos ? 1 : 0;
  if (list.eof()) accepted_ = found;
}

void SocketBuffers::add_accepted(const std::string& prefix) {
  if (accepted_ >= std::max(look_at_accepted_, kFewSockets)) {
    recount_accepted(prefix);
    look_at_accepted_ = accepted_ + accepted_ / 2;
  }
  ++accepted_;
}

Status SocketBuffers::add(int fd) {
  if (sockets_.size() >= std::max(look_at_, kFewSockets)) {
    forget_closed();
    look_at_ = sockets_.size() + sockets_.size() / 2;
  }
  if (sockets_.size() >= kMostSockets) return fail(ENFILE, "socket");
  struct stat status {};
  if (::fstat(fd, &status) != 0) return fail_errno("fstat");
  const Result<std::uint64_t> may_hold = most_held(fd);
  if (!may_hold) return tl::make_unexpected(may_hold.error());
  largest_ = std::max(largest_, *may_hold);
  if (sockets_.emplace(status.st_ino, *may_hold).second) promised_ += *may_hold;
  return {};
}

}  // namespace vitrine::limits
