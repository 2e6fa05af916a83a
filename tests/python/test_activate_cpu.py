"""activate(): code for another CPU loads here, and so does a tree that can only be read."""

import json
import os
import platform
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest
import warmpack
from harness import LOADED, PYTHON, SAVED
from small import run_small, write_small

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="names CPUs of x86-64")

PACKAGE = Path(warmpack.__file__).parents[1]
WORK = """
import json, logging
logging.basicConfig(level=logging.INFO, format="%(message)s")
import warmpack, warmpack._activate
done = warmpack.activate(*{words!r}, **{options!r})
import pkg.k
print(json.dumps([done.path, done.summary, done.settings, done.retargeted, done.locator]))
"""


@pytest.fixture
def old(tmp_path, clean_environment):
    """An archive of code for x86-64-v2, and the tree that it was made of."""
    base = tmp_path / "old"
    base.mkdir()
    write_small(base / "build" / "app")
    assert run_small(base / "build" / "app", clean_environment, NUMBA_CPU_NAME="x86-64-v2",
                     NUMBA_CPU_FEATURES="") == (0, 3)
    warmpack.create(base / "app.tgz", "app", directory=base / "build", no_cache_dir=True)
    return base


def activated(*words, variables=(), code=WORK, before=(), expect=0, **options):
    code = code.format(words=tuple(map(str, words)), options=options)
    env = {"PYTHONPATH": str(PACKAGE), **os.environ, "NUMBA_DEBUG_CACHE": "1", **dict(variables)}
    done = subprocess.run([*before, PYTHON, "-B", "-c", code], env=env, cwd="/",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == expect, done.stderr
    if expect:
        return done.stderr
    counts = len(LOADED.findall(done.stdout)), len(SAVED.findall(done.stdout))
    return (counts, *json.loads(done.stdout.splitlines()[-1]), done.stderr)


def test_code_for_another_cpu_loads_with_no_setting_and_a_line_says_so(old, tmp_path):
    counts, _, summary, settings, retargeted, locator, said = activated(old / "app.tgz",
                                                                        tmp_path / "there")
    assert (counts, settings, retargeted, locator) == ((3, 0), {}, True, False)
    assert summary == {"total": 3, "valid": 3}
    assert "3 of 3 overloads, compiled for x86-64-v2, load here" in said
    # The next process neither asks nor changes anything.
    *_, said = activated(old / "app.tgz", tmp_path / "there")
    assert "overloads" not in said


def test_retargeting_can_be_left_away_and_is_taken_back(old, tmp_path):
    v2 = {"NUMBA_CPU_NAME": "x86-64-v2", "NUMBA_CPU_FEATURES": ""}
    activated(old / "app.tgz", tmp_path / "there")
    counts, _, _, settings, retargeted, *_ = activated(old / "app.tgz", tmp_path / "there",
                                                       retarget=False)
    assert (counts, settings, retargeted) == ((3, 0), v2, False)
    # Who sets the variables wants what they say.
    activated(old / "app.tgz", tmp_path / "there")
    counts, *_ = activated(old / "app.tgz", tmp_path / "there", variables=v2)
    assert counts == (3, 0)


def test_what_cannot_run_here_stays_as_it_is(tmp_path, clean_environment):
    write_small(tmp_path / "build" / "app")
    # No machine has the extensions of both makers.
    run_small(tmp_path / "build" / "app", clean_environment, NUMBA_CPU_NAME="generic",
              NUMBA_CPU_FEATURES="+xop,+amx-tile")
    warmpack.create(tmp_path / "app.tgz", "app", directory=tmp_path / "build")
    counts, _, _, settings, retargeted, _, said = activated(tmp_path / "app.tgz",
                                                            tmp_path / "there")
    assert (counts, settings, retargeted) == ((0, 3), {}, False)
    assert "which %s lacks" % PYTHON in said


def test_applications_that_need_different_settings_are_told_apart(old, tmp_path):
    """In whichever order, and before Numba is imported."""
    for first, second in ((True, False), (False, True)):
        code = ("import warmpack\n"
                "warmpack.activate({words[0]!r}, {words[1]!r}, retarget=%r)\n"
                "warmpack.activate({words[0]!r}, {words[2]!r}, retarget=%r)\n" % (first, second))
        said = activated(old / "app.tgz", tmp_path / "one", tmp_path / "two", code=code, expect=1)
        assert "warmpack._program.Error: NUMBA_CPU_NAME is " in said
        assert ("not set here" if first else "x86-64-v2 here") in said


def test_a_tree_that_another_machine_retargeted_is_taken_as_it_was(old, tmp_path):
    """On a disk that several share: the first one's keys stay."""
    activated(old / "app.tgz", tmp_path / "there")
    record = json.loads((tmp_path / ".there.json").read_text())
    (tmp_path / ".there.json").write_text(json.dumps({**record, "here": "that machine"}))
    probe = tmp_path / "probe.json"
    said = json.loads(subprocess.check_output([os.environ["WARMPACK"], "env", "--probe",
                                               "--python", PYTHON]))
    probe.write_text(json.dumps({**said, "cpu": "of-that-machine"}))
    assert warmpack.retarget(tmp_path / "there", probe)["retarget"]["changed"] == 3
    before = {path: path.read_bytes() for path in (tmp_path / "there").rglob("*.nb?")}
    counts, *_, locator, _ = activated(old / "app.tgz", tmp_path / "there")
    assert (counts, locator) == ((3, 0), True)
    assert {path: path.read_bytes() for path in (tmp_path / "there").rglob("*.nb?")} == before


@pytest.fixture
def public_place():
    """A directory that every user may enter, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="warmpack-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def reader(place):
    """Words and variables of somebody who may read PLACE, and write to a home alone."""
    for name in ("site", "home"):
        (place / name).mkdir()
    shutil.copytree(PACKAGE, place / "site", dirs_exist_ok=True)
    shutil.copy2(os.environ["WARMPACK"], place / "warmpack")
    if os.geteuid() == 0:
        os.chown(place / "home", 65534, 65534)
    words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    return {"before": words if os.geteuid() == 0 else (),
            "variables": {"PYTHONPATH": str(place / "site"), "HOME": str(place / "home"),
                          "WARMPACK": str(place / "warmpack")}}


def make_read_only(root):
    for path in [root, *root.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))


@pytest.mark.parametrize("how", ["sealed", "copied", "adopted"])
def test_a_tree_that_can_only_be_read_is_used_as_it_lies(old, public_place, how):
    tree, code = public_place / "srv" / "app", WORK
    if how == "sealed":
        shutil.copytree(old / "build", public_place / "srv")
        warmpack.seal(tree)
    else:
        (public_place / "srv").mkdir()
        warmpack.extract(old / "app.tgz", public_place / "unpacked")
        subprocess.run(["cp", "-r", public_place / "unpacked" / "app", tree], check=True)
    words = (tree,)
    if how == "adopted":  # as Spark's archives
        words = (tree, public_place / "state")
        code = WORK.replace("warmpack.activate(", "warmpack._activate.activate_unpacked(")
    who = reader(public_place)
    make_read_only(tree)
    try:
        counts, path, _, settings, retargeted, locator, _ = activated(*words, code=code, **who)
        assert (counts, settings, retargeted, locator) == ((3, 0), {}, True, True)
        assert path == str(tree)
    finally:
        subprocess.run(["chmod", "-R", "u+w", public_place], check=True)


def test_an_unpacked_tree_that_can_only_be_read_is_warm_for_its_readers(old, public_place):
    """Made by root, in an image, say."""
    shutil.copy2(old / "app.tgz", public_place / "app.tgz")
    words = (public_place / "app.tgz", public_place / "there")
    activated(*words)
    who = reader(public_place)
    make_read_only(public_place / "there")
    try:
        counts, *_, locator, _ = activated(*words, **who)
        assert (counts, locator) == ((3, 0), True)
    finally:
        subprocess.run(["chmod", "-R", "u+w", public_place], check=True)


def test_a_tree_without_a_manifest_is_refused(old, tmp_path):
    said = activated(old / "build", expect=1)
    assert "has no manifest: `warmpack seal` writes one" in said
    said = activated(old / "app.tgz", expect=1)
    assert "say into which directory it is to be unpacked" in said
