"""Packages and programs that people have, natively and inside: what they print is the same. One that
is not installed is skipped, and named."""

import shutil

from harness import *

PACKAGES = {
    "numpy": """
import numpy as np
a = np.arange(90_000.0).reshape(300, 300)
print(np.linalg.matrix_rank(a), (a @ a.T).sum(), np.fft.fft(a[0])[:2].round(3), np.random.default_rng(1).integers(9, size=5))
np.save("/tmp/a.npy", a); print(np.load("/tmp/a.npy", mmap_mode="r").mean())
""",
    "pandas": """
import io, pandas as pd
frame = pd.read_csv(io.StringIO("day,n\\n2024-01-01,1\\n2024-01-02,2\\n2024-02-01,5\\n"), parse_dates=["day"])
print(frame.set_index("day").resample("MS").sum().n.tolist(), frame.day.dt.tz_localize("Europe/Berlin").iloc[0])
""",
    "scipy": """
from scipy import integrate, optimize, sparse
print(round(integrate.quad(lambda x: x * x, 0, 3)[0], 9), optimize.brentq(lambda x: x ** 3 - 8, 0, 5).__round__(9), sparse.eye(50).tocsr().sum())
""",
    "sympy": "import sympy; x = sympy.Symbol('x'); print(sympy.integrate(sympy.sin(x) ** 2, x), sympy.factor(x ** 4 - 1))",
    "sklearn": """
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
x, y = make_classification(200, random_state=0)
print(RandomForestClassifier(20, random_state=0, n_jobs=2).fit(x, y).score(x, y))
""",
    "sqlite3": """
import os, sqlite3
if os.path.exists("/tmp/guest.db"): os.remove("/tmp/guest.db")
for mode in ("delete", "wal"):
    db = sqlite3.connect("/tmp/guest.db", timeout=0.1)
    print(db.execute(f"pragma journal_mode={mode}").fetchone())
    db.execute("create table if not exists t(a, b)")
    with db: db.executemany("insert into t values(?, ?)", [(n, str(n)) for n in range(1000)])
    other = sqlite3.connect("/tmp/guest.db", timeout=0.1)
    db.execute("begin immediate")
    try: other.execute("begin immediate")
    except sqlite3.OperationalError as error: print(error)
    db.rollback(); print(other.execute("select count(*), sum(a) from t").fetchone())
    db.close(), other.close()
os.remove("/tmp/guest.db")
""",
}

PROGRAMS = {
    "bash": ["bash", "-c", "for i in 1 2 3; do echo $((i * i)); done | sort -rn; x=$(printf %s abc); echo ${x^^}; [[ -d /tmp ]] && echo yes"],
    "coreutils": ["bash", "-c", "cd /tmp && mkdir -p vt/a && printf 'b\\na\\n' > vt/a/f && sort vt/a/f | tee vt/g | wc -l && cp -r vt vu && diff -r vt vu"
                  " && ls -R vt | cat && head -c 3 vt/g | od -c && stat -c %F vt && rm -r vt vu && seq 100000 | head -2 && date -d @0 -u +%F; ! cat /tmp && ! grep x /tmp 2>&1"],
    "perl": ["perl", "-e", 'my %h = map { $_ => length } qw(a bb); print join(",", map {"$_$h{$_}"} sort keys %h), "\\n"; print `echo child`;'],
    "lua5.4": ["lua5.4", "-e", "local t = {} for i = 1, 3 do t[i] = i ^ 2 end print(table.concat(t, ' '), _VERSION, io.open('/tmp'):read())"],
    "node": ["node", "-e", "const fs = require('fs'); fs.writeFileSync('/tmp/n', 'x'); Promise.resolve([1, 2].map(x => x * 2)).then(v => console.log(v, fs.readFileSync('/tmp/n', 'utf8')));"
             " try { fs.readFileSync('/tmp') } catch (error) { console.log(error.code) }"],
    "pypy3": ["pypy3", "-c", "import json, sys, threading; print(sys.implementation.name, json.dumps({'a': sum(range(10**6))}))"],
}


