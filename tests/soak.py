"""Many short runs, one after the other and side by side, and one long one: equal results each time, a
supervisor that does not grow, and nothing left behind.

    python3 -B soak.py [--runs 5000] [--beside 32] [--minutes 10]

(VITRINE, VITRINE_BACKENDS and VITRINE_USER as harness.py has them.) Exit status 0: all is equal."""

import argparse
import concurrent.futures
import ctypes
import itertools
import pwd

from harness import *
from harness import SLOW

MARK = "VITRINE_SOAK"  # in the environment of everything that is started here

QUIET = ["-q"]
PYTHON_RUNS = {
    "ends": ("print(sum(range(1000)))", [], 0, b"499500\n"),
    "fails": ("raise SystemExit(7)", [], 7, b""),
    "threads": ("import threading\nout = []\n"
                "ts = [threading.Thread(target=lambda: out.append(open('/etc/passwd').read())) for _ in range(20)]\n"
                "[t.start() for t in ts]; [t.join() for t in ts]; print(len(out))", [], 0, b"20\n"),
    "children": ("import subprocess\nfor _ in range(5): print(subprocess.run(['/bin/true']).returncode, end='')",
                 ["--processes", "4", "--ro", "/bin/true"], 0, b"00000"),
    "pool": ("import multiprocessing as m\nif __name__ == '__main__':\n"
             "  with m.Pool(2) as p: print(p.map(abs, [-1, 2]))", ["-p", "python-multiprocess"], 0, b"[1, 2]\n"),
    "scratch": ("import sqlite3\nd = sqlite3.connect('/tmp/x.db'); d.execute('create table t (a)')\n"
                "d.executemany('insert into t values (?)', [(i,) for i in range(500)]); d.commit()\n"
                "print(d.execute('select sum(a) from t').fetchone()[0])", [], 0, b"124750\n"),
    "shared": ("import mmap, socket\nm = mmap.mmap(-1, 1 << 20); m[5] = 6; a, b = socket.socketpair(); a.send(b'x')\n"
               "print(b.recv(1), m[5])", [], 0, b"b'x' 6\n"),
    "alarms": ("import os, signal\nsignal.signal(signal.SIGALRM, lambda *a: None)\n"
               "signal.setitimer(signal.ITIMER_REAL, .001, .001)\nfor _ in range(500): os.stat('/etc/passwd')\n"
               "signal.setitimer(signal.ITIMER_REAL, 0)",
               [], 0, b""),
    "refused": ("import socket\ntry: socket.socket()\nexcept OSError as e: print(e.errno)", [], 0, b"13\n"),
    "violates": ("import socket; socket.socket()", ["--on-deny", "kill"], 120, b""),
    "kills itself": ("import os; os.kill(os.getpid(), 9)", [], 137, b""),
    "wall": ("import time; time.sleep(60)", ["--wall", "100ms"], 124, b""),
    "cpu": ("while True: pass", ["--cpu", "100ms"], 124, b""),
    "memory": ("import mmap\ntry: bytearray(1 << 30)\nexcept MemoryError: print('refused')", [], 0, b"refused\n"),
    "output": ("import os\nwhile True: os.write(1, b'x' * 4096)", ["--output", "64K"], 121, b"x" * 65536),
    "scratch full": ("f = open('/tmp/f', 'wb', 0)\ntry:\n  while True: f.write(bytes(1 << 16))\n"
                     "except OSError as e: print(e.errno)", ["--scratch", "/tmp=1M"], 0, b"28\n"),
    "fork bomb": ("import os\nwhile True:\n  try: os.fork()\n  except OSError: pass",
                  ["--processes", "8", "--wall", "150ms"], 124, b""),
    "daemon": ("import os, time\nif os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0: time.sleep(60)\n  os._exit(0)\n"
               "os.wait(); print('gone')", ["--processes", "4"], 0, b"gone\n"),
    "memory held": ('''
import mmap
kept = []
for name in range(20):
    with open(f"/tmp/{name}", "w+b") as f:
        f.truncate(8 << 20)
        kept.append(mmap.mmap(f.fileno(), 8 << 20))
for held in kept:
    for at in range(0, 8 << 20, 4096): held[at] = 1
''', ["--memory", "32M", "--scratch", "/tmp=200M"], 122, b""),
}


