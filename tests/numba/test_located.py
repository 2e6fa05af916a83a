"""What verify --python and path --python say of the locator is what Numba does."""

import json
import os
import shutil
import subprocess

import pytest
from facts import facts
from harness import PYTHON, WARMPACK, environment, warmpack
from in_place import locator_variables, reader, run_in_place
from small import run_small, write_small
from test_in_place import SAVED_IN_PLACE, by_owner, by_touch, tool


@pytest.fixture(scope="module")
def sealed(workspace):
    base = workspace / "located"
    for place in ("in-tree", "outside"):
        write_small(base / place / "app")
        variables = {"NUMBA_CACHE_DIR": base / place / "caches"} if place == "outside" else {}
        assert run_small(base / place / "app", base, **variables) == (0, SAVED_IN_PLACE)
        warmpack("seal", "--strict", base / place / "app", home=base, **variables)
    return base


@pytest.fixture
def tree(sealed, here, request):
    tool("cp", "-r", sealed / getattr(request, "param", "in-tree") / "app", here)
    return here / "app"


def ask(person, *words, **variables):
    done = subprocess.run(person.command([WARMPACK, *map(str, words)]), text=True, cwd=person.home,
                          env=environment(person.home, **variables), check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stdout, done.stderr


def verify(person, root, **variables):
    status, said, _ = ask(person, "verify", "--json", "--python", PYTHON, root, **variables)
    found = json.loads(said)
    return status, [(index["status"], index["locator"]) for index in found["indexes"]], found


@pytest.mark.parametrize("tree", ["in-tree", "outside"], indirect=True)
def test_a_read_only_tree_would_load_and_does_where_the_locator_is_in_force(tree, here):
    root, person = by_owner(by_touch(tree, here), here), reader(here)
    before = sorted(person.home.rglob("*"))
    status, judged, found = verify(person, root)
    assert status == 1 and [locatable for _, locatable in judged] == [True] * SAVED_IN_PLACE
    assert not {"valid", "in-place"} & {status for status, _ in judged}
    assert all(index["reason"].endswith("; it would load through warmpack.locator")
               for index in found["indexes"])
    assert sorted(person.home.rglob("*")) == before  # asking makes no overlay
    _, _, hints = ask(person, "verify", "--python", PYTHON, root)
    assert "hint: 3 of them load where they are" in hints and "warmpack-locator(7)" in hints
    variables = locator_variables(person.home)
    status, judged, found = verify(person, root, **variables)
    assert status == 0 and judged == [("in-place", True)] * SAVED_IN_PLACE
    assert found["summary"] == {"total": 3, "valid": 0, "in-place": 3}
    run = run_in_place(root, person)
    assert (run.loads, run.saves) == (SAVED_IN_PLACE, 0)
    # Without --python nobody is asked.
    status, said, _ = ask(person, "verify", "--json", root)
    assert status == 1
    assert {index["locator"] for index in json.loads(said)["indexes"]} == {False}


def test_a_tree_that_nobody_can_write_to_has_the_locator_as_its_cure(tree, here):
    """Its times are right: what keeps Numba from loading is that it cannot write."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    warmpack("restore", tree, home=here)
    root, person = by_owner(tree, here), reader(here)
    status, said, hints = ask(person, "verify", "--python", PYTHON, root)
    assert status == 1 and said.count("unwritable") == SAVED_IN_PLACE
    assert said.count("it would load through warmpack.locator") == SAVED_IN_PLACE
    assert "NUMBA_CACHE_LOCATOR_CLASSES=warmpack.locator.Warm" in hints


@pytest.mark.parametrize("how", ["edited", "index changed", "no manifest"])
def test_what_the_locator_would_not_take_is_not_promised(tree, here, me, how):
    by_touch(tree, here)
    if how == "edited":
        source = tree / "pkg" / "k.py"
        source.write_text(source.read_text() + "\n")
    elif how == "index changed":
        for index in tree.rglob("*.nbi"):
            index.write_bytes(index.read_bytes() + b"x")
    else:
        shutil.rmtree(tree / ".warmpack")
    _, judged, _ = verify(me, tree, **locator_variables(me.home))
    assert len(judged) == SAVED_IN_PLACE
    assert not any(locatable for _, locatable in judged)
    run = run_in_place(tree, me)
    would = sum(status == "valid" for status, _ in judged)
    assert (run.loads, run.saves) == (would, SAVED_IN_PLACE - would)


def test_path_shows_the_directory_that_numba_is_given(tree, here):
    root, person = by_owner(by_touch(tree, here), here), reader(here)
    other = here / "none.py"
    other.touch()
    words = ("path", "--python", PYTHON, root / "pkg" / "k.py")
    status, said, _ = ask(person, *words)
    first = said.splitlines()[0]
    assert status == 0 and first.startswith("  locator    " + str(person.home))
    assert first.endswith("(not in force: see warmpack-locator(7))")
    variables = locator_variables(person.home)
    status, said, _ = ask(person, *words, **variables)
    first, *others = said.splitlines()
    assert first.startswith("* locator    ") and not any(line.startswith("*") for line in others)
    overlay = first.split(None, 2)[2]
    assert not os.path.exists(overlay)
    run = run_in_place(root, person)
    assert {os.path.dirname(path) for path in run.loaded} == {overlay}
    _, said, _ = ask(person, "path", "--json", *words[1:], other, **variables)
    first, second = json.loads(said)["files"]
    assert first["locator"] == {
        "manifest": str(next(root.glob(".warmpack/*/manifest.jsonl"))), "overlay": overlay,
        "indexes": SAVED_IN_PLACE, "in_force": True, "reason": None}
    assert [place["used"] for place in first["places"]] == [False, False]
    assert (second["locator"]["overlay"], second["locator"]["manifest"]) == (None, None)
    assert [place["used"] for place in second["places"]].count(True) == 1


def test_an_interpreter_that_cannot_be_asked_is_an_error(tree, me):
    status, _, said = ask(me, "path", "--python", "/bin/false", tree / "pkg" / "k.py")
    assert status == 2 and "/bin/false: cannot be asked for its Numba" in said


def test_a_class_named_in_the_environment_is_in_force_from_numba_0_62_on(tree, here, me):
    by_touch(tree, here)
    variables = {**locator_variables(me.home), "NUMBA_CACHE_LOCATOR_CLASSES":
                 "warmpack.locator.Warm"}
    variables["PYTHONPATH"] = variables["PYTHONPATH"].split(":")[1]  # the package alone
    names = tuple(map(int, facts().numba.split(".")[:2])) >= (0, 62)
    status, judged, found = verify(me, tree, **variables)
    if facts().content_stamps:
        assert [status for status, _ in judged] == ["valid"] * SAVED_IN_PLACE
    else:
        assert judged == [("in-place" if names else "stale", True)] * SAVED_IN_PLACE
    assert not [note for note in found["notes"] if "LOCATOR" in note["text"]]
