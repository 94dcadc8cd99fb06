"""Standard input and output: nothing lost, nothing added, nothing that hangs."""

import fcntl
import hashlib
import threading

from harness import *

MIB = 1 << 20
COPY = ("import sys\n"
        "while True:\n"
        "    block = sys.stdin.buffer.read1(1 << 20)\n"
        "    if not block: break\n"
        "    sys.stdout.buffer.write(block)\n")


class Streams(Case):
    def start(self, shop, backend, code, options=(), **kwargs):
        return shop.start([PYTHON, "-c", code], ["-q", *options], backend, **kwargs)

    def close(self, process):
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()

    # --- input

    def test_input_prompts_and_reads(self):
        def check(shop, backend):
            self.assertSameAsNative(shop, backend,
                                    [PYTHON, "-c", "while True: print(repr(input('> ')))"],
                                    input=b"one\ntwo\n\nlast without newline")
        self.everywhere(check)

    def test_conversation_line_by_line(self):
        code = "while True: print(eval(input()), flush=True)"

        def check(shop, backend):
            process = self.start(shop, backend, code, stdin=subprocess.PIPE)
            for i in range(50):
                process.stdin.write(b"%d * 2\n" % i)
                process.stdin.flush()
                self.assertEqual(process.stdout.readline(), b"%d\n" % (2 * i))
            process.stdin.close()
            self.assertIn(b"EOFError", process.stderr.read())
            process.stdin = None
            self.assertEqual(process.wait(), 1)
            self.close(process)
        self.everywhere(check)

    def test_much_binary_data_passes_unchanged(self):
        data = os.urandom(MIB) * 100
        digest = hashlib.sha256(data).hexdigest()

        def check(shop, backend):
            run = shop.python(COPY, ["--output", "none"], backend=backend, input=data)
            self.assertEqual((run.status, len(run.out), hashlib.sha256(run.out).hexdigest()),
                             (0, len(data), digest))
            self.assertEqual(run.report["usage"]["output_bytes"], len(data))
        self.everywhere(check, users=False)

    def test_data_in_files_passes_unchanged(self):
        data = os.urandom(3 * MIB + 17)

        def check(shop, backend):
            source = shop.file("source", data)
            with open(source, "rb") as stdin, open(shop.path + "/copy", "w+b") as stdout:
                done = subprocess.run(shop.command([PYTHON, "-c", COPY], [], backend), stdin=stdin,
                                      stdout=stdout, cwd=shop.path, timeout=60)
                stdout.seek(0)
                self.assertEqual((done.returncode, stdout.read() == data), (0, True))
        self.everywhere(check)

    def test_end_of_input_reaches_the_command_while_output_goes_on(self):
        code = ("import sys\n"
                "print(len(sys.stdin.buffer.read()), flush=True)\n"
                "print('after the end')\n")

        def check(shop, backend):
            process = self.start(shop, backend, code, stdin=subprocess.PIPE)
            process.stdin.write(b"x" * 200_000)
            process.stdin.close()
            process.stdin = None
            self.assertEqual(process.stdout.read(), b"200000\nafter the end\n")
            self.assertEqual(process.wait(), 0)
            self.close(process)
        self.everywhere(check)

    def test_input_closed_by_the_command_is_a_broken_pipe_for_the_writer(self):
        code = "import os, sys\nos.close(0)\nprint('closed', flush=True)\nsys.stdout.flush()\n" \
               "import threading; threading.Event().wait(20)"

        def check(shop, backend):
            process = self.start(shop, backend, code, stdin=subprocess.PIPE)
            self.assertEqual(process.stdout.readline(), b"closed\n")
            with self.assertRaises(BrokenPipeError):
                deadline = time.monotonic() + 10
                while time.monotonic() < deadline:
                    process.stdin.write(b"x" * 65536)
                    process.stdin.flush()
            try:
                process.stdin.close()
            except BrokenPipeError:
                pass
            process.stdin = None
            self.close(process)
        self.everywhere(check)

    def test_unread_input_of_a_file_is_left_to_the_next_reader(self):
        # `{ vitrine reader; cat; } < file`: what the command did not read is still there. Natively
        # its reader may have read ahead; here it takes exactly three bytes.
        def check(shop, backend):
            source = shop.file("source", b"abcdefghij" * 10_000)
            with open(source, "rb", buffering=0) as stdin:
                done = subprocess.run(
                    shop.command([PYTHON, "-c", "import os; print(os.read(0, 3))"], [], backend),
                    stdin=stdin, stdout=subprocess.PIPE, cwd=shop.path, timeout=60)
                self.assertEqual(done.stdout, b"b'abc'\n")
                self.assertEqual(stdin.read(4), b"defg")
            small = shop.file("small", b"abcdefghij")
            with open(small, "rb", buffering=0) as stdin:
                for expected in (b"b'abc'\n", b"b'def'\n"):
                    done = subprocess.run(
                        shop.command([PYTHON, "-c", "import os, time; time.sleep(0.02)\n"
                                      "print(os.read(0, 3))"], [], backend),
                        stdin=stdin, stdout=subprocess.PIPE, cwd=shop.path, timeout=60)
                    self.assertEqual(done.stdout, expected)
                self.assertEqual(stdin.read(), b"ghij")
        self.everywhere(check)

    def test_input_of_every_kind(self):
        def check(shop, backend):
            code = "import sys; print(repr(sys.stdin.read() if sys.stdin else None))"
            kinds = {
                "devnull": lambda: os.open("/dev/null", os.O_RDONLY),
                "file": lambda: os.open(shop.file("some", "some"), os.O_RDONLY),
                "empty": lambda: os.open(shop.file("empty", ""), os.O_RDONLY),
                "both": lambda: os.open(shop.file("both", "both"), os.O_RDWR),
            }
            expected = {"devnull": b"''\n", "file": b"'some'\n", "empty": b"''\n",
                        "both": b"'both'\n"}
            for kind, opened in kinds.items():
                fd = opened()
                run = shop.python(code, backend=backend, stdin=fd)
                os.close(fd)
                self.assertEqual((run.out, run.status), (expected[kind], 0), (kind, run.err))
        self.everywhere(check)

    # --- output

    def test_the_two_outputs_stay_apart(self):
        def check(shop, backend):
            self.assertSameAsNative(
                shop, backend,
                [PYTHON, "-c", "import sys\nfor i in range(1000):"
                               " print('o', i); print('e', i, file=sys.stderr)"])
        self.everywhere(check)

    def test_order_in_a_shared_pipe_is_kept(self):
        # `2>&1`: the two arrive as they were written where the writer waits for the reader.
        code = """
import sys
for i in range(20):
    print("o", i, flush=True); sys.stdin.readline()
    print("e", i, file=sys.stderr, flush=True); sys.stdin.readline()
"""
        def check(shop, backend):
            process = self.start(shop, backend, code, stdin=subprocess.PIPE,
                                 stderr=subprocess.STDOUT)
            for i in range(20):
                for word in (b"o", b"e"):
                    self.assertEqual(process.stdout.readline(), b"%s %d\n" % (word, i))
                    process.stdin.write(b"\n")
                    process.stdin.flush()
            self.close(process)
        self.everywhere(check)

    def test_reader_that_goes_away(self):
        # `| head -1`: SIGPIPE for the command, as natively.
        code = """
import signal
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
while True: print('y')
"""
        def check(shop, backend):
            report = shop.file("report.json", "", 0o666)
            process = self.start(shop, backend, code, ["--report", report])
            self.assertEqual(process.stdout.readline(), b"y\n")
            process.stdout.close()
            process.stdout = None
            self.assertEqual(process.wait(10), 128 + signal.SIGPIPE)
            self.close(process)
            self.assertEqual(read_json(report)["verdict"], "signaled")
        self.everywhere(check)

    def test_reader_that_goes_away_while_the_command_is_quiet(self):
        code = ("import sys, time\nprint('y', flush=True)\nsys.stdin.read()\n"
                "try:\n    print('z', flush=True)\n    time.sleep(0.3)\n    print('z', flush=True)\n"
                "except BrokenPipeError: import os; os._exit(9)\n")

        def check(shop, backend):
            process = self.start(shop, backend, code, stdin=subprocess.PIPE)
            self.assertEqual(process.stdout.readline(), b"y\n")
            process.stdout.close()
            process.stdout = None
            process.stdin.close()
            process.stdin = None
            self.assertEqual(process.wait(10), 9)
            self.close(process)
        self.everywhere(check)

    def test_output_closed_by_the_command_is_the_end_for_the_reader(self):
        code = ("import os, sys\nprint('last words', flush=True)\nos.close(1)\nsys.stdin.read()\n"
                "os._exit(6)")

        def check(shop, backend):
            process = self.start(shop, backend, code, stdin=subprocess.PIPE)
            self.assertEqual(process.stdout.read(), b"last words\n")
            self.assertIsNone(process.poll())
            process.stdin.close()
            process.stdin = None
            self.assertEqual(process.wait(10), 6)
            self.close(process)
        self.everywhere(check)

    def test_slow_reader_gets_everything(self):
        code = "import os\nfor i in range(300): os.write(1, b'%07d\\n' % i * 1000)"

        def check(shop, backend):
            process = self.start(shop, backend, code)
            got = []
            while True:
                block = os.read(process.stdout.fileno(), 200_000)
                if not block:
                    break
                got.append(block)
                time.sleep(0.005)
            self.assertEqual(process.wait(), 0)
            self.assertEqual(b"".join(got), b"".join(b"%07d\n" % i * 1000 for i in range(300)))
            self.close(process)
        self.everywhere(check, users=False)

    def test_what_is_written_at_the_very_end_arrives(self):
        code = "import os; os.write(1, b'x' * 65000); os.write(2, b'y' * 65000); os._exit(4)"

        def check(shop, backend):
            for _ in range(3):
                run = shop.python(code, backend=backend)
                self.assertEqual((run.status, len(run.out), len(run.err)), (4, 65000, 65000))
                self.assertEqual(run.report["usage"]["output_bytes"], 130000)
        self.everywhere(check)

    def test_output_to_every_kind_of_file(self):
        def check(shop, backend):
            code = "print('added')"
            path = shop.file("out", "there already\n", 0o666)

            def run(flags, prepare=None):
                fd = os.open(path, flags)
                if prepare:
                    prepare(fd)
                done = subprocess.run(shop.command([PYTHON, "-c", code], [], backend), stdout=fd,
                                      stderr=subprocess.PIPE, cwd=shop.path, timeout=30)
                os.close(fd)
                self.assertEqual((done.returncode, done.stderr), (0, b""))
                with open(path, "rb") as f:
                    return f.read()

            self.assertEqual(run(os.O_WRONLY | os.O_APPEND), b"there already\nadded\n")
            self.assertEqual(run(os.O_WRONLY | os.O_TRUNC), b"added\n")
            self.assertEqual(run(os.O_RDWR, lambda fd: os.lseek(fd, 2, 0)), b"adadded\n")
            done = subprocess.run(shop.command([PYTHON, "-c", code], [], backend),
                                  stdout=subprocess.DEVNULL, cwd=shop.path, timeout=30)
            self.assertEqual(done.returncode, 0)
        self.everywhere(check)

    def test_outputs_in_one_appending_file(self):
        # `>> log 2>&1`, from two commands after the other and from both outputs.
        def check(shop, backend):
            path = shop.file("log", "", 0o666)
            code = "import sys\nfor i in range(200): print('o'); print('e', file=sys.stderr)"
            for flags in (os.O_APPEND, 0):
                fd = os.open(path, os.O_WRONLY | os.O_TRUNC | flags)
                subprocess.run(shop.command([PYTHON, "-c", code], [], backend), stdout=fd,
                               stderr=fd, cwd=shop.path, timeout=30)
                os.close(fd)
                with open(path, "rb") as f:
                    text = f.read()
                self.assertEqual((text.count(b"o\n"), text.count(b"e\n"), len(text)),
                                 (200, 200, 800))
        self.everywhere(check)

    def test_full_device(self):
        # The bytes are the supervisor's to write: the command sees a reader that went away.
        def check(shop, backend):
            with open("/dev/full", "wb") as full:
                process = subprocess.Popen(
                    shop.command([PYTHON, "-c", "while True: print('x' * 10000, flush=True)"],
                                 ["-q", "--wall", "10s"], backend),
                    stdout=full, stderr=subprocess.PIPE, cwd=shop.path)
                err = process.stderr.read()
                process.stderr.close()
                self.assertIn(b"Error", err)
                # 120 is Python's own, when the last flush fails too.
                self.assertIn(process.wait(), (1, 120))
        self.everywhere(check)

    def test_closed_standard_descriptors(self):
        def check(shop, backend):
            for closed in ((0,), (1,), (2,), (0, 1, 2)):
                report = shop.file("report.json", "", 0o666)
                redirections = " ".join(f"{n}>&-" for n in closed)
                line = " ".join(shop.command(["$PY", "-c", "'print(1)'"], ["-q", "--report", report],
                                             backend))
                done = subprocess.run(["/bin/sh", "-c", f"PY={PYTHON}; {line} {redirections}"],
                                      cwd=shop.path, stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
                self.assertEqual(done.returncode, 0, (closed, done.stderr))
                self.assertEqual(done.stdout, b"" if 1 in closed else b"1\n")
                self.assertEqual(read_json(report)["verdict"], "exited", closed)
        self.everywhere(check)

    def test_the_callers_descriptions_keep_their_flags(self):
        # O_NONBLOCK is a flag of the open file description: setting it would break the caller.
        def check(shop, backend):
            pipes = [os.pipe() for _ in range(3)]
            os.close(pipes[0][1])
            subprocess.run(shop.command([PYTHON, "-c", "print(1)"], [], backend),
                           stdin=pipes[0][0], stdout=pipes[1][1], stderr=pipes[2][1],
                           cwd=shop.path, timeout=30)
            flags = [fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK
                     for fd in (pipes[0][0], pipes[1][1], pipes[2][1])]
            for fd in (pipes[0][0], *pipes[1], *pipes[2]):
                os.close(fd)
            self.assertEqual(flags, [0, 0, 0])
        self.everywhere(check)

    def test_the_commands_own_flags_do_not_reach_the_caller(self):
        code = "import os\nfor n in (0, 1, 2): os.set_blocking(n, False)\nprint('set')"

        def check(shop, backend):
            path = shop.file("out", "", 0o666)
            fd = os.open(path, os.O_RDWR)
            subprocess.run(shop.command([PYTHON, "-c", code], [], backend), stdin=fd, stdout=fd,
                           stderr=fd, cwd=shop.path, timeout=30)
            flags = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK
            os.close(fd)
            self.assertEqual(flags, 0)
        self.everywhere(check)

    def test_sockets_as_standard_descriptors(self):
        import socket

        def check(shop, backend):
            ours, theirs = socket.socketpair()
            process = subprocess.Popen(shop.command([PYTHON, "-c", COPY], ["-q"], backend),
                                       stdin=theirs, stdout=theirs, cwd=shop.path)
            theirs.close()
            data = os.urandom(3 * MIB)
            writer = threading.Thread(target=lambda: (ours.sendall(data),
                                                      ours.shutdown(socket.SHUT_WR)))
            writer.start()
            got = b""
            while block := ours.recv(1 << 20):
                got += block
            writer.join()
            ours.close()
            self.assertEqual((process.wait(10), got == data), (0, True))
        self.everywhere(check)


if __name__ == "__main__":
    main()
