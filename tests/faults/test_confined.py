"""Confined by the kernel: while extract and restore work, their process cannot change anything but
DIR and the places of caches, nor start a program. What tries it is loaded into the process."""

import ctypes
import errno
import os
import pathlib
import shutil
import subprocess

import pytest

from indexes import make_index
from trees import needs_root, run, write

CREATE_RULESET = 444  # landlock_create_ruleset, on every architecture that Debian has
TRIES = {"open", "truncate", "create", "mkdir", "symlink", "link", "rename", "unlink", "start"}


@pytest.fixture
def landlock():
    if ctypes.CDLL(None).syscall(CREATE_RULESET, None, 0, 1) < 3:
        pytest.skip("the kernel has no Landlock, or one of before Linux 6.2")


@pytest.fixture
def foreign(tmp_path, warmpack, landlock):
    """run(*words): warmpack, in which foreign.c tries to change `foreign`. Returns the errors that
    it got, by thread and try."""
    shim = tmp_path / "foreign.so"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", shim,
                    pathlib.Path(__file__).with_name("foreign.c"), "-ldl"], check=True)
    there = tmp_path / "foreign"
    out = tmp_path / "tries"

    def run(*words):
        shutil.rmtree(there, ignore_errors=True)
        write(there / "old", b"of somebody else")
        out.unlink(missing_ok=True)
        done = warmpack(*words, env={"LD_PRELOAD": str(shim), "FOREIGN_DIR": str(there),
                                     "FOREIGN_OUT": str(out)})
        assert done.returncode == 0, done
        said = {}
        for line in out.read_text().splitlines():
            thread, what, number = line.split()
            said.setdefault((thread, what), set()).add(errno.errorcode.get(int(number), "none"))
        return said, there
    return run


@pytest.fixture
def packed(warmpack, tmp_path):
    for i in range(200):
        write(tmp_path / "s" / "app" / f"{i}.py", f"x = {i}\n" * 50)
    source = tmp_path / "s" / "app" / "k.py"
    source.write_text("y = 1\n")
    make_index(source, tmp_path / "c")
    for name in "a.tgz", "a.tar.zst", "a.zip":
        warmpack.ok("create", "-qf", name, "--cache-dir", "c", "-C", "s", "app")
    (tmp_path / "roots").mkdir()  # a root that is missing may be made in it
    subprocess.run(["tar", "-xzmf", "a.tgz"], cwd=tmp_path, check=True)


def assert_denied(said, there):
    for (thread, what), errors in said.items():
        # A rename or link between directories is refused as one between filesystems can be.
        allowed = {"EACCES", "EXDEV"} if what in ("rename", "link") else {"EACCES"}
        assert errors <= allowed, (thread, what, errors)
    assert {what for _, what in said} == TRIES
    assert (there / "old").read_bytes() == b"of somebody else"
    assert os.listdir(there) == ["old"]


@pytest.mark.parametrize("archive", ["a.tgz", "a.tar.zst", "a.zip"])
@pytest.mark.parametrize("options", [[], ["--cache-dir", "roots/new"], ["--if-needed"]],
                         ids=["plain", "cache root", "if needed"])
def test_extract_can_change_nothing_elsewhere(foreign, packed, tmp_path, archive, options):
    said, there = foreign("extract", "-qf", archive, "-C", "out", "--threads", "3", *options)
    assert_denied(said, there)
    assert any(thread == "other" for thread, _ in said), "no other thread was confined"
    assert (tmp_path / "out" / "app" / "k.py").exists()


def test_restore_can_change_nothing_elsewhere(foreign, packed):
    assert_denied(*foreign("restore", "-q", "app", "--cache-dir", "roots/new", "--threads", "3"))


def test_the_tries_succeed_in_a_verb_that_is_not_confined(foreign, packed, tmp_path):
    """So that it is the kernel that denies them, and not the tries that are wrong."""
    said, _ = foreign("create", "-qf", "b.tgz", "-C", "s", "app")
    assert said[("main", "create")] == {"none"}
    assert said[("main", "start")] == {"none"}


# ---- Odd places ----------------------------------------------------------------------------------

# What the kernel says that has no Landlock.
NO_LANDLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>

