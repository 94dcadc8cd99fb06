"""The tables of the manual that have a source of truth: the system call table, the profiles' schema.

  tests/manual_tables.py           says which page's table is not what its source gives
  tests/manual_tables.py --write   writes them anew
"""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import SOURCE, find_guests  # noqa: E402

KINDS = (
    ("native", "Done by the kernel itself; in the log at level\n.Cm all\nonly, decision\n.Cm allow ."),
    ("conditional", "Done by the kernel where the arguments act on what was granted before;\n"
                    "otherwise decided as the next ones."),
    ("served", "Answered by\n.Nm vitrine :\ndecision\n.Cm serve\nor\n.Cm deny ."),
    ("absent", "Fail with\n.Er ENOSYS ,\nas on a kernel without them, so that libraries fall back."),
    ("forbidden", "Fail with\n.Er EPERM ."),
)


def words(text):
    """Words as lines of roff, none longer than 78 characters, and each sentence from a new one."""
    lines, line = [], ""
    for word in text.split():
        if len(line) + 1 + len(word) > 76 or line.endswith("."):
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return "\n".join("\\&" + each if each[:1] in ".'" else each for each in lines + [line])


def roff(text):
    return text.replace("\\", "\\e").replace("'", "\\(aq")


def calls():
    out = subprocess.run([os.path.join(find_guests(), "call_table")], check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    rows = [line.split() for line in out.splitlines()]
    text = '.Bl -tag -width "conditional"\n'
    for kind, sentence in KINDS:
        names = sorted(r[0] for r in rows if r[1] == kind or (kind == "absent" and r[1] == "absent-in-kernel"))
        text += f".It {kind}\n{sentence}\n.br\n{words(', '.join(chr(92) + '%' + n for n in names) + '.')}\n"
    return text + ".El\n"


def kind_of(schema, whole):
    """"a string", "true or false", "one of errno, kill": what a value may be."""
    if "$ref" in schema:
        return schema["$ref"].rsplit("/", 1)[1].replace("_", " ")
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return "one of " + ", ".join(json.dumps(v) for v in schema["enum"])
    if "oneOf" in schema:
        kinds = []
        for each in schema["oneOf"]:
            if kind_of(each, whole) not in kinds:
                kinds.append(kind_of(each, whole))
        return " or ".join(kinds)
    if schema.get("type") == "array":
        return "an array"
    return {"boolean": "true or false", "integer": "a whole number", "object": "an object",
            "string": "a string"}[schema["type"]]


def keys_of(schema, path, whole):
    """(path, kind, description) of every key below, in the schema's order, each once."""
    for name, value in schema.get("properties", {}).items():
        here = f"{path}.{name}".lstrip(".")
        yield here, kind_of(value, whole), value.get("description", "")
        yield from keys_of(value, here, whole)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from keys_of(schema["additionalProperties"], path + ".NAME", whole)
    if "items" in schema:
        yield from keys_of(schema["items"], path + "[]", whole)
    for each in schema.get("oneOf", []):
        yield from keys_of(each, path, whole)


def keys():
    with open(os.path.join(SOURCE, "profiles", "profile.schema.json"), encoding="utf-8") as f:
        schema = json.load(f)
    text, seen = '.Bl -tag -width Ds -compact\n', set()
    for path, kind, description in keys_of(schema, "", schema):
        if path in seen:
            continue
        seen.add(path)
        text += f".It Cm {roff(path)}\n{words(roff(kind))}\n"
        if description:
            text += f".br\n{words(roff(description))}\n"
    return text + ".El\n"


PAGES = (("vitrine-audit.5", "calls", calls), ("vitrine-profile.5", "keys", keys))


def split(page, name):
    """What stands before, in and behind the generated part."""
    with open(os.path.join(SOURCE, "man", page), encoding="utf-8") as f:
        text = f.read()
    begin, end = f'.\\" begin: {name}, written by tests/manual_tables.py\n', f'.\\" end: {name}\n'
    before, rest = text.split(begin)
    middle, after = rest.split(end)
    return before + begin, middle, end + after


def outdated():
    return [f"man/{page}: the table of {name} is not that of its source: tests/manual_tables.py --write"
            for page, name, make in PAGES if split(page, name)[1] != make()]


def main():
    if "--write" not in sys.argv:
        sys.exit("\n".join(outdated()) or 0)
    for page, name, make in PAGES:
        before, _, after = split(page, name)
        with open(os.path.join(SOURCE, "man", page), "w", encoding="utf-8") as f:
            f.write(before + make() + after)


if __name__ == "__main__":
    main()
