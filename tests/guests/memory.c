// Holds memory where the kernel does not charge it to the data segment, then says how much it thinks it
// got: memory HOW MEBIBYTES. A shared mapping whose pages are no longer mapped is still held.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const size_t kPiece = 16u << 20;

static pid_t others[8];
static useconds_t linger = 300000;

static void done(size_t held) {
  printf("%zu\n", held >> 20);
  fflush(stdout);
  usleep(linger);  // for what only finds it afterwards
  for (int i = 0; i < 8; ++i) {
    if (others[i] > 0) kill(others[i], SIGKILL);
  }
  _exit(0);
}

static void touch(char *at, size_t size) {
  for (size_t i = 0; i < size; i += 4096) at[i] = 1;
}

// --- shared mappings: the pages stay when the page tables forget them.
static void shared(size_t wanted, int fd, int forget) {
  size_t held = 0;
  const int flags = fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
  while (held < wanted) {
    char *at = mmap(NULL, kPiece, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (at == MAP_FAILED) break;
    touch(at, kPiece);
    if (forget == 1) madvise(at, kPiece, MADV_DONTNEED);
    if (forget == 2) munmap(at + 4096, kPiece - 4096);
    held += kPiece;
  }
  done(held);
}

static void by_zero(size_t wanted) {
  const int fd = open("/dev/zero", O_RDWR);
  if (fd < 0) done(0);
  shared(wanted, fd, 1);
}

// --- the leader is gone: its entries below /proc say nothing.
static size_t wanted_by_thread;
static void *after_leader(void *unused) {
  (void)unused;
  usleep(100000);
  shared(wanted_by_thread, -1, 0);
  return NULL;
}

static void leaderless(size_t wanted) {
  pthread_t thread;
  wanted_by_thread = wanted;
  pthread_create(&thread, NULL, after_leader, NULL);
  syscall(SYS_exit, 0);
}

// --- every open makes a copy of what the file says.
static void snapshots(size_t wanted) {
  for (int i = 0; i < 20000; ++i) {
    mmap(NULL, 4096, i % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  size_t held = 0;
  while (held < wanted) {
    const int fd = open("/proc/self/maps", O_RDONLY);
    if (fd < 0) break;
    const off_t size = lseek(fd, 0, SEEK_END);
    if (size > 0) {
      held += (size_t)size;
    } else {
      break;  // natively it has no size: the control reads instead
    }
  }
  done(held);
}

static void sockets(size_t wanted) {
  size_t held = 0;
  char block[4096] = {0};
  while (held < wanted) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) break;
    for (int i = 0; i < 2; ++i) {
      ssize_t put;
      while ((put = send(ends[i], block, sizeof block, MSG_DONTWAIT)) > 0) held += (size_t)put;
    }
  }
  done(held);
}

// The connecting ends are closed, the others wait to be accepted and hold what was sent.
static void connections(size_t wanted) {
  size_t held = 0;
  char block[4096] = {0};
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "memory-%d", (int)getpid());
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *)&name, sizeof name) != 0 || listen(listener, 4096) != 0) {
    done(0);
  }
  while (held < wanted) {
    int end = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (end < 0 || connect(end, (struct sockaddr *)&name, sizeof name) != 0) break;
    ssize_t put;
    while ((put = send(end, block, sizeof block, MSG_DONTWAIT)) > 0) held += (size_t)put;
    close(end);
  }
  done(held);
}

// Both ends of each pair wait in the queue of another one: no descriptor shows them any more.
static void in_flight(size_t wanted) {
  size_t held = 0;
  char block[4096] = {0};
  int carrier[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, carrier) != 0) done(0);
  while (held < wanted) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) break;
    for (int i = 0; i < 2; ++i) {
      ssize_t put;
      while ((put = send(ends[i], block, sizeof block, MSG_DONTWAIT)) > 0) held += (size_t)put;
    }
    char byte = 0;
    struct iovec data = {&byte, 1};
    union {
      char bytes[CMSG_SPACE(2 * sizeof(int))];
      struct cmsghdr align;
    } control;
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(2 * sizeof(int));
    memcpy(CMSG_DATA(header), ends, 2 * sizeof(int));
    if (sendmsg(carrier[0], &message, MSG_DONTWAIT) < 0) break;
    close(ends[0]);
    close(ends[1]);
  }
  done(held);
}

