#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "vfs/memory_file.h"
#include "vfs/shared_memory.h"

namespace vitrine::vfs {
namespace {

TEST(MemoryFile, NobodyElseHasItGivesSoleDescription) {
  const auto file = create_memory_file();
  ASSERT_TRUE(file) << file.error().message();
  EXPECT_TRUE(is_sole_description(file->get()));
}

TEST(MemoryFile, AnotherDescriptionGivesNotSole) {
  const auto file = create_memory_file();
  for (const int flags : {O_RDONLY, O_WRONLY, O_RDWR}) {
    auto other = reopen(file->get(), flags);
    ASSERT_TRUE(other);
    EXPECT_FALSE(is_sole_description(file->get()));
    other->reset();
    EXPECT_TRUE(is_sole_description(file->get()));
  }
}

TEST(MemoryFile, MappingAloneGivesNotSole) {
  const auto file = create_memory_file();
  ASSERT_EQ(::ftruncate(file->get(), 4096), 0);
  auto other = reopen(file->get(), O_RDWR);
  void* mapped = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, other->get(), 0);
  ASSERT_NE(mapped, MAP_FAILED);
  other->reset();
  EXPECT_FALSE(is_sole_description(file->get()));
  ::munmap(mapped, 4096);
  EXPECT_TRUE(is_sole_description(file->get()));
}

TEST(MemoryFile, DescriptorInFlightGivesNotSole) {
  const auto file = create_memory_file();
  auto other = reopen(file->get(), O_RDONLY);
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  char byte = 1;
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int number = other->get();
  std::memcpy(CMSG_DATA(header), &number, sizeof number);
  ASSERT_EQ(::sendmsg(pair[0], &message, 0), 1);
  other->reset();
  EXPECT_FALSE(is_sole_description(file->get()));
  ::close(pair[0]);
  ::close(pair[1]);
  EXPECT_TRUE(is_sole_description(file->get()));
}

TEST(MemoryFile, SealAddedGivesEperm) {
  const auto file = create_memory_file();
  EXPECT_EQ(::fcntl(file->get(), F_ADD_SEALS, F_SEAL_WRITE), -1);
  EXPECT_EQ(errno, EPERM);
}

TEST(MemoryFile, SealedFileRefusesEveryChange) {
  const auto file = create_sealed_file("content");
  ASSERT_TRUE(file);
  EXPECT_EQ(::write(file->get(), "x", 1), -1);
  const auto writable = reopen(file->get(), O_RDWR);
  if (writable) {
    EXPECT_EQ(::write(writable->get(), "x", 1), -1);
    EXPECT_EQ(::ftruncate(writable->get(), 0), -1);
  }
  char text[16] = {};
  EXPECT_EQ(::pread(file->get(), text, sizeof text, 0), 7);
  EXPECT_STREQ(text, "content");
}

TEST(MemoryFile, ReopenedShowsTheFlagsAskedFor) {
  const auto file = create_memory_file();
  const auto plain = reopen(file->get(), O_RDWR);
  EXPECT_EQ(::fcntl(plain->get(), F_GETFL) & (O_ACCMODE | O_NONBLOCK | O_APPEND), O_RDWR);
  const auto append = reopen(file->get(), O_WRONLY | O_APPEND);
  EXPECT_EQ(::fcntl(append->get(), F_GETFL) & (O_ACCMODE | O_NONBLOCK | O_APPEND),
            O_WRONLY | O_APPEND);
  const auto nonblock = reopen(file->get(), O_RDONLY | O_NONBLOCK);
  EXPECT_EQ(::fcntl(nonblock->get(), F_GETFL) & O_NONBLOCK, O_NONBLOCK);
}

TEST(SharedMemoryFiles, AreBoundedInNumberWhileSomebodyHasThem) {
  SharedMemory memory(2);
  auto first = memory.create(4096);
  const auto second = memory.create(8192);
  ASSERT_TRUE(first && second);
  const auto refused = memory.create(4096);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ENOMEM);
  EXPECT_EQ(memory.measure().promised, 12288U);
  void* const mapped = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, first->get(), 0);
  *static_cast<char*>(mapped) = 1;
  first->reset();
  EXPECT_FALSE(memory.create(4096)) << "the mapping holds it";
  EXPECT_EQ(memory.measure().used, 4096U);
  ::munmap(mapped, 4096);
  EXPECT_TRUE(memory.create(4096));
}

}  // namespace
}  // namespace vitrine::vfs
