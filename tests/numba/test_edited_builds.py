"""Never an old result: caches that were compiled for another CPU, merged or given another's keys, are
not used where a file that their code came from was edited since."""

import platform
import shutil
import subprocess
import time

import pytest
from application import give_exact_times
from harness import PYTHON, environment, warmpack

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="names CPUs of x86-64")

HIGH = """\
from numba import njit
from pkg.low import RATE, step

@njit(cache=True)
def total(x):
    return step(x) + RATE
"""
ALONE = """\
from numba import njit

@njit(cache=True)
def alone(x):
    return x * 3
"""
LOW = "from numba import njit\n\n@njit\ndef step(x):\n    return x + %d\n\nRATE = %d\n"
OLD, NEW = (1, 10), (2, 20)
WERE, RIGHT = 16, 27  # total(5) of either
CPUS = ("generic", "x86-64-v2")


def write(root, low=OLD):
    (root / "pkg").mkdir(parents=True)
    (root / "pkg" / "__init__.py").write_text("")
    (root / "pkg" / "low.py").write_text(LOW % low)
    (root / "pkg" / "high.py").write_text(HIGH)
    (root / "pkg" / "alone.py").write_text(ALONE)
    give_exact_times(root)
    return root


def run(root, home, cpu=None):
    """total(5); how many overloads of it and of what depends on nothing were loaded."""
    settings = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": ""} if cpu else {}
    said = subprocess.run(
        [PYTHON, "-B", "-c", "import pkg.alone as a, pkg.high as h\n"
         "a.alone(1), print(h.total(5))\n"
         "for f in (a.alone, h.total): print(sum(f.stats.cache_hits.values()))"],
        env=environment(home, PYTHONPATH=root, **settings), cwd=home, check=True, text=True,
        stdout=subprocess.PIPE,
    ).stdout  # fmt: skip
    return tuple(map(int, said.split()))


@pytest.fixture(scope="module")
def built(workspace):
    """An archive and a tree for each CPU."""
    made = {}
    for cpu in CPUS:
        place = workspace / ("edited-" + cpu)
        root = write(place / "app")
        assert run(root, place, cpu)[0] == WERE
        warmpack("create", "-q", "-f", place / "app.tgz", "-C", place, "app", home=place)
        made[cpu] = place
    return made


@pytest.fixture(scope="module")
def fat(workspace, built):
    warmpack("merge", "-q", "-o", workspace / "edited.tgz",
             *(built[cpu] / "app.tgz" for cpu in CPUS), home=workspace)
    warmpack("merge", "-q", "--caches-only", "-o", workspace / "edited-caches.tgz",
             *(built[cpu] / "app.tgz" for cpu in CPUS), home=workspace)
    return workspace / "edited.tgz", workspace / "edited-caches.tgz"


def edit(root):
    time.sleep(0.02)  # a file system's clock ticks
    (root / "pkg" / "low.py").write_text(LOW % NEW)


@pytest.mark.parametrize("words", [[], ["--retarget", PYTHON]], ids=["as-is", "retargeted"])
def test_merged_caches_onto_edited_sources(words, fat, here, me):
    root = write(here / "app", NEW)
    warmpack("extract", "-q", "--caches-only", "-f", fat[1], "-C", here, *words, home=me.home)
    for cpu in [None] if words else CPUS:
        assert run(root, me.home, cpu) == (RIGHT, 1, 0)


@pytest.mark.parametrize("words", [[], ["--retarget", PYTHON]], ids=["as-is", "retargeted"])
def test_a_merged_tree_that_was_edited_is_restored(words, fat, here, me):
    warmpack("extract", "-q", "-f", fat[0], "-C", here, home=me.home)
    root = here / "app"
    for path in sorted(root.rglob("*.py")):
        path.touch()  # as git does
    edit(root)
    warmpack("restore", "-q", root, *words, home=me.home, expect=1)
    for cpu in [None] if words else CPUS:
        assert run(root, me.home, cpu) == (RIGHT, 1, 0)


def test_an_edited_tree_is_retargeted_in_place(built, here, me):
    warmpack("extract", "-q", "-f", built["x86-64-v2"] / "app.tgz", "-C", here, home=me.home)
    root = here / "app"
    edit(root)
    warmpack("retarget", "-q", root, "--for", PYTHON, home=me.home, expect=None)
    assert run(root, me.home) == (RIGHT, 1, 0)


def test_a_retargeted_tree_that_is_edited_later(built, here, me):
    warmpack("extract", "-q", "-f", built["x86-64-v2"] / "app.tgz", "-C", here, "--retarget", PYTHON,
             home=me.home)
    root = here / "app"
    assert run(root, me.home) == (WERE, 1, 1)
    edit(root)
    done = warmpack("verify", root, home=me.home, expect=1)
    assert "outdated  pkg/__pycache__/high.total" in done.out and done.counts == (1, 2)
    done = warmpack("verify", "--fix", root, home=me.home, expect=None)
    assert run(root, me.home) == (RIGHT, 1, 0)
    # What was kept of the keys must not bring back what was removed.
    for words in (["--undo"], ["--for", PYTHON]):
        warmpack("retarget", "-q", root, *words, home=me.home, expect=None)
        assert run(root, me.home)[0] == RIGHT
        assert run(root, me.home, "x86-64-v2")[0] == RIGHT


def test_a_tree_that_was_edited_in_place_is_merged(built, here, me):
    """Its index is outdated, and Numba itself would give the old result from it."""
    root = here / "edited" / "app"
    shutil.copytree(built["x86-64-v2"] / "app", root, symlinks=True)
    edit(root)
    assert run(root, me.home, "x86-64-v2")[0] == WERE
    other = write(here / "other" / "app", NEW)
    assert run(other, me.home, "generic")[0] == RIGHT
    archive = here / "fat.tgz"
    done = warmpack("merge", "-o", archive, other.parent, root.parent, home=me.home)
    assert "outdated: app/pkg/low.py changed" in done.err
    warmpack("extract", "-q", "-f", archive, "-C", here / "to", home=me.home, expect=None)
    for cpu in CPUS:
        assert run(here / "to" / "app", me.home, cpu)[:2] == (RIGHT, 1)
