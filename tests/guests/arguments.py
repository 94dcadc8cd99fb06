"""Calls with arguments that are no memory, half of it, or no descriptor: arguments.py HOW FOLDER. One line a
call with its result; the kernel alone gives the same ones."""

import ctypes
import os
import resource
import socket
import struct
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
    ("renameat", 264, ("D", "P", "D", "P")), ("renameat2", 316, ("D", "P", "D", "P", 0)),
    ("linkat", 265, ("D", "P", "D", "P", 0)), ("symlinkat", 266, ("P", "D", "P")),
    ("mknod", 133, ("P", 0o100600, 0)), ("mknodat", 259, ("D", "P", 0o100600, 0)), ("utime", 132, ("P", 0)),
    ("utimes", 235, ("P", 0)), ("futimesat", 261, ("D", "P", 0)), ("chown", 92, ("P", -1, -1)),
    ("lchown", 94, ("P", -1, -1)), ("fchownat", 260, ("D", "P", -1, -1, 0)), ("fchmodat2", 452, ("D", "P", 0o600, 0)),
    ("execve", 59, ("P", 0, 0)), ("execveat", 322, ("D", "P", 0, 0, 0)),
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
                for made in ("missing", "sub/missing") if result == 0 else ():
                    for remove in (os.unlink, os.rmdir):
                        try:
                            remove(made)
                        except OSError:
                            pass


def rare(folder):
    """What programs rarely ask for: flags that are none, sizes and clocks that cannot be, other forms."""
    os.chdir(folder)
    with open("file", "w") as file:
        file.write("text")
    os.symlink("file", "link")
    held = [os.open("file", os.O_RDWR), os.pipe()[1], os.open(".", os.O_RDONLY)]
    pair = [end.detach() for end in socket.socketpair()]
    words = {name: at_the_end(name.encode() + b"\0") for name in ("file", "link", "new", "")}
    words.update(F=held[0], W=held[1], D=held[2], S=pair[0], cwd=-100, closed=77, B=BUFFER, bad=1 << 47, me=os.getpid())
    now, cpus = struct.pack("4q", 1, 2, 3, 4), struct.pack("Q", (1 << os.cpu_count()) - 1)
    words["times"], words["ids"] = at_the_end(now), [os.getuid(), os.getgid()]
    words["too many"] = at_the_end(struct.pack("4q", 1, 10 ** 9, 1, 10 ** 9))
    words["below zero"] = at_the_end(struct.pack("4q", 1, -1, 1, -1))
    words["cpus"], words["none of them"] = at_the_end(cpus), at_the_end(bytes(8))
    words["files"] = at_the_end(struct.pack("2Q", *resource.getrlimit(resource.RLIMIT_NOFILE)))
    words["upside down"] = at_the_end(struct.pack("2Q", 20, 10))
    words["lock"], words["no lock"] = at_the_end(struct.pack("hhqqi4x", 0, 0, 0, 0, 0)), at_the_end(struct.pack("hhqqi4x", 9, 0, 0, 0, 0))
    words["from where"] = at_the_end(struct.pack("hhqqi4x", 0, 9, 0, 0, 0))
    words["too far"] = at_the_end(struct.pack("hhqqi4x", 0, 0, (1 << 63) - 2, 9, 0))
    words["backwards"] = at_the_end(struct.pack("hhqqi4x", 0, 0, 3, -2, 0))
    for kind, how in {"how": (0, 0, 0), "odd flag": (1 << 40, 0, 0), "idle mode": (0, 0o600, 0), "odd way": (0, 0, 1 << 20),
                      "odd mode": (0o100, 1 << 20, 0)}.items():
        words[kind] = at_the_end(struct.pack("3Q", *how))
    words["four"], words["less than none"] = at_the_end(struct.pack("i", 4)), at_the_end(struct.pack("i", -1))
    words["twelve"] = BUFFER + 2 * PAGE
    for line in RARE.strip().splitlines():
        if line.startswith("#") or "null" in line and tuple(map(int, os.uname().release.split(".")[:2])) < (6, 11):
            continue
        number, *arguments = [word.strip() for word in line.split(",")]
        put(words["twelve"], struct.pack("i", 12))
        filled = []
        for word in arguments:
            value = words["ids"][word == "group"] if word in ("user", "group") else words.get(word)
            if word == "null":
                value = 0
            filled.append(int(word, 0) if value is None else value)
        result = call(int(number), *filled)
        if int(number) in (41, 437) and result > 0:
            os.close(result)
        print(line.replace(" ", ""), result if number in ("204", "140") else min(result, 0))


