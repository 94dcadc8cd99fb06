"""Reads what llvm-cov exported: a table by file, and what of the deciding code nothing ran.

  coverage.py COUNTS.json REASONS

First the functions that nothing entered. REASONS names those that no test can enter here, one a line:
`FILE | FUNCTION | why`. Then the places (part of a line, or some lines) in functions that did run, but
for those that only hand on a failure of the kernel's or of what was called: these are counted.

Exit status 1: a function was never entered and has no reason, or a reason is for one that was, or a
file of src/ is not among what was counted.
"""

import collections
import glob
import json
import os
import re
import subprocess
import sys

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# What decides: the policy, the filter and the interceptors, the launcher, the broker.
DECIDING = ("core", "intercept", "limits", "policy", "supervisor", "syscalls", "tracee", "vfs")
# Whatever is called there, the caller sees an error: the way of a refusal, and of nothing else.
HANDS_ON = re.compile(r"""(\{\ )?return\ (
      fail(_\w+)?\(.* | failed\(.* | pass_on\(.* | tl::make_unexpected\(.* | unless_gone\(.*
      | status | errno | error | done | [a-z_]+\.error\(\).*  | interfered\(\)
    );? .* | (==\ E\w+\)\ )?continue; .* | ==\ EINTR.*""", re.X)

Place = collections.namedtuple("Place", "line column end text")


def folder_of(name):
    return name.split("/")[1]


def source_lines(name):
    with open(os.path.join(SOURCE, name), encoding="utf-8") as f:
        return f.read().split("\n")


def inside(filename):
    """The name below the source folder, or None for what is not ours."""
    name = os.path.relpath(os.path.realpath(filename), SOURCE)
    return name if name.startswith("src/") else None


def places_of(segments, lines):
    """Runs of segments that were counted, and whose count is zero."""
    found, start = [], None
    for line, column, count, counted, _, gap in segments:
        if counted and count == 0 and not gap:
            start = start or (line, column)
        elif start and (count > 0 or not counted):
            text = lines[start[0] - 1][start[1] - 1:].strip()
            if text in ("", "{"):
                text = (text + " " + lines[start[0]].strip()).strip()
            found.append(Place(*start, line, text))
            start = None
    return found


def functions_of(exported):
    """By file: the functions with the lines they are on, and whether any copy of them was entered."""
    entered = collections.Counter()
    for each in exported:
        name = inside(each["filenames"][0])
        if name:
            first, _, last = each["regions"][0][:3]
            entered[name, first, last, each["name"].split(":")[-1]] += each["count"]
    by_place = collections.defaultdict(lambda: [set(), 0])
    for (name, first, last, symbol), count in entered.items():
        known = by_place[name, first, last]
        known[0].add(symbol)
        known[1] += count
    return by_place


def readable(symbols):
    done = subprocess.run(["c++filt"], input="\n".join(symbols), capture_output=True, text=True, check=True)
    short = re.compile(r"vitrine::|\(anonymous namespace\)::|\[abi:\w+\]")
    return [short.sub("", text) for text in done.stdout.splitlines()]


def read_reasons(path):
    with open(path, encoding="utf-8") as f:
        lines = [line.strip() for line in f if line.strip() and not line.startswith("#")]
    return [tuple(word.strip() for word in line.split(" | ")) for line in lines]


def percent(covered, count):
    return 100 * covered / count if count else 100.0


def print_table(files):
    folders = collections.defaultdict(lambda: [0, 0])
    for name, each in sorted(files.items()):
        count, covered = each["summary"]["lines"]["count"], each["summary"]["lines"]["covered"]
        print(f"{name:45} {covered:5} of {count:5} lines {percent(covered, count):6.1f} %")
        for key in (folder_of(name), "src"):
            folders[key][0] += count
            folders[key][1] += covered
    print()
    for key, (count, covered) in sorted(folders.items()):
        kind = "decides" if key in DECIDING else ""
        print(f"{key:12} {covered:6} of {count:6} lines {percent(covered, count):6.1f} %  {kind}".rstrip())


def print_functions(functions, reasons):
    """Returns where the functions that never ran are, and how many findings there are."""
    print("\nFunctions that nothing entered:")
    unrun = sorted(place for place, (_, count) in functions.items()
                   if count == 0 and folder_of(place[0]) in DECIDING)
    names = readable([min(functions[place][0]) for place in unrun])
    findings, used = 0, set()
    for place, name in zip(unrun, names):
        known = [r for r in reasons if r[0] == place[0] and r[1] in name]
        used.update(known)
        findings += not known
        print(f"{place[0]}:{place[1]}: {name}" + (f"  ({known[0][2]})" if known else ""))
    for idle in [r for r in reasons if r not in used]:
        findings += 1
        print(f"has a reason, and ran or is gone: {idle[0]}: {idle[1]}")
    return {(name, line) for name, first, last in unrun for line in range(first, last + 1)}, findings


def print_places(files, never):
    print("\nPlaces in the others that nothing ran:")
    left, handing = 0, collections.Counter()
    for name, each in sorted(files.items()):
        if folder_of(name) not in DECIDING:
            continue
        for place in places_of(each["segments"], source_lines(name)):
            if (name, place.line) in never:
                continue
            if HANDS_ON.match(place.text):
                handing[folder_of(name)] += 1
                continue
            left += 1
            print(f"{name}:{place.line}:{place.column}: {place.text}")
    print(f"{left} places, and {sum(handing.values())} that hand on an error ("
          + ", ".join(f"{folder} {count}" for folder, count in sorted(handing.items())) + ")")


def print_uncounted(files):
    """Of the programs that only the build runs (tools/), nothing is linked with what is counted."""
    uncounted = sorted(name for name in glob.glob("src/**/*.cc", root_dir=SOURCE, recursive=True)
                       if name not in files and "/tools/" not in name)
    for name in uncounted:
        print(f"not counted: {name}")
    return len(uncounted)


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        exported = json.load(f)["data"][0]
    files = {inside(each["filename"]): each for each in exported["files"] if inside(each["filename"])}
    print_table(files)
    never, findings = print_functions(functions_of(exported["functions"]), read_reasons(sys.argv[2]))
    print_places(files, never)
    return 1 if print_uncounted(files) + findings else 0


if __name__ == "__main__":
    sys.exit(main())
