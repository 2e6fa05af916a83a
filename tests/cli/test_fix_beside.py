"""verify --fix removes nothing that has come since it looked."""

import os
import pathlib
import shutil
import signal
import subprocess

import pytest
from trees import (BINARY, PATIENCE, full_pipe, index, said_through, wait_for, wait_until_stalled,
                   write)


@pytest.fixture(name="bad")
def damaged_trees(tmp_path):
    """Two indexes that are no indexes, in tree; the same that are right, in new."""
    for place in ("tree", "new"):
        for name in ("a", "b"):
            write(tmp_path / place / f"{name}.py", "x = 1\n", ns=10**18)
            made = index(tmp_path / place / f"{name}.py")
            if place == "tree":
                made.write_bytes(b"no index")
    return tmp_path / "tree"


def fix_until_it_stands_still(warmpack, tree):
    """It has looked, and says that it has removed the first of what it found."""
    reader, writer = full_pipe()
    child = warmpack.start("verify", "--fix", tree, stderr=writer)
    os.close(writer)
    wait_until_stalled(child)
    assert not (tree / "__pycache__/a.add-3.py311.nbi").exists()
    return child, reader


def test_an_index_that_was_replaced_meanwhile_stays(warmpack, bad, tmp_path):
    child, reader = fix_until_it_stands_still(warmpack, bad)
    for name in ("b.add-3.py311.1.nbc", "b.add-3.py311.nbi"):
        shutil.copy2(tmp_path / "new/__pycache__" / name, tmp_path / name)
        os.replace(tmp_path / name, bad / "__pycache__" / name)
    said = said_through(reader)
    assert child.wait(PATIENCE) == 0, said
    assert sorted(os.listdir(bad / "__pycache__")) == ["b.add-3.py311.1.nbc", "b.add-3.py311.nbi"]
    assert b"b.add-3.py311.nbi: left: it has changed meanwhile" in said
    assert b"1 of 1 cache indexes valid" in said


def test_data_that_an_index_names_by_now_stay(warmpack, bad, tmp_path):
    """A data file of before that no index named."""
    cache, there = bad / "__pycache__", tmp_path / "new/__pycache__"
    (cache / "b.add-3.py311.nbi").unlink()
    os.utime(cache / "b.add-3.py311.1.nbc", (1, 1))
    child, reader = fix_until_it_stands_still(warmpack, bad)
    for name in ("b.add-3.py311.1.nbc", "b.add-3.py311.nbi"):
        shutil.copy2(there / name, tmp_path / name)
        os.utime(tmp_path / name, (1, 1))
        os.replace(tmp_path / name, cache / name)
    said = said_through(reader)
    assert child.wait(PATIENCE) == 0, said
    assert sorted(os.listdir(cache)) == ["b.add-3.py311.1.nbc", "b.add-3.py311.nbi"]


def test_new_data_of_an_old_index_stay(warmpack, bad, tmp_path):
    """Numba and warmpack put data into their place before the index that names them."""
    child, reader = fix_until_it_stands_still(warmpack, bad)
    name = "b.add-3.py311.1.nbc"
    shutil.copy2(tmp_path / "new/__pycache__" / name, tmp_path / name)
    os.replace(tmp_path / name, bad / "__pycache__" / name)
    said = said_through(reader)
    assert child.wait(PATIENCE) == 0, said
    assert os.listdir(bad / "__pycache__") == [name]




def test_nothing_is_removed_while_another_run_changes_the_tree(warmpack, bad, tmp_path):
    """What is there in between may look broken."""
    for i in range(4):
        write(tmp_path / "next" / f"other{i}.py", "x = 2\n")
    warmpack.ok("create", "-qf", "next.tgz", "-C", "next", "other0.py", "other1.py", "other2.py",
                "other3.py")
    before = sorted(os.listdir(bad / "__pycache__"))
    traced = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=/^rename",
         "-e", "inject=/^rename:signal=SIGSTOP:when=3", BINARY, "extract", "-qf", "next.tgz",
         "-C", bad], cwd=tmp_path, env=warmpack.variables(ASAN_OPTIONS="detect_leaks=0"))
    wait_for(lambda: len(list(bad.glob("other*"))) in (1, 2, 3), traced)
    (child,) = map(int, pathlib.Path(f"/proc/{traced.pid}/task/{traced.pid}/children")
                   .read_text().split())
    try:
        done = warmpack("verify", "--fix", bad)
    finally:
        os.kill(child, signal.SIGCONT)
    assert done.returncode == 1
    assert done.stderr.count(b"left: another run changes the tree just now") == 2
    assert sorted(os.listdir(bad / "__pycache__")) == before
    assert traced.wait(PATIENCE) == 0
    assert len(list(bad.glob("other*"))) == 4
    warmpack("verify", "--fix", bad)
    assert not list(bad.glob("__pycache__/*.nbi"))
