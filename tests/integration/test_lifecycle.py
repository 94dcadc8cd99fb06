"""From the start to the end of a run: statuses, set-up errors, forwarded signals, sudden death."""

from harness import *


def tree_of(pid):
    """The host ids of all live tasks that this process supervises, daemons among them."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/status", "rb") as f:
                if b"\nTracerPid:\t%d\n" % pid in f.read():
                    found.append(int(entry))
        except OSError:
            pass
    return found


# Not by print: a signal that comes within one must not find its handler printing as well.
# What waits for a signal here sleeps again and again: Python looks for signals before a call, and one that comes after
# that look and before the call itself is handled only when the call ends.
READY = "import os; os.write(1, b'ready\\n')\n"


class Lifecycle(Case):
    def started(self, shop, backend, code, options=(), **kwargs):
        process = shop.start([PYTHON, "-c", code], ["-q", *options], backend, **kwargs)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        return process

    def finish(self, process):
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()

    # --- sudden death of the supervisor

    def test_killed_supervisor_leaves_nothing(self):
        programs = {
            "sleeping": READY + "import time; time.sleep(1000)",
            "busy": READY + "while True: pass",
            "in supervised calls": READY + "import os\nwhile True: os.stat('/')",
            "threads": """
import threading, time
for i in range(20): threading.Thread(target=time.sleep, args=(1000,)).start()
""" + READY,
            "deaf": """
import signal
for n in range(1, 65):
    try: signal.signal(n, signal.SIG_IGN)
    except (OSError, ValueError): pass
""" + READY + "signal.pause()\nwhile True: pass",
            "daemons": """
import os, time
for i in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0: time.sleep(1000)
        os._exit(0)
    os.wait()
""" + READY + "time.sleep(1000)",
            "stopped": "import os, signal\n" + READY + "os.kill(os.getpid(), signal.SIGSTOP)",
        }
        for name, code in programs.items():
            def check(shop, backend):
                process = self.started(shop, backend, code, ["--processes", "10"])
                try:
                    tree = tree_of(process.pid)
                    self.assertGreaterEqual(len(tree), 4 if name == "daemons" else 1)
                    os.kill(process.pid, signal.SIGKILL)
                    killed = time.monotonic()
                    process.wait()
                    while any(map(is_alive, tree)) and time.monotonic() < killed + 0.2:
                        time.sleep(0.005)
                    self.assertEqual([pid for pid in tree if is_alive(pid)], [])
                finally:
                    self.finish(process)
            with self.subTest(name=name):
                self.everywhere(check)

    def test_natively_a_daemon_outlives_its_parents_death(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        code = ("import os, time\npid = os.fork()\nif pid == 0:\n os.setsid(); time.sleep(1000)\n"
                "print(pid, flush=True); time.sleep(1000)")
        process = subprocess.Popen([PYTHON, "-c", code], stdout=subprocess.PIPE)
        daemon = int(process.stdout.readline())
        self.finish(process)
        alive = is_alive(daemon)
        os.kill(daemon, signal.SIGKILL)
        self.assertTrue(alive)
        self.control()

    # --- forwarded signals

    def test_signals_reach_the_command(self):
        code = """
import signal, sys, time
def handler(number, frame):
    os.write(1, signal.Signals(number).name.encode() + b"\\n")
    os._exit(5)
for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT): signal.signal(n, handler)
""" + READY + "while True: time.sleep(0.05)"

        def check(shop, backend):
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
                process = self.started(shop, backend, code)
                os.kill(process.pid, number)
                out = process.stdout.read()
                self.assertEqual((out, process.wait()), (number.name.encode() + b"\n", 5),
                                 process.stderr.read())
                self.finish(process)
        self.everywhere(check)

    def test_signal_that_nothing_handles_ends_the_command(self):
        def check(shop, backend):
            report = shop.file("report.json", "", 0o666)
            process = self.started(shop, backend, READY + "import time; time.sleep(1000)",
                                   ["--report", report])
            os.kill(process.pid, signal.SIGTERM)
            self.assertEqual(process.wait(), 128 + signal.SIGTERM)
            self.finish(process)
            result = read_json(report)
            self.assertEqual((result["verdict"], result["signal"], result["exit_code"]),
                             ("signaled", signal.SIGTERM, None))
        self.everywhere(check)

    def test_second_signal_ends_a_deaf_command(self):
        code = """
