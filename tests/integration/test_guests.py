"""Python guest programs, each run natively and inside: what they print has to be the same."""

import shutil
import tempfile

from harness import *

GUESTS = os.path.join(SOURCE, "tests", "guests")


class Guests(Case):
    def compare(self, name, options=(), arguments=(), backends=BACKENDS, users=True,
                prepare=lambda shop: None, others=()):
        """`name`.py gets an empty folder as its argument, /tmp inside, and what `arguments` and
        `others`, pairs of a native word and one inside, say."""
        def check(shop, backend):
            prepare(shop)
            with open(os.path.join(GUESTS, name + ".py"), encoding="utf-8") as f:
                script = shop.file(name + ".py", f.read())
            folder = tempfile.mkdtemp(prefix="guest-", dir=shop.path)
            os.chmod(folder, 0o777)
            bare = shop.native([PYTHON, "-B", script, folder, *(a for a, _ in others), *arguments])
            run = shop.run([PYTHON, "-B", script, "/tmp", *(b for _, b in others), *arguments],
                           options, backend=backend)
            self.assertEqual((run.status, run.err.decode(), run.out.decode()),
                             (bare.returncode, bare.stderr.decode(), bare.stdout.decode()))
            self.assertNotEqual(bare.stdout, b"")
            self.assertEqual(bare.returncode, 0)
        self.everywhere(check, backends, users)

    def test_locks(self):
        self.compare("locks", ["--processes", "4"])

    def test_locks_where_signals_take_tasks_out_of_their_wait(self):
        os.environ["VITRINE_TEST_ABSENT"] = "wait_killable_recv"
        self.addCleanup(os.environ.pop, "VITRINE_TEST_ABSENT")
        self.compare("locks", ["--processes", "4"], backends=("notify",))

    def test_path_only(self):
        self.compare("path_only")

    def test_absent(self):
        self.compare("absent")

    def test_terminals(self):
        self.compare("terminals", ["--processes", "4"])

    def test_sockets(self):
        self.compare("sockets", ["--processes", "4"])

    def test_directories(self):
        self.compare("directories", ["--processes", "2"])
        # What stood for the folders was removed when it was made; one that is there is another run's.
        def left():
            return {name for name in os.listdir("/dev/shm") if name.startswith(".vitrine-")}
        first = left()
        time.sleep(0.5 if first else 0)
        self.assertEqual(first & left(), set())

    def test_directories_where_no_folder_can_be_made(self):
        os.environ["VITRINE_TEST_ABSENT"] = "nameless_folder"
        self.addCleanup(os.environ.pop, "VITRINE_TEST_ABSENT")
        self.compare("directories", ["--processes", "2"], ["in brief"], users=False)

    def test_limits(self):
        self.compare("limits", ["--processes", "4"])

    def test_waiting(self):
        self.compare("waiting", ["--processes", "6"], users=False)

    def test_waiting_where_signals_take_tasks_out_of_their_wait(self):
        os.environ["VITRINE_TEST_ABSENT"] = "wait_killable_recv"
        self.addCleanup(os.environ.pop, "VITRINE_TEST_ABSENT")
        self.compare("waiting", ["--processes", "6"], backends=("notify",), users=False)

    def test_files(self):
        most = "100000" if os.environ.get("VITRINE_LONG") else "1000"
        self.compare("files", ["--processes", "2", "--scratch", "/tmp=512M"], [most])

    def test_pools(self):
        self.compare("pools", ["-p", "python-multiprocess", "-p", "any", "--processes", "16"],
                     users=False)

    def test_system(self):
        self.compare("system", ["--processes", "2", "--scratch", "/dev/shm"])

    def test_volumes(self):
        def prepare(shop):
            shutil.rmtree(other, ignore_errors=True)
            os.mkdir(other)
            os.chmod(other, 0o777)
        other = tempfile.mkdtemp(prefix="vitrine-test-", dir="/dev/shm")
        self.addCleanup(shutil.rmtree, other, ignore_errors=True)
        if os.stat(other).st_dev == os.stat("/var/tmp").st_dev:
            self.skipTest("/dev/shm and /var/tmp are one file system here")
        self.compare("volumes", ["--scratch", "/other"], prepare=prepare, others=[(other, "/other")])

    def test_processes(self):
        self.compare("processes", ["--processes", "4"])

    def test_names(self):
        def prepare(shop):
            shop.file("a script with a long name", "#!/usr/bin/env -S python3 -S\nprint('script', "
                      "open('/proc/self/comm').read(), open('/proc/self/cmdline').read()[:7])\n", 0o755)
        self.compare("names", ["--ro", ".", "-p", "any", "--processes", "4"], prepare=prepare)


if __name__ == "__main__":
    main()
