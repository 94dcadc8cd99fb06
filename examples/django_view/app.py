"""A Django application that runs its users' functions.

    app.py runserver            then POST {"code": "def f(x): ...", "function": "f", "arguments": [1]} to /run
"""

import json
import os
import sys
import tempfile

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import JsonResponse
from django.urls import path
from django.views.decorators.http import require_POST

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "function"))
from run_function import FunctionError, run_function  # noqa: E402

settings.configure(DEBUG=False, SECRET_KEY=os.environ.get("SECRET_KEY", "an example's key, not a secret"),
                   ROOT_URLCONF=__name__, ALLOWED_HOSTS=["localhost", "testserver"])
django.setup()


@require_POST
def run(request):
    try:
        wanted = json.loads(request.body)
        code, name, arguments = wanted["code"], wanted["function"], wanted.get("arguments", [])
        if not (isinstance(code, str) and isinstance(name, str) and isinstance(arguments, list)):
            raise TypeError("code and function are strings, arguments is a list")
    except (ValueError, KeyError, TypeError) as error:
        return JsonResponse({"error": "request", "message": str(error)}, status=400)
    # Not /tmp, which is a folder of its own inside.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)
        file = os.path.join(folder, "code.py")
        with open(file, "w", encoding="utf-8") as f:
            f.write(code)
        try:
            return JsonResponse({"value": run_function(file, name, *arguments, wall="2s")})
        except FunctionError as error:
            return JsonResponse({"error": error.kind, "message": error.message,
                                 "output": error.output[-1000:]}, status=422)


urlpatterns = [path("run", run)]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
