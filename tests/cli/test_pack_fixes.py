"""What create packs, and what it leaves out: caches of the right tree, our own files, files that
vanish under it; and what is then said of the archive."""

import hashlib
import json
import os
import shutil

import pytest

import trees


@pytest.fixture
def runner(tmp_path):
    return trees.Runner(tmp_path)


def members(runner, archive):
    return runner.ok("list", "-f", archive).stdout.decode().splitlines()


def user_wide(runner, directory):
    """The user-wide cache of a directory, with one file in it."""
    name = f"{directory.name}_{hashlib.sha1(str(directory).encode()).hexdigest()}"
    cache = runner.home / ".cache" / "numba" / name
    trees.write(cache / "k.add-3.py311.1.nbc", b"of " + str(directory).encode())
    return cache


def test_a_user_wide_cache_is_packed_only_for_the_directory_it_belongs_to(runner, tmp_path):
    for where in ("one/app", "two/app", "two/lib"):
        trees.write(tmp_path / where / "k.py", b"x = 1\n")
    user_wide(runner, tmp_path / "two" / "app")
    lib = user_wide(runner, tmp_path / "two" / "lib")
    runner.ok("create", "-f", "a.tar", "-C", "one", "app", "-C", "../two", "lib")
    packed = [name for name in members(runner, "a.tar") if name.endswith(".nbc")]
    assert [name.split("/")[-2] for name in packed] == [lib.name]


def test_two_directories_of_one_member_directory_keep_their_caches(runner, tmp_path):
    for where in ("one/app", "one/lib", "one/more"):
        trees.write(tmp_path / where / "k.py", b"x = 1\n")
    caches = [user_wide(runner, tmp_path / "one" / name) for name in ("app", "lib", "more")]
    runner.ok("create", "-f", "a.tar", "-C", "one", "app", "lib", "-C", "../one", "more")
    packed = [name for name in members(runner, "a.tar") if name.endswith(".nbc")]
    assert sorted(name.split("/")[-2] for name in packed) == sorted(c.name for c in caches)


@trees.needs_root
def test_a_user_wide_place_that_cannot_be_read_is_only_warned_of():
    place = trees.public_directory()
    try:
        runner = trees.Runner(place)
        trees.write(place / "app" / "k.py", b"x = 1\n")
        cache = runner.home / ".cache" / "numba"
        cache.mkdir(parents=True)
        cache.chmod(0o700)
        place.chmod(0o777)
        said = runner.ok("create", "-f", "a.tar", "app", user=trees.NOBODY).stderr.decode()
        assert f"{cache}: cannot be read" in said
        other = place / "caches"
        other.mkdir(mode=0o700)
        refused = runner("create", "-f", "b.tar", "--cache-dir", other, "app", user=trees.NOBODY)
        assert refused.returncode == 2
    finally:
        trees.remove_tree(place)


def test_a_lock_of_an_earlier_extraction_is_not_packed(runner, tmp_path):
    trees.write(tmp_path / "app" / "k.py", b"x = 1\n")
    trees.write(tmp_path / "app" / ".warmpack.lock")
    trees.write(tmp_path / "app" / ".warmpack.locked", b"not ours")
    runner.ok("create", "-f", "a.tar", "app")
    names = members(runner, "a.tar")
    assert "app/.warmpack.lock" not in names
    assert "app/.warmpack.locked" in names
