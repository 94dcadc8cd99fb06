// Random system calls with random, interesting arguments, from several threads of several
// processes.
//
//   random_calls MODE SEED SECONDS PROCESSES THREADS PORT PID... PATH...
//
// MODE `random`: processes and threads of them make calls until the time is up; `alone`: threads of
// this process do. MODE `touch` makes a few calls that are told: whoever watches the paths (which
// are files), the processes, 127.0.0.1:PORT and the abstract socket "canary-PORT" must see them.
// Prints how many calls came back.
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kArena = 1 << 20, kPage = 4096, kMost = 32, kMostThreads = 64 };

static char* arena;          // what calls read and write
static char* edge;           // an unreadable page, behind a readable one
static atomic_ulong* calls;  // shared by all processes
static long pids[kMost];
static char* paths[kMost];
static int pid_count, path_count;
static int port;
static uint64_t seed;
static int threads;

static uint64_t draw(uint64_t* state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state * 0x2545f4914f6cdd1dULL;
}
static uint64_t below(uint64_t* state, uint64_t limit) { return (draw(state) >> 11) % limit; }

static double now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static socklen_t put_address(char* at, int kind) {
  if (kind == 0) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memcpy(at, &in, sizeof in);
    return sizeof in;
  }
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  const int length = snprintf(un.sun_path + 1, sizeof un.sun_path - 1, "canary-%d", port);
  memcpy(at, &un, sizeof un);
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

// A path: a canary, by one road or another, or a name in scratch.
static void put_path(uint64_t* state, char* at, size_t room) {
  const char* path = path_count > 0 ? paths[below(state, (uint64_t)path_count)] : "/etc/passwd";
  switch (below(state, 12)) {
    case 0:
      snprintf(at, room, "/proc/self/root%s", path);
      break;
    case 1:
      snprintf(at, room, "/proc/%ld/root%s", pids[below(state, (uint64_t)pid_count)], path);
      break;
    case 2:
      snprintf(at, room, "/tmp/../../..%s", path);
      break;
    case 3:
      snprintf(at, room, "/proc/self/fd/%d", (int)below(state, 24));
      break;
    case 4:
      snprintf(at, room, "/proc/%ld/mem", pids[below(state, (uint64_t)pid_count)]);
      break;
    case 5:
    case 6:
    case 7:
      snprintf(at, room, "/tmp/%c", (int)('a' + below(state, 8)));
      break;
    case 8:
      snprintf(at, room, "/tmp/%c/%c", (int)('a' + below(state, 8)), (int)('a' + below(state, 8)));
      break;
    case 9:
      memset(at, 'x', room);  // no end before the page's
      break;
    default:
      snprintf(at, room, "%s", path);
  }
}

static uint64_t pointer(uint64_t* state) {
  char* at = arena + (below(state, kArena - 2 * kPage) & ~15ULL);
  switch (below(state, 16)) {
    case 0:
      return 0;
    case 1:
      return draw(state);
    case 2:
      return 0xffffffff80000000ULL + below(state, 1 << 20);
    case 3:
      return 0x800000000000ULL - below(state, 64);
    case 4:
      return (uint64_t)(edge - below(state, 64));
    case 5:
      return (uint64_t)edge;
    case 6:
    case 7:
    case 8:
    case 9:
      put_path(state, at, 512);
      return (uint64_t)at;
    case 10:
      put_address(at, (int)below(state, 2));
      return (uint64_t)at;
    case 11:  // pointers to pointers: iovec, argv, msghdr
      for (int i = 0; i < 8; ++i) {
        const uint64_t word =
            i % 2 == 0 ? (uint64_t)(arena + below(state, kArena / 2)) : below(state, 8192);
        memcpy(at + 8 * i, &word, sizeof word);
      }
      return (uint64_t)at;
    default:
      for (int i = 0; i < 8; ++i) {
        const uint64_t word = draw(state) >> below(state, 64);
        memcpy(at + 8 * i, &word, sizeof word);
      }
      return (uint64_t)at;
  }
}

