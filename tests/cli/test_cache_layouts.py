"""Caches are where Numba looks, whichever of the cache directories in question is set."""

import hashlib
import json
import os
import shutil

import pytest
from trees import SECOND, index, set_time, system_calls, user_seconds, write


def hashed(root, source):
    name = os.path.basename(source) + "_" + hashlib.sha1(os.fspath(source).encode()).hexdigest()
    return root / name


def names(root):
    return {path.name for path in root.rglob("*.nbi")}


@pytest.fixture(name="archive")
def tree_with_a_cache_root_inside(warmpack, tmp_path):
    """app/k has its caches in app/.nc; app and app/l in the tree."""
    app = tmp_path / "src" / "app"
    for name in ("m.py", "k/k.py", "l/l.py"):
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text("x = 1\n")
        set_time(app / name, 1_600_000_000 * 10**9)
    for name in ("m.py", "l/l.py"):
        index(app / name)
    index(app / "k/k.py")
    (app / ".nc").mkdir()
    shutil.move(app / "k/__pycache__", hashed(app / ".nc", app / "k"))
    result = warmpack("-czf", tmp_path / "a.tgz", "-C", app.parent, "app")
    assert result.returncode == 0, result.stderr
    assert b"3 of 3" in result.stderr
    return tmp_path / "a.tgz"


def assert_valid(result, count):
    assert result.returncode == 0, (result.stdout, result.stderr)
    assert b"%d of %d" % (count, count) in result.stdout + result.stderr, (result.stdout,
                                                                          result.stderr)


@pytest.mark.parametrize("how", ["option", "environment"])
def test_a_given_cache_directory_has_also_what_a_root_inside_the_tree_has(
        warmpack, archive, tmp_path, how):
    caches = tmp_path / "caches"
    env = {"NUMBA_CACHE_DIR": str(caches)}
    option = ["--cache-dir", caches] if how == "option" else []
    result = warmpack("-xf", archive, "-C", "d", *option, env=None if option else env)
    assert_valid(result, 4)
    assert os.fsencode(caches) in result.stderr
    assert len(names(caches)) == 3
    inside = hashed(tmp_path / "d/app/.nc", tmp_path / "d/app/k")
    assert len(names(inside)) == 1
    assert_valid(warmpack("verify", "d", env=env), 4)
    for _ in range(2):
        restored = warmpack("restore", "d", *option, env=None if option else env)
        assert restored.returncode == 0, restored.stderr
        assert_valid(warmpack("verify", "d", env=env), 4)
    assert len(names(inside)) == 1


def test_a_cache_root_inside_the_tree_has_also_what_is_in_the_tree(warmpack, archive, tmp_path):
    result = warmpack("-xf", archive, "-C", "d")
    assert_valid(result, 5)
    inside = tmp_path / "d/app/.nc"
    env = {"NUMBA_CACHE_DIR": str(inside)}
    assert os.fsencode(inside) in result.stderr
    assert len(names(inside)) == 3
    for _ in range(3):
        assert_valid(warmpack("verify", "d", env=env), 5)
        before = {path: path.stat().st_ino for path in (tmp_path / "d").rglob("*.nb?")}
        assert_valid(warmpack("restore", "d"), 5)
        assert before == {path: path.stat().st_ino for path in (tmp_path / "d").rglob("*.nb?")}


def test_no_index_is_missed_that_was_packed_in_two_places(warmpack, tmp_path):
    source = write(tmp_path / "app" / "k.py", "x = 1\n", ns=1_600_000_000 * SECOND + 1)
    inner = index(source)
    shutil.copytree(inner.parent, hashed(tmp_path / "caches", source.parent))
    archive = ("create", "-f", "a.tgz", "--cache-dir", "caches", "app")
    assert b"2 of 2 cache indexes valid" in warmpack.ok(*archive).stderr
    warmpack.ok("extract", "-f", "a.tgz", "-C", "there")
    assert b"1 of 1 cache indexes valid" in (said := warmpack.ok("restore", "there").stderr)
    assert said.count(b"\n") == 1
    (tmp_path / "there/app/__pycache__" / inner.name).unlink()
    assert b": 1 cache indexes of the archive are not here" in warmpack("restore", "there").stderr


