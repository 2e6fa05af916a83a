"""What the other tests rest on: without warmpack the caches are lost, and we would see it."""

import pytest
from arrivals import kept_by_tar, unpacked_by_tar
from harness import run_numba


def test_second_run_in_place_loads_what_the_first_saved(warm):
    first, second = warm.warmed["application"], warm.in_place["application"]
    assert first.loads == 0
    assert first.saves > 30
    assert second.loads > 30
    assert second.saves == 0
    assert second.results == first.results


@pytest.mark.numba_with("pynndescent")
def test_pynndescent_loads_in_place(warm):
    first, second = warm.warmed["neighbours"], warm.in_place["neighbours"]
    assert (first.loads, second.saves) == (0, 0)
    assert second.loads > 20
    assert second.results == first.results


def test_caches_lay_where_the_place_says(warm):
    kinds = {
        "in-tree": "/in-tree/build/app/",
        "outside": "/outside/caches/",
        "inside": "/inside/build/app/.numba_cache/",
        "user-wide": "/user-wide/homes/runner/.cache/numba/",
    }
    for path in warm.in_place["application"].loaded:
        assert kinds[warm.place] in path
        assert ("__pycache__" in path) == (warm.place == "in-tree")


def test_gnu_tar_in_place_of_warmpack_loses_every_cache(warm, here, me):
    root, variables = unpacked_by_tar(warm, "gnu", here)
    run = run_numba(root, me, **variables)
    assert run.loads == kept_by_tar(warm)
    assert run.saves == warm.warmed["application"].saves - kept_by_tar(warm)


def test_exact_times_alone_keep_only_caches_in_tree(warm, here, me):
    root, variables = unpacked_by_tar(warm, "pax", here)
    run = run_numba(root, me, **variables)
    expected = warm.in_place["application"].loads if warm.place == "in-tree" else 0
    assert run.loads == expected
