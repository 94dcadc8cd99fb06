"""Processes by every road that Python has, and what they share: pools, queues, memory, semaphores, files, events."""
import concurrent.futures, ctypes, errno, multiprocessing, os, select, signal, subprocess, sys, threading, time
from multiprocessing import shared_memory

def attempt(call, *arguments, **options):
    try:
        return call(*arguments, **options)
    except OSError as error:
        return errno.errorcode[error.errno]

def square(n): return n * n
def add(lock, value, times):
    for _ in range(times):
        with lock: value.value += 1
def talk(queue, connection, barrier, name):
    memory = shared_memory.SharedMemory(name)
    memory.buf[0] += 1
    memory.close()
    barrier.wait(20)
    queue.put(connection.recv()[::-1])
    connection.send(os.getppid() > 0)

def with_method(method):
    context = multiprocessing.get_context(method)
    with context.Pool(2) as pool:
        print(method, pool.map(square, range(5)), pool.apply_async(square, (9,)).get(20), end=" ")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        print(list(pool.map(square, range(3))), pool.submit(sum, [1, 2]).result(20), end=" ")
    lock, value, queue, barrier = context.Lock(), context.Value("i", 0), context.Queue(), context.Barrier(2)
    adders = [context.Process(target=add, args=(lock, value, 200)) for _ in range(2)]
    for each in adders: each.start()
    for each in adders: each.join(20)
    here, there = context.Pipe()
    memory = shared_memory.SharedMemory(create=True, size=4096)
    child = context.Process(target=talk, args=(queue, there, barrier, memory.name))
    child.start()
    here.send("abc"), barrier.wait(20)
    print([each.exitcode for each in adders], value.value, queue.get(timeout=20), here.recv(), memory.buf[0], end=" ")
    child.join(20), memory.close(), memory.unlink()
    semaphore = context.Semaphore(1)
    print(child.exitcode, semaphore.acquire(timeout=1), semaphore.acquire(timeout=0.01), attempt(shared_memory.SharedMemory, memory.name), flush=True)

def main():
    os.chdir(sys.argv[1])
    sys.stdout.reconfigure(line_buffering=True)
    for method in ("fork", "spawn", "forkserver"): with_method(method)

    # Spawned with everything that posix_spawn(3) can arrange.
    r, w = os.pipe()
    actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, w, 1), (os.POSIX_SPAWN_CLOSE, r)]
    code = "import os, signal, sys; print(len(sys.stdin.read()), os.getpgrp() == os.getpid(), signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL, signal.pthread_sigmask(signal.SIG_BLOCK, []) == {signal.SIGUSR2}, os.environ)"
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    pid = os.posix_spawn(sys.executable, [sys.executable, "-ISc", code], {"ONLY": "this"}, file_actions=actions, setpgroup=0, setsigdef=[signal.SIGUSR1], setsigmask=[signal.SIGUSR2])
    print("spawn", os.waitpid(pid, 0)[1], os.read(r, 1000), attempt(os.posix_spawn, "/nowhere/program", ["x"], {}) in ("ENOENT", "EACCES"), os.waitpid(os.posix_spawnp("true", ["true"], os.environ), 0)[1])
    fd = os.open(sys.executable, os.O_RDONLY)
    print("by descriptor", flush=True)
    if os.fork() == 0: os.execve(fd, ["python3", "-Sc", "print('executed')"], {})
    os.wait()
    print(subprocess.run(["sh", "-c", "cat; echo err >&2; exit 7"], input=b"in", capture_output=True), os.system("exit 3") >> 8, os.popen("echo popen").read())
    with subprocess.Popen(["sleep", "100"], start_new_session=True) as process:
        process.send_signal(signal.SIGTERM)
        print("ended", process.wait(20), attempt(subprocess.run, ["sleep", "100"], timeout=None, preexec_fn=lambda: os.kill(os.getpid(), 9)).returncode)
    try: subprocess.run(["sleep", "100"], timeout=0.1)
    except subprocess.TimeoutExpired: print("timeout")

    # Appended by several at once: no line is lost, none is torn.
    children = []
    for i in range(3):
        children.append(os.fork())
        if children[-1] == 0:
            fd = os.open("appended", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            for n in range(300): os.write(fd, b"%d %d\n" % (i, n))
            os._exit(0)
    for pid in children: os.waitpid(pid, 0)
    lines = open("appended").read().splitlines()
    print("appended", len(lines), [sum(line.startswith(str(i)) for line in lines) for i in range(3)], all([int(line.split()[1]) for line in lines if line.startswith(str(i))] == list(range(300)) for i in range(3)))

    libc = ctypes.CDLL(None, use_errno=True)
    event = os.eventfd(1, os.EFD_CLOEXEC)
    os.eventfd_write(event, 4)
    timer = libc.timerfd_create(1, 0)
    libc.timerfd_settime(timer, 0, (ctypes.c_long * 4)(0, 0, 0, 20_000_000), None)
    mask = (ctypes.c_ulong * 16)(1 << (signal.SIGUSR2 - 1))
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    signals = libc.signalfd(-1, mask, 0)
    os.kill(os.getpid(), signal.SIGUSR2)
    poll = select.epoll()
    for fd in (event, timer, signals): poll.register(fd, select.EPOLLIN)
    seen = set()
    while len(seen) < 3: seen |= {fd for fd, _ in poll.poll(5)}
    print("events", os.eventfd_read(event), int.from_bytes(os.read(timer, 8), "little"), int.from_bytes(os.read(signals, 128)[:4], "little") == signal.SIGUSR2)
    with concurrent.futures.ThreadPoolExecutor(8) as pool: print("threads", sum(pool.map(square, range(100))))

if __name__ == "__main__": main()
