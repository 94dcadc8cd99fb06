#include "intercept/injector.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <vector>

#include "arch/syscall_table.h"
#include "intercept/patience.h"
#include "tracee/remote_memory.h"
#include "tracee/usage.h"

namespace vitrine::intercept {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::uint64_t kMostPlaced = 512ULL * 1024;  // below what the filter lets through (1 MiB)

Status signal_mask(enum __ptrace_request request, pid_t tid, std::uint64_t& mask) {
  if (::ptrace(request, tid, sizeof mask, &mask) == 0) return {};
  if (errno == ESRCH) return fail_task_gone("ptrace(signal mask)");
  return fail_errno("ptrace(signal mask)");
}

// Calls are entered on the program's own instruction, with its signals blocked: only a rewritten
// instruction leads elsewhere.
tl::unexpected<Error> interfered() {
  return fail_violation("the program changed what it was made to execute");
}

bool is_end(const siginfo_t& info) {
  // A stop in gVisor reads as killed by 127, the mark of a stop in a wait status; no signal has
  // that number.
  constexpr int kStopped = 0x7f;
  if (info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED) return info.si_status != kStopped;
  return info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED;
}

// Waiting failed. Only where there is nothing left to wait for has the task ended: with any other
// error it stands where it stands, in a call that is not the program's, and must not go on.
tl::unexpected<Error> wait_failed(const char* operation) {
  return errno == ECHILD ? fail_task_gone(operation) : fail_errno(operation);
}

// Takes the stop that `seen` tells of. A task killed in it has ended meanwhile, and that is the
// event loop's to hear of: waitpid(2) would take it away from there.
Result<int> take_stop(pid_t tid, const siginfo_t& seen) {
  constexpr int kStopMark = 0x7f;
  if (seen.si_code != CLD_TRAPPED && seen.si_code != CLD_STOPPED) {  // gVisor
    int status = 0;
    while (::waitpid(tid, &status, __WALL) != tid) {
      if (errno != EINTR) return wait_failed("waitpid");
    }
    return WIFSTOPPED(status) ? Result<int>(status) : fail_task_gone("waitpid");
  }
  siginfo_t taken{};
  while (::waitid(P_PID, static_cast<id_t>(tid), &taken, WSTOPPED | WNOHANG | __WALL) != 0) {
    if (errno != EINTR) return wait_failed("waitid");
  }
  if (taken.si_pid != tid) return fail_task_gone("waitid");
  return (taken.si_status << 8) | kStopMark;
}

// The next stop of a task whose call cannot block; it comes at once. Its end is left for the event
// loop (WNOWAIT).
Result<int> wait_for_stop(pid_t tid) {
  siginfo_t info{};
  Patience patience(tid);
  while (::waitid(P_PID, static_cast<id_t>(tid), &info, WEXITED | WSTOPPED | WNOWAIT | __WALL) !=
         0) {
    if (errno != EINTR) return wait_failed("waitid");
    // A leader's end is reported only when its other threads have been reaped, which is the event
    // loop's to do.
    if (tracee::has_ended(tid)) return fail_task_gone("waitid");
    if (patience.is_over()) return interfered();
  }
  // Another thread executed a program, and the leader's number is that thread's by now (ptrace(2)):
  // the event is left for the loop as well.
  const bool executed =
      info.si_code == CLD_TRAPPED && info.si_status == (SIGTRAP | (PTRACE_EVENT_EXEC << 8));
  if (is_end(info) || executed) return fail_task_gone("waitid");
  return take_stop(tid, info);
}

bool is_syscall_stop(int status) { return status >> 8 == (SIGTRAP | 0x80); }
bool is_event_stop(int status) { return status >> 16 == PTRACE_EVENT_STOP; }

// Goes on to the next syscall-stop. A SIGSTOP (it cannot be blocked) is delivered and its
// group-stop passed over; that is the program's own business again afterwards.
Status to_syscall_stop(pid_t tid) {
  int signal = 0;
  for (;;) {
    if (Status going = tracee::resume_to_syscall(tid, signal); !going) return going;
    Result<int> status = wait_for_stop(tid);
    if (!status) return tl::make_unexpected(status.error());
    if (is_syscall_stop(*status)) return {};
    signal = *status >> 8 == SIGSTOP ? SIGSTOP : 0;
    if (signal == 0 && !is_event_stop(*status)) return interfered();
  }
}

// The stop that the task was led to is the entry of the injected call, in the native ABI. Where
// registers have to tell, they do not tell the ABI: the filter does, which has the rest stopped
// (the backend without one is not used there).
Status check_entry(pid_t tid, const StopTraits& traits, std::uint64_t number,
                   const InjectedCalls::Arguments& arguments) {
  const Result<tracee::Registers> registers = tracee::Registers::of(tid);
  if (!registers) return tl::make_unexpected(registers.error());
  if (registers->syscall_number() != number || registers->arguments() != arguments) {
    return interfered();
  }
  if (!traits.syscall_info) return {};
  const Result<__ptrace_syscall_info> info = tracee::syscall_info(tid);
  if (!info) return tl::make_unexpected(info.error());
  const bool ours = info->op == PTRACE_SYSCALL_INFO_ENTRY && info->arch == arch::kNativeAuditArch;
  return ours ? Status() : interfered();
}

Result<std::int64_t> result_at_stop(pid_t tid) {
  const Result<tracee::Registers> registers = tracee::Registers::of(tid);
  if (!registers) return tl::make_unexpected(registers.error());
  return registers->result();
}

// Before Linux 4.8, and in gVisor, a seccomp-stop is followed by the syscall-enter-stop, where the
// result reads ENOSYS. None of the calls that are injected ends with that.
Result<bool> is_entry(pid_t tid, const StopTraits& traits) {
  if (!traits.syscall_info) return true;
  const Result<__ptrace_syscall_info> info = tracee::syscall_info(tid);
  if (!info) return tl::make_unexpected(info.error());
  return info->op == PTRACE_SYSCALL_INFO_ENTRY;
}

// The receiver's side of one message, as it lies in the program's page (recvmsg(2)).
struct Receipt {
  msghdr header{};
  iovec data{};
  std::uint64_t label = 0;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
};

Receipt blank_receipt(std::uint64_t page) {
  Receipt receipt;
  receipt.header.msg_iov = reinterpret_cast<iovec*>(page + offsetof(Receipt, data));
  receipt.header.msg_iovlen = 1;
  receipt.header.msg_control = reinterpret_cast<void*>(page + offsetof(Receipt, control));
  receipt.header.msg_controllen = sizeof receipt.control;
  receipt.data = {reinterpret_cast<void*>(page + offsetof(Receipt, label)), sizeof receipt.label};
  return receipt;
}

std::int64_t number_in(const Receipt& receipt) {
  // A full table: the kernel drops the descriptor and says so in the flags (unix(7)).
  if ((receipt.header.msg_flags & MSG_CTRUNC) != 0) return -EMFILE;
  const auto* header = reinterpret_cast<const cmsghdr*>(receipt.control);
  if (header->cmsg_type != SCM_RIGHTS) return -EMFILE;
  int number = -1;
  std::memcpy(&number, CMSG_DATA(header), sizeof number);
  return number;
}

constexpr char kEmptyPath = '\0';

// Errors of an execution that say nothing about what the path leads to, which may have been another
// one for a moment.
bool is_of_arguments(std::int64_t result) {
  return result == -E2BIG || result == -EFAULT || result == -ENOMEM || result == -EAGAIN ||
         result == -ENOEXEC;
}

bool is_error(std::int64_t result) { return result < 0 && result >= -4095; }

// Ends the stop with `result`, which is given on.
Result<std::int64_t> finished(InjectedCalls& calls, Result<std::int64_t> result) {
  if (!result) return result;
  if (Status done = calls.finish(*result); !done) return tl::make_unexpected(done.error());
  return result;
}

}  // namespace

