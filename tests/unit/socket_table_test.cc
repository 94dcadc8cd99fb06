#include "syscalls/socket_table.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

namespace vitrine::syscalls {
namespace {

std::uint64_t inode_of(int fd) {
  struct stat status {};
  EXPECT_EQ(::fstat(fd, &status), 0);
  return status.st_ino;
}

class SocketTableTest : public ::testing::Test {
 protected:
  // What the program gets, and the entry for it.
  std::pair<UniqueFd, SocketTable::Socket*> create(int type = SOCK_STREAM) {
    Result<UniqueFd> granted = table_.create(type, own_);
    EXPECT_TRUE(granted.has_value());
    SocketTable::Socket* socket = table_.find(inode_of(granted->get()));
    EXPECT_NE(socket, nullptr);
    return {std::move(*granted), socket};
  }
  std::string bind(SocketTable::Socket& socket, const std::string& shown) {
    Result<std::string> name = table_.reserve_name();
    EXPECT_TRUE(name.has_value());
    EXPECT_TRUE(table_.bind(socket, *name, shown).has_value());
    return *name;
  }

  SocketTable table_;
  const std::vector<pid_t> own_{::getpid()};
};

TEST_F(SocketTableTest, SocketIsFoundByItsInodeAlone) {
  const auto [granted, socket] = create();
  EXPECT_EQ(table_.find(inode_of(::dup(granted.get()))), socket);
  const UniqueFd foreign(::socket(AF_UNIX, SOCK_STREAM, 0));
  EXPECT_EQ(table_.find(inode_of(foreign.get())), nullptr);
  EXPECT_TRUE(socket->held);
  EXPECT_NE(::fcntl(granted.get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(SocketTableTest, NamesInTheKernelCannotBeGuessedAndDiffer) {
  const auto first = table_.reserve_name();
  const auto second = table_.reserve_name();
  ASSERT_TRUE(first && second);
  EXPECT_NE(*first, *second);
  EXPECT_TRUE(first->starts_with(table_.name_prefix()));
  EXPECT_GE(table_.name_prefix().size(), 32U);
  SocketTable other;
  ASSERT_TRUE(other.reserve_name());
  EXPECT_NE(other.name_prefix(), table_.name_prefix());
}

TEST_F(SocketTableTest, ConnectionIsMadeAndWhatIsHeldForItGoes) {
  auto [listening, server] = create();
  const std::string name = bind(*server, "/tmp/shown");
  auto [granted, client] = create();
  const auto early = table_.connect(*client, name, "/tmp/shown");
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().code, ECONNREFUSED);
  ASSERT_EQ(::listen(listening.get(), 5), 0);
  const auto made = table_.connect(*client, name, "/tmp/shown");
  ASSERT_TRUE(made && *made);
  EXPECT_FALSE(client->held);
  EXPECT_TRUE(client->connected);
  EXPECT_EQ(client->peer, "/tmp/shown");
  EXPECT_EQ(::fcntl(granted.get(), F_GETFL) & O_NONBLOCK, 0);
  const UniqueFd accepted(::accept(listening.get(), nullptr, nullptr));
  ASSERT_TRUE(accepted);
  EXPECT_EQ(::write(granted.get(), "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(::read(accepted.get(), &byte, 1), 1);
  EXPECT_EQ(table_.inherited_name(inode_of(accepted.get())), "/tmp/shown");
  EXPECT_EQ(table_.inherited_name(inode_of(granted.get())), std::nullopt);
}

TEST_F(SocketTableTest, FullQueueIsWaitedForOutsideTheKernel) {
  auto [listening, server] = create();
  const std::string name = bind(*server, "name");
  ASSERT_EQ(::listen(listening.get(), 0), 0);
  std::vector<UniqueFd> kept;
  for (int i = 0; i < 10; ++i) {
    auto [granted, client] = create();
    const auto made = table_.connect(*client, name, "name");
    ASSERT_TRUE(made.has_value());
    kept.push_back(std::move(granted));
    if (*made) continue;
    EXPECT_GT(i, 0);
    auto [impatient, another] = create(SOCK_STREAM | SOCK_NONBLOCK);
    const auto refused = table_.connect(*another, name, "name");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, EAGAIN);
    EXPECT_NE(::fcntl(impatient.get(), F_GETFL) & O_NONBLOCK, 0);
    const UniqueFd accepted(::accept(listening.get(), nullptr, nullptr));
    EXPECT_TRUE(*table_.connect(*client, name, "name"));
    return;
  }
  FAIL() << "the queue has no end";
}

TEST_F(SocketTableTest, AbstractNameIsTakenWhileItsSocketLives) {
  const std::string name("\0mine", 5);
  EXPECT_EQ(table_.kernel_name_of(name).error().code, ECONNREFUSED);
  auto [granted, socket] = create();
  ASSERT_TRUE(table_.bind_abstract(*socket, name));
  EXPECT_EQ(socket->name, name);
  EXPECT_TRUE(table_.kernel_name_of(name).has_value());
  auto [other_fd, other] = create();
  EXPECT_EQ(table_.bind_abstract(*other, name).error().code, EADDRINUSE);
  // Each type of socket has a space of names of its own.
  auto [packets_fd, packets] = create(SOCK_SEQPACKET);
  EXPECT_TRUE(table_.bind_abstract(*packets, name));
  socket->held.reset();
  granted.reset();
  EXPECT_TRUE(table_.bind_abstract(*other, name));
  EXPECT_NE(table_.free_abstract_name(), table_.free_abstract_name());
}

TEST_F(SocketTableTest, SocketThatNobodyHasOpenIsForgotten) {
  auto [granted, socket] = create();
  auto [kept, other] = create();
  const std::uint64_t inode = inode_of(granted.get());
  socket->held.reset();  // the test's descriptors are the supervisor's as well
  granted.reset();
  ASSERT_TRUE(table_.forget_closed(own_));
  EXPECT_EQ(table_.find(inode), nullptr);
  EXPECT_EQ(table_.find(inode_of(kept.get())), other);
}

TEST_F(SocketTableTest, AbstractNamesOfTheDeadMakeRoom) {
  const std::string alive("\0alive", 6);
  auto [kept_fd, kept] = create();
  ASSERT_TRUE(table_.bind_abstract(*kept, alive));
  const auto name_of = [](int number) { return std::string(1, '\0') + std::to_string(number); };
  for (int i = 0; i < 4500; ++i) {
    auto [granted, socket] = create();
    ASSERT_TRUE(table_.bind_abstract(*socket, name_of(i))) << i;
    socket->held.reset();
    granted.reset();
    if (i % 100 == 0) {
      ASSERT_TRUE(table_.forget_closed(own_));
    }
  }
  EXPECT_TRUE(table_.kernel_name_of(alive).has_value());
  EXPECT_TRUE(table_.kernel_name_of(name_of(4499)).has_value());
  EXPECT_EQ(table_.kernel_name_of(name_of(0)).error().code, ECONNREFUSED) << "no longer known";
}

TEST_F(SocketTableTest, NamesOfTheDeadMakeRoom) {
  auto [kept_fd, kept] = create();
  const std::string alive = bind(*kept, "alive");
  ASSERT_EQ(::listen(kept_fd.get(), 1), 0);
  for (int i = 0; i < 5000; ++i) {
    auto [granted, socket] = create();
    bind(*socket, "dead");
    socket->held.reset();
    granted.reset();
    ASSERT_TRUE(table_.forget_closed(own_));
  }
  auto [granted, client] = create();
  EXPECT_TRUE(table_.connect(*client, alive, "alive").has_value());
  EXPECT_EQ(table_.inherited_name(inode_of(kept_fd.get())), "alive");
}

TEST_F(SocketTableTest, NumberIsBounded) {
  std::vector<UniqueFd> all;
  int error = 0;
  while (error == 0 && all.size() < 600) {
    Result<UniqueFd> granted = table_.create(SOCK_STREAM, own_);
    if (granted)
      all.push_back(std::move(*granted));
    else
      error = granted.error().code;
  }
  EXPECT_EQ(error, ENFILE);
  EXPECT_EQ(all.size(), 512U);
}

}  // namespace
}  // namespace vitrine::syscalls
