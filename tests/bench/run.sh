#!/usr/bin/env bash
# Builds the release and prints what vitrine costs here, beside the bare program and other tools.
# Options go to bench.py: --runs N, --quick.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
bash "$root/tests/install_packages.sh" bench
cd "$root"
cmake --preset release -DVITRINE_TESTS=ON >/dev/null
cmake --build --preset release -j "$(nproc)" --target vitrine guest_bench_calls
exec /usr/bin/python3 -B tests/bench/bench.py "$@"
