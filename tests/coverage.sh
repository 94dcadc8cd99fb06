#!/usr/bin/env bash
# Which lines of src/ the tests run: the unit tests, the replayed corpora and every suite, with the
# command built to count (preset `coverage`). Ends with a table by file; then the functions of what
# decides that nothing entered, and the places in the others that nothing ran (coverage.py).
#
#   tests/coverage.sh             all (the time of tests/run.sh, and as much again)
#   tests/coverage.sh -R REGEX    what CTest's -R selects; the table is of that alone
#   tests/coverage.sh report      the table of the last run
#
# Exit status 0: every file was counted, and every function that decides was entered, or
# coverage-reasons.txt says why not. A test that fails here is named, and does not hide the table.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
cd "$root"
built=build/coverage
counts=/var/tmp/vitrine-coverage  # of the preset; what runs as another user, or below another root, finds it

# An object out of another checkout's build would tell of that one's files.
export CCACHE_NAMESPACE="$root"

# All that is linked with src/ and has been built.
find_programs() {
  mapfile -t programs < <(printf '%s\n' $built/src/vitrine $built/tests/vitrine_unit_tests
                          find $built/tests/fuzz -maxdepth 1 -type f -executable | sort)
}

# A file that is root's own could not be written by the ordinary user's runs. The folder is not
# sticky, or fs.protected_regular would keep root out of the user's.
fresh() {
  rm -rf "$counts"
  mkdir -m 777 "$counts"
  local program
  for program in "${programs[@]}"; do
    case "$program" in
      */vitrine) "$program" --version ;;
      */vitrine_unit_tests) "$program" --gtest_list_tests ;;
      *) "$program" /dev/null ;;
    esac >/dev/null 2>&1 || true
  done
  chmod 666 "$counts"/*
}

count() {
  bash "$here/install_packages.sh" all
  cmake --preset coverage -DVITRINE_TESTS=ON >/dev/null
  cmake --build --preset coverage -j "$(nproc)"
  find_programs
  fresh
  ctest --test-dir $built --output-on-failure -j "$(nproc)" "$@" ||
    echo "some tests failed, see above"
}

report() {
  local objects=() program
  find_programs
  for program in "${programs[@]:1}"; do objects+=(-object "$program"); done
  llvm-profdata merge -sparse "$counts"/*.profraw -o $built/counts.profdata
  llvm-cov export "${programs[0]}" "${objects[@]}" -instr-profile=$built/counts.profdata \
    -ignore-filename-regex='^/usr/' >$built/counts.json
  python3 "$here/coverage.py" $built/counts.json "$here/coverage-reasons.txt"
}

bash "$here/install_packages.sh" coverage
[ "${1:-}" = report ] || count "$@"
report
