"""Times programs bare, inside vitrine, and behind other tools: run in turn, medians of ratios.

Figures are printed and never asserted: machines are noisy, and only ratios within one run compare.
"""

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import tools  # noqa: E402
from harness import PYTHON, find_guests, find_vitrine  # noqa: E402

STDLIB = "import argparse, asyncio, collections, csv, decimal, email, json, logging, re, sqlite3, ssl, zipfile"
COMPUTE = """
def work(n):
    total = 0
    for i in range(n):
        total += i * i % 7
    return total
work(6_000_000)
"""
BLAS = """
import numpy
a = numpy.random.default_rng(1).random((1400, 1400))
for _ in range(6): a = a @ a / 1400
"""
CALLS_PATH = "/usr/lib/os-release"
OUTPUT = "import os\nb = b'x' * 65536\nfor _ in range(1024): os.write(1, b)"


class Bench:
    def __init__(self, pin, runs, others):
        self.pin, self.runs, self.others = pin, runs, others

    def command(self, tool, words):
        return [*self.pin, *tool.prefix, *words]

    def seconds(self, tool, words, copies=1):
        start = time.perf_counter()
        running = [subprocess.Popen(self.command(tool, words), env=tools.guest_environment(),
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
                   for _ in range(copies)]
        statuses = []
        for process in running:
            while process.stdout.read1(1 << 20):
                pass
            statuses.append(process.wait())
        taken = time.perf_counter() - start
        if any(statuses):
            raise RuntimeError(f"{self.command(tool, words)} ended with {statuses}")
        return taken

    def compare(self, name, words, behind, runs=None, copies=1):
        """One line a tool: the medians of it and of the bare run, and of the ratio of pairs."""
        runs = runs or self.runs
        for tool in (tools.BARE, *behind):
            self.seconds(tool, words, copies)  # what is read once is cached from now on
        times = {tool.name: [] for tool in (tools.BARE, *behind)}
        for _ in range(runs):
            for tool in (tools.BARE, *behind):
                times[tool.name].append(self.seconds(tool, words, copies))
        bare = times["bare"]
        for tool in behind:
            ratio = statistics.median(t / b for t, b in zip(times[tool.name], bare))
            row(name, tool.name, milliseconds(bare), milliseconds(times[tool.name]),
                f"{ratio:.2f}")

    def calls(self, count):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            guest = os.path.join(find_guests(), "bench_calls")
            path = CALLS_PATH
            shown = ["--ro", path, "--scratch", folder]
            behind = [*tools.backends(*shown), *(t for t in self.others if t.supervises)]
            words = [guest, path, str(count), folder]
            behind = [tool for tool in behind if self.can_run(tool, words)]
            samples = {tool.name: [] for tool in (tools.BARE, *behind)}
            for _ in range(5):
                for tool in (tools.BARE, *behind):
                    samples[tool.name].append(self.call_times(tool, words))
            for name in samples["bare"][0]:
                bare = statistics.median(sample[name] for sample in samples["bare"])
                for tool in behind:
                    taken = statistics.median(s[name] for s in samples[tool.name])
                    row(name, tool.name, f"{bare / 1e3:.2f} µs", f"{taken / 1e3:.2f} µs",
                        f"{taken / bare:.2f} (+{(taken - bare) / 1e3:.2f} µs)")

    def can_run(self, tool, words):
        done = subprocess.run(self.command(tool, words), env=tools.guest_environment(),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if done.returncode != 0:
            print(f"behind {tool.name} the calls cannot be measured: status {done.returncode}")
        return done.returncode == 0

    def call_times(self, tool, words):
        out = subprocess.run(self.command(tool, words), env=tools.guest_environment(), check=True,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
        return {name: float(ns) for name, ns in (line.split() for line in out.splitlines())}


def row(*cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def milliseconds(times):
    return f"{statistics.median(times) * 1e3:.1f} ms"


def can_import(module):
    return subprocess.run([PYTHON, "-c", f"import {module}"], stderr=subprocess.DEVNULL,
                          env=tools.guest_environment()).returncode == 0


def workloads(bench, quick):
    ours, all_tools = tools.backends(), [*tools.backends(), *bench.others]
    scientific = [tools.vitrine("notify", "-p", "python-scientific")]
    bench.compare("python3 -c pass", [PYTHON, "-c", "pass"], all_tools)
    bench.compare("python3 -I -S -c pass", [PYTHON, "-I", "-S", "-c", "pass"], ours)
    bench.compare("import a dozen of the library", [PYTHON, "-c", STDLIB], all_tools)
    for module in ("numpy", "pandas"):
        if can_import(module):
            bench.compare(f"import {module}", [PYTHON, "-c", f"import {module}"],
                          [*scientific, *bench.others], runs=max(5, bench.runs // 3))
        else:
            print(f"import {module}: not installed")
    few = max(3, bench.runs // 6)
    bench.compare("pure Python loop", [PYTHON, "-c", COMPUTE], ours, runs=few)
    if can_import("numpy"):
        bench.compare("threaded BLAS", [PYTHON, "-c", BLAS], scientific, runs=few)
    bench.compare("64 MiB to stdout", [PYTHON, "-c", OUTPUT], ours, runs=few)
    bench.compare("16 at once, python3 -c pass", [PYTHON, "-c", "pass"], ours[:1], runs=few,
                  copies=16)
    bench.calls(2000 if quick else 20000)


def audit_cost(runs):
    """What a log of every call adds, beside what strace adds that writes one as well: to a run without
    a log, and, in brackets, to the bare program."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        guest = os.path.join(find_guests(), "bench_calls")
        words = {"python3 -c pass": [PYTHON, "-c", "pass"],
                 "import a dozen": [PYTHON, "-c", STDLIB],
                 "calls of a C program": [guest, CALLS_PATH, "3000", folder]}
        log = os.path.join(folder, "log")
        show = [find_vitrine(), "-q", "--ro", CALLS_PATH, "--scratch", folder]
        plain = tools.Tool("vitrine", [*show, "--"])
        ours = tools.Tool("vitrine --audit-level all",
                          [*show, "--audit-level", "all", "--audit", log, "--"])
        theirs = tools.Tool("strace -f -o", ["strace", "-f", "-o", log])
        if not theirs.works():
            print("strace: not installed")
            return
        bench = Bench([], runs, [])
        for name, command in words.items():
            times = [tuple(bench.seconds(tool, command) for tool in (tools.BARE, plain, ours, theirs))
                     for _ in range(runs)]
            for column, tool in ((2, ours), (3, theirs)):
                row(f"{name}, every call logged", tool.name, milliseconds([t[0] for t in times]),
                    milliseconds([t[column] for t in times]),
                    f"{statistics.median(t[column] / t[0] for t in times):.2f}")
            added = statistics.median((o - p) / (t - b) for b, p, o, t in times)
            whole = statistics.median((o - b) / (t - b) for b, p, o, t in times)
            print(f"cost added by --audit-level all / by strace -f -o: {added:.2f} ({whole:.2f})")


def resident_of_supervisor(words):
    """Most that it had resident by the end of the program's first second, in MB."""
    child = subprocess.Popen([find_vitrine(), "-q", "--", *words], stdout=subprocess.PIPE)
    child.stdout.readline()
    with open(f"/proc/{child.pid}/status", encoding="ascii") as status:
        most = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    child.stdout.close()
    child.terminate()
    child.wait()
    return most / 1024


def supervisor_itself(runs):
    bench = Bench([], runs, [])
    true = tools.Tool("true", ["/bin/true"])
    start, run = tools.Tool("vitrine", [find_vitrine()]), tools.vitrine("notify", "-p", "any")
    pairs = [(bench.seconds(true, []), bench.seconds(start, ["--version"]),
              bench.seconds(run, ["/bin/true"])) for _ in range(runs)]
    print(f"\nbeside /bin/true, vitrine --version takes "
          f"{statistics.median(v - t for t, v, _ in pairs) * 1e3:.2f} ms longer and a whole run of it "
          f"{statistics.median(r - t for t, _, r in pairs) * 1e3:.2f} ms; "
          f"the binary has {os.path.getsize(find_vitrine()) / 1e6:.1f} MB")
    wait = "print(flush=True); import time; time.sleep(30)"
    small = resident_of_supervisor([PYTHON, "-I", "-S", "-c", wait])
    large = resident_of_supervisor([PYTHON, "-c", f"{STDLIB}\n{wait}"])
    print(f"resident memory of the supervisor: {small:.1f} MB, after the imports of a dozen modules "
          f"{large:.1f} MB")


def autogroups():
    """Each program is a session of its own: where sessions share the CPUs (sched(7)), the many
    programs of one caller get more than the supervisors, which are all in the caller's."""
    try:
        with open("/proc/sys/kernel/sched_autogroup_enabled", encoding="ascii") as file:
            return "on" if file.read().strip() == "1" else "off"
    except FileNotFoundError:
        return "not there"


def describe_machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((l.split(":")[1].strip() for l in file if l.startswith("model name")), "?")
    print(f"Linux {platform.release()}, {model}, {len(tools.processors())} CPUs, "
          f"{resource.getpagesize()}-byte pages, load {os.getloadavg()[0]:.1f}, "
          f"autogroups {autogroups()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=30, help="pairs of each short workload")
    parser.add_argument("--quick", action="store_true", help="few runs: is everything in place?")
    arguments = parser.parse_args()
    runs = 3 if arguments.quick else arguments.runs
    describe_machine()
    others, missing = tools.installed()
    if missing:
        print("not installed, or refused here: " + ", ".join(missing))
    for title, pin in (("pinned to one CPU", ["taskset", "-c", str(tools.processors()[0])]),
                       ("not pinned", [])):
        print(f"\n{title}\n")
        row("workload", "behind", "bare", "median", "ratio")
        row("---", "---", "---", "---", "---")
        workloads(Bench(pin, runs, others), arguments.quick)
    audit_cost(max(3, runs // 3))
    supervisor_itself(runs)


if __name__ == "__main__":
    main()
