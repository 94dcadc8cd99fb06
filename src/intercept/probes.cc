#include "intercept/probes.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/unique_fd.h"
#include "intercept/probe_primitives.h"

namespace vitrine::intercept {
namespace {

constexpr int kLongestProbe = 5000;  // ms

constexpr std::string_view kAllowPtrace =
    "allow ptrace(2): kernel.yama.ptrace_scope 0 or 1, and a container profile that permits it "
    "(container engines of 2021 and later do by default on Linux 4.8 and later)";
constexpr std::string_view kAllowMemory =
    "allow process_vm_readv(2) and process_vm_writev(2) in the container's profile";
constexpr std::string_view kAllowSeccomp =
    "allow prctl(2) and seccomp(2) in the container's profile, with CONFIG_SECCOMP_FILTER";
constexpr std::string_view kAllowListener =
    "Linux 5.14 or later, and no other user-notification listener around this process";
constexpr std::string_view kMountProc = "mount /proc, and let processes of one user see each other";
constexpr std::string_view kNewerKernel =
    "a newer kernel, and a container profile that knows its calls";
constexpr std::string_view kLandlock =
    "boot with landlock in the list lsm=, and allow its calls in the container's profile";

struct Primitive {
  std::string_view name;
  std::string_view what;
  int (*attempt)(long& detail);
  std::string_view advice;
  std::string_view detail_prefix = "";  // before the number in `detail`
};

namespace p = primitives;
constexpr auto kPrimitives = std::to_array<Primitive>({
    {"ptrace-traceme", "PTRACE_TRACEME by a child", p::traceme, kAllowPtrace},
    {"ptrace-seize", "PTRACE_SEIZE of a child", p::seize, kAllowPtrace},
    {"ptrace-exitkill", "PTRACE_O_EXITKILL: the tree dies with its tracer", p::exit_kill,
     kAllowPtrace},
    {"ptrace-registers", "reading and writing a stopped task's registers", p::registers,
     kAllowPtrace},
    {"ptrace-syscall", "PTRACE_SYSCALL: a stop at every call", p::syscall_stops, kAllowPtrace},
    {"ptrace-syscall-info", "PTRACE_GET_SYSCALL_INFO: which ABI a call came by", p::syscall_info,
     "Linux 5.3 or later"},
    {"process-vm", "process_vm_readv and process_vm_writev", p::process_vm, kAllowMemory},
    {"proc-mem", "reading and writing /proc/PID/mem", p::proc_mem, kMountProc},
    {"peek-data", "PTRACE_PEEKDATA and PTRACE_POKEDATA", p::peek_data, kAllowPtrace},
    {"proc-pid", "/proc/PID/exe and /proc/PID/fd of a child", p::proc_folders, kMountProc},
    {"prlimit", "prlimit of a child: memory budgets that move", p::set_limits,
     "allow prlimit64(2) in the container's profile"},
    {"affinity", "sched_setaffinity of a child: supervisor and program on one CPU", p::set_affinity,
     "allow sched_setaffinity(2) in the container's profile"},
    {"no-new-privs", "PR_SET_NO_NEW_PRIVS", p::no_new_privs, kAllowSeccomp},
    {"seccomp-filter", "installing a seccomp filter", p::filter, kAllowSeccomp},
    {"seccomp-trace", "SECCOMP_RET_TRACE: stops at chosen calls", p::filter_trace, kAllowSeccomp},
    {"seccomp-listener", "SECCOMP_FILTER_FLAG_NEW_LISTENER: user notification", p::listener,
     kAllowListener},
    {"seccomp-addfd", "SECCOMP_IOCTL_NOTIF_ADDFD: installing descriptors", p::add_descriptor,
     kAllowListener},
    {"seccomp-addfd-send", "SECCOMP_ADDFD_FLAG_SEND: and answering at once",
     p::add_descriptor_and_answer, kAllowListener},
    {"seccomp-sync-wake-up", "SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP", p::synchronous_wake_up,
     "Linux 6.6 or later"},
    {"seccomp-wait-killable", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", p::killable_wait,
     "Linux 5.19 or later"},
    {"memfd", "memfd_create: scratch files", p::memory_file,
     "allow memfd_create(2) in the container's profile"},
    {"execveat", "execveat of an opened program", p::execute_descriptor,
     "allow execveat(2) in the container's profile"},
    {"statx", "statx", p::extended_stat, kNewerKernel},
    {"openat2", "openat2 with RESOLVE_BENEATH", p::open_beneath, kNewerKernel},
    {"faccessat2", "faccessat2 of a descriptor", p::access_by_descriptor, kNewerKernel},
    {"close-range", "close_range with CLOSE_RANGE_UNSHARE", p::close_range, kNewerKernel},
    {"pidfd-open", "pidfd_open", p::pidfd_open, kNewerKernel},
    {"pidfd-send-signal", "pidfd_send_signal", p::pidfd_send_signal, kNewerKernel},
    {"pidfd-getfd", "pidfd_getfd", p::pidfd_get_descriptor, kNewerKernel},
    {"landlock", "Landlock", p::landlock, kLandlock, "ABI "},
    {"pty", "a pseudo-terminal", p::pseudo_terminal, "mount /dev/pts with /dev/ptmx"},
    {"rlimits", "setrlimit of CORE, MEMLOCK, NOFILE, DATA, FSIZE, CPU", p::lower_limits,
     "allow setrlimit(2) and prlimit64(2) in the container's profile"},
    {"descriptors", "RLIMIT_NOFILE up to its hard limit", p::descriptor_limit,
     "a hard limit of 1024 open files or more", "hard limit "},
    {"yama", "kernel.yama.ptrace_scope (absent: not restricted by Yama)", p::yama, "", "scope "},
    {"foreign-abi", "a 32-bit system call of a 64-bit program (vitrine refuses it)", p::foreign_abi,
     ""},
});

// What the child tells; a child that tells nothing was killed.
struct Answer {
  int error = 0;
  long detail = 0;
};

bool means_absent(int error) {
  constexpr std::array kAbsent{ENOSYS, EINVAL, EIO, ENOTTY, ENOENT, EOPNOTSUPP};
  return std::find(kAbsent.begin(), kAbsent.end(), error) != kAbsent.end();
}

void take_answer(const Primitive& primitive, const Answer& answer, Probe& probe) {
  probe.error = answer.error;
  if (answer.error != 0) {
    probe.answer = means_absent(answer.error) ? Probe::Answer::kAbsent : Probe::Answer::kRefused;
    return;
  }
  probe.answer = Probe::Answer::kWorks;
  if (primitive.detail_prefix.empty()) return;
  probe.detail = std::string(primitive.detail_prefix) + std::to_string(answer.detail);
}

void take_end(int status, Probe& probe) {
  probe.answer = Probe::Answer::kFatal;
  probe.signal = WIFSIGNALED(status) ? WTERMSIG(status) : SIGKILL;
}

Probe attempt(const Primitive& primitive) {
  Probe probe{primitive.name, primitive.what, Probe::Answer::kRefused, 0, 0, "", primitive.advice};
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    probe.error = errno;
    return probe;
  }
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const pid_t child = p::start_child([&] {
    Answer answer;
    answer.error = primitive.attempt(answer.detail);
    return ::write(writer.get(), &answer, sizeof answer) == sizeof answer ? 0 : 1;
  });
  if (child < 0) {
    probe.error = errno;
    return probe;
  }
  pollfd waiting{reader.get(), POLLIN, 0};
  writer.reset();
  const bool in_time = ::poll(&waiting, 1, kLongestProbe) == 1;
  Answer answer{ETIMEDOUT, 0};
  const bool told = in_time && ::read(reader.get(), &answer, sizeof answer) == sizeof answer;
  if (!in_time) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (told || !in_time) {
    take_answer(primitive, answer, probe);
  } else {
    take_end(status, probe);
  }
  return probe;
}

// --- what a backend needs

struct Need {
  std::string_view backend;
  std::array<std::string_view, 3> any_of;  // the first is the one to name
};

constexpr auto kNeeds = std::to_array<Need>({
    {"all", {"ptrace-seize"}},
    {"all", {"ptrace-exitkill"}},
    {"all", {"ptrace-registers"}},
    {"all", {"ptrace-syscall"}},
    {"all", {"no-new-privs"}},
    {"all", {"proc-pid"}},
    {"all", {"memfd"}},
    {"all", {"rlimits"}},
    {"all", {"execveat"}},
    {"notify", {"process-vm", "proc-mem"}},
    {"notify", {"seccomp-filter"}},
    {"notify", {"seccomp-trace"}},
    {"notify", {"seccomp-listener"}},
    {"notify", {"seccomp-addfd-send"}},
    {"notify", {"close-range"}},
    {"trace", {"process-vm", "proc-mem", "peek-data"}},
    {"trace", {"seccomp-filter"}},
    {"trace", {"seccomp-trace"}},
    {"syscall", {"process-vm", "proc-mem", "peek-data"}},
    {"syscall", {"ptrace-syscall-info"}},
});

// What cannot work without something else: where that is missing, only that is named.
struct Prerequisite {
  std::string_view of;
  std::string_view probe;
};

constexpr auto kPrerequisites = std::to_array<Prerequisite>({
    {"ptrace-exitkill", "ptrace-seize"},
    {"ptrace-registers", "ptrace-seize"},
    {"ptrace-syscall", "ptrace-seize"},
    {"ptrace-syscall-info", "ptrace-seize"},
    {"seccomp-trace", "ptrace-seize"},
    {"seccomp-filter", "no-new-privs"},
    {"seccomp-trace", "seccomp-filter"},
    {"seccomp-listener", "seccomp-filter"},
    {"seccomp-addfd-send", "seccomp-listener"},
});

struct Wish {
  std::string_view backend;
  std::string_view probe;
  std::string_view consequence;
};

constexpr auto kWishes = std::to_array<Wish>({
    {"notify", "seccomp-sync-wake-up", "each supervised call waits for the scheduler: slower"},
    {"notify", "seccomp-wait-killable",
     "a signal may take a task out of a call that is being served; the call is then made again"},
    {"all", "landlock", "no second wall behind the interception"},
    {"all", "prlimit", "memory budgets are measured and killed for, not refused in advance"},
    {"all", "affinity", "supervisor and program cannot be kept on one CPU: slower"},
    {"all", "process-vm", "memory is read through /proc/PID/mem or word by word: slower"},
    {"all", "openat2", "host folders are walked one name at a time: slower"},
    {"all", "statx", "files of the host have no time of their creation"},
    {"all", "pty", "no terminal inside"},
});

bool applies(std::string_view row, std::string_view backend) {
  return row == "all" || row == backend;
}

const Probe* find(std::span<const Probe> probes, std::string_view name) {
  const auto found = std::ranges::find(probes, name, &Probe::name);
  return found == probes.end() ? nullptr : &*found;
}

bool follows_from_another(std::string_view name, std::span<const Probe> probes) {
  return std::ranges::any_of(kPrerequisites, [&](const Prerequisite& prerequisite) {
    if (prerequisite.of != name) return false;
    const Probe* probe = find(probes, prerequisite.probe);
    return probe != nullptr && !probe->works();
  });
}

bool is_met(const Need& need, std::span<const Probe> probes) {
  return std::ranges::any_of(need.any_of, [&](std::string_view name) {
    const Probe* probe = find(probes, name);
    return probe != nullptr && probe->works();
  });
}

}  // namespace

