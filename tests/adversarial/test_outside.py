"""Nothing reaches a process outside the run: neither one of the same user nor the supervisor, by no
call that takes a process. Natively all of these work on one's own."""

import errno

from harness import *

# {pid} is the victim. What natively gives a number that is no error, on a process of one's own.
CALLS = {
    "kill": "62 {pid} 0", "tkill": "200 {pid} 0", "tgkill": "234 {pid} {pid} 0",
    "prlimit64": "302 {pid} 7 0 &16", "sched_getaffinity": "204 {pid} 128 &128",
    "getpriority": "140 0 {pid}", "setpriority": "141 0 {pid} 19", "ioprio_set": "251 1 {pid} 0x6000",
    "ioprio_get": "252 1 {pid}", "pidfd_open": "434 {pid} 0", "getpgid": "121 {pid}",
    "getsid": "124 {pid}", "sched_getparam": "143 {pid} &8", "sched_getscheduler": "145 {pid}",
    "sched_getattr": "315 {pid} &64 64 0", "sched_setscheduler": "144 {pid} 3 &8",
    "kcmp": "312 {pid} {pid} 0 0 0", "clock": "228 {clock} &16", "ptrace": "101 16902 {pid} 0 0",
    "status": "2 @/proc/{pid}/status 0", "environ": "2 @/proc/{pid}/environ 0",
    "folder": "4 @/proc/{pid} &256", "link": "89 @/proc/{pid}/exe &256 256",
}


class Outside(Case):
    def words(self, pid):
        clock = (~pid << 3) | 2
        lines = [line.format(pid=pid, clock=clock) for line in CALLS.values()]
        return " , ".join(lines).split()

    def results(self, out):
        return dict(zip(CALLS, [int(line) for line in out.split()]))

    def victim(self, shop):
        victim = subprocess.Popen(shop.as_user(["sleep", "100"]))
        self.addCleanup(victim.wait)
        self.addCleanup(victim.kill)
        time.sleep(0.1)  # setpriv becomes sleep
        return victim

    def test_natively_they_work(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        results = self.results(shop.native([shop.guest("calls"), *self.words(self.victim(shop).pid)]).stdout)
        failed = {name for name, result in results.items() if result < 0}
        self.assertLessEqual(failed, {"kcmp"}, results)  # not in every kernel

    def refused(self, shop, backend, pid):
        run = shop.run([shop.guest("calls"), *self.words(pid)], backend=backend)
        results = self.results(run.out)
        self.assertEqual(len(results), len(CALLS))
        refusals = {-errno.EPERM, -errno.ESRCH, -errno.ENOENT, -errno.EINVAL, -errno.ENOSYS}
        self.assertEqual({n: r for n, r in results.items() if r not in refusals}, {})
        return results

    def test_a_process_of_the_same_user(self):
        def check(shop, backend):
            victim = self.victim(shop)
            before = os.sched_getaffinity(victim.pid), os.getpriority(os.PRIO_PROCESS, victim.pid)
            there = self.refused(shop, backend, victim.pid)
            self.assertIsNone(victim.poll())
            self.assertEqual(before, (os.sched_getaffinity(victim.pid),
                                      os.getpriority(os.PRIO_PROCESS, victim.pid)))
            # And it is not told apart from one that does not exist.
            self.assertEqual(there, self.refused(shop, backend, 4194303))
        self.everywhere(check)

    def test_the_supervisor(self):
        calls = " , ".join(line.format(pid="ppid", clock="-1") for name, line in CALLS.items()
                           if "@" not in line and name != "clock").split()

        def check(shop, backend):
            run = shop.run([shop.guest("calls"), *calls], backend=backend)
            self.assertEqual((run.status, run.verdict), (0, "exited"))
            self.assertTrue(all(int(line) in (-errno.EPERM, -errno.ESRCH, -errno.ENOSYS)
                                for line in run.out.split()), run.out)
        self.everywhere(check)

    def test_signals_to_everybody(self):
        def check(shop, backend):
            victim = self.victim(shop)
            run = shop.run([shop.guest("calls"), *"62 -1 9 , 62 -2 9 , 62 0x80000000 9".split()],
                           backend=backend)
            self.assertTrue(all(int(line) in (-errno.EPERM, -errno.ESRCH)
                                for line in run.out.split()), run.out)
            self.assertIsNone(victim.poll())
        self.everywhere(check)

    def test_sockets(self):
        families = range(1, 46)
        calls = " , ".join(f"41 {family} {kind} 0" for family in families for kind in (1, 2, 3, 5))

        def check(shop, backend):
            run = shop.run([shop.guest("calls"), *calls.split()], backend=backend)
            self.assertEqual({int(line) for line in run.out.split()}, {-errno.EACCES})
            # Several processes may talk to each other (test_sockets.py).
            run = shop.run([shop.guest("calls"), *calls.split()], ["--processes", "2"],
                           backend=backend)
            results = [int(line) for line in run.out.split()]
            self.assertTrue(results[0] > 0 and results[3] > 0, results)
            self.assertEqual({*results[1:3], *results[4:]}, {-errno.EACCES})
            # A connected datagram pair could be sent anywhere: what is made is a pair of packet
            # sockets.
            pairs = shop.run([shop.guest("calls"), *"53 1 2 0 &8 , 53 1 5 0 &8".split()],
                             backend=backend)
            self.assertEqual(pairs.out, b"0\n0\n")
        self.everywhere(check)


if __name__ == "__main__":
    main()
