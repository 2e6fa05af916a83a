#!/bin/sh
# Other machines, as run.sh --world has them: unit tests for processors that qemu emulates, and both
# commands of the README in fresh releases of Debian and Ubuntu. Needs root, debootstrap and hours.
# Usage: sh tests/world.sh RESULTS [PART...]
#   RESULTS: where a JUnit report of each part goes, called PART.xml
#   PART: world-aarch64 (little-endian), world-s390x (big-endian), world-bookworm, world-trixie,
#         world-sid, world-jammy and world-noble (Ubuntu 22.04 and 24.04), world-musl
# WARMPACK_WORLD names a directory where the machines are kept for the next run; without it they are
# made in a temporary one, and removed. WARMPACK_UBUNTU names a mirror of Ubuntu, for which there is
# no default. WARMPACK_WORLD_TESTS is run in a fresh release after tests/demo.sh, in place of
# "sh tests/run.sh".
set -eu
umask 022
results=$(mkdir -p "$1" && cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- world-aarch64 world-s390x world-bookworm world-trixie world-sid \
  world-jammy world-noble world-musl
cd "$(dirname "$0")/.."

if [ -n "${WARMPACK_WORLD-}" ]; then
  mkdir -p "$WARMPACK_WORLD"
  world=$(cd "$WARMPACK_WORLD" && pwd)
else
  world=$(mktemp -d)
  trap 'rm -rf --one-file-system "$world"' EXIT
fi
trap 'exit 130' INT
trap 'exit 143' TERM

# escaped TEXT: as it may stand in an attribute.
escaped() {
  printf '%s' "$1" | tr '\n' ' ' | sed 's/&/\&amp;/g; s/</\&lt;/g; s/"/\&quot;/g'
}

# said TEST passed|failed|skipped [WHY]: a line for who reads, and a case of the part's report.
said() {
  why=$(escaped "${3-}")
  inside=
  case $2 in
    passed) echo "PASS: $part: $1" ;;
    failed) echo "FAIL: $part: $1${3:+: $3}" && inside="<failure message=\"$why\"/>" ;;
    skipped) echo "SKIP: $part: $1: $3" && inside="<skipped message=\"$why\"/>" ;;
  esac
  cases="$cases<testcase classname=\"$part\" name=\"$(escaped "$1")\">$inside</testcase>"
}

# machine NAME RELEASE [MIRROR SCRIPT]: a bare system in $world/NAME; where it fails its log stays.
machine() {
  root=$world/$1
  [ ! -e "$root/ready" ] || return 0
  rm -rf --one-file-system "$root"
  shift
  release=$1
  shift
  debootstrap --variant=minbase "$release" "$root" "$@" >"$root.log" 2>&1 || {
    tail -n 20 "$root.log"
    return 1
  }
  cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
  touch "$root/ready"
}

# in_machine NAME SCRIPT [ARGUMENT...]: as root there, with mounts that nobody else sees. The root
# is a mount point, as tests that unshare mounts need it, and that of all there is: the kernel gives
# no user namespaces in a chroot.
in_machine() {
  root=$world/$1
  script=$2
  shift 2
  # shellcheck disable=SC2016 # The inner shell's variables.
  unshare --mount --fork --pid --kill-child sh -eu -c '
    root=$1
    shift
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs shm "$root/dev/shm"
    mount -t sysfs sys "$root/sys"
    cd "$root"
    pivot_root . .
    umount -l .
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TERM=dumb \
      DEBIAN_FRONTEND=noninteractive ${http_proxy:+"http_proxy=$http_proxy"} sh -eu -c "$@"' \
    sh "$root" "$script" sh "$@"
}

# The checkout without what was built in it, to /src of machine NAME.
bring_source() {
  mkdir -p "$world/$1/src"
  find "$world/$1/src" -mindepth 1 -delete
  tar -cf - --exclude='./build*' . | tar -xf - -C "$world/$1/src"
}

# cases_of REPORT: its cases join those of the part.
cases_of() {
  "$python" -c 'import sys, xml.etree.ElementTree as tree
part = sys.argv[2]
for case in tree.parse(sys.argv[1]).iter("testcase"):
    case.set("classname", part + "." + case.get("classname", ""))
    for output in case.findall("system-out"):
        case.remove(output)
    print(tree.tostring(case, encoding="unicode").strip())' "$1" "$part"
}

