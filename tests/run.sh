#!/bin/sh
# Installs what is needed, builds, runs every test and ends with one line:
# "N passed, N failed, N skipped".
# Usage: sh tests/run.sh [--all] [--asan] | --attack | --coverage | --analyse | --world
#   --all   also the longer tests with Numba, other releases of Numba, of umap, stumpy and librosa,
#           Spark, Dask, Ray, object stores, shiv, pex and the newest setuptools from the Python
#           package index, oras by the Go that this has, and two minutes of fuzzing
#   --asan  with AddressSanitizer and UndefinedBehaviorSanitizer, in build-asan
#   --attack    only the campaigns, in under an hour: every job killed at each of its changing calls,
#               each of its calls failing with six errnos, each of its allocations; ten times the
#               mutated archives; Numba writing its caches while they are packed
#   --coverage  the parts unit, cli, numba (the longer tests, too), hostile, museum, faults and
#               python, and which lines of lib, formats and cmd they run, in build-coverage
#   --analyse   gcc -fanalyzer, clang-tidy, cppcheck and shellcheck: each finding is a failure
#   --world     other processors, fresh releases of Debian and Ubuntu (tests/world.sh), then --attack:
#               hours, as root, on a Debian
set -eu
umask 022 # other users, whom some tests become, read what is made here

all=no preset=release build=build only=
for word in "$@"; do
  case $word in
    --all) all=yes ;;
    --asan) preset=asan build=build-asan ;;
    --attack) only=attack ;;
    --coverage) only=coverage preset=coverage build=build-coverage ;;
    --analyse) only=analyse ;;
    --world) only=world ;;
    *)
      echo "usage: sh tests/run.sh [--all] [--asan] | --attack | --coverage | --analyse |" \
        "--world" >&2
      exit 2
      ;;
  esac
done

cd "$(dirname "$0")/.."

# Root's tests become another user, who may not be able to come here (/root is closed to others):
# then all happens in a copy.
if [ "$(id -u)" -eq 0 ] &&
  ! setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$PWD" 2>/dev/null; then
  copy=$(mktemp -d)
  trap 'rm -rf "$copy"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  chmod 755 "$copy"
  tar -cf - --exclude='./build*' . | tar -xf - -C "$copy"
  chmod -R a+rX "$copy"
  status=0
  sh "$copy/tests/run.sh" "$@" || status=$?
  { mkdir -p "$build" && cp -r "$copy/$build/reports" "$build/"; } || true
  exit $status
fi

python=/usr/bin/python3 # Debian's Numba belongs to Debian's Python.
workers=$(nproc) # each compiles what its tests are run on, so that many gain little
[ "$workers" -le 4 ] || workers=4
longer_numba="edits_all random_edits merge restore verdicts env inspect amend amend_tools versions written" # tests/numba/test_NAME.py
every_numba="versions merge_releases egg inspect zipped second_release in_place written code_names" # with each release of Numba
more_numba=" 0.60.0 0.62.1 0.65.1 0.68.1 " # also with retargeting and all of running in place
edits_numba="0.62.1 0.65.1 0.68.1" # releases with which tests/numba/test_edits.py is run, too
python_index="wheel types applications" # tests/python/test_NAME.py, with what a package index has
results=$PWD/$build/reports # kept, for tests/numba/versions_table.py
rm -rf "$results"
mkdir -p "$results"
trap 'exit 130' INT
trap 'exit 143' TERM

# Ends with the closing line even where there is nothing to count.
give_up() {
  echo "run.sh: $1"
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
}