long syscall(long n, ...)
{
    static long (*real)(long, ...);
    long v[6];
    va_list ap;

    va_start(ap, n);
    for (int i = 0; i < 6; i++)
        v[i] = va_arg(ap, long);
    va_end(ap);
    if (!real)
        real = dlsym(RTLD_NEXT, "syscall");
    if (n == %d) {
        errno = ENOSYS;
        return -1;
    }
    return real(n, v[0], v[1], v[2], v[3], v[4], v[5]);
}
""" % CREATE_RULESET

ODD = {
    "DIR is a symlink": ("mkdir real && ln -s real out", "extract -qf a.tgz -C out"),
    "DIR is a symlink to another filesystem": (
        "mkdir tm && mount -t tmpfs t tm && ln -s tm out", "extract -qf a.tgz -C out"),
    "DIR is on FUSE": ("mkdir real out && bindfs real out", "extract -qf a.tgz -C out"),
    "restore on FUSE": ("cp -a app real && mkdir out && bindfs real out", "restore -q out"),
    "DIR is where it runs": ("mkdir out && cd out", "extract -qf ../a.tgz"),
    "DIR is missing on tmpfs": ("mkdir tm && mount -t tmpfs t tm", "extract -qf a.tgz -C tm/a/b"),
    "the archive is on tmpfs": (
        "mkdir tm && mount -t tmpfs t tm && cp a.zip tm", "extract -qf tm/a.zip -C out"),
    "a pipe": ("", "extract -qf - -C out < a.tgz"),
    "a zip from a pipe": ("", "extract -qf /dev/stdin -C out < a.zip"),
    "an interpreter is asked": ("", "extract -qf a.tgz -C out --retarget=/usr/bin/python3"),
    "the cache root is elsewhere": (
        "mkdir tm && mount -t tmpfs t tm", "extract -qf a.tgz -C out --cache-dir tm/a/b"),
    "the cache root is a symlink": (
        "mkdir real && ln -s real cd", "extract -qf a.tgz -C out --cache-dir cd"),
    "the cache root of the state": (
        "$WARMPACK extract -qf a.tgz -C was --cache-dir cd && mv was out", "restore -q out"),
    "a cache root after another": (
        "$WARMPACK extract -qf a.tgz -C was --cache-dir cd && mv was out",
        "restore -q out --cache-dir other"),
    "--from elsewhere": (
        "mkdir tm && mount -t tmpfs t tm && $WARMPACK extract -qf a.zip -C tm/old",
        "extract -qf a.tgz -C out --from tm/old"),
    "no /proc": ("umount -l /proc", "extract -qf a.tgz -C out"),
    "restore without /proc": ("umount -l /proc && cp -a app out", "restore -q out"),
    "/ is read-only": (
        "mkdir tm && mount -t tmpfs t tm && mount -o remount,bind,ro /",
        "extract -qf a.tgz -C tm/out"),
}


@needs_root
@pytest.mark.parametrize("name", ODD)
def test_odd_places_are_as_without_landlock(warmpack, landlock, packed, tmp_path, name):
    """Whatever is mounted goes with the namespace of mounts."""
    if "bindfs" in ODD[name][0] and not shutil.which("bindfs"):
        pytest.skip("bindfs is not installed")
    (tmp_path / "none.c").write_text(NO_LANDLOCK)
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", "none.so", "none.c", "-ldl"],
                   cwd=tmp_path, check=True)
    before, (prepare, words) = set(os.listdir(tmp_path)), ODD[name]
    found = []
    for preload in "", f"LD_PRELOAD={tmp_path}/none.so":
        for left in set(os.listdir(tmp_path)) - before:
            run("rm", "-rf", tmp_path / left)
        r = subprocess.run(
            ["unshare", "-m", "sh", "-c", f"{prepare or ':'} || exit 9\n"
             f"env {preload} $WARMPACK {words}; echo $?; cd {tmp_path}\n"
             "find out real cd other tm -path '*/.warmpack/*' -prune -o -exec ls -ld --time-style=+ {} +"
             " 2>/dev/null | sort -k6"],
            cwd=tmp_path, capture_output=True, check=False, env=warmpack.variables())
        found.append((r.returncode, r.stdout, r.stderr))
    if found[0][0] == 9:
        pytest.skip("cannot mount here")
    assert found[0][1].startswith(b"0\n") and b"/k.py" in found[0][1], found
    assert found[0] == found[1]
