"""Two runs share nothing, and neither hears of the other or of the caller; signals and output by other
roads; core dumps; the known ways out of the language. Each natively works."""

import ast
import contextlib
import ctypes
import fcntl
import functools
import glob
import pty
import pwd
import resource
import shutil

from harness import *
from test_start import limits_of

spare_the_sanitizer()  # one user's processes are all taken: its search for leaks needs one more

CANARY = "canary-93ab"
LONG = bool(os.environ.get("VITRINE_LONG"))

# Each leaves something behind for the next one to find. Prints what it found, then leaves it.
TRACES = """
import ctypes, fcntl, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
found = []
def attempt(name, call):
    try:
        if call(): found.append(name)
    except OSError: pass
def file(path):
    existed = os.path.exists(path)
    open(path, "w").write("left")
    return existed
def shm():
    return libc.shmget(0x5eed, 4096, 0) >= 0 or libc.shmget(0x5eed, 4096, 0o1600) < -1
def msg():
    return libc.msgget(0x5eed, 0) >= 0 or libc.msgget(0x5eed, 0o1600) < -1
def sem():
    return libc.semget(0x5eed, 1, 0) >= 0 or libc.semget(0x5eed, 1, 0o1600) < -1
def queue():
    rt = ctypes.CDLL("librt.so.1", use_errno=True)
    return rt.mq_open(b"/vitrine-test", 0) >= 0 or rt.mq_open(b"/vitrine-test", 0o102, 0o600, None) < -1
def key():
    there = libc.syscall(250, 10, -4, b"user", b"vitrine-test", 0) > 0
    libc.syscall(248, b"user", b"vitrine-test", b"x", ctypes.c_long(1), -4)
    return there
def abstract():
    listener = socket.socket(socket.AF_UNIX)
    listener.connect("\\0vitrine-test")
    return True
attempt("tmp", lambda: file("/tmp/vitrine-left"))
attempt("shm folder", lambda: file("/dev/shm/vitrine-left"))
attempt("shm", shm)
attempt("msg", msg)
attempt("sem", sem)
attempt("queue", queue)
attempt("abstract", abstract)
def taken(lock):
    fd = os.open(sys.argv[1], os.O_RDONLY)
    try: lock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError: return True
    finally: os.close(fd)
def lease():
    try: os.close(os.open(sys.argv[1], os.O_WRONLY | os.O_NONBLOCK))
    except BlockingIOError: return True
attempt("key", key)
attempt("flock", lambda: taken(fcntl.flock))
attempt("lockf", lambda: taken(fcntl.lockf))
attempt("lease", lease)
print(found, flush=True)
if "stay" in sys.argv:
    listener = None
    try:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("\\0vitrine-test")
        listener.listen(1)
    except OSError: pass
    held = os.open(sys.argv[1], os.O_RDONLY)
    def hold(*how):
        try: fcntl.fcntl(*how) if len(how) > 2 else how[0](os.open(sys.argv[1], os.O_RDWR), how[1])
        except OSError: pass
    if sys.argv[2] == "lease": hold(held, 1024, fcntl.F_RDLCK)  # F_SETLEASE
    else:
        hold(fcntl.lockf, fcntl.LOCK_EX)
        try: fcntl.flock(held, fcntl.LOCK_EX)
        except OSError: pass
    print("ready", flush=True)
    sys.stdin.readline()
"""

# Makes all the timers it can, also those that others give back, and holds them until a line comes.
TIMERS = """
import ctypes, select, signal, struct, sys
libc = ctypes.CDLL(None)
event = struct.pack("qii", 0, signal.SIGUSR1, 0) + bytes(64)
def make_all():
    made = 0
    while libc.syscall(222, 1, event, ctypes.byref(ctypes.c_int())) == 0: made += 1
    return made
print(make_all(), flush=True)
while not select.select([0], [], [], .001)[0]: make_all()
"""
MOST_TIMERS = 400