static uint64_t argument(uint64_t* state) {
  static const uint64_t odd[] = {0,
                                 1,
                                 2,
                                 3,
                                 4096,
                                 0x7fffffff,
                                 0x80000000,
                                 0xffffffff,
                                 0x100000000,
                                 0x7fffffffffffffff,
                                 0x8000000000000000};
  switch (below(state, 12)) {
    case 0:
    case 1:
    case 2:
      return pointer(state);
    case 3:
      return (uint64_t)AT_FDCWD;
    case 4:
    case 5:
      return below(state, 24);  // a descriptor, as a rule an open one; a signal
    case 6:
      return odd[below(state, sizeof odd / sizeof odd[0])] - below(state, 2);
    case 7:
      return (uint64_t)pids[below(state, (uint64_t)pid_count)];
    case 8:
      return 1ULL << below(state, 64);
    case 9:
      return below(state, 2) != 0 ? below(state, 65536) : (uint64_t)-1;
    case 10:
      return draw(state) >> below(state, 64);
    default:
      return below(state, 512) | (below(state, 4) == 0 ? 0xdead00000000ULL : 0);
  }
}

// Those that end the caller are left to chance that seldom comes; vfork and bare clones would go on
// on this very stack.
static int is_avoided(uint64_t* state, long number) {
  if (number == SYS_vfork || number == SYS_clone || number == SYS_rt_sigreturn) return 1;
  if (number == SYS_fork) return below(state, 64) != 0;
  const int ends = number == SYS_exit || number == SYS_exit_group || number == SYS_kill ||
                   number == SYS_tkill || number == SYS_tgkill || number == SYS_rt_sigqueueinfo ||
                   number == SYS_execve || number == SYS_execveat || number == SYS_pause ||
                   number == SYS_munmap || number == SYS_mremap || number == SYS_mprotect ||
                   number == SYS_arch_prctl || number == SYS_rt_sigsuspend;
  return ends && below(state, 32) != 0;
}

// What has a handler in the supervisor is called more often than the rest.
static long number(uint64_t* state) {
  static const long served[] = {SYS_open,
                                SYS_openat,
                                SYS_openat2,
                                SYS_creat,
                                SYS_stat,
                                SYS_lstat,
                                SYS_newfstatat,
                                SYS_statx,
                                SYS_access,
                                SYS_faccessat2,
                                SYS_readlink,
                                SYS_readlinkat,
                                SYS_getdents64,
                                SYS_getcwd,
                                SYS_chdir,
                                SYS_fchdir,
                                SYS_mkdir,
                                SYS_mkdirat,
                                SYS_rmdir,
                                SYS_unlink,
                                SYS_unlinkat,
                                SYS_rename,
                                SYS_renameat2,
                                SYS_link,
                                SYS_linkat,
                                SYS_symlink,
                                SYS_symlinkat,
                                SYS_chmod,
                                SYS_fchmod,
                                SYS_fchmodat,
                                SYS_chown,
                                SYS_fchown,
                                SYS_utimensat,
                                SYS_truncate,
                                SYS_ftruncate,
                                SYS_mknod,
                                SYS_statfs,
                                SYS_fstatfs,
                                SYS_fcntl,
                                SYS_flock,
                                SYS_ioctl,
                                SYS_prctl,
                                SYS_prlimit64,
                                SYS_getrlimit,
                                SYS_setrlimit,
                                SYS_sysinfo,
                                SYS_uname,
                                SYS_mmap,
                                SYS_socket,
                                SYS_socketpair,
                                SYS_connect,
                                SYS_bind,
                                SYS_listen,
                                SYS_accept4,
                                SYS_sendto,
                                SYS_sendmsg,
                                SYS_recvmsg,
                                SYS_getsockname,
                                SYS_getpeername,
                                SYS_setsockopt,
                                SYS_kill,
                                SYS_tgkill,
                                SYS_memfd_create,
                                SYS_close_range,
                                SYS_dup2,
                                SYS_close,
                                SYS_pipe2,
                                SYS_fork,
                                SYS_execve,
                                SYS_sched_setaffinity,
                                SYS_process_vm_readv,
                                SYS_process_vm_writev,
                                SYS_pidfd_open,
                                SYS_ptrace};
  const uint64_t kind = below(state, 1 << 16);
  // Perhaps of a foreign ABI, which ends the run.
  if (kind == 0 && below(state, 32) == 0) return (long)(draw(state) & 0xffffffff);
  if (kind < 40) return (long)(0x80000000 | below(state, 512));
  if (kind < 40000) return served[below(state, sizeof served / sizeof served[0])];
  return (long)below(state, 470);
}

