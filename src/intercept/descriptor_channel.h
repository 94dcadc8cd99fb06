// DescriptorChannel: gives descriptors to the program where the kernel cannot install them
// (SECCOMP_IOCTL_NOTIF_ADDFD). Both ends are made before the launch; the program holds one, above
// its own RLIMIT_NOFILE, so that no number it can be given is taken.
//
// Whatever a hostile program does with its end harms itself: all that ever travels is what it was
// granted, and nothing is read from ours.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "base/unique_fd.h"

namespace vitrine::intercept {

class DescriptorChannel {
 public:
  // `number`: under which the program holds its end.
  static Result<DescriptorChannel> create(int number);

  int number() const { return number_; }
  int guest_end() const { return guest_.get(); }
  // Queues `fd` with a label that its receiver finds in the message.
  Status send(int fd, std::uint64_t label) const;
  // Throws away what nobody received: the next message is to be the next one received.
  void drain() const;

 private:
  UniqueFd own_;
  UniqueFd guest_;
  int number_ = -1;
};

}  // namespace vitrine::intercept
