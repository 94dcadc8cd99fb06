"""Every number there is, foreign ABIs, upper halves of arguments, clone's flags: what is answered
otherwise than by EPERM or ENOSYS equals a list that is written down here."""

import errno

from harness import *

# With arguments that name nothing (-1), these are neither forbidden nor absent.
ANSWERED = """
0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 16 17 18 19 20 21 22 23 24 25 26 27 28 32 33 35 36 37 38 39
40 41 42 43 44 45 46 47 48 49 50 51 52 53 55 57 59 61 63 72 73 74 75 76 77 78 79 80 81 82 83 84
85 86 87 88 89 90 91 92 93 94 95 96 97 98 99 100 102 104 107 108 109 110 111 113 114 115 117
118 119 120 121 124 127 128 131 132 133 135 137 138 143 145 146 147 148 150 152 160 186 187
188 189 190 191 192 193 194 195 196 197 198 199 200 201 203 204 213 217 218 219 221 222 223 224
225 226 228 229 230 232 233 234 235 237 238 239 247 257 258 259 260 261 262 263 264 265 266 267
268 269 270 271 273 275 276 277 280 281 282 283 284 285 286 287 288 289 290 291 292 295 296 297
299 302 306 307 309 315 316 318 319 322 324 326 327 328 329 330 331 332 334 434 436 437 439
441 449 450 452 454 455 456 462
"""

# Native calls of kernels later than Linux 6.1: where the kernel lacks one, ENOSYS is its own answer.
RECENT = ("454", "455", "456", "462")

THREAD = 0x00010f00  # VM, FS, FILES, SIGHAND, THREAD
UPPER = 0xdead00000000


def words(calls):
    return " , ".join(calls).split()