# Call, arguments: a number, or a word of rare(). One a line.
RARE = """
# fstatfs, stat and access by descriptor and with odd flags
138, F, B
138, closed, B
138, F, bad
262, cwd, , B, 0x1000
262, F, null, B, 0x1000
262, cwd, file, B, 0x10000000
332, cwd, file, 0x10000000, 0x7ff, B
21, file, 8
439, F, , 4, 0x1000
439, closed, , 4, 0x1000
439, cwd, link, 4, 0x100
439, cwd, file, 0, 0x10000000
# readlink
89, link, B, 0
89, link, B, -1
267, cwd, , B, 10
267, F, , B, 10
267, closed, , B, 10
# names
263, cwd, new, 0x10000000
265, cwd, file, cwd, new, 0x10000000
316, cwd, file, cwd, new, 0x100
86, file, bad
82, file, bad
452, cwd, file, 0o600, 0x10000000
452, cwd, file, 0o600, 0
260, cwd, file, user, group, 0x10000000
260, cwd, file, user, group, 0x100
260, cwd, file, user, group, 0
94, link, user, group
92, file, user, group
76, file, -1
# times
132, file, null
132, file, times
132, file, bad
235, file, null
235, file, times
235, file, too many
235, file, below zero
235, file, bad
261, cwd, file, times
261, cwd, file, null
280, cwd, file, too many, 0
280, cwd, file, below zero, 0
280, cwd, file, times, 0x10000000
280, cwd, link, times, 0x100
280, F, null, times, 0
280, F, null, too many, 0
280, F, null, bad, 0
280, closed, null, times, 0
280, closed, file, times, 0
# locks and pipes
72, F, 5, lock
72, F, 6, no lock
72, F, 6, from where
72, F, 6, too far
72, F, 6, backwards
72, F, 6, bad
72, closed, 6, lock
72, F, 37, lock
72, W, 1031, 4096
73, F, 77
73, closed, 2
# openat2
437, cwd, file, how, 24
437, cwd, file, how, 8
437, cwd, file, how, 5000
437, cwd, file, bad, 24
437, cwd, file, odd flag, 24
437, cwd, file, idle mode, 24
437, cwd, file, odd way, 24
437, cwd, new, odd mode, 24
437, cwd, bad, how, 24
# processes and clocks
200, 0, 0
200, -1, 0
200, me, 0
234, me, 0, 0
234, 0, me, 0
234, me, 1, 0
234, me, me, 0
228, 99, B
228, -613, B
228, -8, B
229, -8, B
157, 4, 1
135, 0
# processors and limits
203, 0, 8, cpus
203, me, 8, cpus
203, 0, 8, none of them
203, 0, 8, bad
203, 0, 0, cpus
204, 0, 4, B
204, 0, 0, B
204, me, 8, B
302, 0, 7, files, B
302, me, 7, files, B
302, 0, 99, files, B
302, 0, 7, bad, B
302, 0, 7, files, bad
302, 0, 7, upside down, 0
160, 99, files
160, 7, bad
140, 0, 0
141, 0, 0, 19
# who it is
105, user
106, group
113, user, -1
114, -1, group
117, -1, user, -1
119, group, -1, -1
# sockets
41, 1, 99, 0
41, 1, 1, 5
41, 1, 1, 1
53, 1, 99, 0, B
53, 1, 1, 5, B
53, 1, 1, 0, bad
49, F, B, 16
49, closed, B, 16
49, S, B, 1
49, S, B, 1000
49, S, bad, 16
42, F, B, 16
42, S, B, 1000
42, S, bad, 16
50, F, 1
50, closed, 1
51, F, B, twelve
51, S, B, bad
51, S, B, less than none
51, S, bad, twelve
52, S, B, twelve
52, closed, B, twelve
55, S, 1, 17, B, twelve
55, S, 1, 17, B, four
55, S, 1, 17, B, less than none
55, S, 1, 17, B, bad
55, S, 1, 17, bad, twelve
55, F, 1, 17, B, twelve
54, closed, 1, 2, four, 4
54, F, 1, 2, four, 4
# memory that is shared
9, 0, 0, 3, 0x21, -1, 0
9, 0, 4096, 3, 0x21, -1, 1
9, 0, -1, 3, 0x21, -1, 0
# execution
59, bad, 0, 0
59, new, 0, 0
59, file, 0, 0
59, file, bad, 0
59, file, 0, bad
322, closed, file, 0, 0, 0
322, closed, , 0, 0, 0x1000
322, F, , 0, 0, 0x1000
322, cwd, file, 0, 0, 0x10000000
322, cwd, link, 0, 0, 0x100
"""


os.umask(0o22)
globals()[sys.argv[1]](sys.argv[2])
