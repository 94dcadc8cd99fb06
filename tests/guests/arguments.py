"""Calls with arguments that are no memory, half of it, or no descriptor: arguments.py HOW FOLDER. One line a
call with its result; the kernel alone gives the same ones."""

import ctypes
import os
import sys
import threading

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                      ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

PAGE = 4096
READ, WRITE = 1, 2


def call(number, *arguments):
    padded = [ctypes.c_ulong(a % (1 << 64)) for a in (*arguments, 0, 0, 0, 0, 0, 0)][:6]
    result = libc.syscall(ctypes.c_long(number), *padded)
    return -ctypes.get_errno() if result == -1 else result


def pages(count, protection=READ | WRITE):
    address = libc.mmap(None, count * PAGE, protection, 0x22, -1, 0)
    assert address != ctypes.c_void_p(-1).value
    return address


def put(address, data):
    ctypes.memmove(address, data, len(data))


def at_the_end(data):
    """Right before a page that cannot be read."""
    end = pages(3) + 2 * PAGE
    libc.mprotect(end, PAGE, 0)
    put(end - len(data), data)
    return end - len(data)


def beyond_the_file(folder):
    """Mapped, and behind the end of what is mapped."""
    with open(os.path.join(folder, "empty"), "w+b") as file:
        file.truncate(PAGE)
        mapped = libc.mmap(None, PAGE, READ | WRITE, 1, file.fileno(), 0)
        file.truncate(0)
    return mapped


BUFFER = pages(4)
HOW = pages(1)  # open_how: zeros
TIMES = pages(1)

# Name, number, arguments: P is the path, D a dirfd.
PATH_CALLS = [
    ("open", 2, ("P", 0)), ("openat", 257, ("D", "P", 0)), ("openat2", 437, ("D", "P", HOW, 24)),
    ("creat", 85, ("P", 0o600)), ("stat", 4, ("P", BUFFER)), ("lstat", 6, ("P", BUFFER)),
    ("newfstatat", 262, ("D", "P", BUFFER, 0)), ("statx", 332, ("D", "P", 0, 0x7ff, BUFFER)),
    ("access", 21, ("P", 0)), ("faccessat", 269, ("D", "P", 0)),
    ("faccessat2", 439, ("D", "P", 0, 0)), ("readlink", 89, ("P", BUFFER, 64)),
    ("readlinkat", 267, ("D", "P", BUFFER, 64)), ("chdir", 80, ("P",)),
    ("mkdir", 83, ("P", 0o700)), ("mkdirat", 258, ("D", "P", 0o700)), ("rmdir", 84, ("P",)),
    ("unlink", 87, ("P",)), ("unlinkat", 263, ("D", "P", 0)), ("chmod", 90, ("P", 0o600)),
    ("fchmodat", 268, ("D", "P", 0o600)), ("truncate", 76, ("P", 0)),
    ("utimensat", 280, ("D", "P", 0, 0)), ("statfs", 137, ("P", BUFFER)),
    ("rename", 82, ("P", "P")), ("link", 86, ("P", "P")), ("symlink", 88, ("P", "P")),
]


def strings(folder):
    def long_path(length):
        return (folder.encode() + b"/" + b"a/" * length)[:length]

    ordinary = folder.encode() + b"/nothing/here\0"
    cases = {
        "ordinary": at_the_end(ordinary),
        "4095": at_the_end(long_path(4095) + b"\0"),
        "4096": at_the_end(long_path(4096) + b"\0"),
        "4097": pages(3), "unterminated": at_the_end(b"/" * 64), "none": 0, "one": 1,
        "kernel": 0xffff888000000000, "last": (1 << 64) - 1, "non-canonical": 1 << 47,
        "top": (1 << 47) - 1, "unreadable": pages(1, 0), "beyond-the-file": beyond_the_file(folder),
        "empty": at_the_end(b"\0"),
    }
    put(cases["4097"], long_path(4097) + b"\0")
    for case, address in cases.items():
        for name, number, arguments in PATH_CALLS:
            filled = [address if a == "P" else -100 if a == "D" else a for a in arguments]
            print(case, name, call(number, *filled))


