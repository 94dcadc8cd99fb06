"""Files in a folder that can be written: every way to move, fill, punch, name, map and time them."""
import ctypes, errno, mmap, os, shutil, sys

os.chdir(sys.argv[1])
sys.stdout.reconfigure(line_buffering=True)
libc = ctypes.CDLL(None, use_errno=True)
NOREPLACE, EXCHANGE = 1, 2
KEEP, PUNCH, COLLAPSE, ZERO = 1, 2, 8, 16
AT_FDCWD, AT_EMPTY_PATH, AT_SYMLINK_FOLLOW = -100, 0x1000, 0x400
TMPFILE = os.O_TMPFILE

def attempt(call, *arguments, **options):
    try:
        return call(*arguments, **options)
    except OSError as error:
        return errno.errorcode[error.errno]

def raw(call, *arguments):
    result = call(*arguments)
    return errno.errorcode[ctypes.get_errno()] if result < 0 else result

def rename2(old, new, flags):
    return raw(libc.renameat2, AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags)

def put(name, content="x"):
    with open(name, "w") as f: f.write(content)

for kind in ("file", "folder", "full", "link", "missing"):
    for other in ("file", "folder", "full", "link", "missing"):
        for flags in (0, NOREPLACE, EXCHANGE):
            os.makedirs("r"), os.chdir("r")
            for name, what in (("from", kind), ("to", other)):
                if what == "file": put(name, name)
                elif what == "link": os.symlink("nowhere", name)
                elif what != "missing": os.mkdir(name)
                if what == "full": put(name + "/in")
            said = rename2("from", "to", flags)
            print(kind, other, flags, said, sorted(os.listdir(".")), [open(n).read() for n in ("from", "to") if os.path.isfile(n)])
            os.chdir("..")
            shutil.rmtree("r")
os.makedirs("a/b/c")
put("a/file")
os.link("a/file", "a/same")
print("itself", attempt(os.rename, "a", "a"), attempt(os.rename, "a", "a/b/d"), attempt(os.rename, "a/b/c", "a/b"), attempt(os.rename, "a/file", "a/same"),
      sorted(os.listdir("a")), attempt(os.rename, "a/file/", "x"), attempt(os.rename, "a", "x/"), attempt(os.rename, "x", "a/."), attempt(os.rename, "x/..", "y"),
      attempt(os.rename, "", "y"), attempt(os.rename, "x", "n" * 256), rename2("x", "y", NOREPLACE | EXCHANGE), attempt(os.rename, "x", "/proc/self/x") in ("EXDEV", "ENOENT", "EPERM"))

fd = os.open("sparse", os.O_RDWR | os.O_CREAT)
def sizes():
    status = os.fstat(fd)
    return status.st_size, status.st_blocks * 512
def fallocate(mode, offset, length):
    return raw(libc.fallocate, fd, mode, ctypes.c_long(offset), ctypes.c_long(length)), sizes()
print(fallocate(0, 0, 8192), fallocate(KEEP, 8192, 8192), fallocate(0, 100, 0), fallocate(0, -1, 10), fallocate(PUNCH, 0, 10))
os.pwrite(fd, b"y" * 20480, 0)
print(fallocate(PUNCH | KEEP, 4096, 8192), os.pread(fd, 4, 4094), fallocate(PUNCH | KEEP, 0, 10), os.pread(fd, 12, 0))
print(attempt(os.lseek, fd, 0, os.SEEK_HOLE), attempt(os.lseek, fd, 4096, os.SEEK_DATA), attempt(os.lseek, fd, 20480, os.SEEK_DATA), attempt(os.lseek, fd, 13000, os.SEEK_HOLE))
os.truncate("sparse", 0), os.truncate("sparse", 1 << 20)
os.pwrite(fd, b"end", 1 << 19)
print(sizes()[0], sizes()[1] <= 8192, os.lseek(fd, 0, os.SEEK_DATA), os.lseek(fd, 1 << 19, os.SEEK_HOLE), os.pread(fd, 5, (1 << 19) - 1))
with mmap.mmap(fd, 8192, mmap.MAP_SHARED) as area:
    area[5:10] = b"12345"
    print(os.pread(fd, 12, 0))
    os.pwrite(fd, b"abc", 4096)
    child = os.fork()
    if child == 0:
        area[0:3] = b"kid"
        os._exit(0)
    os.waitpid(child, 0)
    print(area[0:10], area[4096:4099], open("sparse", "rb").read(4))
os.close(fd)

fd = os.open(".", TMPFILE | os.O_RDWR, 0o640)
os.write(fd, b"nameless")
print("nameless", os.fstat(fd).st_nlink, oct(os.fstat(fd).st_mode), sorted(os.listdir("."))[:3],
      raw(libc.linkat, AT_FDCWD, b"/proc/self/fd/%d" % fd, AT_FDCWD, b"named", AT_SYMLINK_FOLLOW), open("named").read(), os.fstat(fd).st_nlink,
      os.path.samestat(os.fstat(fd), os.stat("named")))
