// Attacks the calls that the supervisor makes a task perform: injected HOW.
//   spin       a sibling rewrites the system call instruction while it is stepped back onto, to one
//              that goes nowhere
//   pending    the same, when the user's queue of signals (RLIMIT_SIGPENDING) is as full as it gets
//   starve     as spin, of a task that hardly gets a CPU beside its own siblings
//   foreign    to one that makes a call of the 32-bit ABI
//   detour     to one that makes another call, and returns with its result
//   stop       a sibling stops and continues the process all the time
//   channel    the descriptor that others arrive by is read, closed, hidden by all roads
// Prints "opened N" for the opens that worked.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static unsigned char *text;  // syscall; ret
static atomic_int inside;
static atomic_int over;

static long call_text(long number, long a, long b, long c) {
  long result;
  register long r10 __asm__("r10") = 0;
  __asm__ volatile("call *%5"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(text), "r"(r10)
                   : "rcx", "r11", "memory");
  return result;
}

static const unsigned char kCall[2] = {0x0f, 0x05};
static const unsigned char kSpin[2] = {0xeb, 0xfe};
static const unsigned char kForeign[2] = {0xcd, 0x80};
static const unsigned char kDetour[2] = {0xeb, 0x1e};  // to where kOtherCall lies
static const unsigned char kOtherCall[] = {0xb8, SYS_getpid, 0, 0, 0, 0x0f, 0x05, 0xc3};
static const unsigned char *other;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// Most rewrites are short; natively the caller only goes round a little longer. Every so often one
// lasts, as long as the command line says.
static double lasting;
static void *rewrite(void *unused) {
  (void)unused;
  unsigned seed = 1;
  while (!over) {
    while (!inside && !over) {
    }
    seed = seed * 1103515245 + 12345;
    for (volatile unsigned i = 0; i < (seed >> 16) % 4000; ++i) {
    }
    if (over) break;
    memcpy(text, other, 2);
    const double until = now() + lasting;
    while (inside && now() < until) {
    }
    memcpy(text, kCall, 2);
    while (inside && !over) {
    }
  }
  return NULL;
}

// The page that the supervisor maps for its messages is unmapped, so that the next one is mapped by
// one more call. It is known by what lies in it: a message header that points into itself.
static char *message_page(void) {
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[512], *found = NULL;
  while (maps != NULL && found == NULL && fgets(line, sizeof line, maps) != NULL) {
    unsigned long from, to;
    if (strstr(line, "rw-p") == NULL || strchr(line, '[') != NULL || strchr(line, '/') != NULL) continue;
    if (sscanf(line, "%lx-%lx", &from, &to) != 2) continue;
    for (unsigned long at = from; at < to && found == NULL; at += 4096) {
      const uint64_t *words = (const uint64_t *)at;
      if (words[2] == at + 56 && words[3] == 1) found = (char *)at;
    }
  }
  if (maps != NULL) fclose(maps);
  return found;
}

static void forget_page(void) {
  static char *page;
  unsigned char present;
  if (page == NULL) page = message_page();
  if (page != NULL && mincore(page, 4096, &present) == 0) munmap(page, 4096);
}

// Not open: that number is another call's, in the ABI of `int $0x80`, and no harmless one's.
static int rewriting(const unsigned char *instruction, double seconds, double hold) {
  other = instruction;
  lasting = hold;
  text = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (text == MAP_FAILED) return 97;
  memcpy(text, kCall, 2);
  text[2] = 0xc3;
  memcpy(text + 0x20, kOtherCall, sizeof kOtherCall);
  pthread_t thread;
  pthread_create(&thread, NULL, rewrite, NULL);
  const double end = now() + seconds;
  int opened = 0;
  while (now() < end) {
    // An execution whose arguments cannot be read comes back.
    inside = 1;
    call_text(SYS_execve, (long)"/bin/true", 8, 0);
    inside = 0;
    usleep(10);
    // An open needs a page for its message first.
    inside = 1;
    const long fd = call_text(SYS_openat, AT_FDCWD, (long)"/dev/null", O_RDONLY);
    inside = 0;
    usleep(10);
    if (fd >= 0) {
      ++opened;
      close((int)fd);
    }
    forget_page();
  }
  over = 1;
  printf("opened %d\n", opened > 0);
  return 0;
}