# Sends as many descriptors as it may, none of which is ever received, until a line comes.
FLYING = """
import array, os, socket, sys
pairs, flying, one = [], 0, os.open("/dev/null", os.O_RDONLY)
message = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [one] * 253))]
try:
    while True:
        pairs.append(socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
        try:
            while True:
                pairs[-1][0].sendmsg([b"x"], message, socket.MSG_DONTWAIT)
                flying += 253
        except BlockingIOError: pass
except OSError: pass
print(flying, flush=True)
sys.stdin.readline()
"""
# Starts all the threads it can, and keeps them.
THREADS = """
import sys, threading
threading.stack_size(65536)
over, made = threading.Event(), []
try:
    while True:
        thread = threading.Thread(target=over.wait)
        thread.start()
        made.append(thread)
except RuntimeError: print(len(made), flush=True)
sys.stdin.readline()
over.set()
"""
ROOM_FOR_THREADS = 300  # beside what the user has already

STARTS = "print('works')"  # by opening files
MOST_FILES = 1100

# Each road alone.
SIGNALS = """
import ctypes, fcntl, os, signal, socket, struct, sys, time
victim, road = int(sys.argv[1]), sys.argv[2]
libc = ctypes.CDLL(None, use_errno=True)
r, w = os.pipe()
a, b = socket.socketpair()
def attempt(call, *arguments):
    try: return call(*arguments)
    except OSError: return None
def control(command, value):
    for fd in (r, a.fileno(), 0, 1): attempt(fcntl.fcntl, fd, command, value)
def request(number):
    attempt(fcntl.ioctl, a.fileno(), number, struct.pack("i", victim))
def timer(how):
    event = struct.pack("qiii", 0, signal.SIGTERM, how, victim) + bytes(64)
    made = ctypes.c_int()
    if libc.syscall(222, 1, event, ctypes.byref(made)) == 0:
        libc.syscall(223, made.value, 0, struct.pack("qqqq", 0, 0, 0, 1000000), 0)
def notify():
    folder = os.open("/tmp", os.O_RDONLY)
    for command, value in ((10, signal.SIGTERM), (8, victim), (1026, 0x8000001f)):  # F_NOTIFY
        attempt(fcntl.fcntl, folder, command, value)
    attempt(open, "/tmp/vitrine-notify", "w")
    attempt(os.unlink, "/tmp/vitrine-notify")
def lease():
    made = os.open(sys.argv[3], os.O_RDONLY)
    for command, value in ((10, signal.SIGTERM), (1024, 0), (8, victim)): attempt(fcntl.fcntl, made, command, value)
    if os.fork() == 0:
        attempt(os.open, sys.argv[3], os.O_WRONLY | os.O_NONBLOCK)
        os._exit(0)
{"F_SETOWN": lambda: control(8, victim), "F_SETOWN of a group": lambda: control(8, -victim),
 "F_SETOWN_EX": lambda: control(15, struct.pack("ii", 1, victim)),
 "F_SETOWN_EX of a task": lambda: control(15, struct.pack("ii", 0, victim)),
 "F_SETOWN_EX of a group": lambda: control(15, struct.pack("ii", 2, victim)),
 "FIOSETOWN": lambda: request(0x8901), "SIOCSPGRP": lambda: request(0x8902),
 "F_NOTIFY": notify, "F_SETLEASE": lease}[road]()
if road not in ("F_NOTIFY", "F_SETLEASE"):
    control(10, signal.SIGTERM)
    for fd in (r, a.fileno()):
        attempt(fcntl.fcntl, fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
    os.write(w, b"x"); b.send(b"x")
# A timer's signal may be for a task of one's own alone (SIGEV_THREAD_ID), and for others nowhere.
timer(4)
time.sleep(0.2)
"""
ROADS = ("F_SETOWN", "F_SETOWN of a group", "F_SETOWN_EX", "F_SETOWN_EX of a task", "F_SETOWN_EX of a group",
         "FIOSETOWN", "SIOCSPGRP", "F_NOTIFY", "F_SETLEASE")

KEYS = """
import fcntl, os
for fd in (0, 1, 2):
    for request in (0x5412, 0xdead00005412, 0x541C):
        for byte in b"echo %s\\n":
            try: fcntl.ioctl(fd, request & 0xffffffff, bytes([byte]))
            except OSError: pass
print("tried", flush=True)
""" % CANARY