def test_verify_does_not_ask_for_what_the_cache_directory_has(warmpack, tmp_path):
    app = tmp_path / "app"
    caches = tmp_path / "caches"
    app.mkdir()
    for name in ("m.py", "n.py"):
        (app / name).write_text("x = 1\n")
        index(app / name)
    env = {"NUMBA_CACHE_DIR": str(caches)}
    assert warmpack("verify", "app", env=env).returncode == 1
    shutil.copytree(app / "__pycache__", hashed(caches, app))
    assert_valid(warmpack("verify", "app", env=env), 4)
    next(hashed(caches, app).glob("m.*.nbi")).unlink()
    result = warmpack("verify", "app", env=env)
    assert result.returncode == 1
    assert b"misplaced" in result.stdout + result.stderr


def test_unpacking_over_many_caches_takes_no_longer_than_unpacking_them(warmpack, tmp_path):
    """What lies in a cache directory already is listed once, not once for each index, and looked
    through no more often: that took two seconds."""
    root, count = tmp_path / "src" / "app", 1500
    root.mkdir(parents=True)
    for i in range(count):
        (root / f"m{i}.py").write_text("x = 1\n")
        index(root / f"m{i}.py")
    assert warmpack("-czf", "a.tgz", "-C", root.parent, "app").returncode == 0

    words = ("-xf", "a.tgz", "-C", "there", "--cache-dir", "caches")
    first = len(system_calls(tmp_path, *words))
    assert len(names(tmp_path / "caches")) == count
    second = system_calls(tmp_path, *words)
    assert len(second) < 2 * first
    assert second.count("getdents64") < count / 5
    assert user_seconds(lambda: assert_valid(warmpack(*words), count)) < 1


@pytest.mark.parametrize("verb", ["extract", "restore"])
def test_a_layout_that_the_environment_defeats_is_warned_of(warmpack, archive, tmp_path, verb):
    """With NUMBA_CACHE_DIR set, Numba looks there alone."""
    env = {"NUMBA_CACHE_DIR": str(tmp_path / "caches")}
    words = ["extract", "-f", archive, "-C", "d"]
    if verb == "restore":
        warmpack(*words)
        words = ["restore", "d"]
    for layout, warned in (("in-tree", True), ("user-wide", True), ("cache-dir", False)):
        result = warmpack(*words, "--layout", layout, env=env)
        assert (b"NUMBA_CACHE_DIR is set" in result.stderr) is warned, layout
    assert b"is set:" not in warmpack(*words, "--layout", "in-tree").stderr


@pytest.mark.parametrize("threads", ["1", "3"])
def test_of_many_indexes_each_is_judged_by_itself(warmpack, tmp_path, threads):
    """More than are judged in one go; each third one was stale already."""
    app = tmp_path / "app"
    app.mkdir()
    expected = {}
    for i in range(1300):
        source = app / f"m{i}.py"
        source.write_text("x = 1\n")
        path = index(source, stamp=(1.5, 6) if i % 3 == 0 else None)
        expected[os.fspath(path.relative_to(tmp_path))] = "stale" if i % 3 == 0 else "valid"
    assert warmpack("-czf", "a.tgz", "app").returncode == 0
    result = warmpack("-xf", "a.tgz", "-C", "d", "--json", "--threads", threads)
    assert result.returncode == 0, result.stderr
    assert b"866 of 1300 cache indexes valid" in result.stderr
    indexes = json.loads(result.stdout)["indexes"]
    assert [i["index"] for i in indexes] == sorted(expected)
    assert {i["index"]: i["status"] for i in indexes} == expected
