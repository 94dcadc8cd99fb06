"""What the integration and adversarial suites have in common: running vitrine and looking at the result.

Environment (set by CTest; the defaults serve a run by hand):
  VITRINE        the command under test
  GUESTS         folder of the compiled guest programs
  VITRINE_USER   run everything as this user too ("" to leave out the ordinary user)
  VITRINE_SLOW   how many times slower than usual this machine is (an emulated one): the budgets of
                 runs that ask for none, and every timeout, are so many times longer
  VITRINE_SANITIZED  the command is built with sanitizers: "sanitize" or "tsan" (tests/sanitize.sh)
"""

import collections
import dataclasses
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(HERE)
PYTHON = "/usr/bin/python3"
BACKENDS = tuple(os.environ.get("VITRINE_BACKENDS", "notify trace syscall").split())
USER = "vitrine-test"
SLOW = int(os.environ.get("VITRINE_SLOW", "1"))
SANITIZED = os.environ.get("VITRINE_SANITIZED", "")
# Shadow memory, quarantine and red zones are the sanitizer's, not the supervisor's.
OF_ITS_MEMORY = "the supervisor's memory is also its sanitizer's" if SANITIZED else ""


def spare_the_sanitizer():
    """For places that refuse what a sanitizer itself needs: it looks at memory by way of ptrace(2), and ends a
    process whose limits and handlers it cannot set."""
    if SANITIZED:
        os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + (
            ":detect_leaks=0:disable_coredump=0:handle_segv=0:handle_sigbus=0:handle_sigfpe=0")


def find_vitrine():
    return os.environ.get("VITRINE") or os.path.join(SOURCE, "build/release/src/vitrine")


def find_guests():
    return os.environ.get("GUESTS") or os.path.join(SOURCE, "build/release/guests")


def ensure_user():
    """An ordinary user for the runs that must not be root's. None where none can be made."""
    try:
        pwd.getpwnam(USER)
        return USER
    except KeyError:
        pass
    if os.getuid() != 0:
        return None
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", USER], check=True)
    return USER


@dataclasses.dataclass
class Run:
    status: int          # exit status; negative: killed by that signal, as subprocess has it
    out: bytes
    err: bytes
    report: dict
    log: list            # audit records, in order
    seconds: float

    @property
    def verdict(self):
        return self.report.get("verdict")

    def denials(self, syscall=None):
        return [d for d in self.report.get("denials", []) if syscall in (None, d["syscall"])]


class Workshop:
    """A folder for one test, readable by the ordinary user, with copies of the command and guests."""

    def __init__(self, user=None):
        self.user = user
        # Not below /tmp, which is a scratch folder inside: there nearly everything would succeed.
        self.path = tempfile.mkdtemp(prefix="vitrine-test-", dir="/var/tmp")
        os.chmod(self.path, 0o777)
        self.vitrine = find_vitrine()
        if user:
            # The checkout may lie where an ordinary user cannot reach it.
            self.vitrine = os.path.join(self.path, "vitrine")
            shutil.copy(find_vitrine(), self.vitrine)
            os.chmod(self.vitrine, 0o755)

    def close(self):
        shutil.rmtree(self.path, ignore_errors=True)

    def file(self, name, content="", mode=0o644):
        path = os.path.join(self.path, name)
        with open(path, "wb") as f:
            f.write(content.encode() if isinstance(content, str) else content)
        os.chmod(path, mode)
        return path

    def guest(self, name):
        """The path of a compiled guest program that both root and the user can execute."""
        source = os.path.join(find_guests(), name)
        path = os.path.join(self.path, name)
        if not os.path.exists(path):
            shutil.copy(source, path)
            os.chmod(path, 0o755)
        return path

    def as_user(self, command):
        if self.user and os.getuid() == 0:
            return ["setpriv", "--reuid", self.user, "--regid", self.user, "--init-groups",
                    "--inh-caps=-all", "--"] + command
        return command

    def native(self, command, **kwargs):
        """The bare run, with the environment that vitrine gives its guests."""
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp"}
        kwargs["timeout"] = SLOW * kwargs.get("timeout", 60)
        Case.controls += 1
        return subprocess.run(self.as_user(command), env=environment, cwd=self.path,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)

    def command(self, arguments, options=(), backend=None):
        slow = ["--wall", f"{60 * SLOW}s", "--cpu", f"{30 * SLOW}s"] if SLOW > 1 else []
        line = [self.vitrine, *(["--backend", backend] if backend else []), *slow, *options, "--",
                *arguments]
        return self.as_user(line)

    def start(self, arguments, options=(), backend=None, **kwargs):
        """A run in the background; the caller ends it."""
        kwargs.setdefault("stdout", subprocess.PIPE)
        kwargs.setdefault("stderr", subprocess.PIPE)
        return subprocess.Popen(self.command(arguments, options, backend), cwd=self.path, **kwargs)

    def run(self, arguments, options=(), backend=None, timeout=120, **kwargs):
        report = self.file("report.json", "", 0o666)
        audit = self.file("audit.jsonl", "", 0o666)
        options = ["-q", "--report", report, "--audit", audit, *options]
        start = time.monotonic()
        done = subprocess.run(self.command(arguments, options, backend), cwd=self.path,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=SLOW * timeout, **kwargs)
        seconds = time.monotonic() - start
        return Run(done.returncode, done.stdout, done.stderr, read_json(report),
                   read_lines(audit), seconds)

    def python(self, code, options=(), **kwargs):
        return self.run([PYTHON, "-c", code], options, **kwargs)


