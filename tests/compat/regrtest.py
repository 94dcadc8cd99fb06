"""Runs CPython's regression tests natively and inside vitrine, and compares them test by test.

What passes natively has to pass inside. A test that does not is a failure, unless exceptions.txt
names it together with the sentence of the contract that demands the difference; an exception that
passes inside after all is reported too, so that the list cannot grow stale.
"""

import argparse
import dataclasses
import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
OPTIONS = ("-p", "python-multiprocess", "-p", "any", "--ro", "/usr/include", "--scratch", "/tmp=8G",
           "--cwd", "/tmp", "--memory", "10G", "--processes", "256", "--threads", "1024",
           "--cpu", "none", "--output", "256M")
# What these ask of their surroundings, and a user would show: the name of uid 0.
MORE_OPTIONS = dict.fromkeys(("test_tarfile", "test_shutil"),
                             ("--ro", "/etc/passwd", "--ro", "/etc/group"))
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "TERM": "dumb"}
NEVER_ENDS = "never ends:"
LINE = re.compile(r"^(\w+) \(((?:\w|\.)+)\)(?:.* \.\.\. |\n?.*?\.\.\. )(ok|FAIL|ERROR|skipped.*|"
                  r"expected failure)$")


@dataclasses.dataclass
class Outcome:
    """What one run of a module said: the result of each test, and how the run ended."""
    tests: dict
    ended: str
    output: str


def result_of(case):
    for name in ("failure", "error", "skipped"):
        if case.find(name) is not None:
            return name
    return "pass" if case.get("result") == "completed" and case.get("name") else "error"


def detail_of(case):
    for name in ("failure", "error"):
        found = case.find(name)
        if found is not None:
            return (found.get("message") or "").strip().replace("\n", " ")[:300]
    return ""


def read_results(path):
    """Results by test id. A test with a failed subtest has no result of its own: it has no name."""
    try:
        root = ElementTree.parse(path).getroot()
    except (FileNotFoundError, ElementTree.ParseError):
        return {}  # the run was ended before it was whole
    found = {}
    for case in root.iter("testcase"):
        name = case.get("name")
        if name is None:
            continue
        name = re.sub(r"@test_\d+_tmp\w*", "@test", name)
        # The same id twice (a test that is generated anew): the worse result counts.
        result = result_of(case)
        if found.get(name, ("pass",))[0] in ("pass", "skipped"):
            found[name] = (result, detail_of(case))
    return found


def read_lines(output):
    """The results that a run printed before it was ended: it wrote no file then."""
    found = {}
    for line in output.splitlines():
        match = LINE.match(line)
        if match:
            verdict = "pass" if match[3] in ("ok", "expected failure") else match[3].split()[0]
            found[match[2]] = (verdict, "")
    return found


def run_module(shop, module, inside, timeout, options=(), ignored=()):
    """Runs `python3 -m test` on one module, in a scratch folder of its own."""
    results = os.path.join(shop.path, "results.xml")
    if os.path.exists(results):
        os.remove(results)
    arguments = [harness.PYTHON, "-m", "test", "-v", "--junit-xml", "/tmp/results.xml",
                 *(word for pattern in ignored for word in ("-i", pattern)), module]
    folder = tempfile.mkdtemp(prefix="native-", dir=shop.path)
    os.chmod(folder, 0o777)
    if inside:
        command = shop.command(arguments, ["--wall", f"{timeout}s", *OPTIONS,
                                           *MORE_OPTIONS.get(module, ()), *options,
                                           "--collect", f"/tmp/results.xml:{results}"])
        environment = dict(os.environ)
    else:
        arguments[arguments.index("/tmp/results.xml")] = results
        command = shop.as_user(arguments)
        environment = dict(ENVIRONMENT, HOME=folder, TMPDIR=folder)
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                                   stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            status = process.wait(timeout + 30)
            ended = f"status {status}"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
            ended = "timeout"
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    shutil.rmtree(folder, ignore_errors=True)
    return Outcome(read_results(results) or read_lines(text), ended, text)


def read_exceptions(path):
    """(pattern, sentence, never ends), in order: a sentence stands above the patterns it excuses. A
    test after "never ends:" is not even started inside: it would wait for what it cannot have."""
    found, sentence = [], None
    with open(path, encoding="utf-8") as f:
        for line in f:
            line = line.rstrip("\n")
            if line.startswith("> "):
                sentence = line[2:]
            elif line and not line.startswith("#"):
                if sentence is None:
                    raise SystemExit(f"{path}: {line!r} stands under no sentence of the contract")
                pattern = line.split("#")[0].strip()
                ends = not pattern.startswith(NEVER_ENDS)
                found.append((pattern.removeprefix(NEVER_ENDS).strip(), sentence, not ends))
    return found


