// Kernel calls that fail, or that another kernel answers, in the code under test: roads that
// nothing else leads to. That code runs in a child, as the filter that catches the calls is for
// good.
//
//   in_child([] {
//     answer_calls({SYS_getsockopt}, [](const Call&) { return -ENOBUFS; });
//     EXPECT_FALSE(buffers.add(fd));
//   });
//
//   each_in_turn({SYS_ptrace, SYS_waitid}, EPERM, [](const auto& arm) {
//     Tracee tracee;  // its calls are its own: what is forked behind arm() has them caught as well
//     arm();
//     EXPECT_FALSE(...);
//   });
#pragma once

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#if !defined(__x86_64__)
#error "the registers of a system call are known of x86_64 alone"
#endif

// One copy of the instruction that the filter lets pass, whatever a compiler makes of its callers.
extern "C" long vitrine_test_call(long number, const long* arguments);
extern "C" const char vitrine_test_call_behind[];
__asm__(R"(
  .pushsection .text.vitrine_test_call, "axG", @progbits, vitrine_test_call, comdat
  .weak vitrine_test_call
  .weak vitrine_test_call_behind
  .type vitrine_test_call, @function
vitrine_test_call:
  movq %rdi, %rax
  movq 0(%rsi), %rdi
  movq 16(%rsi), %rdx
  movq 24(%rsi), %r10
  movq 32(%rsi), %r8
  movq 40(%rsi), %r9
  movq 8(%rsi), %rsi
  syscall
vitrine_test_call_behind:
  ret
  .popsection
)");

namespace vitrine::test {

// A call as the code under test makes it.
struct Call {
  long number = 0;
  std::array<long, 6> arguments{};

  // What the kernel itself answers: a result, or -errno.
  long perform() const { return vitrine_test_call(number, arguments.data()); }
};

// A result, or -errno. Called in the handler of a signal, in the middle of the code under test.
using Answer = std::function<long(const Call&)>;

namespace failing_call {

inline Answer answer;

inline void on_call(int, siginfo_t*, void* context) {
  const int saved = errno;
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const Call call{registers[REG_RAX],
                  {registers[REG_RDI], registers[REG_RSI], registers[REG_RDX], registers[REG_R10],
                   registers[REG_R8], registers[REG_R9]}};
  registers[REG_RAX] = answer(call);
  errno = saved;
}

// Catches the calls of these numbers that Call::perform does not make.
inline bool catch_calls(const std::vector<long>& numbers) {
  const auto own = reinterpret_cast<std::uint64_t>(vitrine_test_call_behind);
  constexpr std::uint32_t kAddress = offsetof(seccomp_data, instruction_pointer);
  std::vector<sock_filter> code{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kAddress + 4),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(own >> 32), 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kAddress),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(own), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
  };
  for (const long number : numbers) {
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number), 0, 1));
    code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP));
  }
  code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  struct sigaction action {};
  action.sa_sigaction = on_call;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  return ::sigaction(SIGSYS, &action, nullptr) == 0 &&
         ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

}  // namespace failing_call

// From now on `answer` is asked in the kernel's place. Once a child.
inline void answer_calls(const std::vector<long>& numbers, Answer answer) {
  failing_call::answer = std::move(answer);
  ASSERT_TRUE(failing_call::catch_calls(numbers)) << "seccomp: errno " << errno;
}

// The kernel answers again.
inline void let_pass() {
  failing_call::answer = [](const Call& call) { return call.perform(); };
}

// Runs `body` in a child: its wait status, which is not 0 when the body expected something in vain.
inline int status_of(const std::function<void()>& body) {
  std::fflush(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (::getppid() != parent) ::_exit(1);
    body();
    std::fflush(nullptr);
    ::_exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = -1;
  while (child > 0 && ::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return status;
}

inline void in_child(const std::function<void()>& body) { EXPECT_EQ(status_of(body), 0); }

// Runs `body` in one child after the other: in the first the first of these calls behind its arm()
// fails, in the next the second; in the last one none does, for there are no more.
inline void each_in_turn(const std::vector<long>& numbers, int error,
                         const std::function<void(const std::function<void()>& arm)>& body) {
  struct Seen {
    int calls;
    long failed;
  };
  void* const page =
      ::mmap(nullptr, sizeof(Seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  Seen& seen = *static_cast<Seen*>(page);
  int which = 0;
  int status = 0;
  do {
    ++which;
    seen = {0, -1};
    const auto arm = [&] {
      answer_calls(numbers, [&seen, which, error](const Call& call) -> long {
        if (++seen.calls != which) return call.perform();
        seen.failed = call.number;
        return -error;
      });
    };
    status = status_of([&] { body(arm); });
    EXPECT_EQ(status, 0) << "with error " << error << " of call " << seen.failed << ", the "
                         << which << "th that was caught";
  } while (status == 0 && seen.failed >= 0);
  EXPECT_GT(which, 1) << "there was none to fail";
  ::munmap(page, sizeof(Seen));
}

}  // namespace vitrine::test
