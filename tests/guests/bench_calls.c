// Cost of one call, measured inside: bench_calls PATH COUNT prints "name nanoseconds" lines.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc != 3) return 99;
  const char *path = argv[1];
  const int count = atoi(argv[2]);
  struct stat found;
  char byte[1];

  double start = now();
  for (int i = 0; i < count; ++i) {
    if (stat(path, &found) != 0) return 98;
  }
  printf("stat %.0f\n", (now() - start) / count);

  start = now();
  for (int i = 0; i < count; ++i) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 97;
    close(fd);
  }
  printf("open+close %.0f\n", (now() - start) / count);

  const int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  start = now();
  for (int i = 0; i < count * 10; ++i) {
    if (read(zero, byte, 1) != 1) return 96;
  }
  printf("read %.0f\n", (now() - start) / (count * 10));
  return 0;
}