Result<tracee::Registers> registers_at(const SyscallEvent& call) {
  Result<tracee::Registers> registers = tracee::Registers::of(call.tid);
  if (!registers) return registers;
  const bool there = (registers->syscall_number() & 0xffffffff) == call.number &&
                     registers->arguments() == call.arguments &&
                     registers->instruction_pointer() == call.instruction_pointer;
  return there ? registers : fail_task_gone("the stop of a call");
}

// --- InjectedCalls

Result<InjectedCalls> InjectedCalls::at_entry(const SyscallEvent& call, StopTraits traits) {
  return entered(call.tid, registers_at(call), traits);
}

Result<InjectedCalls> InjectedCalls::at_entry(pid_t tid, StopTraits traits) {
  return entered(tid, tracee::Registers::of(tid), traits);
}

Result<InjectedCalls> InjectedCalls::entered(pid_t tid, const Result<tracee::Registers>& registers,
                                             StopTraits traits) {
  if (!registers) return tl::make_unexpected(registers.error());
  InjectedCalls calls(tid, true, traits);
  calls.saved_ = *registers;
  return calls;
}

InjectedCalls InjectedCalls::at_exit(pid_t tid, const tracee::Registers& saved, StopTraits traits) {
  InjectedCalls calls(tid, false, traits);
  calls.saved_ = saved;
  return calls;
}

