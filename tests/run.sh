#!/bin/sh
# Installs what is needed, builds, runs every test and ends with one line:
# "N passed, N failed, N skipped".
# Usage: sh tests/run.sh [--all] [--asan]
#   --all   also the longer tests with Numba, and what needs a Python package index
#   --asan  with AddressSanitizer and UndefinedBehaviorSanitizer, in build-asan
set -eu

all=no preset=release build=build
for word in "$@"; do
  case $word in
    --all) all=yes ;;
    --asan) preset=asan build=build-asan ;;
    *)
      echo "usage: sh tests/run.sh [--all] [--asan]" >&2
      exit 2
      ;;
  esac
done

cd "$(dirname "$0")/.."
python=/usr/bin/python3 # Debian's Numba belongs to Debian's Python.
longer_numba="restore verdicts env inspect amend" # tests/numba/test_NAME.py
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Ends with the closing line even where there is nothing to count.
give_up() {
  echo "run.sh: $1"
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
}

sh tests/install.sh || give_up "the packages that the tests need are not there"
cmake --preset "$preset" >"$results/log" 2>&1 &&
  cmake --build --preset "$preset" >>"$results/log" 2>&1 &&
  cmake --build --preset "$preset" --target unit_tests >>"$results/log" 2>&1 || {
  cat "$results/log"
  give_up "it does not build"
}

export WARMPACK="$PWD/$build/warmpack" PYTHONDONTWRITEBYTECODE=1
# An exit status that warmpack itself never has, so that no test takes a report for an answer.
export ASAN_OPTIONS="${ASAN_OPTIONS-detect_leaks=1:exitcode=99}"
export LSAN_OPTIONS="${LSAN_OPTIONS-exitcode=99}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS-print_stacktrace=1:exitcode=99}"

parts=
unit() {
  parts="$parts unit"
  echo "== unit"
  ctest --test-dir "$build" --output-on-failure --no-tests=error --timeout 300 \
    --output-junit "$results/unit.xml" || true
}
# pytest_part NAME: the tests in tests/NAME. What failed is counted from the report.
pytest_part() {
  parts="$parts $1"
  echo "== $1"
  longer=
  if [ "$1" = numba ] && [ "$all" = no ]; then
    for name in $longer_numba; do longer="$longer --ignore=tests/numba/test_$name.py"; done
  fi
  # shellcheck disable=SC2086 # The list is one word an option.
  "$python" -m pytest -q -rs -p no:cacheprovider --rootdir=. --durations=5 --tb=short $longer \
    --junit-xml="$results/$1.xml" "tests/$1" || true
}
package_index() {
  : # Nothing yet: the tests so far need Debian's packages only.
}

unit
for part in cli numba hostile faults python dist; do
  [ ! -d "tests/$part" ] || pytest_part "$part"
done
[ "$all" = no ] || package_index

# shellcheck disable=SC2086 # The list is one word a part.
"$python" tests/tally.py "$results" tests/expected-skips $parts
