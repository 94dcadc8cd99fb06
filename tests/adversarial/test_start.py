"""What a command starts behind and with: its limits, filter, descriptors and identity as /proc shows them to
somebody outside; a filter of its own; what its caller had; interpreters and libraries that others name."""

import ctypes
import json

from harness import *
from test_loader import LIBRARY

READY = "import time; print('ready', flush=True); time.sleep(60)"

CALLER = """
import json, os, signal
open_now = []
for n in range(100):
    try: os.fstat(n); open_now.append(n)
    except OSError: pass
print(json.dumps({"environment": sorted(v for n, v in os.environ.items() if n.startswith("AWS_SECRET")),
                  "descriptors": open_now, "folder": os.path.exists("told-by-the-folder"),
                  "ignored": [n for n in (1, 3, 15, 17) if signal.getsignal(n) is signal.SIG_IGN],
                  "blocked": len(signal.pthread_sigmask(0, [])), "mask": os.umask(0)}))
"""

# An interpreter of programs that is one instruction after the other, as a loader is entered.
ENTRY = """
void _start(void) {
  __asm__ volatile("syscall" : : "a"(1), "D"(1), "S"("CANARY"), "d"(6) : "rcx", "r11", "memory");
  __asm__ volatile("syscall" : : "a"(60), "D"(0));
}
"""
ENTRY_32 = """
void _start(void) {
  __asm__ volatile("int $0x80" : : "a"(4), "b"(1), "c"("CANARY"), "d"(6) : "memory");
  __asm__ volatile("int $0x80" : : "a"(1), "b"(0));
}
"""


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="latin-1") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def limits_of(pid):
    with open(f"/proc/{pid}/limits", encoding="latin-1") as f:
        return {line[:26].strip(): line[26:68].split() for line in f.readlines()[1:]}


