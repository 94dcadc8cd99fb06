// DescriptorChannel: gives descriptors to the program where the kernel cannot install them
// (SECCOMP_IOCTL_NOTIF_ADDFD). Both ends are made before the launch; the program holds one, above
// its own RLIMIT_NOFILE, so that no number it can be given is taken. Calls that name the number end
// with EBADF (names_descriptor), as if nothing were there.
//
// A program that knows where to look still reaches its end: by recvmsg(2), poll(2), SCM_RIGHTS.
// That harms nobody but itself: all that ever travels is what it was granted, nothing can be sent
// to us, and what a socket tells of its peer's process (SO_PEERCRED, SO_PEERPIDFD) is supervised.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "base/unique_fd.h"

namespace vitrine::intercept {

class DescriptorChannel {
 public:
  // The program holds its end under the first free number from `lowest` on.
  static Result<DescriptorChannel> create(int lowest);

  int number() const { return guest_.get(); }
  // Queues `fd` with a label that its receiver finds in the message.
  Status send(int fd, std::uint64_t label) const;
  // Throws away what nobody received: the next message is to be the next one received.
  void drain() const;

 private:
  UniqueFd own_;
  UniqueFd guest_;
};

}  // namespace vitrine::intercept
