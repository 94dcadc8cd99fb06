"""Renders a user's template with data that the template's author may see, and nothing else.

    render.py TEMPLATE DATA.json > page.html

The data is not a file inside: it is an open descriptor, given to this one run (--pass-fd). Inside,
no path leads to it, to other customers' data, or to the folder that it came from.
"""

import os
import subprocess
import sys

VITRINE = os.environ.get("VITRINE", "vitrine")

# Templates are f-strings here: all of Python, which is why they run behind glass.
INSIDE = r"""
import json, os, sys
with os.fdopen(int(sys.argv[2])) as stream:
    data = json.load(stream)
template = open(sys.argv[1]).read()
print(eval(compile("f" + repr(template), sys.argv[1], "eval"), {"data": data}), end="")
"""


def render(template, data_path):
    """(exit status, page, messages)"""
    with open(data_path, "rb") as data:
        command = [VITRINE, "-q", "--wall", "2s", "--memory", "128M", "--output", "1M",
                   "--ro", os.path.abspath(template), "--pass-fd", str(data.fileno()), "--",
                   "/usr/bin/python3", "-I", "-c", INSIDE, os.path.abspath(template),
                   str(data.fileno())]
        done = subprocess.run(command, pass_fds=(data.fileno(),), stdin=subprocess.DEVNULL,
                              capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr


if __name__ == "__main__":
    status, page, messages = render(sys.argv[1], sys.argv[2])
    sys.stdout.buffer.write(page)
    sys.stderr.buffer.write(messages[-500:])
    sys.exit(status)
