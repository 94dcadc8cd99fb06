// Spends time where somebody might not look: hide HOW SECONDS. Says nothing, and ends after that time if it is let.
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds;
static const char *how;

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void spend(void) {
  const clockid_t clock = strstr(how, "spin") != NULL ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
  const double end = now(clock) + seconds;
  while (now(clock) < end) {
    if (clock == CLOCK_MONOTONIC) usleep(1000);
  }
}

static void *beside(void *unused) {
  (void)unused;
  spend();
  _exit(0);
}

// Of a process whose first thread is gone nearly nothing can be read any more.
static void without_leader(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, beside, NULL);
  syscall(SYS_exit, 0);
}

// The parent can be taken out of this wait by nothing but the child, or SIGKILL.
static void in_vfork(void) {
  if (vfork() == 0) {
    spend();
    _exit(0);
  }
}

// Nobody waits for these, and each ends before it is worth a look.
static void in_orphans(void) {
  const double whole = seconds;
  seconds = 0.005;
  for (double spent = 0; spent < whole; spent += seconds) {
    const pid_t child = fork();
    if (child < 0) continue;
    if (child == 0) {
      if (fork() == 0) spend();
      _exit(0);
    }
    waitpid(child, NULL, 0);
    usleep(6000);
  }
}

static void *brief(void *unused) {
  (void)unused;
  spend();
  return NULL;
}

static void in_threads(void) {
  const double end = now(CLOCK_MONOTONIC) + 3 * seconds;
  const double whole = seconds;
  seconds = 0.001;
  for (double spent = 0; spent < whole && now(CLOCK_MONOTONIC) < end; spent += seconds) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, brief, NULL) == 0) pthread_join(thread, NULL);
  }
}

// A child stops its parent, and itself; it would be continued by nobody.
static void stopped(void) {
  const pid_t parent = getpid();
  if (fork() == 0) {
    kill(parent, SIGSTOP);
    raise(SIGSTOP);
  }
  spend();
}

// The one thread that is not stopped alone keeps the process: a stop is of all of them.
static void stopped_without_leader(void) {
  if (fork() == 0) {
    usleep(50000);
    kill(getppid(), SIGSTOP);
    spend();
    kill(getppid(), SIGCONT);
    _exit(0);
  }
  without_leader();
}

int main(int argc, char **argv) {
  if (argc != 3) return 99;
  how = argv[1];
  seconds = atof(argv[2]);
  if (strncmp(how, "vfork", 5) == 0) in_vfork();
  if (strncmp(how, "leaderless", 10) == 0) without_leader();
  if (strcmp(how, "orphans-spin") == 0) in_orphans();
  if (strcmp(how, "threads-spin") == 0) in_threads();
  if (strcmp(how, "stopped") == 0) stopped();
  if (strcmp(how, "stopped-leaderless") == 0) stopped_without_leader();
  return 0;
}
