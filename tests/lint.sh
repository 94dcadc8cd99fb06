#!/usr/bin/env bash
# Reads the source with every tool that has an opinion on it. Exit status 0: none has found anything.
#
#   tests/lint.sh           all (clang-tidy takes a quarter of an hour on two processors)
#   tests/lint.sh quick     all but clang-tidy
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$(dirname "$here")"
bash "$here/install_packages.sh" lint

failed=()
check() {
  local name=$1
  shift
  echo "--- $name"
  "$@" || failed+=("$name")
}

formatted() {
  find src tests '(' -name '*.cc' -o -name '*.h' ')' -exec clang-format --dry-run -Werror {} +
}

# Only what it says of the pages themselves: whether a page that they refer to is installed is the
# machine's matter.
manual() {
  local said
  said=$(mandoc -Tlint man/*.[15] 2>/dev/null | grep -v 'referenced manual not found' || true)
  [ -z "$said" ] || { echo "$said"; return 1; }
}

scripts() {
  git ls-files '*.sh' | xargs shellcheck
}

# missingReturn: it does not see that what the line calls is [[noreturn]].
# shiftNegativeLHS: defined since C++20.
# unknownMacro, missingIncludeSystem: it is not shown the headers of the system.
by_cppcheck() {
  cppcheck --quiet --std=c++20 --language=c++ --enable=warning,performance,portability \
    --suppress=missingReturn:src/policy/profile_loader.cc --suppress=shiftNegativeLHS \
    --inline-suppr --error-exitcode=1 -Isrc src
}

# The checks, and why some are left out, are in .clang-tidy.
by_clang_tidy() {
  cmake --preset release -DVITRINE_TESTS=ON >/dev/null
  cmake --build --preset release --target vitrine >/dev/null  # for the headers that are generated
  run-clang-tidy -quiet -p build/release -j "$(nproc)" -extra-arg=-Wno-unknown-warning-option \
    "^$PWD/src/.*\\.cc$" 2>/dev/null | grep -v '^clang-tidy' | sed '/^$/d' | tee build/lint.log
  ! grep -qE '(warning|error):' build/lint.log
}

check clang-format formatted
check mandoc manual
check shellcheck scripts
check cppcheck by_cppcheck
[ "${1:-all}" = quick ] || check clang-tidy by_clang_tidy
[ ${#failed[@]} -eq 0 ] || { echo "not clean: ${failed[*]}"; exit 1; }
echo "all is clean"
