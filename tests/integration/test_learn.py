"""`vitrine learn` writes the least profile that lets a program run again without a denial, and
`profile check --diff` tells what one profile grants beyond another."""

import json
import stat

from harness import *


def read_text(path):
    with open(path) as f:
        return f.read()


class Learn(Case):
    def learn(self, shop, arguments, options=(), name="my.json", env=None):
        """The learned profile, and the run that taught it; `files` by what they show."""
        path = os.path.join(shop.path, name)
        line = [shop.vitrine, "learn", *options, "-o", path, "--", *arguments]
        done = subprocess.run(shop.as_user(line), cwd=shop.path, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=900 if SANITIZED else 120, env=env)
        profile = read_json(path) if os.path.exists(path) else None
        return done, profile

    def again(self, shop, arguments, name="my.json", **kwargs):
        """The same command under the learned profile: the same result and not one denial."""
        run = shop.run(arguments, ["-p", os.path.join(shop.path, name)], **kwargs)
        self.assertEqual((run.status, run.denials()), (0, []), run.err)
        return run

    @staticmethod
    def entries(profile, kind):
        return {entry[kind] for entry in profile.get("files", []) if kind in entry}

    def anywhere(self, check):
        """With the backend that this place gives, as root and as an ordinary user."""
        self.everywhere(lambda shop, backend: check(shop), backends=(None,))

    # --- real programs

    def test_script_with_config_and_data_beside_it(self):
        def check(shop):
            os.mkdir(f"{shop.path}/app", 0o755)
            os.mkdir(f"{shop.path}/app/data", 0o755)
            for i in range(3):
                shop.file(f"app/data/{i}.txt", "x" * i)
            shop.file("app/config.json", '{"factor": 2}')
            shop.file("app/unused.txt", "not read")
            script = shop.file("app/main.py", """
import json, pathlib
here = pathlib.Path(__file__).parent
factor = json.loads((here / "config.json").read_text())["factor"]
print(factor * sum(len(p.read_text()) for p in (here / "data").glob("*.txt")))
""")
            done, profile = self.learn(shop, [PYTHON, script])
            self.assertEqual((done.returncode, done.stdout), (0, b"6\n"), done.stderr)
            self.assertEqual(self.entries(profile, "show"),
                             {f"{shop.path}/app/data", f"{shop.path}/app/config.json"})
            self.assertEqual(self.entries(profile, "scratch"), set())
            self.assertEqual(profile["extends"], "base")
            self.assertEqual((profile["limits"]["processes"], profile["limits"]["threads"]), (1, 1))
            self.assertEqual(self.again(shop, [PYTHON, script]).out, b"6\n")
        self.anywhere(check)

    def test_sqlite_in_scratch(self):
        code = """
import sqlite3, tempfile
base = sqlite3.connect(tempfile.mkdtemp() + "/base.db")
base.execute("create table t (a)")
base.executemany("insert into t values (?)", [("x" * 100,)] * 20000)
base.commit()
print(base.execute("select count(*) from t").fetchone()[0])
"""
        def check(shop):
            done, profile = self.learn(shop, [PYTHON, "-c", code])
            self.assertEqual(done.stdout, b"20000\n", done.stderr)
            self.assertEqual(self.entries(profile, "scratch"), {"/tmp"})
            size = [e["size"] for e in profile["files"] if "scratch" in e][0]
            self.assertIn(size, ("4M", "8M", "16M"), "twice what was used, rounded up")
            self.assertEqual(self.again(shop, [PYTHON, "-c", code]).out, b"20000\n")
        self.anywhere(check)

    def test_numpy(self):
        code = "import numpy; print(numpy.linalg.inv(numpy.eye(200)).sum())"
        if subprocess.run([PYTHON, "-c", "import numpy"], stderr=subprocess.DEVNULL).returncode:
            self.skipTest("python3-numpy is not installed")
        def check(shop):
            done, profile = self.learn(shop, [PYTHON, "-c", code])
            self.assertEqual(done.stdout, b"200.0\n", done.stderr)
            self.assertFalse([p for p in self.entries(profile, "show")
                              if p in ("/etc", "/usr", "/usr/lib", "/etc/alternatives")])
            self.assertEqual(self.again(shop, [PYTHON, "-c", code]).out, b"200.0\n")
        self.anywhere(check)

    def test_processes(self):
        def check(shop):
            script = shop.file("pool.py", """
import multiprocessing, subprocess
def square(x): return x * x
if __name__ == "__main__":
    print(subprocess.run("echo hi | tr a-z A-Z", shell=True, capture_output=True).stdout)
    with multiprocessing.Pool(3) as pool: print(pool.map(square, range(5)))
""")
            done, profile = self.learn(shop, [PYTHON, script])
            self.assertEqual(done.stdout, b"b'HI\\n'\n[0, 1, 4, 9, 16]\n", done.stderr)
            self.assertGreater(profile["limits"]["processes"], 3)
            self.assertIn("/bin/sh", self.entries(profile, "show"))
            self.assertEqual(self.again(shop, [PYTHON, script]).out, done.stdout)
        self.anywhere(check)

    # --- what is never granted by itself

    def test_secrets_homes_and_roots_are_kept(self):
        code = """
import os, sys
home = sys.argv[1]
for path in ("/", "/etc", home):
    os.listdir(path)
for path in (home + "/.ssh/id_rsa", home + "/.netrc", home + "/work/.env", "/etc/shadow",
             home + "/notes/a.txt"):
    try: print(path[len(home):] if path.startswith(home) else path, open(path).read().strip()[:4])
    except OSError as e: print(path[len(home):] if path.startswith(home) else path, e.errno)
os.listdir(home + "/work")
"""
        def check(shop):
            home = f"{shop.path}/home"
            for folder in ("", "/.ssh", "/work", "/notes"):
                os.mkdir(home + folder, 0o755)
            shop.file("home/.ssh/id_rsa", "key")
            shop.file("home/.netrc", "password")
            shop.file("home/work/.env", "TOKEN")
            shop.file("home/notes/a.txt", "note")
            environment = {**os.environ, "HOME": home}
            done, profile = self.learn(shop, [PYTHON, "-c", code, home], env=environment)
            self.assertEqual(done.stdout.decode().split("\n")[:5],
                             ["/.ssh/id_rsa 2", "/.netrc 2", "/work/.env TOKE", "/etc/shadow 2",
                              "/notes/a.txt note"], "known places are hidden already")
            self.assertEqual(self.entries(profile, "show"), {f"{home}/notes/a.txt"})
            said = done.stderr.decode()
            for what in (f"{home}/.ssh/id_rsa", f"{home}/.netrc", f"{home}/work/.env",
                         "/etc/shadow", f"{home}: ", f"{home}/work: ", "/etc: "):
                self.assertIn(f"{what}", said)
            self.assertIn("it holds .env", said)
            self.assertIn("it is a home folder", said)
        self.anywhere(check)

    def test_a_secret_behind_a_link_is_kept(self):
        def check(shop):
            os.mkdir(f"{shop.path}/data", 0o755)
            shop.file("server.key", "secret")
            shop.file("data/a.txt", "fine")
            os.symlink("../server.key", f"{shop.path}/data/b.txt")
            os.symlink("a.txt", f"{shop.path}/data/c.txt")
            done, profile = self.learn(
                shop, [PYTHON, "-c", "print(open('data/b.txt').read(), open('data/c.txt').read())"])
            self.assertEqual(done.stdout, b"secret fine\n", done.stderr)
            self.assertFalse([p for p in self.entries(profile, "show") if p.endswith((".key", "b.txt"))])
            self.assertIn(b"server.key", done.stderr)
        self.anywhere(check)

    def test_what_is_refused_is_named_with_its_reason(self):
        code = """
import os, socket
for use in (lambda: socket.socket(), lambda: open("out.txt", "w"), lambda: os.mkdir("/srv/new")):
    try: use()
    except OSError as e: pass
"""
        def check(shop):
            done, profile = self.learn(shop, [PYTHON, "-c", code])
            said = done.stderr.decode()
            self.assertIn("not granted: socket AF_INET: no profile allows the network", said)
            self.assertIn(f"not granted: openat {shop.path}/out.txt: only scratch folders", said)
            self.assertIn("not granted: mkdir /srv/new: only scratch folders", said)
            self.assertFalse(os.path.exists(f"{shop.path}/out.txt"))
            self.assertFalse(os.path.exists("/srv/new"))
        self.anywhere(check)

    def test_what_a_budget_refused_is_named(self):
        cases = ((["--processes", "1"], "import os\ntry: os.fork()\nexcept OSError: pass", "clone SIGCHLD", "processes"),
                 (["--threads", "1"], "import threading\ntry: threading.Thread(target=print).start()\n"
                  "except RuntimeError: pass", "clone CLONE_THREAD", "threads"),
                 (["--memory", "100M"], "try: bytearray(1 << 30)\nexcept MemoryError: pass", "mmap", "memory"))
        def check(shop):
            for number, (options, code, what, budget) in enumerate(cases):
                done, profile = self.learn(shop, [PYTHON, "-c", code], options, name=f"{number}.json")
                call, _, flag = what.partition(" ")
                lines = [line for line in done.stderr.decode().splitlines()
                         if f"not granted: {call} " in line and flag in line]
                self.assertEqual([line.rpartition(": ")[2] for line in lines], [f"the budget of {budget}"], done.stderr)
                self.assertIsNotNone(profile)
        self.anywhere(check)

    def test_many_files_become_their_folder_and_a_few_do_not(self):
        code = "import sys\nfor i in range(int(sys.argv[2])): open(f'{sys.argv[1]}/{i}').read()"
        def check(shop):
            for folder in ("few", "many"):
                os.mkdir(f"{shop.path}/{folder}", 0o755)
                for i in range(20):
                    shop.file(f"{folder}/{i}", "")
            _, few = self.learn(shop, [PYTHON, "-c", code, "few", "16"], name="few.json")
            _, many = self.learn(shop, [PYTHON, "-c", code, "many", "17"], name="many.json")
            self.assertEqual(self.entries(few, "show"), {f"{shop.path}/few/{i}" for i in range(16)})
            self.assertEqual(self.entries(many, "show"), {f"{shop.path}/many"})
        self.anywhere(check)

    # --- several runs, options, errors

    def test_runs_are_merged(self):
        code = "import sys\nprint(open(sys.argv[1]).read(), 'x' * int(sys.argv[2]))"
        def check(shop):
            a, b = shop.file("a.txt", "A"), shop.file("b.txt", "B")
            self.learn(shop, [PYTHON, "-c", code, a, "1"])
            path = f"{shop.path}/my.json"
            text = read_text(path).replace('"read"', '"the first, by hand"')
            shop.file("my.json", text)
            refused, _ = self.learn(shop, [PYTHON, "-c", code, b, "1"])
            self.assertEqual(refused.returncode, 125)
            self.assertIn(b"--merge adds to it", refused.stderr)
            self.assertEqual(read_text(path), text, "nothing is overwritten")
            done, merged = self.learn(shop, [PYTHON, "-c", code, b, "2000000"], ["--merge"])
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(self.entries(merged, "show"), {a, b})
            self.assertEqual(merged["files"][0]["comment"], "the first, by hand")
            self.assertEqual(merged["limits"]["output"], "4M")
            for name, size in ((a, "1"), (b, "2000000")):
                self.again(shop, [PYTHON, "-c", code, name, size])
        self.anywhere(check)

    def test_options_go_into_the_profile_and_values_do_not(self):
        def check(shop):
            folder = f"{shop.path}/given"
            os.mkdir(folder, 0o755)
            shop.file("given/a", "")
            done, profile = self.learn(
                shop, [PYTHON, "-c", "import os; print(os.environ['TOKEN'])"],
                ["--ro", "given", "--scratch", "/work=2M", "--env", "TOKEN=s3cret", "--env", "EDITOR",
                 "--memory", "1G", "-p", "python"])
            self.assertEqual(done.stdout, b"s3cret\n", done.stderr)
            self.assertIn(folder, self.entries(profile, "show"))
            self.assertEqual(self.entries(profile, "scratch"), {"/work"})
            self.assertEqual((profile["extends"], profile["limits"]["memory"]), ("python", "1G"))
            self.assertEqual(profile["environment"], {"EDITOR": {"pass": True}})
            self.assertNotIn("s3cret", json.dumps(profile))
            self.assertIn(b"not in the profile: --env TOKEN", done.stderr)
        self.anywhere(check)

    def test_a_program_that_looks_everywhere_is_learned_in_bounds(self):
        code = """
import os
for folder, folders, files in os.walk("/usr"):
    for name in files:
        try: os.stat(os.path.join(folder, name))
        except OSError: pass
    if folder.count("/") > 4: folders.clear()
"""
        shop = Workshop()
        self.addCleanup(shop.close)
        start = time.monotonic()
        done, profile = self.learn(shop, [PYTHON, "-c", code])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertLess(time.monotonic() - start, 600 if SANITIZED else 60)
        self.assertLessEqual(len(profile["files"]), 4000)
        self.assertNotIn("/usr", self.entries(profile, "show"))

    def test_a_file_that_was_left_is_no_trap(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        victim = shop.file("victim", "precious")
        os.symlink("victim", f"{shop.path}/my.json.part")
        done, profile = self.learn(shop, ["/bin/true"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(read_text(victim), "precious")
        self.assertIsNotNone(profile)
        os.chmod(f"{shop.path}/my.json", 0o600)
        self.learn(shop, ["/bin/true"], ["--merge"])
        self.assertEqual(stat.S_IMODE(os.stat(f"{shop.path}/my.json").st_mode), 0o600)

    def test_errors_write_nothing(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        for options, sentence in ((["--merge", "-o", "none.json"], "no profile to add to"),
                                  ([], "needs -o PROFILE"),
                                  (["-o", "/nonexistent/x.json"], "No such file"),
                                  (["-o", "a.json", "-p", "nothing"], "no profile"),
                                  (["-o", "a.json", "--merge", "-p", "python"], "leave out --profile")):
            done = subprocess.run([shop.vitrine, "learn", *options, "--", "/bin/echo", "ran"],
                                  cwd=shop.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertEqual((done.returncode, done.stdout), (125, b""), options)
            self.assertIn(sentence, done.stderr.decode())
        self.assertEqual([n for n in os.listdir(shop.path) if n.endswith((".json", ".part"))], [])
        done = subprocess.run([shop.vitrine, "learn", "-q", "-o", "b.json", "/bin/sh", "-c", "exit 7"],
                              cwd=shop.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual((done.returncode, done.stderr), (7, b""), "the command's own status")
        self.assertTrue(stat.S_ISREG(os.lstat(f"{shop.path}/b.json").st_mode))


class Difference(Case):
    def diff(self, shop, less, more):
        names = []
        for name, profile in (("less.json", less), ("more.json", more)):
            names.append(shop.file(name, json.dumps(profile)) if isinstance(profile, dict)
                         else profile)
        return subprocess.run([shop.vitrine, "profile", "check", "--diff", *names],
                              cwd=shop.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def assertGrants(self, shop, less, more, words):
        done = self.diff(shop, less, more)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        lines = done.stdout.splitlines()[1:]
        self.assertEqual(len(lines), len(words), done.stdout)
        for line, word in zip(lines, words):
            self.assertIn(word, line)

    def assertNothing(self, shop, less, more):
        done = self.diff(shop, less, more)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("grants nothing more", done.stdout)

    def test_diff(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        for folder in ("data", "data/inner", "other"):
            os.mkdir(f"{shop.path}/{folder}")
        shop.file("other/secret")
        os.symlink("../other/secret", f"{shop.path}/data/link")
        data, inner = f"{shop.path}/data", f"{shop.path}/data/inner"
        show = lambda path, **more: {"files": [{"show": path, **more}]}
        self.assertNothing(shop, "python", "python")
        self.assertNothing(shop, "python", "base")
        self.assertNothing(shop, show(data), show(inner))
        self.assertGrants(shop, show(inner), show(data), [data])
        self.assertGrants(shop, show(data), show(data, at="/elsewhere"), ["/elsewhere"])
        hidden = {"files": [{"show": data}, {"hide": inner}]}
        self.assertGrants(shop, hidden, show(data), [inner])
        self.assertNothing(shop, show(data), hidden)
        self.assertNothing(shop, show(data), {"files": [{"show": data}, {"folder": inner}]})
        self.assertGrants(shop, hidden, {"files": [{"show": data}, {"folder": inner}]}, [inner])
        self.assertGrants(shop, show(data), show(f"{data}/link"), [f"{shop.path}/other/secret"])
        self.assertGrants(shop, {"files": [{"scratch": "/w", "size": "1M"}]},
                          {"files": [{"scratch": "/w", "size": "2M"}]}, ["2 MiB"])
        self.assertGrants(shop, {"limits": {"wall": "5s", "memory": "1G", "cpu": "none"}},
                          {"limits": {"wall": "none", "memory": "2G", "cpu": "1s"}},
                          ["wall", "2 GiB"])
        self.assertGrants(shop, {"syscalls": {"kill": ["fork"], "deny": ["pipe", "alarm"]}},
                          {"syscalls": {"deny": ["fork", "alarm"]}}, ["fork", "pipe"])
        self.assertGrants(shop, {"on_deny": "kill"}, {"audit": {"on_failure": "count"}},
                          ["denied call", "log"])
        self.assertGrants(shop, {}, {"environment": {"A": "1", "B": {"pass": True}}}, ["A", "B"])
        for names in ((), ("base",), ("base", "base", "base"), ("base", "absent.json")):
            done = subprocess.run([shop.vitrine, "profile", "check", "--diff", *names],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertEqual((done.returncode, done.stdout), (125, b""), names)


if __name__ == "__main__":
    main()
