// Cost of one call, measured inside: bench_calls PATH COUNT FOLDER prints "name nanoseconds" lines. PATH
// is a file to look at, FOLDER one to write into.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void say(const char *name, double start, int count) {
  printf("%s %.0f\n", name, (now() - start) / count);
}

static int small_file(const char *folder, int number) {
  char name[256], text[512];
  snprintf(name, sizeof name, "%s/bench-%d-%d", folder, (int)getpid(), number);
  memset(text, 'x', sizeof text);
  int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0 || write(fd, text, sizeof text) != (ssize_t)sizeof text || close(fd) != 0) return -1;
  fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || read(fd, text, sizeof text) != (ssize_t)sizeof text || close(fd) != 0) return -1;
  return unlink(name);
}

int main(int argc, char **argv) {
  if (argc != 4) return 99;
  const char *path = argv[1];
  const int count = atoi(argv[2]);
  struct stat found;
  char byte[1] = "";

  double start = now();
  for (int i = 0; i < count; ++i) {
    if (stat(path, &found) != 0) return 98;
  }
  say("stat", start, count);

  start = now();
  for (int i = 0; i < count; ++i) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 97;
    close(fd);
  }
  say("open+close", start, count);

  const int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  start = now();
  for (int i = 0; i < count * 10; ++i) {
    if (read(zero, byte, 1) != 1) return 96;
  }
  say("read", start, count * 10);

  const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  start = now();
  for (int i = 0; i < count * 10; ++i) {
    if (write(null, byte, 1) != 1) return 95;
  }
  say("write", start, count * 10);

  start = now();
  for (int i = 0; i < 2000; ++i) {
    if (small_file(argv[3], i) != 0) return 94;
  }
  say("small-file", start, 2000);
  return 0;
}
