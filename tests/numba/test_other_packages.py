"""Code that comes from packages outside of a tree: an interpreter says which versions it has of
them, and whether they still have the classes that caches name."""

import json
import os
import re
import subprocess

import pytest
from application import give_exact_times
from harness import PYTHON, environment, warmpack

FAST = """\
from collections import namedtuple
from numba import njit

Pair = namedtuple("Pair", "x y")

@njit
def step(x):
    return x + %d
"""
PLAIN = "def version():\n    return %d\n"
CODE = """\
import math
import fast_steps
import plain_help
from numba import njit

@njit(cache=True)
def total(t):
    return t.x + fast_steps.step(t.y)
"""
RUN = "import app.k, fast_steps; print(app.k.total(fast_steps.Pair(1, 2)))"


def install(site, version, fast=FAST):
    """Two distributions, as pip would leave them: one needs Numba, one could."""
    told = {
        "fast_steps": ("Fast.Steps", "fast_steps", fast % version, "Requires-Dist: numba>=0.50"),
        "plain_help": ("plain-help", None, PLAIN % version, 'Requires-Dist: numba; extra == "x"'),
    }
    for module, (name, top, text, needs) in told.items():
        (site / (module + ".py")).write_text(text)
        info = site / ("%s-%d.dist-info" % (module, version))
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: %s\nVersion: %d.0\n%s\n" % (name, version, needs))
        if top:
            (info / "top_level.txt").write_text(top + "\n")
        else:
            (info / "RECORD").write_text("%s.py,,\n%s/METADATA,,\n" % (module, info.name))
    return site


