"""A representative dozen of CPython's own test modules, natively and inside, test by test. All of
them: tests/compat/regrtest.sh."""


import regrtest
from harness import *

MODULES = ("test_os", "test_posixpath", "test_shutil", "test_tempfile", "test_glob", "test_fcntl",
           "test_pathlib", "test_fork1", "test_wait4", "test_thread", "test_selectors", "test_json")


class Comparison(unittest.TestCase):
    def test_a_dozen_modules(self):
        try:
            subprocess.run([PYTHON, "-c", "import test.test_os"], check=True, capture_output=True)
        except subprocess.CalledProcessError:
            self.skipTest("libpython3-testsuite is not installed")
        exceptions = regrtest.read_exceptions(os.path.join(regrtest.HERE, "exceptions.txt"))
        never = [pattern for pattern, _, never_ends in exceptions if never_ends]
        user = ensure_user()
        passing = 0
        for module in MODULES:
            with self.subTest(module=module):
                shop = Workshop(user)
                try:
                    native = regrtest.run_module(shop, module, False, 120)
                    inside = regrtest.run_module(shop, module, True, 120, (), never)
                finally:
                    shop.close()
                count, _, _, broken = regrtest.compare(native, inside, exceptions)
                self.assertGreater(count, 0, native.output[-2000:])
                self.assertEqual(broken, {}, inside.output[-2000:] if len(broken) > 5 else None)
                passing += count
        print(passing, "tests compared", flush=True)

    # The comparison itself can tell the difference.
    def test_a_difference_is_found(self):
        native = regrtest.Outcome({"a": ("pass", ""), "b": ("pass", ""), "c": ("failure", "")}, "", "")
        inside = regrtest.Outcome({"a": ("pass", ""), "c": ("failure", "")}, "ended", "")
        self.assertEqual(regrtest.compare(native, inside, []), (2, 1, {}, {"b": "missing: ended"}))
        excused = [("b*", "sentence", False)]
        self.assertEqual(regrtest.compare(native, inside, excused), (2, 1, {"b": "missing: ended"}, {}))


if __name__ == "__main__":
    main()
