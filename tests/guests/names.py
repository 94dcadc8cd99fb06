"""What the kernel calls a process: after executions by every road, of scripts, in threads, and when set."""
import ctypes, os, subprocess, sys, threading

os.chdir(sys.argv[1])
sys.stdout.reconfigure(line_buffering=True)
libc = ctypes.CDLL(None)
PR_SET_NAME, PR_GET_NAME = 15, 16
WHO = ("import sys\nfor what in ('comm', 'status', 'stat'):\n"
       "    text = open('/proc/self/' + what).read()\n"
       "    print(text.split(')')[0].split('(')[1] if what == 'stat' else text.split('\\n')[0].split('\\t')[-1], end=' ')\n"
       "print(sys.argv[1:])\n")

def name():
    buffer = ctypes.create_string_buffer(16)
    libc.prctl(PR_GET_NAME, buffer, 0, 0, 0)
    return buffer.value.decode()

def comm(task):
    return open(f"/proc/self/task/{task}/comm").read().strip()

print("command", name(), comm(os.getpid()), open("/proc/self/comm").read().strip())
thread = threading.Thread(target=lambda: print("thread", name(), comm(threading.get_native_id())))
thread.start(), thread.join()
python = sys.executable
for arguments, options in ((["/bin/sh", "-c", "read n < /proc/$$/comm; echo $n"], {}), (["any", "-c", WHO, "x"], {"executable": python}),
                           ([python, "-c", WHO], {}), (["python3", "-c", WHO], {}), (["/usr/bin/env", "python3", "-c", WHO], {})):
    print(subprocess.run(arguments, stdout=subprocess.PIPE, **options).stdout)
subprocess.run([os.path.join(os.path.dirname(sys.argv[0]), "a script with a long name"), "1"])
fd = os.open(python, os.O_RDONLY)
if os.fork() == 0: os.execve(fd, [python, "-c", "import sys; print('by descriptor', len(open('/proc/self/comm').read()) > 1)"], os.environ)
os.wait()
libc.prctl(PR_SET_NAME, b"chosen by itself", 0, 0, 0)
print("chosen", name(), comm(os.getpid()))
child = os.fork()
if child == 0:
    print("inherited", name())
    os._exit(0)
os.wait()
os.execv(python, ["something else", "-c", WHO, "in place"])