# processor DEBIAN-ARCHITECTURE TRIPLE QEMU: all unit tests, cross-compiled. A machine for each,
# since the headers of two architectures do not go side by side.
processor() {
  machine "$1" bookworm || { said machine failed "debootstrap"; return; }
  bring_source "$1"
  # shellcheck disable=SC2016
  in_machine "$1" '
    dpkg --add-architecture "$1"
    apt-get -qq update
    libraries=
    for library in libc6-dev libarchive-dev libdeflate-dev libjansson-dev libssl-dev libzstd-dev \
      zlib1g-dev libcmocka-dev; do libraries="$libraries $library:$1"; done
    apt-get -qq install -y --no-install-recommends cmake ninja-build pkg-config "gcc-$2" \
      qemu-user-static python3 python3-numba tar gzip bzip2 xz-utils zstd busybox libarchive-tools unzip zip \
      $libraries >/dev/null
    cd /src
    export PKG_CONFIG_LIBDIR="/usr/lib/$2/pkgconfig:/usr/share/pkgconfig"
    cmake -G Ninja -B /build -DCMAKE_BUILD_TYPE=RelWithDebInfo -DWARMPACK_WERROR=ON \
      -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR="${2%%-*}" \
      -DCMAKE_C_COMPILER="$2-gcc" -DCMAKE_CROSSCOMPILING_EMULATOR="/usr/bin/$3"
    cmake --build /build
    cmake --build /build --target unit_tests' "$@" >"$world/$1.log" 2>&1 || {
    tail -n 30 "$world/$1.log"
    said builds failed "see above"
    return
  }
  said builds passed
  # shellcheck disable=SC2016
  in_machine "$1" 'rm -f /build/unit.xml
    ctest --test-dir /build -j "$(nproc)" --output-on-failure --timeout 1800 \
      --output-junit /build/unit.xml' || true
  cases="$cases$(cases_of "$world/$1/build/unit.xml")" || said unit failed "no report"
}

# release RELEASE: what the README says of a Debian of that release.
release() {
  machine "$1" "$1" || { said machine failed "debootstrap"; return; }
  if ! in_machine "$1" "apt-get -qq update" >"$world/$1.log" 2>&1; then
    # What a mirror no longer vouches for is not that release.
    if expired=$(grep -m 1 "is expired" "$world/$1.log"); then
      said packages skipped "$expired"
    else
      said packages failed "$(tail -n 1 "$world/$1.log")"
    fi
    return
  fi
  bring_source "$1"
  for command in "sh tests/demo.sh" "${WARMPACK_WORLD_TESTS-sh tests/run.sh}"; do
    if in_machine "$1" "cd /src && $command"; then
      said "$command" passed
    else
      said "$command" failed "see above"
    fi
  done
}

# ubuntu RELEASE: as release, where its CMake is new enough.
ubuntu() {
  if [ -z "${WARMPACK_UBUNTU-}" ]; then
    said builds skipped "WARMPACK_UBUNTU names no mirror"
    return
  fi
  # All of Ubuntu's releases have one recipe, and this debootstrap may not know the newest names.
  machine "$1" "$1" "$WARMPACK_UBUNTU" /usr/share/debootstrap/scripts/gutsy || {
    said machine failed "debootstrap"
    return
  }
  echo "deb $WARMPACK_UBUNTU $1 main universe" >"$world/$1/etc/apt/sources.list"
  needed=$(sed -n 's/^cmake_minimum_required(VERSION \([0-9.]*\)).*/\1/p' CMakeLists.txt)
  there=$(in_machine "$1" "apt-get -qq update
    apt-cache policy cmake | sed -n 's/.*Candidate: \([0-9.]*\).*/\1/p'") || there=none
  if [ "$(printf '%s\n' "$needed" "$there" | sort -V | head -n 1)" != "$needed" ]; then
    said builds skipped "CMake $there is too old, $needed is needed"
    return
  fi
  release "$1"
}

# The README says that musl is not supported, but that the one file runs there: it runs where there
# is no library at all.
musl() {
  if ! cmake --preset static >"$world/musl.log" 2>&1 ||
    ! cmake --build --preset static --target warmpack >>"$world/musl.log" 2>&1
  then
    tail -n 30 "$world/musl.log"
    said static failed "see above"
    return
  fi
  root=$world/musl
  rm -rf "$root"
  mkdir -p "$root/tmp/app"
  cp build-static/warmpack "$root/"
  echo "x = 1" >"$root/tmp/app/k.py"
  if chroot "$root" /warmpack create -q -f /tmp/a.tgz -C /tmp app &&
    chroot "$root" /warmpack extract -q -f /tmp/a.tgz -C /tmp/out &&
    cmp "$root/tmp/app/k.py" "$root/tmp/out/app/k.py"
  then
    said static passed
  else
    said static failed "see above"
  fi
}

python=/usr/bin/python3
for part; do
  echo "== $part"
  cases=
  case $part in
    world-aarch64) processor arm64 aarch64-linux-gnu qemu-aarch64-static ;;
    world-s390x) processor s390x s390x-linux-gnu qemu-s390x-static ;;
    world-bookworm | world-trixie | world-sid) release "${part#world-}" ;;
    world-jammy | world-noble) ubuntu "${part#world-}" ;;
    world-musl) musl ;;
    *) echo "world.sh: $part is no part" >&2; exit 2 ;;
  esac
  echo "<testsuite name=\"$part\">$cases</testsuite>" >"$results/$part.xml"
done
