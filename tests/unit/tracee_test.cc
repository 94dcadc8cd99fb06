// Reading of a task's memory, over the memory of this process itself.
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "failing_call.h"
#include "tracee/proc_status.h"
#include "tracee/ptrace.h"
#include "tracee/remote_memory.h"
#include "tracee/usage.h"

namespace vitrine::tracee {
namespace {

using test::answer_calls;
using test::Call;
using test::in_child;
using test::let_pass;

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

// Reads of a file of /proc are answered with `text`.
void answer_reads(const char* text) {
  answer_calls({SYS_read}, [text](const Call& call) -> long {
    const std::size_t size = std::strlen(text);
    std::memcpy(reinterpret_cast<void*>(call.arguments[1]), text, size);
    return static_cast<long>(size);
  });
}

// Asleep for the disk it is woken by no signal, and will run.
TEST(TaskState, OfATaskThatNothingWakesTheCallerDecides) {
  in_child([] {
    answer_reads("1 (name) D 1 1 1 1 1 0 1 1 1 1 1 1");
    EXPECT_TRUE(may_run(1, true));
    EXPECT_FALSE(may_run(1, false));
    EXPECT_FALSE(has_ended(1));
  });
}

TEST(TaskState, OfATaskThatIsToldOfInOtherWordsNothingIsBelieved) {
  for (const char* const text : {"1 (name", "1 (name) Z", "1 (name) X 1 1 1 1 1 0 1 1 1 1 1"}) {
    in_child([text] {
      answer_reads(text);
      EXPECT_FALSE(has_ended(1));
      EXPECT_TRUE(may_run(1, true));
      EXPECT_FALSE(may_end_now(1));
      EXPECT_FALSE(thread_cpu_time(1));
    });
  }
}

constexpr pid_t kNobody = 0x3ffffff;

TEST(ProcStatus, OfATaskThatIsGoneTellsNothing) {
  EXPECT_TRUE(command_line(kNobody).empty());
  EXPECT_EQ(task_name(kNobody), "");
  EXPECT_FALSE(is_interrupted(kNobody));
  const auto status = read_proc_status(kNobody);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind, Error::Kind::kTaskGone);
}

TEST(ProcStatus, IsReadToItsEndWithoutALineFeed) {
  in_child([] {
    answer_reads("Tgid:\t5\nnothing\nPPid:\t7");
    const auto status = read_proc_status(1);
    ASSERT_TRUE(status);
    EXPECT_EQ(status->tgid, 5);
    EXPECT_EQ(status->ppid, 7);
  });
}

// --- ptrace(2)

// A child that waits for its end, seized and stopped.
class StoppedTracee {
 public:
  StoppedTracee() : pid_(::fork()) {
    if (pid_ == 0) {
      for (;;) ::pause();
    }
    EXPECT_TRUE(seize(pid_));
    EXPECT_TRUE(interrupt(pid_));
  }
  ~StoppedTracee() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, __WALL);
  }
  StoppedTracee(const StoppedTracee&) = delete;
  StoppedTracee& operator=(const StoppedTracee&) = delete;
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

TEST(Ptrace, OfATaskThatIsGoneSaysSo) {
  EXPECT_EQ(interrupt(kNobody).error().kind, Error::Kind::kTaskGone);
  EXPECT_EQ(signal_info(kNobody).error().kind, Error::Kind::kTaskGone);
  EXPECT_EQ(syscall_info(kNobody).error().kind, Error::Kind::kTaskGone);
  EXPECT_EQ(resume(kNobody, 0).error().kind, Error::Kind::kTaskGone);
}

TEST(Ptrace, AnotherErrorIsNoEnd) {
  in_child([] {
    const StoppedTracee tracee;
    answer_calls({SYS_ptrace}, [](const Call&) { return -EPERM; });
    EXPECT_EQ(interrupt(tracee.pid()).error().kind, Error::Kind::kSystem);
    EXPECT_EQ(signal_info(tracee.pid()).error().kind, Error::Kind::kSystem);
    EXPECT_EQ(resume(tracee.pid(), 0).error().kind, Error::Kind::kSystem);
    let_pass();
    EXPECT_FALSE(may_run(tracee.pid(), true));
  });
}

// Without process_vm_writev(2). gVisor's /proc/PID/mem can only be read: EINVAL; a word at a time
// is written then, and with another error nothing is.
TEST(RemoteMemory, IsWrittenWordByWordOnlyWhereItsFileCannotBe) {
  static std::array<char, 24> text{"0123456789abcdefghijklm"};
  for (const int error : {EINVAL, EIO, EFAULT}) {
    in_child([error] {
      const StoppedTracee tracee;
      answer_calls({SYS_process_vm_writev, SYS_pwrite64}, [error](const Call& call) -> long {
        return call.number == SYS_pwrite64 ? -error : -ENOSYS;
      });
      const RemoteMemory memory(tracee.pid());
      const bool written = memory.write_value(address(&text[3]), 'X').has_value();
      EXPECT_EQ(written, error == EINVAL);
      const auto found = memory.read_value<std::array<char, 24>>(address(text.data()));
      ASSERT_TRUE(found);
      EXPECT_STREQ(found->data(), written ? "012X456789abcdefghijklm" : "0123456789abcdefghijklm");
    });
  }
}

}  // namespace
}  // namespace vitrine::tracee
