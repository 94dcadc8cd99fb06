"""Every kernel call that the launcher, the backends and the broker make fails in turn, for all of vitrine's
processes (a filter around them): the command never runs without its walls, and nothing hangs or is left."""

import errno

from harness import *
from harness import find_guests

LAUNCH = """setsid chdir umask prlimit64 setrlimit getrlimit setgroups setresgid setresuid capset prctl
landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp dup2 dup3 fcntl close_range
rt_sigprocmask rt_sigaction execveat ioctl pipe2 socketpair""".split()
SUPERVISE = """ptrace process_vm_readv process_vm_writev ppoll poll signalfd4 sched_setaffinity
sched_getaffinity timer_create timer_settime splice tee openat2 statx wait4 waitid pidfd_open memfd_create kill
tgkill faccessat2 readlinkat readlink newfstatat pread64 pwrite64 ftruncate fallocate getdents64 fstatfs
statfs sendmsg recvmsg shutdown clock_gettime epoll_create1 epoll_wait nanosleep clock_nanosleep getrandom""".split()
ERRORS = (errno.EPERM, errno.ENOSYS, errno.EIO) if os.environ.get("VITRINE_LONG") else (errno.EPERM,)

# A secret, a socket, a process, somebody else's life: what walls stand before.
WORDS = "257 -100 @/etc/shadow 0 , 41 2 1 0 , 57 , 62 1 0".split()
WALLS = [-errno.ENOENT, -errno.EACCES, -errno.EAGAIN, -errno.EPERM]


def can_enter():
    if os.getuid() != 0:
        return "a filter around vitrine's own start takes root"
    done = subprocess.run([os.path.join(find_guests(), "enter"), "--", "true"], capture_output=True)
    return "" if done.returncode == 0 else "no mount namespace here"


@unittest.skipIf(can_enter(), can_enter())
class Faults(Case):
    def attempt(self, shop, backend, rules):
        """What the command found, or None where nothing of it ran."""
        report = shop.file("report.json", "", 0o666)
        filter_file = shop.file("rules", "default allow\nforeign allow\n" + rules)
        line = [os.path.join(find_guests(), "enter"), "--pid-namespace", "--filter", filter_file, "--",
                shop.vitrine, "-q", "--backend", backend, "--wall", "5s", "--report", report, "--",
                shop.guest("calls"), *WORDS]
        start = time.monotonic()
        done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        seconds = time.monotonic() - start
        found = [int(text) for text in done.stdout.split()]
        return done.returncode, found, seconds, done.stderr

    def fails(self, calls, backend, shop, error):
        wrong = []
        for call in calls:
            try:
                status, found, seconds, err = self.attempt(shop, backend, f"rule {error} {call}\n")
            except subprocess.TimeoutExpired:
                wrong.append((call, "hangs"))
                continue
            if found and found != WALLS[:len(found)]:
                wrong.append((call, found))
            if not found and status == 0:
                wrong.append((call, "nothing ran, status 0"))
            if seconds > 15:
                wrong.append((call, "late", seconds))
            if b"Sanitizer" in err or status in (128 + signal.SIGSEGV, 128 + signal.SIGABRT):
                wrong.append((call, err[-300:]))
        self.assertEqual(wrong, [])

    def test_without_a_fault_it_runs(self):
        def check(shop, backend):
            status, found, _, err = self.attempt(shop, backend, "")
            self.assertEqual((status, found, err), (0, WALLS, b""))
        self.everywhere(check, users=False)

    def test_calls_of_the_launch(self):
        def check(shop, backend):
            for error in ERRORS:
                self.fails(LAUNCH, backend, shop, error)
        self.everywhere(check, users=False)

    def test_calls_of_the_supervision(self):
        def check(shop, backend):
            for error in ERRORS:
                self.fails(SUPERVISE, backend, shop, error)
        self.everywhere(check, users=False)

    # The steps that are walls: with one of them gone the command must not have run at all.
    def test_a_wall_that_cannot_be_built_is_a_refusal(self):
        walls = ["rule 1 capset", "rule 1 prctl 0 0xffffffff 38",
                 "rule 1 landlock_restrict_self", "rule 1 setsid", "rule 1 chdir",
                 "rule-ne 1 prlimit64 2 0", "rule 1 ptrace"]

        def check(shop, backend):
            for wall in walls:
                status, found, _, err = self.attempt(shop, backend, wall + "\n")
                self.assertEqual((status, found), (125, []), (wall, err))
        self.everywhere(check, users=False)


if __name__ == "__main__":
    main()