ESCAPES = r"""
import ctypes, gc, sys, types
def subclasses(base):
    for cls in type.__subclasses__(base):
        yield cls
        if cls is not type: yield from subclasses(cls)
def by_subclasses():
    for cls in set(subclasses(object)):
        builtins = getattr(getattr(cls, "__init__", None), "__globals__", {}).get("__builtins__")
        if builtins:
            opener = builtins["open"] if isinstance(builtins, dict) else builtins.open
            return opener(SECRET).read()
def by_frames():
    frame = sys._getframe()
    while frame: last, frame = frame, frame.f_back
    return last.f_builtins["open"](SECRET).read()
def by_collector():
    for found in gc.get_objects():
        if isinstance(found, types.ModuleType) and found.__name__ == "os":
            return found.read(found.open(SECRET, 0), 100)
def by_code():
    code = compile("open(SECRET).read()", "<x>", "eval")
    return eval(code.replace(co_name="y"), {"SECRET": SECRET})
def by_crafted_code():
    # LOAD_CONST with an index far outside of its constants: whatever a pointer in other bytes leads to.
    import dis
    made = [(id(open).to_bytes(8, "little"), tuple([None])) for _ in range(1000)]
    index, pointer, constants = next((n, p, c) for p, _ in made for _, c in made[::99]
                                     if 0 < (n := (id(p) + 32 - id(c) - 24) // 8) < 1 << 31)
    extended = b"".join(bytes([dis.opmap["EXTENDED_ARG"], index >> n & 255]) for n in (24, 16, 8))
    start = bytes([dis.opmap["RESUME"], 0]) if "RESUME" in dis.opmap else b""
    body = start + extended + bytes([dis.opmap["LOAD_CONST"], index & 255, dis.opmap["RETURN_VALUE"], 0])
    crafted = (lambda: None).__code__.replace(co_code=body, co_consts=constants)
    return types.FunctionType(crafted, {})()(SECRET).read()
def by_library():
    libc = ctypes.CDLL(None)
    data = ctypes.create_string_buffer(100)
    fd = libc.open(SECRET.encode(), 0)
    length = libc.read(fd, data, 100)
    return data.raw[:length] if length > 0 else ""
def by_native_code():
    page = ctypes.CDLL(None).mmap
    page.restype = ctypes.c_void_p
    at = page(None, ctypes.c_size_t(4096), 7, 0x22, -1, ctypes.c_long(0))
    code = b"\xb8\x02\0\0\0\x31\xf6\x0f\x05\xc3"           # open(rdi, 0)
    ctypes.memmove(at, code, len(code))
    fd = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_char_p)(at)(SECRET.encode())
    return __import__("os").read(fd, 100) if fd >= 0 else ""
SECRET = sys.argv[1]
for name, way in list(globals().items()):
    if name.startswith("by_"):
        try: print(name, way())
        except Exception as error: print(name, type(error).__name__)
"""


