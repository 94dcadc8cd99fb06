#!/usr/bin/env bash
# Fuzzes with libFuzzer (preset `fuzz`), target after target, starting from the corpora.
#
#   tests/fuzz/run.sh [SECONDS] [TARGET...]     600 seconds each of every target
#
# What is found in that time is merged into corpus/TARGET, as few and as short files as reach the
# same code, bounded in all. An input that crashes, hangs (10 s) or takes 1 GiB is kept in
# build/fuzz/findings/TARGET; a finding makes the script fail. Once mended, it belongs into the
# corpus: the ordinary tests replay that.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$(dirname "$here")")
seconds=${1:-600}
[ $# -eq 0 ] || shift

# Bytes of an input, and of what a merged corpus keeps of one.
declare -A longest=([log]=16384 [verify]=16384 [page]=8192 [profile]=8192)
most_kept=32768  # in all, and as files
most_files=200
named='.*/[0-9a-f]{40}'

bash "$root/tests/install_packages.sh" fuzz
cd "$root"
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz -j "$(nproc)"

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for source in "$here"/*.cc; do
    name=$(basename "$source" .cc)
    [ "$name" = replay ] || targets+=("$name")
  done
fi

# Of the files in $1 that libFuzzer named, by their digests: as many as fit, of whatever kind.
keep_small() {
  local kept=0 files=0 size path
  while read -r size path; do
    if [ $((kept + size)) -le "$most_kept" ] && [ "$files" -lt "$most_files" ]; then
      kept=$((kept + size)) files=$((files + 1))
    else
      rm -- "$path"
    fi
  done < <(find "$1" -type f -regextype posix-egrep -regex "$named" -printf '%s %p\n' | sort -k 2)
}

failed=()
for target in "${targets[@]}"; do
  program=$root/build/fuzz/tests/fuzz/fuzz_$target
  corpus=$here/corpus/$target
  found=$root/build/fuzz/found/$target
  findings=$root/build/fuzz/findings/$target
  mkdir -p "$corpus" "$found" "$findings"
  options=(-max_len="${longest[$target]:-4096}" -timeout=10 -rss_limit_mb=1024
           -malloc_limit_mb=512 -artifact_prefix="$findings/")
  echo "== $target: $seconds seconds"
  log=$findings/log.txt
  if ! "$program" "${options[@]}" -max_total_time="$seconds" -print_final_stats=1 \
      "$found" "$corpus" >"$log" 2>&1; then
    failed+=("$target")
    tail -40 "$log"
    continue
  fi
  grep -E 'number_of_executed_units|peak_rss_mb' "$log"
  # What was named by hand stays; of the rest, what adds to it.
  merged=$(mktemp -d)
  find "$corpus" -regextype posix-egrep -type f ! -regex "$named" -exec cp -t "$merged" {} +
  "$program" "${options[@]}" -merge=1 "$merged" "$corpus" "$found" >"$log" 2>&1
  keep_small "$merged"
  rm -r "$corpus"
  mv "$merged" "$corpus"
  chmod 755 "$corpus"
done
[ ${#failed[@]} -eq 0 ] || { echo "findings: ${failed[*]}" >&2; exit 1; }
