"""Calls that the supervisor makes a task perform run on the program's own instruction and in its own
memory: its other threads change both meanwhile. The supervisor neither waits for them nor believes
them, and what it opened for one call is not the answer of another."""

import errno

from harness import *


class Injected(Case):
    def control(self, how):
        shop = Workshop()
        self.addCleanup(shop.close)
        bare = shop.native([shop.guest("injected"), how])
        self.assertEqual((bare.returncode, bare.stdout), (0, b"opened 1\n"))

    def attack(self, how, within):
        def check(shop, backend):
            run = shop.run([shop.guest("injected"), how], ["--wall", "1s", "--ro", "/bin/true"],
                           backend=backend, timeout=30)
            self.assertIn((run.status, run.verdict), [(120, "violation"), (124, "wall-limit")])
            self.assertLess(run.seconds, within)
        self.everywhere(check)

    def detour(self, backends, absent):
        def check(shop, backend):
            # A race: on a busy machine a whole run may pass without the sibling ever winning it.
            for _ in range(8):
                run = shop.run([shop.guest("injected"), "detour"], ["--ro", "/bin/true"],
                               backend=backend, env=dict(os.environ, VITRINE_TEST_ABSENT=absent))
                if run.status != 0:
                    break
            self.assertEqual((run.status, run.verdict), (120, "violation"))
        self.everywhere(check, backends)

    # Found as a supervisor that waited for ever, for the wall clock and for signals as well.
    def test_an_instruction_that_goes_nowhere_does_not_hold_up_the_supervisor(self):
        self.control("spin")
        self.attack("spin", 5)

    # Found as a supervisor without a timer, which waited for as long as the program liked: the kernel
    # counts timers and signals that wait by user, and the program had made them all.
    def test_a_full_queue_of_signals_does_not_take_the_supervisors_timer(self):
        self.attack("pending", 5)

    def test_budgets_are_looked_at_while_a_call_is_waited_for(self):
        def check(shop, backend):
            run = shop.run([shop.guest("injected"), "spin"], ["--wall", "1s", "--ro", "/bin/true"],
                           backend=backend, timeout=30)
            self.assertEqual((run.status, run.verdict), (124, "wall-limit"))
            self.assertLess(run.report["usage"]["wall_s"], 1.9)  # the supervisor is patient for 2 s
        self.everywhere(check)

    # While the supervisor waits for a task to arrive, nobody looks at the budgets.
    def test_waiting_for_a_task_that_its_siblings_starve_ends_with_the_run(self):
        def check(shop, backend):
            options = ["--wall", "1s", "--cpu", "none", "--threads", "100", "--ro", "/bin/true"]
            for _ in range(3):  # it comes to the waiting in one run of six
                run = shop.run([shop.guest("injected"), "starve"], options, backend=backend,
                               timeout=60)
                self.assertEqual((run.status, run.verdict), (124, "wall-limit"))
                self.assertLess(run.seconds, 5)
        self.everywhere(check, users=False)

    def test_an_instruction_of_the_foreign_abi_does_not_hold_up_the_supervisor(self):
        self.control("foreign")
        self.attack("foreign", 5)

    def test_an_instruction_that_leads_to_another_call_ends_the_run(self):
        self.control("detour")
        self.detour(BACKENDS, "")

    # Found as believed: registers were not looked at where the kernel says nothing more.
    def test_the_same_where_the_kernel_tells_of_no_entry(self):
        self.detour([b for b in BACKENDS if b != "syscall"], "get_syscall_info")

    def test_stopping_and_continuing_changes_nothing(self):
        def check(shop, backend):
            for _ in range(3):
                run = shop.run([shop.guest("injected"), "stop"], ["--processes", "2"],
                               backend=backend, timeout=60)
                self.assertEqual((run.status, run.out, run.verdict), (0, b"opened 300\n", "exited"))
        self.everywhere(check)

    def test_the_descriptor_channel_cannot_be_closed_or_replaced(self):
        expected = (f"close {errno.EBADF}\nrange 0\nall 0\ndup2 {errno.EBADF}\ndup3 {errno.EBADF}\n"
                    f"dupfd {errno.EINVAL}\nwrong 0\nlast 1\n")

        def check(shop, backend):
            run = shop.run([shop.guest("injected"), "channel"], backend=backend)
            self.assertEqual((run.status, run.out.decode()), (0, expected))
        self.everywhere(check)

    # Found as ENOENT and EACCES of the host's own tree, told by the failed execution.
    def test_a_failed_execution_says_nothing_of_the_host(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        bare = [shop.native([shop.guest("calls"), "59", "@" + path, "0", "0"]).stdout
                for path in ("/etc/passwd", "/etc/not-there")]
        self.assertEqual(bare, [b"%d\n" % -errno.EACCES, b"%d\n" % -errno.ENOENT])

        def check(shop, backend):
            answers = {path: shop.run([shop.guest("oracle"), "/bin/true", path],
                                      ["--ro", "/bin/true"], backend=backend).out
                       for path in ("/etc/passwd", "/root", "/etc/not-there", "/bin/ls")}
            self.assertEqual(set(answers.values()), {b"%d\n" % errno.EFAULT}, answers)
        self.everywhere(check)


if __name__ == "__main__":
    main()
