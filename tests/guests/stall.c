// Holds the lock of its own memory for long, while a supervisor wants to read that: stall HOW GIB.
//   advice     by madvise(2)
//   mapping    by MAP_POPULATE
//   shared     by MAP_POPULATE of a shared mapping
// One thread fills page tables in a single call, another one wants to write to them all the time, so
// that readers queue behind it, and the main thread makes calls whose arguments lie in memory.
// Prints whether the first call worked, and ends behind it if it did.
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *how;
static size_t length;
static atomic_int filled;

static int fill(void) {
  const int zero = open("/dev/zero", O_RDONLY);
  const int kind = strcmp(how, "shared") == 0 ? MAP_SHARED : MAP_PRIVATE;
  const int flags = kind | MAP_NORESERVE | (strcmp(how, "advice") == 0 ? 0 : MAP_POPULATE);
  void *at = mmap(NULL, length, PROT_READ, flags, zero, 0);
  close(zero);
  if (at == MAP_FAILED) return 0;
  return strcmp(how, "advice") != 0 || madvise(at, length, MADV_POPULATE_READ) == 0;
}

static void *filler(void *unused) {
  filled = fill() ? 1 : -1;
  return unused;
}

static void *writer(void *unused) {
  while (filled != 1) {
    void *at = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(at, 4096);
  }
  return unused;
}

int main(int argc, char **argv) {
  if (argc != 3) return 99;
  how = argv[1];
  length = (size_t)atol(argv[2]) << 30;
  pthread_t threads[2];
  pthread_create(&threads[0], NULL, writer, NULL);
  usleep(1000);
  pthread_create(&threads[1], NULL, filler, NULL);
  int said = 0;
  while (filled != 1) {
    close(open("/etc/passwd", O_RDONLY));
    if (filled == -1 && !said) said = printf("refused\n"), fflush(stdout);
  }
  printf("filled\n");
  return 0;
}
