// Makes the system calls that its arguments spell, one after the other, and prints each result:
//
//   calls [--int80] NUMBER [ARGUMENT...] [, NUMBER [ARGUMENT...]]...
//
// An argument is a number, `@TEXT` (the address of that string), `&SIZE` (the address of that many
// zero bytes), `ppid`, `pid`, or `r` (the result of the call before). All memory lies below 4 GiB, so
// that the same words serve the 32-bit entry, `int $0x80`.
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static char *low;  // bump allocator

static void *low_bytes(size_t size) {
  void *at = low;
  low += (size + 15) & ~(size_t)15;
  return at;
}

static inline __attribute__((always_inline)) long native(const long *a) {
#if defined(__x86_64__)
  long result;
  register long r10 __asm__("r10") = a[4];
  register long r8 __asm__("r8") = a[5];
  register long r9 __asm__("r9") = a[6];
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(a[0]), "D"(a[1]), "S"(a[2]), "d"(a[3]), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
#else
  const long result = syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
  return result < 0 ? -errno : result;
#endif
}

static long foreign(const long *a) {
#if defined(__x86_64__)
  long result;
  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "a"(a[0]), "b"(a[1]), "c"(a[2]), "d"(a[3]), "S"(a[4]), "D"(a[5])
                   : "r8", "r9", "r10", "r11", "memory");
  return (int)result;
#else
  (void)a;
  return -ENOSYS;
#endif
}

static long value_of(const char *word, long before) {
  if (word[0] == '@') return (long)strcpy(low_bytes(strlen(word)), word + 1);
  if (word[0] == '&') return (long)low_bytes(strtoul(word + 1, NULL, 0));
  if (strcmp(word, "ppid") == 0) return getppid();
  if (strcmp(word, "pid") == 0) return getpid();
  if (strcmp(word, "r") == 0) return before;
  return (long)strtoull(word, NULL, 0);
}

int main(int argc, char **argv) {
  low = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  if (low == MAP_FAILED) return 99;
  const pid_t self = getpid();
  int i = 1;
  const int compat = argc > 1 && strcmp(argv[1], "--int80") == 0;
  if (compat) ++i;
  long result = 0;
  while (i < argc) {
    long call[7] = {0};
    for (int n = 0; i < argc && strcmp(argv[i], ",") != 0; ++i, ++n) {
      if (n < 7) call[n] = value_of(argv[i], result);
    }
    ++i;
    result = compat ? foreign(call) : native(call);
    if (getpid() != self) _exit(0);  // the child of a fork that should not have been
    printf("%ld\n", result);
    fflush(stdout);
  }
  return 0;
}
