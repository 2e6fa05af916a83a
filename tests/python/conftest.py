"""The Python package from the checkout, over the program under test."""

import os
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "tests" / "numba")]

from harness import WARMPACK, environment  # noqa: E402
from small import run_small, write_small  # noqa: E402


def pytest_sessionstart(session):
    if not os.access(WARMPACK, os.X_OK):
        pytest.exit("no program at %s: build it, or set WARMPACK" % WARMPACK, returncode=2)


@pytest.fixture(autouse=True)
def clean_environment(tmp_path, monkeypatch):
    """Nothing of whoever runs the tests changes where Numba looks; the program is a known one."""
    home = tmp_path / "home"
    home.mkdir()
    wanted = environment(home, WARMPACK=WARMPACK)
    for name in set(os.environ) - set(wanted):
        if name.startswith(("NUMBA_", "PYTHON", "XDG_")):
            monkeypatch.delenv(name)
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)
    return home


@pytest.fixture(scope="session")
def warm_tree(tmp_path_factory):
    """A tree whose caches, in a directory of their own, were written by real Numba. To be copied
    with its times, or packed; not changed."""
    base = tmp_path_factory.mktemp("warm")
    home = base / "home"
    home.mkdir()
    write_small(base / "build" / "app")
    loads, saves = run_small(base / "build" / "app", home, NUMBA_CACHE_DIR=base / "caches")
    assert (loads, saves) == (0, 3)
    return base


@pytest.fixture
def archive(warm_tree, tmp_path):
    import warmpack

    path = tmp_path / "app.tgz"
    warmpack.create(path, "app", directory=warm_tree / "build", cache_dir=warm_tree / "caches")
    return path


@pytest.fixture
def package_copy(tmp_path):
    """The package alone in a directory, as installed; returns the directory."""
    site = tmp_path / "site"
    shutil.copytree(ROOT / "python" / "warmpack", site / "warmpack",
                    ignore=shutil.ignore_patterns("__pycache__"))
    return site
