"""Times vitrine against the bare program: interleaved runs, medians and ratios of pairs.

Figures are printed and never asserted: machines are noisy, and only ratios within one run compare.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import BACKENDS, PYTHON, find_guests, find_vitrine  # noqa: E402

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp"}


def seconds(command):
    start = time.perf_counter()
    subprocess.run(command, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def pairs(bare, supervised, runs):
    """Medians of both and of the ratio, run in turn after one warm-up each."""
    seconds(bare), seconds(supervised)
    times = [(seconds(bare), seconds(supervised)) for _ in range(runs)]
    return (statistics.median(b for b, _ in times), statistics.median(s for _, s in times),
            statistics.median(s / b for b, s in times))


def row(*cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def start_up(pin, runs):
    bare = [*pin, PYTHON, "-c", "pass"]
    for backend in BACKENDS:
        base, time_, ratio = pairs(bare, [*pin, find_vitrine(), "--backend", backend, *bare[len(pin):]],
                                   runs)
        row("python3 -c pass", backend, f"{base * 1e3:.1f} ms", f"{time_ * 1e3:.1f} ms",
            f"{ratio:.2f}")
    base, time_, ratio = pairs([*pin, "/bin/true"], [*pin, find_vitrine(), "--version"], runs)
    row("vitrine --version / true", "", f"{base * 1e3:.1f} ms", f"{time_ * 1e3:.1f} ms",
        f"{ratio:.2f}")


def calls(pin, count):
    guest = os.path.join(find_guests(), "bench_calls")
    path = "/usr/lib/os-release"

    def measure(prefix):
        out = subprocess.run([*pin, *prefix, guest, path, str(count)], env=ENVIRONMENT, check=True,
                             stdout=subprocess.PIPE, text=True).stdout
        return dict((name, float(ns)) for name, ns in (line.split() for line in out.splitlines()))

    for backend in BACKENDS:
        samples = [(measure([]), measure([find_vitrine(), "--backend", backend, "--ro", path]))
                   for _ in range(5)]
        for name in samples[0][0]:
            bare = statistics.median(s[0][name] for s in samples)
            inside = statistics.median(s[1][name] for s in samples)
            row(name, backend, f"{bare / 1e3:.2f} µs", f"{inside / 1e3:.2f} µs",
                f"+{(inside - bare) / 1e3:.2f} µs")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--calls", type=int, default=20000)
    arguments = parser.parse_args()
    for title, pin in (("pinned to CPU 0", ["taskset", "-c", "0"]), ("not pinned", [])):
        print(f"\n{title}\n")
        row("workload", "backend", "bare", "vitrine", "ratio")
        row("---", "---", "---", "---", "---")
        start_up(pin, arguments.runs)
        calls(pin, arguments.calls)


if __name__ == "__main__":
    main()