def remove(site):
    for path in sorted(site.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


@pytest.fixture
def tree(here):
    root = here / "build" / "app"
    root.mkdir(parents=True)
    (here / "site").mkdir()
    (root / "__init__.py").write_text("")
    (root / "k.py").write_text(CODE)
    give_exact_times(root)
    install(here / "site", 1)
    return root


def run(here, me, root):
    done = subprocess.run(
        [PYTHON, "-B", "-c", RUN],
        env=environment(me.home, PYTHONPATH="%s:%s" % (root.parent, here / "site")), cwd=me.home,
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    return done.stdout.splitlines()[-1]


def ask(here, me, *words, **more):
    return warmpack(*words, home=me.home, PYTHONPATH=here / "site", **more)


def header(here, me, archive):
    name = next(n for n in warmpack("list", "-f", archive, home=me.home).out.split()
                if n.endswith("manifest.jsonl"))
    text = warmpack("extract", "-O", "-f", archive, name, home=me.home).out
    return json.loads(text.splitlines()[0])


def noted(done):
    return re.findall(r"^distribution  .*?packed with (\S+ \S+), .* has (\S+): Numba", done.out,
                      re.M)


def test_another_version_of_what_needs_numba_is_noted(tree, here, me):
    assert run(here, me, tree) == "4"
    archive, build = here / "a.tgz", ["-C", tree.parent, "app"]
    ask(here, me, "create", "-f", archive, *build, "--python", PYTHON)
    said = header(here, me, archive)
    assert said["distributions"]["Fast.Steps"] == "1.0"
    assert said["distributions"]["plain-help"] == "1.0"
    assert "numba" in said["distributions"] and said["numba_users"] == ["Fast.Steps"]
    ask(here, me, "extract", "-f", archive, "-C", here / "new")
    places = (["-f", archive], [here / "new"])
    for place in places:
        assert noted(ask(here, me, "verify", "--python", PYTHON, *place)) == []
    remove(here / "site")
    install(here / "site", 2)
    for place in places:
        done = ask(here, me, "verify", "--python", PYTHON, *place)
        assert noted(done) == [("Fast.Steps 1.0", "2.0")] and done.counts == (1, 1)
        assert "hint: distribution: " in done.err
        assert noted(ask(here, me, "verify", *place)) == []
    # What the note is about: Numba gives the sum of the version that it was compiled with.
    assert run(here, me, here / "new" / "app") == "4"
    remove(here / "site")
    for place in places:
        assert noted(ask(here, me, "verify", "--python", PYTHON, *place)) == [
            ("Fast.Steps 1.0", "none")]


def test_seal_and_amend_record_versions_too_and_nothing_is_recorded_unasked(tree, here, me):
    run(here, me, tree)
    ask(here, me, "create", "-f", here / "a.tgz", "-C", tree.parent, "app")
    assert "distributions" not in header(here, me, here / "a.tgz")
    subprocess.run(["tar", "-czf", here / "b.tgz", "-C", tree.parent, "app"], check=True)
    ask(here, me, "amend", "-f", here / "b.tgz", "--source", tree.parent, "--python", PYTHON)
    assert header(here, me, here / "b.tgz")["numba_users"] == ["Fast.Steps"]
    ask(here, me, "seal", tree, "--python", PYTHON)
    (manifest,) = tree.rglob("manifest.jsonl")
    sealed = json.loads(manifest.read_text().splitlines()[0])
    assert sealed["distributions"]["Fast.Steps"] == "1.0"


def test_an_interpreter_that_cannot_be_run_leaves_no_archive(tree, here, me):
    run(here, me, tree)
    done = ask(here, me, "create", "-f", here / "a.tgz", "-C", tree.parent, "app",
               "--python", here / "none", expect=2)
    assert str(here / "none") in done.err and not (here / "a.tgz").exists()


def test_a_class_that_another_package_lost_is_type_missing_to_who_asks(tree, here, me):
    """Numba raises an error on reading such an index, whatever is called."""
    assert run(here, me, tree) == "4"
    archive, build = here / "a.tgz", ["-C", tree.parent, "app"]
    done = ask(here, me, "verify", "--python", PYTHON, tree)
    assert done.counts == (1, 1)
    remove(here / "site")
    # Where nothing of the package is on the path, it may be there when the program runs.
    assert ask(here, me, "verify", "--python", PYTHON, tree).counts == (1, 1)
    install(here / "site", 1, FAST.replace("Pair =", "Other ="))
    assert ask(here, me, "verify", tree).counts == (1, 1)
    done = ask(here, me, "verify", "--python", PYTHON, tree, expect=1)
    assert re.search(r"type-missing  \S+k.total.*Pair of fast_steps, which \S+ does not", done.out)
    done = ask(here, me, "create", "--strict", "-f", archive, *build, "--python", PYTHON, expect=2)
    assert "type-missing" in done.err and not os.path.exists(archive)
    (here / "site" / "fast_steps.py").write_text((FAST % 1) + "Other = Pair\ndel Pair\n")
    caught = subprocess.run(
        [PYTHON, "-B", "-c", "import app.k, fast_steps; app.k.total(fast_steps.Other(1, 2))"],
        env=environment(me.home, PYTHONPATH="%s:%s" % (tree.parent, here / "site")), cwd=me.home,
        text=True, stderr=subprocess.PIPE, check=False)  # fmt: skip
    assert "AttributeError" in caught.stderr and "Pair" in caught.stderr


def test_a_class_that_the_program_has_from_a_package_of_its_own_is_not_missing(tree, here, me):
    """The interpreter has another package of that name, which the source does not import."""
    package = here / "site" / "utils"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (here / "own" / "utils").mkdir(parents=True)
    (here / "own" / "utils" / "__init__.py").write_text("")
    (here / "own" / "utils" / "pairs.py").write_text(FAST % 1)
    call = "import app.k, utils.pairs as p; print(app.k.total(p.Pair(1, 2)))"
    for saved in 1, 0:
        done = subprocess.run(
            [PYTHON, "-B", "-c", call],
            env=environment(me.home, NUMBA_DEBUG_CACHE=1, PYTHONPATH="%s:%s:%s" % (
                here / "own", tree.parent, here / "site")),
            cwd=me.home, text=True, stdout=subprocess.PIPE, check=True)  # fmt: skip
        assert done.stdout.endswith("\n4\n") and done.stdout.count("data saved to") == saved
    assert ask(here, me, "verify", "--python", PYTHON, tree).counts == (1, 1)
