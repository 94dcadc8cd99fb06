#include "intercept/probes.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "failing_call.h"
#include "intercept/probe_primitives.h"

namespace vitrine::intercept {
namespace {

using test::answer_calls;
using test::Call;
using test::in_child;
using test::let_pass;

// What this host gives, in which everything but `failing` works.
std::vector<Probe> with_failing(std::initializer_list<std::string_view> failing) {
  std::vector<Probe> probes = run_probes();
  for (Probe& probe : probes) {
    const bool fails = std::ranges::find(failing, probe.name) != failing.end();
    probe.answer = fails ? Probe::Answer::kRefused : Probe::Answer::kWorks;
    probe.error = fails ? EPERM : 0;
  }
  return probes;
}

std::string verdicts(const std::vector<Probe>& probes) {
  std::string text;
  for (const BackendVerdict& verdict : judge_backends(probes)) {
    text += std::string(verdict.name) + (verdict.works ? "+" : "-");
    for (const Probe* probe : verdict.missing) text += " " + std::string(probe->name);
    text += "; ";
  }
  return text;
}

// What was not asked is not there.
TEST(Probes, NoneAskedGivesNoBackend) {
  EXPECT_EQ(verdicts({}), "notify-; trace-; syscall-; ");
  EXPECT_TRUE(lacks_of("notify", {}).empty());
}

TEST(Probes, AllWorkingGivesEveryBackend) {
  EXPECT_EQ(verdicts(with_failing({})), "notify+; trace+; syscall+; ");
}

TEST(Probes, EachBackendNeedsItsOwn) {
  EXPECT_EQ(verdicts(with_failing({"seccomp-listener"})),
            "notify- seccomp-listener; trace+; syscall+; ");
  EXPECT_EQ(verdicts(with_failing({"ptrace-syscall-info"})),
            "notify+; trace+; syscall- ptrace-syscall-info; ");
  EXPECT_EQ(verdicts(with_failing({"seccomp-filter"})),
            "notify- seccomp-filter; trace- seccomp-filter; syscall+; ");
  EXPECT_EQ(verdicts(with_failing({"memfd"})), "notify- memfd; trace- memfd; syscall- memfd; ");
}

TEST(Probes, AlternativesDo) {
  EXPECT_EQ(verdicts(with_failing({"process-vm"})), "notify+; trace+; syscall+; ");
  EXPECT_EQ(verdicts(with_failing({"process-vm", "proc-mem"})),
            "notify- process-vm; trace+; syscall+; ");
}

TEST(Probes, WhatFollowsFromAnotherIsNotNamed) {
  EXPECT_EQ(verdicts(with_failing({"ptrace-seize", "ptrace-exitkill", "ptrace-registers",
                                   "ptrace-syscall", "ptrace-syscall-info", "seccomp-trace"})),
            "notify- ptrace-seize; trace- ptrace-seize; syscall- ptrace-seize; ");
}

TEST(Probes, LacksAreOfTheBackendThatIsAskedFor) {
  const std::vector<Probe> probes = with_failing({"seccomp-sync-wake-up", "landlock"});
  EXPECT_EQ(lacks_of("notify", probes).size(), 2U);
  ASSERT_EQ(lacks_of("trace", probes).size(), 1U);
  EXPECT_EQ(lacks_of("trace", probes)[0].probe->name, "landlock");
}

std::string answers_of(const std::vector<Probe>& probes) {
  std::string text;
  for (const Probe& probe : probes) {
    text += std::string(name_of(probe.answer)) + " " + std::to_string(probe.error) + "; ";
  }
  return text;
}

// Neither a pipe nor a child is to be had, or no answer comes: nothing is known to work.
TEST(Probes, WhatCannotBeTriedDoesNotWork) {
  const std::vector<std::pair<std::vector<long>, long>> failures{
      {{SYS_pipe2}, -EMFILE},
      {{SYS_clone, SYS_clone3, SYS_fork, SYS_vfork}, -EAGAIN},
      {{SYS_poll, SYS_ppoll}, 0},
  };
  for (const auto& failure : failures) {
    in_child([&failure] {
      const long result = failure.second;
      answer_calls(failure.first, [result](const Call&) { return result; });
      const std::vector<Probe> probes = run_probes();
      let_pass();
      std::string expected;
      for (std::size_t i = 0; i < probes.size(); ++i) {
        expected += "refused " + std::to_string(result == 0 ? ETIMEDOUT : -result) + "; ";
      }
      EXPECT_EQ(answers_of(probes), expected);
    });
  }
}

using Primitive = int (*)(long&);

// No primitive of those that need a child, or a call, works without.
void expect_error(Primitive primitive, const std::vector<long>& calls, int error,
                  long first_argument = -1) {
  in_child([&] {
    answer_calls(calls, [error, first_argument](const Call& call) -> long {
      const bool meant = first_argument < 0 || call.arguments[0] == first_argument;
      return meant ? -error : call.perform();
    });
    long detail = 0;
    const int found = primitive(detail);
    let_pass();
    EXPECT_EQ(found, error);
  });
}

TEST(Probes, APrimitiveWithoutAChildDoesNotWork) {
  namespace p = primitives;
  for (const Primitive primitive :
       {p::traceme, p::seize, p::exit_kill, p::registers, p::syscall_stops, p::syscall_info,
        p::process_vm, p::proc_mem, p::peek_data, p::proc_folders, p::set_limits, p::set_affinity,
        p::filter_trace}) {
    expect_error(primitive, {SYS_clone, SYS_clone3, SYS_fork, SYS_vfork}, EAGAIN);
  }
}

TEST(Probes, APrimitiveWhoseCallFailsDoesNotWork) {
  namespace p = primitives;
  const auto ptrace = [](Primitive primitive, long request) {
    expect_error(primitive, {SYS_ptrace}, EPERM, request);
  };
  for (const Primitive primitive : {p::seize, p::filter_trace, p::registers, p::peek_data}) {
    ptrace(primitive, PTRACE_SEIZE);
  }
  ptrace(p::traceme, PTRACE_TRACEME);
  ptrace(p::exit_kill, PTRACE_SEIZE);
  ptrace(p::registers, PTRACE_INTERRUPT);
  ptrace(p::registers, PTRACE_GETREGSET);
  ptrace(p::registers, PTRACE_SETREGSET);
  ptrace(p::syscall_stops, PTRACE_SYSCALL);
  ptrace(p::syscall_info, PTRACE_GET_SYSCALL_INFO);
  ptrace(p::peek_data, PTRACE_PEEKDATA);
  ptrace(p::peek_data, PTRACE_POKEDATA);
  const auto fails = [](Primitive primitive, long call) { expect_error(primitive, {call}, EPERM); };
  fails(p::traceme, SYS_wait4);
  fails(p::exit_kill, SYS_wait4);
  fails(p::syscall_stops, SYS_wait4);
  fails(p::process_vm, SYS_process_vm_readv);
  fails(p::process_vm, SYS_process_vm_writev);
  fails(p::proc_mem, SYS_openat);
  fails(p::proc_mem, SYS_pread64);
  fails(p::proc_mem, SYS_pwrite64);
  fails(p::proc_folders, SYS_newfstatat);
  fails(p::proc_folders, SYS_openat);
  fails(p::set_limits, SYS_prlimit64);
  fails(p::set_affinity, SYS_sched_getaffinity);
  fails(p::set_affinity, SYS_sched_setaffinity);
  fails(p::lower_limits, SYS_prlimit64);
  fails(p::descriptor_limit, SYS_prlimit64);
  fails(p::yama, SYS_openat);
  fails(p::filter, SYS_seccomp);
  fails(p::listener, SYS_seccomp);
  fails(p::add_descriptor, SYS_ioctl);
  expect_error(p::filter_trace, {SYS_pipe, SYS_pipe2}, EMFILE);
  expect_error(p::exit_kill, {SYS_pipe, SYS_pipe2}, EMFILE);
  fails(p::add_descriptor_and_answer, SYS_ioctl);
  fails(p::synchronous_wake_up, SYS_ioctl);
  fails(p::killable_wait, SYS_seccomp);
  fails(p::memory_file, SYS_memfd_create);
  fails(p::execute_descriptor, SYS_execveat);
  fails(p::landlock, SYS_landlock_create_ruleset);
  fails(p::pidfd_open, SYS_pidfd_open);
  fails(p::pidfd_send_signal, SYS_pidfd_open);
  fails(p::pidfd_get_descriptor, SYS_pidfd_getfd);
}

// Nobody came in time.
TEST(Probes, APrimitiveThatWaitsInVainDoesNotWork) {
  for (const Primitive primitive : {primitives::exit_kill, primitives::add_descriptor}) {
    in_child([primitive] {
      answer_calls({SYS_poll, SYS_ppoll}, [](const Call&) { return 0L; });
      long detail = 0;
      EXPECT_EQ(primitive(detail), ETIMEDOUT);
    });
  }
}

TEST(Probes, YamaTellsItsScope) {
  in_child([] {
    answer_calls({SYS_openat}, [](const Call&) -> long {
      const int file = ::memfd_create("scope", MFD_CLOEXEC);
      return ::pwrite(file, "2\n", 2, 0) == 2 ? file : -EIO;
    });
    long detail = -1;
    EXPECT_EQ(primitives::yama(detail), 0);
    EXPECT_EQ(detail, 2);
  });
}

}  // namespace
}  // namespace vitrine::intercept