install=
[ "$all" = no ] || install=all
[ "$only" != analyse ] || install=analyse
[ "$only" != world ] || install=world
# shellcheck disable=SC2086 # One word or none.
sh tests/install.sh $install || give_up "the packages that the tests need are not there"
# built PRESET [WORD...]: configures, and builds what the words say; tells of it where that fails.
built() {
  cmake --preset "$1" >"$results/log" 2>&1 && cmake --build --preset "$@" >>"$results/log" 2>&1 &&
    return 0
  cat "$results/log"
  return 1
}
built "$preset" --target all unit_tests || give_up "it does not build"

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
# The unit tests where char is unsigned, as on ARM.
unsigned_char() {
  parts="$parts unsigned_char"
  echo "== unsigned_char"
  if cmake --preset release -B build-unsigned -DCMAKE_C_FLAGS=-funsigned-char >"$results/log" 2>&1 &&
    cmake --build build-unsigned --target unit_tests >>"$results/log" 2>&1
  then
    ctest --test-dir build-unsigned --output-on-failure --no-tests=error --timeout 300 \
      --output-junit "$results/unsigned_char.xml" || true
  else
    tail -n 50 "$results/log"
  fi
}
# pytest_part NAME WORD...: the tests that the words name. What failed is counted from the report.
# Files of tests run side by side where Python is Debian's, which has what that needs.
pytest_part() {
  part=$1
  parts="$parts $part"
  shift
  [ "$python" != /usr/bin/python3 ] || set -- -n "$workers" --dist loadfile "$@"
  echo "== $part"
  "$python" -m pytest -q -rs -p no:cacheprovider --rootdir=. --durations=5 --tb=short \
    -o junit_family=xunit1 --junit-xml="$results/$part.xml" "$@" || true
}
numba() {
  # A tool for images, without which a test is skipped.
  if [ "$all" = yes ] && interpreter=$("$python" tests/environments.py oras); then
    export WARMPACK_ORAS="${interpreter%/*}/oras"
  fi
  set -- tests/numba
  if [ "$all" = no ]; then
    for name in $longer_numba; do set -- "$@" "--ignore=tests/numba/test_$name.py"; done
  fi
  pytest_part numba "$@"
}
# The main flows with other releases of Numba, each in an environment that is kept.
package_index() {
  set --
  for name in $every_numba; do set -- "$@" "tests/numba/test_$name.py"; done
  every=$*
  for release in $("$python" tests/numba/versions.py list); do
    # shellcheck disable=SC2086 # One word a test.
    set -- $every
    case " $edits_numba " in *" $release "*) set -- "$@" tests/numba/test_edits.py ;; esac
    report=$results/numba-$release.xml
    if WARMPACK_TEST_PYTHON=$("$python" tests/numba/versions.py python "$release" "$report"); then
      export WARMPACK_TEST_PYTHON
      more=
      case $more_numba in
        *" $release "*)
          tests=tests/numba/test_retarget.py
          more="$tests::test_a_retargeted_tree_loads_as_in_place_with_no_setting
            $tests::test_what_cannot_run_stays_and_is_told tests/numba/test_located.py
            tests/numba/test_in_place_many.py tests/numba/test_in_place_odd.py
            tests/numba/test_explain.py::test_what_was_never_warmed_is_named_and_loads_once_it_is
            tests/numba/test_explain.py::test_code_for_another_cpu_is_named_and_retargeting_cures_it
            tests/numba/test_explain.py::test_a_signature_that_was_not_warmed_is_shown_beside_those_that_were
            tests/numba/test_warm.py::test_a_tree_is_warmed_packed_and_proved"
          ;;
      esac
      # shellcheck disable=SC2086 # Words without spaces.
      pytest_part "numba-$release" "$@" $more
    else
      parts="$parts numba-$release" # without a report it counts as failed
    fi
  done
  unset WARMPACK_TEST_PYTHON
}
python_package() {
  set -- tests/python
  for name in $python_index; do set -- "$@" "--ignore=tests/python/test_$name.py"; done
  pytest_part python "$@"
}
# environment_part NAME: part NAME with the Python of an environment; see tests/environments.py.
environment_part() {
  if WARMPACK_TEST_PYTHON=$("$python" tests/environments.py "$1"); then
    export WARMPACK_TEST_PYTHON
    "$1"
  else
    parts="$parts $1" # without a report: counted as failed
  fi
  unset WARMPACK_TEST_PYTHON
}
# The newest setuptools; the wheel, which has the static program; types; shiv and pex.
newest() {
  set -- tests/python/test_setuptools.py
  for name in $python_index; do set -- "$@" "tests/python/test_$name.py"; done
  pytest_part newest "$@"
}
# spark_part NAME WORD...: what goes to executors is the static program.
spark_part() {
  shared_program=$WARMPACK
  if built static --target warmpack; then
    export WARMPACK="$PWD/build-static/warmpack"
  fi
  python=$WARMPACK_TEST_PYTHON pytest_part "$@"
  python=/usr/bin/python3
  export WARMPACK="$shared_program"
}
spark() {
  # The server of Spark Connect is not in the distribution of Spark 3.
  spark_part spark tests/spark --ignore=tests/spark/test_connect.py
}
# A standalone master with two workers, a local cluster, and a server of Spark Connect.
spark4() {
  spark_part spark4 tests/spark \
    -k "test_connect or test_uris or test_recipe or every_executor or updated_archive or adopted \
      or two_applications or pandas"
}
# umap, stumpy and librosa, two releases of each.
neighbours() {
  python=$WARMPACK_TEST_PYTHON pytest_part neighbours tests/neighbours
  python=/usr/bin/python3
}
# Dask, Ray, and a server of S3's protocol.
cluster() {
  python=$WARMPACK_TEST_PYTHON pytest_part cluster tests/cluster
  python=/usr/bin/python3
}
# Without sanitizers of its own, since the targets have them.
fuzz() {
  if built fuzz; then
    pytest_part fuzz tests/fuzz
  else
    parts="$parts fuzz"
  fi
}

