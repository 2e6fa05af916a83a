"""The main flows with whatever Numba is at hand: tests/run.sh --all runs them with many releases.

What was counted is recorded in the report, for the table in README.md (versions_table.py).
"""

import json
import os
import shutil
import subprocess
import zipfile

import pytest
from arrivals import arrive, assert_all_valid, assert_as_in_place, own_place, run_there
from arrivals import kept_by_tar, unpacked_by_tar
from facts import facts
from harness import PYTHON, remove_tree, run_numba, shell, warmpack
from small import run_small, write_small

FS_AGNOSTIC = {"NUMBA_CACHE_LOCATOR_CLASSES": "InTreeCacheLocatorFsAgnostic"}
ARRIVALS = [
    ("in-tree", ".tgz"),
    ("in-tree", ".zip"),
    ("outside", ".tgz"),
    ("outside", ".zip"),
    ("user-wide", ".tgz"),
]


@pytest.fixture(autouse=True)
def which_numba(record_property):
    record_property("numba", facts().numba)
    record_property("llvm", facts().llvm)
    record_property("stamp", "content" if facts().content_stamps else "time, size")


@pytest.mark.parametrize("warm, suffix", ARRIVALS, indirect=["warm"])
def test_moved_tree_loads_as_in_place(warm, here, me, suffix, record_property):
    arrival = arrive(warm, here, home=me.home, suffix=suffix, **own_place(warm, here))
    assert_all_valid(arrival.done, warm)
    run = run_there(arrival, me)
    beneath = arrival.variables.get("NUMBA_CACHE_DIR", arrival.root)
    record_property("loaded", "%d of %d" % (run.loads, warm.in_place["application"].loads))
    assert_as_in_place(run, warm, beneath)


@pytest.mark.parametrize("warm", ["user-wide"], indirect=True)
def test_user_wide_caches_stay_user_wide_for_another_user(
    warm, here, me, another_user, names_wrapper
):
    arrival = arrive(
        warm,
        here,
        *("--layout", "user-wide", "--user", "nobody"),
        home=me.home,
        **names_wrapper(another_user.home),
    )
    assert_all_valid(arrival.done, warm)
    caches = another_user.home / ".cache" / "numba"
    assert_as_in_place(run_there(arrival, another_user), warm, caches)


@pytest.mark.parametrize("warm", ["in-tree", "outside", "user-wide"], indirect=True)
def test_gnu_tar_loses_what_warmpack_keeps(warm, here, me, record_property):
    root, variables = unpacked_by_tar(warm, "gnu", here)
    run = run_numba(root, me, "few", **variables)
    record_property("loaded", "%d of %d" % (run.loads, run.loads + run.saves))
    if kept_by_tar(warm):
        assert (run.loads > 0, run.saves) == (True, 0)
    else:
        assert (run.loads, run.saves > 0) == (0, True)


def test_this_interpreter_is_said_to_load_all(copied, in_tree, me, record_property):
    done = warmpack("verify", "--python", PYTHON, copied, home=me.home)
    record_property("loaded", "%d of %d" % done.counts)
    assert_all_valid(done, in_tree)
    for archive in in_tree.archives.values():
        assert_all_valid(warmpack("verify", "--python", PYTHON, "-f", archive, home=me.home), in_tree)


def test_another_numba_is_told_apart(copied, in_tree, here, me):
    """The same interpreter, with another version on its lips."""
    python = here / "python"
    python.write_text(
        '#!/bin/sh\nexec %s "$1" "$2" "import numba; numba.__version__ = \'9.9\'; $3"\n' % PYTHON
    )
    python.chmod(0o755)
    done = warmpack("verify", "--json", "--python", python, copied, home=me.home, expect=1)
    said = {i["status"] for i in json.loads(done.out)["indexes"]}
    assert said == {"wrong-numba"}


def zip_with_sources(path):
    """A zip from which Python imports what run_small runs."""
    tree = write_small(path.parent / "tree")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for source in sorted((tree / "pkg").iterdir()):
            z.write(source, "pkg/" + source.name)
    shutil.rmtree(tree)
    give_new_time(path)