static void pipes(size_t wanted) {
  size_t held = 0;
  char block[4096] = {0};
  while (held < wanted) {
    int ends[2];
    if (pipe2(ends, O_NONBLOCK) != 0) break;
    ssize_t put;
    while ((put = write(ends[1], block, sizeof block)) > 0) held += (size_t)put;
  }
  done(held);
}

// --- sparse files, filled through mappings: no write that a limit on files could refuse. All of them
// are there before the first is filled: one more in a full folder would be refused.
static void sparse(size_t wanted) {
  char *pieces[64];
  size_t count = 0, held = 0;
  for (; count < sizeof pieces / sizeof *pieces && count * kPiece < wanted; ++count) {
    char name[32];
    snprintf(name, sizeof name, "/tmp/sparse%zu", count);
    const int fd = open(name, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)kPiece) != 0) break;
    pieces[count] = mmap(NULL, kPiece, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    unlink(name);
    if (pieces[count] == MAP_FAILED) break;
  }
  for (size_t i = 0; i < count; ++i, held += kPiece) touch(pieces[i], kPiece);
  done(held);
}

static void memfds(size_t wanted) {
  size_t held = 0;
  while (held < wanted) {
    const int fd = (int)syscall(SYS_memfd_create, "m", 0);
    if (fd < 0 || ftruncate(fd, (off_t)kPiece) != 0) break;
    char *at = mmap(NULL, kPiece, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) break;
    touch(at, kPiece);
    munmap(at, kPiece);
    held += kPiece;
  }
  done(held);
}

// --- a name of a memory file (O_PATH) is no open description of it, and holds it all the same.
static int open_name(int fd) {
  char path[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  return open(path, O_PATH);
}

static size_t held_by_names(void) {
  size_t held = 0;
  for (int fd = 0; fd < 1000; ++fd) {
    struct stat seen;
    if (fstat(fd, &seen) == 0 && (size_t)seen.st_size == kPiece) held += (size_t)seen.st_blocks * 512;
  }
  return held;
}

static void named_files(size_t wanted) {
  for (size_t i = 0; i < wanted / kPiece; ++i) {
    const int fd = (int)syscall(SYS_memfd_create, "m", 0);
    if (fd < 0 || ftruncate(fd, (off_t)kPiece) != 0) break;
    char *at = mmap(NULL, kPiece, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) break;
    const int name = open_name(fd);
    close(fd);
    if (name >= 0) touch(at, kPiece);
    munmap(at, kPiece);
  }
  done(held_by_names());
}

// A sibling copies the descriptor that for a moment stands behind a shared mapping.
static int first_free;
static volatile size_t wanted_names, names_held, names_refused;

static void *keep_names(void *unused) {
  (void)unused;
  while (names_held < wanted_names) {
    const int copy = dup(first_free);
    if (copy < 0) continue;
    if (open_name(copy) >= 0) {
      ++names_held;
    } else {
      ++names_refused;
    }
    close(copy);
  }
  return NULL;
}

static void names(size_t wanted) {
  pthread_t thread;
  first_free = dup(0);
  close(first_free);
  wanted_names = wanted / kPiece;
  pthread_create(&thread, NULL, keep_names, NULL);
  const time_t start = time(NULL);
  while (names_held < wanted_names && names_refused < 2 * wanted_names && time(NULL) < start + 3) {
    const size_t before = names_held;
    char *at = mmap(NULL, kPiece, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) continue;
    usleep(100);
    if (names_held > before) touch(at, kPiece);
    munmap(at, kPiece);
  }
  done(held_by_names());
}

// --- private memory behind calls that move or grow mappings
static void growing(size_t wanted) {
  size_t size = kPiece;
  char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) done(0);
  touch(at, size);
  while (size < wanted) {
    char *moved = mremap(at, size, size + kPiece, MREMAP_MAYMOVE);
    if (moved == MAP_FAILED) break;
    at = moved;
    touch(at + size, kPiece);
    size += kPiece;
  }
  done(size);
}

static void stack(size_t wanted) {
  const struct rlimit most = {RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_STACK, &most);
  volatile char *at = (volatile char *)__builtin_frame_address(0);
  size_t held = 0;
  while (held < wanted) {
    at -= 4096;
    *at = 1;
    held += 4096;
  }
  done(held);
}

