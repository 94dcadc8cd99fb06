"""Random system calls with random arguments, from many threads and processes, for a while: the supervisor
lives, stays small and ends the run in time, and nothing outside is touched or left behind.

VITRINE_LONG=1: minutes on each backend. VITRINE_SEED: begin with that seed (it is printed on a failure)."""

import collections
import contextlib
import hashlib
import socket
import threading

from harness import *

LONG = bool(os.environ.get("VITRINE_LONG"))
SEED = int(os.environ.get("VITRINE_SEED", "1"))
SECONDS = 2.0       # of one run
SECONDS_LONG = 300  # of all runs of a backend together
MARGIN = 5          # of a run's end behind its wall budget
MOST_MEMORY = (192 if SANITIZED else 32) << 20  # seen: 5 MiB
MOST_DESCRIPTORS = 512  # seen: 175; scratch files and sockets have one each
ENDS = {"exited", "signaled", "wall-limit", "cpu-limit", "memory-limit", "output-limit", "violation"}


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


class World:
    """What lies outside a run, and could be touched by the run's user: files, a process, listeners."""

    def __init__(self, shop, stack):
        self.shop = shop
        self.folder = os.path.join(shop.path, "canaries")
        self.shown = os.path.join(shop.path, "shown")
        for folder in (self.folder, self.shown):
            os.mkdir(folder)
            for name in ("one", "two"):
                shop.file(os.path.join(folder, name), name, 0o666)
            os.chmod(folder, 0o777)
        self.victim = subprocess.Popen(shop.as_user(["sleep", "1000"]))
        stack.callback(self.victim.wait)
        stack.callback(self.victim.kill)
        self.listeners = [self.listen(stack, family, address) for family, address in
                          ((socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_UNIX, None),
                           (socket.AF_UNIX, os.path.join(self.folder, "socket")))]
        os.chmod(os.path.join(self.folder, "socket"), 0o777)
        while status_of(self.victim.pid)["Name"] != "sleep":
            time.sleep(0.01)  # setpriv becomes it
        self.before = self.look()

    def listen(self, stack, family, address):
        listener = stack.enter_context(socket.socket(family))
        if address is None:
            address = f"\0canary-{self.port}"
        listener.bind(address)
        listener.listen(64)
        listener.setblocking(False)
        if family == socket.AF_INET:
            self.port = listener.getsockname()[1]
        return listener

    def paths(self):
        return [os.path.join(folder, name) for folder in (self.folder, self.shown)
                for name in ("one", "two")]

    def words(self):
        return [str(self.port), str(self.victim.pid), *self.paths(),
                os.path.join(self.folder, "socket")]

    def connections(self):
        count = 0
        for listener in self.listeners:
            with contextlib.suppress(BlockingIOError):
                while True:
                    listener.accept()[0].close()
                    count += 1
        return count

    def look(self):
        """Whatever of it a run could change."""
        files = {}
        for folder in (self.folder, self.shown):
            for name in sorted(os.listdir(folder)):
                path = os.path.join(folder, name)
                seen = os.lstat(path)
                content = b""
                if not name == "socket":
                    with open(path, "rb") as f:
                        content = f.read()
                files[path] = (seen.st_mode, seen.st_uid, seen.st_nlink, seen.st_size, seen.st_mtime_ns,
                               hashlib.sha256(content).hexdigest())
        victim = "gone"
        if self.victim.poll() is None:
            status = status_of(self.victim.pid)
            victim = {key: status[key] for key in ("TracerPid", "SigPnd", "ShdPnd", "Uid",
                                                   "Cpus_allowed_list")}
            victim["stopped"] = status["State"][0] in "Tt"
            with open(f"/proc/{self.victim.pid}/limits", encoding="utf-8") as f:
                victim["limits"] = f.read()
            victim["priority"] = os.getpriority(os.PRIO_PROCESS, self.victim.pid)
        return {"files": files, "victim": victim, "connections": self.connections()}

    def survivors(self):
        """Processes of this place's guest: its path is in no other's command line."""
        guest = os.path.join(self.shop.path, "random_calls").encode()
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    if f.read().split(b"\0")[0] == guest and is_alive(int(pid)):
                        found.append(int(pid))
        return found


def watch(pid, peaks, over):
    """The supervisor's memory and descriptors, at their highest."""
    while not over.wait(0.05):
        with contextlib.suppress(OSError, KeyError):
            peaks["memory"] = max(peaks["memory"], int(status_of(pid)["VmRSS"].split()[0]) << 10)
            peaks["descriptors"] = max(peaks["descriptors"], len(os.listdir(f"/proc/{pid}/fd")))