class Neighbours(Case):
    # --- what one run leaves, or holds, is nothing to the next

    def test_runs_find_nothing_of_each_other(self):
        def check(shop, backend):
            for held in ("locks", "lease"):
                locked = shop.file("locked", "")
                self.own(shop, locked)
                first = shop.start([PYTHON, "-c", TRACES, locked, held, "stay"], ["-q", "--ro", locked],
                                   backend=backend, stdin=subprocess.PIPE)
                self.assertEqual(first.stdout.readline(), b"[]\n")
                self.assertEqual(first.stdout.readline(), b"ready\n")
                # Side by side, and on a lock of the host's.
                second = shop.run([PYTHON, "-c", TRACES, locked], ["--ro", locked], backend=backend)
                with open(os.open(locked, os.O_RDWR | os.O_NONBLOCK), "rb+") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                first.communicate(b"\n", timeout=30)
                # One after the other.
                third = shop.run([PYTHON, "-c", TRACES, locked], ["--ro", locked], backend=backend)
                self.assertEqual((second.out, third.out), (b"[]\n", b"[]\n"))
                self.assertFalse(os.path.exists("/dev/shm/vitrine-left"))
                self.assertFalse(os.path.exists("/tmp/vitrine-left"))
        self.everywhere(check)

    def own(self, shop, path):
        if shop.user:
            shutil.chown(path, shop.user, shop.user)

    def test_natively_they_do(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        locked, found = shop.file("locked", ""), set()
        for held in ("locks", "lease"):
            first = subprocess.Popen([PYTHON, "-c", TRACES, locked, held, "stay"], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE)
            first.stdout.readline()
            self.assertEqual(first.stdout.readline(), b"ready\n")
            found |= set(ast.literal_eval(shop.native([PYTHON, "-c", TRACES, locked]).stdout.decode()))
            first.kill()  # a lease that is broken may have ended it already
            first.communicate()
        for path in ("/tmp/vitrine-left", "/dev/shm/vitrine-left"):
            os.unlink(path)
        for kind, option in (("shm", "-M"), ("msg", "-Q"), ("sem", "-S")):
            subprocess.run(["ipcrm", option, "0x5eed"], capture_output=True)
        ctypes.CDLL("librt.so.1").mq_unlink(b"/vitrine-test")
        wanted = {"tmp", "shm folder", "shm", "msg", "sem", "queue", "abstract", "flock", "lockf", "lease", "key"}
        libc = ctypes.CDLL(None)
        key = libc.syscall(248, b"user", b"vitrine-test", b"x", ctypes.c_long(1), -4)
        if key < 0:
            print("no keyrings here", file=sys.stderr)
            wanted.remove("key")
        libc.syscall(250, 3, key)  # KEYCTL_REVOKE
        self.assertEqual(found, wanted)

    # --- what the kernel counts by user: one run leaves others, and their supervisors, enough

    def limited(self, limit, most):
        return functools.partial(resource.setrlimit, limit, (most, most))

    def beside(self, hoarder, start, use, limits):
        """What a hoarder holds, and how a run goes while it does."""
        with start([PYTHON, "-c", hoarder], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                   preexec_fn=limits) as first:
            held = int(first.stdout.readline())
            second = use([PYTHON, "-c", STARTS], preexec_fn=limits)
            first.communicate(b"\n", timeout=30)
        return held, second

    def beside_a_run(self, hoarder, limits, of_root=True):
        def check(shop, backend):
            if not (shop.user or of_root):
                return
            held, second = self.beside(hoarder, functools.partial(shop.start, backend=backend),
                                       functools.partial(shop.run, backend=backend), limits)
            self.assertGreater(held, 0)
            self.assertEqual((second.status, second.out), (0, b"works\n"))
        self.everywhere(check)

    def beside_a_native(self, hoarder, limits, backend):
        shop = Workshop(ensure_user())
        self.addCleanup(shop.close)
        return self.beside(hoarder,
                           lambda line, **kwargs: subprocess.Popen(shop.as_user(line), **kwargs),
                           functools.partial(shop.run, backend=backend), limits)

    def test_a_run_leaves_others_their_timers(self):
        self.beside_a_run(TIMERS, self.limited(resource.RLIMIT_SIGPENDING, MOST_TIMERS))

    def test_natively_a_program_takes_all_timers_and_then_nothing_is_started(self):
        limits = self.limited(resource.RLIMIT_SIGPENDING, MOST_TIMERS)
        for backend in BACKENDS:
            _, second = self.beside_a_native(TIMERS, limits, backend)
            self.assertEqual((second.status, second.out), (125, b""))
            self.assertIn(b"RLIMIT_SIGPENDING", second.err)

    def test_a_run_leaves_others_their_messages(self):
        self.beside_a_run(FLYING, self.limited(resource.RLIMIT_NOFILE, MOST_FILES))

    def test_natively_a_program_sends_so_much_that_no_descriptor_is_handed_over(self):
        limits = self.limited(resource.RLIMIT_NOFILE, MOST_FILES)
        for backend in ("trace", "syscall"):  # notify hands them over by another road
            flying, second = self.beside_a_native(FLYING, limits, backend)
            self.assertGreater(flying, MOST_FILES)
            self.assertNotEqual((second.status, second.out), (0, b"works\n"))

    def room_for_threads(self):
        user, count = pwd.getpwnam(ensure_user()).pw_uid, 0
        for task in glob.glob("/proc/[0-9]*/task/*"):
            with contextlib.suppress(OSError):
                count += os.stat(task).st_uid == user
        return self.limited(resource.RLIMIT_NPROC, count + ROOM_FOR_THREADS)

    # What root runs is nobody's, whose programs others run as well: it cannot be counted.
    def test_a_run_leaves_others_their_threads(self):
        self.beside_a_run(THREADS, self.room_for_threads(), of_root=False)

    def test_natively_a_program_takes_all_threads_and_then_nothing_is_started(self):
        threads, second = self.beside_a_native(THREADS, self.room_for_threads(), BACKENDS[0])
        self.assertGreater(threads, ROOM_FOR_THREADS // 2)
        self.assertNotEqual((second.status, second.out), (0, b"works\n"))

    # --- signals by other roads

    def victim(self, shop):
        process = subprocess.Popen(shop.as_user(["/bin/sleep", "60"]), start_new_session=True)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        time.sleep(0.1)  # setpriv becomes sleep
        return process

    def test_signals_by_other_roads(self):
        def check(shop, backend):
            victim, owned = self.victim(shop), shop.file("owned", "")
            self.own(shop, owned)
            runs = [shop.start([PYTHON, "-c", SIGNALS, str(victim.pid), road, owned],
                               ["-q", "--processes", "2", "--ro", owned], backend=backend) for road in ROADS]
            for road, run in zip(ROADS, runs):
                _, err = run.communicate(timeout=60)
                self.assertEqual((run.returncode, err), (0, b""), road)
            self.assertIsNone(victim.poll())
        self.everywhere(check)

    def test_natively_they_arrive(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        for road in ROADS:
            victim = self.victim(shop)
            shop.native([PYTHON, "-c", SIGNALS, str(victim.pid), road, shop.file("owned", "")])
            self.assertEqual(victim.wait(5), -signal.SIGTERM, road)

    # --- keys that nobody typed: what the caller's terminal holds unread afterwards

    def typed(self, command):
        parent, child = pty.openpty()
        done = subprocess.Popen(command, stdin=child, stdout=child, stderr=child,
                                preexec_fn=lambda: (os.setsid(), fcntl.ioctl(0, 0x540E, 0)))
        out = b""
        while b"tried" not in out:
            out += os.read(parent, 1000)
        done.wait(30)
        waiting = fcntl.ioctl(child, 0x541B, b"\0\0\0\0")  # FIONREAD
        os.close(parent)
        os.close(child)
        return int.from_bytes(waiting, sys.byteorder), out

    def test_keys_that_nobody_typed(self):
        def check(shop, backend):
            waiting, out = self.typed(shop.command([PYTHON, "-c", KEYS], ["-q"], backend))
            self.assertEqual((waiting, out.count(CANARY.encode())), (0, 0))
        self.everywhere(check)

    def test_natively_keys_are_typed(self):
        legacy = "/proc/sys/dev/tty/legacy_tiocsti"
        if os.path.exists(legacy) and os.getuid() != 0:
            self.skipTest("this kernel has no TIOCSTI but for root")
        _, out = self.typed([PYTHON, "-c", KEYS])
        self.assertIn(CANARY.encode(), out)
        self.control()

    # What vitrine itself says on a terminal of names that the program, or its caller's file, chose.
    def test_names_that_are_shown_on_a_terminal(self):
        hostile = "\x1b[2J\x1b]0;x\x07\x9b\u202e"
        makes = f"import os\nos.mkdir('/usr/lib/' + {hostile!r})"

        def shown(command, shop):
            parent, child = pty.openpty()
            done = subprocess.Popen(command, stdin=child, stdout=subprocess.DEVNULL, stderr=child, cwd=shop.path)
            os.close(child)
            out = b""
            with contextlib.suppress(OSError):  # EIO: nobody has the other end any more
                while block := os.read(parent, 10000):
                    out += block
            done.wait(30)
            os.close(parent)
            return out

        def check(shop, backend):
            quiet = ["/bin/sh", "-c", f"exec 2>/dev/null; exec {PYTHON} -c \"$0\"", makes]
            several = ["--ro", "/bin/sh", "--ro", PYTHON, "--ro", "/dev/null"]
            for words in ([hostile], ["--ro", hostile, "--", "true"], ["-p", hostile, "--", "true"],
                          ["--on-deny", "kill", "--", PYTHON, "-c", makes], ["-v", *several, "--", *quiet],
                          ["log", "show", hostile], ["--" + hostile, "true"]):
                line = [shop.vitrine, *([] if words[0] == "log" else ["--backend", backend]), *words]
                out = shown(shop.as_user(line), shop)
                self.assertIn(b"vitrine", out)
                self.assertNotRegex(out.decode(), "[\x1b\x07\x9b\u202e]", words)
        self.everywhere(check)
        shop = Workshop()
        self.addCleanup(shop.close)
        self.assertIn(b"\x1b[2J", shown(["/bin/sh", "-c", 'echo "$0" >&2', hostile], shop))
        self.control()

    # --- core dumps

    CRASH = "import ctypes, resource, sys\nif 'lower' in sys.argv: resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"

    def test_no_core_is_dumped(self):
        def check(shop, backend):
            before = sorted(os.listdir(shop.path))
            run = shop.run([PYTHON, "-c", self.CRASH + "ctypes.string_at(0)"], ["--scratch", shop.path + "/made"],
                           backend=backend)
            self.assertEqual((run.status, run.verdict), (128 + signal.SIGSEGV, "signaled"))
            left = set(os.listdir(shop.path)) - set(before) - {"report.json", "audit.jsonl"}
            self.assertEqual(left, set())
            raised = shop.python("import resource; resource.setrlimit(resource.RLIMIT_CORE, (99, 99))",
                                 backend=backend)
            self.assertEqual(raised.status, 1)
        self.everywhere(check)

    # 1, not 0: what a piped core_pattern takes for none. Found as 0 where the program asked for it, and
    # where its caller had no more.
    def test_no_core_goes_into_a_pipe(self):
        code = self.CRASH + "print('ready', flush=True); sys.stdin.readline()"

        def limit_in(command, most):
            run = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/",
                                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, most)))
            self.assertEqual(run.stdout.readline(), b"ready\n")
            with open(f"/proc/{run.pid}/task/{run.pid}/children", encoding="ascii") as f:
                children = f.read().split()
            limit = limits_of(children[0] if children else run.pid)["Max core file size"]
            run.communicate(b"\n")
            self.assertEqual(run.returncode, 0)
            return limit[:2]

        def check(shop, backend):
            for lowered, most in (([], 5), (["lower"], 1), *([([], 0)] if may_raise and not shop.user else [])):
                found = limit_in(shop.command([PYTHON, "-c", code, *lowered], ["-q"], backend), most)
                self.assertEqual(found, ["1", "1"], (lowered, most))
        raises = "import resource; resource.setrlimit(resource.RLIMIT_CORE, (1, 1))"
        may_raise = subprocess.run([PYTHON, "-c", raises], stderr=subprocess.DEVNULL, preexec_fn=lambda: (
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))).returncode == 0
        if not may_raise:
            print("no right to raise limits here: a caller's 0 stays", file=sys.stderr)
        self.everywhere(check)
        self.assertEqual(limit_in([PYTHON, "-c", code, "lower"], 5), ["0", "0"])
        self.control()

    # The pattern is the whole machine's, so this is not for every day.
    @unittest.skipUnless(LONG and os.getuid() == 0, "VITRINE_LONG: changes the kernel's core_pattern for a moment")
    def test_a_piped_core_pattern_gets_none(self):
        pattern = "/proc/sys/kernel/core_pattern"
        with open(pattern, encoding="utf-8") as f:
            usual = f.read()
        shop = Workshop()
        self.addCleanup(shop.close)
        got = os.path.join(shop.path, "got")
        handler = shop.file("handler", f"#!/bin/sh\ncat > {got}\n", 0o755)

        def crash(command):
            subprocess.run(command, cwd="/", stderr=subprocess.DEVNULL)
            time.sleep(0.3)
            return os.path.exists(got)

        def check(shop, backend):
            for how in ([], ["lower"]):
                command = [PYTHON, "-c", self.CRASH + "ctypes.string_at(0)", *how]
                self.assertFalse(crash(shop.command(command, ["-q"], backend)), how)
        try:
            with open(pattern, "w", encoding="utf-8") as f:
                f.write("|" + handler)
            self.everywhere(check)
            self.assertTrue(crash([PYTHON, "-c", self.CRASH + "ctypes.string_at(0)"]))
            self.control()
        finally:
            with open(pattern, "w", encoding="utf-8") as f:
                f.write(usual)

    # --- out of the language

    def test_ways_out_of_the_language_lead_nowhere(self):
        def check(shop, backend):
            secret = shop.file("secret", CANARY)
            run = shop.run([PYTHON, "-c", ESCAPES, secret], backend=backend)
            self.assertEqual((run.status, run.err), (0, b""))
            self.assertEqual(run.out.count(b"\n"), 7)
            self.assertNotIn(CANARY.encode(), run.out)
        self.everywhere(check)
        shop = Workshop()
        self.addCleanup(shop.close)
        native = shop.native([PYTHON, "-c", ESCAPES, shop.file("secret", CANARY)])
        self.assertEqual(native.stdout.count(CANARY.encode()), 7, native)


if __name__ == "__main__":
    main()