static void tables(size_t wanted) {
  size_t held = 0;
  while (held < wanted) {
    // One page of tables for each 2 MiB that is touched once, read only: no data segment.
    char *at = mmap(NULL, (size_t)1 << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) break;
    madvise(at, (size_t)1 << 30, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < (size_t)1 << 30; i += 2u << 20) {
      (void)*(volatile char *)(at + i);
      held += 4096;
    }
  }
  done(held);
}

static void children(size_t wanted) {
  const size_t each = wanted / 8;
  int ready[2];
  if (pipe(ready) != 0) done(0);
  for (int i = 0; i < 8; ++i) {
    const pid_t child = fork();
    if (child < 0) break;
    others[i] = child;
    if (child == 0) {
      char *at = mmap(NULL, each, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (at != MAP_FAILED) {
        touch(at, each);
        (void)!write(ready[1], "x", 1);
      }
      pause();
    }
  }
  close(ready[1]);
  fcntl(ready[0], F_SETFL, O_NONBLOCK);
  size_t held = 0;
  char byte;
  for (int i = 0; i < 100 && held < 8; ++i) {
    while (read(ready[0], &byte, 1) == 1) ++held;
    usleep(10000);
  }
  done(held * each);
}

// Shared mappings of several processes, none of which has more than a part.
static void shared_children(size_t wanted) {
  const size_t each = wanted / 8;
  int go[2], ready[2];
  if (pipe(go) != 0 || pipe(ready) != 0) done(0);
  for (int i = 0; i < 8; ++i) {
    const pid_t child = fork();
    if (child < 0) break;
    others[i] = child;
    if (child == 0) {
      char *at = mmap(NULL, each, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
      char byte;
      close(go[1]);
      (void)!read(go[0], &byte, 1);
      if (at != MAP_FAILED) {
        touch(at, each);
        (void)!write(ready[1], "x", 1);
      }
      pause();
    }
  }
  usleep(100000);
  close(go[1]);
  fcntl(ready[0], F_SETFL, O_NONBLOCK);
  size_t held = 0;
  char byte;
  for (int i = 0; i < 100 && held < 8; ++i) {
    while (read(ready[0], &byte, 1) == 1) ++held;
    usleep(10000);
  }
  done(held * each);
}

// Every way at once, each in a process of its own that has a part of it.
static void together(size_t wanted) {
  static void (*const ways[])(size_t) = {pipes, sockets, in_flight, sparse, memfds, named_files, growing, stack,
                                         by_zero, tables};
  enum { kWays = sizeof ways / sizeof *ways };
  pid_t each[kWays];
  linger = 1500000;
  for (int i = 0; i < kWays; ++i) {
    each[i] = fork();
    if (each[i] == 0) ways[i](wanted / kWays);
  }
  for (int i = 0; i < kWays; ++i) {
    if (each[i] > 0) waitpid(each[i], NULL, 0);
  }
  _exit(0);
}

int main(int argc, char **argv) {
  if (argc != 3) return 99;
  const char *how = argv[1];
  const size_t wanted = strtoul(argv[2], NULL, 10) << 20;
  if (strcmp(how, "shared") == 0) shared(wanted, -1, 0);
  if (strcmp(how, "forgotten") == 0) shared(wanted, -1, 1);
  if (strcmp(how, "trimmed") == 0) shared(wanted, -1, 2);
  if (strcmp(how, "zero") == 0) by_zero(wanted);
  if (strcmp(how, "leaderless") == 0) leaderless(wanted);
  if (strcmp(how, "snapshots") == 0) snapshots(wanted);
  if (strcmp(how, "sockets") == 0) sockets(wanted);
  if (strcmp(how, "connections") == 0) connections(wanted);
  if (strcmp(how, "in-flight") == 0) in_flight(wanted);
  if (strcmp(how, "sparse") == 0) sparse(wanted);
  if (strcmp(how, "pipes") == 0) pipes(wanted);
  if (strcmp(how, "memfds") == 0) memfds(wanted);
  if (strcmp(how, "names") == 0) names(wanted);
  if (strcmp(how, "named-files") == 0) named_files(wanted);
  if (strcmp(how, "growing") == 0) growing(wanted);
  if (strcmp(how, "stack") == 0) stack(wanted);
  if (strcmp(how, "tables") == 0) tables(wanted);
  if (strcmp(how, "children") == 0) children(wanted);
  if (strcmp(how, "together") == 0) together(wanted);
  if (strcmp(how, "shared-children") == 0) shared_children(wanted);
  return 98;
}
