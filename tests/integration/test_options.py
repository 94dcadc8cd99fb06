"""Each option of `run` does what the contract's table says, and nothing invalid starts the command."""

import hashlib
import json

from harness import *

MIB = 1 << 20


class Options(Case):
    def assertPrints(self, run, text, status=0):
        self.assertEqual((run.out.decode(), run.err.decode(), run.status), (text, "", status))

    # --- files

    def test_only_the_script_is_shown_of_its_folder(self):
        def check(shop, backend):
            script = shop.file("script.py", "import os\nprint(sorted(os.listdir('.')))\n"
                               "print(os.path.dirname(os.path.abspath(__file__)) == os.getcwd())\n"
                               "import neighbour")
            shop.file("neighbour.py", "print('imported')")
            run = shop.run([PYTHON, "script.py"], backend=backend)
            self.assertEqual((run.out, run.status), (b"['script.py']\nTrue\n", 1))
            self.assertIn(b"No module named 'neighbour'", run.err)
            shown = shop.run([PYTHON, script], ["--ro", "."], backend=backend)
            self.assertIn(b"imported\n", shown.out)
        self.everywhere(check)

    def test_file_arguments_are_not_shown(self):
        def check(shop, backend):
            script = shop.file("script.py", "import sys; print(open(sys.argv[1]).read())")
            data = shop.file("data", "content")
            run = shop.run([PYTHON, script, data], backend=backend)
            self.assertIn(b"FileNotFoundError", run.err)
            shown = shop.run([PYTHON, script, data], ["--ro", data], backend=backend)
            self.assertPrints(shown, "content\n")
        self.everywhere(check)

    def test_ro_folder_file_and_other_place(self):
        code = """
import os, sys
for path in sys.argv[1:]:
    try: print(path, os.listdir(path) if os.path.isdir(path) else open(path).read())
    except OSError as e: print(path, e.errno)
    try: open(path, "a"); print("written")
    except OSError as e: print(e.errno)
"""
        def check(shop, backend):
            folder = os.path.join(shop.path, "folder")
            os.mkdir(folder)
            inner = shop.file("folder/inner", "inside")
            single = shop.file("single", "alone")
            run = shop.run([PYTHON, "-c", code, folder, single, "/data/inner", "/data", "/alone"],
                           ["--ro", folder, "--ro", "single", "--ro", "folder:/data",
                            f"--ro={single}:/alone"], backend=backend)
            self.assertPrints(run, f"{folder} ['inner']\n21\n{single} alone\n30\n"
                                   "/data/inner inside\n30\n/data ['inner']\n21\n/alone alone\n30\n")
            with open(inner) as f:
                self.assertEqual(f.read(), "inside")
        self.everywhere(check)

    def test_ro_at_another_place_only(self):
        def check(shop, backend):
            secret = shop.file("single", "alone")
            run = shop.run([PYTHON, "-c", f"print(open('/alone').read()); open({secret!r})"],
                           ["--ro", f"{secret}:/alone"], backend=backend)
            self.assertEqual((run.out, run.status), (b"alone\n", 1))
            self.assertIn(b"FileNotFoundError", run.err)
        self.everywhere(check)

    def test_links_do_not_lead_out_of_a_shown_folder(self):
        def check(shop, backend):
            os.mkdir(shop.path + "/folder")
            secret = shop.file("secret", "hidden")
            shop.file("folder/near", "near")
            for name, target in (("absolute", secret), ("relative", "../secret"),
                                 ("inside", "near"), ("again", "inside"), ("loop", "loop"),
                                 ("passwd", "/etc/passwd"), ("shadow", "/etc/shadow")):
                os.symlink(target, f"{shop.path}/folder/{name}")
            code = """
import os
for name in ("near", "inside", "again", "absolute", "relative", "shadow", "loop"):
    try: print(name, open("folder/" + name).read())
    except OSError as e: print(name, e.errno)
print(open("folder/passwd").read().count(":x:"), os.readlink("folder/relative"))
"""
            run = shop.python(code, ["--ro", "folder"], backend=backend)
            self.assertPrints(run, "near near\ninside near\nagain near\nabsolute 2\nrelative 2\n"
                                   "shadow 2\nloop 40\n1 ../secret\n")
            # With the target shown, the same links lead there.
            shown = shop.python("print(open('folder/relative').read(), open('folder/absolute').read())",
                                ["--ro", "folder", "--ro", "secret"], backend=backend)
            self.assertPrints(shown, "hidden hidden\n")
        self.everywhere(check)

    def test_special_files_of_a_shown_folder_do_not_block(self):
        def check(shop, backend):
            import socket
            os.mkdir(shop.path + "/folder")
            os.mkfifo(shop.path + "/folder/fifo", 0o666)
            with socket.socket(socket.AF_UNIX) as s:
                s.bind(shop.path + "/folder/socket")
            os.chmod(shop.path + "/folder/fifo", 0o666)
            code = """
import os
for name in ("fifo", "socket"):
    print(os.stat("folder/" + name).st_mode >> 12)
    for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
        try: print(os.open("folder/" + name, flags))
        except OSError as e: print("refused")
"""
            run = shop.python(code, ["--ro", "folder", "--wall", "10s"], backend=backend)
            self.assertPrints(run, "1\nrefused\nrefused\nrefused\n12\nrefused\nrefused\nrefused\n")
        self.everywhere(check)

    def test_hide(self):
        code = """
import os, sys
for path in sys.argv[1:]:
    try: os.stat(path); print("there")
    except OSError as e: print(e.errno)
    print(os.path.basename(path) in os.listdir(os.path.dirname(path)))
"""
        def check(shop, backend):
            os.mkdir(shop.path + "/folder")
            shop.file("folder/a", "a")
            shop.file("folder/b", "b")
            run = shop.run([PYTHON, "-c", code, shop.path + "/folder/a", shop.path + "/folder/b",
                            "/usr/share/zoneinfo"],
                           ["--ro", "folder", "--hide", shop.path + "/folder/b", "--hide",
                            "/usr/share/zoneinfo"], backend=backend)
            self.assertPrints(run, "there\nTrue\n2\nFalse\n2\nFalse\n")
            # Through a link, and as a working directory, it is hidden as well.
            os.symlink("b", shop.path + "/folder/link")
            linked = shop.python("open('folder/link')",
                                 ["--ro", "folder", "--hide", shop.path + "/folder/b"],
                                 backend=backend)
            self.assertIn(b"FileNotFoundError", linked.err)
        self.everywhere(check)

    def test_scratch_holds_its_quota(self):
        code = """
import errno, os, shutil
def fill(folder):
    written = 0
    try:
        with open(folder + "/big", "wb") as f:
            while True: written += os.write(f.fileno(), bytes(65536))
    except OSError as e: print(errno.errorcode[e.errno], written)
    os.unlink(folder + "/big")
    print(open(folder + "/again", "wb").write(bytes(500_000)))
fill("/tmp")
print(shutil.disk_usage("/tmp").total)
"""
        def check(shop, backend):
            run = shop.python(code, ["--scratch", "/tmp=1M"], backend=backend)
            self.assertPrints(run, f"ENOSPC {MIB}\n500000\n{MIB}\n")
            self.assertEqual(run.report["limits_hit"], ["scratch"])
            self.assertEqual(run.report["limits"]["scratch_bytes"], MIB)
        self.everywhere(check)

    # The kernel holds the quota by a limit that follows what is used, a look later.
    def test_room_that_was_made_can_be_used_at_once(self):
        code = """
import errno, os, time
def fill():
    fd = os.open("/tmp/big", os.O_WRONLY | os.O_CREAT)
    try:
        while True: os.write(fd, bytes(65536))
    except OSError as e: print(errno.errorcode[e.errno])
    time.sleep(0.4)
    return fd
def use(fd):
    print(os.pwrite(fd, bytes(900_000), 0))
big = fill()
os.ftruncate(big, 0)
use(big)
os.close(big)
os.close(fill())
os.unlink("/tmp/big")
use(os.open("/tmp/again", os.O_WRONLY | os.O_CREAT))
"""
        def check(shop, backend):
            run = shop.python(code, ["--scratch", "/tmp=1M"], backend=backend)
            self.assertPrints(run, "ENOSPC\n900000\n" * 2)
        self.everywhere(check)

    def test_a_signal_of_the_programs_own_changes_no_register(self):
        def check(shop, backend):
            run = shop.run([shop.guest("registers")], ["--scratch", "/tmp=2M"], backend=backend)
            self.assertPrints(run, "changed 0, arrived\n")
        self.everywhere(check)

    def test_a_profile_that_kills_for_close_range_does(self):
        def check(shop, backend):
            profile = shop.file("my.json", '{"syscalls": {"kill": ["close_range"]}}')
            code = "import ctypes; print(ctypes.CDLL(None).syscall(436, 100, 0xffffffff, 0))"
            run = shop.python(code, backend=backend)
            self.assertPrints(run, "0\n")
            run = shop.python(code, ["-p", "python", "-p", profile], backend=backend)
            self.assertEqual((run.status, run.verdict, run.out), (120, "violation", b""))
            self.assertEqual(len(run.denials("close_range")), 1)
        self.everywhere(check)

    def test_scratch_peak_of_a_short_run(self):
        def check(shop, backend):
            run = shop.python("open('/tmp/x', 'wb').write(bytes(3 << 20))", backend=backend)
            peak = run.report["usage"]["scratch_peak_bytes"]
            self.assertTrue(3 * MIB <= peak <= 4 * MIB, peak)
        self.everywhere(check)

    def test_two_scratch_folders_work(self):
        code = "for p in ('/work/a', '/tmp/b'): print(open(p, 'wb').write(bytes(900_000)))"

        def check(shop, backend):
            run = shop.python(code, ["--scratch", "/work=1M", "--scratch", "/tmp=10M"],
                              backend=backend)
            self.assertPrints(run, "900000\n900000\n")
            self.assertEqual(run.report["limits"]["scratch_bytes"], 11 * MIB)
        self.everywhere(check)

    def test_a_write_into_room_that_came_free_is_a_whole_one(self):
        code = """
import os, time
for free in (os.unlink, lambda name: os.truncate(name, 0)):
    for name in "abcd":
        with open("/tmp/" + name, "wb", buffering=0) as f: f.write(bytes(250_000))
    time.sleep(0.3)  # until it has been seen what is left
    for name in "abcd": free("/tmp/" + name)
    with open("/tmp/other", "wb", buffering=0) as f: print(f.write(bytes(1_000_000)))
    os.unlink("/tmp/other")
"""
        def check(shop, backend):
            run = shop.python(code, ["--scratch", "/tmp=1M"], backend=backend)
            self.assertPrints(run, "1000000\n" * 2)
        self.everywhere(check, users=False)

    # Open: what a volume holds is measured at intervals that depend on the memory budget alone, and
    # Found as 150,000 bytes too many: a limit that was a little too high was left as it was.
    def test_quota_holds_for_files_that_took_turns(self):
        code = """
import os, time
first, second = (os.open("/tmp/" + name, os.O_WRONLY | os.O_CREAT) for name in "ab")
os.write(first, bytes(2 << 20))
os.write(second, bytes((2 << 20) - 150_000))
time.sleep(0.3)
os.write(second, bytes(3 << 20))
time.sleep(0.3)
try:
    while True: os.write(second, bytes(1 << 20))
except OSError: print(sum(os.fstat(fd).st_size for fd in (first, second)))
"""
        def check(shop, backend):
            run = shop.python(code, ["--scratch", "/tmp=8M"], backend=backend)
            self.assertLessEqual(int(run.out), 8 * MIB)
            self.assertGreater(int(run.out), 8 * MIB - 64 * 1024)
        self.everywhere(check, users=False)

    # RLIMIT_FSIZE bounds each file, not their sum: in between every new file may have the whole quota.
    @unittest.expectedFailure
    def test_quota_holds_for_many_files_together(self):
        code = """
written = 0
try:
    for n in range(60):
        with open(f"/tmp/{n}", "wb", buffering=0) as f: written += f.write(bytes(1 << 20))
except OSError: pass
print(written)
"""
        def check(shop, backend):
            run = shop.python(code, ["--scratch", "/tmp=2M"], backend=backend)
            self.assertLessEqual(int(run.out), 2 * MIB)
        self.everywhere(check, users=False)

    # Open: the kernel enforces quotas by RLIMIT_FSIZE, one number for the process, which is that of
    # the folder with the most room: a file in the smaller one may grow to the larger one's quota.
    @unittest.expectedFailure
    def test_each_scratch_folder_holds_its_own_quota(self):
        code = """
written = 0
try:
    with open("/work/big", "wb", buffering=0) as f:
        while True: written += f.write(bytes(65536))
except OSError: print(written)
"""
        def check(shop, backend):
            run = shop.python(code, ["--scratch", "/work=1M", "--scratch", "/tmp=10M"],
                              backend=backend)
            self.assertLessEqual(int(run.out), MIB)
        self.everywhere(check, users=False)

    def test_many_small_files_meet_the_quota_too(self):
        code = """
import errno
n = 0
try:
    while True: open(f"/tmp/{n}", "w").close(); n += 1
except OSError as e: print(errno.errorcode[e.errno])
"""
        def check(shop, backend):
            run = shop.python(code, ["--scratch", "/tmp=1M", "--wall", "20s"], backend=backend)
            self.assertPrints(run, "ENOSPC\n")
            self.assertEqual(run.report["limits_hit"], ["scratch"])
        self.everywhere(check)

    def test_profile_without_scratch(self):
        def check(shop, backend):
            run = shop.python("open('/tmp/x', 'w')", ["-p", "strict"], backend=backend)
            self.assertEqual(run.status, 1)
            self.assertEqual(run.report["profile"], ["strict"])
            self.assertEqual(run.report["limits"]["scratch_bytes"], 0)
        self.everywhere(check)

    def test_runs_share_no_scratch(self):
        def check(shop, backend):
            first = shop.python("import os; open('/tmp/x', 'w'); print(os.listdir('/tmp'))",
                                backend=backend)
            again = shop.python("import os; print(os.listdir('/tmp'))", backend=backend)
            self.assertEqual((first.out, again.out), (b"['x']\n", b"[]\n"))
        self.everywhere(check)

    def test_collect(self):
        code = """
import os
os.makedirs("/tmp/out/deep"); open("/tmp/out/deep/file", "wb").write(b"\\0binary\\xff" * 1000)
open("/tmp/out/plain", "w").write("text"); os.chmod("/tmp/out/plain", 0o755)
os.symlink("/etc/passwd", "/tmp/out/link"); os.symlink("deep", "/tmp/out/folder-link")
open("/tmp/single", "w").write("one file")
"""
        def check(shop, backend):
            run = shop.python(code, ["--collect", f"/tmp/out:{shop.path}/got",
                                     "--collect", "/tmp/single:single"], backend=backend)
            self.assertEqual((run.status, run.err), (0, b""))
            with open(shop.path + "/got/deep/file", "rb") as f:
                self.assertEqual(f.read(), b"\0binary\xff" * 1000)
            with open(shop.path + "/single") as f:
                self.assertEqual(f.read(), "one file")
            self.assertEqual(sorted(os.listdir(shop.path + "/got")), ["deep", "plain"])
        self.everywhere(check)

    def test_collect_follows_no_link_on_the_host(self):
        def check(shop, backend):
            victim = shop.file("victim", "precious", 0o666)
            os.symlink(victim, shop.path + "/out")
            run = shop.python("open('/tmp/x', 'w').write('overwritten')",
                              ["--collect", f"/tmp/x:{shop.path}/out"], backend=backend)
            with open(victim) as f:
                self.assertEqual(f.read(), "precious")
            self.assertTrue(run.report["reason"] or not os.path.islink(shop.path + "/out"))
        self.everywhere(check)

    def test_what_cannot_be_collected_is_told(self):
        def check(shop, backend):
            code = "for n in 'ac': open('/tmp/' + n, 'w').write(n)"
            options = [word for n in "abcd" for word in ("--collect", f"/tmp/{n}:{shop.path}/{n}")]
            run = shop.python(code, options, backend=backend)
            self.assertEqual((run.status, run.verdict), (0, "exited"))
            self.assertRegex(run.report["reason"], "^--collect /tmp/b: .*No such file")
            self.assertEqual([os.path.exists(f"{shop.path}/{n}") for n in "abcd"],
                             [True, False, True, False])
        self.everywhere(check)

    def test_nothing_is_collected_before_the_end(self):
        def check(shop, backend):
            out = shop.path + "/out"
            process = shop.start([PYTHON, "-c", "open('/tmp/x', 'w').write('early')\n"
                                  "print('written', flush=True)\ninput()"],
                                 ["--collect", f"/tmp/x:{out}"], backend, stdin=subprocess.PIPE)
            self.assertEqual(process.stdout.readline(), b"written\n")
            self.assertFalse(os.path.exists(out))
            process.communicate(b"\n")
            with open(out) as f:
                self.assertEqual(f.read(), "early")
        self.everywhere(check)

    def test_cwd(self):
        def check(shop, backend):
            for folder in ("/", "/tmp", "/tmp/new", "/some/where", "/usr/lib"):
                run = shop.python("import os; print(os.getcwd()); os.listdir('.')",
                                  ["--cwd", folder], backend=backend)
                self.assertPrints(run, folder + "\n")
            own = shop.python("import os; print(os.getcwd())", backend=backend)
            self.assertPrints(own, shop.path + "\n")
        self.everywhere(check)

    def test_script_in_tmp(self):
        # Where /tmp is scratch, the script of the command line is there all the same.
        def check(shop, backend):
            import shutil
            import tempfile
            folder = tempfile.mkdtemp(dir="/tmp")
            try:
                os.chmod(folder, 0o755)
                with open(folder + "/script.py", "w") as f:
                    f.write("print(open(__file__ + '.new', 'w+').write('ok'))")
                run = shop.run([PYTHON, folder + "/script.py"], backend=backend)
                self.assertPrints(run, "2\n")
                self.assertEqual(os.listdir(folder), ["script.py"])
            finally:
                shutil.rmtree(folder)
        self.everywhere(check)

    # --- environment and descriptors

    def test_env(self):
        def check(shop, backend):
            run = shop.python("import os; print([os.environ.get(n) for n in 'ABCD'])",
                              ["--env", "A=1=2", "--env", "B", "--env=C="], backend=backend,
                              env={**os.environ, "B": "passed", "D": "leak"})
            self.assertPrints(run, "['1=2', 'passed', '', None]\n")
            unset = shop.python("import os; print('B' in os.environ)", ["--env", "B"],
                                backend=backend, env={"PATH": "/usr/bin:/bin"})
            self.assertPrints(unset, "False\n")
            self.assertNotIn("passed", json.dumps(run.report) + json.dumps(run.log))
        self.everywhere(check)

    def test_pass_fd(self):
        def check(shop, backend):
            read, write = os.pipe()
            secret = os.open(shop.file("secret", "granted"), os.O_RDONLY)
            code = ("import os, sys\nr, w, f, other = map(int, sys.argv[1:])\n"
                    "os.write(w, b'through'); print(os.read(f, 9))\n"
                    "try: os.fstat(other)\nexcept OSError as e: print(e.errno)")
            other = os.dup(secret)
            run = shop.run([PYTHON, "-c", code, str(read), str(write), str(secret), str(other)],
                           ["--pass-fd", str(write), f"--pass-fd={secret}"], backend=backend,
                           pass_fds=(read, write, secret, other))
            self.assertPrints(run, "b'granted'\n9\n")
            self.assertEqual(os.read(read, 7), b"through")
            for fd in (read, write, secret, other):
                os.close(fd)
        self.everywhere(check)

    def test_a_passed_descriptor_does_not_tell_the_hosts_path(self):
        def check(shop, backend):
            folder = os.open(shop.path, os.O_RDONLY)
            file = os.open(shop.file("secret"), os.O_RDONLY)
            code = ("import os, sys\n"
                    "for fd in sys.argv[1:]: print(os.readlink('/proc/self/fd/' + fd))")
            run = shop.run([PYTHON, "-c", code, str(folder), str(file)],
                           ["--pass-fd", str(folder), "--pass-fd", str(file)], backend=backend,
                           pass_fds=(folder, file))
            self.assertPrints(run, "/(unreachable)\n" * 2)
            os.close(folder)
            os.close(file)
        self.everywhere(check, users=False)

    def test_records_to_descriptors(self):
        def check(shop, backend):
            reports, audits = os.pipe(), os.pipe()
            process = subprocess.Popen(
                shop.command([PYTHON, "-c", "print('out')"],
                             ["--report-fd", str(reports[1]), "--audit-fd", str(audits[1])], backend),
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=shop.path,
                pass_fds=(reports[1], audits[1]))
            os.close(reports[1])
            os.close(audits[1])
            with os.fdopen(audits[0], "rb") as audit, os.fdopen(reports[0], "rb") as report:
                lines = [json.loads(line) for line in audit]
                result = json.load(report)
            self.assertEqual(process.communicate(), (b"out\n", b""))
            self.assertEqual((result["verdict"], lines[-1]["report"]), ("exited", result))
        self.everywhere(check)

    # --- limits and policy

    def test_cpus(self):
        code = ("import os; print(os.cpu_count(), len(os.sched_getaffinity(0)))\n"
                "os.sched_setaffinity(0, range(1024)); print(len(os.sched_getaffinity(0)))")

        def check(shop, backend):
            run = shop.python(code, ["--cpus", "1"], backend=backend)
            self.assertPrints(run, "1 1\n1\n")
            count = len(os.sched_getaffinity(0))
            many = shop.python(code, ["--cpus", "1000"], backend=backend)
            self.assertPrints(many, f"{count} {count}\n{count}\n")
        self.everywhere(check)

    def test_limits_are_reported(self):
        def check(shop, backend):
            run = shop.python("pass", ["--wall", "1m", "--cpu", "1500ms", "--memory", "1G",
                                       "--output", "1K", "--processes", "3", "--threads", "5"],
                              backend=backend)
            self.assertEqual(run.report["limits"], {
                "wall_s": 60.0, "cpu_s": 1.5, "memory_bytes": 1 << 30, "output_bytes": 1024,
                "processes": 3, "threads": 5, "scratch_bytes": 64 * MIB})
            default = shop.python("pass", backend=backend)
            self.assertEqual(default.report["limits"], {
                "wall_s": 60.0, "cpu_s": 30.0, "memory_bytes": 512 * MIB,
                "output_bytes": 64 * MIB, "processes": 1, "threads": 64, "scratch_bytes": 64 * MIB})
            none = shop.python("pass", ["--wall", "none", "--cpu=none", "--memory=none"],
                               backend=backend)
            self.assertEqual([none.report["limits"][k] for k in ("wall_s", "cpu_s", "memory_bytes")],
                             [None] * 3)
        self.everywhere(check, users=False)

    def test_on_deny_kill_ends_at_the_first_denial(self):
        def check(shop, backend):
            for code, call in (("open('/etc/shadow')", "openat"),
                               ("import socket; socket.socket()", "socket"),
                               ("import os; os.kill(1, 0)", "kill"),
                               ("open('new', 'w')", "openat")):
                run = shop.python(f"print('before', flush=True)\n{code}\nprint('after')",
                                  ["--on-deny", "kill"], backend=backend)
                self.assertEqual((run.status, run.verdict, run.out), (120, "violation", b"before\n"))
                self.assertEqual(run.report["first_denial"]["syscall"], call)
                self.assertEqual(run.report["syscalls"]["denied"], 1)
            # What exists nowhere, and what a kernel may lack, is no violation; nor is a budget.
            run = shop.python("import os, threading\n"
                              "try: open('/nowhere/at/all')\nexcept OSError: pass\n"
                              "try: bytearray(10**12)\nexcept MemoryError: print('ok')\n"
                              "t = threading.Thread(target=print, args=(1,)); t.start(); t.join()",
                              ["--on-deny=kill"], backend=backend)
            self.assertPrints(run, "ok\n1\n")
        self.everywhere(check)

    def test_audit_levels(self):
        code = "import os; os.stat('/')\n" \
               "try: open('/etc/shadow')\nexcept OSError: pass\nos.getppid()"

        def check(shop, backend):
            denied = shop.python(code, ["--audit-level", "denied"], backend=backend)
            calls = [r for r in denied.log if r["type"] == "syscall"]
            self.assertEqual([(r["syscall"], r["decision"]) for r in calls], [("openat", "deny")])
            # The report counts all the same.
            self.assertGreater(denied.report["syscalls"]["mediated"], 100)
            mediated = shop.python(code, ["--audit-level", "mediated"], backend=backend)
            names = {r["syscall"] for r in mediated.log if r["type"] == "syscall"}
            self.assertIn("openat", names)
            self.assertNotIn("getppid", names)
            self.assertReportAgreesWithLog(mediated)
        self.everywhere(check)

    def test_audit_level_all(self):
        def check(shop, backend):
            run = shop.python("import os; print(os.getppid() > 0)", ["--audit-level", "all"],
                              backend=backend)
            self.assertEqual((run.status, run.out), (0, b"True\n"))
            calls = [r for r in run.log if r["type"] == "syscall"]
            self.assertEqual(run.report["syscalls"]["total"], len(calls))
            self.assertTrue({"read", "write", "mmap", "getppid", "close", "exit_group"}
                            <= {r["syscall"] for r in calls})
        self.everywhere(check, backends=[b for b in BACKENDS if b == "syscall"])

    def test_log_is_complete_and_verified(self):
        def check(shop, backend):
            run = shop.python("import os\nfor i in range(300): os.stat('/')", backend=backend)
            with open(shop.path + "/audit.jsonl", "rb") as f:
                raw = f.read()
            body, last = raw.rstrip(b"\n").rsplit(b"\n", 1)
            end = json.loads(last)
            self.assertEqual(end["sha256"], hashlib.sha256(body + b"\n").hexdigest())
            self.assertEqual((end["lines"], end["events_left_out"]), (len(run.log) - 1, 0))
            sequence = [r["seq"] for r in run.log if "seq" in r]
            self.assertEqual(sequence, list(range(1, len(sequence) + 1)))
            times = [r["t_us"] for r in run.log if "t_us" in r]
            self.assertEqual(times, sorted(times))
            verified = subprocess.run([shop.vitrine, "log", "verify", shop.path + "/audit.jsonl"],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertEqual(verified.returncode, 0, verified.stderr)
            with open(shop.path + "/audit.jsonl", "wb") as f:
                f.write(raw.replace(b'"/"', b'"."', 1))
            forged = subprocess.run([shop.vitrine, "log", "verify", shop.path + "/audit.jsonl"],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertNotEqual(forged.returncode, 0)
        self.everywhere(check)

    def test_audit_limit(self):
        def check(shop, backend):
            run = shop.python("import os\nfor i in range(2000): os.stat('/')",
                              ["--audit-limit", "20K"], backend=backend)
            self.assertLess(os.path.getsize(shop.path + "/audit.jsonl"), 30_000)
            self.assertGreater(run.log[-1]["events_left_out"], 1500)
            self.assertEqual((run.status, run.log[-1]["type"]), (0, "end"))
        self.everywhere(check)

    def test_hostile_names_are_one_valid_line_each(self):
        names = [b"new\nline", b'q"uote', b"\xff\xfe", b"esc\x1b[2J", "\u2028".encode(), b"back\\slash",
                 b'{"type":"end"}', b"a" * 4000]

        def check(shop, backend):
            code = f"import os\nfor n in {names!r}:\n    try: os.stat(b'/etc/shadow/' + n)\n    except OSError: pass"
            run = shop.python(code, backend=backend)   # read_lines parses each
            self.assertEqual([r["type"] for r in run.log].count("end"), 1)
            shown = subprocess.run([shop.vitrine, "log", "show", shop.path + "/audit.jsonl"],
                                   stdout=subprocess.PIPE)
            self.assertNotIn(b"\x1b", shown.stdout)
            self.assertEqual(shown.returncode, 0)
        self.everywhere(check)

    def test_profiles_extend_each_other(self):
        def check(shop, backend):
            data = shop.file("data", "content")
            profile = shop.file("extra.json", json.dumps(
                {"name": "extra", "files": [{"show": data, "at": "/data"}],
                 "limits": {"threads": 3}, "environment": {"EXTRA": "yes"}}))
            run = shop.python("import os; print(open('/data').read(), os.environ['EXTRA'])",
                              ["-p", "python", "-p", profile], backend=backend)
            self.assertPrints(run, "content yes\n")
            self.assertEqual(run.report["limits"]["threads"], 3)
            self.assertEqual(run.report["profile"][0], "python")
        self.everywhere(check, users=False)

    def test_default_profile_is_reported(self):
        def check(shop, backend):
            self.assertEqual(shop.python("pass", backend=backend).report["profile"], ["python"])
        self.everywhere(check, users=False)

    # --- messages

    def test_quiet_and_verbose(self):
        def check(shop, backend):
            def err(options, code="pass"):
                return subprocess.run(shop.command([PYTHON, "-c", code], options, backend),
                                      cwd=shop.path, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, timeout=30).stderr
            self.assertEqual(err([]), b"")
            self.assertEqual(err(["-q", "--wall", "100ms"], "import time; time.sleep(9)"), b"")
            self.assertEqual(err(["--wall", "100ms"], "import time; time.sleep(9)").count(b"\n"), 1)
            verbose = err(["-v"])
            self.assertGreater(verbose.count(b"\n"), 1)
            self.assertTrue(all(line.startswith(b"vitrine: ") for line in verbose.splitlines()))
            self.assertTrue(err(["-q", "--wall", "x"]).startswith(b"vitrine: "))  # errors stay
        self.everywhere(check)

    # --- the command line

    def test_options_after_the_command_are_its_own(self):
        code = "import sys; print(sys.argv[1:])"

        def check(shop, backend):
            words = ["--wall", "1s", "--", "-v", "--report=x", "--help"]
            for separator in ([], ["--"]):
                for run_word in ([], ["run"]):
                    done = subprocess.run(
                        shop.as_user([shop.vitrine, *run_word, "--backend", backend, *separator,
                                      PYTHON, "-c", code, *words]), cwd=shop.path,
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
                    self.assertEqual((done.stdout, done.stderr), (f"{words}\n".encode(), b""))
            self.assertFalse(os.path.exists(shop.path + "/x"))
        self.everywhere(check)

    def test_arguments_arrive_unchanged(self):
        words = ["", " ", "a b", "*", "$HOME", "\\n", "é", "'", '"', "\n", "--", "-", "a" * 100_000]

        def check(shop, backend):
            code = "import sys; print(ascii(sys.argv[1:]))"
            self.assertSameAsNative(shop, backend, [PYTHON, "-c", code, *words])
            bare = b"\xff\xfe".decode("utf-8", "surrogateescape")
            self.assertSameAsNative(shop, backend, [PYTHON, "-c", code, bare])
        self.everywhere(check)

    def test_command_named_like_a_subcommand(self):
        def check(shop, backend):
            shop.file("log", "#!/usr/bin/python3\nprint('the program')\n", 0o755)
            done = subprocess.run(shop.as_user([shop.vitrine, "--backend", backend, "--", "./log"]),
                                  cwd=shop.path, stdout=subprocess.PIPE, timeout=30)
            self.assertEqual(done.stdout, b"the program\n")
        self.everywhere(check, users=False)

    INVALID = [
        ["--wall", "1x"], ["--wall", ""], ["--wall", "-1s"], ["--wall", "1 s"], ["--wall=1e9h"],
        ["--wall", "99999999999999999999s"], ["--cpu", "18446744073709551616ms"], ["--cpu", "ten"],
        ["--memory", "1e9G"], ["--memory", "18446744073709551615G"], ["--memory", "-1"],
        ["--memory", "1Q"], ["--memory", " 1G"], ["--output", ""], ["--output", "0x10"],
        ["--processes", "0"], ["--processes", "-1"], ["--processes", "1.5"], ["--threads", "0"],
        ["--threads", "none"], ["--cpus", "0"], ["--cpus", "x"], ["--on-deny", "ignore"],
        ["--audit-level", "some"], ["--audit-limit", "much"], ["--backend", "magic"],
        ["--scratch", "relative"], ["--scratch", "/tmp=1e3"], ["--scratch", "/a/../b"],
        ["--scratch", "/tmp="], ["--hide", "relative"], ["--hide", "/"], ["--cwd", "relative"],
        ["--cwd", ""], ["--env", "=x"], ["--env", ""], ["--ro", ""], ["--collect", "/tmp"],
        ["--collect", "tmp:x"], ["--pass-fd", "1"], ["--pass-fd", "x"], ["--pass-fd", "-1"],
        ["--report-fd", "77"], ["--report-fd", "4294967296"], ["--audit-fd", "-1"], ["--report", ""],
        ["--profile", ""], ["--no-such-option"], ["-Z"], ["--wal", "1s"],
        ["--report", "/tmp/a", "--report-fd", "1"],
        # Words that the parser's own messages are made of.
        ["-q%canonical_option%"], ["--no%original_token%"], ["--%option%=%value%"],
        ["--wall", "%value%"], ["--processes=%value%"], ["--audit-level", "%prefix%"],
    ]

    def test_invalid_values(self):
        # None of these may start anything, so neither backend nor identity matters.
        shop = Workshop()
        self.addCleanup(shop.close)
        for options in self.INVALID:
            with self.subTest(options=options):
                done = subprocess.run(
                    [shop.vitrine, *options, "--", PYTHON, "-c", "print('started')"], cwd=shop.path,
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    timeout=30)
                self.assertEqual((done.returncode, done.stdout), (125, b""), done.stderr)
                self.assertEqual(done.stderr.count(b"\n"), 1, done.stderr)
                name = options[-2 if len(options) > 2 else 0].split("=")[0]
                self.assertIn(name.encode(), done.stderr)
        for words in ([], ["run"], ["--"], ["--wall", "1s"], ["--wall"]):
            done = subprocess.run([shop.vitrine, *words], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
            self.assertEqual((done.returncode, done.stdout, done.stderr.count(b"\n")), (125, b"", 1),
                             (words, done.stderr))

    def test_help_and_version(self):
        vitrine = Workshop()
        self.addCleanup(vitrine.close)
        done = subprocess.run([vitrine.vitrine, "--version"], stdout=subprocess.PIPE)
        self.assertEqual((done.returncode, done.stdout.count(b"\n")), (0, 1))
        self.assertRegex(done.stdout, rb"^vitrine \d+\.\d+")
        done = subprocess.run([vitrine.vitrine, "--help"], stdout=subprocess.PIPE)
        self.assertEqual(done.returncode, 0)
        for option in ("profile", "backend", "ro", "scratch", "collect", "hide", "cwd", "env", "wall",
                       "cpu", "memory", "output", "processes", "threads", "cpus", "on-deny",
                       "pass-fd", "report", "report-fd", "audit", "audit-fd", "audit-level",
                       "audit-limit", "quiet", "verbose"):
            self.assertIn(f"--{option}".encode(), done.stdout)


if __name__ == "__main__":
    main()
