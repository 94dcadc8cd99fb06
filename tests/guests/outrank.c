// Installs a filter of its own whose listener lets every open go on: outrank PATH. Of two listeners the later
// one alone is asked (kernel/seccomp.c, seccomp_run_filters). Prints what each step gave and what PATH held.
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct sock_filter opens[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};
static struct sock_filter all[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};

static volatile int listener = -1;
static volatile int asked;

static void *answer(void *unused) {
  (void)unused;
  while (listener < 0) usleep(1000);
  for (;;) {
    struct seccomp_notif call;
    memset(&call, 0, sizeof call);
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) continue;
    ++asked;
    struct seccomp_notif_resp go_on = {call.id, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &go_on);
  }
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 2) return 99;
  pthread_t thread;
  const int started = pthread_create(&thread, NULL, answer, NULL);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  const struct sock_fprog lets_all = {1, all}, lets_opens = {4, opens};
  const long plain = prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &lets_all, 0, 0);
  printf("%d prctl %d\n", started, plain == 0 ? 0 : errno);
  const long quiet = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &lets_all);
  printf("filter %d\n", quiet == 0 ? 0 : errno);
  const long own = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &lets_opens);
  printf("listener %d\n", own >= 0 ? 0 : errno);
  listener = (int)own;
  const int fd = openat(AT_FDCWD, argv[1], O_RDONLY);
  char text[64] = "nothing";
  if (fd >= 0) text[read(fd, text, sizeof text - 1)] = 0;
  printf("asked %d read %s\n", asked, text);
  fflush(stdout);
  _exit(0);
}
