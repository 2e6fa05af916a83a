"""`cmake --preset static` makes one small file that runs anywhere, on nothing but a kernel."""

import bz2
import gzip
import io
import json
import lzma
import os
import shutil
import stat
import subprocess
import tarfile
import zipfile

import pytest

from trees import ROOT, assert_same, environment, index, look, noise, set_time, write

MOST_BYTES = 10 << 20  # 7.4 million with Debian 12's OpenSSL, 9.2 million with Debian 13's
ODD_TIME = 1_700_000_000_123_456_789


def run(*words, status=0, **more):
    done = subprocess.run([os.fspath(w) for w in words], capture_output=True, check=False,
                          timeout=120, **more)
    assert done.returncode == status, (words, done.returncode, done.stderr[-2000:])
    return done


@pytest.fixture
def empty_root(tmp_path, static_program):
    """A root directory with the program and nothing else: no /etc, /dev, /proc, /lib, /tmp."""
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy2(static_program, root / "warmpack")
    return root


@pytest.fixture
def inside(empty_root):
    """inside(*args) runs /warmpack in the empty root; without root's rights, in a namespace."""
    enter = ["chroot", empty_root]
    if os.geteuid() != 0:
        enter = ["unshare", "--user", "--map-root-user", f"--root={empty_root}"]

    def run_inside(*args, **more):
        return run(*enter, "/warmpack", *args, env=environment("/"), **more)

    return run_inside


@pytest.fixture
def application(empty_root):
    """/srv/app in the empty root, with a valid index in the tree."""
    app = empty_root / "srv" / "app"
    source = write(app / "k.py", "def add(a, b):\n    return a + b\n", ns=ODD_TIME)
    index(source)
    write(app / "data" / "large", noise(5 << 20))
    set_time(app, ODD_TIME)
    return app


def test_it_is_small_stripped_and_needs_no_shared_library(static_program):
    assert static_program.stat().st_size < MOST_BYTES
    assert stat.S_IMODE(static_program.stat().st_mode) & 0o111
    headers = run("readelf", "--wide", "--program-headers", "--dynamic", static_program).stdout
    assert b"INTERP" not in headers
    assert b"(NEEDED)" not in headers
    assert b"no symbols" in run("nm", static_program).stderr


def test_it_holds_nothing_of_name_services(static_program):
    content = static_program.read_bytes()
    for words in (b"nsswitch", b"libnss"):
        assert words not in content


@pytest.mark.parametrize("suffix", [".tgz", ".tar.zst", ".zip"])
def test_it_packs_unpacks_and_verifies_in_an_empty_root(empty_root, application, inside, suffix):
    archive = "/app" + suffix
    inside("create", "-f", archive, "-C", "/srv", "app")
    done = inside("extract", "-f", archive, "-C", "/opt")
    assert b"1 of 1 cache indexes valid" in done.stderr
    assert_same(look(application), look(empty_root / "opt" / "app"))
    report = json.loads(inside("verify", "--json", "/opt/app").stdout)
    assert report["summary"] == {**report["summary"], "total": 1, "valid": 1}
    assert b"app/k.py" in inside("list", "-f", archive).stdout
    shutil.move(empty_root / "opt" / "app", empty_root / "moved")
    inside("restore", "/moved")
    inside("inspect", "/moved")


def test_it_reads_users_from_the_file_itself(empty_root, application, inside):
    write(empty_root / "etc" / "passwd", "app:x:1001:1002::/srv/home:/bin/sh\n")
    write(empty_root / "etc" / "group", "app:x:1002:\nextra:x:1003:app\n")
    answer = json.loads(inside("path", "--user", "app", "--json", "/srv/app/k.py").stdout)
    assert "/srv/home/.cache/numba" in json.dumps(answer)
    assert b"no such user" in inside("path", "--user", "nobody", "/srv/app/k.py", status=2).stderr


