"""Every kernel call that the launcher, the backends and the broker make fails in turn: for all of vitrine's
processes and for good (a filter around them), and once, at each of its occurrences in the supervisor (strace).
The command never runs without its walls, and nothing hangs or is left.

VITRINE_LONG=1: with every error of EVERY, at every occurrence."""

import collections
import contextlib
import errno
import itertools
import pty
import re
import resource
import shutil
import tempfile

from harness import *
from harness import find_guests

LAUNCH = """setsid chdir umask prlimit64 setrlimit getrlimit setgroups setresgid setresuid getresuid capget capset
prctl landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp dup2 dup3 fcntl close_range
rt_sigprocmask rt_sigaction execveat ioctl pipe2 socketpair""".split()
SUPERVISE = """ptrace process_vm_readv process_vm_writev ppoll poll signalfd4 sched_setaffinity
sched_getaffinity timer_create timer_settime timerfd_create timerfd_settime splice tee openat2 statx
wait4 waitid pidfd_open memfd_create kill tgkill faccessat2 readlinkat readlink newfstatat pread64
pwrite64 ftruncate fallocate getdents64 fstatfs statfs sendmsg recvmsg shutdown clock_gettime
epoll_create1 epoll_wait nanosleep clock_nanosleep getrandom""".split()
LONG = bool(os.environ.get("VITRINE_LONG"))
EVERY = (errno.EPERM, errno.EINTR, errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENOSYS, errno.EIO)
# A kernel does not answer EINTR for ever: a call that is made again upon it would never end.
ERRORS = [error for error in EVERY if error != errno.EINTR] if LONG else [errno.EPERM]

# From splice(2) this means a reader that does not read, whose data is given up at the wall budget.
MEANS_SOMETHING = {("splice", errno.EAGAIN)}

# The sanitizer's own start asks for its stack's limit, and ends the process where it gets no answer.
UNASKED = {"prlimit64"} if SANITIZED else set()

