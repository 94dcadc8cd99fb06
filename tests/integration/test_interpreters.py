"""The interpreters people have: Debian's, pyenv's by path and by shim, a venv's, scripts by shebang.
`sys.executable` and the prefixes are those of the bare run."""

import glob

from harness import *

WHO = ("import sys; sys.stdout.write('\\n'.join(map(str, [sys.executable, sys.prefix, "
       "getattr(sys, 'base_prefix', None), sys.exec_prefix, sys.version_info[:3], sys.argv])) + '\\n')")
MODULES = "import json, re, ctypes, hashlib, zlib, struct, threading; print(json.dumps([1]))"


def pyenv_root():
    return os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")


def pyenv_versions():
    return sorted(glob.glob(os.path.join(pyenv_root(), "versions", "*", "bin", "python")))


def reachable(path, user):
    """Whether the ordinary user may execute it at all."""
    if user is None:
        return True
    return subprocess.run(["setpriv", "--reuid", user, "--regid", user, "--init-groups", "--",
                           "/usr/bin/test", "-x", path]).returncode == 0


class Interpreters(Case):
    def same(self, shop, backend, command, options=(), environment=None):
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp",
                       **(environment or {})}
        bare = subprocess.run(shop.as_user(command), cwd=shop.path, env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        run = shop.run(command, options, backend=backend, env=environment)
        self.assertEqual((run.out.decode(), run.err.decode(), run.status),
                         (bare.stdout.decode(), bare.stderr.decode(), bare.returncode))
        self.assertEqual(run.status, 0)
        return run

    def test_debians_by_path_and_by_name(self):
        def check(shop, backend):
            for command in (PYTHON, "python3", "/usr/bin/../bin/python3", "/bin/python3"):
                if os.path.exists(command) or "/" not in command:
                    self.same(shop, backend, [command, "-c", WHO])
        self.everywhere(check)

    def test_relative_path_to_the_program(self):
        def check(shop, backend):
            os.symlink(PYTHON, shop.path + "/mine")
            run = shop.run(["./mine", "-c", "print('ran')"], backend=backend)
            self.assertEqual((run.out, run.status), (b"ran\n", 0), run.err)
        self.everywhere(check)

    def test_modules_and_packages(self):
        def check(shop, backend):
            self.same(shop, backend, [PYTHON, "-I", "-c", WHO])
            self.same(shop, backend, [PYTHON, "-S", "-E", "-c", WHO])
            self.same(shop, backend, [PYTHON, "-m", "json.tool", "--help"])
            self.same(shop, backend, [PYTHON, "-m", "this"])
        self.everywhere(check, users=False)

    def test_script_from_standard_input(self):
        def check(shop, backend):
            for command in ([PYTHON, "-"], [PYTHON]):
                run = shop.run(command, backend=backend, input=b"import sys; print(6 * 7, sys.argv)")
                self.assertEqual((run.status, run.out),
                                 (0, b"42 ['%s']\n" % (b"-" if len(command) > 1 else b"")))
        self.everywhere(check)

    def test_shebangs(self):
        def check(shop, backend):
            body = "\nimport sys\nprint(sys.executable, sys.argv)\n"
            for line in ("#!/usr/bin/python3", "#! /usr/bin/python3 -B", "#!/usr/bin/env python3",
                         "#!/usr/bin/env -S python3 -B"):
                script = shop.file("script", line + body, 0o755)
                self.same(shop, backend, [script, "a", "b c"])
                self.same(shop, backend, ["./script", "-v"])
            found = os.path.join(shop.path, "script")
            run = shop.run(["script", "x"], backend=backend,
                           env={**os.environ, "PATH": shop.path + ":/usr/bin:/bin"})
            self.assertEqual(run.out.decode(), f"{PYTHON} ['{found}', 'x']\n")
        self.everywhere(check)

    def test_script_and_its_traceback(self):
        def check(shop, backend):
            os.mkdir(shop.path + "/folder")
            shop.file("folder/script.py", "import sys\nprint(sys.path[0], __file__)\n1 / 0\n")
            for path in ("folder/script.py", shop.path + "/folder/script.py",
                         "./folder/../folder/script.py"):
                self.assertSameAsNative(shop, backend, [PYTHON, path])
        self.everywhere(check)

    def test_venv_by_hand(self):
        def check(shop, backend):
            venv = shop.path + "/venv"
            packages = venv + "/lib/python%d.%d/site-packages" % sys.version_info[:2]
            os.makedirs(packages)
            os.makedirs(venv + "/bin")
            os.symlink(PYTHON, venv + "/bin/python3")
            os.symlink("python3", venv + "/bin/python")
            shop.file("venv/pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = false\n"
                      "version = %d.%d.%d\n" % sys.version_info[:3])
            with open(packages + "/installed.py", "w") as f:
                f.write("value = 'of the venv'\n")
            code = WHO + "; import installed; print(installed.value)"
            for program in ("venv/bin/python", "venv/bin/python3", venv + "/bin/python"):
                run = self.same(shop, backend, [program, "-B", "-c", code])
                self.assertIn(venv.encode(), run.out)
            by_name = self.same(shop, backend, ["python", "-B", "-c", code],
                                environment={"PATH": venv + "/bin:/usr/bin:/bin",
                                             "VIRTUAL_ENV": venv})
            self.assertIn(venv.encode(), by_name.out)
            tool = shop.file("venv/bin/tool", f"#!{venv}/bin/python3\nimport sys, installed\n"
                             "print(sys.prefix, installed.value)\n", 0o755)
            self.same(shop, backend, [tool])
        self.everywhere(check)

    def test_venv_made_by_the_module(self):
        def check(shop, backend):
            made = subprocess.run([PYTHON, "-m", "venv", "--without-pip", shop.path + "/venv"],
                                  stderr=subprocess.PIPE)
            if made.returncode != 0:
                self.skipTest("this Python cannot make virtual environments (no python3-venv)")
            subprocess.run(["chmod", "-R", "a+rX", shop.path + "/venv"], check=True)
            self.same(shop, backend, [shop.path + "/venv/bin/python", "-B", "-c", WHO])
        self.everywhere(check)

    def test_pyenvs_versions_by_path(self):
        if not pyenv_versions():
            self.skipTest("pyenv is not installed for " + os.path.expanduser("~"))

        def check(shop, backend):
            for program in pyenv_versions():
                if not reachable(program, shop.user):
                    continue
                with self.subTest(program=program):
                    self.same(shop, backend, [program, "-B", "-c", WHO])
                    self.same(shop, backend, [program, "-B", "-c", MODULES])
        self.everywhere(check)

    def test_pyenvs_shims(self):
        shim = os.path.join(pyenv_root(), "shims", "python3")
        if not os.path.exists(shim):
            self.skipTest("pyenv has no shims for " + os.path.expanduser("~"))

        def check(shop, backend):
            if not reachable(shim, shop.user):
                return
            versions = [p.split("/")[-3] for p in pyenv_versions() if p.split("/")[-3][0] == "3"]
            base = {"PATH": f"{os.path.dirname(shim)}:{pyenv_root()}/bin:/usr/bin:/bin",
                    "HOME": os.path.expanduser("~")}

            def result(command, environment):
                bare = subprocess.run(command, cwd=shop.path, env={**base, **environment},
                                      stdout=subprocess.PIPE, timeout=60)
                run = shop.run(command, backend=backend, env={**base, **environment})
                self.assertEqual((run.out, run.status), (bare.stdout, bare.returncode), run.err)
                return run

            for command in ("python3", shim):
                result([command, "-B", "-c", WHO], {})
            for version in versions[:2]:
                run = result(["python3", "-B", "-c", WHO], {"PYENV_VERSION": version})
                self.assertIn(version.encode(), run.out)
            shop.file(".python-version", versions[-1] + "\n")
            run = result(["python3", "-B", "-c", WHO], {})
            self.assertIn(versions[-1].encode(), run.out)
        self.everywhere(check, users=False)

    def test_pyenv_version_that_is_not_installed(self):
        shim = os.path.join(pyenv_root(), "shims", "python3")
        if not os.path.exists(shim):
            self.skipTest("pyenv has no shims for " + os.path.expanduser("~"))
        shop = Workshop()
        self.addCleanup(shop.close)
        environment = {"PATH": f"{os.path.dirname(shim)}:{pyenv_root()}/bin:/usr/bin:/bin",
                       "HOME": os.path.expanduser("~"), "PYENV_VERSION": "9.9.9"}
        # Newer pyenv falls back to the system's Python without a word. A run that was asked for one
        # version and would get another is refused here.
        done = subprocess.run([shop.vitrine, shim, "-c", "1"], env=environment, cwd=shop.path,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 127)
        self.assertEqual((done.stdout, done.stderr.count(b"\n")), (b"", 1), done.stderr)
        self.assertIn(b"9.9.9", done.stderr)


if __name__ == "__main__":
    main()
