"""Eggs and wheels that setuptools builds keep their caches. $WARMPACK_TEST_PYTHON, by default
Debian's Python, has the setuptools, and Numba."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import warmpack
from application import give_exact_times
from conftest import ROOT
from harness import LOADED, PYTHON, SAVED
from small import SOURCE

BUILDER = os.environ.get("WARMPACK_TEST_PYTHON") or PYTHON
WARM_UP = ["python", "-B", "-c", "import pkg.k"]
SETUP = """\
from setuptools import setup
{imports}
setup(name="demo-app", version="1.0", packages=["pkg"], package_dir={{"": "src"}}, {more})
"""


def project(place, *, cmdclass=None, table=None):
    (place / "src" / "pkg").mkdir(parents=True)
    (place / "src" / "pkg" / "__init__.py").write_text("")
    (place / "src" / "pkg" / "k.py").write_text(SOURCE)
    give_exact_times(place / "src")
    imports = more = ""
    if cmdclass is not None:
        imports = "from warmpack.setuptools import cmdclass"
        more = "cmdclass=cmdclass(%s)" % cmdclass
    (place / "setup.py").write_text(SETUP.format(imports=imports, more=more))
    if table is not None:
        (place / "pyproject.toml").write_text(
            '[build-system]\nrequires = ["setuptools"]\n\n[tool.warmpack]\n' + table)
    return place


def with_entry_points(site):
    """What installing the package adds for those who ask for entry points."""
    tomllib = pytest.importorskip("tomllib")
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    folder = site / ("warmpack-%s.dist-info" % warmpack.__version__)
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: warmpack\nVersion: %s\n"
                                     % warmpack.__version__)
    (folder / "entry_points.txt").write_text("".join(
        "[%s]\n%s\n" % (group, "\n".join("%s = %s" % item for item in points.items()))
        for group, points in groups.items()))


def build(place, command, site, expect=0):
    env = dict(os.environ, PYTHONPATH=str(site))
    done = subprocess.run([BUILDER, "-B", "setup.py", "-q", command], cwd=place, env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode == 0) == (expect == 0), done.stdout + done.stderr
    made = sorted((place / "dist").glob("*")) if (place / "dist").exists() else []
    return done.stdout + done.stderr, made[0] if made else None


def numba(root, home):
    """(loads, saves) of a fresh process that imports the package from ROOT."""
    env = dict(os.environ, PYTHONPATH=str(root), NUMBA_DEBUG_CACHE="1", HOME=str(home))
    done = subprocess.run([BUILDER, "-B", "-c", "import pkg.k"], env=env, cwd=home,
                          stdout=subprocess.PIPE, check=True, text=True)
    return len(LOADED.findall(done.stdout)), len(SAVED.findall(done.stdout))


def installed(archive, target):
    """As pip installs a wheel: it compiles nothing here, and gives files the time of the moment."""
    subprocess.run([BUILDER, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile",
                    "--no-warn-script-location", "--root-user-action", "ignore",
                    "--target", target, archive],
                   check=True, env=dict(os.environ, PIP_DISABLE_PIP_VERSION_CHECK="1"))
    return target


COMMANDS = ("bdist_egg", "bdist_wheel")


@pytest.fixture(params=COMMANDS)
def command(request):
    return request.param


def arrive(archive, target):
    if archive.suffix == ".egg":
        warmpack.extract(archive, target)
        return target
    installed(archive, target)
    done = warmpack.restore(target)
    assert done["lost"] == 0
    return target


def test_a_build_with_cmdclass_arrives_warm(command, package_copy, tmp_path, clean_environment):
    place = project(tmp_path / "project", cmdclass="warm_up=%r" % WARM_UP)
    said, archive = build(place, command, package_copy)
    assert "3 of 3 cache indexes valid" in said
    target = arrive(archive, tmp_path / "there")
    assert numba(target, clean_environment) == (3, 0)


def test_a_build_without_warmpack_arrives_cold(command, package_copy, tmp_path, clean_environment):
    place = project(tmp_path / "project")
    assert numba(place / "src", clean_environment) == (0, 3)
    _, archive = build(place, command, package_copy)
    if archive.suffix == ".egg":
        shutil.unpack_archive(archive, tmp_path / "there", "zip")
    else:
        installed(archive, tmp_path / "there")
    assert numba(tmp_path / "there", clean_environment) == (0, 3)


def test_a_table_in_pyproject_switches_it_on(command, package_copy, tmp_path, clean_environment):
    with_entry_points(package_copy)
    place = project(tmp_path / "project", table="strict = true\nwarm-up = %r\n" % WARM_UP)
    said, archive = build(place, command, package_copy)
    assert "3 of 3 cache indexes valid" in said
    assert numba(arrive(archive, tmp_path / "there"), clean_environment) == (3, 0)


def test_without_the_table_nothing_is_changed(package_copy, tmp_path):
    with_entry_points(package_copy)
    place = project(tmp_path / "project")
    said, archive = build(place, "bdist_wheel", package_copy)
    assert "cache indexes" not in said and "warmpack: " not in said
    assert warmpack.verify(archive=archive)["summary"]["total"] == 0


def test_caches_in_a_directory_of_their_own_are_found(package_copy, tmp_path, clean_environment,
                                                      monkeypatch):
    with_entry_points(package_copy)
    place = project(tmp_path / "project", table='cache-dir = "caches"\n')
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(place / "caches"))
    assert numba(place / "src", clean_environment) == (0, 3)
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    said, archive = build(place, "bdist_wheel", package_copy)
    assert "3 of 3 cache indexes valid" in said
    assert numba(arrive(archive, tmp_path / "there"), clean_environment) == (3, 0)


@pytest.mark.parametrize("table, word", (
    ('strict = true\n', "no Numba cache"),
    ('warm-up = "exit 3"\n', "ended with status 3"),
    ('warm-up = ["nosuchprogram"]\n', "cannot be run"),
    ('warm-up = []\n', "tool.warmpack.warm-up is not"),
    ('strict = "no"\n', "tool.warmpack.strict is not true or false"),
    ('cache-dir = 3\n', "tool.warmpack.cache-dir is not"),
    ('warmup = "true"\n', "no key 'warmup'"),
))
def test_a_build_that_cannot_keep_its_promise_fails(package_copy, tmp_path, table, word):
    with_entry_points(package_copy)
    place = project(tmp_path / "project", table=table)
    said, _ = build(place, "bdist_wheel", package_copy, expect=1)
    assert "warmpack: " in said and word in said and "Traceback" not in said


def test_a_table_that_cannot_be_read_fails_the_build(package_copy, tmp_path):
    """Newer setuptools reads the file itself, before anything of ours, and has its own words."""
    with_entry_points(package_copy)
    place = project(tmp_path / "project", table="[broken\n")
    said, _ = build(place, "bdist_wheel", package_copy, expect=1)
    ours = "warmpack: " in said and "pyproject.toml" in said and "Traceback" not in said
    assert ours or re.search(r"setuptools/.*TOMLDecodeError", said, re.DOTALL)


def test_where_packages_lie_is_known_from_package_dir():
    from warmpack.setuptools import _source

    class Distribution:
        def __init__(self, package_dir):
            self.package_dir = package_dir

    assert _source(Distribution(None), {}) == "."
    assert _source(Distribution({"": "src"}), {}) == "src"
    assert _source(Distribution({"pkg": "lib/pkg"}), {}) == "lib"
    assert _source(Distribution({"pkg": "pkg"}), {}) == "."
    assert _source(Distribution({"a.b": "lib/a/b", "a": "lib/a"}), {}) == "lib"
    assert _source(Distribution({"pkg": "other"}), {"source": "x"}) == "x"
    for odd in ({"pkg": "other"}, {"": "src", "pkg": "lib/pkg"}):
        with pytest.raises(warmpack.Error, match="package_dir"):
            _source(Distribution(odd), {})
    assert sys.modules["warmpack.setuptools"].__name__ != "setuptools"
    assert Path(warmpack.__file__).parent.name == "warmpack"