os.close(fd)
fd = os.open(".", TMPFILE | os.O_RDWR | os.O_EXCL)
print(raw(libc.linkat, AT_FDCWD, b"/proc/self/fd/%d" % fd, AT_FDCWD, b"never", AT_SYMLINK_FOLLOW), attempt(os.open, ".", TMPFILE | os.O_RDONLY), attempt(os.open, "named", TMPFILE | os.O_RDWR))
os.close(fd)
fd = os.open("named", os.O_RDWR)
os.unlink("named")
os.write(fd, b"gone")
print("unlinked", os.fstat(fd).st_nlink, os.pread(fd, 20, 0), attempt(os.stat, "named"), os.readlink(f"/proc/self/fd/{fd}").endswith("/named (deleted)"),
      open(f"/proc/self/fd/{fd}").read(), raw(libc.linkat, AT_FDCWD, b"/proc/self/fd/%d" % fd, AT_FDCWD, b"back", AT_SYMLINK_FOLLOW))

put("timed"), os.symlink("timed", "tlink")
os.utime("timed", ns=(1_000_000_001, 2_000_000_002))
print(os.stat("timed").st_atime_ns, os.stat("timed").st_mtime_ns)
os.utime("tlink", ns=(5, 6), follow_symlinks=False)
print(os.lstat("tlink").st_mtime_ns, os.stat("timed").st_mtime_ns)
class Spec(ctypes.Structure): _fields_ = [("sec", ctypes.c_long), ("nsec", ctypes.c_long)]
NOW, OMIT = (1 << 30) - 1, (1 << 30) - 2
for first, second in (((0, OMIT), (9, 9)), ((7, 7), (0, OMIT)), ((0, OMIT), (0, OMIT)), ((0, NOW), (0, OMIT)), ((0, 1_000_000_000), (0, 0)), ((-1, 5), (1 << 33, 5))):
    pair = (Spec * 2)(Spec(*first), Spec(*second))
    said = raw(libc.utimensat, AT_FDCWD, b"timed", pair, 0)
    print(said, os.stat("timed").st_atime_ns if os.stat("timed").st_atime < 1e9 else "now", os.stat("timed").st_mtime_ns)
print(attempt(os.utime, "missing"), raw(libc.utimensat, AT_FDCWD, b"timed", None, 1 << 20), raw(libc.futimens, 99, None))
os.chmod("timed", 0)
print(oct(os.stat("timed").st_mode), attempt(os.chmod, "missing", 0o600))

os.mkdir("group", 0o2755)
print(oct(os.stat("group").st_mode), attempt(os.chmod, "group", 0o3770), oct(os.stat("group").st_mode))
os.mkdir("group/inner"), put("group/file")
print(oct(os.stat("group/inner").st_mode), oct(os.stat("group/file").st_mode), attempt(os.chmod, "group/inner", 0o755), oct(os.stat("group/inner").st_mode))

# Extended attributes: as a filesystem without them answers, such as /proc, or one with them does.
def xattrs(name, **options):
    return (attempt(os.listxattr, name, **options), attempt(os.getxattr, name, "user.x", **options),
            attempt(os.setxattr, name, "user.x", b"y", **options), attempt(os.removexattr, name, "user.x", **options))
os.chmod("timed", 0o600)
fd = os.open("timed", os.O_RDONLY)
os.symlink("missing", "dangling")
print("xattr", xattrs("/proc/self/status")[:2], xattrs("/proc/self/status", follow_symlinks=False)[:2])
for name in ("missing", "dangling", "timed/x", "", 99):
    print(name, xattrs(name), xattrs(name, follow_symlinks=False) if name and name not in ("dangling", 99) else "")
for name, options in (("timed", {}), ("tlink", {}), ("group", {}), (fd, {}), ("dangling", {"follow_symlinks": False})):
    listed, got, made, gone = xattrs(name, **options)
    print(listed, got in ("ENODATA", "ENOTSUP"), made in (None, "ENOTSUP", "EPERM"), gone in (None, "ENOTSUP", "EPERM"))
os.close(fd)
print(shutil.copy2("timed", "copied"), attempt(shutil.copystat, "group", "copied"))

names = [b"\xff\xfe", b"new\nline", b" ", b"-x", b"\xc3\xa9", b"e\xcc\x81", b"n" * 255, b"tab\t\x1b[31m"]
os.mkdir("odd")
for name in names: os.close(os.open(b"odd/" + name, os.O_CREAT))
print(sorted(os.listdir(b"odd")) == sorted(names), sorted(os.listdir("odd"))[-1].encode("utf-8", "surrogateescape")[:4], attempt(os.open, b"odd/" + b"n" * 256, os.O_CREAT))
depth = 0
top = os.open(".", os.O_RDONLY)
for depth in range(600): os.mkdir("deep-folder"), os.chdir("deep-folder")
print("deep", attempt(os.getcwd) if depth < 100 else raw(libc.syscall, 79, ctypes.create_string_buffer(4096), 4096) in ("ENAMETOOLONG",), attempt(os.stat, "x"))
for depth in range(600): os.chdir(".."), os.rmdir("deep-folder")
print(os.path.samestat(os.fstat(top), os.stat(".")))
usage = os.statvfs(".")
print("usage", usage.f_namemax, 0 < usage.f_bavail <= usage.f_bfree <= usage.f_blocks, usage.f_bsize == usage.f_frsize)
os.mkdir("many")
for i in range(int(sys.argv[2])): os.close(os.open(f"many/{i}", os.O_CREAT | os.O_EXCL, 0o600))
print("many", len(os.listdir("many")), sum(1 for e in os.scandir("many") if e.is_file()), attempt(os.rmdir, "many"))
for name in os.listdir("many"): os.unlink("many/" + name)
print(attempt(os.rmdir, "many"))