class Packages(Case):
    def has(self, module):
        return subprocess.run([PYTHON, "-c", f"import {module}"], capture_output=True).returncode == 0

    def compare(self, arguments, options, shop, backend):
        bare = shop.native(arguments)
        run = shop.run(arguments, options, backend=backend)
        self.assertEqual((run.status, run.out.decode(), run.err.decode()),
                         (0, bare.stdout.decode(), bare.stderr.decode()))
        self.assertNotEqual(run.out, b"")

    def test_packages(self):
        for name, code in PACKAGES.items():
            with self.subTest(package=name):
                if not self.has(name):
                    self.skipTest(f"python3-{name} is not installed")
                self.everywhere(lambda shop, backend: self.compare(
                    [PYTHON, "-c", code], ["-p", "python-scientific"], shop, backend), users=False)

    def test_a_plot_is_collected(self):
        if not self.has("matplotlib"):
            self.skipTest("python3-matplotlib is not installed")
        code = """
import matplotlib.pyplot as plt
plt.plot([1, 4, 9]); plt.title("squares"); plt.savefig("/tmp/plot.png"); print("drawn")
"""

        def check(shop, backend):
            run = shop.python(code, ["-p", "python-scientific", "--collect", "/tmp/plot.png:plot.png"],
                              backend=backend)
            self.assertEqual((run.status, run.out), (0, b"drawn\n"), run.err)
            with open(os.path.join(shop.path, "plot.png"), "rb") as f:
                self.assertEqual(f.read(8), b"\x89PNG\r\n\x1a\n")
        self.everywhere(check)

    def test_programs(self):
        for name, arguments in PROGRAMS.items():
            with self.subTest(program=name):
                if shutil.which(arguments[0], path="/usr/bin:/bin") is None:
                    self.skipTest(f"{name} is not installed")
                memory = ["--memory", "4G"] if name == "node" else []
                self.everywhere(lambda shop, backend: self.compare(
                    arguments, ["-p", "any", *memory], shop, backend), users=False)

    def test_scripts_and_own_programs(self):
        source = '#include <stdio.h>\nint main(int n, char **v) { printf("%d %s\\n", n, v[1]); return 7; }\n'

        def check(shop, backend):
            c = shop.file("own.c", source)
            for kind in ([], ["-static"]):
                program = os.path.join(shop.path, "own")
                subprocess.run(["gcc", *kind, "-o", program, c], check=True)
                run = shop.run([program, "word"], ["-p", "any"], backend=backend)
                self.assertEqual((run.status, run.out), (7, b"2 word\n"), (kind, run.err))
            for first, body in (("#!/bin/bash", 'echo "$0" "$@"'), ("#!/usr/bin/env python3", "import sys; print(sys.argv)"),
                                ("#!/usr/bin/perl -w", 'print "@ARGV\\n";')):
                script = shop.file("script", f"{first}\n{body}\n", 0o755)
                self.compare([script, "a b", "c"], ["-p", "any"], shop, backend)
        self.everywhere(check, users=False)

    def test_pytest_with_plugins(self):
        for module in ("xdist", "pytest_timeout", "pytest_cov"):
            if not self.has(module):
                self.skipTest(f"{module} is not installed")

        def check(shop, backend):
            shop.file("module.py", "def used():\n    return 1\ndef unused():\n    return 2\n")
            shop.file("test_it.py", "import os, pytest, time, module\n"
                      "def test_a(tmp_path, capfd):\n    os.system('echo hi'); assert capfd.readouterr().out == 'hi\\n'\n"
                      "@pytest.mark.timeout(1)\ndef test_b():\n    time.sleep(30)\n"
                      "def test_c():\n    assert module.used() == 1\n")
            run = shop.run([PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "--timeout", "60",
                            "--cov", "module", "test_it.py"],
                           ["-p", "any", "-p", "python-multiprocess", "--ro", ".", "--env", "COVERAGE_FILE=/tmp/coverage"],
                           backend=backend)
            self.assertEqual(run.status, 1, run.err)
            self.assertIn(b"1 failed, 2 passed", run.out)
            self.assertIn(b"Failed: Timeout >1.0s", run.out)
            self.assertRegex(run.out, rb"module.py +4 +1 +75%")
        self.everywhere(check, users=False)

    def test_ipython(self):
        if not self.has("IPython"):
            self.skipTest("python3-ipython is not installed")
        self.everywhere(lambda shop, backend: self.compare(
            [PYTHON, "-m", "IPython", "--no-banner", "--colors=NoColor", "--TerminalInteractiveShell.term_title=False", "-c",
             "x = 6 * 7\n!echo $x\nlines = !seq 3\nprint(lines)\n%who\nprint(In[-1][:5])"],
            ["-p", "any", "--processes", "4"], shop, backend), users=False)

    def test_pytest(self):
        if not self.has("pytest"):
            self.skipTest("python3-pytest is not installed")

        def check(shop, backend):
            test = shop.file("test_it.py", "def test_a(tmp_path):\n    (tmp_path / 'f').write_text('x')\n"
                             "def test_b():\n    assert 1 == 2\n")
            run = shop.run([PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
                           ["--ro", test], backend=backend)
            self.assertEqual(run.status, 1, run.err)
            self.assertIn(b"1 failed, 1 passed", run.out)
        self.everywhere(check, users=False)


if __name__ == "__main__":
    main()
