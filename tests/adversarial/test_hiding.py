"""Time where nobody might look, output that nobody reads in time, every budget attacked at once, and a run
beside one that attacks its own.

VITRINE_LONG=1: 10 GiB of output."""

import contextlib
import hashlib
import threading

from harness import *
from harness import SLOW

LONG = bool(os.environ.get("VITRINE_LONG"))
MIB = 1 << 20
OUTPUT = 10 << 10 if LONG else 64  # MiB
MOST_MEMORY = (192 if SANITIZED else 32) * MIB  # of a supervisor; seen: 5 MiB

# A grandchild goes on writing when its parent, and the parent's parent, are gone.
ORPHAN = """
import os, sys, time
r, w = os.pipe()
if os.fork() == 0:
    os.close(r)
    if os.fork() == 0:
        os.setsid()
        os.write(1, b"x" * 65536)
        os.write(w, b"1")
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            os.write(1, b"late")
            time.sleep(.01)
    os._exit(0)
os.read(r, 1)
os._exit(3)
"""

# Everything that is bounded, from each of its processes: calls, threads, forks, memory, scratch, output, stops.
EVERYTHING = """
import mmap, os, random, signal, sys, threading, time
def attempt(call, *arguments):
    try: return call(*arguments)
    except (OSError, RuntimeError, MemoryError, ValueError): return None
def grow():
    held = []
    while True:
        m = attempt(mmap.mmap, -1, 1 << 20)
        if m is None: held.clear()
        else: m[::4096] = b"x" * 256; held.append(m)
        block = attempt(bytearray, 1 << 20)
        if block is None: held.clear()
        else: held.append(block)
def fill():
    n = 0
    while True:
        n += 1
        try:
            with open(f"/tmp/{os.getpid()}-{n % 50}", "ab") as f: f.write(bytes(1 << 16))
        except OSError: attempt(os.unlink, f"/tmp/{os.getpid()}-{n % 50}")
def talk():
    while True: attempt(os.write, 1, b"x" * 4096)
def ask():
    while True:
        attempt(os.stat, "/none"); attempt(os.listdir, "/proc"); attempt(os.kill, 1, 0); attempt(os.pipe)
def spin():
    while True: pass
def fork():
    while True:
        pid = attempt(os.fork)
        if pid == 0: work()
        if pid: attempt(os.kill, pid, random.choice((signal.SIGSTOP, signal.SIGKILL, signal.SIGCONT)))
        attempt(os.waitpid, -1, os.WNOHANG)
        time.sleep(.002)
def work():
    for way in WAYS: attempt(threading.Thread(target=way, daemon=True).start)
    fork()
WAYS = [{"memory": grow, "scratch": fill, "output": talk, "calls": ask, "time": spin}[name] for name in sys.argv[1:]]
for n in range(1, 65): attempt(signal.signal, n, signal.SIG_IGN)
work()
"""
WAYS = ("memory", "scratch", "output", "calls", "time")

# What is disturbed by nothing: its result, and how long it says that it took.
QUIET = """
import hashlib, os, subprocess, threading, time
start, found = time.monotonic(), hashlib.sha256()
def some(n):
    with open(f"/tmp/{n}", "w+b") as f:
        f.write(bytes([n]) * 100000); f.seek(0); parts[n] = hashlib.sha256(f.read()).digest()
for turn in range(4):
    parts = {}
    threads = [threading.Thread(target=some, args=(n,)) for n in range(8)]
    for t in threads: t.start()
    for t in threads: t.join()
    for n in range(8): found.update(parts[n])
    for _ in range(200): os.stat("/etc/passwd")
    found.update(b"%d" % subprocess.run(["/bin/true"]).returncode)
    r, w = os.pipe(); os.write(w, b"x" * 60000); found.update(os.read(r, 60000)); os.close(r); os.close(w)
    block = bytearray(30 << 20); found.update(block)
print(found.hexdigest())
print(time.monotonic() - start)
"""

WAITING = ("vfork-sleep", "leaderless-sleep", "stopped", "stopped-leaderless")
SPENDING = ("orphans-spin", "vfork-spin", "leaderless-spin", "threads-spin")


