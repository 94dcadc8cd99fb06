"""`vitrine log html` in a real browser: it draws, asks for nothing, runs nothing of the log's, and
stays quick. With VITRINE_SCREENSHOTS=FOLDER pictures are left there to be looked at."""

import json
import tempfile

import browser
from harness import *

HOSTILE = r'''
import os, socket, subprocess
names = ["<img src=x onerror=document.title='pwned'>", "</script><script>window.pwned=1</script>",
         "javascript:window.pwned=2", "a\nb\"c'd", "\u202egnp.exe", "\u2028\u2029", "&lt;b&gt;", "--><b>"]
for name in names:
    for path in ("/etc/" + name, "/tmp/" + name):
        try: open(path, "w").write("x")
        except OSError: pass
        try: open(path).read()
        except OSError: pass
for path in (b"/etc/\xff\xfe", b"/etc/\x1b]0;pwned\x07", b"/etc/shadow", b"/etc/debian_version"):
    try: os.open(path, 0)
    except OSError: pass
try: socket.socket()
except OSError: pass
work = bytearray()
for i in range(40):
    work += b"x" * 300000
    sum(range(200000))
child = subprocess.run(["/usr/bin/python3", "-c", "import json; " + "#" * 20 + names[1]])
'''

SECTIONS = ["Budgets", "CPU and memory over time", "Calls over time", "Denied", "Files", "System calls",
            "Processes", "Events"]

# Pixels of a canvas that differ from its first one.
DRAWN = """[...document.querySelectorAll('canvas')].map((c) => {
  const p = new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer);
  return p.filter((x) => x !== p[0]).length; })"""


