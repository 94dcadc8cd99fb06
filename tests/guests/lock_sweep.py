"""Questions about locks that take long, beside calls of a process that asks for none: lock_sweep.py HOW [FOLDER].
Says how many locks there are, and how long the slowest of the others' calls took."""
import fcntl, os, resource, sys, threading, time

os.chdir(sys.argv[2] if len(sys.argv) > 2 else "/tmp")
DESCRIPTORS = 1000  # all of the same file: whether one of them is still there takes a look at each
WAITERS = 60


def many_descriptors(path="lock_sweep"):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(hard, DESCRIPTORS + 20) - 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 20, hard))
    return [os.open(path, os.O_RDWR | os.O_CREAT) for _ in range(count)]


def lock(fd, at, wait=0):
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | wait, 1, at)
        return 1
    except OSError:
        return 0


def sweep(say):
    """As many locks as there may be, each by another description, and more asked for without end."""
    fds = many_descriptors()
    say(sum(lock(fd, 2 * i, fcntl.LOCK_NB) for i, fd in enumerate(fds)))
    while True:
        for i in range(1000): lock(fds[0], 10000 + 2 * i, fcntl.LOCK_NB)


def hold(say):
    fds = many_descriptors()
    say(lock(fds[-1], 0))
    time.sleep(60)


def wait(say):
    fd = os.open("lock_sweep", os.O_RDWR)
    for _ in range(WAITERS): threading.Thread(target=lock, args=(fd, 0), daemon=True).start()
    say(WAITERS)
    time.sleep(60)


children, said = [], []
for part in {"sweep": (sweep,), "wait": (hold, wait)}[sys.argv[1]]:
    r, w = os.pipe()
    child = os.fork()
    if child == 0:
        part(lambda number: os.write(w, b"%d" % number))
    children.append(child)
    said.append(int(os.read(r, 100)))
time.sleep(0.3)
slowest = 0
end = time.monotonic() + 2
while time.monotonic() < end:
    start = time.monotonic()
    os.stat("/tmp")
    slowest = max(slowest, time.monotonic() - start)
for child in children: os.kill(child, 9)
os.unlink("lock_sweep")
print(*said, slowest)
