"""A tree packed, removed and unpacked elsewhere under another name loads as it did in place."""

import pytest
from arrivals import arrive, assert_all_valid, assert_as_in_place, own_place, run_there
from conftest import SUFFIXES
from harness import indexes_in, run_numba, warmpack


def beneath(arrival):
    return arrival.variables.get("NUMBA_CACHE_DIR", arrival.root)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_moved_tree_loads_as_in_place(warm, here, me, suffix):
    arrival = arrive(warm, here, home=me.home, suffix=suffix, **own_place(warm, here))
    assert_all_valid(arrival.done, warm)
    assert_as_in_place(run_there(arrival, me), warm, beneath(arrival))


@pytest.mark.numba_with("pynndescent")
def test_moved_pynndescent_loads_as_in_place(warm, here, me):
    arrival = arrive(warm, here, home=me.home, **own_place(warm, here))
    run = run_there(arrival, me, "neighbours")
    assert_as_in_place(run, warm, beneath(arrival), "neighbours")


@pytest.mark.numba_with("pynndescent")
def test_indexes_that_grow_in_place_grow_no_more_after_a_move(outside, here, me):
    """Closures over dispatchers never hit, even in place; each run adds an overload."""
    assert outside.in_place["descent"].saves > 0
    arrival = arrive(outside, here, home=me.home, **own_place(outside, here))
    run = run_there(arrival, me, "descent")
    assert_as_in_place(run, outside, beneath(arrival), "descent")


def test_moved_tree_loads_for_another_user(warm, here, me, another_user):
    arrival = arrive(
        warm, here, "--user", "nobody", home=me.home, **own_place(warm, here)
    )
    assert_all_valid(arrival.done, warm)
    assert_as_in_place(run_there(arrival, another_user), warm, beneath(arrival))


def test_tree_through_a_pipe_loads_as_in_place(warm, me):
    assert warm.piped.code == 0, warm.piped.err
    root = warm.extra["piped root"]
    variables = {"NUMBA_CACHE_DIR": root / ".numba_cache"} if warm.place == "inside" else {}
    assert_all_valid(warm.piped, warm)
    assert_as_in_place(run_numba(root, me, **variables), warm, root)


def test_packing_counts_every_index_as_valid(warm):
    for done in warm.said.values():
        assert_all_valid(done, warm)


def test_verify_agrees_after_the_move(warm, here, me):
    place = own_place(warm, here)
    arrival = arrive(warm, here, home=me.home, **place)
    done = warmpack("verify", arrival.root, home=me.home, **arrival.variables)
    assert_all_valid(done, warm)
    assert len(indexes_in(here)) == warm.indexes


def test_verify_of_the_archive_finds_every_index_valid(warm, me):
    for archive in warm.archives.values():
        assert_all_valid(warmpack("verify", "-f", archive, home=me.home), warm)


def test_path_marks_the_directory_that_numba_uses(warm, here, me):
    arrival = arrive(warm, here, home=me.home, **own_place(warm, here))
    used = {path.rpartition("/")[0] for path in run_there(arrival, me).loaded}
    sources = [
        arrival.root / name
        for name in (
            "warmapp/__init__.py",
            "warmapp/deep/deeper/kernel.py",
            "größe/zähler.py",
            "odd name-2/kern.py",
        )
    ]
    done = warmpack("path", *sources, home=me.home, **arrival.variables)
    marked = [line for line in done.out.splitlines() if line.lstrip().startswith("*")]
    assert len(marked) == len(sources)
    for line, source in zip(marked, sources):
        assert any(line.endswith("  " + directory) for directory in used), line