def read_modules(path):
    with open(path, encoding="utf-8") as f:
        return [word for line in f for word in line.split("#")[0].split()]


def excuse_of(exceptions, test):
    for pattern, sentence, _ in exceptions:
        if fnmatch.fnmatchcase(test, pattern):
            return sentence
    return None


def compare(native, inside, exceptions):
    """(tests that pass natively, of these passing inside, excused, not excused: id -> detail)."""
    passing = [test for test, (result, _) in native.tests.items() if result == "pass"]
    same, excused, broken = 0, {}, {}
    for test in passing:
        result, detail = inside.tests.get(test, ("missing", inside.ended))
        if result == "pass":
            same += 1
        elif excuse_of(exceptions, test) is not None:
            excused[test] = f"{result}: {detail}"
        else:
            broken[test] = f"{result}: {detail}"
    return len(passing), same, excused, broken


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("modules", nargs="*", help="modules of the test package; all of the list "
                        "tests/compat/modules.txt if none is given")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--timeout", type=int, default=600, help="seconds for one run of a module")
    parser.add_argument("--json", metavar="FILE", help="write the results, test by test")
    parser.add_argument("--keep-output", metavar="FOLDER", help="keep what each run printed")
    parser.add_argument("--native-from", metavar="FILE",
                        help="take the native results from an earlier --json")
    return parser.parse_args()


def keep(folder, module, outcome, kind):
    if folder:
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, f"{module}.{kind}"), "w", encoding="utf-8") as f:
            f.write(outcome.output)


class Comparison:
    """One call of this script: what it compares with what, and the sums."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.exceptions = read_exceptions(os.path.join(HERE, "exceptions.txt"))
        self.user = harness.ensure_user()
        self.known = {}
        if arguments.native_from:
            with open(arguments.native_from, encoding="utf-8") as f:
                self.known = json.load(f)
        self.record = {}
        self.totals = [0, 0, 0, 0]

    def native(self, shop, module):
        if module in self.known:
            return Outcome({k: tuple(v) for k, v in self.known[module]["native"].items()},
                           self.known[module]["native_ended"], "")
        return run_module(shop, module, False, self.arguments.timeout, ())

    def run(self, module):
        shop = harness.Workshop(self.user)
        try:
            native = self.native(shop, module)
            never = [pattern for pattern, _, never_ends in self.exceptions if never_ends]
            inside = run_module(shop, module, True, self.arguments.timeout,
                                ("--backend", self.arguments.backend), never)
        finally:
            shop.close()
        keep(self.arguments.keep_output, module, native, "native")
        keep(self.arguments.keep_output, module, inside, "inside")
        passing, same, excused, broken = compare(native, inside, self.exceptions)
        self.record[module] = {"native": native.tests, "native_ended": native.ended,
                               "inside": inside.tests, "inside_ended": inside.ended,
                               "excused": excused, "broken": broken}
        for i, n in enumerate((passing, same, len(excused), len(broken))):
            self.totals[i] += n
        print(f"{module:38} {passing:6} {same:6} {len(excused):8} {len(broken):7}", flush=True)
        for test, detail in broken.items():
            print(f"    {test}: {detail}", flush=True)
        for test, (result, _) in inside.tests.items():
            if result == "pass" and any(fnmatch.fnmatchcase(test, pattern) and "*" not in pattern
                                        for pattern, _, _ in self.exceptions):
                print(f"    {test}: passes, although it is excused", flush=True)

    def write(self):
        if self.arguments.json:
            with open(self.arguments.json, "w", encoding="utf-8") as f:
                json.dump(self.record, f, indent=1)


def main():
    arguments = parse_arguments()
    modules = arguments.modules or read_modules(os.path.join(HERE, "modules.txt"))
    comparison = Comparison(arguments)
    print(f"{'module':38} {'native':>6} {'inside':>6} {'excused':>8} {'broken':>7}")
    for module in modules:
        comparison.run(module)
        comparison.write()
    passing, same, excused, broken = comparison.totals
    share = 100 * same / passing if passing else 0
    print(f"{len(modules)} modules: {passing} tests pass natively; inside {same} ({share:.2f} %), "
          f"{excused} excused, {broken} broken")
    return 1 if broken or share < 98 else 0


if __name__ == "__main__":
    sys.exit(main())