const char* name_of(Probe::Answer answer) {
  switch (answer) {
    case Probe::Answer::kWorks:
      return "works";
    case Probe::Answer::kRefused:
      return "refused";
    case Probe::Answer::kAbsent:
      return "absent";
    case Probe::Answer::kFatal:
      break;
  }
  return "fatal";
}

std::vector<Probe> run_probes() {
  std::vector<Probe> all;
  all.reserve(kPrimitives.size());
  for (const Primitive& primitive : kPrimitives) all.push_back(attempt(primitive));
  return all;
}

std::vector<BackendVerdict> judge_backends(std::span<const Probe> probes) {
  std::vector<BackendVerdict> all;
  for (const std::string_view backend : {"notify", "trace", "syscall"}) {
    BackendVerdict verdict{backend, true, {}};
    for (const Need& need : kNeeds) {
      if (!applies(need.backend, backend) || is_met(need, probes)) continue;
      verdict.works = false;
      const Probe* probe = find(probes, need.any_of.front());
      if (probe != nullptr && !follows_from_another(probe->name, probes)) {
        verdict.missing.push_back(probe);
      }
    }
    all.push_back(std::move(verdict));
  }
  return all;
}

std::vector<Lack> lacks_of(std::string_view backend, std::span<const Probe> probes) {
  std::vector<Lack> all;
  for (const Wish& wish : kWishes) {
    const Probe* probe = applies(wish.backend, backend) ? find(probes, wish.probe) : nullptr;
    if (probe != nullptr && !probe->works()) all.push_back({probe, wish.consequence});
  }
  return all;
}

}  // namespace vitrine::intercept
