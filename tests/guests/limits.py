"""Limits that a program sets itself: kept while the rest of the run changes, inherited, enforced."""
import errno, os, resource, signal, sys, time

os.chdir(sys.argv[1])
sys.stdout.reconfigure(line_buffering=True)
FSIZE, DATA, CPU, NOFILE = resource.RLIMIT_FSIZE, resource.RLIMIT_DATA, resource.RLIMIT_CPU, resource.RLIMIT_NOFILE

def attempt(call, *arguments):
    try:
        return call(*arguments)
    except (OSError, ValueError) as error:
        return errno.errorcode.get(getattr(error, "errno", None), str(error))

def write(name, size):
    with open(name, "wb", buffering=0) as f:
        return attempt(f.write, b"x" * size)

def soft(which):
    return resource.getrlimit(which)[0] % (1 << 64)  # RLIM_INFINITY is -1

def set_soft(which, value):
    return attempt(resource.setrlimit, which, (value, resource.getrlimit(which)[1]))

before = resource.getrlimit(FSIZE)[0], resource.getrlimit(DATA)[0]
print("set", set_soft(FSIZE, 1000), soft(FSIZE), write("a", 999), write("a", 1000), write("a", 5000), os.path.getsize("a"))
# Its very own limit: as the kernel says it, with SIGXFSZ (which Python ignores) and EFBIG.
signal.signal(signal.SIGXFSZ, lambda *_: print("SIGXFSZ"))
fd = os.open("a", os.O_WRONLY)
os.lseek(fd, 1000, 0)
print(attempt(os.write, fd, b"x"), attempt(os.ftruncate, fd, 2000), attempt(os.truncate, "a", 2000), attempt(os.posix_fallocate, fd, 0, 2000))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
print("a folder", attempt(os.mkdir, "folder"), attempt(os.symlink, "x" * 2000, "link"))
for i in range(20):  # while other files come and go, and time passes
    open("other", "w").write("x" * 500 * (i % 3))
    child = os.fork()
    if child == 0:
        os._exit(0 if soft(FSIZE) == 1000 and write("b", 1001) == 1000 else 1)
    if os.waitpid(child, 0)[1]: print("not inherited")
    time.sleep(0.01)
print("kept", soft(FSIZE), write("a", 2000))
print("back", set_soft(FSIZE, before[0]), soft(FSIZE) > 1 << 20, write("a", 100000))
print("signal", end=" ", flush=True)
child = os.fork()
if child == 0:
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    set_soft(FSIZE, 10)
    write("c", 100), write("c", 100)
    with open("c", "ab", buffering=0) as f: f.write(b"x")
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

child = os.fork()
if child == 0:
    set_soft(DATA, 64 << 20)
    for i in range(20):
        other = os.fork()
        if other == 0: os._exit(0)
        os.waitpid(other, 0)
        time.sleep(0.01)
    try: large = bytearray(100 << 20)
    except MemoryError: print("MemoryError", soft(DATA))
    print(set_soft(DATA, before[1]), soft(DATA) > 200 << 20, len(bytearray(100 << 20)), flush=True)
    os._exit(0)
os.waitpid(child, 0)
child = os.fork()
if child == 0:
    print("hard", attempt(resource.setrlimit, FSIZE, (2000, 3000)), resource.getrlimit(FSIZE), set_soft(FSIZE, 3000), soft(FSIZE),
          attempt(resource.setrlimit, FSIZE, (10, 5)), attempt(resource.setrlimit, 99, (1, 1)))
    hard = resource.getrlimit(CPU)[1]
    print("cpu", attempt(resource.setrlimit, CPU, (2, 4)), resource.getrlimit(CPU), set_soft(CPU, 4), soft(CPU))
    print("files", attempt(resource.setrlimit, NOFILE, (10, 20)), attempt(lambda: [os.open("a", 0) for _ in range(20)]), set_soft(NOFILE, 20), soft(NOFILE), flush=True)
    os._exit(0)
os.waitpid(child, 0)
