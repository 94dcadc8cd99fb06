#!/usr/bin/env bash
# From a fresh clone to a supervised script: installs the packages, builds, runs, and shows what the
# run left behind: its report and its audit log.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")

bash "$root/tests/install_packages.sh" quickstart
cd "$root"
cmake --preset release -DVITRINE_TESTS=OFF >/dev/null
cmake --build --preset release -j "$(nproc)"
vitrine=$root/build/release/src/vitrine

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cp "$here/hello.py" .

echo
echo "\$ vitrine --report report.json --audit audit.jsonl python3 hello.py"
"$vitrine" --report report.json --audit audit.jsonl python3 hello.py
echo
echo "--- its report: report.json"
head -n 34 report.json
echo "    ..."
echo
echo "--- what it was refused: vitrine log show --denied audit.jsonl"
"$vitrine" log show --denied audit.jsonl
echo
echo "--- the log is whole: vitrine log verify audit.jsonl"
"$vitrine" log verify audit.jsonl
echo
echo "vitrine is $vitrine"
