"""Runs a handler as a function service does: handler(event, context) -> JSON.

    invoke.py FILE.HANDLER EVENT.json

For a service of your own, on a machine or in a pod where vitrine works. (Not within AWS Lambda
itself, which permits neither ptrace nor seccomp: there vitrine refuses to run, see vitrine doctor.)
"""

import json
import os
import sys
import tempfile
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "function"))
from run_function import FunctionError, run_function  # noqa: E402

# Beside the handler inside: makes the context that handlers expect.
ADAPTER = '''
import importlib.util, time

class Context:
    def __init__(self, fields):
        self.__dict__.update(fields)
        self._end = time.monotonic() + fields["timeout_s"]
    def get_remaining_time_in_millis(self):
        return max(0, int(1000 * (self._end - time.monotonic())))

def invoke(file, name, event, fields):
    spec = importlib.util.spec_from_file_location("handler", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)(event, Context(fields))
'''


def invoke(file, name, event, timeout_s=3, memory_mb=128):
    """What a service would answer: (status code, body)."""
    file = os.path.abspath(file)
    fields = {"function_name": name, "memory_limit_in_mb": memory_mb, "timeout_s": timeout_s,
              "aws_request_id": str(uuid.uuid4())}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)
        adapter = os.path.join(folder, "adapter.py")
        with open(adapter, "w", encoding="utf-8") as f:
            f.write(ADAPTER)
        try:
            return 200, run_function(adapter, "invoke", file, name, event, fields,
                                     wall=f"{timeout_s}s", memory=f"{memory_mb}M",
                                     options=("--ro", file))
        except FunctionError as error:
            return 500, {"errorType": error.kind, "errorMessage": error.message}


if __name__ == "__main__":
    source, _, handler = sys.argv[1].rpartition(".")
    with open(sys.argv[2], encoding="utf-8") as f:
        status, body = invoke(source, handler, json.load(f))
    print(json.dumps({"statusCode": status, "body": body}))
