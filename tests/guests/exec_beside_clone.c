// exec_beside_clone PATH RUNS: while the first thread of a process asks for one thread too many,
// the second executes this program again, whose calls follow close upon each other. Other processes
// keep the supervisor busy. The executed program prints "reached" where a call on PATH, which is
// not shown, gave anything but ENOENT.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *self, *path;
static volatile int full;
static useconds_t pause_before;

static void* execute(void* unused) {
  while (!full) {
  }
  usleep(pause_before);
  char* words[] = {(char*)self, (char*)path, NULL};
  execv(self, words);
  return unused;
}

static void* sleep_on(void* unused) {
  pause();
  return unused;
}

static void* keep_busy(void* unused) {
  for (;;) (void)!open("/nonexistent", O_RDONLY);
  return unused;
}

static int try_calls(void) {
  struct stat found;
  int reached = 0;
  for (int i = 0; i < 300; ++i) reached += stat(path, &found) == 0 || errno != ENOENT;
  for (int i = 0; i < 300; ++i) reached += chmod(path, 0777) == 0 || errno != ENOENT;
  if (reached != 0) (void)!write(1, "reached\n", 8);
  return 0;
}

static void run_once(int number) {
  pthread_t thread;
  pause_before = 100 + (useconds_t)(number * 379) % 3000;
  if (pthread_create(&thread, NULL, execute, NULL) != 0) _exit(3);
  full = 1;
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 65536);
  for (;;) pthread_create(&thread, &small, sleep_on, NULL);
}

int main(int argc, char** argv) {
  self = argv[0];
  path = argv[1];
  if (argc == 2) return try_calls();
  const pid_t busy = fork();
  if (busy == 0) {
    pthread_t thread;
    for (int i = 0; i < 2; ++i) pthread_create(&thread, NULL, keep_busy, NULL);
    keep_busy(NULL);
  }
  for (int i = 0; i < atoi(argv[2]); ++i) {
    const pid_t pid = fork();
    if (pid == 0) run_once(i);
    if (pid > 0) waitpid(pid, NULL, 0);
  }
  kill(busy, SIGKILL);
  puts("done");
  return 0;
}
