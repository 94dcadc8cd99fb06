#!/usr/bin/env bash
# Every test with the supervisor under AddressSanitizer and UndefinedBehaviorSanitizer (preset
# `sanitize`), and those of its threads under ThreadSanitizer (preset `tsan`).
#
#   tests/sanitize.sh             both
#   tests/sanitize.sh -R REGEX    what CTest's -R selects, of each
#
# A finding ends the supervisor (-fno-sanitize-recover) with status 99, and its report is printed.
# Memory that is lost at the supervisor's end is one as well. Tests of what a sanitizer itself costs
# are skipped and say so: VITRINE_SANITIZED, see tests/harness.py.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")

bash "$here/install_packages.sh" all
cd "$root"
failed=()
reports=$(mktemp -d /var/tmp/vitrine-reports-XXXXXX)
chmod 777 "$reports"  # the supervisor is an ordinary user's as well

check() {
  local preset=$1
  shift
  echo "== $preset"
  cmake --preset "$preset" -DVITRINE_TESTS=ON >/dev/null
  cmake --build --preset "$preset" -j "$(nproc)"
  VITRINE_SANITIZED=$preset \
    ctest --test-dir "build/$preset" --output-on-failure -j "$(nproc)" "$@" || failed+=("$preset")
  if [ -n "$(ls "$reports")" ]; then
    cat "$reports"/*
    failed+=("$preset: $(find "$reports" -type f | wc -l) reports, in $reports")
  fi
}

common=exitcode=99:log_path=$reports/report:log_exe_name=1
export ASAN_OPTIONS=$common:detect_stack_use_after_return=1
export UBSAN_OPTIONS=$common:print_stacktrace=1
export TSAN_OPTIONS=$common:halt_on_error=1
check sanitize "$@"
# Where vitrine has a thread of its own: the log's writer.
[ $# -gt 0 ] || set -- -R 'Sink|LineOutput|integration.test_(audit|page|learn)|test_flood'
check tsan "$@"
[ ${#failed[@]} -eq 0 ] || { echo "findings: ${failed[*]}" >&2; exit 1; }
rmdir "$reports"
