#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test. The one command of the README and of CI.
#
#   tests/run.sh             everything
#   tests/run.sh -R REGEX    what CTest's -R selects (any CTest option is passed on)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")

bash "$here/install_packages.sh" all
cd "$root"
cmake --preset release -DVITRINE_TESTS=ON >/dev/null
cmake --build --preset release -j "$(nproc)"
ctest --test-dir build/release --output-on-failure -j "$(nproc)" "$@"
