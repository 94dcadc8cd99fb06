"""Tries to change what it was only granted to read, and to get further from it: levers.py FILE FOLDER SECRET.
Prints what it could read of a file that lies beside."""

import ctypes
import fcntl
import mmap
import os
import sys

libc = ctypes.CDLL(None, use_errno=True)
shown, folder, secret = sys.argv[1:4]
secret_name = os.path.basename(secret)


def attempt(call, *arguments, **named):
    try:
        return call(*arguments, **named)
    except (OSError, ValueError):
        return None


def write(fd):
    if fd is not None:
        attempt(os.write, fd, b"changed")
        attempt(os.pwrite, fd, b"changed", 0)
        attempt(os.ftruncate, fd, 1)
        attempt(os.posix_fallocate, fd, 0, 1 << 16)
        attempt(os.fchmod, fd, 0o777)
        attempt(os.fchown, fd, 12345, 12345)
        attempt(os.utime, fd, (1, 1))
        attempt(os.setxattr, fd, "user.changed", b"yes")
        attempt(os.sendfile, fd, os.open(shown, os.O_RDONLY), 0, 4)
        attempt(os.copy_file_range, os.open(shown, os.O_RDONLY), fd, 4)
        attempt(os.splice, fd, os.pipe()[1], 1)
        try:
            mapped = mmap.mmap(fd, 4, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
            mapped[:4] = b"wxyz"
            mapped.flush()
        except (OSError, ValueError):
            pass
        # Read-only first, writable later.
        address = libc.mmap(None, 4096, 1, 1, fd, 0)
        libc.mprotect(ctypes.c_void_p(address), 4096, 3)


def try_file():
    flags = (os.O_RDONLY, os.O_RDWR, os.O_WRONLY, os.O_WRONLY | os.O_TRUNC, os.O_RDWR | os.O_CREAT,
             os.O_WRONLY | os.O_APPEND, os.O_PATH)
    opened = [attempt(os.open, shown, flag) for flag in flags]
    for fd in [fd for fd in opened if fd is not None]:
        write(fd)
        for again in (f"/proc/self/fd/{fd}", f"/dev/fd/{fd}", f"/proc/thread-self/fd/{fd}",
                      f"/proc/{os.getpid()}/fd/{fd}"):
            for flag in flags:
                write(attempt(os.open, again, flag))
            attempt(os.truncate, again, 1)
            attempt(os.chmod, again, 0o777)
            attempt(os.utime, again, (1, 1))
            attempt(os.link, again, folder + "/linked", follow_symlinks=True)
            attempt(os.setxattr, again, "user.changed", b"yes")
        attempt(fcntl.ioctl, fd, 0x40086602, b"\x40\0\0\0\0\0\0\0")  # FS_IOC_SETFLAGS, FS_NODUMP_FL
        attempt(fcntl.fcntl, fd, 1024, 1)  # F_SETLEASE
        libc.linkat(fd, b"", -100, (folder + "/linked").encode(), 0x1000)
    attempt(os.truncate, shown, 1)
    attempt(os.chmod, shown, 0o777)
    attempt(os.unlink, shown)
    attempt(os.rename, shown, shown + ".moved")
    attempt(os.link, shown, folder + "/linked")


def try_folder():
    seen = []
    for flag in (os.O_RDONLY, os.O_RDONLY | os.O_DIRECTORY, os.O_PATH):
        fd = attempt(os.open, folder, flag)
        if fd is None:
            continue
        for up in ("..", "../..", "../" * 12):
            for path in (f"{up}/{secret_name}", up + secret, f"./{up}/{secret_name}"):
                found = attempt(os.open, path, os.O_RDONLY, dir_fd=fd)
                if found is not None:
                    seen.append(os.read(found, 100))
                if attempt(os.stat, path, dir_fd=fd) is not None:
                    seen.append(b"stat " + path.encode())
        above = attempt(os.open, "..", os.O_PATH | os.O_DIRECTORY, dir_fd=fd)
        found = above and attempt(os.open, secret_name, os.O_RDONLY, dir_fd=above)
        if found:
            seen.append(os.read(found, 100))
        attempt(os.mkdir, "made", dir_fd=fd)
        attempt(os.open, "made-file", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
        attempt(os.symlink, "/", "made-link", dir_fd=fd)
        attempt(os.unlink, "inside", dir_fd=fd)
        attempt(os.rename, "inside", "renamed", src_dir_fd=fd, dst_dir_fd=fd)
        attempt(os.chmod, "inside", 0o777, dir_fd=fd)
        if attempt(os.fchdir, fd) is None:
            continue
        found = attempt(os.open, f"../{secret_name}", os.O_RDONLY)
        if found is not None:
            seen.append(os.read(found, 100))
    handle = (ctypes.c_char * 136)(128)
    mount = ctypes.c_int()
    if libc.name_to_handle_at(-100, secret.encode(), handle, ctypes.byref(mount), 0) == 0:
        seen.append(b"handle")
    if libc.name_to_handle_at(-100, shown.encode(), handle, ctypes.byref(mount), 0) == 0:
        root = os.open("/", os.O_RDONLY)
        if libc.open_by_handle_at(root, handle, 2) >= 0:
            seen.append(b"by handle")
    return seen


seen = try_folder()
try_file()
print(seen)
