"""The commands that a workload is put behind: vitrine's backends, and what else people use.

Each other tool is started as its manual has it for "run this program, with the files that are there".
One that is not installed, or that cannot run here, is left out and named.
"""

import dataclasses
import os
import shutil
import subprocess

from harness import BACKENDS, find_vitrine


@dataclasses.dataclass
class Tool:
    name: str
    prefix: list
    supervises: bool = True  # false: namespaces alone, every call is native

    def works(self):
        if not self.prefix:
            return True
        if not shutil.which(self.prefix[0]):
            return False
        try:
            done = subprocess.run([*self.prefix, "/bin/true"], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, timeout=30)
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0


BARE = Tool("bare", [])


def vitrine(backend="notify", *options):
    return Tool(f"vitrine {backend}", [find_vitrine(), "-q", "--backend", backend, *options, "--"])


def others():
    trace = ["strace", "-f", "-o", "/dev/null"]
    return [
        Tool("bwrap", ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc",
                       "--tmpfs", "/tmp", "--unshare-all", "--die-with-parent"], supervises=False),
        Tool("firejail", ["firejail", "--quiet", "--noprofile", "--net=none"], supervises=False),
        Tool("proot", ["proot", "-r", "/"]),
        Tool("strace", trace),
        Tool("strace --seccomp-bpf", [*trace, "--seccomp-bpf", "-e", "trace=%file"]),
        Tool("runsc do", ["runsc", "--rootless", "--network=none", "--ignore-cgroups", "do"]),
    ]


def installed():
    """Tools that work here, and the names of those that do not."""
    working, missing = [], []
    for tool in others():
        (working if tool.works() else missing).append(tool)
    return working, [tool.name for tool in missing]


def backends(*options):
    return [vitrine(backend, *options) for backend in BACKENDS]


def guest_environment():
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp"}


def processors():
    return sorted(os.sched_getaffinity(0))
