// enter: runs a command in a rebuilt environment: a seccomp filter, an identity and a view of the
// root around it, as a container engine would put them there.
//
//   enter [OPTIONS] -- COMMAND [ARG...]
//
//   --filter FILE      a filter in lines of words (below)
//   --listener         a listener of our own is held: the kernel gives no second one
//   --read-only        no folder of the host's can be written to
//   --tmpfs PATH=SIZE  an empty writable folder there (SIZE as tmpfs takes it); repeatable
//   --cover PATH       an empty read-only folder there; repeatable
//   --no-proc          nothing is mounted at /proc
//   --pid-namespace    the command is process 1, with a /proc of its own
//   --nofile N         RLIMIT_NOFILE, soft and hard
//   --caps MASK        what is left of the capability bounding set, hexadecimal
//   --uid N            real, effective and saved user and group; no further groups
//   --no-new-privs
//
// Lines of a filter, in this order (ACTION: allow, kill, or an errno's number):
//   default ACTION
//   foreign ACTION                       calls of the 32-bit and x32 ABIs
//   rule ACTION NAME [ARG MASK VALUE]... (arguments[ARG] & MASK) == VALUE; a name that libseccomp
//                                        does not know is left out, as engines do
//   rule-ne ACTION NAME ARG VALUE        arguments[ARG] != VALUE
// Needs root. Exit status: the command's own; 97 when the environment could not be built.
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kCannotBuild = 97, kMostMounts = 16 };

static const unsigned long long kEveryCapability = ~0ULL;

struct plan {
  FILE* filter;
  int listener, read_only, no_proc, pid_namespace, no_new_privs;
  const char* tmpfs[kMostMounts];
  const char* cover[kMostMounts];
  int tmpfs_count, cover_count;
  long nofile, uid;
  unsigned long long caps;
};

static void check(int worked, const char* what) {
  if (worked) return;
  fprintf(stderr, "enter: %s: %s\n", what, strerror(errno));
  exit(kCannotBuild);
}

// --- the view of the root

static void mount_tmpfs(const char* where, const char* options, unsigned long flags) {
  check(mount("tmpfs", where, "tmpfs", flags, options) == 0, where);
}

static void mount_sized(const char* text) {
  char path[256], options[256];
  const char* equals = strchr(text, '=');
  check(equals != NULL && equals - text < 256, "--tmpfs PATH=SIZE");
  snprintf(path, sizeof path, "%.*s", (int)(equals - text), text);
  snprintf(options, sizeof options, "size=%s,mode=1777", equals + 1);
  mount_tmpfs(path, options, MS_NOSUID | MS_NODEV);
}

static void build_view(const struct plan* plan) {
  const int namespaces = CLONE_NEWNS | (plan->pid_namespace ? CLONE_NEWPID : 0);
  check(unshare(namespaces) == 0, "unshare");
  check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "mount --make-rprivate");
}

static void fill_view(const struct plan* plan) {
  if (plan->pid_namespace) check(mount("proc", "/proc", "proc", 0, NULL) == 0, "mount /proc");
  for (int i = 0; i < plan->cover_count; ++i) mount_tmpfs(plan->cover[i], "mode=755", MS_RDONLY);
  if (plan->read_only) {
    check(mount("/", "/", NULL, MS_BIND | MS_REC, NULL) == 0, "bind /");
    check(chdir("/") == 0 && chroot(".") == 0, "chroot");
    const unsigned long flags = MS_BIND | MS_REMOUNT | MS_RDONLY;
    check(mount(NULL, "/", NULL, flags, NULL) == 0, "remount / read-only");
  }
  for (int i = 0; i < plan->tmpfs_count; ++i) mount_sized(plan->tmpfs[i]);
  if (plan->no_proc) mount_tmpfs("/proc", "mode=555", MS_RDONLY);
}

// --- the filter

static uint32_t action_of(const char* word) {
  if (strcmp(word, "allow") == 0) return SCMP_ACT_ALLOW;
  if (strcmp(word, "kill") == 0) return SCMP_ACT_KILL_PROCESS;
  return SCMP_ACT_ERRNO((uint16_t)atoi(word));
}

static void add_rule(scmp_filter_ctx filter, char* line, int unequal) {
  char* rest = NULL;
  const uint32_t action = action_of(strtok_r(line, " \n", &rest));
  const char* name = strtok_r(NULL, " \n", &rest);
  const int number = seccomp_syscall_resolve_name(name);
  if (number == __NR_SCMP_ERROR) return;
  struct scmp_arg_cmp conditions[6];
  unsigned count = 0;
  for (char* word; count < 6 && (word = strtok_r(NULL, " \n", &rest)) != NULL; ++count) {
    const unsigned argument = (unsigned)atoi(word);
    const scmp_datum_t first = strtoull(strtok_r(NULL, " \n", &rest), NULL, 0);
    conditions[count] = unequal ? SCMP_CMP64(argument, SCMP_CMP_NE, first)
                                : SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, first,
                                             strtoull(strtok_r(NULL, " \n", &rest), NULL, 0));
  }
  const int code = seccomp_rule_add_array(filter, action, number, count, conditions);
  errno = -code;
  check(code == 0 || code == -EACCES, name);  // EACCES: the default action
}

static void allow_foreign(scmp_filter_ctx filter, uint32_t action) {
  seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, action);
  if (action != SCMP_ACT_ALLOW) return;
  check(seccomp_arch_add(filter, SCMP_ARCH_X86) == 0, "seccomp_arch_add");
  check(seccomp_arch_add(filter, SCMP_ARCH_X32) == 0, "seccomp_arch_add");
}

