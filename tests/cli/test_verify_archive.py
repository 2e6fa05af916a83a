"""What verify says of an archive is what would come of unpacking it."""

import subprocess

import pytest
import trees
from trees import index, run, set_time, write

OLD = 1_600_000_000 * 10**9 + 123_456_789


@pytest.fixture
def tree(tmp_path):
    """Sources, each with an index."""
    for name in "abcde":
        write(tmp_path / f"pkg/{name}.py", "x = 1\n", ns=OLD)
        index(tmp_path / f"pkg/{name}.py")
    return tmp_path / "pkg"


def tar(tmp_path, how, *names):
    run("tar", "--format=pax", how, "-f", "a.tar", *names, cwd=tmp_path)


def test_of_two_sources_with_one_name_the_later_one_counts(warmpack, tmp_path, tree):
    tar(tmp_path, "-c", "pkg")
    for name in "abcde":
        set_time(tree / f"{name}.py", OLD + trees.SECOND)
        tar(tmp_path, "-r", f"pkg/{name}.py")
    assert b"0 of 5 cache indexes valid" in warmpack.ok("verify", "-f", "a.tar", status=1).stderr
    for name in "abcde":
        set_time(tree / f"{name}.py", OLD)
        tar(tmp_path, "-r", f"pkg/{name}.py")
    assert b"5 of 5 cache indexes valid" in warmpack.ok("verify", "-f", "a.tar").stderr


def test_of_two_indexes_with_one_name_the_later_one_counts(warmpack, tmp_path, tree):
    tar(tmp_path, "-c", "pkg")
    set_time(tree / "c.py", OLD + trees.SECOND)
    stale = index(tree / "c.py")
    set_time(tree / "c.py", OLD)
    tar(tmp_path, "-r", str(stale.relative_to(tmp_path)))
    assert b"4 of 5 cache indexes valid" in warmpack.ok("verify", "-f", "a.tar", status=1).stderr


def test_what_the_manifest_says_at_once_is_what_reading_all_of_it_finds(warmpack, tmp_path, tree):
    write(tmp_path / "store/e.py", "x = 1\n", ns=OLD)
    set_time(tree / "b.py", OLD + trees.SECOND)
    (tree / "c.py").unlink()
    (tree / "__pycache__/d.add-3.py311.nbi").write_bytes(b"no pickle")
    (tree / "e.py").unlink()
    (tree / "e.py").symlink_to("../store/e.py")
    warmpack.ok("create", "-qf", "a.tar", "pkg")
    at_once = warmpack.ok("verify", "-f", "a.tar", status=1)
    with subprocess.Popen(["cat", tmp_path / "a.tar"], stdout=subprocess.PIPE) as pipe:
        read = warmpack.ok("verify", "-f", "-", status=1, stdin=pipe.stdout)
    assert at_once.stdout == read.stdout and len(read.stdout.splitlines()) == 4
