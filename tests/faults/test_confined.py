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
from trees import write

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
