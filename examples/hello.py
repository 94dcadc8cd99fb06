"""A script that computes, and tries a few things that are none of its business."""

import os
import socket
import sys
import tempfile

print("hello from", sys.executable, "as uid", os.getuid())
print("the sum of the first million numbers is", sum(range(1_000_000)))

with tempfile.NamedTemporaryFile("w+", suffix=".txt") as scratch:
    scratch.write("scratch files live in memory and vanish with the run\n")
    scratch.seek(0)
    print(scratch.read(), end="")


def attempt(what, action):
    try:
        action()
        print(f"  {what}: done")
    except OSError as error:
        print(f"  {what}: {error.strerror}")


print("what a script should not do:")
attempt("read /etc/shadow", lambda: open("/etc/shadow").read())
attempt("list /root", lambda: os.listdir("/root"))
attempt("write into the system", lambda: open("/usr/lib/evil", "w"))
attempt("open a socket", lambda: socket.socket())
attempt("start a process", lambda: os.fork())
attempt("kill its parent", lambda: os.kill(os.getppid(), 9))
