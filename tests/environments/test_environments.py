"""In each place of environments.md, rebuilt: what doctor says, which backend auto takes, that the main job
runs and its refusals hold on every backend that works, or that vitrine refuses and names the reason.

As root, which rebuilding takes. A place whose peer cannot be had is skipped with the reason."""

import dataclasses
import json
import shutil
import tempfile

import places
from harness import *  # noqa: F403
from harness import find_guests, find_vitrine

spare_the_sanitizer()  # some places forbid ptrace(2), or limits

JOB = r"""
import ctypes, json, os, socket, sqlite3, sys, threading
found = {}
def attempt(name, function):
    try:
        function()
        found[name] = "done"
    except OSError as error:
        found[name] = error.errno
attempt("shadow", lambda: open("/etc/shadow"))
attempt("write", lambda: open("/usr/lib/x", "w"))
attempt("socket", lambda: socket.socket())
attempt("fork", os.fork)
attempt("kill", lambda: os.kill(os.getppid() or 1, 9))
attempt("ptrace", lambda: os.stat("/proc/1/mem"))
open("/tmp/out", "w").write("kept")
threads = [threading.Thread(target=lambda: found.setdefault("thread", 1)) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
found["sum"] = sqlite3.connect(":memory:").execute("select 40 + 2").fetchone()[0]
try:
    bytearray(2 << 30)
except MemoryError:
    found["memory"] = "refused"
found["descriptors"] = sorted(os.listdir("/proc/self/fd"))[:3]
found["secret"] = os.environ.get("SECRET")
print(json.dumps(found))
sys.exit(7)
"""

EXPECTED = {"shadow": 2, "socket": 13, "fork": 11, "thread": 1, "sum": 42, "memory": "refused",
            "descriptors": ["0", "1", "2"], "secret": None}


@dataclasses.dataclass
class Place:
    options: list = dataclasses.field(default_factory=list)
    rules: list = None
    best: str = "notify"            # None: no backend can enforce
    works: tuple = ("notify", "trace", "syscall")
    answers: dict = dataclasses.field(default_factory=dict)   # of doctor's probes
    reasons: dict = dataclasses.field(default_factory=dict)   # what a backend's refusal names
    wrapper: tuple = None           # instead of `enter`
    doctor_best: str = "as best"


def can_rebuild():
    """Why not, or "" """
    if os.getuid() != 0:
        return "rebuilding an environment takes root"
    enter = os.path.join(find_guests(), "enter")
    done = subprocess.run([enter, "--", "true"], capture_output=True, text=True)
    return "" if done.returncode == 0 else f"no mount namespace here: {done.stderr.strip()}"


class Rebuilt(Case):
    """Runs of vitrine in a place."""

    @classmethod
    def setUpClass(cls):
        cls.shop = Workshop()
        # Reachable for every identity.
        cls.shop.vitrine = os.path.join(cls.shop.path, "vitrine")
        shutil.copy(find_vitrine(), cls.shop.vitrine)
        shutil.copy(os.path.join(find_guests(), "enter"), cls.shop.path)
        cls.enter = os.path.join(cls.shop.path, "enter")
        cls.results = os.path.join(cls.shop.path, "results")
        os.mkdir(cls.results)
        os.chmod(cls.results, 0o777)
        cache = os.path.join(os.path.dirname(find_guests()), "peers")
        cls.profile = places.engine_profile(cache)

    @classmethod
    def tearDownClass(cls):
        cls.shop.close()

    def engine(self):
        if self.profile is None:
            self.skipTest(f"{places.PROFILE} cannot be had from Debian's {places.PACKAGE}")
        return self.profile

    def line(self, place, command):
        if place.wrapper:
            return [*place.wrapper, *command]
        line = [self.enter, *place.options]
        if place.rules:
            line += ["--filter", self.shop.file("rules", "\n".join(place.rules) + "\n")]
        return [*line, "--", *command]

    def inside(self, place, arguments, absent="", fds=()):
        environment = dict(os.environ, SECRET="shown to nobody", VITRINE_TEST_ABSENT=absent)
        return subprocess.run(self.line(place, [self.shop.vitrine, *arguments]), cwd="/",
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, pass_fds=fds, env=environment, timeout=60)

    def job(self, place, backend, absent="", options=()):
        """Status, what the job found, the report, stderr."""
        with tempfile.TemporaryFile() as report:
            fd = report.fileno()
            done = self.inside(place, ["--backend", backend, "--report-fd", str(fd), *options, "--",
                                       PYTHON, "-c", JOB], absent, (fd,))
            report.seek(0)
            text = report.read()
        self.assertTrue(text, done.stderr)
        found = json.loads(done.stdout) if done.stdout else None
        return done.returncode, found, json.loads(text), done.stderr.decode()

    def assertJobRuns(self, place, backend, expected_backend, absent=""):
        status, found, report, err = self.job(place, backend, absent)
        self.assertEqual((status, report["verdict"]), (7, "exited"), (err, report["reason"]))
        self.assertEqual(report["backend"], expected_backend)
        self.assertEqual({key: found[key] for key in EXPECTED}, EXPECTED)
        self.assertIn(found["write"], (2, 13, 30))
        self.assertIn(found["kill"], (1, 3))
        self.assertEqual(found["ptrace"], 2)

    def assertRefuses(self, place, backend, reason, absent=""):
        status, found, report, err = self.job(place, backend, absent)
        self.assertEqual((status, found, report["verdict"]), (125, None, "setup-error"), err)
        self.assertIn(reason, report["reason"])
        self.assertEqual(err.count("\n"), 1, err)
        self.assertIn(reason, err)

    def doctor(self, place, absent=""):
        done = self.inside(place, ["doctor", "--json"], absent)
        self.assertTrue(done.stdout, done.stderr)
        document = json.loads(done.stdout)
        self.assertEqual(done.returncode, 0 if document["best"] else 1)
        return document


