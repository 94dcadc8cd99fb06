"""Threads and processes that come and go, signals in the middle of served calls, forged traps and
frames: the program sees what a kernel alone would show, and the run ends when it should.

VITRINE_LONG=1 makes each of them long: a minute of timers, 10^5 traps, 10^5 threads."""

import contextlib
import threading

from harness import *
from harness import SLOW

LONG = bool(os.environ.get("VITRINE_LONG"))
LAST_NUMBER = "/proc/sys/kernel/ns_last_pid"
NUMBERS = 4000 if LONG else 200

# Threads and children one after the other: how many numbers they had, and how many did what they were to do.
AGAIN = f"""
import os, threading
numbers, right = set(), 0
def look(place):
    numbers.add(threading.get_native_id())
    place.append(os.stat("/etc/passwd").st_size > 0 and os.path.exists(f"/proc/self/task/{{threading.get_native_id()}}"))
for turn in range({NUMBERS // 2}):
    place = []
    thread = threading.Thread(target=look, args=(place,)); thread.start(); thread.join()
    right += place == [True]
    pid = os.fork()
    if pid == 0:
        os._exit(7 if os.path.exists(f"/proc/{{os.getpid()}}/exe") and os.getpid() == int(os.readlink("/proc/self")) else 8)
    numbers.add(pid)
    right += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
print(len(numbers), right)
"""


@contextlib.contextmanager
def numbers_given_again():
    """New tasks of this machine have the lowest free number above one that stays the same."""
    over = threading.Event()

    def keep():
        while not over.is_set():
            file.seek(0)
            file.write(b"20000")
            time.sleep(0)

    with open(LAST_NUMBER, "r+b", buffering=0) as file:
        file.write(b"20000")
        thread = threading.Thread(target=keep)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


class Tasks(Case):
    def fine(self, *arguments, options=(), expected=b"fine\n"):
        shop = Workshop()
        self.addCleanup(shop.close)
        words = [str(word) for word in arguments]
        bare = shop.native([shop.guest("tasks"), *words], timeout=600)
        self.assertEqual((bare.returncode, bare.stdout), (0, expected))

        def check(shop, backend):
            run = shop.run([shop.guest("tasks"), *words],
                           ["--wall", "600s", "--cpu", "600s", *options], backend=backend,
                           timeout=900)
            self.assertEqual((run.status, run.verdict, run.out), (0, "exited", expected))
        self.everywhere(check)

    # Found as EINTR, in the backend notify, from calls that natively never give it.
    def test_a_timer_of_1_khz(self):
        self.fine("timer", 60 if LONG else 1)

    def test_short_threads(self):
        self.fine("churn", 25000 if LONG else 300)

    # The kernel is made to give the same numbers again and again: to threads, and to processes that end in calls.
    @unittest.skipUnless(LONG, "gives new tasks of the whole machine few numbers (VITRINE_LONG=1): others' would be taken for ended ones")
    def test_numbers_that_are_given_again(self):
        def check(shop, backend):
            with numbers_given_again():
                run = shop.run([PYTHON, "-c", AGAIN], ["--processes", "3"], backend=backend)
            self.assertEqual((run.status, run.err), (0, b""))
            numbers, right = run.out.split()
            self.assertEqual(int(right), NUMBERS)
            self.assertLess(int(numbers), NUMBERS // 2)
        shop = Workshop()
        self.addCleanup(shop.close)
        try:
            with numbers_given_again():
                numbers, right = shop.native([PYTHON, "-c", AGAIN]).stdout.split()
        except OSError as error:
            self.skipTest(f"{LAST_NUMBER}: {error.strerror}")
        self.assertEqual(int(right), NUMBERS)
        self.assertLess(int(numbers), NUMBERS // 2)
        self.everywhere(check)

    def test_traps_single_steps_and_forged_signals(self):
        self.fine("traps", 100000 if LONG else 500)

    def test_frames_that_a_handler_changed(self):
        self.fine("frames", 100000 if LONG else 1000)

    def test_a_leader_that_exits_first(self):
        self.fine("leader")

    def test_an_execution_by_another_thread(self):
        self.fine("execute", "/bin/echo", options=["--ro", "/bin/echo"], expected=b"printed\n")

    # Found as a violation: what the second was to execute replaced what the first was to.
    def test_executions_of_two_threads_at_once(self):
        self.fine("race", "1000" if LONG else "30", "/bin/true", "/bin/false",
                  options=["--ro", "/bin/true", "--ro", "/bin/false", "--processes", "2"])

    # The answer to a clone of the first thread went to the program that had taken its number, whose
    # next call the kernel performed undecided.
    def test_an_execution_beside_a_clone_that_waits_for_room(self):
        def check(shop, backend):
            canary = os.path.join(shop.path, "canary")
            shop.file(canary, "", 0o666)
            guest = shop.guest("exec_beside_clone")
            self.assertIn(b"reached", shop.native([guest, canary]).stdout)
            os.chmod(canary, 0o600)
            run = shop.run([guest, canary, "400" if LONG else "20"],
                           ["-p", "any", "--ro", guest, "--processes", "4", "--threads", "6",
                            "--wall", "100s", "--cpu", "none"], backend=backend)
            self.assertEqual((run.verdict, run.out), ("exited", b"done\n"))
            self.assertEqual(os.stat(canary).st_mode & 0o777, 0o600)
        self.everywhere(check)

    def test_an_exit_beside_an_injected_call(self):
        self.fine("exit-beside", 2000 if LONG else 60, options=["--processes", "2"])

    def test_children_one_after_the_other(self):
        self.fine("sequential", 10000 if LONG else 300, options=["--processes", "2"])

    # A message for a task that was killed stayed for the next, whose opens all failed from then on.
    def test_children_killed_in_served_calls(self):
        self.fine("killed", 3000 if LONG else 60, options=["--processes", "2"])

    def test_a_fork_bomb_ends_with_the_budget(self):
        def check(shop, backend):
            run = shop.run([shop.guest("tasks"), "bomb"], ["--processes", "8", "--wall", "1s"],
                           backend=backend)
            self.assertIn((run.status, run.verdict), [(124, "wall-limit")])
            self.assertLessEqual(run.report["usage"]["processes_peak"], 8)
            self.assertIn("processes", run.report["limits_hit"])
            self.assertLess(run.seconds, 5)
        self.everywhere(check)

    # Found as a supervisor that answered one refused fork within another, and never came to its clocks.
    def test_forks_that_are_refused_do_not_keep_the_clocks_from_their_turn(self):
        code = """
import os
while True:
    try: os.fork()
    except OSError: pass
"""
        def check(shop, backend):
            for _ in range(8):
                run = shop.python(code, ["--processes", "8", "--wall", "150ms"], backend=backend, timeout=30)
                self.assertEqual((run.status, run.verdict), (124, "wall-limit"))
                self.assertLess(run.report["usage"]["wall_s"], 2 * SLOW)
        self.everywhere(check, users=False)

    # A zombie is no live process, but it has a number and kernel memory of the host: without end.
    def test_zombies_are_bounded(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        bare = shop.native([shop.guest("tasks"), "zombies", "1000"])
        assert bare.stdout == b"1000\n", bare

        def check(shop, backend):
            run = shop.run([shop.guest("tasks"), "zombies", "1000"], ["--processes", "3"],
                           backend=backend)
            self.assertLess(int(run.out), 1000)
        self.everywhere(check)


if __name__ == "__main__":
    main()
