// Reading of a task's memory, over the memory of this process itself.
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tracee/proc_status.h"
#include "tracee/remote_memory.h"
#include "tracee/usage.h"

namespace vitrine::tracee {
namespace {

constexpr std::size_t kPage = 4096;

// Two pages of which the second cannot be read.
class Pages {
 public:
  Pages() {
    base_ = static_cast<char*>(
        mmap(nullptr, 3 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(base_ + 2 * kPage, kPage, PROT_NONE);
  }
  ~Pages() { munmap(base_, 3 * kPage); }
  // The last `size` bytes before the unreadable page.
  char* before_the_end(std::size_t size) { return base_ + 2 * kPage - size; }

 private:
  char* base_;
};

RemoteAddress address(const void* pointer) { return reinterpret_cast<RemoteAddress>(pointer); }

TEST(RemoteMemory, PathOfEveryLengthIsReadWhole) {
  const RemoteMemory memory(getpid());
  Pages pages;
  for (const std::size_t length : {0U, 1U, 255U, 256U, 257U, 1000U, 4094U, 4095U}) {
    char* text = pages.before_the_end(length + 1);
    std::memset(text, 'a', length);
    text[length] = 0;
    const StringArgument read = memory.read_path(address(text));
    EXPECT_EQ(read.error, 0) << length;
    EXPECT_EQ(read.bytes.size(), length);
  }
}

TEST(RemoteMemory, TooLongAPathGivesENAMETOOLONG) {
  const std::string text(5000, 'a');
  EXPECT_EQ(RemoteMemory(getpid()).read_path(address(text.data())).error, ENAMETOOLONG);
  const std::string longest(4096, 'a');  // no NUL within PATH_MAX
  EXPECT_EQ(RemoteMemory(getpid()).read_path(address(longest.data())).error, ENAMETOOLONG);
}

TEST(RemoteMemory, UnterminatedBeforeAnUnreadablePageGivesEFAULT) {
  Pages pages;
  char* text = pages.before_the_end(10);
  std::memset(text, 'a', 10);
  EXPECT_EQ(RemoteMemory(getpid()).read_path(address(text)).error, EFAULT);
}

TEST(RemoteMemory, WildAddressesGiveEFAULT) {
  const RemoteMemory memory(getpid());
  for (const RemoteAddress wild :
       {RemoteAddress{0}, RemoteAddress{1}, RemoteAddress{0x8000000000000000},
        RemoteAddress{0xffffffff80000000}, RemoteAddress{0xffffffffff600000},
        RemoteAddress{0x0000800000000000}, ~RemoteAddress{0}}) {
    EXPECT_EQ(memory.read_path(wild).error, EFAULT) << wild;
  }
}

TEST(RemoteMemory, WriteToReadOnlyMemoryGivesEFAULT) {
  void* page = mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const auto written = RemoteMemory(getpid()).write_value(address(page), 1);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, EFAULT);
  munmap(page, kPage);
}

TEST(RemoteMemory, ADeadTaskIsAnErrorOfItsOwn) {
  const auto read = RemoteMemory(0x3ffffff).read_value<int>(4096);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind, Error::Kind::kTaskGone);
}

TEST(Decode, PathsAreReadAndForeignAbisAreNot) {
  const char* path = "/etc/shadow";
  SyscallEvent event{getpid(), arch::kNativeAuditArch, SYS_openat, {0, address(path)}, 0};
  DecodedCall call = decode(event, RemoteMemory(event.tid));
  ASSERT_NE(call.row, nullptr);
  EXPECT_EQ(call.strings[1]->bytes, path);
  EXPECT_FALSE(call.foreign_abi);

  event.audit_arch = AUDIT_ARCH_I386;
  call = decode(event, RemoteMemory(event.tid));
  EXPECT_TRUE(call.foreign_abi);
  EXPECT_FALSE(call.strings[1].has_value());

  event.audit_arch = arch::kNativeAuditArch;
  event.number = SYS_openat | arch::kX32Bit;
  EXPECT_TRUE(decode(event, RemoteMemory(event.tid)).foreign_abi);
}

TEST(ProcStatus, ReadsItself) {
  const auto status = read_proc_status(getpid());
  ASSERT_TRUE(status);
  EXPECT_EQ(status->tgid, getpid());
  EXPECT_EQ(status->ppid, getppid());
  EXPECT_EQ(status->uid, getuid());
  EXPECT_GT(status->rss_anonymous, 0U);
}

// Where nothing can be read of a task, it counts neither as ended nor as stopped.
TEST(TaskState, OfATaskThatCannotBeLookedAtNothingIsBelieved) {
  const pid_t self = ::gettid();
  ASSERT_FALSE(has_ended(self));
  ASSERT_TRUE(may_run(self, true));
  ASSERT_TRUE(thread_cpu_time(self));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const bool ended = has_ended(self);
  const bool runs = may_run(self, true);
  const bool told = thread_cpu_time(self).has_value();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_FALSE(ended);
  EXPECT_TRUE(runs);
  EXPECT_FALSE(told);
}

TEST(TaskState, OfATaskThatIsGoneIsItsEnd) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(has_ended(child));
  EXPECT_FALSE(may_run(child, true));
  EXPECT_FALSE(thread_cpu_time(child));
}

}  // namespace
}  // namespace vitrine::tracee
