"""A tree that was sealed where it was warmed is warm wherever and however it is copied."""

import os
import shutil

import pytest
from arrivals import assert_as_in_place
from harness import run_numba, warmpack
from in_place import locator_variables, reader, run_in_place
from small import run_small, write_small
from test_in_place import (JOURNEYS, SAVED_IN_PLACE, WRITABLE, by_owner, by_touch, listing, tool,
                           travel, unmounted)  # noqa: F401


@pytest.fixture(scope="module")
def sealed(workspace):
    """Small sealed trees: with caches in tree, and from a directory outside of it."""
    base = workspace / "sealed"
    base.mkdir()
    for place in ("in-tree", "outside"):
        build = base / place
        write_small(build / "app")
        variables = {"NUMBA_CACHE_DIR": build / "caches"} if place == "outside" else {}
        assert run_small(build / "app", base, **variables) == (0, SAVED_IN_PLACE)
        warmpack("seal", "--strict", build / "app", home=base, **variables)
        if place == "outside":
            shutil.rmtree(build / "caches")
            assert not list((build / "app" / "pkg").rglob("*.nbi"))
    return base


@pytest.fixture
def tree(sealed, here, request):
    """The sealed tree as it was copied into an image, say."""
    tool("cp", "-a", sealed / getattr(request, "param", "in-tree") / "app", here)
    return here / "app"


@pytest.mark.parametrize("journey, tree", [
    *((name, "in-tree") for name in JOURNEYS if name != "pip"),
    ("cp", "outside"), ("squashfs", "outside")], indirect=["tree"])
def test_every_journey_loads_as_in_place_and_nothing_is_written(
        journey, tree, here, me, unmounted):  # noqa: F811
    if os.geteuid() != 0 and journey in ("squashfs", "bind"):
        pytest.skip("only root can mount")
    root = travel(journey, tree, here)
    person = me if journey in WRITABLE else reader(here)
    before = listing(root)
    run = run_in_place(root, person)
    assert (run.loads, run.saves) == (SAVED_IN_PLACE, 0), run.said
    assert run.results == [[3, 204.0]]
    assert listing(root) == before


@pytest.mark.parametrize("tree", ["in-tree", "outside"], indirect=True)
def test_a_restore_makes_it_load_without_the_locator(tree, here, me):
    root = by_touch(tree, here)
    warmpack("restore", root, home=me.home)
    run = run_in_place(root, me, locator=False)
    assert (run.loads, run.saves) == (SAVED_IN_PLACE, 0)


@pytest.mark.parametrize("tree", ["in-tree", "outside"], indirect=True)
def test_what_create_packs_of_it_loads_elsewhere(tree, here, me):
    warmpack("create", "--strict", "--no-cache-dir", "-f", here / "app.tgz", "-C", here, "app",
             home=me.home)
    warmpack("extract", "-f", here / "app.tgz", "-C", here / "opt", home=me.home)
    run = run_in_place(here / "opt" / "app", me, locator=False)
    assert (run.loads, run.saves) == (SAVED_IN_PLACE, 0)


def test_a_change_that_is_warmed_and_sealed_again_loads_its_new_code(tree, here, me):
    source = tree / "pkg" / "k.py"
    source.write_text(source.read_text().replace("s += x * x", "s += x * 2"))
    run = run_in_place(tree, me, locator=False)
    assert run.results == [[3, 72.0]]
    warmpack("seal", "--strict", tree, home=me.home)
    run = run_in_place(by_owner(tree, here), reader(here))
    assert (run.loads, run.saves) == (SAVED_IN_PLACE, 0), run.said
    assert run.results == [[3, 72.0]]


def test_two_packages_and_a_distribution_in_one_directory_share_a_seal(sealed, here, me):
    """As site-packages is."""
    tool("cp", "-a", sealed / "in-tree" / "app", here / "site")
    (here / "site" / "app-1.dist-info").mkdir()
    (here / "site" / "app-1.dist-info" / "METADATA").write_text("Name: app\n")
    tool("cp", "-a", here / "site" / "pkg", here / "site" / "other")
    shutil.rmtree(here / "site" / "other" / "__pycache__")
    code = "import pkg.k, other.k\n"
    assert run_in_place(here / "site", me, code, locator=False).saves == SAVED_IN_PLACE
    warmpack("seal", "--strict", here / "site", home=me.home)
    run = run_in_place(by_owner(here / "site", here), reader(here), code)
    assert (run.loads, run.saves) == (2 * SAVED_IN_PLACE, 0), run.said


def test_the_whole_application_loads_as_in_place(in_tree, here):
    (here / "app").mkdir()
    tool("tar", "-xzf", in_tree.archives[".tgz"], "-C", here)
    warmpack("restore", here / "app", home=here)
    warmpack("seal", "--strict", here / "app", home=here)
    person = reader(here)
    root = by_owner(by_touch(here / "app", here), here)
    assert_as_in_place(run_numba(root, person, **locator_variables(here)), in_tree, person.home)