Status InjectedCalls::block_signals() {
  if (signal_mask_) return {};
  std::uint64_t mask = 0;
  if (Status got = signal_mask(PTRACE_GETSIGMASK, tid_, mask); !got) return got;
  std::uint64_t all = ~std::uint64_t{0};
  if (Status set = signal_mask(PTRACE_SETSIGMASK, tid_, all); !set) return set;
  signal_mask_ = mask;
  return {};
}

Status InjectedCalls::restore_signals() {
  if (!signal_mask_) return {};
  std::uint64_t mask = *signal_mask_;
  signal_mask_.reset();
  return signal_mask(PTRACE_SETSIGMASK, tid_, mask);
}

// Into the call's entry. From an exit it has one of its own, behind a step back.
Status InjectedCalls::enter(std::uint64_t number, const Arguments& arguments) {
  tracee::Registers registers = saved_;
  if (at_entry_) {
    registers.set_syscall(number, arguments);
    return registers.apply_to(tid_);
  }
  if (Status blocked = block_signals(); !blocked) return blocked;
  registers.rewind_to_syscall(number, arguments);
  if (Status applied = registers.apply_to(tid_); !applied) return applied;
  if (Status stopped = to_syscall_stop(tid_); !stopped) return stopped;
  return check_entry(tid_, traits_, number, arguments);
}

Result<std::int64_t> InjectedCalls::perform(std::uint64_t number, const Arguments& arguments) {
  Status done = enter(number, arguments);
  if (done) done = to_syscall_stop(tid_);
  if (!done) return tl::make_unexpected(done.error());
  const bool from_seccomp_stop = at_entry_ && !traits_.filters_follow;
  at_entry_ = false;
  Result<std::int64_t> result = result_at_stop(tid_);
  if (!from_seccomp_stop || !result || *result != -ENOSYS) return result;
  const Result<bool> entry = is_entry(tid_, traits_);
  if (!entry) return tl::make_unexpected(entry.error());
  if (!*entry) return result;
  if (done = to_syscall_stop(tid_); !done) return tl::make_unexpected(done.error());
  return result_at_stop(tid_);
}

Status InjectedCalls::finish(std::int64_t result) {
  if (at_entry_ && traits_.filters_follow) {
    if (Result<std::int64_t> performed = perform(SYS_getpid, {}); !performed) {
      return tl::make_unexpected(performed.error());
    }
  }
  tracee::Registers registers = saved_;
  registers.skip_syscall();  // behind a call this keeps the kernel from restarting it
  registers.set_result(result_for_task(result));
  if (Status restored = restore_signals(); !restored) return restored;
  return registers.apply_to(tid_);
}

Status InjectedCalls::interrupted() {
  // Only behind a call that was performed does the kernel look at what is to be restarted.
  if (at_entry_) {
    if (Result<std::int64_t> performed = perform(SYS_getpid, {}); !performed) {
      return tl::make_unexpected(performed.error());
    }
  }
  tracee::Registers registers = saved_;
  registers.set_result(kRestartSys);
  if (Status restored = restore_signals(); !restored) return restored;
  return registers.apply_to(tid_);
}

