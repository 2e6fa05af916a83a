"""A part of an archive, or one whose files must not replace others, onto a tree that is there
already: an index comes only where all that its code came from will be what was packed."""

import shutil
import subprocess

import pytest
from harness import LOADED, PYTHON, SAVED, environment, warmpack

FILES = {
    "__init__.py": "",
    "low.py": "STEP = 1\n",
    "k.py": """\
from numba import njit
from pkg.low import STEP

@njit(cache=True)
def total(x):
    return x + STEP
""",
    "alone.py": """\
from numba import njit

@njit(cache=True)
def twice(x):
    return 2 * x
""",
}


def run(root, me, **variables):
    """What both functions give, and which of them Numba loaded and saved."""
    done = subprocess.run(
        [PYTHON, "-B", "-c", "from pkg import k, alone; print('is', k.total(10), alone.twice(4))"],
        env=environment(me.home, NUMBA_DEBUG_CACHE=1, PYTHONPATH=root, **variables),
        cwd=me.home,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    names = [
        {path.split("/")[-1].split("-")[0] for path in found.findall(done.stdout)}
        for found in (LOADED, SAVED)
    ]
    return done.stdout.split("is ")[-1].split(), *names


BOTH = {"k.total", "alone.twice"}


@pytest.fixture(params=("in tree", "cache dir"))
def packed(request, here, me):
    """The archive, the options and the variables for its caches, and a copy of the sources."""
    root = here / "build"
    (root / "pkg").mkdir(parents=True)
    for name, text in FILES.items():
        (root / "pkg" / name).write_text(text)
    target = here / "target"
    shutil.copytree(root, target)
    variables, words = {}, []
    if request.param == "cache dir":
        variables = {"NUMBA_CACHE_DIR": here / "caches"}
        words = ["--cache-dir", here / "caches"]
    assert run(root, me, **variables) == (["11", "8"], set(), BOTH)
    archive = here / "app.tgz"
    warmpack("create", "-f", archive, "-C", root, *words, "pkg", home=me.home)
    if words:
        words[1] = variables["NUMBA_CACHE_DIR"] = here / "new caches"
    return archive, words, variables, target


def patterns(words):
    return ["pkg/k.py", "pkg/alone.py", *([] if words else ["pkg/__pycache__"])]


def extract(packed, me, *more, expect=0):
    archive, words, _, target = packed
    command = ("extract", "-v", "-f", archive, "-C", target, *words, *more)
    return warmpack(*command, home=me.home, expect=expect)


def test_a_part_of_an_archive_beside_a_changed_file_leaves_out_what_depends_on_it(packed, me):
    _, words, variables, target = packed
    (target / "pkg" / "low.py").write_text("STEP = 2\n")
    done = extract(packed, me, *patterns(words))
    assert "1 of 2 indexes left out: pkg/low.py changed" in done.err
    assert done.counts == (1, 1)
    assert run(target, me, **variables) == (["12", "8"], {"alone.twice"}, {"k.total"})


def test_a_part_of_an_archive_beside_the_same_files_is_warm(packed, me):
    _, words, variables, target = packed
    done = extract(packed, me, *patterns(words))
    assert "left out" not in done.err and done.counts == (2, 2)
    assert run(target, me, **variables) == (["11", "8"], BOTH, set())


def test_a_file_that_is_not_there_is_not_what_was_packed(packed, here, me):
    archive, words, variables, target = packed
    shutil.rmtree(target)
    done = extract(packed, me, "--exclude", "low.py")
    assert "1 of 2 indexes left out: pkg/low.py changed" in done.err
    (target / "pkg" / "low.py").write_text("STEP = 2\n")
    assert run(target, me, **variables) == (["12", "8"], {"alone.twice"}, {"k.total"})


@pytest.mark.parametrize("changed", ("low.py", "k.py", "alone.py"))
def test_files_that_are_kept_are_compared(packed, me, changed):
    """The files stay, as with tar; no index comes for what another file now says."""
    _, _, variables, target = packed
    path = target / "pkg" / changed
    for kept in (target / "pkg").iterdir():
        if kept != path:
            kept.unlink()
    edited = {"low.py": "STEP = 2\n", "k.py": FILES["k.py"].replace("+ S", "- S")}
    path.write_text(edited.get(changed, FILES["alone.py"].replace("2 *", "5 *")))
    done = extract(packed, me, "-k", expect=2)
    assert "1 of 2 indexes left out: pkg/%s changed" % changed in done.err
    given, loaded, saved = run(target, me, **variables)
    right = {"low.py": ["12", "8"], "k.py": ["9", "8"], "alone.py": ["11", "20"]}
    assert given == right[changed]
    own = {"alone.twice"} if changed == "alone.py" else {"k.total"}
    assert (loaded, saved) == (BOTH - own, own)


def test_files_that_are_kept_and_are_the_same_cost_nothing(packed, me):
    _, _, variables, target = packed
    for name in ("k.py", "alone.py"):
        (target / "pkg" / name).unlink()
    done = extract(packed, me, "-k", expect=2)  # __init__.py and low.py exist
    assert "left out" not in done.err
    assert run(target, me, **variables) == (["11", "8"], BOTH, set())


def test_a_link_to_another_content_is_seen_through(packed, here, me):
    _, words, variables, target = packed
    (target / "pkg" / "low.py").unlink()
    (here / "store.py").write_text("STEP = 2\n")
    (target / "pkg" / "low.py").symlink_to(here / "store.py")
    done = extract(packed, me, *patterns(words))
    assert "1 of 2 indexes left out: pkg/low.py changed" in done.err
    assert run(target, me, **variables)[0] == ["12", "8"]

