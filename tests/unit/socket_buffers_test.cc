#include "limits/socket_buffers.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "failing_call.h"

namespace vitrine::limits {
namespace {

using test::answer_calls;
using test::Call;
using test::in_child;

constexpr std::size_t kMany = 200;  // far more than are counted without a look

// Sockets that are closed as soon as they are counted; what they may hold together, by what one
// may.
std::uint64_t promised_by_closed(std::size_t count) {
  SocketBuffers buffers;
  std::uint64_t one = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_TRUE(buffers.add(fd));
    if (one == 0) one = buffers.promised();
    ::close(fd);
  }
  return buffers.promised() / one;
}

// Ends of connections that nobody accepted, to a listener that is gone.
std::uint64_t promised_by_accepted(std::size_t count) {
  SocketBuffers buffers;
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_TRUE(buffers.add(fd));
  ::close(fd);
  const std::uint64_t one = buffers.promised();
  for (std::size_t i = 0; i < count; ++i) buffers.add_accepted("nobody's name/");
  return buffers.promised() / one - 1;
}

TEST(SocketBuffers, ForgetsWhatWasClosed) {
  EXPECT_LT(promised_by_closed(kMany), kMany / 2);
  EXPECT_LT(promised_by_accepted(kMany), kMany / 2);
}

// Inodes may be used again, then one counts for two.
void expect_nothing_forgotten() {
  EXPECT_GT(promised_by_closed(kMany), kMany / 2);
  EXPECT_EQ(promised_by_accepted(kMany), kMany);
}

bool is_list(const Call& call) {
  const auto* const path = reinterpret_cast<const char*>(call.arguments[1]);
  return call.number == SYS_openat && std::string_view(path) == "/proc/self/net/unix";
}

TEST(SocketBuffers, ForgetsNothingWithoutAList) {
  in_child([] {
    answer_calls({SYS_openat},
                 [](const Call& call) -> long { return is_list(call) ? -EACCES : call.perform(); });
    expect_nothing_forgotten();
  });
}

// Of a list that breaks off, what is missing is not known to be closed; and one that is empty,
// without even its heading, is none.
TEST(SocketBuffers, ForgetsNothingByHalfAList) {
  static constexpr std::string_view kHeading = "Num       RefCount Protocol\n";
  for (const bool empty : {false, true}) {
    in_child([empty] {
      bool begun = false;
      answer_calls({SYS_openat, SYS_read, SYS_readv}, [empty, &begun](const Call& call) -> long {
        if (is_list(call)) begun = false;
        if (call.number == SYS_openat) return call.perform();
        if (empty) return 0;
        if (begun || call.number == SYS_readv) return -EIO;
        begun = true;
        std::memcpy(reinterpret_cast<char*>(call.arguments[1]), kHeading.data(), kHeading.size());
        return static_cast<long>(kHeading.size());
      });
      expect_nothing_forgotten();
    });
  }
}

TEST(SocketBuffers, CountsNoSocketThatCannotBeLookedAt) {
  in_child([] {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    answer_calls({SYS_getsockopt}, [](const Call&) { return -ENOBUFS; });
    SocketBuffers buffers;
    EXPECT_FALSE(buffers.add(fd));
    EXPECT_FALSE(buffers.add(-1));
    EXPECT_EQ(buffers.promised(), 0U);
  });
}

}  // namespace
}  // namespace vitrine::limits
