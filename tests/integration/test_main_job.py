"""The main job: ordinary scripts give the same output and status as the bare interpreter."""

from harness import *

IMPORTS = """
import json, re, sqlite3, decimal, zoneinfo, asyncio, threading, ctypes, hashlib, ssl
print(json.dumps({"a": [1, 2.5, None]}), re.sub("a+", "b", "caat"))
print(sqlite3.connect(":memory:").execute("select 6 * 7").fetchone())
print(decimal.Decimal(1) / 7, zoneinfo.ZoneInfo("Europe/Paris").utcoffset(None))
async def later(): await asyncio.sleep(0.01); return "later"
print(asyncio.run(later()))
seen = []
threads = [threading.Thread(target=seen.append, args=(i,)) for i in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
print(sorted(seen), ctypes.CDLL(None).abs(-3), hashlib.sha256(b"x").hexdigest())
print(ssl.create_default_context().verify_mode)
"""


class MainJob(Case):
    def same(self, code, **kwargs):
        def check(shop, backend):
            script = shop.file("script.py", code)
            self.assertSameAsNative(shop, backend, [PYTHON, script], **kwargs)
        self.everywhere(check)

    def test_print_is_the_same(self):
        self.same("print('hello', 1 + 1)")

    def test_input_is_read(self):
        self.same("print(input('? ') + input())", input=b"one\ntwo\n")

    def test_end_of_input_is_an_error(self):
        self.same("input()", input=b"")

    def test_standard_library_is_the_same(self):
        self.same(IMPORTS)

    def test_traceback_is_the_same(self):
        self.same("def f(x):\n    return 1 / x\nf(0)\n")

    def test_exit_status_is_the_same(self):
        self.same("import sys; sys.exit(3)")

    def test_segmentation_fault_is_the_same(self):
        self.same("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")

    def test_null_dereference_is_the_same(self):
        self.same("import ctypes; ctypes.string_at(0)")

    def test_keyboard_interrupt_is_the_same(self):
        self.same("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)\n")


if __name__ == "__main__":
    main()