def read_json(path):
    with open(path, "rb") as f:
        text = f.read()
    return json.loads(text) if text.strip() else {}


def read_lines(path):
    with open(path, "rb") as f:
        return [json.loads(line) for line in f.read().decode("utf-8").splitlines()]


def is_alive(pid):
    """Whether a process runs; a zombie that nobody has reaped yet does not."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            return f.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except (FileNotFoundError, ProcessLookupError):
        return False


class Case(unittest.TestCase):
    """A test that every backend and every identity must pass: write `check(self, shop, backend)`
    style methods with `self.everywhere(function)`."""

    maxDiff = None
    controls = 0  # of all tests: natively, or with one defence off, the same thing succeeds

    def control(self):
        """Says of what is no run by Workshop.native that it is a control (adversarial/rows.py)."""
        Case.controls += 1

    def everywhere(self, check, backends=BACKENDS, users=True):
        identities = [None]
        if users and os.getuid() == 0:
            identities.append(ensure_user())
        for backend in backends:
            for user in identities:
                with self.subTest(backend=backend, user=user or "root"):
                    shop = Workshop(user)
                    try:
                        check(shop, backend)
                    finally:
                        shop.close()

    def assertReportAgreesWithLog(self, run):
        """Every denial and every count of the report is in the log, and nothing else is."""
        calls = [r for r in run.log if r["type"] == "syscall"]
        refused = [r for r in calls if r["decision"] in ("deny", "kill")]
        self.assertEqual(run.log[0]["type"], "start")
        self.assertEqual(run.log[-1]["type"], "end")
        self.assertEqual(run.log[-1]["report"], run.report)
        counts = run.report["syscalls"]
        self.assertEqual((counts["mediated"], counts["denied"]), (len(calls), len(refused)))
        for name, count in counts["by_name"].items():
            self.assertEqual(count["mediated"], sum(r["syscall"] == name for r in calls), name)
            self.assertEqual(count["denied"], sum(r["syscall"] == name for r in refused), name)
        grouped = collections.Counter(
            (r["syscall"], r.get("errno") or None, r["rule"]) for r in refused)
        reported = collections.Counter()
        for denial in run.report["denials"]:
            key = (denial["syscall"], denial["errno"] or None, denial["rule"])
            reported[key] += denial["count"]
        self.assertEqual(reported, grouped)
        first = run.report["first_denial"]
        self.assertEqual(first and first["syscall"], refused[0]["syscall"] if refused else None)

    def assertSameAsNative(self, shop, backend, arguments, options=(), **kwargs):
        """Output and status of the supervised run equal those of the bare one."""
        bare = shop.native(arguments, **kwargs)
        run = shop.run(arguments, options, backend=backend, **kwargs)
        expected = bare.returncode if bare.returncode >= 0 else 128 - bare.returncode
        self.assertEqual((run.status, run.out, run.err), (expected, bare.stdout, bare.stderr))
        return run


def main():
    unittest.main(verbosity=2)


__all__ = ["BACKENDS", "Case", "OF_ITS_MEMORY", "PYTHON", "Run", "SANITIZED", "SOURCE", "Workshop", "ensure_user", "is_alive",
           "main", "os", "read_json", "read_lines", "signal", "spare_the_sanitizer", "subprocess", "sys", "time", "unittest"]