// What a call takes, so that some come past the look at their first argument. A letter an argument:
// d a folder's descriptor or AT_FDCWD, f a descriptor, s a socket, p a path, o flags of open,
// b a buffer, a an address, l a length, i a small number; anything where there is no letter.
static const struct {
  long number;
  const char* kinds;
} kPlausible[] = {
    {SYS_openat, "dpoi"},      {SYS_open, "poi"},         {SYS_creat, "pi"},
    {SYS_openat2, "dpbl"},     {SYS_newfstatat, "dpbi"},  {SYS_statx, "dpiib"},
    {SYS_readlinkat, "dpbl"},  {SYS_getdents64, "fbl"},   {SYS_fchdir, "f"},
    {SYS_mkdirat, "dpi"},      {SYS_unlinkat, "dpi"},     {SYS_renameat2, "dpdpi"},
    {SYS_linkat, "dpdpi"},     {SYS_symlinkat, "pdp"},    {SYS_fchmodat, "dpi"},
    {SYS_truncate, "pl"},      {SYS_ftruncate, "fl"},     {SYS_fallocate, "fill"},
    {SYS_fcntl, "fii"},        {SYS_flock, "fi"},         {SYS_utimensat, "dpbi"},
    {SYS_socket, "iii"},       {SYS_bind, "sal"},         {SYS_connect, "sal"},
    {SYS_listen, "si"},        {SYS_accept4, "sbbi"},     {SYS_getsockname, "sbb"},
    {SYS_setsockopt, "siibl"}, {SYS_getsockopt, "siibb"}, {SYS_sendmsg, "sbi"},
    {SYS_mmap, "bliifl"},      {SYS_memfd_create, "pi"},  {SYS_prlimit64, "iibb"},
};

static int sockets[4];

static void make_sockets(void) {
  sockets[0] = socket(AF_UNIX, SOCK_STREAM, 0);
  sockets[1] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
  (void)socketpair(AF_UNIX, SOCK_STREAM, 0, sockets + 2);
}

static uint64_t plausible(uint64_t* state, char kind) {
  static const uint64_t flags[] = {O_RDONLY,  O_WRONLY,   O_RDWR,    O_CREAT,   O_TRUNC,
                                   O_APPEND,  O_EXCL,     O_PATH,    O_TMPFILE, O_DIRECTORY,
                                   O_CLOEXEC, O_NONBLOCK, O_NOFOLLOW};
  const size_t count = sizeof flags / sizeof flags[0];
  char* at = arena + (below(state, kArena - 2 * kPage) & ~15ULL);
  switch (kind) {
    case 'd':
      return below(state, 3) == 0 ? below(state, 24) : (uint64_t)AT_FDCWD;
    case 'f':
      return below(state, 24);
    case 's':
      return (uint64_t)sockets[below(state, 4)];
    case 'p':
      put_path(state, at, 512);
      return (uint64_t)at;
    case 'o':
      return flags[below(state, 3)] | flags[below(state, count)] | flags[below(state, count)];
    case 'b':
      return (uint64_t)at;
    case 'a':
      put_address(at, below(state, 4) != 0);
      return (uint64_t)at;
    case 'l':
      return below(state, 8) == 0 ? draw(state) >> below(state, 64) : below(state, 256);
    case 'i':
      return below(state, 8) == 0 ? 1ULL << below(state, 32) : below(state, 8);
    default:
      return argument(state);
  }
}

// Arguments for `which`: plausible ones for some calls half of the time.
static void draw_arguments(uint64_t* state, long which, uint64_t arguments[6]) {
  const char* kinds = "";
  for (size_t i = 0; i < sizeof kPlausible / sizeof kPlausible[0]; ++i) {
    if (kPlausible[i].number == which && below(state, 2) != 0) kinds = kPlausible[i].kinds;
  }
  for (int i = 0; i < 6; ++i) {
    const char kind = *kinds != '\0' ? *kinds++ : 'x';
    arguments[i] = plausible(state, below(state, 16) != 0 ? kind : 'x');
  }
}

static __thread sigjmp_buf again;  // where a thread goes on whose call took something from below it

static void on_signal(int signal) { (void)signal; }
static void on_fault(int signal) { siglongjmp(again, signal); }

// What others send wakes; what is one's own fault is left behind.
static void take_signals(void) {
  struct sigaction wake = {.sa_handler = on_signal};
  struct sigaction fault = {.sa_handler = on_fault, .sa_flags = SA_NODEFER};
  const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT};
  const int others[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGUSR1,   SIGUSR2, SIGTERM,
                        SIGXFSZ, SIGXCPU, SIGPROF, SIGVTALRM, SIGIO,   SIGPWR};
  for (size_t i = 0; i < sizeof faults / sizeof faults[0]; ++i) sigaction(faults[i], &fault, NULL);
  for (size_t i = 0; i < sizeof others / sizeof others[0]; ++i) sigaction(others[i], &wake, NULL);
  signal(SIGPIPE, SIG_IGN);
}