@unittest.skipIf(can_rebuild(), can_rebuild())
class Environments(Rebuilt):
    def check(self, place):
        document = self.doctor(place)
        best = place.best if place.doctor_best == "as best" else place.doctor_best
        self.assertEqual(document["best"], best, document)
        working = tuple(b["name"] for b in document["backends"] if b["works"])
        if place.doctor_best == "as best":
            self.assertEqual(working, place.works)
        answers = {probe["name"]: probe["answer"] for probe in document["probes"]}
        self.assertEqual({name: answers[name] for name in place.answers}, place.answers)
        if place.best is None:
            for backend in ("auto", *BACKENDS):
                self.assertRefuses(place, backend, place.reasons[backend])
            return
        self.assertJobRuns(place, "auto", place.best)
        for backend in BACKENDS:
            if backend in place.works:
                self.assertJobRuns(place, backend, backend)
            else:
                self.assertRefuses(place, backend, place.reasons[backend])

    # --- where nothing is refused

    def test_this_host(self):
        self.check(Place(["--uid", "1000"]))

    def test_doctor_for_people(self):
        place = Place(["--uid", "1000"])
        done = self.inside(place, ["doctor"])
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertIn(b"\nauto takes notify\n", done.stdout)
        done = self.inside(place, ["doctor", "--jason"])
        self.assertEqual((done.returncode, done.stdout, done.stderr.count(b"\n")), (125, b"", 1))

    # What the tests take away to run what it is done without.
    def test_what_is_taken_away_is_not_found(self):
        place = Place(["--uid", "1000"])
        of_filters = {"wait_killable_recv": "seccomp-wait-killable", "sync_wake_up": "seccomp-sync-wake-up",
                      "addfd_send": "seccomp-addfd-send", "listener": "seccomp-listener"}
        others = {"close_range": "close-range", "faccessat2": "faccessat2", "landlock": "landlock",
                  "get_syscall_info": "ptrace-syscall-info", "openat2": "openat2", "pidfd": "pidfd-open",
                  "proc_mem": "proc-mem", "process_vm": "process-vm", "statx": "statx"}
        for taken in ([*of_filters][:3], [*of_filters][3:], ["seccomp"], [*others]):
            answers = {probe["name"]: probe["answer"]
                       for probe in self.doctor(place, ",".join(taken))["probes"]}
            for feature, probe in {**of_filters, **others, "seccomp": "seccomp-filter"}.items():
                if feature in taken:
                    self.assertIn(answers[probe], ("absent", "refused"), feature)
                elif not {"seccomp", "listener"} & set(taken) or feature in others:
                    self.assertEqual(answers[probe], "works", feature)

    # --- container engines

    def docker(self, **changes):
        place = Place(["--caps", places.DOCKER_CAPABILITIES, "--pid-namespace"],
                      places.docker_rules(self.engine()))
        return dataclasses.replace(place, **changes)

    def test_docker_as_root(self):
        self.check(self.docker(answers={"ptrace-seize": "works", "pidfd-getfd": "refused"}))

    def test_docker_as_root_collects_files_of_its_own(self):
        target = os.path.join(self.results, "collected")
        status, _, report, err = self.job(self.docker(), "auto",
                                          options=["--collect", f"/tmp/out:{target}"])
        self.assertEqual((status, report["reason"], err), (7, None, ""))
        with open(target, encoding="utf-8") as f:
            self.assertEqual(f.read(), "kept")
        self.assertEqual(os.stat(target).st_uid, 0)

    def test_docker_as_root_without_any_capability(self):
        self.check(self.docker(options=["--caps", "0", "--pid-namespace"]))

    def test_docker_as_a_user(self):
        self.check(self.docker(options=["--caps", places.DOCKER_CAPABILITIES, "--uid", "1000",
                                        "--pid-namespace"]))

    def test_docker_of_2020(self):
        self.check(self.docker(
            rules=places.old_engine_rules(self.engine()), best="trace", works=("trace", "syscall"),
            answers={"process-vm": "refused", "proc-mem": "works", "close-range": "refused",
                     "landlock": "refused", "openat2": "refused", "faccessat2": "refused"},
            reasons={"notify": "close_range"}))

    def test_docker_of_2018(self):
        self.check(self.docker(
            rules=places.old_engine_rules(self.engine(), places.UNKNOWN_IN_2018), best="trace",
            works=("trace", "syscall"), answers={"statx": "refused"},
            reasons={"notify": "close_range"}))

    def test_hardened_pod(self):
        options = ["--caps", "0", "--uid", "1000", "--no-new-privs", "--read-only", "--tmpfs",
                   "/tmp=16m", "--pid-namespace"]
        self.check(Place(options, places.engine_rules(self.engine(), ())))

    def test_runtime_that_refuses_ptrace(self):
        rules = places.without(places.docker_rules(self.engine()), ["ptrace"], places.EPERM)
        reason = "ptrace(PTRACE_SEIZE): Operation not permitted"
        self.check(self.docker(
            rules=rules, best=None, works=(),
            answers={"ptrace-seize": "refused", "ptrace-traceme": "refused",
                     "seccomp-listener": "works"},
            reasons=dict.fromkeys(BACKENDS, reason) |
            {"auto": f"notify: {reason}; trace: {reason}; syscall: {reason}"}))

    def test_runtime_that_refuses_new_listeners(self):
        rules = places.OPEN + [places.NEW_LISTENER.format(action=places.EPERM)]
        self.check(Place(["--uid", "1000"], rules, best="trace", works=("trace", "syscall"),
                         answers={"seccomp-listener": "refused", "seccomp-filter": "works"},
                         reasons={"notify": "seccomp(SECCOMP_"}))

    def test_runtime_that_listens_itself(self):
        self.check(Place(["--uid", "1000", "--listener"], best="trace", works=("trace", "syscall"),
                         answers={"seccomp-listener": "refused"},
                         reasons={"notify": "SECCOMP_FILTER_FLAG_NEW_LISTENER): Device or"}))

    def test_runtime_that_refuses_seccomp(self):
        rules = places.OPEN + [f"rule {places.EPERM} seccomp"]
        self.check(Place(["--uid", "1000"], rules, best="syscall", works=("syscall",),
                         reasons=dict.fromkeys(("notify", "trace"), "seccomp(SECCOMP_")))

    # --- kernels and serverless places

    def test_kernel_of_2016(self):
        self.check(Place(["--uid", "1000"], places.old_kernel_rules(), best="trace",
                         works=("trace",), answers={"statx": "absent", "landlock": "absent"},
                         reasons={"notify": "close_range", "syscall": "PTRACE_GET_SYSCALL_INFO"}))

    def test_lambda(self):
        reason = "ptrace(PTRACE_SEIZE): Operation not permitted"
        self.check(Place(["--uid", "993", "--cover", "/dev/shm"], places.lambda_rules(), best=None,
                         works=(), answers={"foreign-abi": "fatal", "no-new-privs": "refused",
                                            "ptrace-seize": "refused"},
                         reasons=dict.fromkeys((*BACKENDS, "auto"), reason)))

    # --- views of the root, and limits

    @unittest.skipIf(SANITIZED, "at its end a sanitizer reads /proc itself")
    def test_no_proc(self):
        self.check(Place(["--uid", "1000", "--no-proc"], best=None, works=(),
                         answers={"proc-pid": "absent", "process-vm": "works"},
                         reasons=dict.fromkeys((*BACKENDS, "auto"), "/proc/PID/fd")))

    def test_no_shared_memory_folder(self):
        self.check(Place(["--uid", "1000", "--cover", "/dev/shm"]))

    def test_no_devices(self):
        self.check(Place(["--uid", "1000", "--cover", "/dev"], answers={"pty": "absent"}))

    def test_runtime_that_refuses_limits(self):
        rules = places.OPEN + [f"rule {places.EPERM} setrlimit",
                               f"rule-ne {places.EPERM} prlimit64 2 0"]
        self.check(Place(["--uid", "1000"], rules, best=None, works=(),
                         answers={"rlimits": "refused"},
                         reasons=dict.fromkeys((*BACKENDS, "auto"), "setrlimit")))

    def test_few_descriptors(self):
        self.check(Place(["--uid", "1000", "--nofile", "128"]))

    def test_too_few_descriptors(self):
        self.check(Place(["--uid", "1000", "--nofile", "64"], best=None, doctor_best="notify",
                         reasons=dict.fromkeys((*BACKENDS, "auto"), "RLIMIT_NOFILE")))

    # --- peers

    def test_bubblewrap_without_capabilities(self):
        bwrap = shutil.which("bwrap")
        if not bwrap:
            self.skipTest("Debian's bubblewrap is not installed")
        self.check(Place(wrapper=(
            bwrap, "--unshare-all", "--cap-drop", "ALL", "--uid", "1000", "--gid", "1000",
            "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--")))

    def test_gvisor(self):
        runsc = shutil.which("runsc")
        if not runsc:
            self.skipTest("gVisor (Debian's runsc) is not installed")
        wrapper = (runsc, "--rootless", "--network=none", "--platform=ptrace", "do")
        tried = subprocess.run([*wrapper, "true"], capture_output=True, text=True, timeout=60)
        if tried.returncode != 0:
            self.skipTest(f"gVisor does not start here: {tried.stderr.strip()[-200:]}")
        place = Place(wrapper=wrapper, best="trace", works=("trace",))
        document = self.doctor(place)
        answers = {probe["name"]: probe["answer"] for probe in document["probes"]}
        self.assertEqual((document["best"], answers["seccomp-listener"], answers["process-vm"]),
                         ("trace", "absent", "absent"))
        # It passes no descriptors on: the report goes to stderr.
        done = self.inside(place, ["--report-fd", "2", "--", PYTHON, "-c", JOB])
        report, found = json.loads(done.stderr), json.loads(done.stdout)
        self.assertEqual((done.returncode, report["backend"]), (7, "trace"))
        self.assertEqual({key: found[key] for key in EXPECTED}, EXPECTED)
        # Calls that the program did not make are entered and checked there too.
        done = self.inside(place, ["--processes", "2", "--ro", "/bin/echo", "--", PYTHON, "-c",
                                   "import subprocess; subprocess.run(['/bin/echo', 'executed'])"])
        self.assertEqual((done.returncode, done.stdout), (0, b"executed\n"), done.stderr)
        refused = self.inside(place, ["--backend", "notify", "--", PYTHON, "-c", JOB])
        self.assertEqual((refused.returncode, refused.stdout), (125, b""))


