#!/usr/bin/env bash
# Installs what building and testing need, from Debian's packages. Prints nothing when all is there.
# As root, or through sudo.
set -eu

build_packages=(g++ cmake ninja-build pkg-config libboost-program-options-dev libexpected-dev
                nlohmann-json3-dev libspdlog-dev libfmt-dev libseccomp-dev nettle-dev)
test_packages=(libgtest-dev python3 libpython3-stdlib libpython3.11-testsuite gcc libc6-dev sudo mandoc
               procps python3-numpy strace jq)

# Debian's clang with libFuzzer and the sanitizers' runtimes.
fuzz_packages=(clang libclang-rt-14-dev)

# What the bench compares with. What cannot be had is left out of its table, and named.
bench_packages=(bubblewrap firejail proot runsc strace python3-numpy python3-pandas
                libopenblas0-pthread)

# Peers that vitrine is run inside of, the browser that opens its page, and what examples and tests of
# packages use. Where one cannot be had, its tests are skipped and say so.
peer_packages=(python3-django python3-yaml python3-pandas python3-scipy python3-matplotlib python3-sympy
               python3-sklearn python3-pytest python3-pytest-xdist python3-pytest-timeout python3-pytest-cov
               python3-ipython perl lua5.4 nodejs pypy3 bubblewrap runsc chromium)

lint_packages=(clang-format clang-tidy cppcheck shellcheck mandoc)

# clang's counting, its runtime, and llvm-cov.
coverage_packages=(clang libclang-rt-14-dev llvm)

case "${1:-all}" in
  build) packages=("${build_packages[@]}") ;;
  quickstart) packages=("${build_packages[@]}" python3) ;;
  fuzz) packages=("${build_packages[@]}" "${fuzz_packages[@]}") ;;
  all) packages=("${build_packages[@]}" "${test_packages[@]}") ;;
  bench) packages=("${build_packages[@]}" "${test_packages[@]}") ;;
  lint) packages=("${build_packages[@]}" "${lint_packages[@]}") ;;
  coverage) packages=("${build_packages[@]}" "${test_packages[@]}" "${coverage_packages[@]}") ;;
  *) echo "usage: $0 [build|quickstart|fuzz|all|bench|lint|coverage]" >&2; exit 2 ;;
esac

is_installed() {
  dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed
}

missing=()
peers=()
for package in "${packages[@]}"; do is_installed "$package" || missing+=("$package"); done
optional=()
[ "${1:-all}" = all ] && optional=("${peer_packages[@]}")
[ "${1:-all}" = bench ] && optional=("${bench_packages[@]}")
if [ ${#optional[@]} -gt 0 ]; then
  for package in "${optional[@]}"; do is_installed "$package" || peers+=("$package"); done
fi
[ ${#missing[@]} -eq 0 ] && [ ${#peers[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "install as root: ${missing[*]} ${peers[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "installing: ${missing[*]} ${peers[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
if [ ${#missing[@]} -gt 0 ]; then
  "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
for package in "${peers[@]}"; do
  "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 ||
    echo "not to be had here: $package"
done
