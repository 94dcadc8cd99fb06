#include "intercept/descriptor_channel.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace vitrine::intercept {

Result<DescriptorChannel> DescriptorChannel::create(int lowest) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return fail_errno("socketpair");
  }
  DescriptorChannel channel;
  channel.own_.reset(ends[0]);
  const UniqueFd guest(ends[1]);
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