static void* caller(void* argument_of) {
  uint64_t state = (seed + 1 + (uint64_t)(uintptr_t)argument_of) * 0x9e3779b97f4a7c15ULL;
  for (int i = 0; i < 8; ++i) draw(&state);
  if (sigsetjmp(again, 1) != 0) (void)draw(&state);
  for (;;) {
    const long which = number(&state);
    if (is_avoided(&state, which)) continue;
    const int pid = getpid();
    uint64_t given[6];
    draw_arguments(&state, which, given);
    (void)syscall(which, given[0], given[1], given[2], given[3], given[4], given[5]);
    if (which == SYS_fork && getpid() != pid) {
      alarm(1);  // whatever becomes of the handler: the parent ends as well, and all ends with it
      (void)syscall(SYS_close_range, 16, 23, 0);
    }
    atomic_fetch_add_explicit(calls, 1, memory_order_relaxed);
  }
  return NULL;
}

// Starts threads, and wakes those that wait, for `seconds`.
static void run_threads(double seconds) {
  make_sockets();
  static pthread_t ids[kMostThreads];
  const double end = now() + seconds;
  int started = 0;
  for (int i = 0; i < threads && i < kMostThreads; ++i) {
    if (pthread_create(&ids[started], NULL, caller, (void*)(uintptr_t)i) == 0) ++started;
  }
  const struct timespec pause = {0, 10 * 1000 * 1000};
  while (now() < end) {
    clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    for (int i = 0; i < started; ++i) pthread_kill(ids[i], SIGUSR1);
  }
}

// Workers, each for a moment: whatever one does to itself, another comes.
static void run_processes(double seconds, int count) {
  const double end = now() + seconds;
  pid_t workers[kMost] = {0};
  double until[kMost] = {0};
  while (now() < end) {
    for (int i = 0; i < count && i < kMost; ++i) {
      if (workers[i] > 0 && now() > until[i]) (void)kill(workers[i], SIGKILL);
      if (workers[i] > 0 && waitpid(workers[i], NULL, WNOHANG) == 0) continue;
      seed += 1000;
      workers[i] = fork();
      if (workers[i] == 0) {
        pids[0] = getpid();
        setpgid(0, 0);  // so that kill(0, ...) does not reach the first process
        run_threads(seconds);
        _exit(0);
      }
      until[i] = now() + 0.3 + (double)(seed % 7) / 10;
    }
    usleep(10000);
    while (waitpid(-1, NULL, WNOHANG) > 0 && now() < end) continue;
  }
}

static void touch(void) {
  char address[sizeof(struct sockaddr_un)];
  for (int i = 0; i < path_count; ++i) {
    const int fd = open(paths[i], O_WRONLY | O_APPEND);
    atomic_fetch_add(calls, write(fd, "touched", 7) == 7);
  }
  for (int i = 1; i < pid_count; ++i) atomic_fetch_add(calls, kill((pid_t)pids[i], SIGUSR1) == 0);
  for (int kind = 0; kind < 2; ++kind) {
    const socklen_t length = put_address(address, kind);
    const int fd = socket(kind == 0 ? AF_INET : AF_UNIX, SOCK_STREAM, 0);
    atomic_fetch_add(calls, connect(fd, (struct sockaddr*)address, length) == 0);
  }
}

int main(int argc, char** argv) {
  if (argc < 7) return 2;
  seed = strtoull(argv[2], NULL, 0);
  const double seconds = strtod(argv[3], NULL);
  const int processes = atoi(argv[4]);
  threads = atoi(argv[5]);
  port = atoi(argv[6]);
  pids[pid_count++] = getpid();
  for (int i = 7; i < argc; ++i) {
    if (argv[i][0] == '/' && path_count < kMost) paths[path_count++] = argv[i];
    if (argv[i][0] != '/' && pid_count < kMost) pids[pid_count++] = atol(argv[i]);
  }
  calls = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  arena = mmap(NULL, kArena, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  edge = arena + kArena - kPage;
  if (calls == MAP_FAILED || arena == MAP_FAILED || mprotect(edge, kPage, PROT_NONE) != 0) return 2;
  take_signals();
  if (strcmp(argv[1], "touch") == 0) {
    touch();
  } else if (strcmp(argv[1], "alone") == 0) {
    run_threads(seconds);
  } else {
    run_processes(seconds, processes);
  }
  char line[32];
  const int length = snprintf(line, sizeof line, "%lu\n", atomic_load(calls));
  (void)!write(1, line, (size_t)length);
  _exit(0);
}
