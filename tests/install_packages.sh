#!/usr/bin/env bash
# Installs what building and testing need, from Debian's packages. Prints nothing when all is there.
# As root, or through sudo.
set -eu

build_packages=(g++ cmake ninja-build pkg-config libboost-program-options-dev libexpected-dev
                nlohmann-json3-dev libspdlog-dev libfmt-dev libseccomp-dev nettle-dev)
test_packages=(libgtest-dev python3 libpython3-stdlib gcc libc6-dev sudo mandoc procps)

case "${1:-all}" in
  build) packages=("${build_packages[@]}") ;;
  all) packages=("${build_packages[@]}" "${test_packages[@]}") ;;
  *) echo "usage: $0 [build|all]" >&2; exit 2 ;;
esac

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
    missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "install as root: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
