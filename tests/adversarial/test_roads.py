"""Roads from what was granted to what was not: a descriptor as a lever, a folder's "..", /proc of others,
pipes and sockets among shown files. What the host holds afterwards decides, and what the program learned."""

import ctypes
import shutil
import socket

from harness import *

CANARY = "canary-6f1d2c"


def guest_script(shop, name):
    with open(os.path.join(SOURCE, "tests", "guests", name), encoding="utf-8") as file:
        return shop.file(name, file.read())


class Roads(Case):
    def own(self, shop, *paths):
        if shop.user:
            for path in paths:
                shutil.chown(path, shop.user, shop.user)

    # --- what was granted to be read

    def levers(self, shop):
        shown = shop.file("shown", "original")
        secret = shop.file("secret", CANARY)
        folder = os.path.join(shop.path, "folder")
        os.mkdir(folder)
        with open(os.path.join(folder, "inside"), "w", encoding="utf-8") as file:
            file.write("inside")
        self.own(shop, shown, secret, folder, os.path.join(folder, "inside"))
        return [PYTHON, guest_script(shop, "levers.py"), shown, folder, secret]

    def state(self, shop):
        paths = [os.path.join(shop.path, name) for name in ("shown", "secret", "folder", "folder/inside")]
        found = {}
        for path in paths:
            status = os.stat(path)
            found[path] = [status.st_mode, status.st_uid, status.st_size, status.st_mtime_ns,
                           status.st_ctime_ns, status.st_nlink, os.listxattr(path)]
            if os.path.isdir(path):
                found[path].append(sorted(os.listdir(path)))
            else:
                with open(path, "rb") as file:
                    found[path].append(file.read())
        return found

    def test_a_descriptor_is_no_lever(self):
        def check(shop, backend):
            command = self.levers(shop)
            before = self.state(shop)
            run = shop.run(command, ["--ro", command[2], "--ro", command[3]], backend=backend)
            self.assertEqual((run.status, run.err, run.out), (0, b"", b"[]\n"))
            self.assertEqual(self.state(shop), before)
        self.everywhere(check)

    def test_natively_it_is_one(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        command = self.levers(shop)
        bare = shop.native(command)
        self.assertIn(CANARY.encode(), bare.stdout)
        self.assertFalse(os.path.exists(os.path.join(shop.path, "shown")))
        self.assertIn("made", os.listdir(os.path.join(shop.path, "folder")))

    # --- other processes

    def victim(self, shop):
        process = subprocess.Popen(shop.as_user(["/bin/sleep", "60"]),
                                   env={"CANARY": CANARY, "PATH": "/usr/bin:/bin"})
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        while True:
            with open(f"/proc/{process.pid}/cmdline", "rb") as file:
                if b"sleep\0" + b"60" in file.read():
                    break
            time.sleep(0.01)
        return process.pid

    def test_proc_of_others(self):
        def check(shop, backend):
            pids = [str(pid) for pid in (self.victim(shop), 1, 2, os.getpid())]
            script = guest_script(shop, "roads.py")
            run = shop.run([PYTHON, script, *pids], backend=backend)
            self.assertEqual((run.status, run.err, run.out), (0, b"", b"[]\n"))
        self.everywhere(check)

    def test_proc_of_the_supervisor(self):
        code = "import sys; sys.argv[1:] = [sys.stdin.readline().strip()]\n"

        def check(shop, backend):
            with open(guest_script(shop, "roads.py"), encoding="utf-8") as file:
                script = code + file.read()
            run = shop.start([PYTHON, "-c", script], ["-q"], backend=backend, stdin=subprocess.PIPE)
            out, err = run.communicate(f"{run.pid}\n".encode(), timeout=60)
            self.assertEqual((run.returncode, err), (0, b""))
            self.assertEqual(out, b"[]\n")
        self.everywhere(check)

    def test_natively_proc_tells(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        bare = shop.native([PYTHON, guest_script(shop, "roads.py"), str(self.victim(shop))])
        self.assertIn(CANARY.encode(), bare.stdout)
        self.assertIn(b"listed", bare.stdout)

    # Its own entries lead to its own tree only; whoever is its own is so by every call alike.
    OWN = """
import os, subprocess, sys, threading, time
secret, reached = sys.argv[1], []
name = os.path.basename(secret)
def attempt(what, call, *arguments):
    try: found = call(*arguments)
    except (OSError, ValueError): return
    reached.append(what) if "canary" in str(found) else None
def text(path):
    with open(path, "rb") as f: return f.read(100)
for base in ("/proc/self", "/proc/thread-self", f"/proc/{os.getpid()}", f"/proc/self/task/{os.getpid()}"):
    for path in (f"{base}/root{secret}", f"{base}/cwd/{name}", f"{base}/root/proc/self/root{secret}",
                 f"{base}/exe/../../..{secret}", f"{base}/cwd/../{os.path.basename(os.getcwd())}/{name}"):
        attempt(path.replace(str(os.getpid()), "PID"), text, path)
    attempt("environ", text, f"{base}/environ")
    for path in (f"{base}/cwd", f"{base}/root"):
        attempt("by folder", lambda: os.read(os.open(name, 0, dir_fd=os.open(path, os.O_RDONLY)), 100))
        attempt("listed", lambda: "canary" if name in os.listdir(path) else "")
# Memory that is read and written past the rules of its mappings.
def poke():
    with open("/proc/self/mem", "r+b", 0) as f:
        f.seek(id(hidden) + 32)
        return f.read(6)
hidden = b"canary" + b"-" * 3
attempt("mem", poke)
def mapped():
    for entry in os.listdir("/proc/self/map_files"):
        os.readlink("/proc/self/map_files/" + entry)
        return "canary"
attempt("map_files", mapped)
def member(pid):
    answers = []
    for call in (os.stat, os.lstat, os.listdir, lambda p: os.close(os.open(p, os.O_RDONLY)), lambda p: os.readlink(p + "/exe"),
                 lambda p: open(p + "/stat").read(), lambda p: os.access(p, os.F_OK) or os.stat(p)):
        try: call(f"/proc/{pid}"); answers.append(True)
        except OSError: answers.append(False)
    return {*answers, str(pid) in os.listdir("/proc")}
child = subprocess.Popen(["/bin/sleep", "60"])
time.sleep(.05)
def tid_listed():
    return str(threading.get_native_id()) in os.listdir("/proc/self/task")
threads = []
thread = threading.Thread(target=lambda: threads.append(tid_listed())); thread.start(); thread.join()
members = [member(os.getpid()), member(child.pid), threads]
child.kill(); child.wait()
print(reached, *members, member(child.pid), [member(int(pid)) for pid in sys.argv[2:]])
"""

    def test_its_own_entries(self):
        def own(shop, run):
            secret = shop.file("secret", CANARY)
            return run([PYTHON, "-c", self.OWN, secret, "1", "2", str(os.getpid())])

        def check(shop, backend):
            run = own(shop, lambda line: shop.run(line, ["--processes", "2", "--ro", "/bin/sleep"], backend=backend,
                                                  env=dict(os.environ, CANARY=CANARY)))
            self.assertEqual((run.status, run.err), (0, b""))
            self.assertEqual(run.out.decode().strip(), "[] {True} {True} [True] {False} [{False}, {False}, {False}]")
        self.everywhere(check)
        shop = Workshop()
        self.addCleanup(shop.close)
        bare = own(shop, shop.native).stdout.decode()
        for road in ("'/proc/self/root", "'/proc/self/cwd/", "by folder", "listed", "'mem'", "map_files"):
            self.assertIn(road, bare)
        self.assertTrue(bare.strip().endswith("{True}]"), bare)

    # --- what a shown folder may hold

    BLOCKING = """
import os, socket, sys, select
folder = sys.argv[1]
for name in sorted(os.listdir(folder)):
    path = folder + "/" + name
    for flag in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_NONBLOCK):
        try: os.close(os.open(path, flag)); print(name, flag, "opened")
        except OSError: pass
    os.stat(path); os.access(path, os.R_OK); os.lstat(path)
    for call in (os.readlink, os.listdir, lambda p: os.execv(p, [p])):
        try: call(path)
        except OSError: pass
print("done")
"""

    def test_pipes_sockets_and_devices_do_not_block(self):
        def check(shop, backend):
            folder = os.path.join(shop.path, "folder")
            os.mkdir(folder)
            os.mkfifo(os.path.join(folder, "fifo"), 0o666)
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(os.path.join(folder, "socket"))
            listener.listen(1)
            os.mknod(os.path.join(folder, "tty"), 0o666 | 0o020000, os.makedev(5, 0))
            os.mknod(os.path.join(folder, "console"), 0o666 | 0o020000, os.makedev(5, 1))
            run = shop.run([PYTHON, "-c", self.BLOCKING, folder], ["--ro", folder, "--wall", "10s"],
                           backend=backend)
            self.assertEqual((run.status, run.out), (0, b"done\n"))
            self.assertLess(run.seconds, 5)
            listener.setblocking(False)
            self.assertRaises(BlockingIOError, listener.accept)
            listener.close()
        self.everywhere(check)

    def test_natively_a_pipe_blocks(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        folder = os.path.join(shop.path, "folder")
        os.mkdir(folder)
        os.mkfifo(os.path.join(folder, "fifo"))
        with self.assertRaises(subprocess.TimeoutExpired):
            shop.native([PYTHON, "-c", self.BLOCKING, folder], timeout=1)

    # --- a mount of the host whose server is gone

    LOOKING = """
import os, sys
folder = sys.argv[1]
for path in (folder, folder + "/a", folder + "/a/b", folder + "/../" + os.path.basename(folder) + "/a"):
    for call in (os.stat, os.lstat, os.readlink, os.listdir, os.chmod, open):
        try: call(path, 0o600) if call is os.chmod else call(path)
        except FileNotFoundError: pass
print("done")
"""

    def dead_mount(self, shop):
        """A FUSE mount that nobody serves, for processes that call what is returned before exec."""
        libc = ctypes.CDLL(None, use_errno=True)
        folder = os.path.join(shop.path, "dead")
        os.mkdir(folder)
        try:
            server = os.open("/dev/fuse", os.O_RDWR)
        except OSError as error:
            self.skipTest(f"/dev/fuse: {error.strerror}")
        self.addCleanup(os.close, server)
        options = f"fd={server},rootmode=40000,user_id=0,group_id=0,allow_other".encode()

        def mount():
            if libc.mount(b"fuse", folder.encode(), b"fuse", 0, options) != 0:
                raise OSError(ctypes.get_errno(), "mounting FUSE")

        def enter():
            private = 0x44000  # MS_REC | MS_PRIVATE
            if libc.unshare(0x20000) != 0 or libc.mount(b"none", b"/", None, private, None) != 0:
                raise OSError(ctypes.get_errno(), "unshare")
            mount()
        enter.mount = mount
        return folder, enter

    @unittest.skipUnless(os.getuid() == 0, "only root can mount")
    def test_a_mount_whose_server_is_gone(self):
        def check(shop, backend):
            folder, enter = self.dead_mount(shop)
            run = shop.run([PYTHON, "-c", self.LOOKING, folder], ["--wall", "10s"], backend=backend,
                           preexec_fn=enter, timeout=20)
            self.assertEqual((run.status, run.out), (0, b"done\n"))
            self.assertLess(run.seconds, 5)
            self.assertEqual(len(run.denials("readlink")), 4)
        self.everywhere(check)

    LATER = """
import os, sys
def look(name):
    try: os.stat(sys.argv[1] + name)
    except FileNotFoundError: print("missing", flush=True)
look("/a")
sys.stdin.readline()
look("/b")
"""

    # Found as a supervisor that hung in a look at what had become of the mount that it knew.
    @unittest.skipUnless(os.getuid() == 0, "only root can mount")
    def test_a_mount_that_dies_during_the_run(self):
        libc = ctypes.CDLL(None, use_errno=True)

        def check(shop, backend):
            folder, enter = self.dead_mount(shop)

            def enter_local():
                libc.unshare(0x20000)
                libc.mount(b"none", b"/", None, 0x44000, None)
                if libc.mount(b"none", folder.encode(), b"tmpfs", 0, None) != 0:
                    os._exit(99)

            run = shop.start([PYTHON, "-c", self.LATER, folder], ["-q", "--wall", "10s"], backend,
                             stdin=subprocess.PIPE, preexec_fn=enter_local)
            self.addCleanup(run.stdout.close)
            self.addCleanup(run.stderr.close)
            self.assertEqual(run.stdout.readline(), b"missing\n")
            with open(f"/proc/{run.pid}/ns/mnt", "rb") as namespace:
                inside = os.fork()
                if inside == 0:
                    joined = libc.setns(namespace.fileno(), 0) == 0
                    enter.mount()
                    os._exit(0 if joined else 1)
                self.assertEqual(os.waitpid(inside, 0)[1], 0)
            out, _ = run.communicate(b"on\n", timeout=20)
            self.assertEqual((run.returncode, out), (0, b"missing\n"))
        self.everywhere(check)

    @unittest.skipUnless(os.getuid() == 0, "only root can mount")
    def test_natively_it_holds_whoever_looks(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        folder, enter = self.dead_mount(shop)
        with self.assertRaises(subprocess.TimeoutExpired):
            shop.native([PYTHON, "-c", self.LOOKING, folder], preexec_fn=enter, timeout=1)


if __name__ == "__main__":
    main()
