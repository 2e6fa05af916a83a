"""A module that came later is seen behind a symbolic link to a directory, too."""

import os
import subprocess

import pytest
from trees import SECOND, index, set_time, write

OLD = 1500000000 * SECOND
FAST = "real/fast.cpython-311-x86_64-linux-gnu.so"


def make(tree, how, fast=None, cpu=None):
    """k.py imports through a link, or without one, a module that looks for `fast`."""
    app = tree / "app"
    write(app / "k.py", f"import {how}.util\n", ns=OLD)
    write(app / "real/util.py", "try:\n    from . import fast\nexcept ImportError:\n    pass\n", ns=OLD)
    (app / "link").symlink_to("real")
    if fast:
        write(app / fast, "x = 1\n", ns=OLD)
    made = index(app / "k.py")
    if cpu:
        made.write_bytes(made.read_bytes().replace(b"generic", cpu))
    return app


@pytest.mark.parametrize("how", ["real", "link"])
@pytest.mark.parametrize("fast", ["real/fast.py", FAST, "real/fast"], ids=["source", "compiled", "link"])
def test_restore_holds_back_what_finds_another_module_now(warmpack, tmp_path, how, fast):
    make(tmp_path / "s", how)
    write(tmp_path / "s/app/other/x.py", "x = 1\n", ns=OLD)
    warmpack.ok("create", "-qf", "a.tgz", "-C", "s", "app")
    subprocess.run(["tar", "xzf", "a.tgz"], cwd=tmp_path, check=True)
    if fast == "real/fast":
        (tmp_path / "app" / fast).symlink_to("../other")
    else:
        write(tmp_path / "app" / fast, "x = 1\n", ns=OLD)
    os.utime(tmp_path / "app/k.py")
    r = warmpack.ok("restore", "app", status=1)
    assert f"1 of 1 indexes left out: {fast} changed".encode() in r.stderr


@pytest.mark.parametrize("how", ["real", "link"])
def test_merge_leaves_out_what_would_find_another_module(warmpack, tmp_path, how):
    for name, fast, cpu in (("1", FAST, None), ("2", None, b"haswell")):
        make(tmp_path / name, how, fast, cpu)
        warmpack.ok("create", "-qf", name + ".tgz", "-C", name, "app")
    r = warmpack.ok("merge", "-o", "m.tgz", "1.tgz", "2.tgz", status=2)
    assert f"its source imports app/{FAST}, which it did not have".encode() in r.stderr


@pytest.mark.parametrize("how", ["real", "link"])
def test_amend_leaves_behind_what_would_find_another_module(warmpack, tmp_path, how):
    make(tmp_path / "there", how, "real/fast.py")
    make(tmp_path / "here", how)
    subprocess.run(["tar", "czf", "a.tgz", "-C", "there", "--exclude=__pycache__", "app"], cwd=tmp_path,
                   check=True)
    r = warmpack.ok("amend", "-f", "a.tgz", "-o", "b.tgz", "--source", "here", status=1)
    assert b"its source imports app/real/fast.py in the archive, which the tree does not have" in r.stderr
