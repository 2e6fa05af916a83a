"""Users of one group, as OpenShift makes them up, share the caches of one tree."""

import os
import subprocess

import pytest

from harness import PYTHON, environment, warmpack
from small import run_small, write_small

GROUP = 4242
USERS = (1000650001, 1000650002)  # neither has a name, nor a home
CALL = "import pkg.k; print(pkg.k.add({0}, {0}))"


@pytest.fixture
def app(here, me):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    root = write_small(here / "build" / "app")
    run_small(root, me.home)
    warmpack("create", "--strict", "-f", "a.tgz", "-C", "build", "app", home=me.home, cwd=here)
    here.chmod(0o755)
    return here / "opt"


def run_as(uid, root, value, **caches):
    """Numba's own word of what was loaded and saved, by somebody of the group."""
    done = subprocess.run(["setpriv", f"--reuid={uid}", f"--regid={GROUP}", "--clear-groups",
                           PYTHON, "-B", "-c", CALL.format(value)], cwd="/", check=True,
                          env=environment("/nonexistent", NUMBA_DEBUG_CACHE=1, PYTHONPATH=root,
                                          **caches), stdout=subprocess.PIPE, text=True)
    return done.stdout.count("data loaded"), done.stdout.count("data saved")


def in_tree(app, me, *words):
    warmpack("extract", "-f", app.parent / "a.tgz", "-C", app, "--user", f"0:{GROUP}", *words,
             home=me.home)
    return {}


def in_a_cache_root(app, me, *words):
    root = app.parent / "new" / "caches"
    root.parent.mkdir()
    os.chown(root.parent, 0, GROUP)
    in_tree(app, me, "--cache-dir", root, *words)
    return {"NUMBA_CACHE_DIR": root}


def by_restore(app, me, *words):
    app.mkdir()
    subprocess.run(["tar", "-xzf", app.parent / "a.tgz", "-C", app], check=True)
    warmpack("restore", app, "--user", f"0:{GROUP}", *words, home=me.home)
    return {}


@pytest.mark.parametrize("make", [in_tree, in_a_cache_root, by_restore])
def test_each_loads_what_was_packed_and_what_another_one_saved(app, me, make):
    caches = make(app, me, "--group-writable")
    assert run_as(USERS[0], app / "app", 1, **caches) == (3, 0)
    assert run_as(USERS[0], app / "app", 1.5, **caches) == (3, 1)
    assert run_as(USERS[1], app / "app", 1.5, **caches) == (4, 0)
    assert run_as(USERS[1], app / "app", 1j, **caches) == (3, 1)
    assert run_as(USERS[0], app / "app", 1j, **caches) == (4, 0)


def test_without_it_numba_has_no_place_for_somebody_of_the_group(app, me):
    in_tree(app, me)
    with pytest.raises(subprocess.CalledProcessError):
        run_as(USERS[0], app / "app", 1)


def test_a_new_source_gets_a_cache_in_the_same_root(app, me):
    caches = in_a_cache_root(app, me, "--group-writable")
    (app / "app" / "later").mkdir()
    (app / "app" / "later" / "pkg").mkdir()
    (app / "app" / "later" / "pkg" / "__init__.py").write_text("")
    (app / "app" / "later" / "pkg" / "k.py").write_text(
        (app / "app" / "pkg" / "k.py").read_text())
    assert run_as(USERS[0], app / "app" / "later", 1, **caches) == (0, 3)
