"""AF_UNIX sockets between own processes and threads: by path, in the abstract space, in pairs."""
import array, errno, os, select, signal, socket, stat, struct, sys, threading, time

os.chdir(sys.argv[1])
TYPES = (socket.SOCK_STREAM, socket.SOCK_SEQPACKET)

def attempt(call, *arguments):
    try:
        return call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]

def shown(address):
    return address if isinstance(address, bytes) else os.path.basename(address)

def serve(server, replies):
    for _ in range(replies):
        connection, address = server.accept()
        with connection:
            data = connection.recv(100)
            connection.sendall(data.upper() + b" " + repr(shown(connection.getsockname())).encode())

def exchange(kind, name):
    with socket.socket(socket.AF_UNIX, kind) as server:
        print("fresh", repr(server.getsockname()), attempt(server.getpeername))
        server.bind(name)
        print("bound", repr(shown(server.getsockname())), attempt(server.bind, "other"))
        with socket.socket(socket.AF_UNIX, kind) as early:
            print("not listening", attempt(early.connect, name))
        server.listen()
        print("listening", attempt(server.connect, name), attempt(server.connect, "nowhere"))
        thread = threading.Thread(target=serve, args=(server, 2))
        thread.start()
        child = os.fork()
        if child == 0:
            with socket.socket(socket.AF_UNIX, kind) as client:
                client.connect(name)
                client.sendall(b"from a child")
                os.write(1, client.recv(100) + b"\n")
            os._exit(0)
        os.waitpid(child, 0)
        with socket.socket(socket.AF_UNIX, kind) as client:
            client.connect(name)
            print("peer", repr(shown(client.getpeername())), repr(client.getsockname()), attempt(client.connect, name))
            client.sendall(b"from a thread")
            print(client.recv(100), client.recv(100))
        thread.join()
    with socket.socket(socket.AF_UNIX, kind) as late:
        print("closed", attempt(late.connect, name))

for kind in TYPES:
    exchange(kind, "path.sock")
    print(stat.S_ISSOCK(os.stat("path.sock").st_mode), os.stat("path.sock").st_size, attempt(os.open, "path.sock", 0))
    with socket.socket(socket.AF_UNIX, kind) as again:
        print("taken", attempt(again.bind, "path.sock"))
    os.rename("path.sock", "moved.sock")
    os.unlink("moved.sock")
    exchange(kind, "\0abstract name")
    exchange(kind, os.path.abspath("absolute.sock"))
    os.unlink("absolute.sock")

with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
    first.bind("\0taken")
    print("abstract taken", attempt(second.bind, "\0taken"), attempt(second.connect, "\0nobody"),
          attempt(second.connect, "missing"),
          attempt(second.bind, "no/such"), attempt(second.listen))
with socket.socket(socket.AF_UNIX) as second:
    second.bind("\0taken")
    print("free again")
with socket.socket(socket.AF_UNIX) as automatic:
    automatic.bind("")
    print("automatic", len(automatic.getsockname()), automatic.getsockname()[:1])

# A full queue: a socket that does not wait is told so, another waits until there is room.
with socket.socket(socket.AF_UNIX) as server:
    server.bind("queue")
    server.listen(1)
    clients = []
    for _ in range(10):
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        result = attempt(client.connect, "queue")
        clients.append(client)
        if result:
            print("full", result, 1 <= len(clients) <= 4)
            break
    signal.signal(signal.SIGALRM, lambda *_: print("alarm"))
    late = socket.socket(socket.AF_UNIX)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    connected = threading.Event()
    threading.Thread(target=lambda: (time.sleep(0.3), server.accept(), connected.set())).start()
    print("waited", attempt(late.connect, "queue"), connected.wait(5))
    for client in clients + [late]:
        client.close()
os.unlink("queue")

# Pairs of every type keep boundaries as they should; descriptors travel.
for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM):
    a, b = socket.socketpair(socket.AF_UNIX, kind)
    a.send(b"one")
    a.send(b"two")
    print(kind, b.recv(2), b.recv(100), select.select([b], [], [], 0)[0] == [b], os.get_inheritable(a.fileno()))
    r, w = os.pipe()
    socket.send_fds(a, [b"fd"], [w])
    while not (fds := socket.recv_fds(b, 100, 1))[1]: pass
    os.write(fds[1][0], b"through")
    print(os.read(r, 10))
    child = os.fork()
    if child == 0:
        b.close()
        a.send(b"x" * 1000)
        os._exit(0)
    os.waitpid(child, 0)
    print(len(b.recv(2000)))
    a.close(), b.close(), os.close(r), os.close(w)
