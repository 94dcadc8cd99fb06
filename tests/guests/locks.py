"""flock(2) and the locks of fcntl(2): between processes, descriptions and duplicates."""
import errno, fcntl, os, signal, struct, sys, time

os.chdir(sys.argv[1])
OFD_GETLK, OFD_SETLK, OFD_SETLKW = 36, 37, 38
FLOCK = "hhqqi4x"

def attempt(call, *arguments):
    try:
        call(*arguments)
        return "ok"
    except OSError as error:
        return errno.errorcode[error.errno]

def in_child(call):
    """What `call` says in a child process."""
    r, w = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(w, str(call()).encode())
        os._exit(0)
    os.close(w)
    said = os.read(r, 1000).decode()
    os.close(r)
    os.waitpid(child, 0)
    return said

def ofd(fd, command, kind, start=0, length=0):
    return fcntl.fcntl(fd, command, struct.pack(FLOCK, kind, os.SEEK_SET, start, length, 0))

open("file", "w").write("x" * 100)
a, b = os.open("file", os.O_RDWR), os.open("file", os.O_RDWR)
shared = os.dup(a)
EX, SH, NB, UN = fcntl.LOCK_EX, fcntl.LOCK_SH, fcntl.LOCK_NB, fcntl.LOCK_UN

print("flock", attempt(fcntl.flock, a, EX | NB), attempt(fcntl.flock, b, EX | NB), attempt(fcntl.flock, shared, SH | NB),
      attempt(fcntl.flock, b, SH | NB), attempt(fcntl.flock, b, EX | NB), attempt(fcntl.flock, a, UN), attempt(fcntl.flock, b, EX | NB))
print("inherited", in_child(lambda: attempt(fcntl.flock, b, EX | NB)), in_child(lambda: attempt(fcntl.flock, a, EX | NB)))
os.close(b)
print("closed", attempt(fcntl.flock, a, EX | NB), attempt(fcntl.flock, 99, EX), attempt(fcntl.flock, a, 77))
os.close(shared)
print("a duplicate closed", in_child(lambda: attempt(fcntl.flock, os.open("file", os.O_RDWR), EX | NB)))
os.close(a)

a = os.open("file", os.O_RDWR)
b = os.open("file", os.O_RDWR)
print("records", attempt(fcntl.lockf, a, EX | NB, 10, 0), attempt(fcntl.lockf, b, EX | NB, 10, 5))
print("in a child", in_child(lambda: [attempt(fcntl.lockf, b, EX | NB, 10, 5), attempt(fcntl.lockf, b, SH | NB, 5, 9),
                                      attempt(fcntl.lockf, b, EX | NB, 10, 15), attempt(fcntl.lockf, b, EX | NB, 0, 20)]))
told = in_child(lambda: struct.unpack(FLOCK, fcntl.fcntl(b, fcntl.F_GETLK, struct.pack(FLOCK, fcntl.F_WRLCK, 0, 0, 0, 0))))
print("told", told.replace(str(os.getpid()), "parent"))
print("split", attempt(fcntl.lockf, a, UN, 2, 4), in_child(lambda: [attempt(fcntl.lockf, b, EX | NB, 1, n) for n in range(12)]))
print("shared", attempt(fcntl.lockf, a, SH | NB, 10, 0), in_child(lambda: [attempt(fcntl.lockf, b, SH | NB, 10, 0), attempt(fcntl.lockf, b, EX | NB, 1, 0)]))
os.lseek(a, 50, os.SEEK_SET)
print("relative", attempt(fcntl.lockf, a, EX | NB, 5, 0, os.SEEK_CUR), in_child(lambda: [attempt(fcntl.lockf, b, EX | NB, 1, n) for n in (49, 50, 54, 55)]),
      attempt(fcntl.lockf, a, EX | NB, 5, -10, os.SEEK_END), in_child(lambda: [attempt(fcntl.lockf, b, EX | NB, 1, n) for n in (89, 90, 94, 95)]),
      attempt(fcntl.lockf, a, EX | NB, 5, -1), attempt(fcntl.lockf, a, EX | NB, 1, 0, 7))
os.close(b)
reader = os.open("file", os.O_RDONLY)
print("modes", attempt(fcntl.lockf, reader, EX | NB), attempt(fcntl.lockf, reader, SH | NB), attempt(fcntl.flock, reader, EX | NB))
os.close(reader), os.close(a)

a, b = os.open("file", os.O_RDWR), os.open("file", os.O_RDWR)
ofd(a, OFD_SETLK, fcntl.F_WRLCK)
print("of descriptions", attempt(ofd, b, OFD_SETLK, fcntl.F_WRLCK), attempt(ofd, os.dup(a), OFD_SETLK, fcntl.F_RDLCK), attempt(ofd, b, OFD_SETLK, fcntl.F_RDLCK),
      struct.unpack(FLOCK, ofd(b, OFD_GETLK, fcntl.F_WRLCK))[0:5], attempt(fcntl.lockf, b, EX | NB))
os.closerange(3, 20)

# Waiting: until it is free, and until a signal comes.
for take, free in ((lambda fd: fcntl.flock(fd, EX), None), (lambda fd: fcntl.lockf(fd, EX), None),
                   (lambda fd: ofd(fd, OFD_SETLKW, fcntl.F_WRLCK), None)):
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        take(os.open("file", os.O_RDWR))
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        time.sleep(0.2)
        os._exit(0)
    os.read(ready[0], 1)
    fd = os.open("file", os.O_RDWR)
    def alarm(*_): raise InterruptedError("alarm")
    signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try: take(fd)
    except InterruptedError as error: print("interrupted", error)
    os.write(go[1], b"x")
    start = time.monotonic()
    take(fd)
    print("waited", 0.1 < time.monotonic() - start < 5, os.waitpid(child, 0)[1])
    os.close(fd)
for kind in "rw":
    p = os.pipe()
    print("pipe", attempt(fcntl.flock, p[0], EX | NB))
