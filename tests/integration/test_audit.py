"""The audit log holds what happened, in order and whatever comes; what is lost is said."""

import errno
import fcntl
import hashlib
import json
import pty
import re
import select
import struct
import termios

from harness import *

LONG = os.environ.get("VITRINE_LONG") == "1"
MIB = 1 << 20


def unescape(text):
    form = re.compile(rb'\\(?:\\|x([0-9a-f]{2})|\+[0-9]+$)')
    return form.sub(lambda m: bytes([int(m[1], 16)]) if m[1] else b'\\' if m[0] == b'\\\\' else b'',
                    text.encode())


class Log(Case):
    maxDiff = 2000

    def calls(self, run, name=None):
        return [r for r in run.log if r["type"] == "syscall" and name in (None, r["syscall"])]

    def tool(self, shop, *arguments, status=0):
        done = subprocess.run([shop.vitrine, "log", *arguments], cwd=shop.path, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=600)
        self.assertEqual((done.returncode, done.stderr), (status, ""), done.stdout[-1000:])
        return done.stdout

    # --- complete and in order

    def test_every_call_of_every_task_is_there_in_its_order(self):
        code = """
import os, threading
def work(n):
    for i in range(400): os.umask(i % 8); os.getppid()
threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
for t in threads: t.start()
for t in threads: t.join()
"""
        def check(shop, backend):
            run = shop.python(code, ["--audit-level", "all"], backend="syscall")
            self.assertEqual((run.status, run.err), (0, b""))
            for tid in sorted({r["tid"] for r in self.calls(run, "umask")})[-3:]:
                mine = [r for r in self.calls(run) if r["tid"] == tid]
                self.assertEqual([r["args"]["mask"] for r in mine if r["syscall"] == "umask"],
                                 [f"0{i % 8}" for i in range(400)])
                self.assertEqual(sum(r["syscall"] == "getppid" for r in mine), 400)
                self.assertTrue(all(a["t_us"] <= b["t_us"] for a, b in zip(mine, mine[1:])))
            self.assertEqual([r["seq"] for r in run.log[1:-1]], list(range(1, len(run.log) - 1)))
            self.assertEqual(run.report["syscalls"]["total"], len(self.calls(run)))
            self.tool(shop, "verify", "audit.jsonl")
        self.everywhere(check, backends=("syscall",), users=False)

    def test_complete_when_the_program_is_killed(self):
        code = """
import os
for i in range(500): os.getppid()
os.kill(os.getpid(), 9)
"""
        def check(shop, backend):
            run = shop.python(code, ["--audit-level", "all"], backend="syscall")
            self.assertEqual(run.status, 137)
            self.assertEqual(len(self.calls(run, "getppid")), 500)
            last = self.calls(run)[-1]
            self.assertEqual((last["syscall"], last["args"]["sig"]), ("kill", "SIGKILL"))
            self.assertIn({"event": "exit", "signal": 9},
                          [{"event": r["event"], "signal": r.get("signal")} for r in run.log
                           if r["type"] == "process"])
            self.tool(shop, "verify", "audit.jsonl")
        self.everywhere(check, backends=("syscall",), users=False)

    # Of a leader whose thread executes, nothing else tells the end.
    ENDED = """
import fcntl, os, signal, sys, threading, time
how, call = sys.argv[1:]
locks = [os.open("/tmp/lock", os.O_RDWR | os.O_CREAT) for i in range(2)]
fcntl.flock(locks[0], fcntl.LOCK_EX)
def end():
    time.sleep(0.2)
    if how == "execve": os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", "import os; os.getppid()"])
    os.kill(os.getpid(), signal.SIGKILL)
threading.Thread(target=end).start()
if call == "pause": signal.pause()
if call == "flock": fcntl.flock(locks[1], fcntl.LOCK_EX)
"""

    def test_the_call_that_a_task_ended_in_is_there(self):
        def check(shop, backend):
            for how in ("execve", "kill"):
                for call in ("flock", "pause") if backend == "syscall" else ("flock",):
                    run = shop.run([PYTHON, "-c", self.ENDED, how, call], backend=backend,
                                   options=["--audit-level", "all" if backend == "syscall" else "mediated"])
                    self.assertEqual((run.status, run.err), (137 if how == "kill" else 0, b""))
                    of_leader = [r for r in run.log if r.get("pid") == r.get("tid", r.get("pid")) == 1]
                    at, = [i for i, r in enumerate(of_leader) if r.get("syscall") == call and "result" not in r]
                    self.assertEqual(of_leader[at]["decision"], "serve" if call == "flock" else "allow")
                    self.assertEqual(of_leader[at + 1]["event"], "exec" if how == "execve" else "exit")
                    if backend == "syscall":
                        self.assertEqual(run.report["syscalls"]["total"], len(self.calls(run)))
                        self.assertEqual(len(self.calls(run, "execve")), how == "execve")
                    else:
                        self.assertEqual(run.report["syscalls"]["mediated"], len(self.calls(run)))
        self.everywhere(check, users=False)

    def test_whole_lines_when_vitrine_is_killed(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        audit = os.path.join(shop.path, "audit.jsonl")
        process = shop.start([PYTHON, "-c", "import os\nwhile True: os.stat('/')"], ["--audit", audit])
        deadline = time.monotonic() + 20
        while (not os.path.exists(audit) or os.path.getsize(audit) < MIB) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
        process.communicate()
        with open(audit, "rb") as f:
            lines = f.read().split(b"\n")
        records = [json.loads(line) for line in lines[:-1]]
        self.assertEqual(lines[-1], b"", "ends in a whole line")
        self.assertEqual([r["seq"] for r in records[1:]], list(range(1, len(records))))
        self.assertIn("no end line", self.tool(shop, "verify", "audit.jsonl", status=1))

    # The kernel's own answer, EFBIG, is replaced in the signal's stop behind it.
    def test_a_full_scratch_folder_is_logged_as_the_program_saw_it(self):
        code = """
import errno, os, resource, signal, time
def write(fd, size):
    try: seen.append(os.write(fd, bytes(size)))
    except OSError as e: seen.append(-e.errno)
seen, files = [], []
for size in (200_000, 2 << 20, 50 << 20):
    files.append(os.open(f"/tmp/{size}", os.O_WRONLY | os.O_CREAT))
    write(files[-1], size)
time.sleep(0.5)
for size in (64 << 20, 1): write(files[-1], size)
os.close(files[0])
os.unlink("/tmp/200000")
write(files[-1], 100_000)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
write(files[-1], 1)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGXFSZ])
write(files[-1], 1)
os.write(1, repr(seen).encode())
"""
        def check(shop, backend):
            run = shop.python(code, ["--scratch", "/tmp=64M", "--audit-level", "all"], backend=backend)
            self.assertEqual((run.status, run.err), (0, b""))
            seen = json.loads(run.out)
            full, own = -errno.ENOSPC, -errno.EFBIG
            self.assertEqual(seen[4:], [full, 100_000, own, own])
            written = self.calls(run, "write")[:-1]
            self.assertEqual([r["result"] for r in written], seen)
            self.assertEqual([r.get("errno") for r in written],
                             [errno.errorcode[-n] if n < 0 else None for n in seen])
            order = [r["type"] for r in run.log if r["type"] == "signal" or r in written[-2:]]
            self.assertEqual(order, ["syscall", "signal", "syscall"])
            self.assertEqual(run.report["syscalls"]["total"], len(self.calls(run)))
        self.everywhere(check, backends=("syscall",), users=False)

    # --- no forged line

    def test_no_name_forges_a_line(self):
        names = [b'a"b', b"a\nb", b'x"}\n{"type":"end"}', b"\xe2\x80\xa8\xe2\x80\xa9", b"\xff\xfe\x80", b"\x1b[2J\x1b]0;x\x07",
                 b"\\x41\\\\", b"\\u0041", b"\r", b"\x7f\xc2\x9b", b"\xed\xa0\x80", b"\xe2\x80\xae", b"a" * 255, b"{}", b"%s%n",
                 bytes(range(1, 47)) + bytes(range(48, 100))]
        code = f"""
import os
for name in {names!r}:
    for path in (b"/none/" + name, b"/tmp/" + name):
        try: os.stat(path)
        except OSError: pass
        try: os.close(os.open(path, os.O_CREAT | os.O_RDWR))
        except OSError: pass
"""
        def check(shop, backend):
            run = shop.python(code, backend=backend)
            self.assertEqual((run.status, run.err), (0, b""))
            with open(f"{shop.path}/audit.jsonl", "rb") as f:
                text = f.read()
            self.assertEqual(text.count(b"\n"), len(run.log))
            self.assertEqual([r["seq"] for r in run.log[1:-1]], list(range(1, len(run.log) - 1)))
            self.assertNotRegex(text, rb"[\x00-\x09\x0b-\x1f\x7f]")
            self.assertNotIn("\u2028", text.decode())
            opened = [unescape(r["args"]["path"]) for r in self.calls(run, "openat")]
            for name in names:
                for folder in (b"/none/", b"/tmp/"):
                    self.assertIn(folder + name, opened, "the exact bytes can be had back")
            shown = self.tool(shop, "show", "audit.jsonl")
            self.assertEqual(shown.count("\n"), len(run.log), "a line each")
            self.assertNotRegex(shown, "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]")
        self.everywhere(check, users=False)
        # Written as they are, they make lines of their own and change the terminal.
        shop = Workshop()
        self.addCleanup(shop.close)
        bare = shop.native([PYTHON, "-c", f"import sys\nfor name in {names!r}: sys.stdout.buffer.write(name + b'\\n')"]).stdout
        self.assertGreater(bare.count(b"\n"), len(names))
        self.assertRegex(bare, rb"[\x00-\x09\x0b-\x1f\x7f]")

    def test_relative_names_say_what_they_meant(self):
        def check(shop, backend):
            shop.file("there.txt")
            os.symlink("there.txt", f"{shop.path}/link")
            run = shop.python("import os\nfor n in ('there.txt', 'link', 'gone/deep'):\n"
                              "  try: open(n)\n  except OSError: pass\n"
                              "fd = os.open('/tmp', 0); os.mkdir('made', dir_fd=fd)",
                              ["--ro", "."], backend=backend)
            resolved = {r["args"]["path"]: r.get("resolved") for r in self.calls(run)
                        if "path" in r["args"]}
            self.assertEqual(resolved["there.txt"], f"{shop.path}/there.txt")
            self.assertEqual(resolved["link"], f"{shop.path}/there.txt")
            self.assertEqual(resolved["gone/deep"], f"{shop.path}/gone/deep")
            self.assertEqual(resolved["made"], "/tmp/made")
            self.assertNotIn("resolved", [r for r in self.calls(run) if r["args"].get("path") == "/tmp"][0])
        self.everywhere(check, users=False)

    # --- what cannot be written

    LOOP = "import os\nfor i in range(3000): os.stat('/')\nprint('went on')"

    def written_to(self, shop, options, profile, code=LOOP, **kwargs):
        own = shop.file("own.json", json.dumps({"extends": "python", "audit": {"on_failure": profile}}))
        report = shop.file("report.json", "", 0o666)
        done = subprocess.run(
            shop.command([PYTHON, "-c", code], ["-p", own, "--report", report, *options]),
            cwd=shop.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, **kwargs)
        return done, read_json(report)

    def assertSaid(self, done, report, profile, why):
        self.assertRegex(done.stderr.decode(), why)
        self.assertRegex(report["reason"], why)
        if profile == "end":
            self.assertEqual((done.returncode, report["verdict"]), (125, "internal-error"))
        else:
            self.assertEqual((done.returncode, report["verdict"], done.stdout),
                             (0, "exited", b"went on\n"))
            self.assertRegex(report["reason"], r"[1-9]\d* events are missing")

    def test_full_disk(self):
        for profile in ("end", "count"):
            shop = Workshop()
            self.addCleanup(shop.close)
            done, report = self.written_to(shop, ["--audit", "/dev/full"], profile)
            self.assertSaid(done, report, profile, "audit log: .*No space left")

    # A short log is written at the end alone, when the program has nothing more to be ended for.
    def test_full_disk_under_a_short_log(self):
        for profile in ("end", "count"):
            for collected, what in ((["--collect", "/tmp/none:none"], r"--collect .*; the audit log: "),
                                    ([], r"^the audit log: ")):
                shop = Workshop()
                self.addCleanup(shop.close)
                done, report = self.written_to(shop, ["--audit", "/dev/full", *collected], profile,
                                               "print('went on')")
                self.assertEqual(done.stdout, b"went on\n")
                self.assertSaid(done, report, profile, "audit log: .*No space left")
                self.assertRegex(report["reason"], what)

    def test_small_disk_keeps_whole_lines(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        disk = os.path.join(shop.path, "disk")
        os.mkdir(disk)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk],
                          stderr=subprocess.DEVNULL).returncode:
            self.skipTest("no file system may be mounted here")
        try:
            for profile in ("end", "count"):
                done, report = self.written_to(shop, ["--audit", f"{disk}/log"], profile)
                self.assertSaid(done, report, profile, "audit log: .*No space left")
                with open(f"{disk}/log", "rb") as f:
                    text = f.read()
                self.assertGreater(len(text), 30000)
                for line in text.split(b"\n")[:-1]:
                    json.loads(line)
                self.assertTrue(text.endswith(b"\n"))
                os.unlink(f"{disk}/log")
        finally:
            subprocess.run(["umount", disk], check=True)

    def test_closed_pipe(self):
        for profile in ("end", "count"):
            shop = Workshop()
            self.addCleanup(shop.close)
            reader, writer = os.pipe()
            os.close(reader)
            try:
                done, report = self.written_to(shop, ["--audit-fd", str(writer)], profile, pass_fds=(writer,))
            finally:
                os.close(writer)
            self.assertSaid(done, report, profile, "audit log: .*Broken pipe")

    def test_reader_that_does_not_read(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        reader, writer = os.pipe()
        start = time.monotonic()
        try:
            done, report = self.written_to(shop, ["--audit-fd", str(writer)], "count", pass_fds=(writer,))
        finally:
            os.close(reader)
            os.close(writer)
        self.assertSaid(done, report, "count", "audit log: its reader is too slow")
        self.assertLess(time.monotonic() - start, 20, "it is not waited for without end")

    @unittest.skipIf(OF_ITS_MEMORY, OF_ITS_MEMORY)
    def test_flood_is_bounded(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        audit = shop.file("audit.jsonl")
        name = "x" * 200
        line = shop.command(
            [PYTHON, "-c", f"import os\nfor i in range(20000):\n  try: os.stat('/{name}%d' % i)\n"
             "  except OSError: pass"],
            ["-q", "--audit", audit, "--audit-limit", "1M"])
        done = subprocess.run([PYTHON, "-I", "-S", "-c", self.MEASURE, *line], cwd=shop.path,
                              stdout=subprocess.PIPE, check=True)
        status, peak = (int(word) for word in done.stdout.split())
        self.assertEqual(status, 0)
        self.assertLessEqual(os.path.getsize(audit), MIB)
        self.assertLess(peak * 1024, 60 * MIB)
        log = read_lines(audit)
        self.assertGreater(log[-1]["events_left_out"], 10000)
        calls = sum(r["type"] == "syscall" for r in log)
        missing = log[-1]["report"]["syscalls"]["mediated"] - calls
        self.assertGreaterEqual(log[-1]["events_left_out"], missing, "every event is there or counted")
        self.assertLess(log[-1]["events_left_out"] - missing, 500, "few of them are no calls")
        self.assertIn("events left out", self.tool(shop, "verify", "audit.jsonl"))

    # --- budgets over time, limits, signals

    def test_course_of_a_run(self):
        code = """
import os, signal, time
signal.signal(signal.SIGUSR1, lambda *a: None)
os.kill(os.getpid(), signal.SIGUSR1)
held = bytearray(60 << 20)
end = time.monotonic() + 0.6
while time.monotonic() < end: pass
os.fork()
"""
        def check(shop, backend):
            run = shop.python(code, ["--wall", "20s"], backend=backend)
            samples = [r for r in run.log if r["type"] == "limit" and r["event"] == "sample"]
            self.assertGreaterEqual(len(samples), 4)
            self.assertGreater(max(s["memory_bytes"] for s in samples), 60 * MIB)
            self.assertTrue(all(a["cpu_us"] <= b["cpu_us"] for a, b in zip(samples, samples[1:])))
            used = run.report["usage"]
            self.assertAlmostEqual(samples[-1]["cpu_us"] / 1e6, used["cpu_user_s"] + used["cpu_system_s"],
                                   delta=0.02)
            signals = [r["name"] for r in run.log if r["type"] == "signal"]
            self.assertIn("SIGUSR1", signals)
            refused = [r for r in run.log if r["type"] == "limit" and r["event"] == "refused"]
            self.assertIn(("processes", 1, 1), [(r["limit"], r["used"], r["allowed"]) for r in refused])
            summary = self.tool(shop, "summary", "audit.jsonl")
            self.assertIn("budgets over time", summary)
            shown = self.tool(shop, "show", "audit.jsonl")
            self.assertIn("--- SIGUSR1 ---", shown)
            self.assertIn("--- used: cpu", shown)
            self.assertIn("--- budget processes: used 1 of 1, refused ---", shown)
        self.everywhere(check, users=False)

    def test_budgets_that_end_a_run_are_in_the_log(self):
        cases = (("cpu", ["--cpu", "200ms"], "while True: pass", 200_000),
                 ("wall", ["--wall", "300ms"], "import time; time.sleep(30)", 300_000),
                 ("output", ["--output", "10K"], "while True: print('x' * 999)", 10240))
        shop = Workshop()
        self.addCleanup(shop.close)
        for limit, options, code, allowed in cases:
            run = shop.python(code, options)
            ended = [r for r in run.log if r["type"] == "limit" and r["event"] == "ended"]
            self.assertEqual([(r["limit"], r["allowed"], r["ended"]) for r in ended],
                             [(limit, allowed, True)])
            self.assertGreaterEqual(ended[0]["used"], allowed)

    # --- reading

    def test_filters(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        run = shop.python("import os, time\nos.stat('/etc/hosts')\n"
                          "try: open('/etc/shadow')\nexcept OSError: pass\n"
                          "if os.fork() == 0: os.chdir('/etc'); os.stat('hosts'); os._exit(0)\n"
                          "os.wait()\ntime.sleep(0.3)\nos.stat('/tmp')", ["--processes", "2"])
        everything = self.tool(shop, "show", "audit.jsonl").splitlines()
        self.assertEqual(len(everything), len(run.log))

        def show(*filters):
            return self.tool(shop, "show", "audit.jsonl", *filters).splitlines()
        self.assertEqual(["/etc/shadow" in line for line in show("--denied")], [True])
        self.assertEqual(show("--decision", "deny"), show("--denied"))
        self.assertTrue(all(" chdir(" in line for line in show("--syscall", "chdir")))
        self.assertEqual(len(show("--syscall", "chdir")), 1)
        hosts = show("--path", "/etc/h*sts")
        self.assertEqual(len(hosts), 2, "the relative name as well")
        self.assertIn("[pid 2]", hosts[1])
        self.assertTrue(all("[pid 2]" in line for line in show("--pid", "2")))
        late = show("--since", "250ms", "--syscall", "newfstatat")
        self.assertEqual(len([line for line in late if '"/tmp"' in line]), 1)
        early = show("--until", "250ms")
        self.assertFalse([line for line in early if '"/tmp"' in line and "newfstatat" in line
                          and line in late])
        self.assertEqual(show("--denied", "--pid", "2"), [])
        for wrong in (["--decision", "maybe"], ["--pid", "x"], ["--since", "soon"], ["--nonsense"]):
            done = subprocess.run([shop.vitrine, "log", "show", "audit.jsonl", *wrong], cwd=shop.path,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertEqual((done.returncode, done.stdout), (125, b""), wrong)

    def test_replay(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        os.mkdir(f"{shop.path}/data")
        shop.file("data/in.txt", "x")
        own = shop.file("own.json", json.dumps(
            {"extends": "python", "files": [{"show": f"{shop.path}/data"}]}))
        run = shop.python("open('data/in.txt').read(); open('/tmp/out', 'w').write('x'); import json",
                          ["-p", own])
        self.assertEqual(run.status, 0)
        self.assertIn("0 of ", self.tool(shop, "replay", "audit.jsonl", "--profile", own))
        tighter = shop.file("tighter.json", json.dumps(
            {"extends": "own.json", "files": [{"hide": f"{shop.path}/data/in.txt"}]}))
        text = self.tool(shop, "replay", "audit.jsonl", "--profile", tighter, status=1)
        self.assertIn("data/in.txt", text)
        self.assertIn("rule tighter:files[0]", text)
        strict = self.tool(shop, "replay", "audit.jsonl", "--profile", "strict", status=1)
        self.assertIn("/tmp/out", strict)

    # A fork counts the memory of what it was forked from as its own peak: of a small process, that is.
    MEASURE = """
import os, sys
pid = os.fork()
if pid == 0:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execv(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)
"""

    def measured(self, shop, *arguments):
        """Exit status and peak memory of a command that reads a log."""
        done = subprocess.run([PYTHON, "-I", "-S", "-c", self.MEASURE, shop.vitrine, "log", *arguments],
                              cwd=shop.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        status, peak = (int(word) for word in done.stdout.split())
        return status, peak * 1024

    def long_log(self, shop, name, size):
        """A whole log of that size: the lines that a real run wrote, over and over, counted on."""
        run = shop.python("import json, os\nfor i in range(300): os.stat('/')", ["--audit-level", "all"])
        with open(f"{shop.path}/audit.jsonl", "rb") as f:
            first, *events, last = f.read().splitlines(keepends=True)
        form = re.compile(rb'^(\{"type":"\w+","seq":)\d+,"t_us":(\d+)(.*\n)$')
        pieces = [form.match(event).groups() for event in events]
        pieces = [(head, int(time_us), rest) for head, time_us, rest in pieces]
        each = pieces[-1][1] + 1
        digest = hashlib.sha256(first)
        with open(f"{shop.path}/{name}", "wb") as f:
            f.write(first)
            seq = rounds = 0
            while f.tell() < size:
                lines = [b'%b%d,"t_us":%d%b' % (head, seq + i, rounds * each + time_us, rest)
                         for i, (head, time_us, rest) in enumerate(pieces, 1)]
                seq, rounds = seq + len(lines), rounds + 1
                block = b"".join(lines)
                digest.update(block)
                f.write(block)
            f.write(re.sub(rb'"lines":\d+,"events_left_out":0,"sha256":"\w+"}\n$',
                           b'"lines":%d,"events_left_out":0,"sha256":"%b"}\n'
                           % (seq + 1, digest.hexdigest().encode()), last))
        self.assertEqual(run.status, 0)
        return name

    @unittest.skipIf(OF_ITS_MEMORY, OF_ITS_MEMORY)
    def test_reading_takes_constant_memory(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        small = self.long_log(shop, "small.jsonl", 4 * MIB)
        large = self.long_log(shop, "large.jsonl", 2048 * MIB if LONG else 40 * MIB)
        most = {"show": 16, "verify": 16, "summary": 32, "replay": 32, "html": 120}
        for command, extra in (("show", []), ("verify", []), ("summary", []),
                               ("replay", ["--profile", "python"]), ("html", ["-o", "page.html"])):
            _, before = self.measured(shop, command, small, *extra)
            start = time.monotonic()
            status, peak = self.measured(shop, command, large, *extra)
            print(f"  {command}: {peak / MIB:.0f} MiB, with a small log {before / MIB:.0f} MiB, "
                  f"{time.monotonic() - start:.1f} s", flush=True)
            self.assertEqual(status, 0, command)
            self.assertLess(peak, most[command] * MIB)
            if command != "html":
                self.assertLess(peak, before + 8 * MIB)

    def test_a_page_takes_the_place_of_no_device_or_pipe(self):
        def check(shop, backend):
            shop.python("pass", backend=backend)
            log, page, out = (os.path.join(shop.path, name) for name in ("audit.jsonl", "page", "out"))
            os.symlink("/proc/self/fd/1", out)
            for name in (page, out):
                done = subprocess.run([shop.vitrine, "log", "html", log, "-o", name],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
                self.assertEqual((done.returncode, done.stderr), (0, b""))
            with open(page, "rb") as f:
                self.assertEqual(f.read(), done.stdout)
            self.assertTrue(os.path.islink(out))
            # `> file` behind it: what the link leads to is a regular file.
            with open(os.path.join(shop.path, "file"), "w+b") as file:
                subprocess.run([shop.vitrine, "log", "html", log, "-o", out], stdout=file, check=True)
                self.assertEqual(os.pread(file.fileno(), 1 << 24, 0), done.stdout)
            self.assertTrue(os.path.islink(out))
        self.everywhere(check, backends=BACKENDS[:1], users=False)

    def test_progress_is_shown_on_a_terminal_only(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        log = self.long_log(shop, "log.jsonl", 60 * MIB)
        master, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        process = subprocess.Popen([shop.vitrine, "log", "summary", log], cwd=shop.path,
                                   stdout=subprocess.PIPE, stderr=terminal)
        os.close(terminal)
        shown = b""
        while select.select([master], [], [], 60)[0]:
            try:
                shown += os.read(master, 65536)
            except OSError:
                break
        out, _ = process.communicate(timeout=60)
        os.close(master)
        self.assertRegex(shown, rb"log.jsonl +\d+ % of [\d.]+ MiB \[#* *\]")
        self.assertTrue(shown.endswith(b"\r\x1b[K"), "nothing of it stays")
        self.assertNotIn(b"%", out)
        piped = subprocess.run([shop.vitrine, "log", "summary", log], cwd=shop.path, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
        self.assertEqual((piped.stdout, piped.stderr), (out, b""))


if __name__ == "__main__":
    main()
