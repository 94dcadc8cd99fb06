"""Threads and processes that come and go, signals in the middle of served calls, forged traps and
frames: the program sees what a kernel alone would show, and the run ends when it should.

VITRINE_LONG=1 makes each of them long: a minute of timers, 10^5 traps, 10^5 threads."""

from harness import *
from harness import SLOW

LONG = bool(os.environ.get("VITRINE_LONG"))


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
