// Keeps the supervisor busy from many threads at once: flood HOW THREADS SECONDS.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const char *how;
static double until;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void skip(int signal) { (void)signal; }

static void on_trap(int signal, siginfo_t *info, void *context) {
  (void)signal;
  (void)info;
  (void)context;
}

static void *work(void *unused) {
  (void)unused;
  unsigned long n = 600;
  while (now() < until) {
    for (int i = 0; i < 100; ++i) {
      if (how[0] == 'c') access("/nothing/here", F_OK);
      if (how[0] == 't') __asm__ volatile("int3");
      if (how[0] == 'u') syscall((long)n++);
    }
  }
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 4) return 99;
  how = argv[1];
  until = now() + atof(argv[3]);
  signal(SIGUSR1, skip);
  struct sigaction trap = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
  sigaction(SIGTRAP, &trap, NULL);
  pthread_t thread;
  for (int i = 1; i < atoi(argv[2]); ++i) pthread_create(&thread, NULL, work, NULL);
  work(NULL);
  printf("done\n");
  return 0;
}
