"""A path that a sibling thread changes while the supervisor serves it: the file that is opened is
the one that was decided on, never another, and the log names that one.

VITRINE_LONG=1: 10^8 changes and more, in as many calls as that takes."""

from harness import *

LONG = bool(os.environ.get("VITRINE_LONG"))
CALLS = 200_000 if LONG else 3000
CHANGES = 100_000_000 if LONG else 1_000_000
BUDGETS = ["--wall", "600s", "--cpu", "900s"] if LONG else []


class Flip(Case):
    def files(self, shop):
        return shop.file("file-a", "open"), shop.file("file-b", "secret")

    def counts(self, out):
        shown, secret, failed, changes = map(int, out.split())
        self.assertGreaterEqual(changes, CHANGES)
        self.assertGreaterEqual(shown + secret + failed, CALLS)
        return shown, secret, failed

    def flip(self, how, call):
        def check(shop, backend):
            shown_file, secret_file = self.files(shop)
            run = shop.run([shop.guest("flip"), how, shown_file, "b", str(CALLS), "20", str(CHANGES)],
                           ["--ro", shown_file, *BUDGETS], backend=backend, timeout=900)
            shown, secret, failed = self.counts(run.out)
            self.assertEqual(secret, 0)
            # Both letters were met, so the race was on.
            self.assertGreater(shown, 0)
            self.assertGreater(failed, 0)
            self.assertReportAgreesWithLog(run)
            logged = [r for r in run.log if r["type"] == "syscall" and r["syscall"] == call]
            served = [r for r in logged if r["args"]["path"] == shown_file]
            denied = [r for r in logged if r["args"]["path"] == secret_file]
            self.assertEqual((len(served), len(denied)), (shown, failed))
            self.assertEqual({r["decision"] for r in served}, {"serve"})
            self.assertEqual({(r["decision"], r["errno"]) for r in denied}, {("deny", "ENOENT")})
        self.everywhere(check)

    def test_changed_path_never_opens_the_secret(self):
        self.flip("open", "openat")

    def test_changed_path_never_tells_of_the_secret(self):
        self.flip("stat", "newfstatat")
        self.flip("access", "access")

    def test_natively_the_secret_is_read(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        shown_file, _ = self.files(shop)
        for how in ("open", "stat"):
            bare = shop.native([shop.guest("flip"), how, shown_file, "b", "300000", "20", str(CHANGES)])
            _, secret, _ = self.counts(bare.stdout)
            self.assertGreater(secret, 0)

    def test_changed_path_of_two_secrets(self):
        # Neither is shown: every single call fails.
        def check(shop, backend):
            shown_file, _ = self.files(shop)
            run = shop.run([shop.guest("flip"), "open", shown_file, "b", str(CALLS // 3), "0"], BUDGETS,
                           backend=backend)
            self.assertEqual((run.status, run.verdict), (0, "exited"), run.err)
            shown, secret, failed, _ = map(int, run.out.split())
            self.assertEqual((shown, secret), (0, 0))
            self.assertGreater(failed, 0)
        self.everywhere(check)


if __name__ == "__main__":
    main()
