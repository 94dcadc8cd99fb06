// Opens (or looks at) a path while a sibling thread changes it, back and forth, in the same memory:
//
//   flip open|stat|access PATH OTHER-LETTER CALLS [SECONDS [CHANGES]]
//
// Goes on for up to SECONDS (20) until both files were met: a busy machine may keep the thread that
// changes the path from its CPU for a while.
//
// The last letter of PATH becomes OTHER-LETTER and PATH's own again, CHANGES (a million) times and more. Prints
// how often the content (or size) was the one of PATH, of the other file, how often the call failed,
// and the number of changes: a supervisor that looks at the path and lets the kernel look again
// gives the other file away.
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char path[4096];
static volatile char *last;
static char own, other;
static atomic_ulong changes;
static atomic_int over;

static void *change(void *unused) {
  (void)unused;
  while (!atomic_load_explicit(&over, memory_order_relaxed)) {
    *last = other;
    atomic_fetch_add_explicit(&changes, 1, memory_order_relaxed);
    *last = own;
    atomic_fetch_add_explicit(&changes, 1, memory_order_relaxed);
  }
  return NULL;
}

// 'o' and 's' for the two files (their first letter, or an odd or even size), 0 for a failure.
static char look(const char *how) {
  if (strcmp(how, "open") == 0) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    char first = '?';
    if (read(fd, &first, 1) != 1) first = '?';
    close(fd);
    return first;
  }
  if (strcmp(how, "access") == 0) return access(path, R_OK) == 0 ? 'o' : 0;
  struct stat found;
  if (stat(path, &found) != 0) return 0;
  return found.st_size == 4 ? 'o' : 's';
}

int main(int argc, char **argv) {
  if (argc < 5 || strlen(argv[2]) >= sizeof path) return 99;
  strcpy(path, argv[2]);
  last = path + strlen(path) - 1;
  own = *last;
  other = argv[3][0];
  const unsigned long calls = strtoul(argv[4], NULL, 10);
  const unsigned long wanted = argc == 7 ? strtoul(argv[6], NULL, 10) : 1000000;
  pthread_t thread;
  if (pthread_create(&thread, NULL, change, NULL) != 0) return 98;
  unsigned long shown = 0, secret = 0, failed = 0;
  const time_t latest = time(NULL) + (argc >= 6 ? atoi(argv[5]) : 20);
  for (unsigned long i = 0; i < calls || atomic_load(&changes) < wanted ||
                            ((shown == 0 || secret + failed == 0) && time(NULL) < latest);
       ++i) {
    switch (look(argv[1])) {
      case 'o': ++shown; break;
      case 0: ++failed; break;
      default: ++secret;
    }
  }
  atomic_store(&over, 1);
  pthread_join(thread, NULL);
  printf("%lu %lu %lu %lu\n", shown, secret, failed, atomic_load(&changes));
  return 0;
}