class Kinds:
    def __init__(self, shop):
        self.commands = {name: ([PYTHON, "-c", code], options, status, out)
                         for name, (code, options, status, out) in PYTHON_RUNS.items()}
        self.shop = shop
        self.names = [*self.commands, "supervisor killed"]

    def run(self, name, backend):
        """What was wrong, or nothing."""
        if name == "supervisor killed":
            return self.kill(backend)
        command, options, status, out = self.commands[name]
        try:
            done = subprocess.run(self.shop.command(command, [*QUIET, *options], backend), cwd=self.shop.path,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  timeout=60 * SLOW, env=dict(os.environ, **{MARK: "1"}))
        except subprocess.TimeoutExpired:
            return "does not end"
        if (done.returncode, done.stdout) == (status, out):
            return None
        return f"{done.returncode} {done.stdout[-200:]} {done.stderr[-500:]}"

    def kill(self, backend):
        code = "import os, time\nos.fork()\nprint('there', flush=True)\ntime.sleep(60)"
        run = self.shop.start([PYTHON, "-c", code], [*QUIET, "--processes", "2"], backend,
                              stdin=subprocess.DEVNULL, env=dict(os.environ, **{MARK: "1"}))
        said = run.stdout.readline()
        run.kill()
        run.wait()
        errors = run.stderr.read()
        run.stdout.close()
        run.stderr.close()
        return None if said == b"there\n" else f"said {said} {errors[-500:]}"


# --- what may be left behind

def processes():
    """Supervisors, by what was put into their environment, and their programs: who loses them is ours."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="latin-1") as f:
                state, parent = f.read().rpartition(")")[2].split()[:2]
            with open(f"/proc/{pid}/environ", "rb") as f:
                marked = MARK.encode() + b"=" in f.read()
        except OSError:
            continue
        if state not in "ZX" and (marked or int(parent) == os.getpid()):
            found.add(pid)
    return found


def objects(uid):
    """What a run could leave on the host, by its owner: files, System V objects, message queues."""
    found = set()
    for folder in ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run"):
        for entry in os.scandir(folder) if os.path.isdir(folder) else ():
            # Folders of other tests beside this one are not looked at.
            if not entry.name.startswith("vitrine-test-") and entry.stat(follow_symlinks=False).st_uid == uid:
                found.add(entry.path)
    for kind, owner in (("shm", 7), ("msg", 7), ("sem", 4)):
        with open(f"/proc/sysvipc/{kind}", encoding="ascii") as f:
            found |= {f"{kind} {line.split()[1]}" for line in f.readlines()[1:] if int(line.split()[owner]) == uid}
    return found


def own_descriptors():
    return len(os.listdir("/proc/self/fd"))


def system_files():
    """Open files, and sockets, of the whole system."""
    with open("/proc/sys/fs/file-nr", encoding="ascii") as f:
        return int(f.read().split()[0])


# --- the three parts

def in_a_row(kinds, count):
    wrong = 0
    start = time.monotonic()
    combinations = itertools.cycle(itertools.product(kinds.names, BACKENDS))
    for done, (name, backend) in enumerate(itertools.islice(combinations, count), 1):
        problem = kinds.run(name, backend)
        if problem:
            wrong += 1
            print(f"WRONG {name}, {backend}: {problem}", flush=True)
        if done % 500 == 0:
            print(f"  {done} runs, {wrong} wrong, {time.monotonic() - start:.0f} s", flush=True)
    return wrong


def side_by_side(kinds, count, rounds=3):
    wrong = 0
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        work = list(itertools.islice(itertools.cycle(itertools.product(kinds.names, BACKENDS)), rounds * count))
        for (name, backend), problem in zip(work, pool.map(lambda each: kinds.run(*each), work)):
            if problem:
                wrong += 1
                print(f"WRONG beside others: {name}, {backend}: {problem}", flush=True)
    print(f"  {rounds} times {count} side by side, {wrong} wrong", flush=True)
    return wrong


SERVED = """
import os, socket, subprocess, sys, tempfile, threading, time, fcntl, mmap
end = time.monotonic() + float(sys.argv[1])
n = 0
while time.monotonic() < end:
    n += 1
    os.stat("/etc/passwd"); os.listdir("/usr/lib"); open("/proc/self/maps").read()
    try: open(f"/none/{n}")
    except OSError: pass
    with tempfile.TemporaryDirectory() as folder:
        with open(folder + "/f", "w") as f:
            f.write("x" * 5000); fcntl.flock(f, fcntl.LOCK_EX)
        os.rename(folder + "/f", folder + "/g"); os.symlink("g", folder + "/l")
    a, b = socket.socketpair(); a.send(b"x"); a.close(); b.close()
    server = socket.socket(socket.AF_UNIX); server.bind(f"\\0name{n}"); server.listen(); server.close()
    m = mmap.mmap(-1, 1 << 16); m[0] = 1; m.close()
    t = threading.Thread(target=os.getcwd); t.start(); t.join()
    if n % 20 == 0: subprocess.run(["/bin/true"])
