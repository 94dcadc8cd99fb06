"""/proc, /dev and /etc: every file that tools read parses, and they agree with the calls and with each other."""
import grp, os, pwd, re, resource, socket, stat, sys, threading, time

began = time.time()
os.chdir(sys.argv[1])
sys.stdout.reconfigure(line_buffering=True)
me = os.getpid()
PAGE, TICKS = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")

def read(path): return open(path, "rb").read().decode()
def table(text, separator=":"): return {line.split(separator, 1)[0].strip(): line.split(separator, 1)[1].strip() for line in text.splitlines()}
def near(a, b, most): return abs(a - b) <= most or (a, b)
def fields(who="self"): return read(f"/proc/{who}/stat").rpartition(")")[2].split()

for who in ("self", str(me), f"self/task/{me}", "thread-self"):
    status, fs = table(read(f"/proc/{who}/status")), fields(who)
    name = read(f"/proc/{who}/comm").strip()
    print("status", [int(status[key]) for key in ("Tgid", "Pid")] == [me, me], [int(v) for v in status["Uid"].split()[:3]] == list(os.getresuid()),
          [int(v) for v in status["Gid"].split()[:3]] == list(os.getresgid()), sorted(map(int, status["Groups"].split())) == sorted(os.getgroups()), status["State"][0] in "RS",
          int(status["Threads"]) == len(os.listdir(f"/proc/{me}/task")), status["Name"] == name, 0 < int(status["VmRSS"].split()[0]) <= int(status["VmHWM"].split()[0]) <= int(status["VmPeak"].split()[0]))
    print("stat", read(f"/proc/{who}/stat").startswith(f"{me} ({name}) "), int(fs[1]) == int(status["PPid"]), len(fs) >= 50, int(fs[17]) == int(status["Threads"]),
          near(int(fs[20]), 1024 * int(status["VmSize"].split()[0]), 64 << 20), near(int(fs[11]) / TICKS, os.times().user, 0.5))
    print("statm", len(read(f"/proc/{who}/statm").split()) == 7, near(int(read(f"/proc/{who}/statm").split()[0]) * PAGE, int(fs[20]), 64 << 20))
    maps = read(f"/proc/{who}/maps").splitlines()
    headers = [line for line in read(f"/proc/{who}/smaps").splitlines() if re.match(r"[0-9a-f]+-", line)]
    spans = [tuple(int(v, 16) for v in line.split()[0].split("-")) for line in maps]
    print("maps", all(re.fullmatch(r"[0-9a-f]+-[0-9a-f]+ [r-][w-][x-][ps] [0-9a-f]{8,} [0-9a-f]{2,}:[0-9a-f]{2,} \d+ *(\S.*)?", line) for line in maps), spans == sorted(spans), near(len(maps), len(headers), 8),
          all(any(name in line for line in maps) for name in ("libc", "python3", "[stack]", "[vdso]")), sum(end - start for start, end in spans) > 1 << 20)
    print("names", read(f"/proc/{who}/cmdline").split("\0")[1:-1][-len(sys.argv):] == sys.argv, os.readlink(f"/proc/{who}/exe") == os.path.realpath(sys.executable), os.readlink(f"/proc/{who}/cwd") == os.getcwd(),
          os.readlink(f"/proc/{who}/root"), "PATH=" + os.environ["PATH"] in read(f"/proc/{who}/environ").split("\0"), os.path.samefile(f"/proc/{who}/cwd", "."), os.path.samefile(f"/proc/{who}/exe", sys.executable))
    limits = {line[:26].strip(): line[26:].split()[:2] for line in read(f"/proc/{who}/limits").splitlines()[1:]}
    word = lambda value: "unlimited" if value == -1 else str(value)
    print("limits", [name for name, which in (("Max cpu time", resource.RLIMIT_CPU), ("Max stack size", resource.RLIMIT_STACK), ("Max core file size", resource.RLIMIT_CORE), ("Max open files", resource.RLIMIT_NOFILE),
          ("Max address space", resource.RLIMIT_AS)) if limits[name] != [word(v) for v in resource.getrlimit(which)]])

r, w = os.pipe()
with open("counted", "w+") as f:
    f.write("x" * 100), f.flush()
    info = table(read(f"/proc/self/fdinfo/{f.fileno()}"))
    print("fd", {str(n) for n in (0, 1, 2, r, w, f.fileno())} <= set(os.listdir("/proc/self/fd")), os.readlink(f"/proc/self/fd/{r}").startswith("pipe:["), os.readlink(f"/proc/self/fd/{r}") == os.readlink(f"/proc/self/fd/{w}"),
          os.readlink(f"/proc/self/fd/{f.fileno()}") == os.path.join(os.getcwd(), "counted"), int(info["pos"]), int(info["flags"], 8) & os.O_ACCMODE == os.O_RDWR, "mnt_id" in info,
          [stat.filemode(os.lstat(f"/proc/self/fd/{n}").st_mode) for n in (r, w, f.fileno())], os.path.samefile(f"/dev/fd/{f.fileno()}", "counted"), open(f"/dev/fd/{f.fileno()}").read() == "x" * 100)
