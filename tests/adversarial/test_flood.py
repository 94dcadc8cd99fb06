"""Floods of stops and calls from many threads: clocks are looked at all the same, the supervisor's
own memory stays small, and the log and the report stay bounded and valid.

VITRINE_LONG=1: half a minute of each."""

import pwd

from harness import *
from harness import SANITIZED, SLOW

THREADS = "32"
SECONDS = 30 if os.environ.get("VITRINE_LONG") else 1


def resident_mib(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) // 1024


class Flood(Case):
    # Found as a loop that went on for as long as stops came: 8 s under a budget of 2.
    def flood(self, how):
        shop = Workshop()
        self.addCleanup(shop.close)
        bare = shop.native([shop.guest("flood"), how, "4", "0.5"])
        self.assertEqual((bare.returncode, bare.stdout), (0, b"done\n"))

        def check(shop, backend):
            run = shop.run([shop.guest("flood"), how, THREADS, str(10 * SECONDS)],
                           ["--wall", f"{SECONDS}s", "--cpu", "none", "--audit-limit", "8M"],
                           backend=backend, timeout=60 + SECONDS)
            self.assertEqual((run.status, run.verdict), (124, "wall-limit"))
            self.assertLess(run.report["usage"]["wall_s"], SECONDS + 1)
            self.assertLess(run.seconds, SECONDS + 4)
            self.assertLess(len(json_of(run.report)), 1 << 20)
            size = os.path.getsize(os.path.join(shop.path, "audit.jsonl"))
            self.assertLess(size, 10 << 20)
        self.everywhere(check)

    # Found as 7 s under a budget of one, and a supervisor that neither SIGTERM nor SIGKILL ended: it
    # slept uninterruptibly until the program's memory could be read.
    def test_memory_that_is_locked_for_long(self):
        for how in ("advice", "mapping", "shared"):
            shop = Workshop()
            self.addCleanup(shop.close)
            self.assertEqual(shop.native([shop.guest("stall"), how, "4"]).stdout, b"filled\n")

            def check(shop, backend):
                run = shop.run([shop.guest("stall"), how, "100"], ["--memory", "64M", "--wall", "500ms"],
                               backend=backend)
                self.assertEqual((run.verdict, run.out), ("wall-limit", b"refused\n"))
                self.assertLess(run.report["usage"]["wall_s"], 2)
            self.everywhere(check)

    def test_mappings_that_are_filled_at_once(self):
        code = """
import mmap, sys
def fill(size, kind=mmap.MAP_PRIVATE, protection=mmap.PROT_READ | mmap.PROT_WRITE):
    try:
        with mmap.mmap(-1, size << 20, flags=kind | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE, prot=protection) as m:
            return len(m) >> 20
    except OSError as e: return e.errno
with open(sys.executable, "rb") as f:
    of_file = len(mmap.mmap(f.fileno(), 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_POPULATE, prot=mmap.PROT_READ))
print(fill(16), fill(16, mmap.MAP_SHARED), of_file, fill(100), fill(300), fill(100, protection=mmap.PROT_READ))
"""
        def check(shop, backend):
            small = shop.python(code, ["--memory", "64M"], backend=backend)
            large = shop.python(code, ["--memory", "1G"], backend=backend)
            self.assertEqual((small.out, large.out), (b"16 16 4096 12 12 12\n", b"16 16 4096 100 12 100\n"))
        self.everywhere(check)

    def test_calls(self):
        self.flood("calls")

    def test_traps(self):
        self.flood("traps")

    def test_unknown_numbers(self):
        self.flood("unknown")

    def test_the_supervisor_stays_small(self):
        def check(shop, backend):
            audit = shop.file("log", "", 0o666)
            run = shop.start([shop.guest("flood"), "unknown", THREADS, str(10 * SECONDS)],
                             ["-q", "--wall", f"{1500 * SECONDS}ms", "--cpu", "none", "--audit", audit],
                             backend=backend)
            most = 0
            while run.poll() is None:
                try:
                    most = max(most, resident_mib(run.pid))
                except (StopIteration, OSError):
                    pass
                time.sleep(0.05)
            run.communicate()
            self.assertLess(most, 384 if SANITIZED else 128)  # AddressSanitizer keeps what is freed
        self.everywhere(check, users=False)

    # A descriptor in the queue of a socket is in no table, and its terminal is there all the same.
    def test_terminals_in_flight_are_counted(self):
        code = """
import os, socket
sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
made = 0
try:
    while made < 100:
        terminal = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)
        socket.send_fds(sender, [b"x"], [terminal])
        os.close(terminal)
        made += 1
except OSError:
    pass
print(made)
"""
        shop = Workshop()
        self.addCleanup(shop.close)
        self.assertEqual(shop.native([PYTHON, "-c", code]).stdout, b"100\n")

        def check(shop, backend):
            run = shop.python(code, backend=backend)
            self.assertEqual((run.status, run.out), (0, b"32\n"))
        self.everywhere(check)

    # With its first end closed a terminal has no name any more, and a number of the host's all the
    # same, for as long as the other end is open: what was ever made is bounded as well.
    def test_terminals_without_a_name_are_bounded(self):
        code = """
import fcntl, os, struct
def make():
    first = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)
    fcntl.ioctl(first, 0x40045431, struct.pack("i", 0))  # TIOCSPTLCK
    return first, os.open("/dev/pts/%d" % struct.unpack("i", fcntl.ioctl(first, 0x80045430, bytes(4))), os.O_RDWR | os.O_NOCTTY)
def attempt(most):
    made = []
    try:
        while len(made) < most: made.append(make())
    except OSError as error: print(error.errno)
    return made
both = attempt(40)
print(len(both))
for end in both.pop() + both.pop(): os.close(end)
both += attempt(2)  # given back
print(len(both))
for ends in both:
    for end in ends: os.close(end)
kept = 0
try:
    while kept < 160:
        first, second = make()
        os.close(first)
        kept += 1
except OSError as error: print(error.errno)
print(kept)
"""
        def terminals():
            with open("/proc/sys/kernel/pty/nr", encoding="ascii") as f:
                return int(f.read())
        shop = Workshop()
        self.addCleanup(shop.close)
        self.assertEqual(shop.native([PYTHON, "-c", code]).stdout, b"40\n40\n160\n")

        def check(shop, backend):
            before = terminals()
            run = shop.python(code, backend=backend)
            self.assertEqual((run.status, run.err), (0, b""))
            self.assertEqual(run.out.split(), [b"28", b"32", b"32", b"28", b"94"])  # 32 + 2 + 94 = 128
            self.assertLess(terminals(), before + 28)
        self.everywhere(check)

    # The names of a run's terminals stay when these are closed, and their numbers become others'.
    def test_a_terminal_of_the_hosts_is_not_opened_by_the_name_that_an_own_one_had(self):
        code = """
import os, sys
first, second = os.openpty()
name = os.ttyname(second)
os.close(first), os.close(second)
print(name, flush=True)
sys.stdin.readline()
try:
    os.write(os.open(name, os.O_RDWR | os.O_NOCTTY), b"written")
    print("opened")
except OSError as error: print(error.errno)
"""
        def host_terminal(shop, name):
            made = []
            for _ in range(20):
                made.append(os.openpty())
                if os.ttyname(made[-1][1]) == name:
                    break
            for master, slave in made[:-1]:
                os.close(master), os.close(slave)
            master, slave = made[-1]
            self.addCleanup(os.close, master)
            self.addCleanup(os.close, slave)
            if os.ttyname(slave) != name:
                return None  # another process has got the number
            if shop.user:
                os.chown(name, pwd.getpwnam(shop.user).pw_uid, -1)
            return master

        def attempt(shop, command):
            run = subprocess.Popen(command, cwd=shop.path, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self.addCleanup(run.wait)
            self.addCleanup(run.kill)
            self.addCleanup(run.stdout.close)
            master = host_terminal(shop, run.stdout.readline().decode().strip())
            out = run.communicate(b"\n", timeout=30 * SLOW)[0]
            if master is None:
                return attempt(shop, command)
            os.set_blocking(master, False)
            try:
                return out, os.read(master, 100)
            except BlockingIOError:
                return out, b""

        def check(shop, backend):
            command = [PYTHON, "-c", code]
            self.assertEqual(attempt(shop, shop.command(command, ["-q"], backend)), (b"2\n", b""))
            self.assertEqual(attempt(shop, shop.as_user(command)), (b"opened\n", b"written"))
        self.everywhere(check)


def json_of(value):
    import json
    return json.dumps(value)


if __name__ == "__main__":
    main()
