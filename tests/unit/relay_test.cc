// What is relayed between the caller and the command, where calls for it fail: bytes are in order,
// and none is there twice.
#include <fcntl.h>

#include <algorithm>
#include <string>

#include "base/unique_fd.h"
#include "failing_call.h"
#include "supervisor/stdio.h"

namespace vitrine::supervisor {
namespace {

struct Pipe {
  explicit Pipe(int flags = O_CLOEXEC | O_NONBLOCK) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, flags), 0);
    out.reset(ends[0]);
    in.reset(ends[1]);
  }
  UniqueFd out;
  UniqueFd in;
};

// By calls that are not caught.
std::string read_all(const UniqueFd& from) {
  std::string text(4096, '\0');
  const test::Call call{SYS_read, {from.get(), reinterpret_cast<long>(text.data()), 4096, 0, 0, 0}};
  text.resize(static_cast<std::size_t>(std::max(call.perform(), 0L)));
  return text;
}

void relay_while_failing(int error, bool whole) {
  const std::vector<long> calls{SYS_splice, SYS_read,  SYS_write,     SYS_sendto,
                                SYS_poll,   SYS_fcntl, SYS_newfstatat};
  for (const bool to_a_file : {false, true}) {  // that appends, to which nothing can be spliced
    test::each_in_turn(calls, error, [&](const auto& arm) {
      Pipe source;
      Pipe sink;
      std::string name = "/tmp/vitrine-relay-XXXXXX";
      const UniqueFd file(::mkostemp(name.data(), O_APPEND | O_CLOEXEC));
      ::unlink(name.c_str());
      const std::string text = "what the command wrote";
      ASSERT_EQ(::write(source.in.get(), text.data(), text.size()),
                static_cast<ssize_t>(text.size()));
      source.in.reset();
      arm();
      Relay relay(source.out.get(), to_a_file ? file.get() : sink.in.get());
      std::uint64_t moved = 0;
      for (int i = 0; i < 10 && !relay.done(); ++i) moved += relay.pump(1000);
      if (to_a_file) ::lseek(file.get(), 0, SEEK_SET);
      const std::string got = read_all(to_a_file ? file : sink.out);
      EXPECT_TRUE(relay.done());
      EXPECT_TRUE(got == text || (!whole && got.empty())) << got;
      EXPECT_TRUE(moved == text.size() || (!whole && moved == 0)) << moved;
    });
  }
}

TEST(Relay, WhatIsInterruptedIsWhole) {
  relay_while_failing(EINTR, true);
  relay_while_failing(EAGAIN, true);
}

TEST(Relay, WhatFailsEndsIt) { relay_while_failing(EIO, false); }

}  // namespace
}  // namespace vitrine::supervisor
