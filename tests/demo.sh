#!/bin/sh
# Shows what warmpack is for: an application warmed once, then shipped by GNU tar and by warmpack.
# Usage: sh tests/demo.sh
set -eu

cd "$(dirname "$0")/.."
sh tests/install.sh demo

log=$(mktemp)
place=$(mktemp -d)
trap 'rm -rf "$place" "$log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

echo "Building warmpack ..."
if ! { cmake --preset release && cmake --build --preset release --target warmpack; } >"$log" 2>&1
then
  cat "$log" >&2
  exit 1
fi
warmpack=$PWD/build/warmpack

# No variable of the caller's changes where Numba looks or what it compiles.
for name in $(env | sed -n 's/^\(NUMBA_[A-Z_]*\)=.*/\1/p'); do unset "$name"; done
export HOME="$place/home" PYTHONDONTWRITEBYTECODE=1
unset XDG_CACHE_HOME TAR_OPTIONS
mkdir "$HOME"

# run ROOT: runs all of the application; sets loads, saves (as Numba counts them) and seconds.
run() {
  loads=0 saves=0 seconds=0
  for part in $parts; do
    (cd "$HOME" && NUMBA_DEBUG_CACHE=1 /usr/bin/python3 "$runner" "$1" "$part" result.json) >"$log"
    loads=$((loads + $(grep -c '^\[cache\] data loaded' "$log" || true)))
    saves=$((saves + $(grep -c '^\[cache\] data saved' "$log" || true)))
    seconds=$(/usr/bin/python3 -c 'import json, sys
print("%.1f" % (float(sys.argv[1]) + json.load(open(sys.argv[2]))["seconds"]))' \
      "$seconds" "$HOME/result.json")
  done
}
line() {
  printf '  %-34s %8s %10s %9s s\n' "$1" "$loads" "$saves" "$seconds"
}

runner=$PWD/tests/numba/run_app.py
/usr/bin/python3 tests/numba/application.py "$place/build/app"

shown="A generated application" parts=application
if [ -d "$place/build/app/pynndescent" ]; then
  shown="$shown and pynndescent" parts="$parts neighbours"
fi
printf '\n%s, with Numba caches in __pycache__\n\n' "$shown"
printf '  %-34s %8s %10s %11s\n' "" "loaded" "compiled" "time"
run "$place/build/app"
line "first run, nothing cached"
run "$place/build/app"
line "second run, in place"
in_place=$loads

tar -czf "$place/tar.tgz" -C "$place/build" app
"$warmpack" create -q -f "$place/warmpack.tgz" -C "$place/build" app
rm -rf "$place/build"

mkdir "$place/by-tar"
tar -xzf "$place/tar.tgz" -C "$place/by-tar"
run "$place/by-tar/app"
line "shipped with tar czf, tar xzf"
tar_loads=$loads tar_saves=$saves

said=$("$warmpack" extract -f "$place/warmpack.tgz" -C "$place/by-warmpack" 2>&1) || {
  echo "$said" >&2
  exit 1
}
run "$place/by-warmpack/app"
line "shipped with warmpack"
printf '\nwarmpack extract said: %s\n' "$said"

if [ "$tar_loads" -ne 0 ] || [ "$tar_saves" -eq 0 ]; then
  echo "demo.sh: GNU tar kept the cache: this shows nothing" >&2
  exit 1
fi
if [ "$loads" -ne "$in_place" ] || [ "$saves" -ne 0 ]; then
  echo "demo.sh: warmpack lost caches: $loads of $in_place loaded, $saves compiled" >&2
  exit 1
fi
