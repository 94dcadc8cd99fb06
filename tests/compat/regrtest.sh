#!/usr/bin/env bash
# CPython's own regression tests, natively and inside vitrine, compared test by test.
#
#   tests/compat/regrtest.sh                     every module of tests/compat/modules.txt
#   tests/compat/regrtest.sh test_os test_json   these
#   tests/compat/regrtest.sh --help              options
#
# Needs Debian's libpython3-testsuite and the built command (build/release, or VITRINE=PATH).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
PYTHONPATH="$(dirname "$here")" exec /usr/bin/python3 -B "$here/regrtest.py" "$@"