class Start(Case):
    def started(self, command):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd="/")
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        return process

    def task_of(self, supervisor):
        with open(f"/proc/{supervisor}/task/{supervisor}/children", encoding="ascii") as f:
            return int(f.read().split()[0])

    # Nothing of this is asked of the command or of its supervisor.
    def test_a_command_seen_from_outside(self):
        def walls(pid):
            status, limits = status_of(pid), limits_of(pid)
            return {"privileges": status["NoNewPrivs"], "capabilities":
                    {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16},
                    "session": os.getsid(pid) == pid, "folder": os.readlink(f"/proc/{pid}/cwd"),
                    "core": limits["Max core file size"][1] in ("0", "1"),
                    "data": limits["Max data size"][0] != "unlimited",
                    "queues": limits["Max msgqueue size"][1], "files": len(os.listdir(f"/proc/{pid}/fd"))}

        def check(shop, backend):
            leaked = os.open("/etc/hostname", os.O_RDONLY)
            os.set_inheritable(leaked, True)
            try:
                run = subprocess.Popen(shop.command([PYTHON, "-c", READY], ["-q", "--memory", "64M"], backend),
                                       stdout=subprocess.PIPE, close_fds=False)
            finally:
                os.close(leaked)
            self.addCleanup(run.stdout.close)
            self.addCleanup(run.wait)
            self.addCleanup(run.kill)
            self.assertEqual(run.stdout.readline(), b"ready\n")
            pid = self.task_of(run.pid)
            status = status_of(pid)
            self.assertEqual(walls(pid), {
                "privileges": "1", "capabilities": True, "session": True, "folder": "/", "core": True, "data": True,
                "queues": "0", "files": 4})  # 0, 1, 2 and the channel's, which lies above what it may open
            self.assertEqual(int(status["TracerPid"]), run.pid)
            self.assertNotIn("0", status["Uid"].split())
            if backend != "syscall":
                self.assertEqual(status["Seccomp"], "2")
            if "Seccomp_filters" in status:
                own = int(status_of(run.pid)["Seccomp_filters"])
                self.assertEqual(int(status["Seccomp_filters"]), own + (backend != "syscall"))
            self.assertLessEqual(int(limits_of(pid)["Max data size"][0]), 64 << 20)
            run.kill()
        self.everywhere(check)
        bare = self.started([PYTHON, "-c", READY])
        found = walls(bare.pid)
        self.assertEqual((found["privileges"], found["session"], found["data"]), ("0", False, False))
        self.assertEqual(status_of(bare.pid)["TracerPid"], "0")
        self.control()

    # Its listener would be asked in place of ours, and let every call go on.
    def test_a_filter_of_its_own(self):
        def check(shop, backend):
            secret = shop.file("secret", "canary")
            run = shop.run([shop.guest("outrank"), secret], backend=backend)
            self.assertEqual((run.status, run.out.decode()),
                             (0, "0 prctl 1\nfilter 1\nlistener 1\nasked 0 read nothing\n"))
            bare = shop.native([shop.guest("outrank"), secret])
            self.assertEqual(bare.stdout.decode(), "0 prctl 0\nfilter 0\nlistener 0\nasked 1 read canary\n")
        self.everywhere(check)

    def test_nothing_of_the_caller(self):
        def prepare():
            for number in (1, 3, 15, 17):
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            os.umask(0o77)

        def seen(command, shop, **options):
            done = subprocess.run(command, cwd=shop.path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  env={**os.environ, "AWS_SECRET_ACCESS_KEY": "leaked"}, preexec_fn=prepare,
                                  timeout=60, **options)
            return json.loads(done.stdout)

        def check(shop, backend):
            shop.file("told-by-the-folder")
            leaked = [os.open("/etc/hostname", os.O_RDONLY) for _ in range(3)]
            for fd in leaked:
                os.set_inheritable(fd, True)
            try:
                found = seen(shop.command([PYTHON, "-c", CALLER], ["-q"], backend), shop, close_fds=False)
                bare = seen(shop.as_user([PYTHON, "-c", CALLER]), shop, close_fds=False)
            finally:
                for fd in leaked:
                    os.close(fd)
            self.assertEqual(found, {"environment": [], "descriptors": [0, 1, 2], "folder": False, "ignored": [],
                                     "blocked": 0, "mask": 0o22})
            self.assertEqual((bare["environment"], bare["folder"], bare["ignored"], bare["mask"]),
                             (["leaked"], True, [1, 3, 15, 17], 0o77))
            self.assertLessEqual(set(leaked), set(bare["descriptors"]))
            self.assertGreater(bare["blocked"], 30)
            self.control()
        self.everywhere(check)

    # A program names the file that its loader is; a second execution follows that name inside alone.
    def test_an_interpreter_that_is_not_shown(self):
        code = ("import subprocess, sys\n"
                "try: print(subprocess.run(sys.argv[1:], capture_output=True).stdout)\n"
                "except OSError as error: print(type(error).__name__)\n")

        def check(shop, backend):
            loader, program = os.path.join(shop.path, "loader"), os.path.join(shop.path, "program")
            subprocess.run(["gcc", "-nostdlib", "-static", "-o", loader, shop.file("entry.c", ENTRY)], check=True)
            subprocess.run(["gcc", f"-Wl,--dynamic-linker={loader}", "-o", program,
                            shop.file("program.c", "int main(void) { return 0; }\n")], check=True)
            for path in (loader, program):
                os.chmod(path, 0o755)
            options = ["--processes", "2", "--ro", program]
            inner = shop.run([PYTHON, "-c", code, program], options, backend=backend)
            self.assertEqual(inner.status, 0)
            self.assertNotIn(b"CANARY", inner.out)
            shown = shop.run([PYTHON, "-c", code, program], [*options, "--ro", loader], backend=backend)
            self.assertEqual(shown.out, b"b'CANARY'\n")
            self.assertEqual(shop.native([program]).stdout, b"CANARY")
        self.everywhere(check)

    # Executed by the command line, and by a program in its own place and in a child's.
    def test_a_32_bit_program(self):
        codes = ("import os, sys; os.execv(sys.argv[1], sys.argv[1:])",
                 "import subprocess, sys; print(subprocess.run(sys.argv[1:], capture_output=True).stdout)")

        def check(shop, backend):
            program = os.path.join(shop.path, "program")
            subprocess.run(["gcc", "-m32", "-nostdlib", "-static", "-fno-pic", "-no-pie", "-o", program,
                            shop.file("entry.c", ENTRY_32)], check=True)
            os.chmod(program, 0o755)
            bare = shop.native([program])
            if bare.returncode == -signal.SIGSEGV:
                self.skipTest("this kernel has no 32-bit system calls")
            self.assertEqual(bare.stdout, b"CANARY")
            run = shop.run([program], backend=backend)
            self.assertEqual((run.status, run.out), (126, b""))
            for code in codes:
                run = shop.run([PYTHON, "-c", code, program], ["--processes", "2", "--ro", program], backend=backend)
                self.assertNotIn(b"CANARY", run.out)
                self.assertIn(run.verdict, ("violation", "exited"))
        self.everywhere(check)

    # The host's own /etc/ld.so.preload is in force for the host's programs.
    @unittest.skipIf(SANITIZED, "with sanitizers the command itself is linked dynamically")
    @unittest.skipUnless(os.getuid() == 0, "only root can mount")
    def test_a_library_that_the_host_preloads(self):
        libc = ctypes.CDLL(None, use_errno=True)

        def check(shop, backend):
            library = os.path.join(shop.path, "canary.so")
            subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, shop.file("canary.c", LIBRARY)], check=True)
            os.chmod(library, 0o755)
            preload = shop.file("ld.so.preload", library + "\n")

            def enter():
                private = libc.unshare(0x20000) == 0 and libc.mount(b"none", b"/", None, 0x44000, None) == 0
                if not private or libc.mount(b"tmpfs", b"/etc", b"tmpfs", 0, b"mode=755") != 0:
                    os._exit(99)
                for name, text in (("ld.so.preload", None), ("passwd", users)):
                    with open(preload, encoding="utf-8") as f, open("/etc/" + name, "w", encoding="utf-8") as to:
                        to.write(text or f.read())
            with open("/etc/passwd", encoding="utf-8") as f:
                users = f.read()
            done = subprocess.run([shop.vitrine, "-q", "--backend", backend, "--", "/bin/echo", "ran"],
                                  preexec_fn=enter, capture_output=True, timeout=60)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"ran\n", b""))
            bare = subprocess.run(["/bin/echo", "ran"], preexec_fn=enter, capture_output=True, timeout=60)
            self.assertEqual((bare.stdout, bare.stderr), (b"ran\n", b"CANARY"))
            self.control()
        self.everywhere(check, users=False)


if __name__ == "__main__":
    main()
