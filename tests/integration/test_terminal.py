"""On a terminal: what a person at a keyboard sees and may type, and the state the terminal is left in."""

import contextlib
import errno
import fcntl
import pty
import re
import select
import shlex
import struct
import termios

from harness import *


class Terminal:
    """A pseudo-terminal and one session on it."""

    def __init__(self, command, cwd, rows=33, columns=101, environment=None, **streams):
        self.master, self.slave = pty.openpty()
        self.size(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""
        slave = self.slave

        def prepare():
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        streams = {"stdin": slave, "stdout": slave, "stderr": slave, **streams}
        self.process = subprocess.Popen(command, cwd=cwd, preexec_fn=prepare,
                                        env=environment or {**os.environ, "TERM": "xterm"}, **streams)

    def size(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.master, text)

    def read(self, timeout=10.0):
        ready, _, _ = select.select([self.master], [], [], timeout)
        if not ready:
            return b""
        try:
            return os.read(self.master, 65536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return b""

    def expect(self, wanted):
        """Reads up to and with `wanted`; returns what came before."""
        deadline = time.monotonic() + 10
        while wanted not in self.seen:
            if time.monotonic() > deadline:
                raise AssertionError(f"{wanted!r} did not come; came: {self.seen!r}")
            self.seen += self.read(0.5)
        before, _, self.seen = self.seen.partition(wanted)
        return before

    def end(self):
        """Waits for the end; returns the status and the rest of the output."""
        status = self.process.wait(20)
        while block := self.read(0):
            self.seen += block
        return status, self.seen

    def modes(self):
        return termios.tcgetattr(self.slave)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.slave)
        os.close(self.master)


def parent_of(pid):
    with open(f"/proc/{pid}/stat", "rb") as f:
        return int(f.read().rpartition(b")")[2].split()[1])


class OnTerminal(Case):
    def on(self, shop, backend, arguments, options=(), **kwargs):
        terminal = Terminal(shop.command(arguments, ["-q", *options], backend), shop.path, **kwargs)
        if shop.user:
            import pwd
            os.chown(os.ttyname(terminal.slave), pwd.getpwnam(shop.user).pw_uid, -1)
        self.addCleanup(terminal.close)
        return terminal

    def natively(self, shop, arguments, **kwargs):
        terminal = Terminal(shop.as_user(arguments), shop.path,
                            environment={"PATH": "/usr/bin:/bin", "TERM": "xterm",
                                         "LANG": "C.UTF-8", "HOME": "/tmp"}, **kwargs)
        self.addCleanup(terminal.close)
        return terminal

    def test_the_three_are_terminals(self):
        code = "import os; print([os.isatty(n) for n in (0, 1, 2)], *os.get_terminal_size())"

        def check(shop, backend):
            terminal = self.on(shop, backend, [PYTHON, "-c", code])
            self.assertEqual(terminal.end(), (0, b"[True, True, True] 101 33\r\n"))
            self.assertEqual(terminal.modes(), terminal.before)
        self.everywhere(check)

    def test_new_window_size(self):
        code = """
import os, signal, time
signal.signal(signal.SIGWINCH, lambda *_: os.write(1, b"now %d %d\\n" % os.get_terminal_size()))
os.write(1, b"ready\\n")
while True: time.sleep(0.05)  # a signal just before pause() would be heard only at the next one
"""
        def check(shop, backend):
            terminal = self.on(shop, backend, [PYTHON, "-c", code])
            terminal.expect(b"ready\r\n")
            for rows, columns in ((24, 80), (50, 200)):
                terminal.size(rows, columns)
                terminal.expect(b"now %d %d\r\n" % (columns, rows))
            terminal.process.terminate()
            self.assertEqual(terminal.end()[0], 128 + signal.SIGTERM)
        self.everywhere(check)

    def test_interrupt_key(self):
        code = "import os, time\nos.write(1, b'ready\\n')\nwhile True: time.sleep(0.1)"

        def check(shop, backend):
            terminal = self.on(shop, backend, [PYTHON, "-c", code])
            terminal.expect(b"ready\r\n")
            terminal.type(b"\x03")
            status, out = terminal.end()
            self.assertEqual(status, 128 + signal.SIGINT)
            self.assertIn(b"KeyboardInterrupt", out)
            self.assertEqual(terminal.modes(), terminal.before)
        self.everywhere(check)

    def test_quit_key(self):
        code = "import os, time\nos.write(1, b'ready\\n')\nwhile True: time.sleep(0.1)"

        def check(shop, backend):
            terminal = self.on(shop, backend, [PYTHON, "-c", code])
            terminal.expect(b"ready\r\n")
            terminal.type(b"\x1c")
            self.assertEqual(terminal.end()[0], 128 + signal.SIGQUIT)
        self.everywhere(check, users=False)

    def test_end_of_input_key(self):
        code = "print(repr(input('? ')))\ntry: input('? ')\nexcept EOFError: print('end')"

        def check(shop, backend):
            terminal = self.on(shop, backend, [PYTHON, "-c", code])
            terminal.expect(b"? ")
            terminal.type(b"typed\n")
            terminal.expect(b"'typed'\r\n? ")
            terminal.type(b"\x04")
            status, out = terminal.end()
            self.assertEqual((status, out[-5:]), (0, b"end\r\n"))
        self.everywhere(check)

    def test_echo_is_the_same(self):
        # What is seen, byte for byte: nothing twice, nothing missing, no second carriage return.
        code = ("import getpass, sys\nprint('name', end=' '); sys.stdout.flush()\n"
                "print(sys.stdin.readline())\n"
                "print(len(getpass.getpass('secret? ')))\nprint('bye\\ttab')")

        def talk(terminal):
            terminal.expect(b"name ")
            terminal.type(b"some\n")
            seen = terminal.expect(b"secret? ")
            terminal.type(b"hidden\n")
            return seen, terminal.end()

        def check(shop, backend):
            bare = talk(self.natively(shop, [PYTHON, "-c", code]))
            self.assertEqual(talk(self.on(shop, backend, [PYTHON, "-c", code])), bare)
        self.everywhere(check)

    def test_interactive_interpreter_edits_lines(self):
        def talk(terminal):
            terminal.expect(b">>> ")
            terminal.type(b"12\x1b[D9 + 5\n")      # left, then in the middle: 19 + 52
            terminal.expect(b"\n")
            first = terminal.expect(b">>> ")
            terminal.type(b"'ab' 'cd'\x01len(\x05)\n")  # Ctrl-A, Ctrl-E
            terminal.expect(b"\n")
            second = terminal.expect(b">>> ")
            terminal.type(b"\x1b[A\n")             # up: the line before
            terminal.expect(b"\n")
            third = terminal.expect(b">>> ")
            terminal.type(b"imp\t")
            terminal.expect(b"import")
            terminal.type(b"\x15exit(3)\n")
            return [re.sub(rb"\x1b\[[?0-9;]*[a-zA-Z]|\r", b"", text).strip()
                    for text in (first, second, third)], terminal.end()[0]

        def check(shop, backend):
            bare = talk(self.natively(shop, [PYTHON, "-q"]))
            self.assertEqual(bare[1], 3)
            terminal = self.on(shop, backend, [PYTHON, "-q"])
            self.assertEqual(talk(terminal), bare)
            self.assertEqual(bare[0], [b"71", b"4", b"4"])
            self.assertEqual(terminal.modes(), terminal.before)
        self.everywhere(check)

    def test_interactive_interpreter_goes_on_after_an_interrupt(self):
        def check(shop, backend):
            terminal = self.on(shop, backend, [PYTHON, "-q"])
            terminal.expect(b">>> ")
            terminal.type(b"while True: pass\n\n")
            terminal.expect(b"... ")
            time.sleep(0.1)  # until the loop runs; too early only moves the interrupt to the prompt
            terminal.type(b"\x03")
            terminal.expect(b"KeyboardInterrupt")
            terminal.expect(b">>> ")
            terminal.type(b"6 * 7\n")
            terminal.expect(b"42\r\n")
            terminal.expect(b">>> ")
            terminal.type(b"\x04")
            self.assertEqual(terminal.end()[0], 0)
        self.everywhere(check)

    def test_modes_are_restored_however_the_run_ends(self):
        endings = {
            "wall": (["--wall", "100ms"], "import time; time.sleep(100)", 124),
            "cpu": (["--cpu", "100ms"], "while True: pass", 124),
            "output": (["--output", "10"], "print('x' * 100)", 121),
            "violation": (["--on-deny=kill"], "open('/etc/shadow')", 120),
            "segv": ([], "import ctypes; ctypes.string_at(0)", 139),
            "kill": ([], "import os; os.kill(os.getpid(), 9)", 137),
            "raw": ([], "import tty; tty.setraw(0)", 0),
            "missing": (["--ro", "/no/such"], "pass", 125),
        }

        def check(shop, backend):
            for name, (options, code, status) in endings.items():
                terminal = self.on(shop, backend, [PYTHON, "-c", code], options)
                self.assertEqual(terminal.end()[0], status, name)
                self.assertEqual(terminal.modes(), terminal.before, name)
        self.everywhere(check)

    def test_modes_are_restored_when_signals_end_the_run(self):
        code = "import os, signal\nos.write(1, b'ready\\n')\nwhile True: signal.pause()"

        def check(shop, backend):
            for number in (signal.SIGTERM, signal.SIGHUP):
                terminal = self.on(shop, backend, [PYTHON, "-c", code])
                terminal.expect(b"ready\r\n")
                self.assertNotEqual(terminal.modes(), terminal.before)  # the keys are the command's
                terminal.process.send_signal(number)
                self.assertEqual(terminal.end()[0], 128 + number)
                self.assertEqual(terminal.modes(), terminal.before)
        self.everywhere(check)

    def test_output_in_a_pipe(self):
        code = "import os; print([os.isatty(n) for n in (0, 1, 2)]); print(input())"

        def check(shop, backend):
            terminal = self.on(shop, backend, [PYTHON, "-c", code], stdout=subprocess.PIPE)
            terminal.type(b"typed\n")
            out = terminal.process.stdout.read()
            terminal.process.stdout.close()
            self.assertEqual((out, terminal.end()[0]), (b"[True, False, True]\ntyped\n", 0))
            self.assertEqual(terminal.modes(), terminal.before)
        self.everywhere(check)

    def test_input_from_a_pipe(self):
        code = "import os; print([os.isatty(n) for n in (0, 1, 2)]); print(repr(input()))"

        def check(shop, backend):
            terminal = self.on(shop, backend, [PYTHON, "-c", code], stdin=subprocess.PIPE)
            terminal.process.stdin.write(b"piped\n")
            terminal.process.stdin.close()
            status, out = terminal.end()
            self.assertEqual((status, out), (0, b"[False, True, True]\r\n'piped'\r\n"))
            self.assertEqual(terminal.modes(), terminal.before)
        self.everywhere(check)

    def test_errors_in_a_file(self):
        code = "import os, sys; print([os.isatty(n) for n in (0, 1, 2)]); print('e', file=sys.stderr)"

        def check(shop, backend):
            path = shop.file("errors", "", 0o666)
            with open(path, "wb") as errors:
                terminal = self.on(shop, backend, [PYTHON, "-c", code], stderr=errors)
                self.assertEqual(terminal.end(), (0, b"[True, True, False]\r\n"))
            with open(path, "rb") as f:
                self.assertEqual(f.read(), b"e\n")
        self.everywhere(check)

    def test_run_in_the_background_leaves_the_terminal_alone(self):
        # `vitrine ... &` in an interactive shell: the modes and the keys are the shell's.
        code = ("import os, sys, time\nos.write(1, b'ready\\n')\n"
                "open('/tmp/x', 'w'); time.sleep(0.3); print('done')")
        shell = """
import os, signal, subprocess, sys, termios
before = termios.tcgetattr(0)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
child = subprocess.Popen(sys.argv[1:], preexec_fn=lambda: (os.setpgid(0, 0),
                         signal.signal(signal.SIGTTOU, signal.SIG_DFL)))
line = sys.stdin.readline()
same = termios.tcgetattr(0) == before
print("same" if same else "changed", repr(line), child.wait(), termios.tcgetattr(0) == before)
"""
        def check(shop, backend):
            command = shop.command([PYTHON, "-c", code], ["-q"], backend)
            terminal = Terminal([PYTHON, "-c", shell, *command], shop.path)
            self.addCleanup(terminal.close)
            terminal.expect(b"ready\r\n")
            terminal.type(b"typed\n")
            status, out = terminal.end()
            self.assertEqual(status, 0)
            self.assertIn(b"done", out)
            self.assertIn(b"same 'typed\\n' 0 True", out)
        self.everywhere(check)

    def test_job_that_is_stopped_and_continued(self):
        # `kill -TSTP`, then `fg`: the shell has its modes in between, and the command goes on.
        code = "import os\nos.write(1, b'ready\\n')\nprint(repr(input()))"

        def check(shop, backend):
            terminal = self.on(shop, backend, [PYTHON, "-c", code])
            terminal.expect(b"ready\r\n")
            terminal.process.send_signal(signal.SIGTSTP)
            os.waitid(os.P_PID, terminal.process.pid, os.WSTOPPED | os.WNOWAIT)
            self.assertEqual(terminal.modes(), terminal.before)
            terminal.process.send_signal(signal.SIGCONT)
            terminal.type(b"typed\n")
            terminal.expect(b"'typed'\r\n")
            self.assertEqual(terminal.end()[0], 0)
            self.assertEqual(terminal.modes(), terminal.before)
        self.everywhere(check)

    def in_shell(self, shop, line):
        """An interactive bash on a terminal that has been given `line`."""
        terminal = Terminal(["/bin/bash", "--norc", "--noediting", "-i"], shop.path,
                            environment={"PATH": "/usr/bin:/bin", "TERM": "xterm", "HOME": "/tmp",
                                         "LANG": "C.UTF-8", "PS1": "shell$ "})
        self.addCleanup(terminal.close)
        terminal.expect(b"shell$ ")
        terminal.type(line.encode() + b"\n")
        terminal.expect(b"\n")
        return terminal

    def continue_stopped(self, terminal):
        """The shell says that its job has stopped, and is told to go on with it."""
        terminal.expect(b"Stopped")
        terminal.expect(b"shell$ ")
        terminal.type(b"fg\n")
        terminal.expect(b"\n")

    def stop_and_continue(self, terminal):
        time.sleep(0.15)  # what one key stops, a second one within 100 ms does not stop again
        terminal.type(b"\x1a")
        self.continue_stopped(terminal)
        time.sleep(0.15)

    def test_stop_key_in_a_shell(self):
        code = "import os\nos.write(1, b'ready\\n')\nprint(repr(input()))"

        def talk(shop, command):
            terminal = self.in_shell(shop, shlex.join(command))
            terminal.expect(b"ready\r\n")
            modes = terminal.modes()
            for _ in range(2):
                time.sleep(0.15)
                terminal.type(b"\x1a")
                terminal.expect(b"Stopped")
                terminal.expect(b"shell$ ")
                terminal.type(b"jobs\n")
                terminal.expect(b"Stopped")
                terminal.expect(b"shell$ ")
                terminal.type(b"fg\n")
                terminal.expect(b"\n")
            time.sleep(0.15)
            terminal.type(b"typed\n")
            terminal.expect(b"'typed'\r\n")
            terminal.expect(b"shell$ ")
            terminal.type(b"exit 7\n")
            return terminal.end()[0], modes == terminal.before

        def check(shop, backend):
            bare = talk(shop, shop.as_user([PYTHON, "-c", code]))
            inside = talk(shop, shop.command([PYTHON, "-c", code], ["-q"], backend))
            self.assertEqual((bare[0], inside[0]), (7, 7))
        self.everywhere(check)

    def test_stop_key_in_the_interactive_interpreter(self):
        def check(shop, backend):
            terminal = self.in_shell(shop, shlex.join(shop.command([PYTHON, "-q"], ["-q"], backend)))
            terminal.expect(b">>> ")
            terminal.type(b"answer = 42\n")
            terminal.expect(b">>> ")
            self.stop_and_continue(terminal)
            terminal.type(b"answer * 2\n")
            terminal.expect(b"84")
            terminal.type(b"exit()\n")
            terminal.expect(b"shell$ ")
            terminal.type(b"exit 7\n")
            self.assertEqual(terminal.end()[0], 7)
        self.everywhere(check, users=False)

    def jobs(self, shop, command):
        """What a shell says of one job after another; `command` is put before the name of each."""
        def start(name, rest=""):
            line = shlex.join([*command, name])
            terminal = self.in_shell(shop, line + rest)
            terminal.expect(b"ready")  # in a pipeline without a carriage return: raw mode
            terminal.expect(b"\n")
            return terminal

        def rest(terminal, name):
            # The shell's word for a job that has stopped would come before its prompt.
            said = terminal.expect(b"shell$ ")
            return name, b"Stopped" in said, said.split().count(b"on")

        terminal = start("caught")
        terminal.type(b"\x1a")
        terminal.expect(b"caught\r\n")
        terminal.type(b"\n")
        yield rest(terminal, "caught")
        yield rest(start("another signal"), "another signal")
        yield rest(start("stopped child"), "stopped child")
        for name in ("itself", "itself by key's signal"):
            terminal = start(name)
            self.continue_stopped(terminal)
            yield rest(terminal, name)
        for name, behind in (("many", ""), ("pipeline", " | cat")):
            terminal = start(name, behind)
            self.stop_and_continue(terminal)
            terminal.type(b"\n")
            yield rest(terminal, name)
        terminal = start("itself", " | cat")  # cat goes on, and so the job is not stopped
        pid = int(terminal.expect(b"\n"))
        time.sleep(0.3)
        self.assertNotIn(b"Stopped", terminal.seen + terminal.read(0))
        with contextlib.suppress(ProcessLookupError):  # with the first continued, it may have ended
            for each in (parent_of(pid), pid):
                os.kill(each, signal.SIGCONT)
        # Whether the shell has looked in between is a matter of luck.
        name, _, went_on = rest(terminal, "itself in a pipeline")
        yield name, False, went_on

    def test_what_stops_a_job_of_a_shell(self):
        code = """
import os, signal, sys, time
name = sys.argv[1]
caught = []
if name == "caught": signal.signal(signal.SIGTSTP, lambda *_: caught.append(os.write(1, b"caught\\n")))
if name == "another signal": signal.signal(signal.SIGUSR1, lambda *_: 0)
child = -1
for _ in range(60 if name == "many" else name == "stopped child"):  # more than are looked at in one turn
    child = os.fork()
    if child == 0:
        if name == "stopped child": signal.raise_signal(signal.SIGSTOP)
        while name == "many": time.sleep(0.2)
        os._exit(0)
os.write(1, b"ready\\n")
if name.startswith("itself"):
    os.write(1, b"%d\\n" % os.getpid())
    signal.raise_signal(signal.SIGSTOP if name == "itself" else signal.SIGTSTP)
elif name == "another signal":
    os.kill(os.getpid(), signal.SIGUSR1)
    time.sleep(0.2)
elif name == "stopped child":
    os.waitpid(child, os.WUNTRACED)
    time.sleep(0.2)
    os.kill(child, signal.SIGCONT)
    os.waitpid(child, 0)
else:
    while name == "caught" and not caught: time.sleep(0.01)  # a handler does not run inside of read(2)
    sys.stdin.readline()
os.write(1, b"on\\n")
if name == "many":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.kill(0, signal.SIGTERM)
"""
        def check(shop, backend):
            script = shop.file("job.py", code)
            bare = list(self.jobs(shop, [PYTHON, "-B", script]))
            self.assertEqual([said[1:] for said in bare], [(False, 1)] * len(bare))
            inside = shop.command([PYTHON, "-B", script], ["-q", "--processes", "61"], backend)
            self.assertEqual(list(self.jobs(shop, inside)), bare)
        self.everywhere(check, users=False)

    def test_nothing_comes_late_or_early_around_a_stop(self):
        """What was written before a stop comes before the shell's word, and nothing after it, however busy all are."""
        code = """
import os, signal, sys, threading
def ask():
    while True: os.stat("/")
for _ in range(3): threading.Thread(target=ask, daemon=True).start()
for i in range(3):
    os.write(1, b"x" * 3000 + b" written %d\\n" % i)
    signal.raise_signal(signal.SIGTSTP)
    os.write(1, b"continued %d\\n" % i)
os._exit(0)
"""
        def check(shop, backend):
            script = shop.file("busy.py", code)
            for command in ([PYTHON, script], shop.command([PYTHON, script], ["-q"], backend)):
                terminal = self.in_shell(shop, shlex.join(command))
                for i in range(3):
                    before = terminal.expect(b"Stopped")
                    self.assertIn(b"written %d" % i, before)
                    self.assertNotIn(b"continued %d" % i, before)
                    terminal.expect(b"shell$ ")
                    terminal.type(b"fg\n")
                self.assertIn(b"continued 2", terminal.expect(b"shell$ "))
        self.everywhere(check, users=False)

    # Found as a supervisor that stopped when one thread had: the others went on, without any budget.
    def test_nothing_runs_beside_a_stopped_supervisor(self):
        code = """
import os, signal, sys, threading, time
def burn():
    while True: pass
if len(sys.argv) > 1 and os.fork() == 0: sys.argv[1] = "burn"
for _ in range(3): threading.Thread(target=burn, daemon=True).start()
os.write(1, b"ready %d\\n" % os.getpid())
if sys.argv[1:] == ["stop"]:
    time.sleep(0.3)
    signal.raise_signal(signal.SIGTSTP)
time.sleep(100)
"""
        def used(pid):
            children = [int(p) for p in os.listdir("/proc") if p.isdigit() and parent(int(p)) == pid]
            own = 0.0
            with open(f"/proc/{pid}/stat", "rb") as f:
                own = sum(map(int, f.read().rpartition(b")")[2].split()[11:13]))
            return own + sum(map(used, children))

        def parent(pid):
            try:
                return parent_of(pid)
            except OSError:
                return 0

        def check(shop, backend):
            script = shop.file("burn.py", code)
            for how in ([], ["stop"]):
                command = shop.command([PYTHON, script, *how], ["-q", "--processes", "2"], backend)
                terminal = self.in_shell(shop, shlex.join(command))
                for _ in range(1 + len(how)):
                    terminal.expect(b"ready ")
                    terminal.expect(b"\n")
                supervisor = next(int(p) for p in os.listdir("/proc")
                                  if p.isdigit() and parent(int(p)) == terminal.process.pid)
                if not how:
                    time.sleep(0.3)
                    self.assertGreater(used(supervisor), 0)
                    os.kill(supervisor, signal.SIGTSTP)
                terminal.expect(b"Stopped")
                before = used(supervisor)
                time.sleep(0.5)
                self.assertEqual(used(supervisor), before)
                terminal.type(b"fg\n")
                terminal.expect(b"\n")
                time.sleep(0.3)
                self.assertGreater(used(supervisor), before)
                os.kill(supervisor, signal.SIGTERM)
        self.everywhere(check, users=False)

    def test_stops_by_one_process_and_then_by_another(self):
        # Each one stops for the key while the other ignores it.
        code = """
import os, signal, sys
ends = os.pipe()
child = os.fork()
if child == 0:
    os.write(1, b"ready\\n")
    os.read(ends[0], 1)
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    os.write(1, b"ignores\\n")
    os.read(ends[0], 1)
    os._exit(0)
signal.signal(signal.SIGTSTP, signal.SIG_IGN)
sys.stdin.readline()
signal.signal(signal.SIGTSTP, signal.SIG_DFL)
os.write(ends[1], b"x")
sys.stdin.readline()
os.write(ends[1], b"x")
os.write(1, b"on\\n")
"""
        def check(shop, backend):
            script = shop.file("turns.py", code)
            command = shop.command([PYTHON, script], ["-q", "--processes", "2"], backend)
            terminal = self.in_shell(shop, shlex.join(command))
            for said in b"ready\r\n", b"ignores\r\n":
                terminal.expect(said)
                self.stop_and_continue(terminal)
                terminal.type(b"\n")
            terminal.expect(b"on\r\n")
        self.everywhere(check, users=False)

    def test_stop_of_a_parent_in_vfork(self):
        # Its signal waits for it until the child goes on, so that it never stands.
        def check(shop, backend):
            command = shop.command([shop.guest("vforks")], ["-q", "--processes", "2"], backend)
            terminal = self.in_shell(shop, shlex.join(command))
            terminal.expect(b"ready\r\n")
            self.stop_and_continue(terminal)
            terminal.expect(b"on\r\n")
            terminal.expect(b"shell$ ")
        self.everywhere(check, users=False)

    def test_a_stop_is_taken_back_while_it_is_under_way(self):
        def check(shop, backend):
            terminal = self.on(shop, backend, [shop.guest("vforks")], ["--processes", "2"])
            terminal.expect(b"ready\r\n")
            time.sleep(0.15)  # it is in vfork by now
            for each in signal.SIGTSTP, signal.SIGCONT:
                terminal.process.send_signal(each)
                time.sleep(0.05)
            terminal.expect(b"on\r\n")
            self.assertEqual(terminal.end()[0], 0)
        self.everywhere(check, users=False)

    def test_a_run_that_ends_while_its_stop_is_under_way(self):
        def check(shop, backend):
            terminal = self.on(shop, backend, [shop.guest("vforks")], ["--processes", "2"])
            terminal.expect(b"ready\r\n")
            time.sleep(0.15)  # it is in vfork by now
            terminal.process.send_signal(signal.SIGTSTP)
            time.sleep(0.05)
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    if parent_of(int(pid)) == terminal.process.pid:
                        os.kill(int(pid), signal.SIGKILL)
                except OSError:
                    pass
            self.assertEqual(terminal.end()[0], 128 + signal.SIGKILL)
        self.everywhere(check, users=False)

    def test_output_that_spends_its_budget_before_a_stop(self):
        code = "import os, signal; os.write(1, b'x' * 100); signal.raise_signal(signal.SIGTSTP)"

        def check(shop, backend):
            command = shop.command([PYTHON, "-c", code], ["-q", "--output", "50"], backend)
            terminal = self.in_shell(shop, shlex.join(command))
            said = terminal.expect(b"shell$ ")
            self.assertEqual((said.count(b"x"), b"Stopped" in said), (50, False))
            terminal.type(b"echo =$?=\n")
            terminal.expect(b"=121=")
        self.everywhere(check, users=False)

    def test_a_job_of_a_shell_inside_does_not_stop_the_run(self):
        def check(shop, backend):
            command = shop.command(["/bin/bash", "--norc", "--noediting", "-i"],
                                   ["-q", "-p", "any", "--processes", "8", "--env", "PS1=inside$ "], backend)
            terminal = self.in_shell(shop, shlex.join(command))
            terminal.expect(b"inside$ ")
            terminal.type(b"sleep 100\n")
            terminal.expect(b"sleep 100\r\n")
            time.sleep(0.2)
            terminal.type(b"\x1a")
            terminal.expect(b"Stopped")
            self.assertNotIn(b"shell$ ", terminal.expect(b"inside$ "))
            terminal.type(b"fg\n")
            terminal.expect(b"sleep 100\r\n")
            time.sleep(0.2)
            terminal.type(b"\x03")
            terminal.expect(b"inside$ ")
            terminal.type(b"exit 5\n")
            terminal.expect(b"shell$ ")
        self.everywhere(check, users=False)

    def test_what_others_stop_others_continue(self):
        code = "import os; os.write(1, b'%d\\n' % os.getpid()); print(repr(input()))"

        def check(shop, backend):
            command = shop.command([PYTHON, "-c", code], ["-q"], backend)
            terminal = self.in_shell(shop, shlex.join(command))
            pid = int(terminal.expect(b"\r\n"))
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.3)
            terminal.type(b"typed\n")
            os.kill(pid, signal.SIGCONT)
            said = terminal.expect(b"shell$ ")
            self.assertIn(b"'typed'\r\n", said)
            self.assertNotIn(b"Stopped", said)
        self.everywhere(check, users=False)

    def test_stop_where_no_shell_waits_does_not_stop_the_clocks(self):
        # A service in a session with others, in a group of its own as a shell would make it: what
        # the program does to itself must not take the wall budget with it.
        code = "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"

        def check(shop, backend):
            command = shop.command([PYTHON, "-c", code], ["-q", "--wall", "500ms"], backend)
            run = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=lambda: os.setpgid(0, 0))
            self.addCleanup(run.wait)
            self.addCleanup(run.kill)
            self.assertEqual(run.wait(20), 124)
        self.everywhere(check, users=False)

    def test_stop_key_where_no_shell_would_continue(self):
        code = "import os\nos.write(1, b'ready\\n')\nprint(repr(input()))"

        def check(shop, backend):
            command = shop.command([PYTHON, "-c", code], ["-q"], backend)
            # The second time behind a parent of its own group, which is no shell that waits for jobs.
            for line in command, ["/bin/sh", "-c", '"$@"; exit $?', "sh", *command]:
                terminal = Terminal(line, shop.path)
                self.addCleanup(terminal.close)
                terminal.expect(b"ready\r\n")
                terminal.type(b"\x1atyped\n")
                terminal.expect(b"'typed'\r\n")
                self.assertEqual(terminal.end()[0], 0)
        self.everywhere(check, users=False)

    def test_job_control_inside(self):
        def talk(terminal):
            terminal.expect(b"inside$ ")
            terminal.type(b"sleep 100\n")
            terminal.expect(b"sleep 100\r\n")
            time.sleep(0.2)
            terminal.type(b"\x1a")
            terminal.expect(b"Stopped")
            terminal.expect(b"inside$ ")
            terminal.type(b"bg; jobs\n")
            terminal.expect(b"Running")
            terminal.expect(b"inside$ ")
            terminal.type(b"fg\n")
            terminal.expect(b"fg\r\n")
            time.sleep(0.2)
            terminal.type(b"\x03")
            terminal.expect(b"inside$ ")
            terminal.type(b"echo =$?=\n")
            terminal.expect(b"=130=")
            terminal.type(b"exit 5\n")
            return terminal.end()[0]

        def check(shop, backend):
            shell = ["/bin/bash", "--norc", "--noediting", "-i"]
            self.assertEqual(talk(Terminal(shop.as_user(shell), shop.path, environment={
                "PATH": "/usr/bin:/bin", "TERM": "xterm", "PS1": "inside$ "})), 5)
            options = ["-p", "any", "--processes", "8", "--env", "PS1=inside$ "]
            self.assertEqual(talk(self.on(shop, backend, shell, options)), 5)
        self.everywhere(check, users=False)

    def test_own_terminal_by_name(self):
        code = """
import os, sys, termios
def attempt(call, *arguments):
    try: return call(*arguments)
    except OSError as error: return error.errno
with open("/dev/tty", "r+b", buffering=0) as tty:
    tty.write(b"asked? ")
    print(repr(tty.readline()), os.isatty(tty.fileno()), os.tcgetpgrp(tty.fileno()) == os.getpgrp(),
          os.get_terminal_size(tty.fileno()))
import getpass
print(repr(getpass.getpass("secret? ")))
sys.stdout.flush()
if os.fork() == 0:
    os.setsid()
    print("no terminal", attempt(os.open, "/dev/tty", os.O_RDWR), flush=True)
    os._exit(0)
os.wait()
"""
        def talk(terminal):
            terminal.expect(b"asked? ")
            terminal.type(b"answer\n")
            said = terminal.expect(b"secret? ")
            terminal.type(b"hidden\n")
            return said, terminal.end()

        def check(shop, backend):
            bare = talk(self.natively(shop, [PYTHON, "-c", code]))
            self.assertEqual(talk(self.on(shop, backend, [PYTHON, "-c", code], ["--processes", "2"])), bare)
            self.assertIn(b"no terminal 6", bare[1][1])
            run = shop.python("import os; os.open('/dev/tty', os.O_RDWR)", backend=backend)
            self.assertIn(b"No such device or address", run.err)
        self.everywhere(check)

    def test_the_terminal_inside_is_another(self):
        # The caller's terminal must not be reachable: its keys could be typed by the program.
        code = """
import fcntl, os, termios
for n in (0, 1, 2):
    try: fcntl.ioctl(n, termios.TIOCSTI, b"x"); print("typed")
    except OSError as error: print(error.errno)
try: print(os.open("/dev/tty", os.O_RDWR) >= 0)
except OSError as error: print(error.errno)
"""
        def check(shop, backend):
            terminal = self.on(shop, backend, [PYTHON, "-c", code])
            status, out = terminal.end()
            self.assertEqual((status, out.split()[:3]), (0, [b"1"] * 3))
        self.everywhere(check)


if __name__ == "__main__":
    main()