print("rounds", n)
"""


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="latin-1") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def long_run(shop, backend, seconds):
    """The supervisor's memory and descriptors over time: no more at the end than early on. Runs of less than
    a few minutes show its tables filling."""
    command = shop.command([PYTHON, "-c", SERVED, str(seconds)],
                           [*QUIET, "--wall", "none", "--cpu", "none", "--processes", "4", "--ro", "/bin/true"],
                           backend)
    run = subprocess.Popen(command, cwd=shop.path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, env=dict(os.environ, **{MARK: "1"}))
    samples = []
    start = time.monotonic()
    while run.poll() is None:
        try:
            samples.append((resident_kib(run.pid), len(os.listdir(f"/proc/{run.pid}/fd"))))
        except (OSError, StopIteration):
            pass
        time.sleep(seconds / 200)
    out, err = run.communicate()
    tenth = max(2, len(samples) // 10)
    early, late = samples[2 * tenth:4 * tenth], samples[-tenth:-1]
    grown = max(kib for kib, _ in late) - max(kib for kib, _ in early)
    descriptors = max(fds for _, fds in late) - max(fds for _, fds in early)
    print(f"  {backend}: {out.decode().strip()} in {time.monotonic() - start:.0f} s, resident "
          f"{max(k for k, _ in early)} KiB early, {max(k for k, _ in late)} KiB late, "
          f"{max(fds for _, fds in late)} descriptors", flush=True)
    right = run.returncode == 0 and err == b"" and grown <= 512 and descriptors <= 8
    if not right:
        print(f"WRONG long run, {backend}: {run.returncode} {err[-500:]}, grown {grown} KiB, "
              f"{descriptors} descriptors", flush=True)
    return 0 if right else 1


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--runs", type=int, default=5000)
    options.add_argument("--beside", type=int, default=32)
    options.add_argument("--minutes", type=float, default=10)
    options = options.parse_args()
    shop = Workshop(ensure_user() if os.getuid() == 0 else None)
    # Whoever loses its parent becomes ours, and is seen.
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    kinds = Kinds(shop)
    wrong = in_a_row(kinds, len(kinds.names))  # what is made once (byte code, the user's folders)
    uid = pwd.getpwnam(shop.user).pw_uid if shop.user else os.getuid()
    before, descriptors, files = objects(uid), own_descriptors(), system_files()
    wrong += in_a_row(kinds, options.runs)
    wrong += side_by_side(kinds, options.beside)
    with concurrent.futures.ThreadPoolExecutor(len(BACKENDS)) as pool:
        runs = list(pool.map(lambda backend: long_run(shop, backend, 60 * options.minutes), BACKENDS))
    wrong += sum(runs)
    time.sleep(0.3)
    left = {"processes": processes(), "objects": objects(uid) - before,
            "descriptors": own_descriptors() - descriptors}
    print(f"  left: {left}; open files of the system {files} before, {system_files()} after", flush=True)
    wrong += sum(bool(each) for each in left.values())
    shop.close()
    print("all is equal" if wrong == 0 else f"{wrong} wrong")
    return 0 if wrong == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
