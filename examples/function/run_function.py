"""Runs one function of a Python file behind glass: arguments and result as JSON.

    from run_function import run_function, FunctionError
    run_function("user_code.py", "area", 3, 4, wall="2s")   -> 12, or raises FunctionError

From the shell: run_function.py FILE FUNCTION [JSON-ARGUMENT]...

What the function prints is kept apart from its result, which travels on a descriptor of its own.
The result is data: JSON, never a pickle, because whoever wrote the function wrote it too.
"""

import json
import os
import subprocess
import sys
import tempfile

VITRINE = os.environ.get("VITRINE", "vitrine")
PYTHON = "/usr/bin/python3"
MOST_RESULT = 1 << 20  # bytes of JSON that are read back

# Runs inside. argv: the file, the function, the descriptor of the result; stdin: the arguments.
INSIDE = r"""
import importlib.util, json, os, sys, traceback
file, name, result_fd = sys.argv[1], sys.argv[2], int(sys.argv[3])
call = json.load(sys.stdin)
sys.argv[:] = [file]
try:
    spec = importlib.util.spec_from_file_location("user_code", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules["user_code"] = module
    spec.loader.exec_module(module)
    result = {"value": getattr(module, name)(*call["arguments"], **call["keywords"])}
    text = json.dumps(result)
except BaseException as error:
    text = json.dumps({"error": type(error).__name__, "message": str(error),
                       "traceback": traceback.format_exc(limit=-20)})
with os.fdopen(result_fd, "w") as out:
    out.write(text)
"""


class FunctionError(Exception):
    """The function raised, or did not return within its budgets."""

    def __init__(self, kind, message, output="", traceback=""):
        super().__init__(f"{kind}: {message}")
        self.kind, self.message, self.output, self.traceback = kind, message, output, traceback


def run_function(file, name, *arguments, wall="5s", memory="256M", options=(), **keywords):
    """The value that FILE's function NAME returns for these arguments."""
    file = os.path.abspath(file)
    results, results_in = os.pipe()
    # A file, not a pipe: nobody has to read while the function runs.
    with tempfile.TemporaryFile() as report, tempfile.TemporaryFile() as output:
        command = [VITRINE, "-q", "--wall", wall, "--cpu", wall, "--memory", memory,
                   "--output", "1M", "--ro", file, "--pass-fd", str(results_in),
                   "--report-fd", str(report.fileno()), *options, "--",
                   PYTHON, "-I", "-c", INSIDE, file, name, str(results_in)]
        call = json.dumps({"arguments": arguments, "keywords": keywords}).encode()
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output,
                              pass_fds=(results_in, report.fileno())) as process:
            os.close(results_in)
            try:
                process.stdin.write(call)
                process.stdin.close()
            except BrokenPipeError:
                pass  # it ended before it read its arguments: the report says why
            with os.fdopen(results, "rb") as stream:
                text = stream.read(MOST_RESULT + 1)
        output.seek(0)
        printed = output.read().decode("utf-8", "replace")
        report.seek(0)
        verdict = json.loads(report.read() or b"{}")
    return take_result(text, verdict, printed)


def take_result(text, verdict, printed):
    if verdict.get("verdict") != "exited":
        kind = verdict.get("verdict", "setup-error")
        raise FunctionError(kind, verdict.get("reason") or f"signal {verdict.get('signal')}", printed)
    if len(text) > MOST_RESULT:
        raise FunctionError("result", "the result is too large", printed)
    try:
        result = json.loads(text)
    except ValueError:
        raise FunctionError("result", "no result came back", printed) from None
    if not isinstance(result, dict) or not {"value", "error"} & result.keys():
        raise FunctionError("result", "no result came back", printed)
    if "error" in result:
        raise FunctionError(str(result["error"]), str(result.get("message")), printed,
                            str(result.get("traceback")))
    return result["value"]


def main():
    if len(sys.argv) < 3:
        sys.exit(f"usage: {sys.argv[0]} FILE FUNCTION [JSON-ARGUMENT]...")
    try:
        print(json.dumps(run_function(sys.argv[1], sys.argv[2], *map(json.loads, sys.argv[3:]))))
    except FunctionError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
