"""Strings, buffers and descriptors that are none, half of one, or another's: what the kernel alone answers is
what the program gets, and nothing is read or written beyond what a call declares."""

import errno

from harness import *

GUEST = os.path.join(SOURCE, "tests", "guests", "arguments.py")


class Arguments(Case):
    def lines(self, how):
        shop = Workshop()
        self.addCleanup(shop.close)
        with open(GUEST, encoding="utf-8") as file:
            script = shop.file("arguments.py", file.read())
        folder = os.path.join(shop.path, "folder")
        os.mkdir(folder)
        bare = shop.native([PYTHON, script, how, folder])
        self.assertEqual((bare.returncode, bare.stderr), (0, b""))
        return bare.stdout.decode().splitlines(), folder, script

    def same(self, how, others=(), options=()):
        """As the kernel alone has it, but for the lines that are given."""
        native, folder, script = self.lines(how)
        self.assertGreater(len(native), 50)

        def check(shop, backend):
            run = shop.run([PYTHON, script, how, folder], ["--scratch", folder, "--ro", script, *options],
                           backend=backend)
            self.assertEqual((run.status, run.err), (0, b""))
            found = run.out.decode().splitlines()
            differing = {a: b.split()[-1] for a, b in zip(native, found) if a != b}
            self.assertEqual(differing, dict(others))
            self.assertEqual(len(found), len(native))
        self.everywhere(check)

    def test_strings(self):
        self.same("strings")

    def test_outputs(self):
        self.same("outputs")

    def test_folders(self):
        self.same("folders")

    def test_rare_arguments(self):
        # What asks for a lookup of a kind that is not there has another way ready.
        others = {f"437,cwd,file,oddway,24 -{errno.EINVAL}": f"-{errno.ENOSYS}",
                  f"322,cwd,link,0,0,0x100 -{errno.ELOOP}": f"-{errno.EACCES}"}
        # No kind of socket or address but those that a run may have, whatever else is wrong.
        for line in ("41,1,99,0 -22", "42,S,B,1000 -22", "42,S,bad,16 -14", "49,S,B,1 -22",
                     "49,S,B,1000 -22", "49,S,bad,16 -14"):
            others[line] = f"-{errno.EACCES}"
        self.same("rare", others, ["-p", "python-multiprocess"])

    # A folder of somebody else's tree: passed on, it is a descriptor and no way into that tree.
    def test_a_folder_of_the_callers(self):
        code = """
import os, sys
fd, found = int(sys.argv[1]), []
def attempt(call, *arguments, **named):
    try: found.append(call(*arguments, **named))
    except OSError: pass
for path in ("inside", "../secret", "..", ".", "", sys.argv[2]):
    for call in (os.open, os.mkdir, os.unlink): attempt(call, path, 0, dir_fd=fd) if call is not os.unlink else attempt(call, path, dir_fd=fd)
    attempt(os.stat, path, dir_fd=fd); attempt(os.readlink, path, dir_fd=fd); attempt(os.symlink, "x", path, dir_fd=fd)
    attempt(os.open, f"/proc/self/fd/{fd}/{path}", 0)
for call in (os.fchdir, os.listdir): attempt(call, fd)
print(len(found))
"""
        def passed(shop, run):
            os.mkdir(os.path.join(shop.path, "folder"), 0o777)
            for name in ("folder/inside", "secret"):
                shop.file(name, "text")
            folder = os.open(os.path.join(shop.path, "folder"), os.O_RDONLY)
            try:
                return run([PYTHON, "-c", code, str(folder), os.path.join(shop.path, "secret")], folder)
            finally:
                os.close(folder)

        def check(shop, backend):
            run = passed(shop, lambda line, folder: shop.run(line, ["--pass-fd", str(folder)], backend=backend,
                                                             pass_fds=[folder]))
            self.assertEqual((run.status, run.out), (0, b"0\n"))
            self.assertEqual(os.listdir(os.path.join(shop.path, "folder")), ["inside"])
        self.everywhere(check)
        shop = Workshop()
        self.addCleanup(shop.close)
        self.assertGreater(int(passed(shop, lambda line, folder: shop.native(line, pass_fds=[folder])).stdout), 12)

    def test_strings_that_a_sibling_takes_away(self):
        native, folder, script = self.lines("vanishing")
        both = [f"[-{errno.EFAULT}, -{errno.ENOENT}]"]
        self.assertEqual(native, both)

        def check(shop, backend):
            run = shop.run([PYTHON, script, "vanishing", folder],
                           ["--scratch", folder, "--ro", script], backend=backend)
            self.assertEqual((run.status, run.out.decode().splitlines()), (0, both))
        self.everywhere(check)


if __name__ == "__main__":
    main()