@pytest.mark.numba_with("zip_sources")
def test_caches_of_sources_in_a_zip_arrive(here, me, record_property):
    zipped = here / "first" / "app" / "lib.zip"
    zipped.parent.mkdir(parents=True)
    zip_with_sources(zipped)
    assert run_small(zipped, me.home) == (0, 3)
    assert run_small(zipped, me.home) == (3, 0)
    archive = here / "app.tgz"
    warmpack("create", "-f", archive, "-C", here / "first", "app", home=me.home)
    remove_tree(me.home / ".cache")
    remove_tree(here / "first")
    done = warmpack("extract", "-f", archive, "-C", here / "second", home=me.home)
    assert done.counts == (3, 3)
    loads, saves = run_small(here / "second" / "app" / "lib.zip", me.home)
    record_property("loaded", "%d of %d" % (loads, loads + saves))
    assert (loads, saves) == (3, 0)


def kinds_of_stamps(root, home):
    said = json.loads(warmpack("inspect", "--json", root, home=home).out)["indexes"]
    return {index["stamp"]["kind"] for index in said}


def give_new_time(path):
    os.utime(path, ns=(1_600_000_000_123_456_789, 1_600_000_000_123_456_789))


def give_new_times(root):
    for path in root.rglob("*.py"):
        give_new_time(path)


@pytest.mark.numba_with("fs_agnostic")
def test_stamps_that_no_filesystem_cuts_arrive(here, me):
    root = write_small(here / "first" / "app")
    assert run_small(root, me.home, **FS_AGNOSTIC) == (0, 3)
    kind = "content" if facts().content_stamps else "seconds"
    assert kinds_of_stamps(root, me.home) == {kind}
    archive = here / "app.tgz"
    assert warmpack("create", "-f", archive, "-C", root.parent, "app", home=me.home).counts == (3, 3)
    done = warmpack("extract", "-f", archive, "-C", here / "second", home=me.home)
    assert done.counts == (3, 3)
    assert run_small(here / "second" / "app", me.home, **FS_AGNOSTIC) == (3, 0)

    # The same by a tool that gives new times, and repaired.
    subprocess.run(["cp", "-r", here / "second", here / "third"], check=True)
    give_new_times(here / "third")
    warmpack("restore", here / "third", home=me.home)
    assert warmpack("verify", here / "third", home=me.home).counts == (3, 3)
    assert run_small(here / "third" / "app", me.home, **FS_AGNOSTIC) == (3, 0)


@pytest.mark.numba_with("content_stamps")
def test_content_alone_decides_where_numba_looks_at_content_alone(here, me):
    root = write_small(here / "app")
    assert run_small(root, me.home) == (0, 3)
    assert kinds_of_stamps(root, me.home) == {"content"}
    assert "times  " not in warmpack("verify", root, home=me.home).out
    os.utime(root / "pkg" / "k.py")
    done = warmpack("verify", root, home=me.home)
    assert done.counts == (3, 3) and done.out.count("times  3 indexes are valid by content") == 1
    give_new_times(root)
    assert warmpack("verify", root, home=me.home).counts == (3, 3)
    assert run_small(root, me.home) == (3, 0)

    source = root / "pkg" / "k.py"
    before = source.stat()
    source.write_text(source.read_text().replace("return a + b", "return a - b"))
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert source.stat().st_size == before.st_size
    done = warmpack("verify", root, home=me.home, expect=1)
    assert done.counts == (0, 3) and done.out.count("stale") == 3
    packed = warmpack("create", "-f", here / "app.tgz", "-C", here, "app", home=me.home)
    assert packed.counts == (0, 3)
    assert run_small(root, me.home) == (0, 3)


@pytest.mark.numba_with("content_stamps")
def test_content_stamps_of_a_symlinked_source_are_known_when_packing(here, me):
    """The link's target may lie outside what is packed."""
    root = write_small(here / "app")
    outside = here / "elsewhere.py"
    (root / "pkg" / "k.py").rename(outside)
    (root / "pkg" / "k.py").symlink_to(outside)
    assert run_small(root, me.home) == (0, 3)
    archive = here / "app.tgz"
    assert warmpack("create", "-f", archive, "-C", here, "app", home=me.home).counts == (3, 3)
    # In the archive there is the link alone.
    assert warmpack("verify", "-f", archive, home=me.home, expect=1).counts == (0, 3)
    assert shell('"$WARMPACK" verify -f - <"$A"', me.home, A=archive, expect=1).counts == (0, 3)
    outside.write_text(outside.read_text() + "\n")
    assert warmpack("create", "-f", archive, "-C", here, "app", home=me.home).counts == (0, 3)
