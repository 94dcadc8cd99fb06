"""Links and names inside shown host folders that somebody else changes during the run: what is served stays
within what is shown."""

import threading

from harness import *

CANARY = "canary-41d7"

# Opens, walks and asks for whatever is there, for as long as it is told; prints what it ever read.
READER = """
import os, sys, time
folder, secret, until = sys.argv[1], sys.argv[2], time.monotonic() + 1.5
seen, opened = set(), 0
while time.monotonic() < until:
    for path in ("file", "link/file", "link", "deep/link/file", "deep/../link/file", "hard", "moved/file"):
        path = folder + "/" + path
        try:
            with open(path) as file: seen.add(file.read(64))
            opened += 1
        except OSError: pass
        try: seen.add(str(os.stat(path).st_size))
        except OSError: pass
        try: seen.update(os.listdir(path))
        except OSError: pass
    try:
        fd = os.open(folder + "/moved", os.O_RDONLY)
        for up in ("../file", "..", "../../file"):
            try: seen.add(os.read(os.open(up, os.O_RDONLY, dir_fd=fd), 64).decode())
            except OSError: pass
        os.close(fd)
    except OSError: pass
print(opened > 100, sorted(seen))
"""


class Swapper(threading.Thread):
    """Swaps what `link` leads to, what `file` is, and where `moved` lies."""

    def __init__(self, folder, outside):
        super().__init__(daemon=True)
        self.folder, self.outside, self.over, self.swaps = folder, outside, False, 0

    def replace_link(self, target):
        temporary = os.path.join(self.folder, f"t{self.swaps}")
        os.symlink(target, temporary)
        os.rename(temporary, os.path.join(self.folder, "link"))

    def run(self):
        inside = os.path.join(self.folder, "inner")
        moved = os.path.join(self.folder, "moved")
        away = os.path.join(self.outside, "moved")
        while not self.over:
            self.swaps += 1
            self.replace_link(self.outside if self.swaps % 2 else inside)
            try:
                os.rename(moved, away) if self.swaps % 2 else os.rename(away, moved)
            except FileNotFoundError:
                pass


class Races(Case):
    def build(self, shop):
        folder, outside = (os.path.join(shop.path, name) for name in ("shown", "outside"))
        for path in (folder, folder + "/inner", folder + "/deep", folder + "/moved", outside):
            os.mkdir(path)
            with open(path + "/file", "w", encoding="utf-8") as file:
                file.write(CANARY if path == outside else "shown")
        os.symlink("../link", folder + "/deep/link")
        os.link(folder + "/file", folder + "/hard")
        os.symlink(folder + "/inner", folder + "/link")
        return folder, outside

    def read(self, shop, run):
        folder, outside = self.build(shop)
        swapper = Swapper(folder, outside)
        swapper.start()
        out = run([PYTHON, "-c", READER, folder, outside], folder)
        swapper.over = True
        swapper.join()
        self.assertGreater(swapper.swaps, 100)
        self.assertTrue(out.startswith(b"True"), out)
        return out

    def test_what_is_swapped_does_not_lead_out(self):
        def check(shop, backend):
            # On a busy machine the default budgets could end it first.
            options = ["--wall", "100s", "--cpu", "100s", "--ro"]
            out = self.read(shop, lambda command, folder: shop.run(command, [*options, folder],
                                                                   backend=backend).out)
            self.assertNotIn(CANARY.encode(), out)
        self.everywhere(check)

    def test_natively_it_does(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        out = self.read(shop, lambda command, _: shop.native(command).stdout)
        self.assertIn(CANARY.encode(), out)


if __name__ == "__main__":
    main()