class Hiding(Case):
    # --- time (hide.c)

    def took(self, how, seconds):
        shop = Workshop()
        self.addCleanup(shop.close)
        start = time.monotonic()
        # Nobody would continue what is stopped.
        bare = subprocess.Popen([shop.guest("hide"), how, str(seconds)], start_new_session=True)
        try:
            bare.wait(10 * seconds)
        except subprocess.TimeoutExpired:
            pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(bare.pid, signal.SIGKILL)
        bare.wait()
        self.control()
        return time.monotonic() - start

    def test_wall_time(self):
        def check(shop, backend):
            start = time.monotonic()
            options = ["-q", "--wall", "300ms", "--processes", "3"]
            runs = {how: shop.start([shop.guest("hide"), how, "20"], options, backend) for how in WAITING}
            for how, run in runs.items():
                run.communicate(timeout=60)
                self.assertEqual(run.returncode, 124, how)
                self.assertLess(time.monotonic() - start, 3 * SLOW, how)
        self.everywhere(check)
        for how in WAITING:
            self.assertGreater(self.took(how, 0.6), 0.6, how)

    # What the kernel charged for the whole tree, and its supervisor, when it was waited for.
    def test_processor_time(self):
        def check(shop, backend):
            for how in SPENDING[:1] if shop.user else SPENDING:
                process = shop.start([shop.guest("hide"), how, "20"], ["-q", "--cpu", "300ms", "--processes", "6"],
                                     backend=backend, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
                _, status, used = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
                self.assertEqual(process.returncode, 124, how)
                self.assertLess(used.ru_utime + used.ru_stime, 4 * SLOW)
        self.everywhere(check)
        for how in SPENDING:
            self.assertGreater(self.took(how, 0.6), 0.6, how)

    # --- output

    def test_output_after_the_parents_end(self):
        def check(shop, backend):
            run = shop.run([PYTHON, "-c", ORPHAN], ["--processes", "3"], backend=backend)
            self.assertEqual((run.status, run.out[:65536]), (3, b"x" * 65536))
            self.assertLess(run.report["usage"]["wall_s"], 1.2 * SLOW)
            self.assertLess(run.out.count(b"late"), 60)
            self.assertEqual(len(run.out), run.report["usage"]["output_bytes"])
            bare = shop.native([PYTHON, "-c", ORPHAN])
            self.assertGreater(bare.stdout.count(b"late"), 60)
        self.everywhere(check)

    # More than a pipe holds, when nobody reads before everybody has ended.
    def test_output_that_is_read_later(self):
        code = "import os, sys; os.write(1, b'x' * 65536); os.write(2, b'y' * 65536); os._exit(4)"

        def read_later(process):
            time.sleep(0.3)
            out, err = process.communicate(timeout=60)
            return process.returncode, out, err

        def check(shop, backend):
            run = shop.start([PYTHON, "-c", code], ["-q"], backend=backend)
            self.assertEqual(read_later(run), (4, b"x" * 65536, b"y" * 65536))
        self.everywhere(check)

    # The reader takes its time: what is on its way is nowhere but in pipes.
    def test_much_output_for_a_slow_reader(self):
        code = f"import os\nblock = bytes(range(256)) * 4096\nfor _ in range({OUTPUT}): os.write(1, block)"

        def read_slowly(process):
            size, digest, most, since = 0, hashlib.sha256(), 0, 0
            while block := os.read(process.stdout.fileno(), MIB):
                size, since = size + len(block), since + len(block)
                digest.update(block)
                if since >= 4 * MIB:
                    since = 0
                    time.sleep(0.01)
                    with open(f"/proc/{process.pid}/status", encoding="latin-1") as f:
                        most = max(most, next((int(line.split()[1]) for line in f if line.startswith("VmRSS")), 0))
            process.stdout.close()
            return process.wait(30), size, digest.hexdigest(), most << 10

        expected = hashlib.sha256()
        for _ in range(OUTPUT):
            expected.update(bytes(range(256)) * 4096)

        def check(shop, backend):
            start = time.monotonic()
            command = shop.command([PYTHON, "-c", code], ["-q", "--output", "none", "--wall", "none", "--cpu", "none"],
                                   backend)
            run = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=shop.path)
            status, size, digest, most = read_slowly(run)
            self.assertEqual((status, size, digest), (0, OUTPUT * MIB, expected.hexdigest()))
            self.assertLess(most, MOST_MEMORY)
            print(f"{backend}: {OUTPUT} MiB in {time.monotonic() - start:.1f} s, the supervisor {most / MIB:.1f} MiB",
                  file=sys.stderr)
        self.everywhere(check, users=False)
        # With its budget, the same program ends.
        shop = Workshop()
        self.addCleanup(shop.close)
        run = shop.run([PYTHON, "-c", code], ["--output", "3M"])
        self.assertEqual((run.status, run.verdict, len(run.out)), (121, "output-limit", 3 * MIB))
        self.control()

    # --- all of it

    def attack(self, shop, backend, ways, wall):
        report = shop.file("attack.json", "", 0o666)
        options = ["-q", "--wall", wall, "--cpu", "none", "--memory", "128M", "--scratch", "/tmp=64M", "--processes", "6",
                   "--threads", "32", "--output", "none", "--report", report]
        run = subprocess.Popen(shop.command([PYTHON, "-c", EVERYTHING, *ways], options, backend), cwd=shop.path,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        taken = threading.Thread(target=lambda: [None for _ in iter(lambda: os.read(run.stdout.fileno(), MIB), b"")])
        taken.start()
        return run, taken, report

    def end(self, run, taken, report):
        run.wait(60)
        taken.join(60)
        run.stdout.close()
        return read_json(report)

    def test_every_budget_alone_and_together(self):
        def check(shop, backend):
            for ways in (*((way,) for way in WAYS), WAYS):
                if shop.user and len(ways) == 1:
                    continue  # alone each as root, together as both
                start = time.monotonic()
                told = self.end(*self.attack(shop, backend, ways, "400ms"))
                self.assertIn(told["verdict"], ("wall-limit", "memory-limit", "exited"), ways)
                self.assertLess(time.monotonic() - start, 4 * SLOW, ways)
                usage = told["usage"]
                self.assertLess(usage["wall_s"], 0.4 * 1.02 + 0.5 * SLOW, ways)
                # An eighth and 4 MiB, and what a look misses of what each CPU fills in 5 ms.
                missed = 24 * MIB * os.cpu_count() * SLOW
                self.assertLess(usage["memory_peak_bytes"], (128 + 16 + 4) * MIB + missed, ways)
                self.assertLess(usage["scratch_peak_bytes"], (64 + 8 + 4) * MIB + missed, ways)
                self.assertLessEqual(usage["processes_peak"], 6, ways)
                self.assertLessEqual(usage["threads_peak"], 32, ways)
        self.everywhere(check)

    # A run of the same user beside it comes to the same result, in a time that its share of the processors explains.
    def test_a_run_beside_one_that_attacks(self):
        options = ["--processes", "4", "--ro", "/bin/true", "--memory", "256M"]

        def quiet(shop, backend):
            run = shop.run([PYTHON, "-c", QUIET], options, backend=backend)
            self.assertEqual((run.status, run.err), (0, b""), run.report)
            digest, seconds = run.out.split()
            return digest, float(seconds)

        def attack_until(over, user, backend, verdicts):
            attacker = Workshop(user)
            try:
                while not over.is_set():
                    verdicts.append(self.end(*self.attack(attacker, backend, WAYS, "1s")).get("verdict"))
            finally:
                attacker.close()

        def check(shop, backend):
            alone, over, verdicts = quiet(shop, backend), threading.Event(), []
            attacking = threading.Thread(target=attack_until, args=(over, shop.user, backend, verdicts))
            attacking.start()
            try:
                beside = [quiet(shop, backend) for _ in range(2)]
            finally:
                over.set()
                attacking.join()
            print(f"{backend}, {shop.user or 'root'}: {alone[1]:.2f} s alone, beside "
                  f"{', '.join(f'{seconds:.2f}' for _, seconds in beside)} s, {verdicts}", file=sys.stderr)
            self.assertEqual({digest for digest, _ in beside}, {alone[0]})
            self.assertLess(min(seconds for _, seconds in beside), 10 * alone[1] + 1)
            self.assertLessEqual(set(verdicts), {"wall-limit", "memory-limit"})
        self.everywhere(check)
        shop = Workshop()
        self.addCleanup(shop.close)
        bare = shop.native([PYTHON, "-c", QUIET]).stdout.split()[0]
        self.assertEqual(bare, quiet(shop, BACKENDS[0])[0])


if __name__ == "__main__":
    main()
