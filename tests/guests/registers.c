// A register of the program holds -EFBIG while a sibling thread sends it SIGXFSZ, once there is room in
// /tmp and once there is not. Prints how often the register was another one afterwards, and whether
// the signals arrived.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { kRounds = 40 };
static pid_t watcher;
static volatile int over, arrived;

static void count(int number) {
  (void)number;
  ++arrived;
}

static void fill(int fd) {
  static char bytes[1 << 20];
  while (write(fd, bytes, sizeof bytes) > 0) {
  }
}

static void* send(void* unused) {
  signal(SIGXFSZ, SIG_IGN);
  for (int i = 0; i < kRounds; ++i) {
    const int fd = open("/tmp/full", O_RDWR | O_CREAT, 0600);
    fill(fd);
    usleep(12000);
    unlink("/tmp/full");
    if (i % 2 == 0) close(fd);
    signal(SIGXFSZ, count);
    const int before = arrived;
    syscall(SYS_tgkill, getpid(), watcher, SIGXFSZ);
    for (int waited = 0; arrived == before && waited < 1000; ++waited) usleep(1000);
    signal(SIGXFSZ, SIG_IGN);
    if (i % 2 != 0) close(fd);
  }
  over = 1;
  return unused;
}

int main(void) {
  watcher = (pid_t)syscall(SYS_gettid);
  pthread_t thread;
  if (pthread_create(&thread, NULL, send, NULL) != 0) return 99;
  int changed = 0;
  while (!over) {
    long result = -EFBIG;
#ifdef __x86_64__
    __asm__ volatile(
        "mov $1000000, %%rcx\n"
        "1: cmp %1, %%rax\n jne 2f\n dec %%rcx\n jnz 1b\n"
        "2:"
        : "+a"(result)
        : "i"(-EFBIG)
        : "rcx", "cc");
#endif
    changed += result != -EFBIG;
  }
  pthread_join(thread, NULL);
  printf("changed %d, %s\n", changed, arrived > kRounds / 2 ? "arrived" : "lost");
  return 0;
}
