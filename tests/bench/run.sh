#!/usr/bin/env bash
# Builds the release and prints what vitrine costs here. Options go to bench.py (--runs, --calls).
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
bash "$root/tests/install_packages.sh" all
cd "$root"
cmake --preset release -DVITRINE_TESTS=ON >/dev/null
cmake --build --preset release -j "$(nproc)" --target vitrine guest_bench_calls
exec /usr/bin/python3 -B tests/bench/bench.py "$@"