Status InjectedCalls::enter_next(std::uint64_t number, const Arguments& arguments) {
  tracee::Registers registers = saved_;
  registers.rewind_to_syscall(number, arguments);
  if (Status restored = restore_signals(); !restored) return restored;
  return registers.apply_to(tid_);
}

// --- Injector

void Injector::task_started(pid_t tid, pid_t tgid, pid_t parent) {
  if (!tgids_.emplace(tid, tgid).second || processes_.contains(tgid)) return;
  // A fork has a copy of its parent's page, a vfork the page itself.
  const auto from = processes_.find(parent);
  processes_[tgid] = from == processes_.end() ? Process{} : from->second;
}

bool Injector::sibling_executes(pid_t tgid, pid_t tid) const {
  return std::ranges::any_of(executions_, [&](const auto& each) {
    const auto task = tgids_.find(each.first);
    return each.first != tid && task != tgids_.end() && task->second == tgid;
  });
}

void Injector::task_ended(pid_t tid) {
  executions_.erase(tid);
  names_.erase(tid);
  const auto task = tgids_.find(tid);
  if (task == tgids_.end()) return;
  if (task->second == tid) processes_.erase(tid);
  tgids_.erase(task);
}

// exec leaves one thread, under the leader's id, with a fresh memory.
void Injector::task_executed(pid_t former, pid_t tid) {
  for (const pid_t id : {former, tid}) {
    executions_.erase(id);
    names_.erase(id);
    tgids_.erase(id);
  }
  tgids_[tid] = tid;
  processes_[tid] = Process{0, true};
}

Injector::Process& Injector::process_of(pid_t tid) { return processes_[tgids_[tid]]; }

bool Injector::has_executed(pid_t tid) const {
  const auto task = tgids_.find(tid);
  if (task == tgids_.end()) return false;
  const auto process = processes_.find(task->second);
  return process != processes_.end() && process->second.executed;
}

bool Injector::guards_channel(std::uint64_t number, const InjectedCalls::Arguments& arguments,
                              tracee::Registers& registers) const {
  const auto channel = static_cast<std::uint32_t>(channel_.number());
  const auto first = static_cast<std::uint32_t>(arguments[0]);
  const auto last = static_cast<std::uint32_t>(arguments[1]);
  if (number != SYS_close_range || last < channel) return false;
  if (first >= channel) {
    registers.skip_syscall();
    registers.set_result(first > last ? -EINVAL : 0);
    return true;
  }
  InjectedCalls::Arguments narrowed = arguments;
  narrowed[1] = channel - 1;
  registers.set_syscall(number, narrowed);
  return true;
}

Result<std::int64_t> Injector::receive(pid_t tid, InjectedCalls& calls, int fd,
                                       bool close_on_exec) {
  Process& process = process_of(tid);
  if (process.page == 0) {
    Result<std::int64_t> mapped = calls.perform(
        SYS_mmap,
        {0, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, ~std::uint64_t{0}, 0});
    if (!mapped || is_error(*mapped)) return mapped;
    process.page = static_cast<std::uint64_t>(*mapped);
  }
  const std::uint64_t page = process.page;
  const tracee::RemoteMemory memory(tid);
  if (Status put = memory.write_value(page, blank_receipt(page)); !put) {
    process.page = 0;  // unmapped by the program; its next call gets another
    return -EFAULT;
  }
  const std::uint64_t label = next_label_++;
  if (Status sent = channel_.send(fd, label); !sent) return -EIO;
  const int flags = MSG_DONTWAIT | (close_on_exec ? MSG_CMSG_CLOEXEC : 0);
  Result<std::int64_t> received =
      calls.perform(SYS_recvmsg, {static_cast<std::uint64_t>(channel_.number()), page,
                                  static_cast<std::uint64_t>(flags), 0, 0, 0});
  if (!received || is_error(*received)) {
    channel_.drain();  // killed on the way: for the next receiver the message would be another's
    return received;
  }
  const Result<Receipt> receipt = memory.read_value<Receipt>(page);
  // Another label: another thread took the message. It was granted to this run all the same.
  if (!receipt || receipt->label != label) {
    channel_.drain();
    return -EIO;
  }
  // The program's other threads can write there. Our own end is no number that they may have us
  // close.
  const std::int64_t number = number_in(*receipt);
  return number == channel_.number() ? -EIO : number;
}

