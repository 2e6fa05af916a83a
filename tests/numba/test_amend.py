"""Archives that other tools made, amended and then unpacked elsewhere."""

import os
import subprocess

import pytest
from arrivals import assert_as_in_place
from harness import PYTHON, environment, run_numba, warmpack

SETUP = """
import os
from setuptools import setup

packages = [
    os.path.relpath(directory).replace("/", ".")
    for directory, _, files in os.walk(".")
    if directory != "." and any(name.endswith(".py") for name in files)
]
modules = [name[:-3] for name in os.listdir() if name.endswith(".py") and name != "setup.py"]
setup(name="app", version="1", packages=packages, py_modules=modules, zip_safe=False)
"""


def bdist_egg(root, home):
    (root / "setup.py").write_text(SETUP)
    subprocess.run(
        [PYTHON, "setup.py", "-q", "bdist_egg"],
        cwd=root,
        env=environment(home),
        check=True,
        capture_output=True,
    )
    (egg,) = (root / "dist").glob("*.egg")
    return egg


def gnu_tar(root, home):
    """Without caches, as a build leaves them out, and with whole seconds."""
    archive = root.parent / "app.tgz"
    subprocess.run(
        ["tar", "--format=gnu", "--exclude=__pycache__", "-czf", archive, "-C", root, "."],
        env=environment(home),
        check=True,
    )
    return archive


def unpacked_and_run(archive, here, me, name):
    root = here / name
    done = warmpack("extract", "-f", archive, "-C", root, home=me.home)
    return root, done, run_numba(root, me)


@pytest.mark.parametrize("build", [bdist_egg, gnu_tar])
def test_an_amended_archive_arrives_warm_and_the_same_without_amending_does_not(
    in_tree, copied, here, me, build
):
    archive = build(copied, me.home)
    _, _, cold = unpacked_and_run(archive, here, me, "cold")
    assert cold.loads == 0 and cold.saves > 0
    done = warmpack("amend", "-f", archive, "--source", copied, home=me.home)
    assert done.counts == (in_tree.indexes, in_tree.indexes)
    first = archive.read_bytes()
    warmpack("amend", "-f", archive, "--source", copied, home=me.home)
    assert archive.read_bytes() == first
    root, done, run = unpacked_and_run(archive, here, me, "warm")
    assert done.counts == (in_tree.indexes, in_tree.indexes)
    assert_as_in_place(run, in_tree, root)


def test_caches_from_a_cache_directory_come_with_an_egg(outside, here, me):
    root = here / "build" / "app"
    root.parent.mkdir()
    subprocess.run(["cp", "-a", outside.copies["tree"], root], check=True)
    archive = bdist_egg(root, me.home)
    done = warmpack(
        *("amend", "-f", archive, "--source", root, "--cache-dir", outside.copies["caches"]),
        *("--source-root", outside.extra["source root"] / "app"),
        home=me.home,
    )
    assert done.counts == (outside.indexes, outside.indexes)
    root, done, run = unpacked_and_run(archive, here, me, "warm")
    assert done.counts == (outside.indexes, outside.indexes)
    assert_as_in_place(run, outside, root)
    assert not os.path.exists(root / "EGG-INFO" / "warmpack" / "cache")
