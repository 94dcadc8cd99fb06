"""Descriptors that are O_PATH, of every kind of node: a name without the right to read."""
import errno, fcntl, os, sys

folder = sys.argv[1]
os.chdir(folder)
open("file", "w").write("content")
os.mkdir("sub")
os.symlink("file", "link")

def attempt(call, *arguments, **options):
    try:
        call(*arguments, **options)
        return "ok"
    except OSError as error:
        return errno.errorcode[error.errno]

for name in (".", "sub", "file", "link", "/usr", "/usr/bin/python3", "/proc/self/status", "/proc/self",
             "/dev/null", "/proc/self/fd/0", "missing"):
    for flags in (os.O_PATH, os.O_PATH | os.O_NOFOLLOW, os.O_PATH | os.O_DIRECTORY):
        try:
            fd = os.open(name, flags)
        except OSError as error:
            print(name, flags, errno.errorcode[error.errno])
            continue
        same = os.path.samestat(os.fstat(fd), os.stat(name, follow_symlinks=not flags & os.O_NOFOLLOW))
        print(name, flags, bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_PATH), same,
              attempt(os.read, fd, 1), attempt(os.write, fd, b"x"), attempt(os.stat, "file", dir_fd=fd)
              if name in (".", "file") else "", os.get_inheritable(fd))
        os.close(fd)
for name in ("file", "sub", "link", "/usr/bin/python3", "/usr", "/proc/self/cwd", "/proc/self/fd/0", "/dev/null"):
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW)
    try:
        print(name, "leads to", os.path.basename(os.readlink("", dir_fd=fd)) == os.path.basename(os.readlink(name)))
    except OSError as error:
        print(name, errno.errorcode[error.errno])
for arguments in ((), (-1,), (99,)):
    print(attempt(os.readlink, "", **dict(zip(("dir_fd",), arguments))))
for name in ("file", "sub"):
    fd = os.open(name, os.O_PATH)
    again = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    print(name, os.path.samestat(os.fstat(again), os.stat(name)))
