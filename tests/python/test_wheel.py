"""pip install . gives a package with the program inside, for machines without a compiler."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import warmpack
from conftest import ROOT
from harness import PYTHON

sys.path.insert(0, str(ROOT / "tests" / "cli"))

import trees  # noqa: E402

# Has scikit-build-core, so that nothing is fetched.
BUILDER = os.environ.get("WARMPACK_TEST_PYTHON") or PYTHON


def pip_wheel(source, place, *words, before=()):
    """What pip says of making a wheel of SOURCE in PLACE; it fetches nothing."""
    environ = {**os.environ, "PATH": "/usr/bin:/bin", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    environ.pop("WARMPACK", None)
    return subprocess.run([*before, BUILDER, "-m", "pip", "wheel", "-q", "--no-deps", "--no-index",
                           "--no-build-isolation", "-w", place, *words, source],
                          env=environ, stderr=subprocess.PIPE, text=True, check=False)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return trees.read_only_checkout(tmp_path_factory.mktemp("checkout") / "source")


@pytest.fixture(scope="module")
def wheel(checkout, tmp_path_factory):
    place = tmp_path_factory.mktemp("wheel")
    done = pip_wheel(checkout, place, before=trees.bound_by_modes())
    assert done.returncode == 0, done.stderr
    (made,) = place.glob("*.whl")
    return made


@pytest.fixture
def installed(wheel, tmp_path, monkeypatch):
    """An environment that has the wheel and nothing else, and sees no other program."""
    monkeypatch.delenv("WARMPACK")
    subprocess.run([PYTHON, "-m", "venv", tmp_path / "env"], check=True)
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-index", wheel], check=True,
                   env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    monkeypatch.setenv("PATH", str(python.parent))
    return python


def test_the_wheel_of_a_read_only_checkout_is_for_every_python_3_of_this_machine(wheel):
    assert wheel.name.startswith("warmpack-%s-py3-none-linux_" % warmpack.__version__)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "warmpack/py.typed" in names and "warmpack/spark.py" in names
    assert [name for name in names if "/bin/" in name] == ["warmpack/bin/warmpack"]
    assert "warmpack/locator.py" in names and "warmpack-auto.pth" in names
    assert not [name for name in names if name.endswith((".h", ".a", ".so", ".1"))]


def test_the_wheel_may_bear_the_tags_of_every_manylinux(wheel, tmp_path):
    tools = os.path.dirname(BUILDER)
    subprocess.run([BUILDER, "-m", "auditwheel", "repair", "-w", tmp_path, wheel], check=True,
                   env={**os.environ, "PATH": tools + ":/usr/bin:/bin"})
    (repaired,) = tmp_path.glob("*.whl")
    # The oldest of glibc 2.5 for x86-64, of 2.17 for other processors.
    assert re.search(r"-py3-none-(manylinux1|manylinux2014)_\w+\.manylinux_2_\w+\.whl$", repaired.name)
    with zipfile.ZipFile(wheel) as given, zipfile.ZipFile(repaired) as bears:
        assert given.read("warmpack/bin/warmpack") == bears.read("warmpack/bin/warmpack")
    done = subprocess.run([PYTHON, "-m", "pip", "install", "-q", "--no-index", "--no-deps",
                           "--target", tmp_path / "there", repaired], check=False)
    assert done.returncode == 0


def test_where_a_static_library_is_missing_pip_names_it_and_builds_as_told(checkout, tmp_path):
    found = subprocess.check_output(["cc", "-print-file-name=libnettle.a"], text=True).strip()
    place = os.path.dirname(os.path.realpath(found))
    ignored = "--config-settings=cmake.define.CMAKE_IGNORE_PATH=%s;%s" % (
        place, place.removeprefix("/usr"))
    done = pip_wheel(checkout, tmp_path, ignored)
    assert done.returncode != 0 and not list(tmp_path.glob("*.whl"))
    said = " ".join(done.stderr.split())
    assert "install libbz2-dev liblzma-dev nettle-dev, or build without it" in said
    advice = re.search(r"with pip, (\S+)\)", said)[1]
    done = pip_wheel(checkout, tmp_path, ignored, advice)
    assert done.returncode == 0 and list(tmp_path.glob("*.whl")), done.stderr


def test_the_program_in_the_wheel_needs_no_libraries(installed):
    path = subprocess.check_output([installed, "-c", "import warmpack; print("
                                    "warmpack.find_program())"], text=True).strip()
    assert path.endswith("/site-packages/warmpack/bin/warmpack")
    said = subprocess.check_output(["/usr/bin/readelf", "-dl", path], text=True)
    assert "NEEDED" not in said and "INTERP" not in said
    assert Path(path).stat().st_size < 8 << 20


@pytest.mark.parametrize("value, is_there", [(None, False), ("0", False), ("1", True)])
def test_the_locator_waits_for_numba_where_the_variable_is_set(installed, value, is_there):
    environ = {**os.environ, **({"WARMPACK_AUTO": value} if value else {})}
    said = subprocess.check_output([installed, "-c", "import sys; print('warmpack.locator' in "
                                    "sys.modules)"], env=environ, text=True)
    assert said == "%s\n" % is_there


def test_what_was_installed_packs_and_unpacks(installed, warm_tree, tmp_path):
    code = ("import warmpack\n"
            "warmpack.create('app.tgz', 'app', directory=%r, cache_dir=%r)\n"
            "print(warmpack.extract('app.tgz', 'there')['summary'])"
            % (str(warm_tree / "build"), str(warm_tree / "caches")))
    said = subprocess.check_output([installed, "-c", code], cwd=tmp_path, text=True)
    assert said == "{'total': 3, 'valid': 3}\n"
    words = ["verify", "there"]
    for command in ([installed, "-m", "warmpack"], [installed.parent / "warmpack"]):
        done = subprocess.run([*command, *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True,
                              check=False)
        assert done.returncode == 0 and "3 of 3 cache indexes valid" in done.stderr


def test_the_package_and_the_program_have_one_version(installed):
    code = ("import warmpack, importlib.metadata as m;"
            " print(warmpack.__version__, m.version('warmpack'))")
    versions = subprocess.check_output([installed, "-c", code], text=True).split()
    program = subprocess.check_output([installed.parent / "warmpack", "--version"], text=True)
    assert versions == [program.split()[1]] * 2
