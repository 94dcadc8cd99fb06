"""Terminals that a program makes: pairs, sessions on them, keys, sizes."""
import fcntl, os, pty, select, signal, struct, sys, termios, time

sys.stdout.reconfigure(line_buffering=True)

def read_until(fd, end):
    data = b""
    while end not in data and select.select([fd], [], [], 5)[0]:
        try:
            data += os.read(fd, 1000)
        except OSError:
            break
    return data

master, slave = os.openpty()
print("name", os.ttyname(slave).startswith("/dev/pts/"), os.path.samestat(os.stat(os.ttyname(slave)), os.fstat(slave)))
print("pair", os.isatty(master), os.isatty(slave), os.get_inheritable(master))
os.write(slave, b"out\n")
print(os.read(master, 100))
os.write(master, b"in\n")
print(os.read(slave, 100), read_until(master, b"in\r\n"))
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 50, 132, 0, 0))
print(os.get_terminal_size(master), os.fstat(master).st_rdev == os.stat("/dev/ptmx").st_rdev)

os.close(master), os.close(slave)

child, fd = pty.fork()
if child == 0:
    signal.signal(signal.SIGINT, lambda *_: os._exit(3))
    print("session", os.getsid(0) == os.getpid(), os.tcgetpgrp(0) == os.getpid(), flush=True)
    print("line", input(), flush=True)
    try: input()
    except EOFError: print("end", flush=True)
    time.sleep(5)
    os._exit(4)
print(read_until(fd, b"\n"))
os.write(fd, b"typed\n")
print(read_until(fd, b"line typed\r\n"))
os.write(fd, b"\x04")
print(read_until(fd, b"end\r\n"))
os.write(fd, b"\x03")
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
os.close(fd)

made = []
try:
    for _ in range(8): made.append(os.openpty())
except OSError as error:
    print(error)
print(len(made))
