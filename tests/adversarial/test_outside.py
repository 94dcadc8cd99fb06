"""Nothing reaches a process outside the run: neither one of the same user nor the supervisor, by no
call that takes a process. Natively all of these work on one's own."""

import contextlib
import ctypes
import errno
import shlex
import socket

from harness import *

# {pid} is the victim. What natively gives a number that is no error, on a process of one's own; of several
# calls the last.
QUEUED = "@\x01\x01\x01\x01\x01\x01\x01\x01\udcff\udcff\udcff\udcff"  # siginfo_t: of sigqueue(3)
CALLS = {
    "sched_setaffinity": "203 {pid} 8 @\x01", "rt_sigqueueinfo": "129 {pid} 0 " + QUEUED,
    "rt_tgsigqueueinfo": "297 {pid} {pid} 0 " + QUEUED, "pidfd_send_signal": "434 {pid} 0 , 424 r 0 0 0",
    "pidfd_getfd": "434 {pid} 0 , 438 r 0 0", "process_madvise": "434 {pid} 0 , 440 r &16 1 20 0",
    "process_vm_readv": "310 {pid} &16 1 &16 1 0", "process_vm_writev": "311 {pid} &16 1 &16 1 0",
    "setpriority of a group": "141 1 {pid} 0", "move_pages": "279 {pid} 0 0 0 0 0",
    "kill": "62 {pid} 0", "tkill": "200 {pid} 0", "tgkill": "234 {pid} {pid} 0",
    "prlimit64": "302 {pid} 7 0 &16", "sched_getaffinity": "204 {pid} 128 &128",
    "getpriority": "140 0 {pid}", "setpriority": "141 0 {pid} 19", "ioprio_set": "251 1 {pid} 0x6000",
    "ioprio_get": "252 1 {pid}", "pidfd_open": "434 {pid} 0", "getpgid": "121 {pid}",
    "getsid": "124 {pid}", "sched_getparam": "143 {pid} &8", "sched_getscheduler": "145 {pid}",
    "sched_getattr": "315 {pid} &64 64 0", "sched_setscheduler": "144 {pid} 3 &8",
    "kcmp": "312 {pid} {pid} 0 0 0", "clock": "228 {clock} &16", "ptrace": "101 16902 {pid} 0 0",
    "status": "2 @/proc/{pid}/status 0", "environ": "2 @/proc/{pid}/environ 0",
    "folder": "4 @/proc/{pid} &256", "link": "89 @/proc/{pid}/exe &256 256",
}

# Holds a canary in its memory and in a pipe; says where.
HOLDER = """
import os, time
canary = b"canary-" + b"8d2f41"
r, w = os.pipe()
os.write(w, canary)
print(id(canary) + 32, r, flush=True)
time.sleep(60)
"""

# Tries to get at it from another process.
REACHING = """
import ctypes, mmap, os, sys
pid, address, fd = map(int, sys.argv[1:])
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
reached, data = [], ctypes.create_string_buffer(13)
def attempt(name, call):
    try: found = call()
    except OSError: return
    if found == b"canary-8d2f41": reached.append(name)
class Vector(ctypes.Structure): _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
def by_vector():
    here, there = Vector(ctypes.addressof(data), 13), Vector(address, 13)
    libc.syscall(310, pid, ctypes.byref(here), ctypes.c_long(1), ctypes.byref(there), ctypes.c_long(1), ctypes.c_long(0))
    return data.raw
def by_file():
    return os.pread(os.open(f"/proc/{pid}/mem", os.O_RDONLY), 13, address)
def by_ptrace():
    if libc.syscall(101, 16, pid, 0, 0) != 0: return None
    os.waitpid(pid, 0x40000000)
    word = ctypes.c_long()
    libc.syscall(101, 1, pid, ctypes.c_long(address), ctypes.byref(word))
    libc.syscall(101, 17, pid, 0, 0)
    return b"canary-8d2f41" if bytes(word)[:7] == b"canary-" else None
def by_descriptor():
    return os.read(libc.syscall(438, libc.syscall(434, pid, 0), fd, 0), 13)
attempt("process_vm_readv", by_vector)
data = ctypes.create_string_buffer(13)
attempt("mem", by_file)
attempt("ptrace", by_ptrace)
attempt("pidfd_getfd", by_descriptor)
print(reached)
"""

