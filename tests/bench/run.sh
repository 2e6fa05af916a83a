#!/bin/sh
# Measures warmpack and the tools it replaces side by side, on a real site-packages tree with warm
# Numba caches: prints a table, writes results.json, results.md and chart.svg.
# Usage: sh tests/bench/run.sh [--quick] [--large] [--scale] [--record] [--only JOB,...]
#        sh tests/bench/run.sh --scale-only [TREE,...]
#   --quick   a part of the tree, without the slowest tools: under three minutes
#   --large   also the tree of about 780 MB and 50,000 files
#   --scale   also a million files, one file of 20 GiB, 100 levels of directories
#   --scale-only  only that, or only these trees: many (or many-10000, ...), flat, spread, deep,
#             huge. All take half an hour, 35 GB and, below /dev/shm, 5 GB. Prints its table, and
#             writes no results
#   --record  keep the results in tests/bench/results, which README.md shows
#   --only    only jobs whose names begin with one of these
# What it makes lies in build-bench, or in $WARMPACK_BENCH_DIR; it unpacks below /dev/shm.
set -eu

cd "$(dirname "$0")/../.."
python=/usr/bin/python3 # Debian's Numba belongs to Debian's Python.
place=${WARMPACK_BENCH_DIR:-$PWD/build-bench}
mkdir -p "$place"

sh tests/install.sh bench
if [ -z "${WARMPACK-}" ]; then
  if ! { cmake --preset release && cmake --build --preset release --target warmpack; } \
    >"$place/build.log" 2>&1; then
    cat "$place/build.log" >&2
    exit 1
  fi
  WARMPACK=$PWD/build/warmpack
fi
export WARMPACK

# Peers that Debian has not. Those that cannot be had are left out of the table.
venv=$place/venv cargo=$place/cargo
quick=no
for word in "$@"; do
  case $word in --quick | --scale-only | --scale-only=*) quick=yes ;; esac
done
if [ $quick = no ] && [ ! -e "$venv/tried" ]; then
  echo "Looking for rapidgzip and conda-pack ..." >&2
  "$python" -m venv "$venv" && "$venv/bin/pip" -q install rapidgzip conda-pack \
    >"$place/pip.log" 2>&1 || echo "run.sh: they cannot be had, see $place/pip.log" >&2
  mkdir -p "$venv"
  : >"$venv/tried"
fi
if [ $quick = no ] && [ ! -e "$cargo/tried" ] && command -v cargo >/dev/null; then
  mkdir -p "$cargo"
  for crate in crabz ripunzip; do
    echo "Building $crate ..." >&2
    cargo install -q --locked --root "$cargo" "$crate" >>"$place/cargo.log" 2>&1 ||
      echo "run.sh: $crate cannot be had, see $place/cargo.log" >&2
  done
  : >"$cargo/tried"
fi
PATH=$PATH:$venv/bin:$cargo/bin
export PATH

exec "$python" tests/bench/bench.py --place "$place" "$@"
