"""An error is no absence: what may not be looked at is told, and nothing is taken for gone."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "cli"))

import trees  # noqa: E402

PYTHON = os.environ.get("WARMPACK_TEST_PYTHON", "/usr/bin/python3")
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="acts as another user")


@pytest.fixture
def place():
    path = trees.public_directory()
    yield path
    trees.remove_tree(path)


def as_nobody(place, *words, **env):
    for path in place, *place.rglob("*"):
        os.chown(path, trees.NOBODY, trees.NOBODY)
    return subprocess.run(
        ["setpriv", f"--reuid={trees.NOBODY}", f"--regid={trees.NOBODY}", "--clear-groups", *words],
        cwd=place, capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(place), "PYTHONDONTWRITEBYTECODE": "1",
             "PYTHONPATH": str(ROOT / "python"), **env})


def test_the_locator_takes_no_place_of_manifests_for_none(place):
    (place / "t/.warmpack").mkdir(parents=True)
    (place / "t/k.py").write_text("x = 1\n")
    (place / "t/.warmpack").chmod(0)
    r = as_nobody(place, sys.executable, ROOT / "python/warmpack/locator.py", "t/k.py")
    answer = json.loads(r.stdout)
    assert "Permission denied" in answer["reason"] and ".warmpack" in answer["reason"]


@pytest.mark.parametrize("call", ["from warmpack._activate import _read_record as f; f('x.json')",
                                  "from warmpack._root import root_of as f; f('.', [])",
                                  "from warmpack.setuptools import _settings as f; f()"])
def test_what_cannot_be_read_is_not_taken_for_none(place, call):
    for name in "x.json", "pyproject.toml":
        (place / name).write_text("{}")
        (place / name).chmod(0)
    if "root_of" in call:
        for name in "x.json", "pyproject.toml":
            (place / name).unlink()
        (place / "app").mkdir(mode=0o400)
    r = as_nobody(place, sys.executable, "-c", call)
    assert r.returncode == 1 and "PermissionError" in r.stderr, r


def test_explain_says_what_it_could_not_look_into(place):
    (place / "t/__pycache__").mkdir(parents=True)
    (place / "t/k.py").write_text("from numba import njit\n\n\n@njit(cache=True)\ndef f(x):\n"
                                  "    return x + 1\n\n\nf(1)\n")
    (place / "caches").mkdir()
    (place / "t/__pycache__").chmod(0)
    r = as_nobody(place, trees.BINARY, "explain", PYTHON, "t/k.py",
                  NUMBA_CACHE_DIR=str(place / "caches"))
    assert "unreadable" in r.stdout + r.stderr and "Permission denied" in r.stdout + r.stderr, r
