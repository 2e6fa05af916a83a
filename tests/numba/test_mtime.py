"""One time for all files of a tree, as images and reproducible builds want it: indexes fit it."""

import json
import os
import shutil
import subprocess

import pytest

from harness import PYTHON, warmpack
from small import run_small, write_small

TIME = 1_700_000_000
WISHED = TIME * 10**9


@pytest.fixture
def app(here, me):
    """Warm in its own directories, and in a cache root."""
    root = write_small(here / "build" / "app")
    assert run_small(root, me.home)[1] == 3
    assert run_small(root, me.home, NUMBA_CACHE_DIR=here / "caches")[1] == 3
    for name, words in (("in-tree", ["--no-cache-dir"]), ("outside", ["--cache-dir", "caches"])):
        if name == "outside":
            shutil.rmtree(root / "pkg" / "__pycache__")
        warmpack("create", "--strict", "-f", f"{name}.tgz", *words, "-C", "build", "app",
                 home=me.home, cwd=here)
    return root


def times(root):
    return {os.lstat(os.path.join(at, name)).st_mtime_ns
            for at, dirs, files in os.walk(root) for name in (*dirs, *files)}


@pytest.mark.parametrize("word", [f"@{TIME}", "SOURCE_DATE_EPOCH"])
@pytest.mark.parametrize("packed", ["in-tree", "outside"])
@pytest.mark.parametrize("place", ["in-tree", "cache-dir"])
def test_all_has_the_one_time_and_numba_compiles_nothing(app, here, me, packed, place, word):
    """Also the manifest, directories, and caches that come from another place."""
    caches = {"NUMBA_CACHE_DIR": here / "new"} if place == "cache-dir" else {}
    warmpack("extract", "-f", here / f"{packed}.tgz", "-C", here / "opt", "--layout", place,
             "--mtime", word, home=me.home, SOURCE_DATE_EPOCH=TIME, **caches)
    assert times(here / "opt") == {WISHED}
    assert times(here / "new") == ({WISHED} if caches else set())
    warmpack("verify", here / "opt", home=me.home, **caches)
    assert run_small(here / "opt/app", me.home, **caches) == (3, 0)


def test_caches_alone_give_the_sources_that_time(app, here, me):
    write_small(here / "opt" / "app")
    warmpack("extract", "--caches-only", "-f", here / "in-tree.tgz", "-C", here / "opt",
             "--mtime", f"@{TIME}", home=me.home)
    assert (here / "opt/app/pkg/k.py").stat().st_mtime_ns == WISHED
    assert run_small(here / "opt/app", me.home) == (3, 0)


def test_restore_gives_it_to_what_another_tool_unpacked_and_takes_it_back(app, here, me):
    (here / "opt").mkdir()
    subprocess.run(["tar", "-xzf", here / "in-tree.tgz", "-C", here / "opt", "-m"], check=True)
    for words, ok in (["--mtime", f"@{TIME}"], True), ([], False):
        warmpack("restore", here / "opt", *words, home=me.home)
        assert ((here / "opt/app/pkg/k.py").stat().st_mtime_ns == WISHED) is ok
        again = warmpack("restore", here / "opt", *words, "--json", home=me.home)
        said = json.loads(again.out)
        assert (said["times"], said["restamped"], said["lost"]) == (0, 0, 0)
        assert run_small(here / "opt/app", me.home) == (3, 0)


def test_times_before_1970_load_but_the_one_that_importlib_takes_for_none(app, here, me):
    warmpack("extract", "--mtime", "@-2", "-f", here / "in-tree.tgz", "-C", here / "opt",
             home=me.home)
    assert run_small(here / "opt/app", me.home) == (3, 0)
    os.utime(here / "opt/app/pkg", (-1, -1))
    done = subprocess.run([PYTHON, "-B", "-c", "import pkg.k"], cwd=here / "opt/app",
                          capture_output=True, text=True)
    assert "No module named 'pkg.k'" in done.stderr


def test_if_needed_knows_the_time_that_was_wished(app, here, me):
    words = ("extract", "--if-needed", "-f", here / "in-tree.tgz", "-C", here / "opt", "--mtime")
    for time, nothing in (TIME, False), (TIME, True), (TIME + 1, False):
        done = warmpack(*words, f"@{time}", home=me.home)
        assert ("nothing to do" in done.err) is nothing
        assert (here / "opt/app/pkg/k.py").stat().st_mtime_ns == time * 10**9


@pytest.mark.parametrize("words, why", [
    (["--mtime", "yesterday"], "neither @SECONDS nor SOURCE_DATE_EPOCH"),
    (["--mtime", "@1.5"], "is not a number"),
    (["--mtime", "@-1"], "Python finds no modules"),
    (["--mtime", "SOURCE_DATE_EPOCH"], "the environment has no SOURCE_DATE_EPOCH"),
    (["--mtime", "@1", "--restamp", "never"], "--restamp auto"),
    (["--mtime", "@1", "-O"], "excludes --mtime"),
])
def test_what_is_no_time_is_refused(here, me, words, why):
    done = warmpack("extract", "-f", "none.tgz", *words, home=me.home, cwd=here, expect=2)
    assert why in done.err and not (here / "none").exists()
