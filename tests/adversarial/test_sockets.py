"""Sockets of the run's own reach nobody else: not the host's sockets, not another run's, and they
tell nothing of the supervisor that connects them."""

import socket

from harness import *

SEVERAL = ("--processes", "2")  # with one, there are no sockets but pairs

# Tries every road to `abstract` and `path`, the addresses of a host's stream and datagram sockets.
REACH = r'''
import errno, os, socket, sys
name, folder = sys.argv[1:]
streams = ["\0" + name, folder + "/stream"]
datagrams = ["\0" + name + "-datagram", folder + "/datagram"]
reached = []

def attempt(what, call, *arguments):
    try:
        call(*arguments)
        reached.append(what)
    except OSError:
        pass

for address in streams:
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        try: s = socket.socket(socket.AF_UNIX, kind)
        except OSError: continue
        attempt("connect", s.connect, address)
        attempt("sendto", s.sendto, b"sendto", address)
for address in datagrams:
    candidates = []
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_RAW):
        try: candidates.append(socket.socket(socket.AF_UNIX, kind))
        except OSError: pass
        try: candidates.extend(socket.socketpair(socket.AF_UNIX, kind))
        except OSError: pass
    for s in candidates:
        s.setblocking(False)
        attempt("datagram connect", s.connect, address)
        # A connected packet socket ignores the address: the message goes to its peer.
        attempt("datagram sendto", s.sendto, b"to", address)
        try: s.sendmsg([b"msg"], [], 0, address)
        except OSError: pass
print(sorted(set(reached)))
'''

SERVER = r'''
import os, socket, sys, time
for name in ("\0" + sys.argv[1], "/tmp/server"):
    s = socket.socket(socket.AF_UNIX)
    s.bind(name)
    s.listen()
    globals()[name] = s
print("listening", flush=True)
time.sleep(20)
'''


