"""What examples/ shows works: each program is run as its own text says, by root and by a user."""

import json
import shutil

from harness import *


class Examples(Case):
    def everyone(self, check):
        """`check(run)` for root and an ordinary user; run(WORD...) runs an example's script."""
        for user in [None] + ([ensure_user()] if os.getuid() == 0 else []):
            with self.subTest(user=user or "root"):
                shop = Workshop(user)
                self.addCleanup(shop.close)
                folder = os.path.join(shop.path, "examples")
                shutil.copytree(os.path.join(SOURCE, "examples"), folder)
                os.chmod(folder, 0o755)
                environment = {"PATH": "/usr/bin:/bin", "VITRINE": shop.vitrine, "LANG": "C.UTF-8"}

                def run(*words, **kwargs):
                    return subprocess.run(shop.as_user([PYTHON, "-B", *words]), cwd=folder,
                                          env=environment, capture_output=True, timeout=60, **kwargs)
                check(run)

    def test_function(self):
        def call(run, name, *arguments):
            return run("function/run_function.py", "function/user_code.py", name, *arguments)

        def check(run):
            done = call(run, "area", "3", "4")
            self.assertEqual((done.stdout, done.stderr, done.returncode), (b"12\n", b"", 0))
            for name, said in (("fails", b"KeyError: 'missing'\n"), ("loops", b"wall-limit: "),
                               ("spies", b"FileNotFoundError: "), ("eats", b"MemoryError"),
                               ("nothing", b"AttributeError: ")):
                done = call(run, name)
                self.assertEqual((done.stdout, done.returncode), (b"", 1), name)
                self.assertTrue(done.stderr.startswith(said), done.stderr)
        self.everyone(check)

    def test_a_result_that_is_forged_stays_data(self):
        code = """
import os, sys
def forge():
    os.write(int(sys.orig_argv[-1]), b'{"value": 1}{"value": 2}')
    os._exit(0)
"""

        def check(run):
            with open("/var/tmp/vitrine-example-forge.py", "w", encoding="utf-8") as f:
                f.write(code)
            self.addCleanup(lambda: os.path.exists(f.name) and os.remove(f.name))
            done = run("function/run_function.py", f.name, "forge")
            self.assertEqual((done.stderr, done.returncode), (b"result: no result came back\n", 1))
        self.everyone(check)

    def test_grader(self):
        def check(run):
            done = run("grader/grade.py", "grader/submission.py", "grader/cases.json")
            lines = done.stdout.decode().splitlines()
            self.assertEqual([line.split()[0] for line in lines], ["--", "ok", "ok", "--", "4"])
            self.assertIn("a wrong answer", lines[0])  # the folder held nothing, or was not there
            self.assertIn("wall-limit", lines[3])
            self.assertEqual((lines[4], done.stderr), ("4 of 6", b""))
        self.everyone(check)

    def test_template(self):
        def check(run):
            done = run("template/render.py", "template/invoice.txt", "template/data.json")
            self.assertEqual((done.stdout, done.stderr, done.returncode),
                             (b"Dear Ada,\nyour 2 items cost 15 in all.\n", b"", 0))
            # Its data is a descriptor, and no path.
            with open("/var/tmp/vitrine-example.txt", "w", encoding="utf-8") as f:
                f.write("{open('template/data.json').read()}")
            self.addCleanup(lambda: os.path.exists(f.name) and os.remove(f.name))
            done = run("template/render.py", f.name, "template/data.json")
            self.assertEqual((done.stdout, done.returncode), (b"", 1))
            self.assertIn(b"FileNotFoundError", done.stderr)
        self.everyone(check)

    def test_handler(self):
        def check(run):
            done = run("lambda/invoke.py", "lambda/resize.py.handler", "lambda/event.json")
            self.assertEqual(json.loads(done.stdout), {
                "statusCode": 200, "body": {"width": 800, "height": 600, "by": "handler"}})
            with open("/var/tmp/vitrine-example-event.json", "w", encoding="utf-8") as f:
                f.write("{}")
            self.addCleanup(lambda: os.path.exists(f.name) and os.remove(f.name))
            done = run("lambda/invoke.py", "lambda/resize.py.handler", f.name)
            self.assertEqual(json.loads(done.stdout), {
                "statusCode": 500, "body": {"errorType": "KeyError", "errorMessage": "'width'"}})
        self.everyone(check)

    def test_django(self):
        if subprocess.run([PYTHON, "-c", "import django"], capture_output=True).returncode != 0:
            self.skipTest("python3-django is not installed")
        client = """
import json, sys
sys.path.insert(0, "django_view")
import app
from django.test import Client
def post(**body):
    answer = Client().post("/run", json.dumps(body), content_type="application/json")
    print(answer.status_code, json.dumps(answer.json(), sort_keys=True))
post(code="def f(x, y): return {'sum': x + y}", function="f", arguments=[1, 2])
post(code="def f(): raise ValueError('no')", function="f")
post(code="import socket\\ndef f(): socket.create_connection(('127.0.0.1', 80))", function="f")
post(code="def f(): print('so far'); import time; time.sleep(60)", function="f")
post(code=1, function="f")
print(Client().get("/run").status_code)
"""

        def check(run):
            done = run("-c", client)
            lines = done.stdout.decode().splitlines()
            self.assertEqual(lines[:2], ['200 {"value": {"sum": 3}}',
                                         '422 {"error": "ValueError", "message": "no", "output": ""}'],
                             done.stderr)
            self.assertTrue(lines[2].startswith('422 {"error": "PermissionError"'), lines)
            self.assertTrue(lines[3].startswith('422 {"error": "wall-limit"'), lines)
            self.assertTrue(lines[4].startswith('400 '), lines)
            self.assertEqual(lines[5:], ["405"])
        self.everyone(check)

    # No cluster is to be had here: what the job says is checked, and its command is run.
    def test_kubernetes_job(self):
        try:
            convert = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))"
            text = subprocess.run([PYTHON, "-c", convert,
                                   os.path.join(SOURCE, "examples/kubernetes/job.yaml")],
                                  capture_output=True, check=True).stdout
        except subprocess.CalledProcessError:
            self.skipTest("python3-yaml is not installed")
        job = json.loads(text)
        pod = job["spec"]["template"]["spec"]
        container = pod["containers"][0]
        self.assertEqual((job["kind"], job["apiVersion"], pod["restartPolicy"]), ("Job", "batch/v1", "Never"))
        self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
        self.assertTrue(pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"])
        self.assertEqual(container["securityContext"], {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]}})
        mounted = {volume["name"] for volume in pod["volumes"]}
        self.assertEqual(mounted, {mount["name"] for mount in container["volumeMounts"]})
        shop = Workshop(ensure_user())
        self.addCleanup(shop.close)
        script = shop.file("script.py", "print('ran')")
        arguments = [script if word == "/scripts/script.py" else word for word in container["args"]]
        done = subprocess.run(shop.as_user([shop.vitrine, *arguments]), cwd=shop.path,
                              capture_output=True, timeout=60)
        self.assertEqual((done.stdout, done.returncode), (b"ran\n", 0))
        self.assertEqual(json.loads(done.stderr)["verdict"], "exited")


if __name__ == "__main__":
    main()
