#include "intercept/descriptor_channel.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace vitrine::intercept {

namespace {

struct Pair {
  int ends[2] = {-1, -1};
  int error = 0;
};

int make_pair(void* out) {
  Pair& pair = *static_cast<Pair*>(out);
  const int done = ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.ends);
  pair.error = done == 0 ? 0 : errno;
  return 0;
}

// A socket tells its peer who made it. That is not the supervisor but a process that shares our
// descriptors and memory for this one call, while we wait (CLONE_VFORK).
Result<Pair> pair_of_nobody() {
  constexpr int kFlags = CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD;
  alignas(16) static thread_local std::array<char, 16 * 1024> stack;
  Pair pair;
  const int pid = ::clone(make_pair, stack.data() + stack.size(), kFlags, &pair);
  if (pid < 0) return fail_errno("clone");
  while (::waitpid(pid, nullptr, __WALL) < 0 && errno == EINTR) continue;
  if (pair.error != 0) return fail(pair.error, "socketpair");
  return pair;
}

}  // namespace

Result<DescriptorChannel> DescriptorChannel::create(int lowest) {
  const Result<Pair> pair = pair_of_nobody();
  if (!pair) return tl::make_unexpected(pair.error());
  DescriptorChannel channel;
  channel.own_.reset(pair->ends[0]);
  const UniqueFd guest(pair->ends[1]);
  // What the program sends is refused, not queued.
  if (::shutdown(channel.own_.get(), SHUT_RD) != 0) return fail_errno("shutdown");
  // At its final number already, or above it: the descriptor table grows here. In a table that is
  // shared with the child it would cost a wait of 10 ms and more (fs/file.c, expand_fdtable:
  // synchronize_rcu).
  channel.guest_.reset(::fcntl(guest.get(), F_DUPFD_CLOEXEC, lowest));
  if (!channel.guest_) return fail_errno("fcntl(F_DUPFD_CLOEXEC)");
  return channel;
}

Status DescriptorChannel::send(int fd, std::uint64_t label) const {
  iovec data{&label, sizeof label};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)]{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  if (::sendmsg(own_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
    return fail_errno("sendmsg");
  return {};
}

void DescriptorChannel::drain() const {
  std::uint64_t label = 0;
  while (::recv(guest_.get(), &label, sizeof label, MSG_DONTWAIT) > 0) {
  }
}

}  // namespace vitrine::intercept
