// The primitives that probes.cc tries. Each function is called in a child of its own and may leave
// it in any state. They return 0 or an errno, and may set `detail`.
#pragma once

#include <sys/types.h>
#include <unistd.h>

namespace vitrine::intercept::primitives {

// A child that ends with what `body` returns; as fork(2) to its parent.
template <typename Body>
pid_t start_child(const Body& body) {
  switch (const pid_t child = ::fork()) {
    case 0:
      ::_exit(body());
    default:
      return child;
  }
}

// --- ptrace(2), of children of the child
int traceme(long& detail);
int seize(long& detail);
int exit_kill(long& detail);
int registers(long& detail);
int syscall_stops(long& detail);
int syscall_info(long& detail);
int process_vm(long& detail);
int proc_mem(long& detail);
int peek_data(long& detail);
int proc_folders(long& detail);
int set_limits(long& detail);
int set_affinity(long& detail);

// --- seccomp(2)
int no_new_privs(long& detail);
int filter(long& detail);
int filter_trace(long& detail);
int listener(long& detail);
int add_descriptor(long& detail);
int add_descriptor_and_answer(long& detail);
int synchronous_wake_up(long& detail);
int killable_wait(long& detail);

// --- other calls
int memory_file(long& detail);
int execute_descriptor(long& detail);
int extended_stat(long& detail);
int open_beneath(long& detail);
int access_by_descriptor(long& detail);
int close_range(long& detail);
int pidfd_open(long& detail);
int pidfd_send_signal(long& detail);
int pidfd_get_descriptor(long& detail);
int landlock(long& detail);  // detail: the ABI
int pseudo_terminal(long& detail);
int lower_limits(long& detail);
int descriptor_limit(long& detail);  // detail: RLIMIT_NOFILE's hard limit
int yama(long& detail);              // detail: kernel.yama.ptrace_scope
int foreign_abi(long& detail);       // a 32-bit call; may be fatal

}  // namespace vitrine::intercept::primitives
