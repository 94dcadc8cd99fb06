// SocketBuffers: what the sockets of a run may hold. Their buffers are the kernel's memory, charged
// to no process; a socket stays alive in the queue of another one (SCM_RIGHTS, unix(7)) when no
// descriptor shows it any more. So each one granted is counted with all that it may hold, and
// forgotten only when the kernel's list of sockets lacks it.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "base/result.h"

namespace vitrine::limits {

class SocketBuffers {
 public:
  // Counts the unix socket `fd`, which is about to be granted. ENFILE: there are too many.
  Status add(int fd);
  // Counts the other end of a connection that was made to a listener whose abstract name begins
  // with `prefix`. That end waits in the listener's queue, and later is the program's without
  // having been granted; it has the listener's name.
  void add_accepted(const std::string& prefix);
  // Bytes that the sockets granted so far may hold together.
  std::uint64_t promised() const { return promised_ + accepted_ * largest_; }

 private:
  void forget_closed();
  void recount_accepted(const std::string& prefix);

  std::unordered_map<std::uint64_t, std::uint64_t> sockets_;  // bytes by inode
  std::uint64_t promised_ = 0;
  std::size_t look_at_ = 0;  // with this many it is time to see which were closed
  std::size_t accepted_ = 0;
  std::uint64_t largest_ = 0;  // what one socket may hold
  std::size_t look_at_accepted_ = 0;
};

}  // namespace vitrine::limits