import signal, time
for n in (signal.SIGINT, signal.SIGTERM):
    signal.signal(n, lambda number, frame: os.write(1, b"heard\\n"))
""" + READY + "while True: time.sleep(0.05)"

        def check(shop, backend):
            for number in (signal.SIGINT, signal.SIGTERM):
                report = shop.file("report.json", "", 0o666)
                process = self.started(shop, backend, code, ["--report", report])
                os.kill(process.pid, number)
                self.assertEqual(process.stdout.readline(), b"heard\n")
                self.assertIsNone(process.poll())
                os.kill(process.pid, number)
                self.assertEqual(process.wait(5), 128 + signal.SIGKILL)
                self.finish(process)
                self.assertEqual(read_json(report)["verdict"], "signaled")
        self.everywhere(check)

    def test_keyboard_interrupt_is_a_traceback(self):
        def check(shop, backend):
            process = self.started(shop, backend, READY + "import time\nwhile True: time.sleep(0.05)")
            os.kill(process.pid, signal.SIGINT)
            err = process.stderr.read()
            self.assertIn(b"KeyboardInterrupt", err)
            self.assertEqual(process.wait(), 128 + signal.SIGINT)
            self.finish(process)
        self.everywhere(check)

    def test_ignored_signals_of_the_caller_are_not_the_commands(self):
        # As under nohup, and with everything blocked: a program starts with default dispositions.
        code = ("import signal\n"
                "print([int(signal.getsignal(n)) for n in (1, 3, 15, 17)],"
                " sorted(map(int, signal.pthread_sigmask(0, []))))")

        def prepare():
            for n in (1, 3, 15, 17):
                signal.signal(n, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))

        def check(shop, backend):
            run = shop.python(code, backend=backend, preexec_fn=prepare)
            self.assertEqual((run.status, run.out), (0, b"[0, 0, 0, 0] []\n"), run.err)
        self.everywhere(check)

    # --- statuses

    def test_exit_statuses(self):
        def check(shop, backend):
            for status in (0, 1, 42, 120, 124, 125, 127, 255):
                run = shop.python(f"import os; os._exit({status})", backend=backend)
                self.assertEqual((run.status, run.verdict, run.report["exit_code"],
                                  run.report["signal"], run.err), (status, "exited", status, None, b""))
            for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGUSR1,
                           signal.SIGPIPE, signal.SIGXCPU):
                run = shop.python("import os, signal; signal.signal(signal.SIGPIPE, 0)\n"
                                  f"os.kill(os.getpid(), {int(number)})",
                                  backend=backend)
                self.assertEqual((run.status, run.verdict, run.report["exit_code"],
                                  run.report["signal"]),
                                 (128 + number, "signaled", None, number))
        self.everywhere(check)

    def test_main_thread_that_ends_first(self):
        code = """
import ctypes, threading, time, os
def later():
    time.sleep(0.05)
    os.write(1, b"later\\n")
    os._exit(7)