static void load_filter(FILE* lines) {
  char line[256];
  scmp_filter_ctx filter = NULL;
  while (fgets(line, sizeof line, lines) != NULL) {
    char* rest = NULL;
    const char* word = strtok_r(line, " \n", &rest);
    if (word == NULL) continue;
    if (strcmp(word, "default") == 0) {
      filter = seccomp_init(action_of(strtok_r(NULL, " \n", &rest)));
      check(filter != NULL, "seccomp_init");
      seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
    } else if (strcmp(word, "foreign") == 0) {
      allow_foreign(filter, action_of(strtok_r(NULL, " \n", &rest)));
    } else {
      add_rule(filter, rest, strcmp(word, "rule-ne") == 0);
    }
  }
  fclose(lines);
  const int code = seccomp_load(filter);
  errno = -code;
  check(code == 0, "seccomp_load");
  seccomp_release(filter);
}

// Its descriptor stays open in the command, which nobody notifies: no call is listened to.
static void hold_listener(void) {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
  check(seccomp_rule_add(filter, SCMP_ACT_NOTIFY, SCMP_SYS(uselib), 0) == 0, "SCMP_ACT_NOTIFY");
  check(seccomp_load(filter) == 0, "seccomp_load");
  const int listener = seccomp_notify_fd(filter);
  check(dup2(listener, 20) == 20, "dup2");
}

// --- the identity

static void bound_capabilities(unsigned long long kept) {
  for (int capability = 0; capability < 64; ++capability) {
    if ((kept >> capability & 1) == 0) (void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
}

static void set_capabilities(unsigned long long kept) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct sets[2] = {{0}};
  for (int half = 0; half < 2; ++half) {
    sets[half].effective = sets[half].permitted = (uint32_t)(kept >> (32 * half));
  }
  check(syscall(SYS_capset, &header, sets) == 0, "capset");
}

static void set_identity(const struct plan* plan) {
  if (plan->uid >= 0) {
    check(setgroups(0, NULL) == 0, "setgroups");
    check(setresgid((gid_t)plan->uid, (gid_t)plan->uid, (gid_t)plan->uid) == 0, "setresgid");
    check(setresuid((uid_t)plan->uid, (uid_t)plan->uid, (uid_t)plan->uid) == 0, "setresuid");
  }
  if (plan->uid <= 0 && plan->caps != kEveryCapability) set_capabilities(plan->caps);
}

// --- options

static const char* value_of(int argc, char** argv, int* at) {
  check(++*at < argc, "an option without its value");
  return argv[*at];
}

static int read_options(int argc, char** argv, struct plan* plan) {
  int at = 1;
  for (; at < argc && strcmp(argv[at], "--") != 0; ++at) {
    const char* name = argv[at];
    if (strcmp(name, "--filter") == 0) {
      plan->filter = fopen(value_of(argc, argv, &at), "re");
      check(plan->filter != NULL, argv[at]);
    } else if (strcmp(name, "--listener") == 0)
      plan->listener = 1;
    else if (strcmp(name, "--read-only") == 0)
      plan->read_only = 1;
    else if (strcmp(name, "--no-proc") == 0)
      plan->no_proc = 1;
    else if (strcmp(name, "--pid-namespace") == 0)
      plan->pid_namespace = 1;
    else if (strcmp(name, "--no-new-privs") == 0)
      plan->no_new_privs = 1;
    else if (strcmp(name, "--nofile") == 0)
      plan->nofile = atol(value_of(argc, argv, &at));
    else if (strcmp(name, "--uid") == 0)
      plan->uid = atol(value_of(argc, argv, &at));
    else if (strcmp(name, "--caps") == 0)
      plan->caps = strtoull(value_of(argc, argv, &at), NULL, 16);
    else if (strcmp(name, "--tmpfs") == 0 && plan->tmpfs_count < kMostMounts)
      plan->tmpfs[plan->tmpfs_count++] = value_of(argc, argv, &at);
    else if (strcmp(name, "--cover") == 0 && plan->cover_count < kMostMounts)
      plan->cover[plan->cover_count++] = value_of(argc, argv, &at);
    else {
      errno = EINVAL;
      check(0, name);
    }
  }
  errno = EINVAL;
  check(at + 1 < argc, "no command");
  return at + 1;
}

// As process 1's parent: the command's status is ours.
static int wait_for(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0) check(errno == EINTR, "waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char** argv) {
  struct plan plan = {.nofile = -1, .uid = -1, .caps = kEveryCapability};
  const int command = read_options(argc, argv, &plan);
  build_view(&plan);
  if (plan.pid_namespace) {
    const pid_t child = fork();
    check(child >= 0, "fork");
    if (child > 0) return wait_for(child);
    check(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0, "PR_SET_PDEATHSIG");
  }
  fill_view(&plan);
  if (plan.nofile >= 0) {
    const struct rlimit limit = {(rlim_t)plan.nofile, (rlim_t)plan.nofile};
    check(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
  }
  bound_capabilities(plan.caps);
  if (plan.no_new_privs) check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
  if (plan.listener) hold_listener();
  if (plan.filter != NULL) load_filter(plan.filter);
  set_identity(&plan);
  execvp(argv[command], argv + command);
  check(0, argv[command]);
}