Status Injector::answer(const SyscallEvent& call, std::int64_t result) const {
  Result<InjectedCalls> calls = InjectedCalls::at_entry(call, traits_);
  if (!calls) return tl::make_unexpected(calls.error());
  return calls->finish(result);
}

// With a stop to come the kernel goes the way of signals when the task leaves its call, whatever
// has become of the signal meanwhile: the code for a restart never gets to the program.
Status Injector::interrupt(const SyscallEvent& call) const {
  Result<InjectedCalls> calls = InjectedCalls::at_entry(call, traits_);
  if (!calls) return tl::make_unexpected(calls.error());
  if (Status done = calls->interrupted(); !done) return done;
  return tracee::ask_to_stop(call.tid);
}

Result<std::int64_t> Injector::install(const SyscallEvent& call, const InstallFd& effect) {
  Result<InjectedCalls> calls = InjectedCalls::at_entry(call, traits_);
  if (!calls) return tl::make_unexpected(calls.error());
  return finished(*calls, receive(call.tid, *calls, effect.fd.get(), effect.close_on_exec));
}

// What is closed here was opened a moment ago in the same stop. A sibling thread that puts a file
// of its own under the number meanwhile loses that.
Result<std::int64_t> Injector::install_pair(const SyscallEvent& call, const InstallPair& effect) {
  Result<InjectedCalls> calls = InjectedCalls::at_entry(call, traits_);
  if (!calls) return tl::make_unexpected(calls.error());
  Result<std::int64_t> first = receive(call.tid, *calls, effect.first.get(), effect.close_on_exec);
  if (!first || is_error(*first)) return finished(*calls, first);
  Result<std::int64_t> second =
      receive(call.tid, *calls, effect.second.get(), effect.close_on_exec);
  if (!second) return second;
  const auto close = [&](std::int64_t number) {
    return calls->perform(SYS_close, {static_cast<std::uint64_t>(number), 0, 0, 0, 0, 0});
  };
  std::int64_t error = is_error(*second) ? *second : 0;
  const std::array<int, 2> numbers{static_cast<int>(*first), static_cast<int>(*second)};
  if (error == 0 && !tracee::RemoteMemory(call.tid).write_value(effect.address, numbers)) {
    error = -EFAULT;
    if (Result<std::int64_t> closed = close(*second); !closed) return closed;
  }
  if (error != 0) {
    if (Result<std::int64_t> closed = close(*first); !closed) return closed;
  }
  return finished(*calls, error);
}

Result<std::int64_t> Injector::map(const SyscallEvent& call, const MapFile& effect) {
  Result<InjectedCalls> calls = InjectedCalls::at_entry(call, traits_);
  if (!calls) return tl::make_unexpected(calls.error());
  Result<std::int64_t> number = receive(call.tid, *calls, effect.file.get(), true);
  if (!number || is_error(*number)) return finished(*calls, number);
  InjectedCalls::Arguments arguments = calls->saved().arguments();
  // MAP_POPULATE is supervised, and nothing else tells that it was not heeded.
  arguments[3] &= ~static_cast<std::uint64_t>(MAP_ANONYMOUS | MAP_POPULATE);
  arguments[4] = static_cast<std::uint64_t>(*number);
  arguments[5] = 0;
  Result<std::int64_t> mapped = calls->perform(SYS_mmap, arguments);
  if (!mapped) return mapped;
  Result<std::int64_t> closed =
      calls->perform(SYS_close, {static_cast<std::uint64_t>(*number), 0, 0, 0, 0, 0});
  if (!closed) return closed;
  return finished(*calls, mapped);
}