before = {key: int(value) for key, value in table(read("/proc/self/io")).items()}
os.write(w, b"12345"), os.read(r, 5)
after = {key: int(value) for key, value in table(read("/proc/self/io")).items()}
print("io", sorted(before), after["wchar"] - before["wchar"] == 5, after["rchar"] - before["rchar"] >= 5, after["syscw"] - before["syscw"] == 1)
mounts, info = [line.split() for line in read("/proc/self/mounts").splitlines()], [line.split() for line in read("/proc/self/mountinfo").splitlines()]
print("mounts", all(len(line) == 6 for line in mounts), sorted({line[1] for line in mounts}) == sorted({line[4] for line in info}), all("-" in line[6:] for line in info), len({line[0] for line in info}) == len(info),
      read("/proc/mounts") == read("/proc/self/mounts"), "/" in {line[1] for line in mounts}, "/proc" in {line[1] for line in mounts if line[2] == "proc"})
print("cgroup", all(len(line.split(":", 2)) == 3 for line in read("/proc/self/cgroup").splitlines()), os.readlink("/proc/self") == str(me), os.readlink("/proc/thread-self") == f"{me}/task/{me}", str(me) in os.listdir("/proc"))

ready = threading.Event()
thread = threading.Thread(target=ready.wait)
thread.start()
task = f"/proc/self/task/{thread.native_id}"
print("thread", str(thread.native_id) in os.listdir("/proc/self/task"), int(table(read(task + "/status"))["Pid"]) == thread.native_id, int(table(read(task + "/status"))["Tgid"]) == me, len(os.listdir("/proc/self/task")),
      read(task + "/stat").startswith(f"{thread.native_id} ("), int(fields()[17]))
ready.set(), thread.join()
child = os.fork()
if child == 0:
    os.setsid()
    print("child", table(read("/proc/self/status"))["PPid"] == str(me), [int(v) for v in fields()[1:4]] == [os.getppid(), os.getpgrp(), os.getsid(0)], int(fields(me)[17]), {str(me), str(os.getpid())} <= set(os.listdir("/proc")))
    os._exit(0)
os.waitpid(child, 0)
print("gone", os.path.exists(f"/proc/{child}"))

boot = int(next(line.split()[1] for line in open("/proc/stat") if line.startswith("btime")))
time.sleep(0.6)
again = int(next(line.split()[1] for line in open("/proc/stat") if line.startswith("btime")))
uptime = float(read("/proc/uptime").split()[0])
age = uptime - int(fields()[19]) / TICKS
print("clocks", near(boot, again, 0), near(boot + uptime, time.time(), 2), near(began - (boot + int(fields()[19]) / TICKS), 1, 3), near(age, time.time() - began + 0.5, 1.5), 0.6 <= age <= uptime)
cpus = re.findall(r"^processor\s*: (\d+)$", read("/proc/cpuinfo"), re.M)
print("processors", [int(n) for n in cpus] == list(range(os.cpu_count())), len(re.findall(r"^cpu\d+ (?:\d+ ?){10}$", read("/proc/stat"), re.M)) == os.cpu_count(), len(read("/proc/loadavg").split()))
memory = {key: int(value.split()[0]) for key, value in table(read("/proc/meminfo")).items()}
print("memory", 0 < memory["MemFree"] <= memory["MemTotal"], 0 < memory["MemAvailable"] <= memory["MemTotal"], memory["MemTotal"] * 1024 == os.sysconf("SC_PHYS_PAGES") * PAGE, memory["SwapFree"] <= memory["SwapTotal"])
uname = os.uname()
print("version", read("/proc/version").startswith(f"Linux version {uname.release} "), read("/proc/sys/kernel/osrelease").strip() == uname.release, read("/proc/sys/kernel/hostname").strip() == uname.nodename == socket.gethostname(),
      read("/proc/sys/kernel/version").strip() == uname.version, read("/proc/sys/kernel/ostype"), int(read("/proc/sys/kernel/pid_max")) > me, re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\n", read("/proc/sys/kernel/random/boot_id")) is not None,
      {"\tproc" in line for line in read("/proc/filesystems").splitlines() if "proc" in line}, int(read("/proc/sys/vm/overcommit_memory")) in (0, 1, 2), int(read("/proc/sys/fs/file-max")) > 0)

for name, target in (("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2")):
    print(name, os.readlink("/dev/" + name) == target, end=" ")
os.write(os.open(f"/dev/fd/{w}", os.O_WRONLY), b"through a name")
print(os.read(os.open(f"/dev/fd/{r}", os.O_RDONLY), 20), os.path.samestat(os.stat("/dev/stdout"), os.fstat(1)))
print([(name, stat.S_ISCHR(os.stat("/dev/" + name).st_mode), os.major(os.stat("/dev/" + name).st_rdev), os.minor(os.stat("/dev/" + name).st_rdev)) for name in ("tty", "ptmx", "null", "zero", "full", "random", "urandom")])
os.setsid() if os.getpid() != os.getsid(0) else None
print("tty", end=" ")
try: open("/dev/tty")
except OSError as error: print(error.errno, end=" ")
shm = os.open("/dev/shm/system-test", os.O_CREAT | os.O_RDWR | os.O_EXCL)
print("shm", os.write(shm, b"shared"), open("/dev/shm/system-test").read(), os.unlink("/dev/shm/system-test"), stat.filemode(os.stat("/dev/shm").st_mode))
user = pwd.getpwuid(os.getuid())
print("etc", grp.getgrgid(user.pw_gid).gr_gid == user.pw_gid, os.path.isabs(user.pw_dir), f"{user.pw_name}:" in read("/etc/passwd"), re.search(r"^127\.0\.0\.1\s+localhost", read("/etc/hosts"), re.M) is not None,
      re.search(r"^passwd:\s+files", read("/etc/nsswitch.conf"), re.M) is not None, open("/etc/localtime", "rb").read(4), time.tzname)
