"""Locks are the run's own: neither the host nor another run meets them, on no file that is shown."""

import fcntl

from harness import *

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


if __name__ == "__main__":
    main()
