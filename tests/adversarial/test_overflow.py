"""Budgets whose number overflows are refused, and nothing of the command runs: taken modulo 2^64 or 2^32 they
would be another budget, or none. The largest that can be written down is one, and does not wrap either."""

from harness import *

# What the same program, which prints "done", cannot do within a small budget (the control).
SLEEP = "import time; time.sleep(0.4); print('done')"
SPIN = "import time\nwhile time.process_time() < 0.4: pass\nprint('done')"
HOLD = "held = bytearray(80 << 20); print('done')"
TELL = "import sys; sys.stdout.write('x' * 100000); print('\\ndone')"
FORK = "import os\nif os.fork() == 0: os._exit(0)\nos.wait(); print('done')"
START = "import threading; t = threading.Thread(target=int); t.start(); t.join(); print('done')"
WRITE = "open('/tmp/file', 'wb').write(bytes(1 << 20)); print('done')"

MOST = (1 << 63) - 1
# Option: the program, a value that is too small for it, the largest, and values that are none.
BUDGETS = {
    "--wall": (SLEEP, "100ms", f"{MOST // 10**9}s",
               [f"{(1 << 64) // 10**6 + 200}ms", f"{(1 << 64) + 200 * 10**6}ns", f"{MOST}s",
                f"{MOST // 10**9 + 1}s", "1e9h", "-1s", ""]),
    "--cpu": (SPIN, "100ms", f"{MOST // 10**9}s",
              [f"{(1 << 64) // 10**6 + 200}ms", f"{MOST // 60}m", "-0.2s", ""]),
    "--memory": (HOLD, "64M", f"{MOST >> 40}T",
                 [f"{(1 << 64) + (64 << 20)}", f"{(1 << 54) + 64}K", f"{1 << 23}T", "1e9G", "-1", ""]),
    "--output": (TELL, "1K", str(MOST), [f"{(1 << 64) + 1024}", f"{1 << 63}", f"{(1 << 44) + 1}M", "-1",
                                         " 1G", ""]),
    "--processes": (FORK, "1", None, [f"{(1 << 32) + 1}", f"{(1 << 64) + 1}", "-1", "0", "1e3", ""]),
    "--threads": (START, "1", None, [f"{(1 << 32) + 1}", f"{(1 << 64) + 1}", "-1", "0", ""]),
    "--scratch": (WRITE, "/tmp=4K", f"/tmp={MOST}",
                  [f"/tmp={(1 << 64) + 4096}", f"/tmp={(1 << 54) + 4}K", "/tmp=-1", "/tmp="]),
}


# What no budget takes, whatever it counts.
NONE_OF_THEM = (str((1 << 64) - 1), str(1 << 64), f"{(1 << 64) - 1}G", "-1", "-1G", "", " ", " 1", "1 ", "1 G", "1e9G", "0x10",
                "+1", "1.5.1", "nan", "inf", "1,000", "١")


class Overflow(Case):
    def attempt(self, shop, backend, option, value, program):
        run = shop.run([PYTHON, "-c", program], [option, value], backend=backend, timeout=30)
        return run, run.out.endswith(b"done\n")

    def test_numbers_that_overflow_are_refused(self):
        def check(shop, backend):
            for option, (program, _, _, values) in BUDGETS.items():
                for value in values:
                    run, done = self.attempt(shop, backend, option, value, program)
                    self.assertEqual((run.status, run.out), (125, b""), (option, value))
                    self.assertIn(option.encode(), run.err)
                    self.assertIn(run.verdict, (None, "setup-error"))
        self.everywhere(check)

    def test_values_that_are_none_for_any_budget(self):
        def check(shop, backend):
            for option in BUDGETS:
                for value in NONE_OF_THEM:
                    value = f"/tmp={value}" if option == "--scratch" else value
                    done = subprocess.run(shop.command(["/bin/echo", "ran"], ["-q", option, value], backend),
                                          capture_output=True, timeout=30)
                    self.assertEqual((done.returncode, done.stdout), (125, b""), (option, value))
                    self.assertIn(option.encode(), done.stderr)
        self.everywhere(check, backends=BACKENDS[:1], users=False)  # the command line is read before either matters

    def test_the_largest_is_no_small_one(self):
        def check(shop, backend):
            for option, (program, _, largest, _) in BUDGETS.items():
                if largest is not None:
                    run, done = self.attempt(shop, backend, option, largest, program)
                    self.assertEqual((run.status, done), (0, True), (option, largest, run.report, run.err))
        self.everywhere(check)

    # The control: each program needs its budget.
    def test_a_small_one_ends_or_refuses(self):
        def check(shop, backend):
            for option, (program, small, _, _) in BUDGETS.items():
                run, done = self.attempt(shop, backend, option, small, program)
                self.assertFalse(done, (option, run.report))
                self.assertNotEqual(run.status, 0)
                self.control()
                self.assertIn(option.strip("-"), " ".join(run.report["limits_hit"]) + run.verdict)
        self.everywhere(check, users=False)


if __name__ == "__main__":
    main()
