"""Applications in one file, as shiv, pex and zipapp make them: README's table says what works.
$WARMPACK_TEST_PYTHON has shiv and pex; they are run by Debian's Python, which has Numba."""

import os
import subprocess

import pytest
from conftest import ROOT
from harness import LOADED, PYTHON, SAVED, WARMPACK
from small import run_small, write_small

BUILDER = os.environ.get("WARMPACK_TEST_PYTHON") or PYTHON
OVERLOADS = 3
CALL = ("-c", "import pkg.k")
SETUP = "from setuptools import setup\nsetup(name='demo_app', version='1.0', packages=['pkg'])\n"


def run(*words, cwd, expect=0, **variables):
    done = subprocess.run([str(word) for word in words], cwd=cwd, capture_output=True, text=True,
                          env=dict(os.environ, **variables), check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout


def counts(*words, cwd, **variables):
    said = run(*words, cwd=cwd, NUMBA_DEBUG_CACHE="1", **variables)
    return len(LOADED.findall(said)), len(SAVED.findall(said))


@pytest.fixture
def place(tmp_path):
    """A warm tree and a wheel of it without caches."""
    source = write_small(tmp_path / "source")
    assert run_small(source, tmp_path / "home") == (0, OVERLOADS)
    (source / "setup.py").write_text(SETUP)
    run(BUILDER, "setup.py", "-q", "bdist_wheel", "-d", tmp_path, cwd=source)
    return tmp_path


def wheel(place, amended):
    (path,) = place.glob("*.whl")
    if amended:
        run(WARMPACK, "amend", "-qf", path, "--source", place / "source", cwd=place)
    return path


def by_shiv(place, amended):
    run(BUILDER, "-m", "shiv", "-q", "-p", PYTHON, "-o", "app", "--no-deps", wheel(place, amended),
        cwd=place)
    return place / "app"


def by_pex(place, amended):
    run(BUILDER, "-m", "pex", "--python", PYTHON, "--inherit-path=fallback", "--include-tools",
        "--no-index", "--no-transitive", "-o", "app.pex", wheel(place, amended), cwd=place)
    return place / "app.pex"


def shiv_unpacked(place, app):
    run(app, "-c", "", cwd=place, SHIV_INTERPRETER="1")
    return place / "home/.shiv", (app, *CALL), {"SHIV_INTERPRETER": "1"}


def pex_unpacked(place, app):
    run(PYTHON, app, "venv", "--system-site-packages", "venv", cwd=place, PEX_TOOLS="1")
    return place / "venv", (place / "venv/pex", *CALL), {}


@pytest.mark.parametrize("build, unpack", [(by_shiv, shiv_unpacked), (by_pex, pex_unpacked)])
def test_what_is_built_of_an_amended_wheel_is_warm_once_it_is_restored(place, build, unpack):
    tree, call, variables = unpack(place, build(place, amended=True))
    run(WARMPACK, "restore", tree, cwd=place)
    assert counts(*call, cwd=place, **variables) == (OVERLOADS, 0)


@pytest.mark.parametrize("build, unpack", [(by_shiv, shiv_unpacked), (by_pex, pex_unpacked)])
def test_to_amend_what_they_have_built_does_not_reach_what_they_unpack(place, build, unpack):
    app = build(place, amended=False)
    # What shiv and pex have added has no source here.
    run(WARMPACK, "amend", "-qf", app, "--format", "zip", "--source", "source", cwd=place, expect=1)
    _, call, variables = unpack(place, app)
    assert counts(*call, cwd=place, **variables) == (0, OVERLOADS)


def test_a_zipapp_is_amended_and_its_directory_run(place):
    (place / "source/__main__.py").write_text("import pkg.k\n")
    bare = place / "bare"
    run("cp", "-r", place / "source", bare, cwd=place)
    run("rm", "-r", bare / "pkg/__pycache__", cwd=place)
    run(PYTHON, "-m", "zipapp", bare, "-p", PYTHON, "-o", "app.pyz", cwd=place)
    run(WARMPACK, "amend", "-qf", "app.pyz", "--format", "zip", "--source", "source", cwd=place)
    run(WARMPACK, "extract", "-qf", "app.pyz", "-C", "unpacked", cwd=place)
    assert counts(PYTHON, "-B", "unpacked", cwd=place) == (OVERLOADS, 0)


def test_readme_names_what_is_tried_here():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for words in ("SHIV_INTERPRETER=1 ./app -c ''", "PEX_TOOLS=1 ./app.pex venv",
                  "amend --format zip", "to amend what they have built does not help"):
        assert words in text