threading.Thread(target=later).start()
ctypes.CDLL(None).syscall(60, 3)
"""
        def check(shop, backend):
            run = shop.python(code, backend=backend)
            self.assertEqual((run.status, run.out, run.verdict), (7, b"later\n", "exited"))
        self.everywhere(check)

    def test_violation(self):
        def check(shop, backend):
            report = shop.run([PYTHON, "-c", "open('/etc/shadow')\nprint('went on')"],
                              ["--on-deny=kill"], backend=backend)
            self.assertEqual((report.status, report.verdict, report.out), (120, "violation", b""))
            self.assertIn("/etc/shadow", report.report["reason"])
            self.assertReportAgreesWithLog(report)
        self.everywhere(check)

    # --- errors before the command

    MARK = "open('/tmp/started', 'w'); print('the command ran')"

    def assertNotStarted(self, shop, backend, command, options, status, *words, report=True,
                         **kwargs):
        path = shop.file("report.json", "", 0o666)
        options = [*options, *(["--report", path] if report else [])]
        done = subprocess.run(shop.command(command, options, backend), cwd=shop.path,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=30, **kwargs)
        self.assertEqual((done.returncode, done.stdout), (status, b""), done.stderr)
        self.assertEqual(done.stderr.count(b"\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith(b"vitrine: "), done.stderr)
        for word in words:
            self.assertIn(word.encode(), done.stderr)
        if report:
            result = read_json(path)
            self.assertEqual(result.get("verdict"), "setup-error", done.stderr)
            self.assertTrue(result["reason"])
            self.assertEqual((result["exit_code"], result["command"]), (None, command))

    def test_missing_program(self):
        def check(shop, backend):
            for command in (["no-such-program"], ["/no/such/program"], ["./nothing", "x"]):
                self.assertNotStarted(shop, backend, command, [], 127, command[0])
        self.everywhere(check)

    def test_program_that_cannot_be_executed(self):
        def check(shop, backend):
            plain = shop.file("plain", "#!/usr/bin/python3\nprint('ran')\n", 0o644)
            empty = shop.file("garbage", b"\x7fELF garbage", 0o755)
            lost = shop.file("lost", "#!/no/such/interpreter\n", 0o755)
            for path in (plain, shop.path, empty):
                self.assertNotStarted(shop, backend, [path], [], 126, os.path.basename(path))
            bare = subprocess.run(["/bin/sh", "-c", lost], stderr=subprocess.PIPE).returncode
            self.assertNotStarted(shop, backend, [lost], [], bare, "lost")
        self.everywhere(check)

    def test_broken_profile(self):
        def check(shop, backend):
            broken = shop.file("broken.json", '{\n  "name": "x",\n  "fils": []\n}\n')
            torn = shop.file("torn.json", '{\n "name": \n')
            command = [PYTHON, "-c", self.MARK]
            self.assertNotStarted(shop, backend, command, ["-p", broken], 125, "broken.json:3",
                                  "fils")
            self.assertNotStarted(shop, backend, command, ["-p", torn], 125, "torn.json:3")
            self.assertNotStarted(shop, backend, command, ["-p", "no-such-profile"], 125,
                                  "no-such-profile")
            self.assertNotStarted(shop, backend, command, ["-p", shop.path + "/none.json"], 125,
                                  "none.json")
        self.everywhere(check)

    def test_unwritable_records(self):
        def check(shop, backend):
            command = [PYTHON, "-c", self.MARK]
            for option in ("--report", "--audit"):
                for place in (shop.path + "/no/folder/file", shop.path, "/proc/nothing", ""):
                    self.assertNotStarted(shop, backend, command, [option, place], 125, option,
                                          report=False)
            for option in ("--report-fd", "--audit-fd", "--pass-fd"):
                self.assertNotStarted(shop, backend, command, [option, "99"], 125, option + " 99",
                                      report=False)
        self.everywhere(check)

    def test_full_disk_under_the_report(self):
        def check(shop, backend):
            done = subprocess.run(shop.command([PYTHON, "-c", "pass"], ["--report", "/dev/full"],
                                               backend),
                                  cwd=shop.path, stderr=subprocess.PIPE, timeout=30)
            self.assertEqual((done.returncode, done.stderr.count(b"\n")), (125, 1), done.stderr)
            self.assertIn(b"--report", done.stderr)
        self.everywhere(check)

    def test_options_that_cannot_be_met(self):
        def check(shop, backend):
            command = [PYTHON, "-c", self.MARK]
            for options, word in ((["--ro", "/no/such/file"], "--ro"),
                                  (["--cwd", "/etc/passwd"], "--cwd"),
                                  (["--collect", "/tmp:/no/such/folder/x"], "--collect")):
                self.assertNotStarted(shop, backend, command, options, 125, word)
        self.everywhere(check)

    def test_command_in_a_removed_folder(self):
        def check(shop, backend):
            gone = os.path.join(shop.path, "gone")
            os.mkdir(gone)
            command = shop.as_user(["/bin/sh", "-c", "rmdir \"$0\" && exec \"$@\"", gone,
                                    shop.vitrine, "--backend", backend, "--", PYTHON, "-c",
                                    "import os; print(os.getcwd())"])
            os.chmod(shop.path, 0o777)
            done = subprocess.run(command, cwd=gone, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=30)
            self.assertEqual((done.returncode, done.stdout), (0, b"/\n"), done.stderr)
        self.everywhere(check)


if __name__ == "__main__":
    main()