Result<std::int64_t> Injector::place(pid_t tid, InjectedCalls& calls,
                                     const std::vector<std::byte>& bytes) {
  if (bytes.size() > kMostPlaced) return -E2BIG;
  Result<std::int64_t> mapped = calls.perform(
      SYS_mmap,
      {0, bytes.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, ~std::uint64_t{0}, 0});
  if (!mapped || is_error(*mapped)) return mapped;
  const tracee::RemoteMemory memory(tid);
  if (Status put = memory.write(static_cast<std::uint64_t>(*mapped), bytes); !put) return -EFAULT;
  return mapped;
}

// The argument vector of a script's interpreter: an array of pointers, then the strings that are
// new.
Result<std::int64_t> Injector::place_arguments(pid_t tid, InjectedCalls& calls,
                                               const Execute& effect) {
  const std::size_t count = effect.leading_arguments.size() + effect.further_arguments.size() + 1;
  std::size_t size = count * sizeof(std::uint64_t);
  for (const std::string& text : effect.leading_arguments) size += text.size() + 1;
  std::vector<std::byte> block(size);
  Result<std::int64_t> base = place(tid, calls, block);
  if (!base || is_error(*base)) return base;
  std::size_t slot = 0;
  std::size_t end = count * sizeof(std::uint64_t);
  const auto put_pointer = [&](std::uint64_t address) {
    std::memcpy(block.data() + slot, &address, sizeof address);
    slot += sizeof address;
  };
  for (const std::string& text : effect.leading_arguments) {
    put_pointer(static_cast<std::uint64_t>(*base) + end);
    std::memcpy(block.data() + end, text.c_str(), text.size() + 1);
    end += text.size() + 1;
  }
  for (const std::uint64_t address : effect.further_arguments) put_pointer(address);
  put_pointer(0);
  const tracee::RemoteMemory memory(tid);
  if (Status put = memory.write(static_cast<std::uint64_t>(*base), block); !put) return -EFAULT;
  return base;
}

Result<std::int64_t> Injector::execute(const SyscallEvent& call, const Execute& effect) {
  Result<InjectedCalls> calls = InjectedCalls::at_entry(call, traits_);
  if (!calls) return tl::make_unexpected(calls.error());
  Result<std::int64_t> number = receive(call.tid, *calls, effect.program.get(), true);
  if (!number || is_error(*number)) return finished(*calls, number);
  const auto refuse = [&](std::int64_t error) -> Result<std::int64_t> {
    Result<std::int64_t> closed =
        calls->perform(SYS_close, {static_cast<std::uint64_t>(*number), 0, 0, 0, 0, 0});
    if (!closed) return closed;
    return finished(*calls, error);
  };
  std::uint64_t argv = effect.argv;
  if (!effect.leading_arguments.empty()) {
    Result<std::int64_t> placed = place_arguments(call.tid, *calls, effect);
    if (!placed) return placed;
    if (is_error(*placed)) return refuse(*placed);
    argv = static_cast<std::uint64_t>(*placed);
  }
  // An empty path, behind the receipt. The program's own threads can write there meanwhile: what
  // was executed in the end is verified at the exec event, and fail_execution() tells nothing of
  // what another path leads to.
  const std::uint64_t empty = process_of(call.tid).page + sizeof(Receipt);
  if (!tracee::RemoteMemory(call.tid).write_value(empty, kEmptyPath)) return refuse(-EFAULT);
  const InjectedCalls::Arguments arguments{
      static_cast<std::uint64_t>(*number), empty, argv, effect.envp, AT_EMPTY_PATH, 0};
  if (Status entering = calls->enter_next(SYS_execveat, arguments); !entering) {
    return tl::make_unexpected(entering.error());
  }
  executions_[call.tid] = {calls->saved(), arguments, false};
  if (Status resumed = tracee::resume_to_syscall(call.tid, 0); !resumed) {
    return tl::make_unexpected(resumed.error());
  }
  return 0;
}

// The kernel refused: the program's registers come back, and the descriptor goes. A path that is
// not empty any more was looked up in the host's tree.
Status Injector::fail_execution(pid_t tid, std::int64_t result) {
  const Execution execution = executions_[tid];
  executions_.erase(tid);
  const Result<char> path = tracee::RemoteMemory(tid).read_value<char>(execution.arguments[1]);
  if (!path || *path != kEmptyPath) return interfered();
  if (!is_of_arguments(result)) result = -EACCES;
  InjectedCalls calls = InjectedCalls::at_exit(tid, execution.saved, traits_);
  Result<std::int64_t> closed = calls.perform(SYS_close, {execution.arguments[0], 0, 0, 0, 0, 0});
  if (!closed) return tl::make_unexpected(closed.error());
  return calls.finish(result);
}

