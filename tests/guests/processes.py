"""Waiting for processes in every way, groups and sessions, threads by the thousand, signals, pipes that end."""
import ctypes, errno, os, select, signal, sys, threading, time

sys.stdout.reconfigure(line_buffering=True)
os.chdir(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
WALL, WNOTHREAD, P_PIDFD = 0x40000000, 0x20000000, 3

def attempt(call, *arguments):
    try:
        return call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]

def child(work):
    pid = os.fork()
    if pid == 0:
        try: work()
        finally: os._exit(0)
    return pid

def told(info, pid):
    return info and (info.si_pid == pid, info.si_signo == signal.SIGCHLD, info.si_status, info.si_code)

pid = child(lambda: os._exit(7))
print("not reaped", told(os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT), pid), told(os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT), pid))
print("ended", attempt(os.kill, pid, 0), attempt(os.kill, pid, signal.SIGTERM), attempt(os.kill, pid, 65))
pidfd = os.pidfd_open(pid)
print("pidfd", select.select([pidfd], [], [], 5)[0] == [pidfd], told(os.waitid(P_PIDFD, pidfd, os.WEXITED), pid), attempt(os.waitid, P_PIDFD, pidfd, os.WEXITED),
      attempt(os.kill, pid, 0), attempt(os.pidfd_open, pid), os.get_inheritable(pidfd))
print("nobody", attempt(os.waitpid, -1, 0), attempt(os.waitid, os.P_ALL, 0, os.WEXITED), attempt(os.waitpid, 1, 0), attempt(os.waitid, os.P_PID, pid, 0))
pid = child(lambda: time.sleep(100))
print("running", os.waitpid(pid, os.WNOHANG), os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG), os.waitpid(pid, os.WNOHANG | WALL | WNOTHREAD))
os.kill(pid, signal.SIGSTOP)
print(told(os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT), pid), os.WSTOPSIG(os.waitpid(pid, os.WUNTRACED)[1]), os.waitpid(pid, os.WUNTRACED | os.WNOHANG))
os.kill(pid, signal.SIGCONT)
print(told(os.waitid(os.P_PID, pid, os.WCONTINUED | os.WNOWAIT), pid), os.WIFCONTINUED(os.waitpid(pid, os.WCONTINUED)[1]))
os.kill(pid, signal.SIGTERM)
print(os.WTERMSIG(os.waitpid(pid, WALL)[1]))
pid = os.posix_spawn(sys.executable, ["python3", "-S", "-c", "pass"], {})  # CLONE_VM | CLONE_VFORK
print("spawned", os.waitpid(pid, 0)[1])
pid = child(lambda: os.setpgid(0, 0) or os._exit(3))
time.sleep(0.05)
print("by group", os.waitpid(-pid, 0)[1] >> 8, attempt(os.waitpid, 0, 0))

def session():
    print("session", os.setsid() == os.getpid(), os.getsid(0) == os.getpgrp() == os.getpid(), attempt(os.setsid), attempt(os.setpgid, 0, os.getppid()))
    inner = child(lambda: signal.pause())
    os.setpgid(inner, inner)
    print(os.getpgid(inner) == inner, os.getsid(inner) == os.getpid())
    os.killpg(inner, signal.SIGKILL)
    print(os.waitpid(inner, 0)[1])
os.waitpid(child(session), 0)
def orphan():
    r, w = os.pipe()
    middle = child(lambda: child(lambda: (time.sleep(0.05), os.write(w, b"1" if os.getppid() != middle_pid[0] else b"0"))))
    middle_pid[0] = middle
    os.waitpid(middle, 0)
    print("orphan", os.read(r, 1))
middle_pid = [0]
orphan()

count = [0]
lock = threading.Lock()
def work():
    with lock: count[0] += 1
for _ in range(40):
    threads = [threading.Thread(target=work) for _ in range(50)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
end = time.monotonic() + 5  # a thread that was joined may still be on the way out
while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < end: time.sleep(0.001)
print("threads", count[0], threading.active_count(), len(os.listdir("/proc/self/task")))
os.makedirs("elsewhere", exist_ok=True)
here = os.getcwd()
thread = threading.Thread(target=os.chdir, args=("elsewhere",))
thread.start(), thread.join()
print("one folder", os.getcwd() == os.path.join(here, "elsewhere"), end=" ")
print(os.waitpid(child(lambda: os.chdir("/")), 0)[1], os.getcwd() == os.path.join(here, "elsewhere"))
os.chdir(here)

# An alarm again and again while calls are served: with SA_RESTART and without, none is lost or ends early.
for restart in (False, True):
    rung = [0]
    signal.signal(signal.SIGALRM, lambda *_: rung.__setitem__(0, rung[0] + 1))
    signal.siginterrupt(signal.SIGALRM, not restart)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    said = set()
    start = time.monotonic()
    while (passed := time.monotonic() - start) < 0.3 or (rung[0] <= 10 and passed < 10):
        fd = libc.open(b"served", os.O_CREAT | os.O_RDWR, 0o600)
        said.add((fd >= 0, libc.access(b"served", 0), libc.access(b"missing", 0), ctypes.get_errno(), libc.unlink(b"served"), libc.close(fd)))
    signal.setitimer(signal.ITIMER_REAL, 0)
    print("alarms", restart, rung[0] > 10, said)
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)  # again: the first may come just before the call
print("pause", signal.pause(), signal.setitimer(signal.ITIMER_REAL, 0)[1])
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGUSR2])
os.kill(os.getpid(), signal.SIGUSR2)
print("sigwait", signal.sigpending(), signal.sigwait([signal.SIGUSR1, signal.SIGUSR2]), signal.sigtimedwait([signal.SIGUSR1], 0.02))
pid = child(lambda: os.kill(os.getppid(), signal.SIGUSR1))
info = signal.sigwaitinfo([signal.SIGUSR1])
print(info.si_pid == pid, info.si_signo, info.si_code, os.waitpid(pid, 0)[1])

# Pipes whose other end is gone.
r, w = os.pipe()
os.close(r)
signal.signal(signal.SIGPIPE, lambda *_: print("SIGPIPE"))
print(attempt(os.write, w, b"x"))
def dies():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.write(w, b"x")
print(os.WTERMSIG(os.waitpid(child(dies), 0)[1]))
print("inotify" if libc.inotify_init1(0) >= 0 or ctypes.get_errno() == errno.ENOSYS else ctypes.get_errno())