static void *busy(void *unused) {
  while (!over) {
  }
  return unused;
}

static int starving(void) {
  pthread_t thread;
  if (setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 19) != 0) return 96;
  for (int i = 0; i < 4; ++i) pthread_create(&thread, NULL, busy, NULL);
  return rewriting(kSpin, 6, 60);
}

// Each timer holds a place in the queue, which the kernel counts by user (timer_create(2)).
static int filling(void) {
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
  while (timer_create(CLOCK_MONOTONIC, &event, &timer) == 0) {
  }
  if (errno != EAGAIN) return 95;
  return rewriting(kSpin, 6, 20);
}

static void *stop_and_go(void *unused) {
  (void)unused;
  while (!over) {
    kill(getpid(), SIGSTOP);
    usleep(100);
  }
  return NULL;
}

static int stopping(void) {
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) {  // goes on with what is stopped
    for (;;) {
      kill(parent, SIGCONT);
      usleep(50);
    }
  }
  if (child < 0) return 97;
  pthread_t thread;
  pthread_create(&thread, NULL, stop_and_go, NULL);
  int opened = 0;
  for (int i = 0; i < 300; ++i) {
    const int fd = open("/dev/null", O_RDONLY);
    if (fd >= 0) ++opened;
    close(fd);
  }
  over = 1;
  pthread_join(thread, NULL);
  kill(child, SIGKILL);
  printf("opened %d\n", opened);
  return 0;
}

static void *steal(void *unused) {
  (void)unused;
  char data[64], control[256];
  while (!over) {
    struct iovec part = {data, sizeof data};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
                             .msg_controllen = sizeof control};
    if (recvmsg(1024, &message, MSG_DONTWAIT) > 0) {
      const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
      int fd = -1;
      if (header != NULL) memcpy(&fd, CMSG_DATA(header), sizeof fd);
      if (fd > 2) close(fd);
    }
  }
  return NULL;
}

static int channel(void) {
  printf("close %d\n", close(1024) == 0 ? 0 : errno);
  printf("range %ld\n", syscall(SYS_close_range, 1024, ~0u, 0));
  printf("all %ld\n", syscall(SYS_close_range, 3, ~0u, 0));
  printf("dup2 %d\n", dup2(0, 1024) >= 0 ? 0 : errno);
  printf("dup3 %d\n", dup3(0, 1024, 0) >= 0 ? 0 : errno);
  printf("dupfd %d\n", fcntl(0, F_DUPFD, 1024) >= 0 ? 0 : errno);
  pthread_t thread;
  pthread_create(&thread, NULL, steal, NULL);
  int opened = 0, wrong = 0;
  for (int i = 0; i < 2000; ++i) {
    const int fd = open("/dev/null", O_RDONLY);
    if (fd < 0) continue;
    ++opened;
    if (fd < 3 || fd >= 1024) ++wrong;
    close(fd);
  }
  over = 1;
  pthread_join(thread, NULL);
  const int last = open("/dev/null", O_RDONLY);
  printf("wrong %d\nlast %d\n", wrong, last >= 0);
  (void)opened;
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 2) return 99;
  if (strcmp(argv[1], "spin") == 0) return rewriting(kSpin, 6, 6);
  if (strcmp(argv[1], "pending") == 0) return filling();
  if (strcmp(argv[1], "starve") == 0) return starving();
  if (strcmp(argv[1], "foreign") == 0) return rewriting(kForeign, 1, 0.001);
  if (strcmp(argv[1], "detour") == 0) return rewriting(kDetour, 3, 0.001);
  if (strcmp(argv[1], "stop") == 0) return stopping();
  if (strcmp(argv[1], "channel") == 0) return channel();
  return 98;
}
