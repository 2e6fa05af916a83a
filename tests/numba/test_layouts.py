"""Caches go from any place to any other by --layout, and to several names by --runtime-root."""

import os
import subprocess
from dataclasses import replace

import pytest
from arrivals import arrive, assert_all_valid, assert_as_in_place, run_there
from harness import run_numba, warmpack


def test_into_the_tree_from_any_place(warm, here, me):
    arrival = arrive(warm, here, "--layout", "in-tree", home=me.home, inside=False)
    assert_all_valid(arrival.done, warm)
    run = run_there(arrival, me)
    assert_as_in_place(run, warm, arrival.root)
    assert all("/__pycache__/" in path for path in run.loaded)


def test_into_a_cache_directory_from_any_place(warm, here, me):
    caches = here / "a cache"
    arrival = arrive(
        warm, here, "--layout", "cache-dir", home=me.home, cache_dir=caches, inside=False
    )
    assert_all_valid(arrival.done, warm)
    assert str(caches) in arrival.done.err
    assert_as_in_place(run_there(arrival, me), warm, caches)


def test_into_another_users_own_place_from_any_place(
    warm, here, me, another_user, names_wrapper
):
    """The tree is root's and not writable for nobody, whose home directory takes the caches."""
    arrival = arrive(
        warm,
        here,
        *("--layout", "user-wide", "--user", "nobody"),
        home=me.home,
        inside=False,
        **names_wrapper(another_user.home),
    )
    assert_all_valid(arrival.done, warm)
    caches = another_user.home / ".cache" / "numba"
    assert_as_in_place(run_there(arrival, another_user), warm, caches)


def test_user_wide_caches_go_into_the_tree_by_themselves(user_wide, here, me, another_user):
    arrival = arrive(user_wide, here, "--user", "nobody", home=me.home)
    assert_all_valid(arrival.done, user_wide)
    assert_as_in_place(run_there(arrival, another_user), user_wide, arrival.root)


def test_environment_names_the_cache_directory_as_the_option_does(outside, here, me):
    caches = here / "from environment"
    arrival = arrive(outside, here, home=me.home, NUMBA_CACHE_DIR=caches)
    assert_all_valid(arrival.done, outside)
    assert_as_in_place(
        run_numba(arrival.root, me, NUMBA_CACHE_DIR=caches), outside, caches
    )


def test_two_runtime_roots_both_load(outside, here, me):
    release = here / "releases" / "7"
    current = here / "current"
    caches = here / "caches"
    release.parent.mkdir()
    done = warmpack(
        "extract",
        *("-f", outside.archives[".tgz"], "-C", release, "--strip-components", "1"),
        *("--cache-dir", caches),
        *("--runtime-root", release, "--runtime-root", current),
        home=me.home,
    )
    valid, total = done.counts
    assert valid == total >= outside.indexes
    os.symlink(release, current)
    for root in (release, current):
        run = run_numba(root, me, NUMBA_CACHE_DIR=caches)
        assert_as_in_place(run, outside, caches)


@pytest.mark.parametrize("layout", ["in-tree", "cache-dir"])
def test_runtime_root_prepares_a_tree_for_the_path_it_will_have(outside, here, me, layout):
    image, final = here / "image", here / "srv" / "app"
    caches = here / "caches" if layout == "cache-dir" else None
    warmpack(
        "extract",
        *("-f", outside.archives[".tar.zst"], "-C", image, "--strip-components", "1"),
        *("--layout", layout, "--runtime-root", final),
        *(("--cache-dir", caches) if caches else ()),
        home=me.home,
    )
    final.parent.mkdir()
    os.rename(image, final)
    run = run_numba(final, me, NUMBA_CACHE_DIR=caches)
    assert_as_in_place(run, outside, caches or final)


def test_source_root_finds_caches_made_under_another_path(outside, here, me):
    """The tree was imported at one path and is packed from another (a bind mount, a stage)."""
    moved = here / "stage" / "app"
    moved.parent.mkdir()
    subprocess.run(["cp", "-a", outside.copies["tree"], moved], check=True)
    archive = here / "app.tgz"
    words = ("create", "-f", archive, "-C", moved.parent, "app")
    words += ("--cache-dir", outside.copies["caches"])

    without = warmpack(*words, home=me.home)
    assert "--source-root" in without.err and "symbolic link within" in without.err
    assert without.counts == (0, 0)

    done = warmpack(*words, "--source-root", outside.extra["source root"], home=me.home)
    assert_all_valid(done, outside)
    staged = replace(outside, archives={".tgz": archive})
    arrival = arrive(staged, here, home=me.home)
    assert_all_valid(arrival.done, outside)
    assert_as_in_place(run_there(arrival, me), outside, arrival.root)
