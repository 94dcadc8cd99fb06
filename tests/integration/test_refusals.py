"""What is refused: from Python, by raw number, and by the 32-bit entry. The program, the report and
the log tell the same story, and natively every one of these succeeds."""

import errno
import os
import pathlib
import socket
import tempfile

from harness import *

# Each attempt prints "NAME done" or "NAME ERRNO". Those that would end the program come last.
ATTEMPTS = """
import errno, os, socket, sys
def attempt(name, call, *arguments):
    try:
        call(*arguments)
        print(name, "done", flush=True)
    except OSError as error:
        print(name, errno.errorcode[error.errno], flush=True)
def fork():
    if os.fork() == 0: os._exit(0)
    os.wait()
attempt("read", open, sys.argv[1])
attempt("shadow", open, "/etc/shadow")
attempt("list", os.listdir, "/root")
attempt("list cwd", os.stat, os.path.basename(sys.argv[1]))
attempt("write", open, "x", "w")
attempt("mkdir", os.mkdir, "y")
attempt("inet", socket.socket)
attempt("unix", socket.socket, socket.AF_UNIX)
attempt("netlink", socket.socket, socket.AF_NETLINK, socket.SOCK_RAW)
attempt("fork", fork)
attempt("host", os.kill, 1, 0)
if "exec" in sys.argv: attempt("exec", os.execv, "/bin/true", ["true"])
if "kill" in sys.argv: attempt("kill", os.kill, os.getppid(), 9)
"""

EXPECTED = {
    "read": "ENOENT", "shadow": "ENOENT", "list": "ENOENT", "list cwd": "ENOENT",
    "write": "EROFS", "mkdir": "EROFS", "inet": "EACCES", "unix": "EACCES", "netlink": "EACCES",
    "fork": "EAGAIN", "host": "EPERM", "exec": "EACCES", "kill": "EPERM",
}

PARENT = "import subprocess, sys; subprocess.run(sys.argv[1:]); print('survived')"

E = {name: getattr(errno, name) for name in ("ENOENT", "EROFS", "EACCES", "EAGAIN", "EPERM",
                                             "ENOSYS")}

# Name, words for the guest program `calls`, result, and what the report calls it.
RAW = [
    ("open", "2 @/etc/shadow 0", -E["ENOENT"]),
    ("openat", "257 -100 @/etc/shadow 0", -E["ENOENT"]),
    ("openat", "257 0xffffff9c @/etc/shadow 0", -E["ENOENT"]),
    ("openat2", "437 -100 @/etc/shadow &24 24", -E["ENOENT"]),
    ("stat", "4 @/etc/shadow &256", -E["ENOENT"]),
    ("statx", "332 -100 @/etc/shadow 0 0x7ff &256", -E["ENOENT"]),
    ("access", "21 @/etc/shadow 0", -E["ENOENT"]),
    ("readlink", "89 @/etc/shadow &256 256", -E["ENOENT"]),
    ("open", "2 @/root 0x10000", -E["ENOENT"]),
    ("open", "2 @x 0x41 0x1b6", -E["EROFS"]),
    ("creat", "85 @x 0x1b6", -E["EROFS"]),
    ("socket", "41 2 1 0", -E["EACCES"]),
    ("socket", "41 1 1 0", -E["EACCES"]),
    ("socket", "41 16 3 0", -E["EACCES"]),
    ("fork", "57", -E["EAGAIN"]),
    ("vfork", "58", -E["EAGAIN"]),
    ("clone", "56 17", -E["EAGAIN"]),
    ("clone", "56 0x10000011", -E["EPERM"]),      # CLONE_NEWUSER
    ("execve", "59 @/bin/true 0 0", -E["EACCES"]),
    ("execveat", "322 -100 @/bin/true 0 0 0", -E["EACCES"]),
    ("kill", "62 ppid 9", -E["EPERM"]),
    ("kill", "62 -1 9", -E["EPERM"]),
    ("tkill", "200 ppid 9", -E["EPERM"]),
    ("tgkill", "234 ppid ppid 9", -E["EPERM"]),
    ("rt_sigqueueinfo", "129 ppid 9 &128", -E["EPERM"]),
    ("ptrace", "101 16 ppid 0 0", -E["EPERM"]),
    ("process_vm_readv", "310 ppid &16 1 &16 1 0", -E["EPERM"]),
    ("mount", "165 @none @/ @tmpfs 0 0", -E["EPERM"]),
    ("unshare", "272 0x10000000", -E["EPERM"]),
    ("io_uring_setup", "425 1 &120", -E["EPERM"]),
    ("bpf", "321 0 &72 72", -E["EPERM"]),
    ("seccomp", "317 0 0 0", -E["EPERM"]),
    ("syscall_999", "999", -E["ENOSYS"]),
]