KILL_GROUP = "import os; os.kill(0, 9)"
LOWER_GROUP = """
import ctypes, os
libc = ctypes.CDLL(None)
def attempt(call, *arguments):
    try: call(*arguments)
    except OSError: pass
attempt(os.setpriority, os.PRIO_PGRP, 0, 7)
attempt(libc.syscall, 251, 2, 0, 0x4007)  # ioprio_set
"""
LOWER_USER = """
for user in (0, os.getuid(), 65534):
    attempt(os.setpriority, os.PRIO_USER, user, 7)
    attempt(libc.syscall, 251, 3, user, 0x4007)
"""

# Whoever listens on a loopback address, by a stream or a datagram.
LOOPBACK = """
import os, socket, sys
for family, host, kind, port in (word.split(",") for word in sys.argv[1:]):
    try:
        s = socket.socket(int(family), int(kind))
        s.settimeout(2)
        s.connect((host, int(port)))
        s.send(b"x")
    except OSError: pass
try: os.close(os.open("/dev/tcp/127.0.0.1/" + port, os.O_RDWR))
except OSError: pass
"""


class Outside(Case):
    def words(self, pid):
        clock = (~pid << 3) | 2
        lines = [line.format(pid=pid, clock=clock) for line in CALLS.values()]
        return " , ".join(lines).split()

    def results(self, out):
        """Of each line its last call, or the first that failed."""
        numbers = iter(int(line) for line in out.split())
        found = {}
        for name, line in CALLS.items():
            those = [next(numbers) for _ in line.split(" , ")]
            found[name] = next((number for number in those if number < 0), those[-1])
        self.assertIsNone(next(numbers, None))
        return found

    def victim(self, shop):
        victim = subprocess.Popen(shop.as_user(["sleep", "100"]), start_new_session=True)
        self.addCleanup(victim.wait)
        self.addCleanup(victim.kill)
        time.sleep(0.1)  # setpriv becomes sleep
        return victim

    def test_natively_they_work(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        results = self.results(shop.native([shop.guest("calls"), *self.words(self.victim(shop).pid)]).stdout)
        failed = {name for name, result in results.items() if result < 0}
        self.assertLessEqual(failed, {"kcmp", "process_madvise"}, results)  # not in every kernel

    def refused(self, shop, backend, pid):
        run = shop.run([shop.guest("calls"), *self.words(pid)], backend=backend)
        results = self.results(run.out)
        self.assertEqual(len(results), len(CALLS))
        refusals = {-errno.EPERM, -errno.ESRCH, -errno.ENOENT, -errno.EINVAL, -errno.ENOSYS}
        self.assertEqual({n: r for n, r in results.items() if r not in refusals}, {})
        return results

    def state(self, pid):
        """Whatever of a process somebody else could change."""
        with open(f"/proc/{pid}/limits", encoding="ascii") as limits, open(f"/proc/{pid}/status", encoding="latin-1") as status:
            lines = [line for line in status if line.startswith(("State", "SigPnd", "ShdPnd", "Cpus_allowed:", "TracerPid"))]
            lines = [line.replace("R (running)", "S (sleeping)") for line in lines]
            return [limits.read(), lines, os.getpriority(os.PRIO_PROCESS, pid), os.sched_getscheduler(pid),
                    self.libc.syscall(252, 1, pid)]  # ioprio_get

    libc = ctypes.CDLL(None, use_errno=True)

    def test_a_process_of_the_same_user(self):
        def check(shop, backend):
            victim = self.victim(shop)
            before = self.state(victim.pid)
            there = self.refused(shop, backend, victim.pid)
            self.assertIsNone(victim.poll())
            self.assertEqual(before, self.state(victim.pid))
            # And it is not told apart from one that does not exist.
            self.assertEqual(there, self.refused(shop, backend, 4194303))
        self.everywhere(check)

    # By the number that it is told of its parent, and by the one that its supervisor has.
    def test_the_supervisor(self):
        def check(shop, backend):
            lines = [line.format(pid="SUPERVISOR", clock="CLOCK") for line in CALLS.values()]
            told = [line.format(pid="ppid", clock="-1") for line in CALLS.values() if "/{pid}" not in line]
            words = " , ".join(lines + told).split()
            command = shlex.join(shop.command([shop.guest("calls"), *words], ["-q"], backend))
            command = command.replace("SUPERVISOR", "$$").replace("CLOCK", "$((~$$ << 3 | 2))")
            run = subprocess.run(["/bin/sh", "-c", "exec " + command], capture_output=True, timeout=60)
            self.assertEqual((run.returncode, run.stderr), (0, b""))
            found = list(map(int, run.stdout.split()))
            self.assertEqual(len(found), words.count(",") + 1)
            refusals = {-errno.EPERM, -errno.ESRCH, -errno.ENOSYS, -errno.ENOENT, -errno.EINVAL, -errno.EBADF}
            self.assertEqual([number for number in found if number not in refusals], [])
        self.everywhere(check)

    # Natively each of these reads or changes a process of the same user whose number is known.
    def test_the_memory_of_others(self):
        def reached(command, **options):
            shop = Workshop(options.pop("user", None))
            self.addCleanup(shop.close)
            victim = subprocess.Popen(shop.as_user([PYTHON, "-c", HOLDER]), stdout=subprocess.PIPE)
            self.addCleanup(victim.wait)
            self.addCleanup(victim.kill)
            self.addCleanup(victim.stdout.close)
            address, fd = victim.stdout.readline().split()
            return command(shop, [PYTHON, "-c", REACHING, str(victim.pid), address.decode(), fd.decode()])

        def check(shop, backend):
            out = reached(lambda own, line: own.run(line, backend=backend).out, user=shop.user)
            self.assertEqual(out, b"[]\n")
        self.everywhere(check)
        bare = reached(lambda own, line: own.native(line).stdout)
        for road in ("process_vm_readv", "mem", "pidfd_getfd"):
            self.assertIn(road.encode(), bare)

    def test_signals_to_everybody(self):
        def check(shop, backend):
            victim = self.victim(shop)
            run = shop.run([shop.guest("calls"), *"62 -1 9 , 62 -2 9 , 62 0x80000000 9".split()],
                           backend=backend)
            self.assertTrue(all(int(line) in (-errno.EPERM, -errno.ESRCH)
                                for line in run.out.split()), run.out)
            self.assertIsNone(victim.poll())
        self.everywhere(check)

    # What stands in the supervisor's own group of processes is not in the command's.
    def test_the_callers_group(self):
        def beside(shop, command, dies=False):
            """How a process in the same group ends, or with which priorities it lives on."""
            other = subprocess.Popen(shop.as_user(["sleep", "100"]), preexec_fn=lambda: os.setpgid(0, 0))
            try:
                subprocess.run(command, cwd=shop.path, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60,
                               preexec_fn=lambda: os.setpgid(0, other.pid))
                if dies:
                    return other.wait(10)
                self.assertTrue(is_alive(other.pid))
                return os.getpriority(os.PRIO_PROCESS, other.pid), self.libc.syscall(252, 1, other.pid)
            finally:
                other.kill()
                other.wait()

        def check(shop, backend):
            for code in (KILL_GROUP, LOWER_GROUP + LOWER_USER):
                command = shop.command([PYTHON, "-c", code], ["-q"], backend)
                self.assertEqual(beside(shop, command), (os.nice(0), self.libc.syscall(252, 1, 0)))
        self.everywhere(check)
        shop = Workshop()
        self.addCleanup(shop.close)
        self.assertEqual(beside(shop, [PYTHON, "-c", KILL_GROUP], dies=True), -signal.SIGKILL)
        self.assertEqual(beside(shop, [PYTHON, "-c", LOWER_GROUP]), (7, 0x4007))
        self.control()

    def test_sockets(self):
        families = range(1, 46)
        calls = " , ".join(f"41 {family} {kind} 0" for family in families for kind in (1, 2, 3, 5))

        def check(shop, backend):
            run = shop.run([shop.guest("calls"), *calls.split()], backend=backend)
            self.assertEqual({int(line) for line in run.out.split()}, {-errno.EACCES})
            # Several processes may talk to each other (test_sockets.py).
            run = shop.run([shop.guest("calls"), *calls.split()], ["--processes", "2"],
                           backend=backend)
            results = [int(line) for line in run.out.split()]
            self.assertTrue(results[0] > 0 and results[3] > 0, results)
            self.assertEqual({*results[1:3], *results[4:]}, {-errno.EACCES})
            # A connected datagram pair could be sent anywhere: what is made is a pair of packet
            # sockets.
            pairs = shop.run([shop.guest("calls"), *"53 1 2 0 &8 , 53 1 5 0 &8".split()],
                             backend=backend)
            self.assertEqual(pairs.out, b"0\n0\n")
        self.everywhere(check)

    def test_services_on_the_loopback(self):
        def arrived(command):
            servers, words = [], []
            for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    try:
                        server = socket.socket(family, kind)
                        server.bind((host, 0))
                    except OSError as error:
                        print(f"no {host} here: {error}", file=sys.stderr)
                        continue
                    if kind == socket.SOCK_STREAM:
                        server.listen()
                    server.setblocking(False)
                    servers.append(server)
                    words.append(f"{int(family)},{host},{int(kind)},{server.getsockname()[1]}")
            command(words)
            count = 0
            for server in servers:
                with contextlib.suppress(BlockingIOError):
                    server.accept()[0].close() if server.type == socket.SOCK_STREAM else server.recv(1)
                    count += 1
                server.close()
            return count, len(servers)

        def check(shop, backend):
            for options in ((), ("--processes", "2", "-p", "any")):
                count, _ = arrived(lambda words: shop.run([PYTHON, "-c", LOOPBACK, *words], options, backend=backend))
                self.assertEqual(count, 0)
            bare, servers = arrived(lambda words: shop.native([PYTHON, "-c", LOOPBACK, *words]))
            self.assertEqual(bare, servers)
        self.everywhere(check)

    # The caller's standard input is its socket: what lies in it beside the bytes is no part of the input.
    def test_descriptors_in_the_callers_socket(self):
        code = """
import os, socket
try:
    s = socket.socket(fileno=os.dup(0))
    data, fds, _, _ = socket.recv_fds(s, 10, 5)
    print(data, [os.read(fd, 20) for fd in fds], flush=True)
except OSError as error: print(os.read(0, 10), error.errno, flush=True)
try: socket.send_fds(socket.socket(fileno=os.dup(1)), [b"x"], [os.open("/etc/passwd", 0)])
except OSError: pass
"""
        def passed(shop, command):
            ours, theirs = socket.socketpair()
            with open(shop.file("secret", "canary"), "rb") as secret:
                socket.send_fds(ours, [b"input"], [secret.fileno()])
            done = subprocess.run(command, cwd=shop.path, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL,
                                  timeout=60)
            theirs.close()
            said, back = b"", []
            while True:
                data, fds, _, _ = socket.recv_fds(ours, 100, 5)
                if not data:
                    break
                said, back = said + data, back + fds
            for fd in back:
                os.close(fd)
            ours.close()
            return done.returncode, said, len(back)

        def check(shop, backend):
            status, said, back = passed(shop, shop.command([PYTHON, "-c", code], ["-q"], backend))
            self.assertEqual((status, back), (0, 0))
            self.assertIn(b"input", said)
            self.assertNotIn(b"canary", said)
            status, said, back = passed(shop, shop.as_user([PYTHON, "-c", code]))
            self.assertEqual((status, back), (0, 1))
            self.assertIn(b"canary", said)
            self.control()
        self.everywhere(check)


if __name__ == "__main__":
    main()
