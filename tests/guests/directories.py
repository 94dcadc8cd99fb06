"""A folder's descriptor: its records by the old call and by the new, what is no way to read it, positions, O_PATH."""
import ctypes, errno, fcntl, mmap, os, select, struct, sys

os.chdir(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
GETDENTS, GETDENTS64 = 78, 217  # x86-64
NAMES = [b"a", b"folder", b"link", b"\xff\xfe", b"n" * 255, *(b"%03d" % i for i in range(300))]

def attempt(call, *arguments):
    try:
        return call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]

def records(fd, call, size):
    """(name, type) of all records; the type's place is what tells the two calls apart."""
    buffer = ctypes.create_string_buffer(size)
    while (used := libc.syscall(call, fd, buffer, size)) > 0:
        at = 0
        while at < used:
            inode, offset, length = struct.unpack_from("QqH", buffer.raw, at)
            record = buffer.raw[at:at + length]
            kind = record[-1] if call == GETDENTS else record[18]
            name = record[18 if call == GETDENTS else 19:].split(b"\0")[0]
            yield name, kind, inode, offset
            at += length
    if used < 0:
        yield errno.errorcode[ctypes.get_errno()]

for name in NAMES:
    if name == b"folder": os.mkdir(name)
    elif name == b"link": os.symlink(b"a", name)
    else: os.close(os.open(name, os.O_CREAT))
fd = os.open(".", os.O_RDONLY)
found = {}
for call, size in ((GETDENTS, 300), (GETDENTS, 32768), (GETDENTS64, 300), (GETDENTS64, 32768)):
    os.lseek(fd, 0, os.SEEK_SET)
    found[call, size] = list(records(fd, call, size))
    print(call, size, len(found[call, size]), sorted(entry[:2] for entry in found[call, size])[:6])
print([a == b for a, b in zip(found.values(), list(found.values())[1:])],
      sorted(entry[0] for entry in found[GETDENTS, 300]) == sorted([b".", b"..", *NAMES]),
      all(entry[2] == os.lstat(entry[0]).st_ino for entry in found[GETDENTS, 300] if entry[0] != b".."))
os.lseek(fd, 0, os.SEEK_SET)
print("too small", list(records(fd, GETDENTS, 20)), list(records(fd, GETDENTS64, 20)))
file = os.open("a", os.O_RDWR)
print("a file", list(records(file, GETDENTS, 300)), list(records(99, GETDENTS, 300)))

again = os.dup(fd)
other = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
os.lseek(fd, 0, os.SEEK_SET)
print("shared", len(list(records(again, GETDENTS64, 100000))), list(records(fd, GETDENTS64, 1000)), len(list(records(other, GETDENTS64, 100000))))
sub = os.open("folder", os.O_RDONLY)
print("apart", [len(os.listdir(each)) for each in (fd, sub, other)], os.path.samestat(os.stat("../a", dir_fd=sub), os.stat("a")),
      os.path.samestat(os.fstat(fd), os.stat(".")), os.path.samestat(os.fstat(sub), os.stat("folder")),
      os.path.samestat(os.fstat(again), os.fstat(other)))
os.fchdir(sub)
print(os.path.basename(os.getcwd()), os.path.basename(os.readlink(f"/proc/self/fd/{sub}")), os.listdir(f"/proc/self/fd/{sub}"))
os.fchdir(fd)
many = [os.open("folder", os.O_RDONLY) if i % 2 else os.open(".", os.O_RDONLY) for i in range(200)]
print("many", {len(os.listdir(each)) for each in many[1::2]}, {len(os.listdir(each)) for each in many[::2]})
for each in many[:150]: os.close(each)
print("left", len(os.listdir(many[151])), len(os.listdir(many[152])))
child = os.fork()
if child == 0:
    print("child", len(os.listdir(fd)), len(os.listdir(sub)), flush=True)
    os._exit(0)
os.waitpid(child, 0)
name = os.open("folder", os.O_PATH)
print("path only", attempt(os.read, name, 1), list(records(name, GETDENTS, 300)), attempt(os.listdir, name))
print("sync", attempt(os.fsync, fd), attempt(os.fdatasync, fd), attempt(os.posix_fadvise, file, 0, 0, 0))

if len(sys.argv) > 2: sys.exit()  # what the rest is about is not to be had here
for flags in (0, os.O_DIRECTORY, os.O_NONBLOCK, os.O_CLOEXEC | os.O_NOFOLLOW | os.O_APPEND):
    print(oct(fcntl.fcntl(os.open(".", flags), fcntl.F_GETFL)), end=" ")
F_ADD_SEALS = 1033
for each in (fd, sub, os.open("/usr/lib", os.O_RDONLY), os.open("/proc/self", os.O_RDONLY)):
    print("not a file", attempt(os.read, each, 1), attempt(os.pread, each, 1, 0), attempt(os.readv, each, [bytearray(1)]), attempt(os.write, each, b"x"),
          attempt(mmap.mmap, each, 4096, mmap.MAP_PRIVATE, mmap.PROT_READ), attempt(os.sendfile, file, each, 0, 1), attempt(os.copy_file_range, each, file, 1),
          attempt(os.ftruncate, each, 0), attempt(os.posix_fallocate, each, 0, 1), attempt(os.splice, each, os.pipe()[1], 1), attempt(select.epoll().register, each),
          attempt(fcntl.fcntl, each, F_ADD_SEALS, 1), select.select([each], [each], [], 0) == ([each], [each], []), attempt(os.lseek, each, -1, os.SEEK_SET))
