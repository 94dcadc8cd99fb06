"""Waiting for a lock while signals come: stops and handlers as the kernel has them, and deadlocks."""
import ctypes, errno, fcntl, os, select, signal, struct, sys, threading, time

os.chdir(sys.argv[1])
sys.stdout.reconfigure(line_buffering=True)
libc = ctypes.CDLL(None, use_errno=True)
FLOCK = "hhqqi4x"
OFD_SETLKW = 38

def raw(call, *arguments):
    """One call of the C library: Python would make an interrupted one again."""
    return "ok" if call(*arguments) == 0 else errno.errorcode[ctypes.get_errno()]

def record(fd, command, kind=fcntl.F_WRLCK, start=0, length=0):
    lock = ctypes.create_string_buffer(struct.pack(FLOCK, kind, os.SEEK_SET, start, length, 0))
    return raw(libc.fcntl, fd, command, lock)

KINDS = {"flock": lambda fd: raw(libc.flock, fd, fcntl.LOCK_EX), "record": lambda fd: record(fd, fcntl.F_SETLKW),
         "description": lambda fd: record(fd, OFD_SETLKW)}

def state(pid):
    return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0]

def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline: return False
        time.sleep(0.002)
    return True

def holder(take):
    """A process that holds the lock until it is told."""
    ready, go = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(go[1])
        take(os.open("file", os.O_RDWR))
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    for fd in (*ready, go[0]): os.close(fd)
    return pid, go[1]

def waiter(take, prepare=lambda: None, threads=False):
    r, w = os.pipe()
    ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(r)
        prepare()
        fd = os.open("file", os.O_RDWR)
        os.write(ready[1], b"x")
        if threads: threading.Thread(target=lambda: os.write(w, take(fd).encode())).start(), time.sleep(0.4)
        else: os.write(w, take(fd).encode())
        os._exit(0)
    os.read(ready[0], 1)
    for each in (w, *ready): os.close(each)
    time.sleep(0.1)  # until it waits
    return pid, r

open("file", "w").write("x" * 100)
for name, take in KINDS.items():
    for threads in (False, True):
        held, go = holder(take)
        pid, result = waiter(take, threads=threads)
        os.kill(pid, signal.SIGSTOP)
        stopped = os.waitpid(pid, os.WUNTRACED)[1]
        print(name, threads, "stopped", os.WIFSTOPPED(stopped), until(lambda: state(pid) in "tT"))
        os.kill(pid, signal.SIGCONT)
        print(os.WIFCONTINUED(os.waitpid(pid, os.WCONTINUED)[1]), end=" ")
        os.kill(pid, signal.SIGCHLD), os.kill(pid, signal.SIGWINCH)  # ignored by default
        time.sleep(0.02)
        os.write(go, b"x"), os.close(go)
        print(os.read(result, 10), os.waitpid(pid, 0)[1], os.waitpid(held, 0)[1])
        os.close(result)

for name, take in KINDS.items():
    for restart in (False, True):
        def prepare():
            signal.signal(signal.SIGUSR1, lambda *_: None)
            signal.siginterrupt(signal.SIGUSR1, not restart)
        held, go = holder(take)
        pid, result = waiter(take, prepare)
        # It may not have come to wait by the first of them.
        for _ in range(5 if restart else 500):
            os.kill(pid, signal.SIGUSR1)
            if select.select([result], [], [], 0.02)[0]: break
        os.write(go, b"x"), os.close(go)
        print(name, "restarts" if restart else "ends", os.read(result, 10), os.waitpid(pid, 0)[1], os.waitpid(held, 0)[1])
        os.close(result)

# The alarm of a process that waits for itself: two that each hold what the other wants, and three.
for many in (2, 3):
    barrier = [os.pipe() for _ in range(many)]
    done = os.pipe()
    pids = []
    for i in range(many):
        pid = os.fork()
        if pid == 0:
            fd = os.open("file", os.O_RDWR)
            record(fd, fcntl.F_SETLKW, start=i, length=1)
            for r, w in barrier: os.write(w, b"x")
            for _ in range(many): os.read(barrier[i][0], 1)
            time.sleep(0.1 * i)
            said = record(fd, fcntl.F_SETLKW, start=(i + 1) % many, length=1)
            os.write(done[1], said.encode() + b" ")
            os._exit(0)
        pids.append(pid)
    for pid in pids: os.waitpid(pid, 0)
    print("cycle of", many, sorted(os.read(done[0], 100).split()))

# Not a cycle: the first waits for the second, which waits for nothing.
ready = os.pipe()
child = os.fork()
if child == 0:
    fd = os.open("file", os.O_RDWR)
    record(fd, fcntl.F_SETLKW, start=1, length=1)
    os.write(ready[1], b"x")
    time.sleep(0.2)
    print("alone", record(fd, fcntl.F_SETLKW, start=2, length=1))
    os._exit(0)
fd = os.open("file", os.O_RDWR)
os.read(ready[0], 1)
print("later", record(fd, fcntl.F_SETLKW, start=1, length=1), os.waitpid(child, 0)[1])
