// A parent that waits in vfork(2), which no signal but SIGKILL interrupts, for a second and a half of
// its child's. Prints "ready" before and "on" behind it.
#include <time.h>
#include <unistd.h>

int main(void) {
  const struct timespec while_it_waits = {1, 500000000};
  if (write(1, "ready\n", 6) != 6) return 1;
  const pid_t child = vfork();
  if (child == 0) {
    nanosleep(&while_it_waits, NULL);
    _exit(0);
  }
  if (child < 0) return 2;
  return write(1, "on\n", 3) == 3 ? 0 : 1;
}
