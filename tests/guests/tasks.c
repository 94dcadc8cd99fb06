// Lives of threads and processes that make a supervisor lose count: tasks HOW. Each prints "fine" when
// the program saw of it what a kernel alone would have shown.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static volatile sig_atomic_t seen;
static void count(int signal) {
  (void)signal;
  ++seen;
}

static int fine(int is) {
  printf(is ? "fine\n" : "wrong\n");
  fflush(stdout);
  return is ? 0 : 1;
}

static int descriptors(void) {
  int open_now = 0;
  for (int fd = 0; fd < 1024; ++fd) open_now += fcntl(fd, F_GETFD) >= 0;
  return open_now;
}

// A timer of 1 kHz in served calls, with SA_RESTART and without.
static int timer(int flags, double seconds) {
  struct sigaction action = {.sa_flags = flags};
  action.sa_handler = count;
  sigaction(SIGALRM, &action, NULL);
  const struct itimerval often = {{0, 1000}, {0, 1000}};
  const int before = descriptors();
  int wrong = 0;
  setitimer(ITIMER_REAL, &often, NULL);
  struct timespec start, now;
  clock_gettime(CLOCK_MONOTONIC, &start);
  do {
    for (int i = 0; i < 100; ++i) {
      struct stat status;
      const int fd = open("/dev/null", O_RDONLY);
      if (fd < 0 || fstat(fd, &status) != 0 || !S_ISCHR(status.st_mode) || close(fd) != 0) ++wrong;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while ((double)(now.tv_sec - start.tv_sec) + 1e-9 * (double)(now.tv_nsec - start.tv_nsec) < seconds);
  const struct itimerval never = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &never, NULL);
  return wrong == 0 && seen > 0 && descriptors() == before;
}

static void *nothing(void *unused) {
  (void)unused;
  access("/dev/null", F_OK);
  return NULL;
}

static int churn(int rounds) {
  for (int i = 0; i < rounds; ++i) {
    pthread_t threads[4];
    for (int t = 0; t < 4; ++t) {
      if (pthread_create(&threads[t], NULL, nothing, NULL) != 0) return 0;
    }
    for (int t = 0; t < 4; ++t) pthread_join(threads[t], NULL);
  }
  return 1;
}

static void *execute(void *path) {
  char *arguments[] = {path, "printed", NULL};
  execv(path, arguments);
  return NULL;
}

// In each child, two threads execute different programs at the same moment: one of them does.
static pthread_barrier_t together;

static void *execute_together(void *path) {
  char *arguments[] = {path, NULL};
  pthread_barrier_wait(&together);
  execv(path, arguments);
  return NULL;
}

static int race_to_execute(int rounds, char *one, char *other) {
  for (int i = 0; i < rounds; ++i) {
    const pid_t child = fork();
    if (child < 0) return 0;
    if (child == 0) {
      pthread_t threads[2];
      pthread_barrier_init(&together, NULL, 2);
      pthread_create(&threads[0], NULL, execute_together, one);
      pthread_create(&threads[1], NULL, execute_together, other);
      for (;;) pause();
    }
    int status;
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status)) return 0;
  }
  return 1;
}

static void *exit_soon(void *unused) {
  (void)unused;
  usleep(500 + (useconds_t)(getpid() % 2000));
  _exit(7);
}

// The group ends while its leader is made to perform calls that it did not make.
static int exit_beside(int rounds) {
  for (int i = 0; i < rounds; ++i) {
    const pid_t child = fork();
    if (child < 0) return 0;
    if (child == 0) {
      pthread_t thread;
      pthread_create(&thread, NULL, exit_soon, NULL);
      for (;;) {
        char *at = mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (at != MAP_FAILED) munmap(at, 4096);
      }
    }
    int status;
    if (waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 7) return 0;
  }
  return 1;
}

static void *after_leader(void *unused) {
  (void)unused;
  usleep(50000);
  struct stat status;
  const int fd = open("/dev/null", O_RDONLY);
  const int good = fd >= 0 && fstat(fd, &status) == 0 && access("/dev/null", R_OK) == 0 &&
                   kill(getpid(), 0) == 0;
  exit(fine(good));
}

static void on_trap(int signal, siginfo_t *info, void *context) {
  (void)signal;
  (void)info;
  ucontext_t *frame = context;
  frame->uc_mcontext.gregs[REG_EFL] &= ~0x100L;  // single steps end
  ++seen;
}