spare_the_sanitizer()

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
    def attempt(self, shop, backend, rules, words=WORDS, absent="", **how):
        """What the command found, or None where nothing of it ran."""
        report = shop.file("report.json", "", 0o666)
        filter_file = shop.file("rules", "default allow\nforeign allow\n" + rules)
        line = [os.path.join(find_guests(), "enter"), "--pid-namespace", "--filter", filter_file, "--",
                shop.vitrine, "-q", "--backend", backend, "--wall", "5s", "--report", report, "--",
                shop.guest("calls"), *words]
        start = time.monotonic()
        done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                              env=dict(os.environ, VITRINE_TEST_ABSENT=absent), **how)
        seconds = time.monotonic() - start
        found = [int(text) for text in done.stdout.split()]
        return done.returncode, found, seconds, done.stderr

    def fails(self, calls, backend, shop):
        wrong = []
        if UNASKED & set(calls):
            print("left out, for the sanitizer needs them:", *UNASKED, file=sys.stderr)
        for call, error in itertools.product(calls, ERRORS):
            if (call, error) in MEANS_SOMETHING or call in UNASKED:
                continue
            try:
                status, found, seconds, err = self.attempt(shop, backend, f"rule {error} {call}\n")
            except subprocess.TimeoutExpired:
                wrong.append((call, errno.errorcode[error], "hangs"))
                continue
            # The filter is around the command as well: its own calls may fail so, too.
            if any(got not in (wall, -error) for got, wall in zip(found, WALLS)):
                wrong.append((call, errno.errorcode[error], found))
            if not found and status == 0:
                wrong.append((call, errno.errorcode[error], "nothing ran, status 0"))
            if seconds > 15:
                wrong.append((call, errno.errorcode[error], "late", seconds))
            if b"Sanitizer" in err or status in (128 + signal.SIGSEGV, 128 + signal.SIGABRT):
                wrong.append((call, errno.errorcode[error], err[-300:]))
        self.assertEqual(wrong, [])

    def test_without_a_fault_it_runs(self):
        def check(shop, backend):
            status, found, _, err = self.attempt(shop, backend, "")
            self.assertEqual((status, found, err), (0, WALLS, b""))
        self.everywhere(check, users=False)

    def test_calls_of_the_launch(self):
        def check(shop, backend):
            self.fails(LAUNCH, backend, shop)
        self.everywhere(check, users=False)

    def test_calls_of_the_supervision(self):
        def check(shop, backend):
            self.fails(SUPERVISE, backend, shop)
        self.everywhere(check, users=False)

    # It would be counted and shown by the number that it does not tell.
    def test_a_terminal_that_does_not_tell_its_number_is_not_given(self):
        words = ["257", "-100", "@/dev/ptmx", str(os.O_RDWR | os.O_NOCTTY)]
        ask_number = "rule 5 ioctl 1 0xffffffff 0x80045430\n"  # TIOCGPTN

        def check(shop, backend):
            self.assertGreater(self.attempt(shop, backend, "", words)[1][0], 2)
            self.assertEqual(self.attempt(shop, backend, ask_number, words)[:2], (0, [-errno.ENXIO]))
        self.everywhere(check, users=False)

    # A machine that is busy: the child is ready when the wait for it has just ended, and stands in its
    # next call when it is looked at. Found as runs that were refused, the child said to be dead.
    def test_a_child_that_is_late_is_not_taken_for_dead(self):
        def check(shop, backend):
            late = ["strace", "-o", "/dev/null", "-e", "inject=poll:retval=0:delay_exit=200000:when=1..3"]
            line = [shop.vitrine, "-q", "--backend", backend, "--", "/bin/echo", "ran"]
            for _ in range(3):
                done = subprocess.run([*late, *line], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
                self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"ran\n", b""))
            done = subprocess.run([*late, "-e", "inject=waitid:error=EIO", *line],
                                  stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
            self.assertEqual((done.returncode, done.stdout), (125, b""))
            self.assertIn(b"the child died before it was ready", done.stderr)
        self.everywhere(check, users=False)

    # The steps that are walls: with one of them gone the command must not have run at all.
    def test_a_wall_that_cannot_be_built_is_a_refusal(self):
        walls = ["rule 1 capset", "rule 1 prctl 0 0xffffffff 38",
                 "rule 1 landlock_restrict_self", "rule 1 landlock_add_rule", "rule 1 setsid", "rule 1 chdir",
                 "rule-ne 1 prlimit64 2 0", "rule 1 ptrace", "rule 1 dup2",
                 # Of the launch alone: it asks for one limit, and resets the signal, that nothing else does.
                 "rule 1 prlimit64 1 0xffffffff 12", "rule 1 rt_sigaction 0 0xffffffff 40",
                 "rule 9 fcntl 1 0xffffffff 2 2 0xffffffff 0",  # F_SETFD: the channel stays behind at exec
                 # What a root without the right to change is told, these are not.
                 "rule 12 setgroups", "rule 12 setresgid", "rule 12 setresuid"]

        def check(shop, backend):
            for wall in walls:
                status, found, _, err = self.attempt(shop, backend, wall + "\n")
                self.assertEqual((status, found), (125, []), (wall, err))
        self.everywhere(check, users=False)

    # A step that is answered as if it had been done: limits and Landlock were believed.
    def test_a_wall_that_is_only_said_to_stand_is_a_refusal(self):
        no_privileges = "rule 0 prctl 0 0xffffffff 38"
        walls = [(no_privileges, ""), (no_privileges, "landlock"), ("rule 0 seccomp", ""),
                 ("rule 0 setsid", ""), ("rule 0 rt_sigprocmask", ""),
                 ("rule 0 landlock_restrict_self", ""), ("rule-ne 0 prlimit64 2 0", ""),
                 ("rule 0 setresuid\nrule 0 setresgid\nrule 0 capset", "")]

        def check(shop, backend):
            for wall, absent in walls:
                if backend == "syscall" and "seccomp" in wall:
                    continue  # there is no filter
                status, found, _, err = self.attempt(shop, backend, wall + "\n", absent=absent)
                self.assertEqual((status, found), (125, []), (wall, err))
            self.assertEqual(self.attempt(shop, backend, "", absent="landlock")[:2], (0, WALLS))
        self.everywhere(check, users=False)

    # Found as runs whose core limit was 0, which a piped core_pattern ignores, and with as many waiting
    # signals as the caller may have: the first was only said to be set, the second refused as gVisor does.
    def test_a_limit_that_is_not_set_is_a_refusal(self):
        def setting(error, limit):  # with an address, of which one of these bits is set; NULL asks
            return "".join(f"rule {error} prlimit64 1 0xffffffff {limit} 2 {1 << bit:#x} {1 << bit:#x}\n"
                           for bit in range(16, 47))

        def check(shop, backend):
            def started(rules, limit, most):
                return self.attempt(shop, backend, rules, preexec_fn=lambda: resource.setrlimit(limit, most))[:2]

            refused, runs = (125, []), (0, WALLS)
            core, pending = resource.RLIMIT_CORE, resource.RLIMIT_SIGPENDING
            for most in ((0, 0), (0, 5)):
                self.assertEqual(started(setting(0, core), core, most), refused, most)
                self.assertEqual(started("", core, most), runs, most)
            self.assertEqual(started(setting(errno.EPERM, pending), pending, (100, 100)), refused)
            self.assertEqual(started("", pending, (100, 100)), runs)
        self.everywhere(check, users=False)

    # Found as 125 where parent and child share their descriptors: the step that failed could not be told.
    def test_a_command_that_cannot_be_executed_is_told(self):
        def check(shop, backend):
            status, found, _, _ = self.attempt(shop, backend, "rule 13 execveat\n")
            report = read_json(os.path.join(shop.path, "report.json"))
            self.assertEqual((status, found, report["reason"]), (126, [], "execveat: Permission denied"))
        self.everywhere(check, users=False)

    # TIOCGPTPEER is younger than the rest of what makes a terminal.
    def test_a_terminal_whose_other_end_is_opened_by_name(self):
        rules = "default allow\nforeign allow\nrule 25 ioctl 1 0xffffffff 0x5441\n"

        def check(shop, backend):
            line = [os.path.join(find_guests(), "enter"), "--filter", shop.file("rules", rules), "--",
                    *shop.command(["/bin/sh", "-c", "test -t 0 && test -t 1 && echo both"], ["-q"], backend)]
            master, slave = pty.openpty()
            with open(master, "rb", buffering=0) as terminal:
                done = subprocess.run(line, stdin=slave, stdout=slave, stderr=subprocess.PIPE, timeout=30)
                os.close(slave)
                self.assertEqual((done.returncode, terminal.read(100), done.stderr), (0, b"both\r\n", b""))
        self.everywhere(check, users=False)

    # Where parent and child share their descriptors, what is not handed over would be closed for both.
    def test_a_child_that_keeps_the_shared_descriptors_is_a_refusal(self):
        def check(shop, backend):
            for _ in range(5):  # it may have ended before its memory is looked at, or after
                status, found, _, err = self.attempt(shop, backend, "rule 12 close_range 2 0xffffffff 6\n")
                self.assertEqual((status, found), (125, []), err)
                self.assertRegex(err, b"close_range: Cannot allocate memory")
        self.everywhere(check, backends=["notify"], users=False)


def is_without_strace():
    if shutil.which("strace") is None:
        return "no strace here"
    done = subprocess.run(["strace", "-o", "/dev/null", "-e", "inject=getppid:error=EIO", "true"],
                          capture_output=True)
    return "" if done.returncode == 0 else "strace cannot inject here"


@unittest.skipIf(is_without_strace(), is_without_strace())
class OneByOne(Case):
    """A call of the supervisor's own fails once. What it does for itself is followed, not its child."""

    def attempt(self, shop, backend, tampering):
        trace = shop.file("trace", "", 0o666)
        line = shop.as_user(["strace", "-o", trace, *tampering, shop.vitrine, "-q", "--backend", backend,
                             "--wall", "5s", "--", shop.guest("calls"), *WORDS])
        start = time.monotonic()
        done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        seconds = time.monotonic() - start
        with open(trace, encoding="utf-8", errors="replace") as f:
            lines = f.read().splitlines()
        return done, [int(text) for text in done.stdout.split()], seconds, lines

    def survivors(self, shop):
        guest = shop.guest("calls").encode()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    if f.read().split(b"\0")[0] == guest and is_alive(int(pid)):
                        yield int(pid)

    def occurrences(self, shop, backend):
        done, found, _, lines = self.attempt(shop, backend, ["-e", "trace=" + ",".join(SUPERVISE)])
        self.assertEqual((done.returncode, found), (0, WALLS))
        return collections.Counter(line.split("(")[0] for line in lines if re.match(r"\w+\(", line))

    def wrong(self, shop, backend, call, occurrence, error):
        name = errno.errorcode[error]
        tampering = ["-e", f"inject={call}:error={name}:when={occurrence}", "-e", f"trace={call}"]
        try:
            done, found, seconds, lines = self.attempt(shop, backend, tampering)
        except subprocess.TimeoutExpired:
            return ["hangs"]
        self.injected += any("INJECTED" in line for line in lines)
        wrong = []
        # A call of the program's that could not be served failed with something else: it was refused.
        if len(found) > len(WALLS) or any(result >= 0 for result in found):
            wrong.append(found)
        if done.returncode < 0 or (not found and done.returncode == 0) or seconds > 15:
            wrong.append((done.returncode, seconds, done.stderr[-300:]))
        if b"Sanitizer" in done.stderr or done.returncode in (128 + signal.SIGSEGV, 128 + signal.SIGABRT):
            wrong.append(done.stderr[-300:])
        return wrong + list(self.survivors(shop))

    def test_each_occurrence_in_the_supervisor(self):
        def check(shop, backend):
            self.injected = 0
            found = {}
            for call, count in sorted(self.occurrences(shop, backend).items()):
                # Where there are many, the same places make them: the first, and the last few.
                every = [n for n in range(1, count + 1) if n <= 24 or n > count - 4]
                chosen = every if LONG else every[:1] + every[1:][-2:]
                for occurrence in chosen:
                    for error in EVERY if LONG else [EVERY[occurrence % len(EVERY)]]:
                        if wrong := self.wrong(shop, backend, call, occurrence, error):
                            found[call, occurrence, errno.errorcode[error]] = wrong
            print(f"{backend}: {self.injected} faults", file=sys.stderr)
            self.assertEqual(found, {})
            self.assertGreater(self.injected, 20)
        self.everywhere(check, users=False)

    def trace(self, shop, backend, tampering, command, options=()):
        trace = shop.file("trace", "", 0o666)
        line = ["strace", "-o", trace, "-s", "200", *tampering, shop.vitrine, "-q", "--backend", backend, *options,
                "--", *command]
        done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        with open(trace, encoding="utf-8", errors="replace") as f:
            return done, f.read().splitlines()

    def fail_at(self, shop, backend, call, pattern, error, command, options=(), last=1):
        """Lets the `last` but one of the supervisor's `call`s that strace shows as `pattern` fail."""
        wanted = re.compile(rf"{call}\(.*{pattern}")
        for _ in range(5):  # what comes before it is not always the same
            _, lines = self.trace(shop, backend, ["-e", "trace=" + call], command, options)
            calls = [line for line in lines if line.startswith(call + "(")]
            at = [n for n, line in enumerate(calls, 1) if wanted.match(line)][-last]
            tampering = ["-e", f"inject={call}:error={errno.errorcode[error]}:when={at}", "-e", "trace=" + call]
            done, lines = self.trace(shop, backend, tampering, command, options)
            if any("INJECTED" in line and wanted.match(line) for line in lines):
                return done
        raise AssertionError(f"{call} {pattern} was not met where it was before")

    # Whatever a served call is decided or made by cannot be had: it is refused.
    def test_what_a_served_call_needs_fails(self):
        of_memory = tempfile.NamedTemporaryFile(dir="/dev/shm", prefix="vitrine-test-")
        self.addCleanup(of_memory.close)
        os.chmod(of_memory.name, 0o644)
        options = ["--processes", "4", "--ro", of_memory.name]
        served = [  # the call inside, how many of them, the call that fails, what one of them gives then
            ("63 &400", 3, "uname", "", errno.EIO, errno.EIO),
            ("99 &120", 3, "sysinfo", "", errno.EIO, errno.EIO),
            ("9 0 4096 3 0x21 -1 0", 3, "memfd_create", "", errno.EMFILE, errno.ENOMEM),
            ("117 0xffffffff 0xffffffff 0xffffffff", 3, "openat", r'/proc/\d+/status"', errno.EMFILE, errno.EPERM),
            ("119 0xffffffff 0xffffffff 0xffffffff", 3, "openat", r'/proc/\d+/status"', errno.EMFILE, errno.EPERM),
            ("41 1 1 0", 3, "socket", "AF_UNIX", errno.ENFILE, errno.ENFILE),
            ("41 1 1 0", 3, "getsockopt", "SO_SNDBUF", errno.EINVAL, errno.ENOBUFS),
            ("53 1 1 0 &8 , 55 3 1 17 &16 &16", 1, "openat", r'/proc/\d+/status"', errno.EMFILE, errno.EIO),
            ("41 1 1 0", 3, "fcntl", "F_DUPFD_CLOEXEC", errno.EMFILE, errno.EMFILE),
            ("257 -100 @/dev/null 2", 3, "fcntl", "F_SETFL", errno.EBADF, errno.EBADF),
            (f"257 -100 @{of_memory.name} 0", 1, "fstatfs", "", errno.EIO, errno.ENOENT),
            (f"262 -100 @{of_memory.name} &200 0", 1, "fstatfs", "", errno.EIO, errno.ENOENT),
        ]

        def check(shop, backend):
            for words, times, call, pattern, error, result in served:
                command = [shop.guest("calls"), *" , ".join([words] * times).split()]
                done, _ = self.trace(shop, backend, ["-e", "trace=none"], command, options)
                usual = done.stdout.split()
                self.assertNotIn(b"%d" % -result, usual, words)
                # The supervisor may look at the same for itself as well, at any time: then it was not this one.
                for _ in range(5):
                    done = self.fail_at(shop, backend, call, pattern, error, command, options, (times + 1) // 2)
                    results = done.stdout.split()
                    if b"%d" % -result in results:
                        break
                self.assertEqual((len(results), results.count(b"%d" % -result)), (len(usual), 1),
                                 (words, call, results))
        self.everywhere(check, users=False)

    # -512 to -516 are the kernel's own: a call that had one for its result would be made again, or show it.
    def test_no_result_is_one_of_the_kernels_restart_codes(self):
        served = {"sysinfo": "99 &120", "uname": "63 &400", "socket": "41 1 1 0"}
        codes = range(512, 517)

        def check(shop, backend):
            for (call, words), code in itertools.product(served.items(), codes):
                done, lines = self.trace(shop, backend, ["-e", f"inject={call}:error={code}", "-e", f"trace={call}"],
                                         [shop.guest("calls"), *words.split()], ["--processes", "4"])
                self.assertTrue(any("INJECTED" in line for line in lines), call)
                self.assertEqual((done.returncode, done.stdout), (0, b"%d\n" % -errno.EIO), (call, code))
        self.everywhere(check, users=False)
        shop = Workshop()
        self.addCleanup(shop.close)
        for call, code in itertools.product(served, codes):
            bare = shop.native(["strace", "-o", "/dev/null", "-e", f"inject={call}:error={code}", shop.guest("calls"),
                                *served[call].split()])
            self.assertEqual(int(bare.stdout), -code, call)

    def test_a_name_that_cannot_be_bound_is_not_left(self):
        code = """
import os, socket, sys
with socket.socket(socket.AF_UNIX) as s:
    for name in sorted(("/tmp/name", "\\0name"), reverse=len(sys.argv) == 1):
        try: s.bind(name)
        except OSError as error: print(error.errno)
        else: break
    print(name[1:], os.path.exists("/tmp/name"), s.getsockname() in (name, name.encode()))
"""
        options = ["--processes", "4"]

        def check(shop, backend):
            run = shop.python(code, options, backend=backend)
            self.assertEqual(run.out, b"tmp/name True True\n")
            for call, pattern in (("bind", "AF_UNIX"), ("getrandom", "16, 0")):
                done = self.fail_at(shop, backend, call, pattern, errno.ENOMEM, [PYTHON, "-c", code], options)
                self.assertEqual(done.stdout, b"%d\nname False True\n" % errno.ENOMEM, call)
                done = self.fail_at(shop, backend, call, pattern, errno.ENOMEM, [PYTHON, "-c", code, "-"], options)
                self.assertEqual(done.stdout, b"%d\ntmp/name True True\n" % errno.ENOMEM, call)
        self.everywhere(check, users=False)

    # What a full scratch folder says is put in place of what the kernel said. That stands, and the signal with it.
    def test_a_result_that_cannot_be_replaced_is_the_kernels(self):
        words = "257 -100 @/tmp/file 66 384 , 1 3 &131072 131072 , 1 3 &131072 131072".split()

        def check(shop, backend):
            options = ["--scratch", "/tmp=64K"]
            command = [shop.guest("calls"), *words]
            done, _ = self.trace(shop, backend, ["-e", "trace=none"], command, options)
            self.assertEqual((done.returncode, int(done.stdout.split()[-1])), (0, -errno.ENOSPC))
            done = self.fail_at(shop, backend, "ptrace", "PTRACE_SETREGS", errno.EIO, command, options)
            self.assertEqual(done.returncode, 128 + signal.SIGXFSZ, done.stdout)
        self.everywhere(check, users=False)

    # Of each version of Landlock it asks for what that one knows, in the words that it knows.
    def test_an_older_second_wall(self):
        def check(shop, backend):
            _, lines = self.trace(shop, backend, ["-e", "trace=landlock_create_ruleset"], ["/bin/true"])
            if int(lines[0].split(" = ")[1].split()[0]) < 6:
                self.skipTest("this kernel's Landlock is older itself: " + lines[0])
            for version, size in ((1, 8), (3, 8), (4, 16), (5, 16), (6, 24)):
                tampering = ["-e", f"inject=landlock_create_ruleset:retval={version}:when=1",
                             "-e", "trace=landlock_create_ruleset"]
                done, lines = self.trace(shop, backend, tampering, [shop.guest("calls"), *WORDS])
                self.assertEqual([int(text) for text in done.stdout.split()], WALLS, done.stderr)
                self.assertRegex(lines[1], rf"^landlock_create_ruleset\(.*, {size}, 0\) = \d+$")
        self.everywhere(check, backends=["notify"], users=False)

    # It is looked for before the run, and may have gone or changed when it is opened for it.
    def test_a_program_that_cannot_be_opened_any_more_is_told_as_such(self):
        def check(shop, backend):
            guest = shop.guest("calls")
            # The last of these asks how many there can be; each of the two files takes two.
            for last, name in ((4, b"calls"), (2, b"ld-linux")):
                for error, status in ((errno.ENOENT, 127), (errno.EACCES, 126), (errno.EMFILE, 126)):
                    done = self.fail_at(shop, backend, "fcntl", "F_DUPFD_CLOEXEC, 3", error, [guest, "39"], last=last)
                    self.assertEqual((done.returncode, done.stdout), (status, b""), done.stderr)
                    self.assertIn(name, done.stderr)
        self.everywhere(check, users=False)


if __name__ == "__main__":
    main()
