// Enters 32-bit code by a road that is no system call, and makes a 32-bit one there: compat jump|frame PATH.
// Prints what opening PATH gave, back in 64-bit code.
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { kCode = 0, kStub = 64, kText = 256, kSize = 1 << 20, kCompat = 0x23 };

static char *low;

static __attribute__((noreturn)) void after(int result) {
  printf("%d\n", result);
  fflush(stdout);
  _exit(0);
}

static void put(size_t *at, const void *bytes, size_t size) {
  memcpy(low + *at, bytes, size);
  *at += size;
}

static void write_code(const char *path) {
  strcpy(low + kText, path);
  const uint32_t text = (uint32_t)(uintptr_t)(low + kText), stub = (uint32_t)(uintptr_t)(low + kStub);
  size_t at = kCode;
  put(&at, "\xb8\x05\0\0\0\xbb", 6);  // mov eax, open; mov ebx, text
  put(&at, &text, 4);
  put(&at, "\x31\xc9\x31\xd2\xcd\x80\xea", 7);  // xor ecx, ecx; xor edx, edx; int 0x80; ljmp 0x33:stub
  put(&at, &stub, 4);
  put(&at, "\x33\0", 2);
  const uint64_t target = (uint64_t)(uintptr_t)after;
  const uint32_t stack = (uint32_t)(uintptr_t)(low + kSize);  // of the other one, half is lost
  at = kStub;
  put(&at, "\x89\xc7\xbc", 3);  // mov edi, eax; mov esp, stack; mov rcx, target
  put(&at, &stack, 4);
  put(&at, "\x48\xb9", 2);
  put(&at, &target, 8);
  put(&at, "\xff\xd1", 2);  // call rcx
}

static void on_signal(int signal, siginfo_t *info, void *context) {
  (void)signal;
  (void)info;
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  registers[REG_CSGSFS] = (registers[REG_CSGSFS] & ~0xffffLL) | kCompat;
  registers[REG_RIP] = (greg_t)(uintptr_t)low;
}

int main(int argc, char **argv) {
  if (argc != 3) return 99;
  low = mmap(NULL, kSize, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  if (low == MAP_FAILED || strlen(argv[2]) > 1000) return 98;
  write_code(argv[2]);
  if (strcmp(argv[1], "frame") == 0) {
    struct sigaction action = {.sa_flags = SA_SIGINFO};
    action.sa_sigaction = on_signal;
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
  }
  __asm__ volatile("pushq %0\n\tpushq %1\n\tlretq" : : "r"((uint64_t)kCompat), "r"((uint64_t)(uintptr_t)low) : "memory");
  return 97;
}
