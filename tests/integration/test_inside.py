"""What a program inside sees (contract, section 6)."""

import json

from harness import *


def seen(run):
    return json.loads(run.out)


class Inside(Case):
    def python(self, shop, backend, code, options=(), **kwargs):
        run = shop.python("import json, os, sys\nresult = {}\n" + code + "\nprint(json.dumps(result))",
                          options, backend=backend, **kwargs)
        self.assertEqual((run.status, run.err), (0, b""))
        return seen(run)

    def test_descriptors_at_the_start(self):
        # The folder's own is the fourth. Open ones of the caller must not be there.
        def check(shop, backend):
            leaked = [os.open("/etc/hostname", os.O_RDONLY) for _ in range(5)]
            for fd in leaked:
                os.set_inheritable(fd, True)
            try:
                found = self.python(shop, backend, """
import fcntl, resource
result["proc"] = sorted(map(int, os.listdir("/proc/self/fd")))
result["open"] = []
for n in range(resource.getrlimit(resource.RLIMIT_NOFILE)[0]):
    try: fcntl.fcntl(n, fcntl.F_GETFD); result["open"].append(n)
    except OSError: pass
""", close_fds=False)
            finally:
                for fd in leaked:
                    os.close(fd)
            self.assertEqual(found, {"proc": [0, 1, 2, 3], "open": [0, 1, 2]})
        self.everywhere(check)

    # The channel through which descriptors are handed over has the number RLIMIT_NOFILE.
    def test_descriptors_beyond_the_limit(self):
        def check(shop, backend):
            found = self.python(shop, backend, """
import fcntl
result["open"] = []
for n in range(4096):
    try: fcntl.fcntl(n, fcntl.F_GETFD); result["open"].append(n)
    except OSError: pass
result["named"] = []
def answered(name, call):
    try: call(); result["named"].append(name)
    except OSError as error:
        if error.errno != 9: result["named"].append(name + os.strerror(error.errno))
answered("fstat", lambda: os.fstat(1024))
answered("dup", lambda: os.dup(1024))
answered("dup2", lambda: os.dup2(1024, 5))
answered("read", lambda: os.read(1024, 1))
answered("write", lambda: os.write(1024, b"x"))
answered("close", lambda: os.close(1024))
answered("fchdir", lambda: os.fchdir(1024))
answered("dirfd", lambda: os.stat("x", dir_fd=1024))
answered("list", lambda: os.listdir(1024))
answered("sendfile", lambda: os.sendfile(1, 1024, 0, 1))
answered("splice", lambda: os.splice(0, 1024, 1))
""")
            self.assertEqual(found, {"open": [0, 1, 2], "named": []})
        self.everywhere(check, users=False)

    # Found as a read that never ended: the channel had taken a passed descriptor's number.
    def test_passed_descriptors_with_high_numbers(self):
        import resource
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))

        def check(shop, backend):
            file = os.open(shop.file("passed", "text"), os.O_RDONLY)
            for number in (1024, 1500):
                os.dup2(file, number)
            try:
                run = shop.run([PYTHON, "-c", "import os; print(os.pread(1024, 9, 0), "
                                "os.pread(1500, 9, 0), os.open('/dev/null', os.O_PATH))"],
                               ["--pass-fd", "1024", "--pass-fd", "1500", "--wall", "5s"],
                               backend=backend, pass_fds=(1024, 1500))
                self.assertEqual((run.status, run.out), (0, b"b'text' b'text' 3\n"))
            finally:
                for number in (file, 1024, 1500):
                    os.close(number)
        self.everywhere(check, users=False)

    # Who looks for it by memory gets it: sent to itself it has a number of its own.
    def test_the_channel_tells_nothing_of_the_supervisor(self):
        def check(shop, backend):
            run = shop.start([PYTHON, "-c", """
import array, os, socket, struct, sys, time
a, b = socket.socketpair()
socket.send_fds(a, [b"x"], [1024])
channel = socket.socket(fileno=socket.recv_fds(b, 1, 1)[1][0])
pid = struct.unpack("3i", channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
sent = "sent"
try: channel.send(b"to the supervisor")
except BrokenPipeError: sent = "refused"
print(pid, sent, flush=True)
time.sleep(20)
"""], ["-q", "--wall", "20s"], backend=backend)
            pid, sent = run.stdout.readline().split()
            alive = is_alive(int(pid))
            run.kill()
            run.communicate()
            self.assertNotEqual(int(pid), run.pid)
            self.assertEqual((alive, sent), (False, b"refused"))
        self.everywhere(check, users=False)

    def test_processes(self):
        def check(shop, backend):
            found = self.python(shop, backend, """
result["listed"] = [n for n in os.listdir("/proc") if n.isdigit()]
result["self"] = os.readlink("/proc/self")
result["pid"] = os.getpid()
result["host"] = [os.path.exists(f"/proc/{n}") for n in (1, 2, os.getppid())]
result["thread"] = os.listdir("/proc/self/task")
result["comm"] = open("/proc/self/comm").read()
result["cmdline"] = open("/proc/self/cmdline").read().split("\\0")[0]
result["exe"] = os.readlink("/proc/self/exe")
result["cwd"] = os.readlink("/proc/self/cwd")
result["root"] = os.readlink("/proc/self/root")
status = dict(l.split(":\\t", 1) for l in open("/proc/self/status").read().splitlines() if ":\\t" in l)
result["status"] = [status["Pid"], status["Name"], int(status["TracerPid"])]
result["maps"] = "libc" in open("/proc/self/maps").read()
result["environ"] = sorted(v.split("=")[0] for v in open("/proc/self/environ").read().split("\\0") if v)
""")
            pid = str(found["pid"])
            self.assertEqual((found["listed"], found["self"], found["thread"]), ([pid], pid, [pid]))
            self.assertEqual(found["host"], [False, False, False])
            # The kernel names it after the file that was opened: without links, and before
            # Linux 6.14 after the descriptor.
            self.assertIn(found["comm"].strip(), ("python3", os.path.basename(found["exe"])))
            self.assertEqual((found["cmdline"], found["root"]), (PYTHON, "/"))
            self.assertEqual(os.path.realpath(PYTHON), found["exe"])
            self.assertEqual(found["cwd"], shop.path)
            self.assertEqual(found["status"], [pid, found["comm"].strip(), 0])
            self.assertTrue(found["maps"])
            self.assertTrue(set(found["environ"]) <=
                            {"PATH", "LANG", "TERM", "TZ", "HOME"}
                            | {n for n in found["environ"] if n.startswith("LC_")})
        self.everywhere(check)

    def test_nothing_of_the_host_in_its_own_maps(self):
        # Mapped scratch and inline files have names of the guest's tree.
        def check(shop, backend):
            found = self.python(shop, backend, """
import mmap
with open("/tmp/mapped", "w+b") as f:
    f.write(b"x" * 4096); f.flush()
    held = mmap.mmap(f.fileno(), 4096)
result["maps"] = open("/proc/self/maps").read()
result["links"] = [os.readlink(f"/proc/self/fd/{os.open('/tmp/mapped', os.O_RDONLY)}")]
""")
            self.assertEqual(found["links"], ["/tmp/mapped"])
            self.assertNotIn("vitrine", found["maps"])
        self.everywhere(check)

    def test_identity(self):
        def check(shop, backend):
            found = self.python(shop, backend, """
import getpass, grp, platform, pwd, socket
result["users"] = [p.pw_name for p in pwd.getpwall()]
result["user"] = pwd.getpwuid(os.getuid()).pw_name
result["group"] = grp.getgrgid(os.getgid()).gr_name
result["uid"] = [os.getuid(), os.geteuid(), os.getgid(), os.getegid()]
result["groups"] = os.getgroups()
result["home"] = os.path.expanduser("~")
result["node"] = [platform.node(), socket.gethostname(), os.uname().nodename]
result["hostname"] = os.path.exists("/etc/hostname") and open("/etc/hostname").read()
result["sysname"] = os.uname().sysname
""")
            host = os.uname().nodename
            self.assertEqual((len(found["users"]), found["users"]), (1, [found["user"]]))
            self.assertNotIn(0, found["uid"])
            self.assertNotIn(0, found["groups"])
            self.assertNotIn(host, found["node"])
            self.assertEqual(len(set(found["node"])), 1)
            self.assertFalse(found["hostname"] and host in found["hostname"])
            self.assertEqual((found["home"], found["sysname"]), ("/tmp", "Linux"))
        self.everywhere(check)

    def test_no_privilege_is_left(self):
        def check(shop, backend):
            found = self.python(shop, backend, """
result.update(l.split(":\\t", 1) for l in open("/proc/self/status").read().splitlines()
              if l.startswith(("Cap", "NoNewPrivs")))
""")
            self.assertEqual(int(found["NoNewPrivs"]), 1)
            for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                self.assertEqual(int(found[name], 16), 0, name)
        self.everywhere(check)

    def test_environment_does_not_leak(self):
        def check(shop, backend):
            environment = {**os.environ, "AWS_SECRET_ACCESS_KEY": "leaked", "PYTHONPATH": "/leak",
                           "LD_PRELOAD": "", "LD_LIBRARY_PATH": "/leak", "HOME": "/root",
                           "TERM": "bad\x1bterm", "LANG": "../../etc/passwd", "TZ": "/etc/shadow",
                           "PATH": "/usr/sbin:" + os.environ["PATH"], "BASH_ENV": "/leak"}
            found = self.python(shop, backend, "result.update(os.environ)", env=environment)
            self.assertTrue(set(found) <= {"PATH", "LANG", "TERM", "HOME", "TZ", "LC_CTYPE"}, found)
            self.assertEqual(found["HOME"], "/tmp")
            self.assertNotIn("leak", str(found))
            self.assertNotIn("\x1b", found["TERM"])
            self.assertNotIn("passwd", found["LANG"])
            self.assertNotIn("shadow", found.get("TZ", ""))
        self.everywhere(check)

    def test_processors_agree(self):
        code = """
import multiprocessing
result["count"] = [os.cpu_count(), multiprocessing.cpu_count(), len(os.sched_getaffinity(0)),
                   os.sysconf("SC_NPROCESSORS_ONLN"),
                   open("/proc/cpuinfo").read().count("processor\\t"),
                   sum(l[:3] == "cpu" and l[3].isdigit() for l in open("/proc/stat"))]
"""
        def check(shop, backend):
            own = len(os.sched_getaffinity(0))
            for options, count in (([], own), (["--cpus", "1"], 1)):
                found = self.python(shop, backend, code, options)
                self.assertEqual(found["count"], [count] * 6, options)
        self.everywhere(check)

    def test_memory_agrees(self):
        code = """
info = dict(l.split(":") for l in open("/proc/meminfo").read().splitlines())
result["total"] = int(info["MemTotal"].split()[0]) * 1024
result["available"] = int(info["MemAvailable"].split()[0]) * 1024
result["free"] = int(info["MemFree"].split()[0]) * 1024
result["swap"] = int(info.get("SwapTotal", "0 kB").split()[0])
result["sysconf"] = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
"""
        def check(shop, backend):
            found = self.python(shop, backend, code, ["--memory", "200M"])
            self.assertEqual((found["total"], found["sysconf"], found["swap"]),
                             (200 << 20, 200 << 20, 0))
            self.assertTrue(100 << 20 < found["available"] <= 200 << 20)
            self.assertLessEqual(found["free"], found["available"])
        self.everywhere(check)

    def test_unknown_calls_do_not_exist(self):
        def check(shop, backend):
            numbers = [470 + n for n in range(40)] + [600, 999, 1023, 4096, 0x3fffffff]
            words = " , ".join(map(str, numbers)).split()
            run = shop.run([shop.guest("calls"), *words], backend=backend)
            self.assertEqual(set(run.out.split()), {b"-38"})
            self.assertReportAgreesWithLog(run)
        self.everywhere(check)

    def test_stat_by_every_way_agrees(self):
        code = """
import sys
def same(path):
    by_path, fd = os.stat(path), os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    answers = [by_path, os.fstat(fd), os.lstat(os.path.realpath(path)),
               os.stat(os.path.basename(path), dir_fd=os.open(os.path.dirname(path), os.O_RDONLY)),
               os.stat(f"/proc/self/fd/{fd}")]
    keys = ("st_mode", "st_ino", "st_dev", "st_size", "st_nlink", "st_uid", "st_gid", "st_mtime_ns",
            "st_rdev")
    return [k for k in keys if len({getattr(a, k) for a in answers}) != 1]
open("/tmp/file", "w").write("content"); os.mkdir("/tmp/folder")
for path in sys.argv[1:] + ["/tmp/file", "/tmp/folder", "/tmp", "/etc/passwd", "/etc", "/dev/null",
             "/dev/zero", "/dev/urandom", "/proc/self/status", "/proc/meminfo", "/usr/lib/python3",
             "/usr/bin/python3", "/usr/lib/python3.11/os.py", os.getcwd(), "/proc", "/sys", "/dev"]:
    if os.path.exists(path): result[path] = same(path)
"""
        def check(shop, backend):
            shown = shop.file("shown", "content")
            found = self.python(shop, backend, code, ["--ro", shown])
            self.assertGreater(len(found), 12)
            self.assertEqual({path: keys for path, keys in found.items() if keys}, {})
        self.everywhere(check)

    def test_everything_shown_can_be_walked(self):
        # What a folder lists can be looked at, and what can be looked at is listed.
        code = """
import sys
result.update(entries=0, bad=[])
for folder, folders, files in os.walk("/", onerror=lambda e: result["bad"].append(str(e))
                                     if not e.filename.startswith("/proc/") else None):
    if folder.startswith(("/proc/self/task", "/proc/thread-self")): folders.clear()
    if folder.startswith(("/usr/lib/", "/usr/share/", "/lib/", "/usr/local/")) and folder.count("/") > 4:
        folders.clear(); continue
    for name in folders + files:
        path = os.path.join(folder, name)
        result["entries"] += 1
        try: os.lstat(path)
        except OSError as e:
            if not path.startswith("/proc/"): result["bad"].append(str(e))
for entry in os.scandir("/"):
    if entry.inode() != os.lstat(entry.path).st_ino: result["bad"].append(entry.path)
    if entry.is_dir(follow_symlinks=False) != (os.lstat(entry.path).st_mode & 0o170000 == 0o040000):
        result["bad"].append(entry.path)
result["top"] = sorted(os.listdir("/"))
"""
        def check(shop, backend):
            found = self.python(shop, backend, code)
            self.assertEqual(found["bad"], [])
            self.assertGreater(found["entries"], 500)
            for name in ("root", "home", "boot", "mnt", "srv"):
                if name not in shop.path.split("/"):
                    self.assertNotIn(name, found["top"])
        self.everywhere(check, users=False)

    def test_errors_are_the_promised_ones(self):
        code = """
import errno
def error(call, *arguments):
    try: call(*arguments); return None
    except OSError as e: return errno.errorcode[e.errno]
result["write shown"] = error(open, "/usr/lib/python3.11/os.py", "a")
result["create in shown"] = error(open, "/usr/lib/python3.11/new", "w")
result["remove shown"] = error(os.unlink, "/usr/lib/python3.11/os.py")
result["mkdir"] = error(os.mkdir, "/usr/lib/python3.11/new")
result["chmod"] = error(os.chmod, "/usr/lib/python3.11/os.py", 0o777)
result["truncate"] = error(os.truncate, "/usr/lib/python3.11/os.py", 0)
result["link out"] = error(os.link, "/usr/lib/python3.11/os.py", "/tmp/os.py")
result["rename out"] = error(os.rename, "/usr/lib/python3.11/os.py", "/tmp/os.py")
result["utime"] = error(os.utime, "/usr/lib/python3.11/os.py")
result["hidden"] = error(os.stat, "/var/lib/dpkg")
result["below a file"] = error(os.stat, "/usr/bin/python3/x")
result["list a file"] = error(os.listdir, "/usr/bin/python3")
result["exec hidden"] = error(os.execv, "/usr/bin/perl", ["perl"])
result["write dev"] = error(open, "/dev/new", "w")
result["write proc"] = error(open, "/proc/self/oom_score_adj", "w")
"""
        def check(shop, backend):
            found = self.python(shop, backend, code)
            # rename(2) across mounts fails before the kernel asks whether it may write.
            self.assertIn(found.pop("rename out"), ("EXDEV", "EROFS"))
            self.assertIn(found.pop("write dev"), ("EROFS", "EACCES", "ENOENT"))
            self.assertIn(found.pop("write proc"), ("EROFS", "EACCES", "ENOENT"))
            self.assertEqual(found, {
                "write shown": "EROFS", "create in shown": "EROFS", "remove shown": "EROFS",
                "mkdir": "EROFS", "chmod": "EROFS", "truncate": "EROFS", "link out": "EXDEV",
                "utime": "EROFS", "hidden": "ENOENT",
                "below a file": "ENOTDIR", "list a file": "ENOTDIR", "exec hidden": "EACCES"})
        self.everywhere(check)

    def test_scratch_works_as_a_disk_does(self):
        code = """
import mmap, shutil, sqlite3, tempfile
with tempfile.TemporaryDirectory() as folder:
    result["temp"] = os.path.dirname(folder)
    path = os.path.join(folder, "db")
    for mode in ("delete", "wal", "memory"):
        with sqlite3.connect(path) as db:
            db.execute(f"pragma journal_mode={mode}")
            db.execute("create table if not exists t(n)")
            db.executemany("insert into t values (?)", [(n,) for n in range(1000)])
        result[mode] = db.execute("select sum(n) from t").fetchone()[0]
        db.close()
    with open(os.path.join(folder, "mapped"), "w+b") as f:
        f.truncate(8192)
        with mmap.mmap(f.fileno(), 8192) as m: m[5000:5005] = b"hello"
        f.seek(5000); result["mapped"] = f.read(5).decode()
    os.makedirs(os.path.join(folder, "a/b/c")); shutil.copytree(os.path.join(folder, "a"),
                                                               os.path.join(folder, "d"))
    os.symlink("a/b", os.path.join(folder, "link"))
    os.rename(os.path.join(folder, "mapped"), os.path.join(folder, "link", "moved"))
    result["moved"] = os.path.getsize(os.path.join(folder, "a/b/moved"))
    os.chdir(folder); result["cwd"] = os.getcwd() == folder
    result["listed"] = sorted(os.listdir("."))
    os.chdir("/")
with tempfile.TemporaryFile() as f: f.write(b"x"); f.seek(0); result["nameless"] = f.read().decode()
with tempfile.NamedTemporaryFile() as f: result["named"] = os.path.exists(f.name)
result["left"] = os.listdir("/tmp")
"""
        def check(shop, backend):
            self.assertEqual(self.python(shop, backend, code), {
                "temp": "/tmp", "delete": 499500, "wal": 999000, "memory": 1498500,
                "mapped": "hello", "moved": 8192, "cwd": True,
                "listed": ["a", "d", "db", "link"], "nameless": "x", "named": True, "left": []})
        self.everywhere(check)

    def test_shared_memory_and_pairs_are_a_kernels(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        expected = shop.native([shop.guest("shared"), "fork"]).stdout
        self.assertIn(b"many 300 \n", expected)

        def check(shop, backend):
            run = shop.run([shop.guest("shared"), "fork"], ["--processes", "2"], backend=backend)
            self.assertEqual((run.status, run.out), (0, expected))
        self.everywhere(check)

    def test_devices(self):
        code = """
result["null"] = open("/dev/null", "rb").read().decode()
open("/dev/null", "w").write("gone")
result["zero"] = open("/dev/zero", "rb").read(3) == bytes(3)
result["random"] = [len(open(f"/dev/{n}", "rb").read(16)) for n in ("random", "urandom")]
try: open("/dev/full", "wb", buffering=0).write(b"x")
except OSError as e: result["full"] = e.errno
result["listed"] = sorted(os.listdir("/dev"))
result["others"] = [n for n in ("mem", "kmsg", "sda", "vda", "kvm") if os.path.exists("/dev/" + n)]
"""
        def check(shop, backend):
            found = self.python(shop, backend, code)
            self.assertTrue({"null", "zero", "full", "random", "urandom"} <= set(found.pop("listed")))
            self.assertEqual(found, {"null": "", "zero": True, "random": [16, 16], "full": 28,
                                     "others": []})
        self.everywhere(check)

    def test_libraries_find_what_they_need(self):
        code = """
import asyncio, concurrent.futures, ctypes, os, selectors, socket, threading, time, zoneinfo
a, b = socket.socketpair()
a.sendall(b"pair"); print(b.recv(4))
s = selectors.DefaultSelector(); s.register(b, selectors.EVENT_READ); a.send(b"x")
print(len(s.select(1)), type(s).__name__)
async def main():
    loop = asyncio.get_running_loop()
    print(await loop.run_in_executor(None, sum, range(10)))
    r, w = os.pipe()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(r))
    os.write(w, b"line\\n"); print(await reader.readline())
    await asyncio.gather(*(asyncio.sleep(0.01) for _ in range(100)))
asyncio.run(main())
with concurrent.futures.ThreadPoolExecutor(8) as pool: print(sum(pool.map(abs, range(-50, 50))))
print(len(zoneinfo.available_timezones()) > 100, time.strftime("%Y") > "2000")
print(ctypes.CDLL("libc.so.6").getpid() == os.getpid())
t = threading.Timer(0.01, lambda: print("timer")); t.start(); t.join()
"""
        def check(shop, backend):
            self.assertSameAsNative(shop, backend, [PYTHON, "-W", "ignore", "-c", code])
        self.everywhere(check)

    def test_network_is_refused_but_names_are_constants(self):
        code = """
import socket, urllib.request
for name in ("localhost", "example.com"):
    try: result[name] = socket.getaddrinfo(name, 80)[0][4][0]
    except OSError as e: result[name] = type(e).__name__
try: urllib.request.urlopen("http://127.0.0.1:9/", timeout=1)
except OSError as e: result["url"] = "PermissionError" in repr(e) or "Permission denied" in repr(e)
try: socket.create_connection(("127.0.0.1", 9))
except OSError as e: result["connect"] = e.errno
"""
        def check(shop, backend):
            found = self.python(shop, backend, code)
            self.assertEqual((found["example.com"], found["url"], found["connect"]),
                             ("gaierror", True, 13))
        self.everywhere(check)


if __name__ == "__main__":
    main()