class Sockets(Case):
    def host_sockets(self, shop, name):
        """Listening and datagram sockets of the host; what arrives is recorded."""
        arrived, servers = [], []
        for address, kind in (("\0" + name, socket.SOCK_STREAM), ("stream", socket.SOCK_STREAM),
                              ("\0" + name + "-datagram", socket.SOCK_DGRAM), ("datagram", socket.SOCK_DGRAM)):
            server = socket.socket(socket.AF_UNIX, kind)
            if address[0] != "\0":
                address = os.path.join(shop.path, address)
            server.bind(address)
            if address[0] != "\0":
                os.chmod(address, 0o777)
            if kind == socket.SOCK_STREAM:
                server.listen()
            server.setblocking(False)
            servers.append(server)

        def drain():
            for server in servers:
                try:
                    while True:
                        arrived.append(server.recv(100) if server.type == socket.SOCK_DGRAM
                                       else server.accept())
                except BlockingIOError:
                    pass
            return arrived
        self.addCleanup(lambda: [s.close() for s in servers])
        return drain

    def test_the_hosts(self):
        def check(shop, backend):
            name = f"vitrine-test-{os.getpid()}-{backend}-{shop.user}"
            drain = self.host_sockets(shop, name)
            script = shop.file("reach.py", REACH)
            run = shop.run([PYTHON, script, name, shop.path], ["--ro", shop.path, "--ro", "/", *SEVERAL],
                           backend=backend)
            self.assertEqual((run.status, run.err, drain()), (0, b"", []))
            self.assertNotIn(b"'connect'", run.out)
            self.assertNotIn(b"datagram connect", run.out)
            # The same program, bare, arrives by each road.
            bare = shop.native([PYTHON, script, name, shop.path])
            self.assertIn(b"'connect', 'datagram connect', 'datagram sendto'", bare.stdout)
            self.assertGreater(len(drain()), 4)
            self.doCleanups()
        self.everywhere(check)

    # The queue is full, and a sibling takes away again what keeps a connection from waiting. The
    # supervisor makes it: it would wait for ever, and no budget would end the run.
    def test_a_connection_never_holds_the_supervisor(self):
        code = """
import fcntl, os, socket, threading
server = socket.socket(socket.AF_UNIX); server.bind("\\0full"); server.listen(0)
clients = [socket.socket(socket.AF_UNIX)]; clients[0].connect("\\0full")
current = [clients[0].fileno()]
def flip():
    while True: fcntl.fcntl(current[0], fcntl.F_SETFL, 0)
for _ in range(3): threading.Thread(target=flip, daemon=True).start()
for _ in range(10000):
    client = socket.socket(socket.AF_UNIX)
    current[0] = client.fileno()
    try:
        client.setblocking(False)
        client.connect("\\0full")
    except OSError: pass
    clients.append(client)
    if len(clients) > 50: clients.pop(0)
"""
        def check(shop, backend):
            run = shop.python(code, [*SEVERAL, "--wall", "2s", "--cpu", "none"], backend=backend)
            self.assertIn((run.status, run.verdict), [(0, "exited"), (124, "wall-limit")])
            self.assertLess(run.seconds, 4)
        self.everywhere(check, users=False)

    # The address of a connection that waits is read again with each attempt, and decided again.
    def test_an_address_that_changes_while_its_connection_waits(self):
        code = """
import ctypes, os, socket, struct, threading, time
server = socket.socket(socket.AF_UNIX); server.bind("/tmp/full"); server.listen(0)
first = socket.socket(socket.AF_UNIX); first.connect("/tmp/full")
address = ctypes.create_string_buffer(struct.pack("H108s", socket.AF_UNIX, b"/tmp/full"), 110)
libc = ctypes.CDLL(None, use_errno=True)
def change():
    time.sleep(0.3)
    print("changed", flush=True)
    address[2:14] = b"/etc/shadow\\0"
threading.Thread(target=change).start()
second = socket.socket(socket.AF_UNIX)
print(libc.connect(second.fileno(), address, 110), ctypes.get_errno())
"""
        def check(shop, backend):
            run = shop.python(code, SEVERAL, backend=backend)
            self.assertEqual((run.status, run.out), (0, b"changed\n-1 2\n"), run.err)
            run = shop.python(code, [*SEVERAL, "--on-deny", "kill"], backend=backend)
            self.assertEqual((run.status, run.verdict, run.out), (120, "violation", b"changed\n"))
            self.assertRegex(run.report["reason"], "^connect .*was denied")
        self.everywhere(check, users=False)

    def test_another_runs(self):
        def check(shop, backend):
            name = f"run-{os.getpid()}"
            server = shop.start([PYTHON, "-c", SERVER, name], ["-q", *SEVERAL], backend=backend)
            self.addCleanup(server.wait)
            self.addCleanup(server.kill)
            self.addCleanup(server.stdout.close)
            self.addCleanup(server.stderr.close)
            self.assertEqual(server.stdout.readline(), b"listening\n")
            with open("/proc/net/unix", encoding="latin-1") as f:
                kernel_names = [line.split("@", 1)[1].strip() for line in f if "@vitrine-" in line]
            self.assertGreaterEqual(len(kernel_names), 2)
            code = "import socket, sys\n" + """
for name in ["/tmp/server"] + ["\\0" + name for name in sys.argv[1:]]:
    s = socket.socket(socket.AF_UNIX)
    try: s.connect(name); print("connected", repr(name))
    except OSError as error: print(error.errno in (2, 111))
"""
            arguments = [PYTHON, "-c", code, name, *kernel_names]
            run = shop.run(arguments, SEVERAL, backend=backend)
            self.assertEqual((run.out, run.err), (b"True\n" * (2 + len(kernel_names)), b""))
            self.assertIn(b"connected", shop.native(arguments).stdout)  # they were the right names
            server.kill()
            server.wait()
        self.everywhere(check)

    def test_the_peer_is_nobody(self):
        code = """
import os, socket, struct, threading
server = socket.socket(socket.AF_UNIX); server.bind("/tmp/s"); server.listen()
client = socket.socket(socket.AF_UNIX); client.connect("/tmp/s")
accepted = server.accept()[0]
for s in (client, accepted, *socket.socketpair()):
    pid, uid, gid = struct.unpack("3i", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    print(pid in (0, os.getpid()), uid == os.getuid(), gid == os.getgid(), end=" ")
    for option in (31, 59, 77):
        try: s.getsockopt(socket.SOL_SOCKET, option, 64); print("told", option)
        except OSError: pass
    try: s.setsockopt(socket.SOL_SOCKET, 16, 1); print("credentials")
    except PermissionError: print("refused")
"""

        def check(shop, backend):
            run = shop.python(code, SEVERAL, backend=backend)
            self.assertEqual((run.out, run.err), (b"True True True refused\n" * 4, b""))
        self.everywhere(check)

    def test_many(self):
        code = """
import resource, socket
made = 0
for n in range(3000):
    s = socket.socket(socket.AF_UNIX); s.bind("\\0name%d" % n); s.listen(); s.close(); made += 1
kept = []
try:
    while len(kept) < 5000: kept.append(socket.socket(socket.AF_UNIX)); kept[-1].bind("")
except OSError as error:
    print(error.errno in (23, 24))
for s in kept: s.close()
s = socket.socket(socket.AF_UNIX); s.bind("/tmp/after"); print(made)
"""

        def check(shop, backend):
            run = shop.python(code, SEVERAL, backend=backend)
            self.assertEqual((run.out, run.err), (b"True\n3000\n", b""))
        self.everywhere(check, users=False)


if __name__ == "__main__":
    main()
