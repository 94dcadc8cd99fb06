// What shared anonymous mappings and connected pairs do, each line as a kernel alone would have it.
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const size_t kSize = 3 * 4096 + 100;

static void say(const char *what, long value) {
  printf("%s %ld %s\n", what, value, value < 0 ? strerror(errno) : "");
  fflush(stdout);
}

static char *map(size_t size, int protection, int flags) {
  return mmap(NULL, size, protection, flags | MAP_ANONYMOUS, -1, 0);
}

static void mappings(int may_fork) {
  char *at = map(kSize, PROT_READ | PROT_WRITE, MAP_SHARED);
  long sum = 0;
  for (int i = 0; i < 4 * 4096; ++i) sum += at[i];
  say("zero", sum);
  at[0] = 'a';
  at[4 * 4096 - 1] = 'z';
  say("last byte of the last page", at[4 * 4096 - 1]);
  if (may_fork) {
    const pid_t child = fork();
    if (child == 0) {
      at[1] = 'c';
      _exit(0);
    }
    waitpid(child, NULL, 0);
    say("a child's store", at[1]);
  }
  char *moved = mremap(at, 4 * 4096, 2 * 4096, 0);
  say("shrunk", moved == at);
  char *twin = mremap(at, 0, 4096, MREMAP_MAYMOVE);
  say("twin", twin != MAP_FAILED && twin != at && twin[0] == 'a');
  say("dropped", madvise(at, 4096, MADV_DONTNEED) == 0 && at[0] == 'a');
  say("removed", madvise(at, 4096, MADV_REMOVE) == 0 && at[0] == 0);
  say("protected", mprotect(at, 4096, PROT_READ));
  say("synchronised", msync(at, 4096, MS_SYNC));
  say("unmapped", munmap(at, 2 * 4096));

  char *fixed = map(8 * 4096, PROT_NONE, MAP_PRIVATE);
  say("fixed", mmap(fixed + 4096, 4096, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == fixed + 4096);
  fixed[4096] = 1;
  say("validated", map(4096, PROT_READ, MAP_SHARED_VALIDATE) != MAP_FAILED);
  say("reserved", map(4096, PROT_READ, MAP_SHARED | MAP_NORESERVE) != MAP_FAILED);
  say("no length", map(0, PROT_READ, MAP_SHARED) == MAP_FAILED ? -1 : 0);
  say("odd offset", syscall(9, 0, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 100));
  say("taken", mmap(fixed, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
                    0) == MAP_FAILED ? -1 : 0);
  int many = 0;
  for (int i = 0; i < 300; ++i) many += map(4096, PROT_READ | PROT_WRITE, MAP_SHARED) != MAP_FAILED;
  say("many", many);
  say("next descriptor", dup(0));  // none of them has left one behind

  char line[512], name[64] = "none";
  FILE *maps = fopen("/proc/self/maps", "r");
  while (fgets(line, sizeof line, maps) != NULL) {
    unsigned long start = 0, end = 0;
    sscanf(line, "%lx-%lx", &start, &end);
    if ((uintptr_t)fixed + 4096 >= start && (uintptr_t)fixed + 4096 < end) {
      sscanf(line, "%*s %*s %*s %*s %*s %63[^\n]", name);
    }
  }
  printf("name %s\n", name);
}

static void pairs(void) {
  const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_STREAM | SOCK_CLOEXEC,
                       SOCK_STREAM | SOCK_NONBLOCK, SOCK_STREAM | 0x4000000};
  for (size_t i = 0; i < sizeof types / sizeof *types; ++i) {
    int ends[2] = {-1, -1};
    const int made = socketpair(AF_UNIX, types[i], 0, ends);
    say("pair", made);
    if (made != 0) continue;
    char text[8] = "";
    struct sockaddr name;
    socklen_t size = sizeof name;
    say("numbers", ends[1] - ends[0]);
    say("inherited", fcntl(ends[0], F_GETFD) * 10 + fcntl(ends[1], F_GETFD));
    say("waits", fcntl(ends[1], F_GETFL) & O_NONBLOCK);
    say("sent", send(ends[0], "hello", 5, 0));
    say("received", recv(ends[1], text, sizeof text, 0));
    say("name", getsockname(ends[0], &name, &size) * 1000 + name.sa_family);
    say("half closed", shutdown(ends[0], SHUT_WR));
    say("end", recv(ends[1], text, sizeof text, 0));
    close(ends[0]);
    close(ends[1]);
  }
  int ends[2];
  say("protocol", socketpair(AF_UNIX, SOCK_STREAM, 7, ends));
  say("nowhere", socketpair(AF_UNIX, SOCK_STREAM, 0, NULL));
  say("next descriptor", dup(0));  // a failed one leaves nothing behind
}

int main(int argc, char **argv) {
  (void)argv;
  mappings(argc > 1);
  pairs();
  return 0;
}