class Page(Case):
    @classmethod
    def setUpClass(cls):
        if browser.find() is None:
            raise unittest.SkipTest("chromium is not installed, and no other browser is tested")
        cls.shop = Workshop()
        cls.browser = browser.Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.shop.close()

    def page_of(self, log, name):
        page = os.path.join(self.shop.path, name)
        done = subprocess.run([self.shop.vitrine, "log", "html", log, "-o", page],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
        return page

    def hostile_page(self):
        script = self.shop.file("job.py", HOSTILE)
        self.run_ = self.shop.run([PYTHON, script], ["--processes", "2"])
        return self.page_of(os.path.join(self.shop.path, "audit.jsonl"), "hostile.html")

    def picture(self, name):
        folder = os.environ.get("VITRINE_SCREENSHOTS")
        if folder:
            self.browser.screenshot(os.path.join(folder, name + ".png"))

    def assertQuiet(self, page):
        """Nothing but the page was asked for, and nothing went wrong."""
        self.assertEqual(self.browser.requests, ["file://" + page])
        self.assertEqual(self.browser.problems, [])

    def sections(self):
        return self.browser.run("[...document.querySelectorAll('h2')].map((h) => h.textContent)")

    def test_a_hostile_run_is_shown_and_runs_nothing(self):
        page = self.hostile_page()
        for theme in ("light", "dark"):
            self.browser.theme(theme)
            self.browser.open(page)
            self.assertQuiet(page)
            self.assertEqual(self.sections(), SECTIONS)
            self.assertTrue(self.browser.run("document.title").startswith("Audit log"))
            self.assertIsNone(self.browser.run("window.pwned"))
            denied = self.run_.report["syscalls"]["denied"]
            self.assertIn(f"events in this log, {denied} denied", self.browser.run("document.body.textContent"))
            self.assertEqual(self.browser.run("document.querySelectorAll('img, iframe, object').length"), 0)
            self.assertEqual(self.browser.run("document.querySelectorAll('script').length"), 2)
            self.assertTrue(all(n > 100 for n in self.browser.run(DRAWN)), self.browser.run(DRAWN))
            self.picture(theme)
        text = self.browser.run("document.body.textContent")
        for name in ("<img src=x onerror=document.title='pwned'>", "</script><script>window.pwned=1<",
                     "javascript:window.pwned=2", r"\xe2\x80\xaegnp.exe", r"a\x0ab", r"\xff\xfe", "&lt;b&gt;"):
            self.assertTrue(name in text, f"{name} is there, as text")
        self.assertNotIn("\u202e", text)
        self.assertIn('{"show": "/etc/debian_version"}', text, "a profile line to paste")
        self.assertNotIn('{"show": "/etc/shadow"}', text, "none for what may hold secrets")

    def test_themes_differ_and_fit_the_window(self):
        page = self.hostile_page()
        colours = []
        for theme in ("light", "dark"):
            self.browser.theme(theme)
            self.browser.open(page)
            colours.append(self.browser.run("getComputedStyle(document.body).backgroundColor"))
        self.assertEqual(len(set(colours)), 2, colours)
        for width in (1280, 700, 400):
            self.browser.resize(width, 900)
            self.browser.open(page)
            wide = self.browser.run("document.documentElement.scrollWidth - innerWidth")
            self.assertLessEqual(wide, 0, f"scrolls sideways at {width}")
        self.browser.resize(1280, 900)

    def test_search_and_filters(self):
        page = self.hostile_page()
        self.browser.open(page)
        total = "document.querySelector('.filters .dim').textContent"
        before = self.browser.run(total)
        self.browser.run("""new Promise((done) => { const s = document.querySelector('input[type=search]');
            s.value = 'SHADOW'; s.dispatchEvent(new Event('input')); setTimeout(done, 400); })""")
        shown, of = self.browser.run(total).split(" of ")
        self.assertEqual(before, f"{of} of {of}")
        self.assertTrue(0 < int(shown) < 5, shown)
        rows = self.browser.run("[...document.querySelectorAll('.spacer .row')].map((r) => r.textContent)")
        self.assertTrue(rows and all("/etc/shadow" in row for row in rows), rows)
        self.browser.run("""{ const s = document.querySelector('input[type=search]'); s.value = '';
            s.dispatchEvent(new Event('input')); const d = document.querySelector('select');
            d.value = 'deny'; d.dispatchEvent(new Event('change')); }""")
        denied = int(self.browser.run(total).split(" of ")[0].replace(",", ""))
        self.assertGreater(denied, 5)
        self.assertQuiet(page)

    def test_courses_tell_their_own_figures(self):
        records = [{"type": "start", "argv": ["x"], "limits": {"memory_bytes": 64 << 20}}]
        for seq, (seconds, cpu, held) in enumerate(((0, 0, 1), (1, 0.25, 3), (2, 0.3, 2)), 1):
            records.append({"type": "limit", "event": "sample", "seq": seq, "t_us": seconds * 1000000,
                            "cpu_us": int(cpu * 1e6), "memory_bytes": held << 20})
        log = self.shop.file("courses.jsonl", "".join(json.dumps(record) + "\n" for record in records))
        page = self.page_of(log, "courses.html")
        self.browser.open(page)
        self.assertEqual(
            self.browser.run("[...document.querySelectorAll('canvas.course')].map((c) => c.getAttribute('aria-label'))"),
            ["CPU over time: highest sample 0.25 CPUs, full height 1.00 CPUs",
             "memory over time: highest sample 3.0 MiB of 64 MiB"])
        self.assertQuiet(page)

    def test_200000_events_stay_quick(self):
        log = os.path.join(self.shop.path, "long.jsonl")
        with open(log, "w", encoding="utf-8") as f:
            f.write('{"type":"start","schema":1,"vitrine":"1.0.0","argv":["long"]}\n')
            for i in range(220000):
                f.write(json.dumps({
                    "type": "syscall", "seq": i + 1, "t_us": i * 13, "pid": 1 + i % 3, "tid": 1 + i % 7,
                    "syscall": ("openat", "newfstatat", "mmap")[i % 3],
                    "args": {"path": f"/data/{i % 500}/{i}"},
                    "decision": "deny" if i % 97 == 0 else "serve", "rule": "default", "result": 0}) + "\n")
        page = self.page_of(log, "long.html")
        took = self.browser.open(page)
        self.assertQuiet(page)
        self.assertIn("200,000", self.browser.run("document.querySelector('.filters .dim').textContent"))
        self.assertIn("20,000 later ones", self.browser.run("document.body.textContent"))
        nodes = self.browser.run("document.querySelectorAll('*').length")
        start = time.monotonic()
        self.browser.run("""new Promise((done) => { const s = document.querySelector('input[type=search]');
            s.value = '/data/77/'; s.dispatchEvent(new Event('input')); setTimeout(done, 130); })""")
        search = time.monotonic() - start
        scroll = self.browser.run("""(() => { const b = document.querySelector('.events'), t = performance.now();
            for (let i = 0; i < 50; i += 1) { b.scrollTop = i * 1000; b.dispatchEvent(new Event('scroll')); }
            return (performance.now() - t) / 50; })()""")
        self.picture("long")
        print(f"  opened in {took:.2f} s, {nodes} elements, searched in {search:.2f} s, "
              f"scrolled in {scroll:.1f} ms", flush=True)
        self.assertLess(nodes, 30000, "only what is seen is made into elements")
        self.assertLess(took, 20)
        self.assertLess(search, 5)
        self.assertLess(scroll, 100)

    def test_these_checks_can_fail(self):
        page = self.hostile_page()
        with open(page, encoding="utf-8") as f:
            text = f.read()
        changed = self.shop.file("changed.html", text.replace("'use strict';", "'use strict' ;"))
        self.browser.open(changed)
        self.assertEqual(self.sections(), [], "another script than the page's own does not run")
        self.assertTrue(any("Content Security Policy" in p for p in self.browser.problems))
        asking = self.shop.file("asking.html", text.replace("<main", "<img src='http://192.0.2.1/x'><main"))
        self.browser.open(asking)
        self.assertTrue(self.browser.problems, "the policy refuses what would be asked for")
        open_page = text.replace("http-equiv=\"Content-Security-Policy\"", "name=\"none\"")
        asking = self.shop.file("asking.html", open_page.replace("<main", "<img src='file:///x.png'><main"))
        self.browser.open(asking)
        self.assertEqual(len(self.browser.requests), 2, "requests are seen where nothing refuses them")


if __name__ == "__main__":
    main()