# Each call of each job; what runs in parallel is single tests, as files are few.
attack() {
  export WARMPACK_EVERY_CALL=1 WARMPACK_ALLOCATION_STEP=1 WARMPACK_MUTATIONS=10
  pytest_part calls tests/faults/test_every_call.py --dist load
  pytest_part memory tests/faults/test_memory.py --dist load
  pytest_part kills tests/faults/test_kill.py tests/faults/test_recovery.py tests/faults/test_seals.py
  pytest_part hostile tests/hostile
  pytest_part museum tests/museum
  pytest_part written tests/numba/test_while_written.py
}
# Lines that the program and the unit tests ran; a figure below what is aimed at counts as failed.
# Left out is what counting itself changes: flags of the build, Landlock, a static library that
# another program links. The counters allocate, too, so that test_memory cannot pass; what it runs
# counts.
coverage() {
  all=yes # of the tests with Numba
  # Programs that become another user add to the same counts.
  "$WARMPACK" --version >/dev/null
  chmod -R a+rwX "$build"
  unit
  pytest_part cli tests/cli --ignore=tests/cli/test_hardening.py \
    --deselect='tests/cli/test_install.py::test_a_program_builds_with_pkg_config[static]' \
    --deselect='tests/cli/test_install.py::test_a_project_builds_with_the_cmake_package[static]'
  numba
  pytest_part hostile tests/hostile
  pytest_part museum tests/museum
  pytest_part faults tests/faults --ignore=tests/faults/test_confined.py \
    --ignore=tests/faults/test_memory.py
  "$python" -m pytest -q -p no:cacheprovider -n "$workers" --dist load tests/faults/test_memory.py \
    >"$results/memory.log" 2>&1 || true
  python_package
  parts="$parts coverage"
  "$python" tests/coverage.py "$build" "$results/coverage.xml" || true
}
analyse() {
  parts="$parts analyse"
  "$python" tests/analyse.py "$results/analyse.xml" || true
}
# Each part prints PASS, FAIL or SKIP and why, and says it in its report.
world() {
  machines="world-aarch64 world-s390x world-bookworm world-trixie world-sid world-jammy world-noble
    world-musl"
  parts="$parts $machines"
  # shellcheck disable=SC2086 # The list is one word a part.
  sh tests/world.sh "$results" $machines || true
  attack
}
if [ -n "$only" ]; then
  $only
  # shellcheck disable=SC2086 # The list is one word a part.
  exec "$python" tests/tally.py "$results" tests/expected-skips $parts
fi

unit
pytest_part cli tests/cli
numba
pytest_part hostile tests/hostile
pytest_part museum tests/museum
pytest_part faults tests/faults
python_package
# A fresh Debian, for the package, takes minutes and the network.
if [ "$all" = yes ]; then
  pytest_part dist tests/dist
else
  pytest_part dist tests/dist --ignore=tests/dist/test_deb.py
fi
pytest_part recipes tests/recipes
if [ "$all" = yes ]; then
  unsigned_char
  package_index
  environment_part newest
  environment_part neighbours
  environment_part spark
  environment_part spark4
  environment_part cluster
  [ "$preset" = asan ] || fuzz
fi

# shellcheck disable=SC2086 # The list is one word a part.
"$python" tests/tally.py "$results" tests/expected-skips $parts