# The same by `int $0x80`, with that entry's numbers: each of them ends the run.
FOREIGN = [
    ("read a file", "5 @/etc/shadow 0", 5),
    ("read a folder", "5 @/root 0x10000", 5),
    ("write", "5 @x 0x41 0x1b6", 5),
    ("socket", "102 1 &12", 102),
    ("fork", "2", 2),
    ("execve", "11 @/bin/true 0 0", 11),
    ("kill", "37 ppid 9", 37),
    ("getpid", "20", 20),
]


def words(calls):
    return " , ".join(calls).split()


class Refusals(Case):
    def attempts(self, shop, *also):
        secret = shop.file("secret", "the secret", 0o644)
        return [PYTHON, "-c", ATTEMPTS, secret, *also]

    def results(self, out):
        return dict(line.rsplit(" ", 1) for line in out.decode().splitlines())

    def test_natively_all_of_it_succeeds(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        results = self.results(shop.native(self.attempts(shop)).stdout)
        if os.getuid() != 0:
            for name in ("shadow", "list", "host"):
                results.pop(name)
        self.assertEqual(set(results.values()), {"done"}, results)
        # exec replaces the program, and the parent is killed.
        self.assertNotIn(b"exec", shop.native(self.attempts(shop, "exec")).stdout)
        killed = shop.native([PYTHON, "-c", PARENT, *self.attempts(shop, "kill")])
        self.assertEqual(killed.returncode, -9)

    def test_python_is_refused(self):
        def check(shop, backend):
            run = shop.run(self.attempts(shop, "exec", "kill"), backend=backend)
            self.assertEqual((self.results(run.out), run.err, run.status), (EXPECTED, b"", 0))
            self.assertReportAgreesWithLog(run)
            self.assertEqual(run.report["limits_hit"], ["processes"])
            self.assertFalse(os.path.exists(os.path.join(shop.path, "x")))
            self.assertEqual({d["errno"] for d in run.denials("openat")}, {"ENOENT", "EROFS"})
            self.assertEqual(run.denials("kill")[0]["errno"], "EPERM")
            targets = {d["target"] for d in run.denials()}
            for target in ("/etc/shadow", "/root", shop.path + "/secret", "secret", "x"):
                self.assertIn(target, targets)
        self.everywhere(check)

    def test_raw_numbers_are_refused(self):
        calls = words(text for _, text, _ in RAW)

        def check(shop, backend):
            run = shop.run([shop.guest("calls"), *calls], backend=backend)
            results = [int(line) for line in run.out.split()]
            self.assertEqual(dict(zip((text for _, text, _ in RAW), results)),
                             {text: result for _, text, result in RAW})
            self.assertEqual((run.status, run.verdict), (0, "exited"))
            self.assertReportAgreesWithLog(run)
            names = {d["syscall"] for d in run.denials()}
            for name, text, result in RAW:
                self.assertIn(name, names, text)
                logged = {r["result"] for r in run.log
                          if r["type"] == "syscall" and r["syscall"] == name}
                self.assertIn(result, logged, text)
        self.everywhere(check)

    def test_raw_numbers_through_ctypes_are_refused(self):
        code = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
for call in [(2, b"/etc/shadow", 0), (257, -100, b"/root", 0o200000), (2, b"x", 0o101, 0o666),
             (41, 2, 1, 0), (57,), (59, b"/bin/true", 0, 0), (62, os.getppid(), 9)]:
    print(libc.syscall(*[ctypes.c_long(a) if isinstance(a, int) else a for a in call]),
          ctypes.get_errno())
"""
        wanted = [E["ENOENT"], E["ENOENT"], E["EROFS"], E["EACCES"], E["EAGAIN"], E["EACCES"],
                  E["EPERM"]]

        def check(shop, backend):
            run = shop.python(code, backend=backend)
            self.assertEqual(run.out.decode().split("\n")[:-1], [f"-1 {e}" for e in wanted])
            self.assertReportAgreesWithLog(run)
            denied = [(r["syscall"], r["errno"]) for r in run.log
                      if r["type"] == "syscall" and r["decision"] == "deny"]
            for pair in [("open", "ENOENT"), ("openat", "ENOENT"), ("open", "EROFS"),
                         ("socket", "EACCES"), ("fork", "EAGAIN"), ("execve", "EACCES"),
                         ("kill", "EPERM")]:
                self.assertIn(pair, denied)
        self.everywhere(check)

    def test_natively_the_raw_calls_succeed(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        guest = shop.guest("calls")
        secret = shop.file("secret", "the secret")
        for text in (f"2 @{secret} 0", f"257 -100 @{secret} 0", f"4 @{secret} &256", "41 2 1 0",
                     "57", "56 17", "62 ppid 0"):
            out = shop.native([guest, *text.split()]).stdout
            self.assertGreaterEqual(int(out), 0, text)
        self.assertEqual(shop.native([guest, *"59 @/bin/true 0 0".split()]).stdout, b"")
        killed = shop.native([PYTHON, "-c", PARENT, guest, *"62 ppid 9".split()])
        self.assertEqual(killed.returncode, -9)

    def test_foreign_entry_ends_the_run(self):
        def check(shop, backend):
            guest = shop.guest("calls")
            for name, text, number in FOREIGN:
                with self.subTest(name=name):
                    run = shop.run([guest, "--int80", *text.split()], backend=backend)
                    self.assertEqual((run.status, run.verdict, run.out), (120, "violation", b""))
                    self.assertReportAgreesWithLog(run)
                    self.assertEqual(run.report["first_denial"]["rule"], "foreign-abi")
                    last = [r for r in run.log if r["type"] == "syscall"][-1]
                    self.assertEqual((last["decision"], last["syscall"]),
                                     ("kill", f"foreign_{number}"))
                    self.assertIn("ABI", run.report["reason"])
            self.assertFalse(os.path.exists(os.path.join(shop.path, "x")))
        self.everywhere(check)

    def test_natively_the_foreign_entry_works(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        secret = shop.file("secret", "the secret")
        bare = shop.native([shop.guest("calls"), "--int80", *f"5 @{secret} 0 , 20".split()])
        if bare.returncode == -signal.SIGSEGV or b"-38" in bare.stdout:
            self.skipTest("this kernel has no 32-bit system calls")
        self.assertTrue(all(int(n) >= 0 for n in bare.stdout.split()), bare)

    def test_what_scratch_and_sockets_lack_is_refused_cleanly(self):
        # As the README has it. Natively, each of these that needs no privilege succeeds.
        code = """
import ctypes, errno, os, socket, sys
os.chdir(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
def attempt(name, call, *arguments):
    try: call(*arguments)
    except OSError as error: return print(name, errno.errorcode[error.errno])
    print(name, "done")
def raw(call, *arguments):
    if call(*arguments) < 0: raise OSError(ctypes.get_errno(), "")
attempt("fifo", os.mkfifo, "fifo")
attempt("datagrams", socket.socket, socket.AF_UNIX, socket.SOCK_DGRAM)
attempt("pair", socket.socketpair, socket.AF_UNIX, socket.SOCK_DGRAM)
attempt("watch", raw, libc.inotify_init1, 0)
attempt("old watch", raw, libc.inotify_init)
attempt("attributes", lambda: None if os.listxattr(".") == [] else raw(libc.close, -1))
attempt("attribute", os.setxattr, ".", "user.a", b"b")
"""
        names = ["fifo", "datagrams", "pair", "watch", "old watch", "attributes", "attribute"]
        said = ["EPERM", "EACCES", "done", "ENOSYS", "ENOSYS", "done", "ENOTSUP"]

        def check(shop, backend):
            run = shop.run([PYTHON, "-c", code, "/tmp"], backend=backend)
            self.assertEqual((run.out.decode().splitlines(), run.err),
                             ([f"{name} {each}" for name, each in zip(names, said)], b""))
            bare = shop.native([PYTHON, "-c", code, shop.path]).stdout.decode().splitlines()
            self.assertEqual(bare[:6], [f"{name} done" for name in names[:6]])
        self.everywhere(check)

    def test_calls_that_libraries_do_without_are_no_denials(self):
        # glibc tries clone3 before clone, each time: reports of all backends leave it out alike.
        code = """
import threading
thread = threading.Thread(target=print, args=("ran",)); thread.start(); thread.join()
"""
        def check(shop, backend):
            run = shop.python(code, backend=backend)
            self.assertEqual((run.out, run.report["denials"]), (b"ran\n", []))
            calls = shop.run([shop.guest("calls"), *"435 &88 88".split()], backend=backend)
            self.assertEqual(int(calls.out), -errno.ENOSYS)
        self.everywhere(check)

    def test_what_the_host_has_not_was_not_kept_away(self):
        # Neither below a folder that the host has and the run does not, nor beside what is shown.
        with tempfile.TemporaryDirectory(dir="/var/tmp") as hidden:
            os.chmod(hidden, 0o755)
            os.makedirs(f"{hidden}/folder/below", mode=0o755)
            for name in ("there", "folder/there", "folder/below/there"):
                pathlib.Path(hidden, name).touch()
            code = f"""
import os
for name in ("none", "folder/none", "folder/none/none", "folder//below/./none",
             "there", "folder/there", "folder//below/./there"):
    try: os.stat({hidden!r} + "/" + name)
    except FileNotFoundError: print(name)
"""
            def check(shop, backend):
                run = shop.python(code, backend=backend)
                self.assertEqual(len(run.out.split()), 7)
                kept = [each["target"] for each in run.report["denials"]]
                self.assertEqual(kept, [f"{hidden}/there", f"{hidden}/folder/there",
                                        f"{hidden}/folder//below/./there"])
            self.everywhere(check)

    def test_x32_numbers_are_refused(self):
        # 0x40000000 is the x32 bit: such a number is another ABI's, and none is served.
        def check(shop, backend):
            run = shop.run([shop.guest("calls"), *f"{0x40000002} @/etc/shadow 0".split()],
                           backend=backend)
            if run.verdict == "exited":
                self.assertEqual(run.out, b"%d\n" % -errno.ENOSYS)
            else:
                self.assertEqual((run.status, run.verdict), (120, "violation"))
            self.assertReportAgreesWithLog(run)
            self.assertEqual(run.report["syscalls"]["denied"], 1)
        self.everywhere(check)

    def test_negative_numbers_are_merely_unknown(self):
        # To the kernel, and so in every backend: ENOSYS, and the run goes on.
        numbers = [str(1 << 31), str((1 << 31) + 2), str((1 << 32) - 2), str((1 << 32) - 1)]

        def check(shop, backend):
            words = " , ".join(f"{number} 0" for number in numbers).split()
            run = self.assertSameAsNative(shop, backend, [shop.guest("calls"), *words])
            self.assertEqual(run.out.split(), [b"%d" % -errno.ENOSYS] * len(numbers))
            self.assertEqual(run.verdict, "exited")
        self.everywhere(check)

    def test_what_the_kernel_refuses_is_refused_as_by_it(self):
        code = """
import ctypes, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(*words): return libc.syscall(*words), ctypes.get_errno()
print("utimensat", call(280, -1, None, None, 0))
print("execveat", call(322, -1, b"", None, None, 0x1000))
try: socket.socket(socket.AF_UNIX).connect("")
except OSError as error: print("connect", error.errno)
pid = os.fork()
if pid == 0: os._exit(0)
os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
print("pidfd_open", call(434, pid, 0xffff))
os.waitpid(pid, 0)
pid = os.fork()
if pid == 0: os.kill(os.getpid(), 19); os._exit(0)
os.waitpid(pid, os.WUNTRACED)
print([line for line in open(f"/proc/{pid}/status") if line.startswith("State")], end=" ")
print(open(f"/proc/{pid}/stat").read().split()[2])
os.kill(pid, 9); os.waitpid(pid, 0)
with socket.socket(fileno=int(sys.argv[1])) as inherited: print(inherited.getsockname())
"""

        def check(shop, backend):
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(f"\0vitrine-test-{os.getpid()}")
                number = bound.fileno()
                run = self.assertSameAsNative(shop, backend, [PYTHON, "-c", code, str(number)],
                                              ["--processes", "2", "--pass-fd", str(number)], pass_fds=[number])
                self.assertEqual(run.out.count(b"\n"), 6)
        self.everywhere(check)

    def test_a_relative_path_does_not_climb(self):
        def check(shop, backend):
            secret = shop.file("secret", "the secret")
            name = os.path.basename(shop.path)
            code = ("import os, sys\n"
                    "for path in sys.argv[1:]:\n"
                    "    try: print(open(path).read())\n"
                    "    except OSError as e: print(e.errno)\n")
            paths = ["secret", "./secret", f"../{name}/secret", "/proc/self/cwd/secret",
                     "/proc/self/root" + secret, "/" * 9 + secret, f"/proc/{os.getpid()}/root{secret}",
                     "/tmp/../" + secret, "/dev/fd/../../../.." + secret]
            run = shop.run([PYTHON, "-c", code, *paths], backend=backend)
            self.assertEqual(run.out.split(), [b"2"] * len(paths))
            self.assertNotIn(b"the secret", run.out)
        self.everywhere(check)


if __name__ == "__main__":
    main()