def test_a_configuration_of_the_machines_openssl_does_not_matter(static_program, tmp_path):
    """A file that names providers would make libcrypto load them, and fail without them."""
    conf = write(tmp_path / "openssl.cnf", "openssl_conf = c\n[c]\nproviders = p\n"
                 "alg_section = a\n[p]\nnone = n\n[n]\nmodule = /no/such.so\nactivate = 1\n"
                 "[a]\ndefault_properties = fips=yes\n")
    write(tmp_path / "app" / "k.py", "x = 1\n")
    run(static_program, "create", "-f", tmp_path / "a.tgz", "-C", tmp_path, "app",
        env=environment(tmp_path, OPENSSL_CONF=str(conf)))


PACKAGES = {"bz2": "libbz2-dev", "lzma": "liblzma-dev", "nettle": "nettle-dev"}


@pytest.mark.parametrize("absent", [["bz2"], ["lzma"], ["nettle"], ["bz2", "nettle"]])
def test_packages_of_static_libraries_that_are_missing_are_named(tmp_path, absent):
    there = {name: os.path.realpath(run("cc", f"-print-file-name=lib{name}.a", text=True).stdout.strip())
             for name in PACKAGES}
    places = {os.path.dirname(path) for path in there.values()}
    ignored = [*places, *(place.removeprefix("/usr") for place in places)]
    found = [f"-Dstatic_{name}={path}" for name, path in there.items() if name not in absent]
    done = run("cmake", "-S", ROOT, "-B", tmp_path, "-DWARMPACK_STATIC=ON", "-DWARMPACK_TESTS=OFF",
               "-DCMAKE_IGNORE_PATH=" + ";".join(ignored), *found, status=1, text=True)
    named = [package for name, package in PACKAGES.items() if name in absent]
    said = " ".join(done.stderr.split())
    assert f"install {' '.join(named)}, or build without it (-DWARMPACK_STATIC=OFF;" in said


def foreign_tar(path, pack):
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for name, content in CONTENTS.items():
            entry = tarfile.TarInfo("app/" + name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    path.write_bytes(pack(plain.getvalue()))


def foreign_zip(path, method):
    with zipfile.ZipFile(path, "w", method) as out:
        for name, content in CONTENTS.items():
            out.writestr("app/" + name, content)


# Larger than what is read at a time, so that data come in pieces; well and badly compressible.
CONTENTS = {"small": b"x", "empty": b"", "noise": noise(2 << 20, 1), "text": b"warm caches " * (1 << 17)}
FOREIGN = {
    "a.tar": lambda p: foreign_tar(p, bytes),
    "a.tgz": lambda p: foreign_tar(p, gzip.compress),
    "two-members.tgz": lambda p: foreign_tar(
        p, lambda d: gzip.compress(d[:100_001]) + gzip.compress(d[100_001:]) + b"\0" * 100),
    "a.tar.bz2": lambda p: foreign_tar(p, bz2.compress),
    "a.tar.xz": lambda p: foreign_tar(p, lzma.compress),
    "deflated.zip": lambda p: foreign_zip(p, zipfile.ZIP_DEFLATED),
    "bzip2.zip": lambda p: foreign_zip(p, zipfile.ZIP_BZIP2),
    "lzma.zip": lambda p: foreign_zip(p, zipfile.ZIP_LZMA),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_it_reads_what_others_packed(static_program, tmp_path, name):
    archive = tmp_path / name
    FOREIGN[name](archive)
    run(static_program, "extract", "-f", archive, "-C", tmp_path / "out")
    for file, content in CONTENTS.items():
        assert (tmp_path / "out" / "app" / file).read_bytes() == content


@pytest.mark.parametrize("name", ["a.tgz", "deflated.zip"])
def test_it_refuses_what_is_cut_or_damaged(static_program, tmp_path, name):
    archive = tmp_path / name
    FOREIGN[name](archive)
    whole = archive.read_bytes()
    middle = len(whole) // 2
    damaged = {"cut": whole[:middle],
               "changed": whole[:middle] + bytes(64) + whole[middle + 64:]}
    for how, content in damaged.items():
        archive.write_bytes(content)
        done = run(static_program, "extract", "-f", archive, "-C", tmp_path / how, status=2)
        assert done.stderr.startswith(b"warmpack: ")
        assert done.stderr.count(b"\n") == 1
        assert not (tmp_path / how / "app").exists()