// At the first stop there is none but the launcher's code, so that nobody answers for the kernel.
Status Injector::learn_traits(pid_t tid) {
  if (traits_known_) return {};
  const Result<bool> present = tracee::has_syscall_info(tid);
  if (!present) return tl::make_unexpected(present.error());
  traits_.syscall_info = *present;
  traits_known_ = true;
  return {};
}

// At the first stop of a call of a task that is to be named; the program's own call is entered
// behind it. The name lies far below the stack for as long as the kernel reads it, and what was
// there is put back. Nothing depends on it: where it cannot be set, the task is called what the
// kernel calls it.
Status Injector::set_name(pid_t tid) {
  constexpr std::size_t kLongest = 16;         // TASK_COMM_LEN
  constexpr std::uint64_t kBelowStack = 1024;  // beyond the red zone
  if (!traits_.syscall_info) {
    names_.erase(tid);
    return {};
  }
  const Result<__ptrace_syscall_info> info = tracee::syscall_info(tid);
  if (!info) return tl::make_unexpected(info.error());
  if (info->op != PTRACE_SYSCALL_INFO_ENTRY) return {};  // the execution's own end
  const std::string name = std::move(names_.extract(tid).mapped());
  if (info->arch != arch::kNativeAuditArch) return {};
  Result<InjectedCalls> calls = InjectedCalls::at_entry(tid, {.filters_follow = true});
  if (!calls) return tl::make_unexpected(calls.error());
  std::array<char, kLongest> text{};
  name.copy(text.data(), text.size() - 1);
  const tracee::RemoteMemory memory(tid);
  const std::uint64_t address = calls->saved().stack_pointer() - kBelowStack;
  const auto before = memory.read_value<std::array<char, kLongest>>(address);
  if (!before || !memory.write_value(address, text)) return {};
  Result<std::int64_t> named = calls->perform(SYS_prctl, {PR_SET_NAME, address, 0, 0, 0, 0});
  if (!named) return tl::make_unexpected(named.error());
  (void)memory.write_value(address, *before);
  return calls->enter_next(calls->saved().syscall_number(), calls->saved().arguments());
}

Result<bool> Injector::on_stop(const tracee::TaskEvent& event) {
  if (Status learned = learn_traits(event.tid); !learned) {
    return tl::make_unexpected(learned.error());
  }
  if (event.kind == tracee::TaskEvent::Kind::kSyscallStop && names_.contains(event.tid)) {
    if (Status named = set_name(event.tid); !named) return tl::make_unexpected(named.error());
    return false;
  }
  const auto found = executions_.find(event.tid);
  if (found == executions_.end()) return false;
  Execution& execution = found->second;
  Result<tracee::Registers> registers = tracee::Registers::of(event.tid);
  if (!registers) return tl::make_unexpected(registers.error());
  // A signal's handler may run first and make calls of its own: those are not the execution's.
  const bool ours = (registers->syscall_number() & 0xffffffff) == SYS_execveat &&
                    registers->arguments() == execution.arguments;
  if (!ours) return false;
  const bool at_exit = event.kind == tracee::TaskEvent::Kind::kSyscallStop && execution.entered;
  if (at_exit && is_error(registers->result()) && registers->result() != -ENOSYS) {
    if (Status failed = fail_execution(event.tid, registers->result()); !failed) {
      return tl::make_unexpected(failed.error());
    }
    return false;  // stopped at an exit, for the backend to resume as it does
  }
  if (event.kind == tracee::TaskEvent::Kind::kSyscallStop) execution.entered = true;
  if (Status resumed = tracee::resume_to_syscall(event.tid, 0); !resumed) {
    return tl::make_unexpected(resumed.error());
  }
  return true;
}

}  // namespace vitrine::intercept