class Calls(Case):
    def results(self, shop, backend, calls, options=()):
        run = shop.run([shop.guest("calls"), *words(calls)], options, backend=backend)
        self.assertEqual((run.status, run.verdict), (0, "exited"))
        return dict(zip(calls, [int(line) for line in run.out.split()]))

    def native(self, calls):
        shop = Workshop()
        self.addCleanup(shop.close)
        out = shop.native([shop.guest("calls"), *words(calls)]).stdout
        return dict(zip(calls, [int(line) for line in out.split()]))

    def test_all_numbers(self):
        def check(shop, backend):
            run = shop.run([shop.guest("sweep"), "0", "1023"], backend=backend)
            self.assertEqual((run.status, run.verdict), (0, "exited"))
            results = dict(map(int, line.split()) for line in run.out.splitlines())
            self.assertGreater(len(results), 1000)
            answered = {number for number, result in results.items()
                        if result not in (-errno.EPERM, -errno.ENOSYS)}
            self.assertEqual(answered, expected)
        native = self.native([f"{number} -1 -1 -1 -1 -1 -1" for number in RECENT])
        absent = {int(call.split()[0]) for call, result in native.items()
                  if result == -errno.ENOSYS}
        expected = set(map(int, ANSWERED.split())) - absent
        self.everywhere(check)

    def test_foreign_numbers_end_the_run(self):
        def check(shop, backend):
            for arguments in (["sweep", "0", "0", "0x40000000"], ["sweep", "39", "39", "0x40000000"],
                              ["calls", "--int80", "20"]):
                run = shop.run([shop.guest(arguments[0]), *arguments[1:]], backend=backend)
                self.assertEqual((run.status, run.verdict, run.out), (120, "violation", b""))
        self.everywhere(check)
        shop = Workshop()
        self.addCleanup(shop.close)
        self.assertGreater(int(shop.native([shop.guest("calls"), "--int80", "20"]).stdout), 0)

    # By a far jump, and by a frame that a handler changed: no call tells of the change.
    def test_32_bit_code(self):
        def check(shop, backend):
            for how in ("jump", "frame"):
                run = shop.run([shop.guest("compat"), how, "/etc/passwd"], backend=backend)
                self.assertEqual((run.status, run.verdict, run.out), (120, "violation", b""), how)
        self.everywhere(check)
        shop = Workshop()
        self.addCleanup(shop.close)
        for how in ("jump", "frame"):
            bare = shop.native([shop.guest("compat"), how, "/etc/passwd"])
            if bare.returncode == -signal.SIGSEGV or b"-38" in bare.stdout:
                self.skipTest("this kernel has no 32-bit system calls")
            self.assertGreater(int(bare.stdout), 2)

    def test_upper_halves(self):
        calls = [f"16 0 {UPPER | 0x5412:#x} &8",          # TIOCSTI
                 f"16 0 {UPPER | 0x541c:#x} &8",          # TIOCLINUX
                 f"72 0 {UPPER | 8:#x} pid",              # F_SETOWN
                 f"157 {UPPER | 4:#x} 0",                 # PR_SET_DUMPABLE
                 f"157 {UPPER | 22:#x} 2 0",              # PR_SET_SECCOMP
                 f"56 {THREAD | 0x10000000 | UPPER << 32:#x} 0"]
        native = self.native(calls[2:4])
        self.assertEqual(set(native.values()), {0}, native)

        def check(shop, backend):
            results = self.results(shop, backend, calls)
            self.assertTrue(all(result in (-errno.EPERM, -errno.ENOTTY)
                                for result in results.values()), results)
        self.everywhere(check)

    def test_clone_flags(self):
        allowed_shapes = 0x11  # SIGCHLD: a plain fork
        flags = {"UNTRACED": 0x00800000, "PTRACE": 0x00002000, "PARENT": 0x00008000,
                 "VM": 0x00000100, "NEWNS": 0x00020000, "NEWUSER": 0x10000000,
                 "NEWPID": 0x20000000, "NEWNET": 0x40000000, "NEWIPC": 0x08000000,
                 "NEWUTS": 0x04000000, "NEWCGROUP": 0x02000000, "PIDFD": 0x00001000,
                 "FILES": 0x00000400, "FS": 0x00000200, "IO": 0x80000000}
        calls = {name: f"56 {flag | allowed_shapes:#x} 0 &8 &8 0" for name, flag in flags.items()}

        def check(shop, backend):
            results = self.results(shop, backend, list(calls.values()), ["--processes", "4"])
            for name, call in calls.items():
                self.assertEqual(results[call], -errno.EPERM, name)
            signals = [f"56 {signal:#x} 0 0 0 0" for signal in (9, 10, 18, 64)]  # of its end
            refused = self.results(shop, backend, signals, ["--processes", "4"])
            self.assertEqual(refused, dict.fromkeys(signals, -errno.EPERM))
            plain = self.results(shop, backend, ["56 0x11 0 0 0 0"], ["--processes", "4"])
            self.assertGreater(plain["56 0x11 0 0 0 0"], 0)
            self.assertEqual(self.results(shop, backend, ["435 &88 88"]), {"435 &88 88": -errno.ENOSYS})
            # A thread's own set, with each of them beside.
            beside = {flag: f"56 {flag | THREAD:#x} &4096 &8 &8 0" for name, flag in flags.items()
                      if name not in ("VM", "FILES", "FS")}
            refused = self.results(shop, backend, list(beside.values()), ["--processes", "4"])
            self.assertEqual(set(refused.values()), {-errno.EPERM}, refused)
        self.everywhere(check)
        # A child with its parent's memory would run on its parent's stack.
        bare = self.native([call for name, call in calls.items() if name != "VM"])
        made = {name for name, call in calls.items() if bare.get(call, -1) > 0}
        self.assertLessEqual({"UNTRACED", "PTRACE", "PARENT", "PIDFD", "FILES", "FS", "IO"}, made, bare)

    # A pipe's buffer is memory that no budget counts: none is larger than what each has.
    def test_no_pipe_grows(self):
        calls = ["22 &8", "72 4 1031 0x10000", "72 4 1031 0x10001", "72 4 1031 0x100000", f"72 4 1031 {UPPER:#x}",
                 "72 4 1032"]
        self.assertEqual(self.native(calls)[calls[3]], 0x100000)

        def check(shop, backend):
            run = shop.run([shop.guest("calls"), *words(calls)], backend=backend)
            self.assertEqual(list(map(int, run.out.split())), [0, 0x10000, *[-errno.EPERM] * 3, 0x10000])
            self.assertEqual([(d["rule"], d["count"]) for d in run.denials("fcntl")], [("pipe-size", 3)])
        self.everywhere(check)

    # Memory files are scratch files without a name.
    def test_no_memory_file_without_scratch(self):
        def check(shop, backend):
            create = [shop.guest("calls"), *"319 @name 1".split()]
            run = shop.run(create, backend=backend)
            self.assertGreater(int(run.out), 2)
            run = shop.run(create, ["-p", "any", "--hide", "/tmp"], backend=backend)
            self.assertEqual(run.out, b"%d\n" % -errno.EPERM)
            self.assertEqual([d["rule"] for d in run.denials("memfd_create")], ["no-scratch"])
        self.everywhere(check)

    # What has no text or no descriptor to begin with, and what a list of arguments may be.
    def test_arguments_that_name_nothing(self):
        calls = ["280 99 0 0 0", "322 99 @ 0 0 0x1000", "322 -100 1 0 0 0", "59 1 0 0",
                 "452 -100 @/proc/self/exe 0x1ff 0x8000", "59 @{script} 1 0", "59 @{script} 0 0"]

        def check(shop, backend):
            script = shop.file("script", "#!/bin/echo printed\n", 0o755)
            line = [shop.guest("calls"), *" , ".join(calls).format(script=script).split()]
            run = self.assertSameAsNative(shop, backend, line, ["-p", "any", "--ro", script])
            self.assertEqual(run.out.splitlines()[-1], b"printed " + script.encode())
        self.everywhere(check)

    # The kernel has modes of links changed on no filesystem.
    def test_modes_of_links(self):
        calls = ["88 @/nowhere @/tmp/link", "452 -100 @/tmp/link 0x180 0x100", "452 -100 @/tmp/link 0x180 0",
                 "452 -100 @/tmp 0x1c0 0x100"]

        def check(shop, backend):
            results = self.results(shop, backend, calls)
            self.assertEqual(list(results.values()), [0, -errno.EOPNOTSUPP, -errno.ENOENT, 0])
        self.everywhere(check)

    def test_dangerous_calls(self):
        calls = ["317 1 0 &16", "317 1 8 &16", "157 22 2 &16",    # seccomp, with a listener
                 "425 1 &120", "323 0", "321 0 &72 72", "298 &120 0 -1 -1 0",  # io_uring, uffd, bpf, perf
                 "250 0 -3 0", "248 @user @x @y 1 -3", "249 @user @x 0 -3",    # keyrings
                 "165 @none @/ @tmpfs 0 0", "272 0x10000000", "308 0 0", "161 @/", "155 @/ @/",
                 "428 -100 @/ 0", "430 @tmpfs 0", "442 -100 @/ 0 &32 32",
                 "135 0x40000", "154 1 &16 16", "158 0x1001 &8", "158 0x1012 0",
                 "157 59 1 0 0 0", "157 35 1 &8 0 0", "157 0x59616d61 -1 0 0 0",  # dispatch, MM, PTRACER
                 "157 1 9", "157 36 1", "157 53 0 0 0 0", "157 4 0",  # PDEATHSIG, SUBREAPER, ...
                 "29 0 4096 0x3b6", "64 0 1 0x3b6", "68 0 0x3b6", "240 @/q 0x42 0x1b6 0",
                 "300 0 0", "303 -100 @/ &64 &8 0", "304 -100 &64 0", "101 0 0 0 0",
                 "310 pid &16 1 &16 1 0", "312 pid pid 0 0 0", "440 -1 &16 1 0 0",
                 "426 0 0 0 0 0 0", "427 0 0 0 0", "166 @/ 2", "429 -100 @/ -100 @/ 0", "431 -1 0 0 0 0", "432 -1 0 0",
                 "433 -100 @/ 0", "158 0x5001 1", "158 0x1023 18", "158 0x2001 0", "175 &16 16 @", "313 -1 @ 0", "246 0 0 0 0",
                 "103 3 &8 8", "172 3", "173 0 1 1", "159 &208", "227 0 &16", "170 @x 1", "272 0x200",
                 "323 1", "430 @tmpfs 1"]
        # None of these changes the machine, and each may be made by anybody, or by root.
        natively = ["425 1 &120", "135 0x40000", "154 1 &16 16", "158 0x1001 &8", "157 1 9", "157 36 1", "157 4 0",
                    "157 59 0 0 0 0", "29 0 4096 0x3b6", "64 0 1 0x3b6", "68 0 0x3b6", "240 @q 0x42 0x1b6 0", "101 0 0 0 0",
                    "310 pid &16 1 &16 1 0", "272 0x200", "323 1",
                    *(["430 @tmpfs 0", "428 -100 @/ 0"] if os.getuid() == 0 else [])]
        shop = Workshop()
        self.addCleanup(shop.close)
        apart = ["unshare", "--mount", "--ipc", "--"] if os.getuid() == 0 else []
        native = {call: int(shop.native([*apart, shop.guest("calls"), *call.split()]).stdout) for call in natively}
        self.assertEqual({call: result for call, result in native.items() if result < 0}, {})

        def check(shop, backend):
            results = self.results(shop, backend, calls)
            self.assertTrue(all(result in (-errno.EPERM, -errno.ENOSYS)
                                for result in results.values()), results)
        self.everywhere(check)


if __name__ == "__main__":
    main()