def vanishing(folder):
    """A sibling makes the path's second half unreadable and readable again."""
    path = folder.encode() + b"/" + b"x" * 60 + b"\0"
    address = pages(2)
    put(address + PAGE - 30, path)
    over = False

    def toggle():
        while not over:
            libc.mprotect(address + PAGE, PAGE, 0)
            libc.mprotect(address + PAGE, PAGE, READ | WRITE)

    thread = threading.Thread(target=toggle)
    thread.start()
    seen = set()
    for i in range(200000):
        seen.add(call(2, address + PAGE - 30, 0))
        if i > 3000 and len(seen) > 1:
            break
    over = True
    thread.join()
    print(sorted(seen))


# Name, number, arguments with O for where the answer goes, and how long that is.
OUTPUTS = [
    ("stat", 4, ("P", "O"), 144), ("fstat", 5, (0, "O"), 144), ("newfstatat", 262, (-100, "P", "O", 0), 144),
    ("fstatat", 262, (0, "E", "O", 0x1000), 144), ("statx", 332, (-100, "P", 0, 0x7ff, "O"), 256),
    ("getcwd", 79, ("O", 4), None), ("readlink", 89, ("L", "O", 3), 3),
    ("uname", 63, ("O",), 390), ("sysinfo", 99, ("O",), 112), ("statfs", 137, ("P", "O"), 120),
    ("sched_getaffinity", 204, (0, 8, "O"), 8), ("getrlimit", 97, (7, "O"), 16),
    ("prlimit64", 302, (0, 7, 0, "O"), 16), ("getdents64", 217, ("D", "O", 256), None),
    ("pipe2", 293, ("O", 0), 8), ("getresuid", 118, ("O", "O", "O"), 4),
    ("socketpair", 53, (1, 1, 0, "O"), 8),
]


def outputs(folder):
    os.symlink("abc", os.path.join(folder, "link"))
    strings_at = {"P": at_the_end(folder.encode() + b"\0"), "E": at_the_end(b"\0"),
                  "L": at_the_end(folder.encode() + b"/link\0"), "D": os.open(folder, os.O_RDONLY)}
    read_only = pages(1, READ)
    targets = {"none": 0, "read-only": read_only, "unmapped": pages(1, 0), "kernel": 0xffff888000000000,
               "non-canonical": 1 << 47}
    for name, number, arguments, length in OUTPUTS:
        half = pages(2)
        libc.mprotect(half + PAGE, PAGE, 0)
        for target, address in (*targets.items(), ("half", half + PAGE - 2)):
            filled = [strings_at.get(a, a) if a != "O" else address for a in arguments]
            os.lseek(strings_at["D"], 0, 0)
            print(target, name, call(number, *filled))
        if length is None:
            continue
        # Not a byte behind what the call declares.
        area = pages(1)
        put(area, b"\xa5" * PAGE)
        filled = [strings_at.get(a, a) if a != "O" else area for a in arguments]
        result = call(number, *filled)
        behind = ctypes.string_at(area + length, 512)
        print("behind", name, result if result < 0 else 0, behind == b"\xa5" * 512)
    print("untouched", ctypes.string_at(read_only, PAGE) == bytes(PAGE))


def folders(folder):
    """Every dirfd with every call, and both halves of the register."""
    os.chdir(folder)
    os.mkdir("sub")
    with open("file", "w") as file:
        file.write("text")
    opened = os.open("sub", os.O_RDONLY)
    a_file = os.open("file", os.O_RDONLY)
    a_pipe = os.pipe()[0]
    values = {"cwd": -100, "cwd32": 0xffffff9c, "cwd-odd": 0xdead0000ffffff9c, "minus": -1,
              "closed": 77, "file": a_file, "pipe": a_pipe, "folder": opened,
              "folder-odd": (0xdead << 32) | opened, "huge": 1 << 31, "odd": 1 << 32}
    paths = {"relative": b"missing\0", "absolute": folder.encode() + b"/missing\0", "empty": b"\0",
             "up": b"../file/x\0", "slash": b"missing/\0"}
    for value, dirfd in values.items():
        for kind, path in paths.items():
            address = at_the_end(path)
            for name, number, arguments in PATH_CALLS:
                if "D" not in arguments:
                    continue
                filled = [address if a == "P" else dirfd if a == "D" else a for a in arguments]
                result = call(number, *filled)
                print(value, kind, name, min(result, 0))
                if number == 258 and result == 0:
                    os.rmdir("missing" if value.startswith("cwd") or kind == "absolute" or value == "odd"
                             else "sub/missing")


os.umask(0o22)
globals()[sys.argv[1]](sys.argv[2])