class Random(Case):
    def one_run(self, shop, world, backend, mode, seed, options):
        """Makes the run, and says what is wrong with it."""
        report = shop.file("report.json", "", 0o666)
        endless = "any" in options  # so that the wall budget has to end it
        seconds, wall = (1000, SECONDS) if endless else (SECONDS, SECONDS + 2)
        limits = ["-q", "--wall", f"{wall}s", "--cpu", "60s", "--memory", "256M", "--threads", "48",
                  "--report", report, "--ro", world.shown, *options]
        guest = [shop.guest("random_calls"), mode, str(seed), str(seconds), "4", "6", *world.words()]
        start = time.monotonic()
        run = shop.start(guest, limits, backend, stdin=subprocess.DEVNULL)
        peaks, over = collections.Counter(), threading.Event()
        watcher = threading.Thread(target=watch, args=(run.pid, peaks, over))
        watcher.start()
        try:
            out, err = run.communicate(timeout=wall + 60)
        except subprocess.TimeoutExpired:
            run.kill()
            run.communicate()
            return ["hangs"]
        finally:
            over.set()
            watcher.join()
        took = time.monotonic() - start
        told = read_json(report)
        wrong = []
        if told.get("verdict") not in ENDS or run.returncode < 0:
            wrong.append((run.returncode, told.get("verdict"), told.get("reason"), err[-2000:]))
        if took > wall + MARGIN:
            wrong.append(("late", took))
        if peaks["memory"] > MOST_MEMORY or peaks["descriptors"] > MOST_DESCRIPTORS:
            wrong.append(("grows", dict(peaks)))
        if survivors := world.survivors():
            wrong.append(("left behind", survivors))
        after = world.look()
        wrong += [("touched", what, after[what], world.before[what])
                  for what in after if after[what] != world.before[what]]
        self.ends[told.get("verdict"), told.get("reason")] += 1
        self.peaks |= peaks
        self.mediated += told.get("syscalls", {}).get("mediated", 0)
        return wrong

    def runs(self, shop, backend, ways, seconds):
        self.ends, self.peaks, self.mediated = collections.Counter(), collections.Counter(), 0
        with contextlib.ExitStack() as stack:
            world = World(shop, stack)
            end = time.monotonic() + seconds
            seed = SEED
            while True:
                for mode, options in ways:
                    wrong = self.one_run(shop, world, backend, mode, seed, options)
                    self.assertEqual(wrong, [], (backend, mode, options, "seed", seed))
                seed += 1
                if time.monotonic() > end:
                    break
        print(f"{backend}, {shop.user or 'root'}: {seed - SEED} seeds, {self.mediated} supervised calls, "
              f"{dict(self.ends)}, at most {self.peaks['memory'] >> 20} MiB, {self.peaks['descriptors']} descriptors",
              file=sys.stderr)
        self.assertGreater(self.mediated, 1000)

    def test_random_calls(self):
        ways = [("random", ["--processes", "8"]), ("alone", []),
                ("random", ["-p", "any", "--processes", "8"])]

        def check(shop, backend):
            # In the short form, all ways as root and one as an ordinary user.
            chosen = list(ways if LONG or not shop.user else ways[:1])
            if backend == "syscall" and len(chosen) > 1:
                chosen.append(("random", ["--processes", "8", "--audit-level", "all", "--audit",
                                          shop.file("all.jsonl", "", 0o666)]))
            self.runs(shop, backend, chosen, SECONDS_LONG / 2 if LONG else 0)
        self.everywhere(check)

    def test_natively_a_touch_is_seen(self):
        shop = Workshop(ensure_user())
        self.addCleanup(shop.close)
        with contextlib.ExitStack() as stack:
            world = World(shop, stack)
            done = shop.native([shop.guest("random_calls"), "touch", "1", "0", "0", "0", *world.words()])
            world.victim.wait(30)
            after = world.look()
            self.assertEqual(int(done.stdout), len(world.paths()) + 3, done.stderr)
            for path in world.paths():
                self.assertNotEqual(after["files"][path], world.before["files"][path])
            self.assertEqual((after["victim"], after["connections"]), ("gone", 2))
            # And so would be one that stays.
            left = subprocess.Popen([shop.guest("random_calls"), "alone", "1", "0.5", "1", "0", "1"],
                                    stdout=subprocess.DEVNULL)
            time.sleep(0.1)
            self.assertEqual(world.survivors(), [left.pid])
            left.wait()


if __name__ == "__main__":
    main()
