"""Every road through /proc to a process that is not one's own: roads.py PID... Prints what it learned."""

import os
import sys

seen = []


def attempt(what, call, *arguments):
    try:
        result = call(*arguments)
    except OSError:
        return
    seen.append((what, result if isinstance(result, (bytes, str)) else str(result)))


def read(path):
    with open(path, "rb") as file:
        return file.read(4096)


def read_memory(path):
    with open(path, "rb") as file:
        return file.read(1)


FILES = ("environ cmdline maps smaps status stat statm comm auxv io limits mounts mountinfo cgroup wchan stack "
         "syscall personality pagemap oom_score loginuid sched schedstat").split()
LINKS = ("exe", "cwd", "root", "ns/user", "ns/net", "fd/0", "fd/1")
FOLDERS = ("", "fd", "fdinfo", "task", "ns", "map_files", "net", "attr")

for pid in sys.argv[1:]:
    for base in (f"/proc/{pid}", f"/proc/self/../{pid}", f"/proc/{pid}/task/{pid}",
                 f"/proc/self/root/proc/{pid}", f"/proc/./{pid}", f"/proc//{pid}", f"/proc/0{pid}"):
        for name in FILES:
            attempt(f"{base}/{name}", read, f"{base}/{name}")
            attempt(f"stat {base}/{name}", os.stat, f"{base}/{name}")
        for name in LINKS:
            attempt(f"{base}/{name}", os.readlink, f"{base}/{name}")
            attempt(f"stat {base}/{name}", os.stat, f"{base}/{name}")
        for name in FOLDERS:
            attempt(f"{base}/{name}", os.listdir, f"{base}/{name}")
            attempt(f"access {base}/{name}", lambda p: os.access(p, os.F_OK) or os.stat(p), f"{base}/{name}")
        attempt(f"{base}/mem", read_memory, f"{base}/mem")
        attempt(f"{base}/root/etc/shadow", read, f"{base}/root/etc/shadow")
    if pid in os.listdir("/proc"):
        seen.append(("listed", pid))
print(seen)
