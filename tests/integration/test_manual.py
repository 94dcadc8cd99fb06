"""The manual pages: well-formed, complete, their tables those of the sources, their examples work."""

import json
import re

import manual_tables
from harness import *
from harness import find_vitrine

PAGES = ("vitrine.1", "vitrine-profile.5", "vitrine-audit.5")


def page(name):
    with open(os.path.join(SOURCE, "man", name), encoding="utf-8") as f:
        return f.read()


def plain(text):
    """Literal roff as what it prints."""
    text = re.sub(r"\\\((.)q", lambda m: {"d": '"', "a": "'"}[m[1]], text)
    return text.replace(r"\&", "").replace(r"\-", "-").replace(r"\e", "\\")


def examples(name):
    """Every literal display of the page, and every one-line one that is a command."""
    text = page(name)
    blocks = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed$", text, re.M | re.S)
    lines = re.findall(r"^\.Dl (.*)$", text, re.M)
    return [plain(block) for block in blocks] + [plain(line) for line in lines]


class Manual(Case):
    def shop(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        return shop

    def sh(self, shop, script, status=0):
        """A shell in a folder that has what the examples speak of."""
        home = os.path.join(shop.path, "home")
        os.makedirs(f"{home}/data", exist_ok=True)
        commands = os.path.join(shop.path, "commands")
        os.makedirs(commands, exist_ok=True)
        if not os.path.exists(f"{commands}/vitrine"):
            os.symlink(shop.vitrine, f"{commands}/vitrine")
        shop.file("job.py", "import sys\nfor name in sys.argv[1:]: print(open(name).read())\n"
                            "open('/tmp/out', 'w').write('result')\n")
        for name in ("home/data/input.csv", "a.csv", "b.csv"):
            shop.file(name, "1,2\n")
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script], cwd=shop.path, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, timeout=60,
            env={**os.environ, "HOME": home, "PATH": f"{commands}:{os.environ['PATH']}"})
        self.assertEqual(done.returncode, status, script + done.stdout + done.stderr)
        return done.stdout

    def test_pages_are_well_formed(self):
        for name in PAGES:
            done = subprocess.run(["mandoc", "-Tlint", "-W", "style", os.path.join(SOURCE, "man", name)],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            # Whether other pages are installed is not this page's form.
            wrong = [line for line in done.stdout.splitlines()
                     if "referenced manual not found" not in line and "outdated mandoc.db" not in line]
            self.assertEqual(wrong, [])

    def test_tables_are_those_of_the_sources(self):
        self.assertEqual(manual_tables.outdated(), [])
        for name, words in (("vitrine-audit.5", ("openat", "ptrace", "clone3")),
                            ("vitrine-profile.5", ("files[].show", "limits.memory", "audit.on_failure"))):
            text = plain(page(name)).replace("\\%", "")
            for word in words:
                self.assertIn(word, text)

    def test_every_option_is_described_and_no_other(self):
        out = subprocess.run([find_vitrine(), "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout
        helped = set(re.findall(r"--([a-z-]+)", out))
        described = set(re.findall(r"Fl (?:\w , )?-([a-z][a-z-]+)", page("vitrine.1")))
        self.assertEqual(helped - described, set(), "in --help only")
        others = {"source", "syscall", "path", "diff"}
        self.assertEqual(described - helped - others, set(), "in the manual only")

    # --- examples

    def test_examples_of_vitrine_1(self):
        shop = self.shop()
        runners = {
            "vitrine python3 -c 'print(sum(range(10)))'":
                lambda text: self.assertEqual(self.sh(shop, text), "45\n"),
            "vitrine --ro . --ro ~/data:/data":
                lambda text: (self.assertEqual(self.sh(shop, text), "1,2\n\n"),
                              self.assertTrue(os.path.exists(f"{shop.path}/out"))),
            "vitrine profile explain python --syscall openat --path /etc/shadow":
                lambda text: self.assertIn("deny ENOENT", self.sh(shop, text)),
            "vitrine learn -o my.json python3 job.py": lambda text: self.sh(shop, text),
            "vitrine -p my.json python3 job.py": lambda text: self.sh(shop, text),
            "vitrine learn -o job.json": self.run_comparison,
        }
        self.run_all("vitrine.1", runners)

    def run_comparison(self, text):
        shop = self.shop()
        text = text.replace("/data/", "")
        *first, last = text.strip().splitlines()
        self.sh(shop, "\n".join(first))
        self.assertIn("b.csv", self.sh(shop, last, status=1))

    def test_examples_of_vitrine_profile_5(self):
        shop = self.shop()
        shown = "own.json:4:31: files[0].size: "

        def refused(text):
            line, column = (int(n) for n in text.split(":")[1:3])
            profile = "{\n\"files\": [\n {\n" + '  "scratch": "/tmp", "size": '.ljust(column - 1) + '"64Q"}]}'
            self.assertEqual(line, 4)
            shop.file("own.json", profile)
            said = self.sh(shop, "vitrine profile check own.json", status=1)
            self.assertTrue(said.startswith(text.strip().removesuffix(" ...")), said)

        def checked(text):
            profile = json.loads(text)
            shop.file("reports.json", text)
            self.assertEqual(self.sh(shop, "vitrine profile check reports.json"), "reports.json: ok\n")
            self.assertEqual(profile["name"], "reports")
        self.run_all("vitrine-profile.5", {shown: refused, '{\n  "name": "reports"': checked})

    def test_examples_of_vitrine_audit_5(self):
        shop = self.shop()
        run = shop.python("for path in ('/etc/shadow', '/etc/shadow', '/etc/hostname', b'/tmp/a\\xff'):\n"
                          "  try: open(path)\n  except OSError: pass")
        log = f"{shop.path}/audit.jsonl"

        def record(text):
            shown = json.loads(text)
            real = [r for r in run.log if r["type"] == "syscall" and r["args"].get("path") == "/etc/shadow"][0]
            self.assertEqual(set(shown) - {"took_ns"}, set(real) - {"took_ns"})
            for key in ("syscall", "decision", "rule", "result", "errno"):
                self.assertEqual(shown[key], real[key])

        def digest(text):
            out = self.sh(shop, text.strip().removeprefix("$ ").replace("LOG", log))
            self.assertEqual(out.split()[0], run.log[-1]["sha256"])

        def frequent(text):
            if subprocess.run(["sh", "-c", "command -v jq"], stdout=subprocess.DEVNULL).returncode:
                self.skipTest("jq is not installed")
            out = self.sh(shop, text.strip().removeprefix("$ ").replace("LOG", log))
            self.assertEqual(out.split()[:2], ["2", "/etc/shadow"])

        def unescape(text):
            names = {}
            exec(text, names)  # pylint: disable=exec-used
            self.assertEqual(names["unescape"](r"/tmp/a\xff\\b\+12"), b"/tmp/a\xff\\b")
            paths = [r["args"]["path"] for r in run.log if "path" in r.get("args", {})]
            self.assertIn(b"/tmp/a\xff", [names["unescape"](p) for p in paths])
        self.run_all("vitrine-audit.5", {'{"type":"syscall"': record, "$ head -n -1 LOG": digest,
                                         "$ jq -r": frequent, "import re": unescape})

    def run_all(self, name, runners):
        """Each example is run; one that no runner knows fails."""
        left = dict(runners)
        for text in examples(name):
            known = [start for start in runners if text.startswith(start)]
            self.assertEqual(len(known), 1, f"an example of {name} that no test runs: {text}")
            left.pop(known[0], None)
            with self.subTest(example=text.splitlines()[0]):
                runners[known[0]](text)
        self.assertEqual(list(left), [], "runners without an example")


if __name__ == "__main__":
    main()
