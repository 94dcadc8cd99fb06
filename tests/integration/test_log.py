"""`vitrine log`, on logs written by hand: what is wrong with words and lines is said, output that fails is an
error, and logs of any content are read in bounds. Real runs' logs are in test_audit.py and test_page.py."""

import hashlib
import json
import stat

from harness import *

MIB = 1 << 20
START = {"type": "start", "schema": 1, "argv": ["x"], "profiles": []}
KINDS = {"show": [], "summary": [], "verify": [], "replay": ["--profile", "python"], "html": ["-o", "-"]}


def call(seq=1, syscall="openat", path="/etc/hosts", decision="serve", rule="python:files[0]", result=3, **more):
    error = {"errno": more.pop("errno")} if "errno" in more else {}
    return {"type": "syscall", "seq": seq, "t_us": seq, "pid": 1, "tid": 1, "syscall": syscall,
            "args": {"path": path, "flags": more.pop("flags", "O_RDONLY")}, **more,
            "decision": decision, "rule": rule, "result": result, **error}


def refused(seq=1, **fields):
    return call(seq, **{"decision": "deny", "rule": "default", "result": -2, "errno": "ENOENT", **fields})


class LogCommand(Case):
    def setUp(self):
        self.shop = Workshop()
        self.addCleanup(self.shop.close)

    def log(self, records, name="log.jsonl"):
        """A whole log of these lines: records, or text as it is. Returns its path."""
        lines = [each if isinstance(each, str) else json.dumps(each) for each in (START, *records)]
        body = "".join(line + "\n" for line in lines).encode()
        end = {"type": "end", "lines": len(lines), "events_left_out": 0, "sha256": hashlib.sha256(body).hexdigest()}
        return self.shop.file(name, body + json.dumps(end).encode() + b"\n")

    def tool(self, *words, **kwargs):
        kwargs = {"stdout": subprocess.PIPE, "stdin": subprocess.DEVNULL, **kwargs}
        return subprocess.run([self.shop.vitrine, "log", *words], cwd=self.shop.path, stderr=subprocess.PIPE,
                              timeout=120, **kwargs)

    def assertRefused(self, done, why):
        self.assertRegex(done.stderr.decode(), "vitrine: log: .*" + why)
        self.assertEqual((done.returncode, done.stdout or b""), (125, b""))

    # --- words

    def test_words_that_are_wrong_are_named(self):
        log = self.log([call()])
        for words, why in (
                ([], "a command is needed"), (["shwo", log], "no such command: shwo"),
                (["show"], "show needs one LOG"), (["show", log, log], "show needs one LOG"),
                (["show", "--denied=1", log], "--denied: takes no value"),
                (["show", log, "--path"], "--path: needs a value"),
                (["show", log, "--paths", "x"], "--paths: no such option"),
                (["verify", log, "--denied"], "--denied: no such option"),
                (["show", log, "--", "--denied"], "show needs one LOG"),
                (["show", log, "--pid", "0"], "--pid: .* from 1 to"),
                (["show", log, "--pid", "18446744073709551617"], "--pid: "),
                (["show", log, "--since", "1x"], "--since: .*not a duration"),
                (["show", log, "--until", "-1s"], "--until: .*not a duration"),
                (["show", log, "--decision", "denied"], "--decision: must be"),
                (["html", log], "html needs -o FILE"), (["replay", log], "replay needs --profile"),
                (["replay", log, "--profile", "none-such"], "none-such"),
                *(([kind, *more, "none.jsonl"], "none.jsonl: No such file")
                  for kind, more in KINDS.items()),
                *(([kind, *more, "/etc"], "/etc: read: Is a directory") for kind, more in KINDS.items())):
            with self.subTest(words=words):
                self.assertRefused(self.tool(*words), why)

    def test_words_in_any_order_and_form(self):
        log = self.log([call(), refused(2, path="/etc/shadow")])
        plain = self.tool("show", log, "--path", "/etc/sh*").stdout
        self.assertEqual(plain.count(b"\n"), 1)
        os.rename(log, self.shop.path + "/--log")
        for words in (["--path=/etc/sh*", "--", "--log"], ["--path", "/none", "--path", "/etc/sh*", "--", "--log"]):
            self.assertEqual(self.tool("show", *words).stdout, plain)
        with open(self.shop.path + "/--log", "rb") as f:
            self.assertEqual(self.tool("show", "-", "--path", "/etc/sh*", stdin=f).stdout, plain)

    # --- lines

    def test_unreadable_lines_are_named_and_the_rest_is_shown(self):
        log = self.log([call(), *["no JSON"] * 7, "[" * 99, refused(2)])
        for kind, more in KINDS.items():
            with self.subTest(kind=kind):
                done = self.tool(kind, log, *more)
                self.assertEqual(done.returncode, 1)
                if kind == "verify":
                    self.assertIn(b"line 10: nested too deeply\n", done.stdout)
                    continue
                said = done.stderr.decode().splitlines()
                self.assertEqual([line.partition(".jsonl: ")[2] for line in said],
                                 [f"line {n}: not a JSON object" for n in range(3, 8)]
                                 + ["8 unreadable lines in all"])
                self.assertNotEqual(done.stdout, b"")
        self.assertEqual(self.tool("show", log, "--syscall", "openat").stdout.count(b"\n"), 2)

    # A name in a message is no road to the terminal.
    def test_the_logs_own_name_is_escaped(self):
        name = "\x1b[2J.jsonl"
        self.log([call()], name)
        for words in (["verify", name], ["verify", name + "x"], ["html", name, "-o", "-"], ["show", name + "x"]):
            done = self.tool(*words)
            self.assertNotIn(b"\x1b", done.stdout + done.stderr)
            self.assertIn(b"\\x1b[2J", done.stdout + done.stderr)

    def test_nothing_of_the_log_passes_for_vitrines_words(self):
        name = '/none (rule: x), exited with 0\u202e"'
        log = self.log([refused(1, path=name), refused(2, path="/n", resolved="/m> = 3"),
                        {"type": "process", "seq": 3, "t_us": 3, "pid": 1, "event": "exec", "program": name, "argv": [name]},
                        {"type": "process", "seq": 4, "t_us": 4, "pid": 1, "event": "exit", "exit_code": "\u009b"},
                        {"type": "start", "argv": ["\u202e"]}])
        shown = '"/none (rule: x), exited with 0\\xe2\\x80\\xae\\x22"'
        for words, parts in ((["show"], [f"openat({shown}, O_RDONLY) = -1 ENOENT",
                                         "<" + "/m\\x3e = 3>", f"exec {shown} [{shown}]", "exited with ?"]),
                             (["summary"], [f"1  openat {shown} ENOENT (rule: default)\n",
                                            f"1  {shown}, exited with ?\n"]),
                             (["summary", "--json"], ["\\u202e"])):
            done = self.tool(words[0], log, *words[1:])
            text = done.stdout.decode()
            self.assertNotRegex(text, "[\u009b\u202e]")
            for part in parts:
                self.assertIn(part, text)

    # A string argument is either vitrine's word or the program's text, by the call's own table.
    def test_a_programs_text_is_never_taken_for_a_constant_or_a_number(self):
        for word in ("O_RDONLY", "AT_FDCWD", "0644", "0x7f00", "12", "0", "ENOENT", "a|b"):
            records = [call(1, path=word), {**call(2, syscall="write"), "args": {"fd": 1, "buf": word, "count": 9}},
                       {**call(3, syscall="read"), "args": {"fd": 1, "buf": word, "count": 9}},
                       {**call(4, syscall="rename"), "args": {"oldpath": word, "newpath": word}},
                       {**call(5, syscall="made_up"), "args": {"flags": word}}]
            shown = self.tool("show", self.log(records)).stdout.decode().splitlines()[1:-1]
            self.assertEqual([line.partition(" ")[2].partition(" ")[2].partition(" ")[2] for line in shown],
                             [f'openat("{word}", O_RDONLY) = 3', f'write(1, "{word}", 9) = 3',
                              f'read(1, "{word}", 9) = 3', f'rename("{word}", "{word}") = 3',
                              f'made_up("{word}") = 3'])
        words = {"dirfd": "AT_FDCWD", "path": 12, "flags": "O_RDONLY|O_CLOEXEC", "mode": "0644"}
        record = {**call(1), "args": words}
        self.assertIn(b"openat(AT_FDCWD, 0xc, O_RDONLY|O_CLOEXEC, 0644) = 3\n", self.tool("show", self.log([record])).stdout)

    # mount(2) has a "target", whose address is in the log.
    def test_an_address_is_no_path(self):
        mount = {**refused(1, syscall="mount"), "errno": "EPERM", "rule": "forbidden-call",
                 "args": {"source": "0x7f00", "target": "0x7f01", "filesystemtype": "0x7f02", "mountflags": "0x0", "data": "0x0"}}
        log = self.log([mount, refused(2, syscall="made_up")])
        summary = json.loads(self.tool("summary", "--json", log).stdout)
        self.assertEqual([(d["syscall"], d["target"]) for d in summary["denials"]], [("made_up", "/etc/hosts"), ("mount", "")])
        self.assertEqual([f["path"] for f in summary["files"]], ["/etc/hosts"])
        self.assertEqual(self.tool("show", log, "--path", "0x7f0*").stdout, b"")

    # --- output

    def test_output_that_cannot_be_written_is_an_error(self):
        log = self.log([call()])
        for kind, more in KINDS.items():
            with self.subTest(kind=kind), open("/dev/full", "wb") as full:
                self.assertRefused(self.tool(kind, log, *more, stdout=full), "No space left")
        self.assertRefused(self.tool("html", log, "-o", "/dev/full/page"), "Not a directory")

    def test_who_reads_no_further_ends_it(self):
        line = json.dumps(call()) + "\n"
        endless = [PYTHON, "-I", "-S", "-c", "import sys\nwhile True: sys.stdout.write(sys.argv[1] * 1000)", line]
        with subprocess.Popen(endless, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as log:
            with subprocess.Popen([self.shop.vitrine, "log", "show", "-"], stdin=log.stdout,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) as show:
                log.stdout.close()
                self.assertIn(b"/etc/hosts", show.stdout.readline())
                show.stdout.close()
                try:
                    status = show.wait(20)
                except subprocess.TimeoutExpired:
                    status = "reads on"
                    show.kill()
                self.assertEqual((status, show.stderr.read()), (0, b""))

    def test_output_that_does_not_wait_is_waited_for(self):
        log = self.log([call(seq) for seq in range(1, 5000)])
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        with subprocess.Popen([self.shop.vitrine, "log", "show", log], stdout=writer,
                              stderr=subprocess.PIPE) as show:
            os.close(writer)
            time.sleep(0.3)
            with open(reader, "rb") as f:
                self.assertEqual(f.read().count(b"\n"), 5001)
            self.assertEqual((show.wait(20), show.stderr.read()), (0, b""))

    def test_a_page_is_written_whole_or_not_at_all(self):
        log = self.log([call()])
        page = self.shop.file("page.html", "former", 0o640)
        elsewhere = self.shop.file("elsewhere", "kept")
        os.symlink(elsewhere, page + ".part")
        self.assertEqual(self.tool("html", log, "-o", page).returncode, 0)
        with open(page, "rb") as f:
            self.assertTrue(f.read().startswith(b"<!doctype html>"))
        self.assertEqual(stat.S_IMODE(os.stat(page).st_mode), 0o640)
        with open(elsewhere, "rb") as f:
            self.assertEqual(f.read(), b"kept", "one that was left is not written through")
        self.shop.file("page.html", "former", 0o640)
        limited = f"ulimit -f 1; trap '' XFSZ; exec {self.shop.vitrine} log html {log} -o {page}"
        done = subprocess.run(["bash", "-c", limited], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertRefused(done, "File too large")
        with open(page, "rb") as f:
            self.assertEqual(f.read(), b"former")
        self.assertNotIn("page.html.part", os.listdir(self.shop.path))
        self.assertRefused(self.tool("html", "/etc", "-o", page + "x"), "Is a directory")
        self.assertFalse([name for name in os.listdir(self.shop.path) if "htmlx" in name])

    @unittest.skipIf(os.getuid() != 0, "needs root, to be another user than the one who writes")
    def test_what_somebody_else_put_in_the_way_is_not_written_through(self):
        log = self.log([call()])
        elsewhere = self.shop.file("elsewhere", "kept", 0o666)
        folder = self.shop.path + "/sticky"
        os.mkdir(folder)
        os.chmod(folder, 0o1777)
        os.symlink(elsewhere, folder + "/page.part")  # root's: the user cannot take it away
        shop = Workshop(ensure_user())
        self.addCleanup(shop.close)
        done = subprocess.run(shop.as_user([shop.vitrine, "log", "html", log, "-o", folder + "/page"]),
                              cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        self.assertRefused(done, "page.part: File exists")
        with open(elsewhere, "rb") as f:
            self.assertEqual(f.read(), b"kept")

    # --- replay

    def replayed(self, records, profile, status):
        done = self.tool("replay", self.log(records), "--profile", profile)
        self.assertEqual((done.returncode, done.stderr), (status, b""), done.stdout[-500:])
        return done.stdout.decode()

    def test_replay_answers_by_the_profiles_rules(self):
        shop = self.shop
        own = shop.file("own.json", json.dumps({"files": [
            {"show": "/etc"}, {"hide": "/etc/shadow"}, {"scratch": "/tmp"}, {"synthetic": "proc"},
            {"show": "/gone", "optional": True}], "syscalls": {"deny": ["socketpair"]}}))
        same = [call(1), call(2, path="/tmp/x", flags="O_WRONLY|O_CREAT"), refused(3, path="/none"),
                refused(4, path="/etc/shadow"), refused(5, path="/etc/hosts", errno="EROFS", flags="O_WRONLY"),
                # Not there under a policy that shows nothing there either; come or gone since.
                call(6, path="/none/at/all", result=-2, errno="ENOENT"), call(7, path="/gone")]
        self.assertTrue(self.replayed(same, own, 0).startswith("0 of 7 calls"))
        for record, answer in (
                (call(path="/etc/shadow"), "deny ENOENT, rule own:files[1]#hide"),
                (call(path="/none"), "deny ENOENT, rule default"),
                (call(path="/etc/hosts", flags="O_RDWR"), "deny EROFS, rule own:files[0]"),
                (call(path="/etc/./hosts", flags="O_TRUNC"), "deny EROFS, rule own:files[0]"),
                (call(path="hosts", resolved="/etc/shadow"), "deny ENOENT, rule own:files[1]#hide"),
                ({**call(syscall="rename"), "args": {"oldpath": "/etc/shadow", "newpath": "/tmp/x"}},
                 "rule own:files[1]#hide"),
                (call(syscall="socketpair"), "deny EPERM, rule own:syscalls.deny[0]"),
                (refused(path="/etc/hosts"), "serve, rule own:files[0]"),
                (refused(path="/tmp/x", flags="O_WRONLY|O_CREAT"), "serve, rule own:files[2]")):
            with self.subTest(record=record):
                text = self.replayed([record], own, 1)
                self.assertIn(answer, text)
                self.assertIn("\n1 of 1 calls would be decided differently", text)
        for record in (call(path="x"), call(path="/etc/../none"), refused(path="/proc/1"), call(path="/\\+9"),
                       call(path="/none", rule="--ro /none"), call(path="/none", rule="program"),
                       call(path="/none", rule="working directory")):
            with self.subTest(record=record):
                text = self.replayed([record], own, 0)
                self.assertIn("0 of 0 calls", text)
                self.assertIn("1 more depend on the command line", text)

    # Writing says ENOENT where nothing is there, EROFS where something would be made or changed.
    HOSTILE = """
import os, sys
for name in ("a", "b", "sub", "sub/c", "sub/new", "new", "../bare", "../bare/x"):
    path = "shown/" + name if len(sys.argv) < 2 else sys.argv[1] + "/shown/" + name
    for call in (lambda: os.open(path, os.O_WRONLY), lambda: os.open(path, os.O_WRONLY | os.O_CREAT),
                 lambda: os.unlink(path), lambda: os.mkdir(path), lambda: os.rename(path, "/tmp/x"),
                 lambda: os.rename("/tmp/there", path), lambda: os.chmod(path, 0o700), lambda: os.truncate(path, 0),
                 lambda: os.symlink("x", path), lambda: os.utime(path), lambda: os.stat(path), lambda: os.listdir(path)):
        open("/tmp/there", "w").close()
        try: call()
        except OSError: pass
"""

    def test_replay_under_the_same_profile_differs_in_nothing(self):
        shop = self.shop
        for folder in ("shown/sub", "bare"): os.makedirs(f"{shop.path}/{folder}")
        for name in ("a", "b", "sub/c"): shop.file("shown/" + name)
        shown = f"{shop.path}/shown"
        own = shop.file("own.json", json.dumps({"extends": "python", "files": [
            {"show": shown}, {"hide": shown + "/b"}, {"hide": shown + "/sub"}, {"folder": shop.path + "/bare"}]}))
        scratch = shop.file("scratch.json", json.dumps({"extends": "python", "files": [{"scratch": shown}, {"scratch": shop.path + "/bare"}]}))
        for arguments in ([], [shop.path]):
            run = shop.run([PYTHON, "-c", self.HOSTILE, *arguments], ["-p", own])
            self.assertEqual((run.status, run.err), (0, b""))
            done = self.tool("replay", "audit.jsonl", "--profile", own)
            self.assertEqual((done.returncode, done.stderr), (0, b""), done.stdout.decode())
            self.assertRegex(done.stdout.decode(), "^0 of [0-9]{3} calls would")
        self.assertEqual(self.tool("replay", "audit.jsonl", "--profile", scratch).returncode, 1)
        run = shop.run([PYTHON, "-c", self.HOSTILE], ["-p", scratch])
        text = self.tool("replay", "audit.jsonl", "--profile", own).stdout.decode()
        for call, answer in ((f'chmod("shown/b", 0700) = 0 <{shown}/b>', "deny ENOENT, rule own:files[1]#hide"),
                             (f'mkdir("shown/b", 0777) = 0 <{shown}/b>', "deny EROFS, rule own:files[0]"),
                             (f'chmod("shown/../bare/x", 0700) = 0 <{shop.path}/bare/x>', "deny ENOENT, rule own:files[3]"),
                             (f'mkdir("shown/../bare/x", 0777) = 0 <{shop.path}/bare/x>', "deny EROFS, rule own:files[3]")):
            self.assertIn(f"{call}", text)
            self.assertIn("would be: " + answer, text.partition(call)[2].partition("\n[")[0], call)

    def test_what_replay_does_not_list_it_counts(self):
        text = self.replayed([call(seq, path=f"/none/{seq % 1500}") for seq in range(1, 3001)], "python", 1)
        self.assertEqual(text.count("would be: deny"), 1000)
        self.assertEqual(text.count("(2 times)"), 1000)
        self.assertIn("and 1000 calls that are not listed\n3000 of 3000 calls would be decided differently", text)

    # --- in bounds, whatever the log holds

    @unittest.skipIf(OF_ITS_MEMORY, OF_ITS_MEMORY)
    def test_long_and_many_names_take_bounded_memory(self):
        many = [call(seq, path=f"/etc/{seq}/" + "<" * 2000) for seq in range(1, 5000)]
        long = [refused(seq, path=f"/etc/{seq}/" + "<" * (2 * MIB)) for seq in range(1, 8)]
        names = ({**refused(seq, syscall=f"{seq}" + "<" * MIB, rule=f"{seq}" + "<" * MIB, where="<" * MIB),
                  "errno": f"{seq}" + "<" * (MIB // 2)} for seq in range(1, 20))
        programs = ({"type": "process", "seq": seq, "t_us": seq, "pid": seq, "event": "exec",
                     "program": "<" * (2 * MIB), "argv": ["<" * MIB]} for seq in range(1, 40))
        numbers = [{"type": kind, "argv": [0] * (MIB - 100)} for kind in ("start", "end")]
        own = self.shop.file("own.json", json.dumps({"files": [{"show": "/etc"}]}))
        code = ("import resource, subprocess, sys\n"
                "done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)\n"
                "print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10)")
        for what, records, mosts in (("many", many, (30, 40, 40, 30, 220)), ("long", long, (40, 40, 90, 40, 50)),
                                     ("names", names, (50, 50, 50, 50, 60)),
                                     ("programs", programs, (50, 50, 50, 50, 60)),
                                     ("numbers", numbers, (90, 130, 90, 90, 130))):
            log = self.log(records)
            for kind, most in zip(("show", "summary", "replay", "verify", "html"), mosts):
                line = [PYTHON, "-I", "-S", "-c", code, self.shop.vitrine, "log", kind, log, *KINDS[kind]]
                if kind == "replay": line[-1] = own
                done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
                status, peak = (int(word) for word in done.stdout.split())
                self.assertIn(status, (0, 1))
                self.assertLess(peak, most, (what, kind))


if __name__ == "__main__":
    main()