// Traps, single steps, forged siginfo.
static int traps(int rounds) {
  struct sigaction action = {.sa_flags = SA_SIGINFO};
  action.sa_sigaction = on_trap;
  sigaction(SIGTRAP, &action, NULL);
  siginfo_t forged;
  memset(&forged, 0, sizeof forged);
  forged.si_signo = SIGTRAP;
  forged.si_code = -1;
  for (int i = 0; i < rounds; ++i) {
    __asm__ volatile("int3");
    __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq; nop" ::: "memory", "cc");
    raise(SIGTRAP);
    syscall(SYS_rt_sigqueueinfo, getpid(), SIGTRAP, &forged);
    const int fd = open("/dev/null", O_RDONLY);
    if (fd < 0) return 0;
    close(fd);
  }
  return seen >= 4 * rounds;
}

// A handler changes a register of the frame that it returns to, right behind a supervised call.
static void on_frame(int signal, siginfo_t *info, void *context) {
  (void)signal;
  (void)info;
  ucontext_t *frame = context;
  frame->uc_mcontext.gregs[REG_R12] = 12345;
}

static int frames(int rounds) {
  struct sigaction action = {.sa_flags = SA_SIGINFO};
  action.sa_sigaction = on_frame;
  sigaction(SIGUSR2, &action, NULL);
  for (int i = 0; i < rounds; ++i) {
    long r12;
    long result;
    __asm__ volatile(
        "movq $0, %%r12\n\tsyscall\n\tmovq %%r12, %1"
        : "=a"(result), "=r"(r12)
        : "a"((long)SYS_tgkill), "D"((long)getpid()), "S"((long)getpid()), "d"((long)SIGUSR2)
        : "rcx", "r11", "r12", "memory");
    if (result != 0 || r12 != 12345) return 0;
  }
  return 1;
}

// Children that nobody waits for stay as zombies: how many does the run get?
static int zombies(int wanted) {
  int made = 0;
  for (; made < wanted; ++made) {
    const pid_t child = fork();
    if (child == 0) _exit(0);
    if (child < 0) break;
    siginfo_t info;
    waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT);
  }
  printf("%d\n", made);
  return 0;
}

static int sequential(int wanted) {
  for (int i = 0; i < wanted; ++i) {
    const pid_t child = fork();
    if (child == 0) _exit(7);
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 7) return 0;
  }
  return 1;
}

// A child is killed in the middle of served calls again and again: nobody else's are disturbed.
static int killed(int rounds) {
  for (int i = 0; i < rounds; ++i) {
    const pid_t child = fork();
    if (child < 0) return 0;
    if (child == 0) {
      for (;;) close(open("/dev/null", O_RDONLY));
    }
    usleep((useconds_t)(200 + 37 * i % 1000));
    kill(child, SIGKILL);
    int status;
    if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status)) return 0;
    for (int n = 0; n < 3; ++n) {
      const int fd = open("/dev/zero", O_RDONLY);
      char byte = 1;
      if (fd < 0 || read(fd, &byte, 1) != 1 || byte != 0) return 0;
      close(fd);
    }
  }
  return 1;
}

static int bomb(void) {
  for (int i = 0; i < 100000; ++i) {
    if (fork() < 0) usleep(100);
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 2) return 99;
  const char *how = argv[1];
  const int number = argc > 2 ? atoi(argv[2]) : 0;
  if (strcmp(how, "timer") == 0) return fine(timer(0, number) && timer(SA_RESTART, number));
  if (strcmp(how, "churn") == 0) return fine(churn(number));
  if (strcmp(how, "traps") == 0) return fine(traps(number));
  if (strcmp(how, "frames") == 0) return fine(frames(number));
  if (strcmp(how, "zombies") == 0) return zombies(number);
  if (strcmp(how, "sequential") == 0) return fine(sequential(number));
  if (strcmp(how, "killed") == 0) return fine(killed(number));
  if (strcmp(how, "bomb") == 0) return bomb();
  if (strcmp(how, "exit-beside") == 0) return fine(exit_beside(number));
  if (strcmp(how, "race") == 0) return fine(race_to_execute(number, argv[3], argv[4]));
  pthread_t thread;
  if (strcmp(how, "execute") == 0) {
    pthread_create(&thread, NULL, execute, argv[2]);
    pause();
  }
  if (strcmp(how, "leader") == 0) {
    pthread_create(&thread, NULL, after_leader, NULL);
    syscall(SYS_exit, 0);
  }
  return 98;
}
