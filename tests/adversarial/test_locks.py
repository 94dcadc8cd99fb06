"""Locks are the run's own: neither the host nor another run meets them, on no file that is shown."""

import fcntl

from harness import *
from harness import SLOW

HOLD = """
import fcntl, sys, time
f = open(sys.argv[1])
fcntl.flock(f, fcntl.LOCK_EX)
fcntl.lockf(f, fcntl.LOCK_SH)
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


class Locks(Case):
    def hold(self, shop, command):
        holder = subprocess.Popen(command, cwd=shop.path, stdout=subprocess.PIPE)
        self.addCleanup(holder.stdout.close)
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        self.assertEqual(holder.stdout.readline(), b"held\n")
        return holder

    def test_on_a_shown_file(self):
        def check(shop, backend):
            path = shop.file("shown", "x", 0o666)
            arguments = [PYTHON, "-c", HOLD, path]
            options = ["-q", "--ro", path]
            self.hold(shop, shop.command([*arguments, "20"], options, backend))
            with open(path, "r+") as f:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # And the host's keep no run waiting, which would tell of the host.
                run = shop.run([*arguments, "0"], options[1:], backend=backend, timeout=20)
                self.assertEqual((run.status, run.out), (0, b"held\n"))
            bare = self.hold(shop, shop.as_user([*arguments, "20"]))
            with open(path, "r+") as f:
                for lock in (fcntl.flock, fcntl.lockf):
                    self.assertRaises(BlockingIOError, lock, f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            bare.kill()
        self.everywhere(check)

    # Who still holds a lock is looked for among all descriptors of its owner. Found as seconds in
    # which nobody else was answered.
    def test_questions_about_locks_keep_nobody_waiting(self):
        with open(os.path.join(SOURCE, "tests", "guests", "lock_sweep.py"), encoding="utf-8") as f:
            script = f.read()
        for how, locks in (("sweep", [512]), ("wait", [1, 60])):
            def check(shop, backend):
                path = shop.file("lock_sweep.py", script)
                options = ["--processes", "4", "--threads", "100"]
                for _ in range(3):  # what else runs here may keep a call waiting once
                    run = shop.run([PYTHON, path, how], options, backend=backend)
                    self.assertEqual((run.status, run.err), (0, b""))
                    *said, slowest = run.out.split()
                    print(f"  {how}, {backend}: {1000 * float(slowest):.0f} ms", flush=True)
                    self.assertEqual([int(number) for number in said], locks)
                    if float(slowest) < 0.25 * SLOW:
                        break
                self.assertLess(float(slowest), 0.25 * SLOW)
            self.everywhere(check, users=False)
            shop = Workshop()
            self.addCleanup(shop.close)
            bare = shop.native([PYTHON, shop.file("lock_sweep.py", script), how, shop.path])
            self.assertGreaterEqual(int(bare.stdout.split()[0]), locks[0], "more are possible")


if __name__ == "__main__":
    main()
