"""From a build to Numba's verdict: what other tools make and unpack, with one amend in between."""

import subprocess

import pytest
from harness import PYTHON, environment, warmpack
from small import run_small, write_small

SETUP = "from setuptools import setup; setup(name='app', version='1', packages=['pkg'])\n"
UNPACK_EGG = "import sys; from setuptools.archive_util import unpack_archive as u; u(*sys.argv[1:])"
ZIPFILE = "import sys, zipfile as z; a = z.ZipFile(sys.argv[1], 'w'); [*map(a.write, sys.argv[2:])]"
PIP = (PYTHON, "-m", "pip", "-q", "--disable-pip-version-check")

BUILD = {
    "bdist_egg": (PYTHON, "setup.py", "-q", "bdist_egg", "-d", "{here}"),
    "bdist_wheel": (PYTHON, "setup.py", "-q", "bdist_wheel", "-d", "{here}"),
    "zip": ("zip", "-qr", "{here}/app.zip", "pkg", "-x", "*__pycache__*"),
    "bsdtar zip": ("bsdtar", "--format=zip", "--exclude=__pycache__", "-cf", "{here}/app.zip", "pkg"),
    "jar": ("jar", "cf", "{here}/app.zip", "pkg/__init__.py", "pkg/k.py"),
    "zipfile": (PYTHON, "-c", ZIPFILE, "{here}/app.zip", "pkg/__init__.py", "pkg/k.py"),
    "tar": ("tar", "--format=gnu", "--exclude=__pycache__", "-czf", "{here}/app.tgz", "pkg"),
}
UNPACK = {
    "unzip": ("unzip", "-q", "{archive}", "-d", "{root}"),
    "easy_install": (PYTHON, "-c", UNPACK_EGG, "{archive}", "{root}"),
    "zipfile": (PYTHON, "-m", "zipfile", "-e", "{archive}", "{root}"),
    "pip": (*PIP, "install", "--no-index", "--no-deps", "--target", "{root}", "{archive}"),
    "bsdtar": ("bsdtar", "-xf", "{archive}", "-C", "{root}"),
    "jar": ("jar", "xf", "{archive}"),
    "tar": ("tar", "-xzf", "{archive}", "-C", "{root}"),
}
WAYS = [
    ("bdist_egg", "unzip"),
    ("bdist_egg", "easy_install"),
    ("bdist_wheel", "pip"),
    ("bdist_wheel", "zipfile"),
    ("zip", "unzip"),
    ("bsdtar zip", "bsdtar"),
    ("jar", "jar"),
    ("zipfile", "zipfile"),
    ("tar", "tar"),
]


def tool(words, cwd, home, **names):
    done = subprocess.run(
        [word.format(**names) for word in words],
        cwd=cwd,
        env=environment(home, PIP_ROOT_USER_ACTION="ignore"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def build(kind, source, here, home):
    if kind.startswith("bdist"):
        (source / "setup.py").write_text(SETUP)
    tool(BUILD[kind], source, home, here=here)
    (archive,) = [p for p in here.iterdir() if p.suffix in (".egg", ".whl", ".zip", ".tgz")]
    return archive


def unpack(kind, archive, root, home):
    root.mkdir()
    tool(UNPACK[kind], root, home, archive=archive, root=root)
    return root


@pytest.fixture
def source(here, me):
    """A tree that is warm: in its second run all is loaded."""
    root = write_small(here / "source")
    saved = run_small(root, me.home)[1]
    assert saved > 0 and run_small(root, me.home) == (saved, 0)
    return root, saved


@pytest.mark.parametrize("builder, unpacker", WAYS)
def test_what_other_tools_build_and_unpack_is_warm_once_amended_and_restored(
    source, here, me, builder, unpacker
):
    tree, all_of_it = source
    archive = build(builder, tree, here, me.home)
    cold = unpack(unpacker, archive, here / "cold", me.home)
    assert run_small(cold, me.home) == (0, all_of_it)
    warmpack("amend", "-f", archive, "--source", tree, home=me.home)
    root = unpack(unpacker, archive, here / "warm", me.home)
    done = warmpack("restore", root, home=me.home)
    assert done.counts == (all_of_it, all_of_it)
    assert run_small(root, me.home) == (all_of_it, 0)


@pytest.mark.parametrize("builder, unpacker", [("bdist_egg", "unzip"), ("bdist_wheel", "pip"),
                                               ("tar", "tar")])
def test_caches_from_outside_the_tree_come_with_it(here, me, builder, unpacker):
    tree = write_small(here / "source")
    old, new = {"NUMBA_CACHE_DIR": here / "old"}, {"NUMBA_CACHE_DIR": here / "new"}
    all_of_it = run_small(tree, me.home, **old)[1]
    archive = build(builder, tree, here, me.home)
    cold = unpack(unpacker, archive, here / "cold", me.home)
    assert run_small(cold, me.home, **old) == (0, all_of_it)
    warmpack("amend", "-f", archive, "--source", tree, home=me.home, **old)
    root = unpack(unpacker, archive, here / "warm", me.home)
    done = warmpack("restore", root, home=me.home, **new)
    assert done.counts == (all_of_it, all_of_it)
    assert run_small(root, me.home, **new) == (all_of_it, 0)


def test_a_wheel_that_pip_has_installed_can_still_be_uninstalled(source, here, me):
    """pip removes what RECORD lists, the caches included."""
    tree, _ = source
    archive = build("bdist_wheel", tree, here, me.home)
    warmpack("amend", "-f", archive, "--source", tree, home=me.home)
    tool((PYTHON, "-m", "venv", "--system-site-packages", "{venv}"), here, me.home,
         venv=here / "venv")
    pip = ("{venv}/bin/pip", "-q", "--disable-pip-version-check")
    tool((*pip, "install", "--no-index", "--no-deps", "{archive}"), here, me.home,
         venv=here / "venv", archive=archive)
    (installed,) = (here / "venv").glob("lib/python3*/site-packages/pkg")
    warmpack("restore", installed.parent, home=me.home)
    tool((*pip, "uninstall", "-y", "app"), here, me.home, venv=here / "venv")
    assert not installed.exists() and not list(installed.parent.glob("app*"))