@unittest.skipIf(can_rebuild(), can_rebuild())
class Fallbacks(Rebuilt):
    """Each newer feature, taken away by itself: what takes its place holds as well."""

    USER = Place(["--uid", "1000"])

    def without(self, features, best="notify", **refusals):
        self.assertJobRuns(self.USER, "auto", best, features)
        for backend in BACKENDS:
            if backend in refusals:
                self.assertRefuses(self.USER, backend, refusals[backend], features)
            else:
                self.assertJobRuns(self.USER, backend, backend, features)

    def test_openat2(self):
        self.without("openat2")

    def test_faccessat2(self):
        self.without("faccessat2")

    def test_landlock(self):
        self.without("landlock")

    def test_pidfd(self):
        self.without("pidfd")

    def test_statx(self):
        self.without("statx")

    def test_sync_wake_up(self):
        self.without("sync_wake_up")

    def test_timerfd(self):
        self.without("timerfd")

    def test_wait_killable_recv(self):
        self.without("wait_killable_recv")

    def test_process_vm(self):
        self.without("process_vm")

    def test_memory_by_ptrace_alone(self):
        self.without("process_vm,proc_mem", "trace", notify="process_vm_readv")

    def test_close_range(self):
        self.without("close_range", "trace", notify="close_range")

    def test_addfd_send(self):
        self.without("addfd_send", "trace", notify="SECCOMP_ADDFD_FLAG_SEND")

    def test_listener(self):
        self.without("listener", "trace", notify="NEW_LISTENER")

    def test_get_syscall_info(self):
        self.without("get_syscall_info", syscall="PTRACE_GET_SYSCALL_INFO")

    def test_seccomp(self):
        self.without("seccomp", "syscall", notify="seccomp(", trace="seccomp(")

    def test_everything(self):
        status, found, report, _ = self.job(self.USER, "auto", "seccomp,get_syscall_info")
        self.assertEqual((status, found, report["verdict"]), (125, None, "setup-error"))
        for word in ("notify: seccomp(", "trace: seccomp(", "syscall: ptrace(PTRACE_GET_SYSCALL_INFO"):
            self.assertIn(word, report["reason"])


if __name__ == "__main__":
    main()
