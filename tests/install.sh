#!/bin/sh
# Installs the Debian packages with which warmpack is built, shown and tested (Debian 12 or newer).
# Usage: sh tests/install.sh [all | analyse | world | demo | bench]
#   all, analyse, world: also what run.sh needs with the option of that name;
#   demo: only what the build and tests/demo.sh need; bench: what the build and tests/bench need.
set -eu

packages="build-essential cmake ninja-build pkg-config
  libarchive-dev libdeflate-dev libisal-dev libjansson-dev libssl-dev libzstd-dev zlib1g-dev
  libcmocka-dev python3 python3-numba tar gzip"
# There is none for other processors.
[ "$(dpkg --print-architecture 2>/dev/null)" != amd64 ] || packages="$packages libipsec-mb-dev"
if [ "${1-}" = bench ]; then
  packages="$packages python3-scipy python3-sklearn python3-pandas umap-learn python3-venv
    libarchive-tools openssl pigz unzip zip zstd"
elif [ "${1-}" != demo ]; then
  # The last line: other readers and writers of archives, which must understand ours.
  packages="$packages python3-pytest python3-pytest-xdist python3-setuptools python3-venv
    libnss-wrapper util-linux e2fsprogs clang-format mandoc clang libclang-rt-dev
    busybox bzip2 default-jdk-headless libarchive-tools pigz xz-utils zstd
    acl bindfs git python3-coverage python3-cryptography python3-pip python3-wheel python3-yaml
    squashfs-tools
    strace unzip zip"
  # For the static program, shells that complete, and a recipe.
  packages="$packages libbz2-dev liblzma-dev nettle-dev fish zsh environment-modules"
  [ "${1-}" != analyse ] || packages="$packages clang-tidy cppcheck shellcheck"
  [ "${1-}" != world ] || packages="$packages debootstrap"
  [ "${1-}" != all ] || packages="$packages debootstrap dpkg-dev lintian"
fi

# A real application to show and test, and tools for images; not in every release of Debian.
if_there="python3-pynndescent"
case "${1-}" in
  demo | bench) ;;
  all) if_there="$if_there umoci skopeo podman runc" ;;
  *) if_there="$if_there umoci" ;;
esac

# absent PACKAGE...: those that are not installed.
absent() {
  for package; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=
    [ "$status" = installed ] || printf ' %s' "$package"
  done
}
# shellcheck disable=SC2086 # The list is one word a package.
missing=$(absent $packages) maybe=$(absent $if_there)
[ -n "$missing$maybe" ] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "install.sh: this is not Debian (no apt-get); install what matches:$missing" >&2
  exit 1
fi
root=
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "install.sh: not root and no sudo; as root, run: apt-get install$missing" >&2
    exit 1
  fi
  root=sudo
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
attempt() {
  $root apt-get -qq update >"$log" 2>&1 || return 1
  for package in $maybe; do
    # Which release this is, only its lists of packages say.
    if LC_ALL=C apt-cache policy "$package" | grep -q 'Candidate: [^(]'; then
      missing="$missing $package"
    fi
  done
  maybe=
  [ -n "$missing" ] || return 0
  echo "Installing:$missing" >&2
  # shellcheck disable=SC2086 # The list is one word a package.
  $root env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq install -y --no-install-recommends $missing >>"$log" 2>&1
}
if ! attempt; then
  echo "install.sh: the packages could not be installed; trying once more" >&2
  sleep 5
  if ! attempt; then
    tail -n 20 "$log" >&2
    echo "install.sh: apt-get failed (above); as root, run: apt-get install$missing" >&2
    exit 1
  fi
fi
