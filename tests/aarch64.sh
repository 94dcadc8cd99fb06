#!/usr/bin/env bash
# Compiles what depends on the architecture, and what stands on it, for aarch64; nothing is run. By hand:
# Debian's cross compiler (g++-aarch64-linux-gnu, 212 MB) is too much for every run of the tests.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
compiler=aarch64-linux-gnu-g++
if ! command -v "$compiler" >/dev/null; then
  as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get install -y -qq --no-install-recommends g++-aarch64-linux-gnu >/dev/null
fi

# Headers of libraries that are the same on every architecture, and nothing else of the host's.
headers=$(mktemp -d)
trap 'rm -rf "$headers"' EXIT
for name in tl seccomp.h seccomp-syscalls.h nlohmann; do
  ln -s "/usr/include/$name" "$headers/$name"
done

status=0
for source in "$root"/src/{base,arch,core,tracee,intercept,vfs,limits,syscalls}/*.cc; do
  "$compiler" -std=c++20 -O1 -Wall -Wextra -Wpedantic -Wconversion -Werror -D_GNU_SOURCE \
    -I"$root/src" -isystem "$headers" -c "$source" -o /dev/null || status=1
done
[ $status -eq 0 ] && echo "compiles for aarch64"
exit $status
