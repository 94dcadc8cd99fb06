"""What a dynamic loader, a kernel's page or a line of a script could bring in: a canary library never
runs, a call by the vsyscall page is supervised like any other, a shebang is resolved inside."""

import shutil

from harness import *

LIBRARY = """
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
__attribute__((constructor)) static void loaded(void) { (void)!write(2, "CANARY", 6); }
"""

# time(2) and gettimeofday(2) through the page at its fixed address (arch/x86/entry/vsyscall).
VSYSCALL = """
import ctypes, sys
page = 0xffffffffff600000
try:
    time = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_void_p)(page + 0x400)
    print(time(None) > 1000000000, flush=True)
except OSError: print("refused")
"""


class Loader(Case):
    def library(self, shop):
        source = shop.file("canary.c", LIBRARY)
        path = os.path.join(shop.path, "canary.so")
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", path, source], check=True)
        os.chmod(path, 0o755)
        return path

    @unittest.skipIf(SANITIZED, "with sanitizers the command itself is linked dynamically")
    def test_a_library_of_the_callers_environment_never_loads(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        native = subprocess.run([PYTHON, "-c", "pass"], env={"LD_PRELOAD": self.library(shop)},
                                capture_output=True)
        self.assertEqual(native.stderr, b"CANARY")

        def check(shop, backend):
            library = self.library(shop)
            folder = os.path.dirname(library)
            shutil.copy(library, os.path.join(folder, "libm.so.6"))
            for variable, value in (("LD_PRELOAD", library), ("LD_AUDIT", library),
                                    ("LD_LIBRARY_PATH", folder)):
                done = subprocess.run(
                    shop.as_user(["/usr/bin/env", f"{variable}={value}", shop.vitrine, "-q",
                                  "--backend", backend, "--ro", folder, "--", PYTHON, "-c", "pass"]),
                    capture_output=True, timeout=60)
                self.assertEqual((done.returncode, done.stderr), (0, b""), variable)
        self.everywhere(check)

    # The program may name its own: it has no more authority with it than without.
    def test_a_library_that_is_not_shown_does_not_exist(self):
        def check(shop, backend):
            library = self.library(shop)
            code = ("import ctypes, os, sys\n"
                    "try: ctypes.CDLL(sys.argv[1]); print('loaded')\n"
                    "except OSError: print('refused')\n"
                    "for name in ('/etc/ld.so.preload', '/etc/ld-nix.so.preload'):\n"
                    "    try: open(name, 'w'); print(name)\n"
                    "    except OSError: pass\n")
            run = shop.run([PYTHON, "-c", code, library], backend=backend)
            self.assertEqual((run.status, run.out, run.err), (0, b"refused\n", b""))
            run = shop.run([PYTHON, "-c", code, library], ["--ro", library], backend=backend)
            self.assertEqual((run.status, run.out, run.err), (0, b"loaded\n", b"CANARY"))
        self.everywhere(check)

    def test_the_vsyscall_page(self):
        shop = Workshop()
        self.addCleanup(shop.close)
        native = shop.native([PYTHON, "-c", VSYSCALL])

        def check(shop, backend):
            # `time` is refused by this profile: a road around the filter would still answer. (The
            # backend `syscall` has no filter, and ptrace does not see the page; what its three
            # calls tell, the vDSO tells anyway.)
            profile = shop.file("p.json", '{"name": "p", "syscalls": {"deny": ["time"]}}')
            run = shop.run([PYTHON, "-c", VSYSCALL], ["-p", "python", "-p", profile], backend=backend)
            self.assertEqual(run.out == b"True\n", backend == "syscall")
        if native.stdout != b"True\n":
            self.assertLess(native.returncode, 0)
            self.skipTest("this kernel has no vsyscall page (vsyscall=none)")
        self.everywhere(check)

    def test_a_shebang_is_resolved_inside(self):
        def check(shop, backend):
            hidden = shop.file("interpreter", "#!/bin/sh\necho HIDDEN\n", 0o755)
            script = shop.file("script", f"#!{hidden}\n", 0o755)
            code = ("import subprocess, sys\n"
                    "try: print(subprocess.run([sys.argv[1]], capture_output=True).stdout)\n"
                    "except OSError as error: print(type(error).__name__)\n")
            inner = shop.run([PYTHON, "-c", code, script], ["--ro", script, "--processes", "2"],
                             backend=backend)
            self.assertEqual((inner.status, inner.out), (0, b"PermissionError\n"))
        self.everywhere(check)
        shop = Workshop()
        self.addCleanup(shop.close)
        hidden = shop.file("interpreter", "#!/bin/sh\necho HIDDEN\n", 0o755)
        script = shop.file("script", f"#!{hidden}\n", 0o755)
        self.assertEqual(shop.native([script]).stdout, b"HIDDEN\n")


if __name__ == "__main__":
    main()
