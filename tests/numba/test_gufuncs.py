"""Gufuncs: the code of the wrapper calls that of the kernel by a symbol which is another one in each
process, and the two lie in indexes of their own. One without the other ends the program."""

import os
import subprocess

import pytest
from harness import PYTHON, environment, warmpack

SOURCE = """\
import numpy as np
from numba import guvectorize


@guvectorize(["(f8[:], f8[:])"], "(n)->(n)", cache=True)
def plus(x, out):
    for i in range(x.shape[0]):
        out[i] = x[i] + 1


print(plus(np.arange(3.0)).sum())
"""
SCRIPT = """\
from numba import njit


@njit(cache=True)
def f(x):
    return x


f(1)
"""


def run(tree, home):
    done = subprocess.run([PYTHON, "-c", "import pkg.k"], cwd=tree, env=environment(home),
                          capture_output=True, text=True, check=False)  # fmt: skip
    return done.returncode, done.stdout


@pytest.fixture
def tree(tmp_path):
    """A warm tree."""
    tree = tmp_path / "tree"
    (tree / "pkg").mkdir(parents=True)
    (tree / "pkg" / "__init__.py").touch()
    source = tree / "pkg" / "k.py"
    source.write_text(SOURCE)
    assert run(tree, tmp_path) == (0, "6.0\n")
    return tree


def kernel(tree, suffix):
    return next((tree / "pkg" / "__pycache__").glob("k.plus-*" + suffix))


def cut(tree):
    os.truncate(kernel(tree, ".1.nbc"), 100)


def lose_data(tree):
    kernel(tree, ".1.nbc").unlink()


def lose_index(tree):
    kernel(tree, ".nbi").unlink()


@pytest.mark.parametrize("harm", (cut, lose_data, lose_index), ids=lambda f: f.__name__)
def test_a_wrapper_without_its_kernel_is_corrupt_and_removed(tree, tmp_path, harm):
    harm(tree)
    done = warmpack("verify", tree, home=tmp_path, expect=1)
    assert "corrupt  pkg/__pycache__/guf-k.plus-" in done.out
    warmpack("create", "--strict", "-f", tmp_path / "a.tgz", "-C", tree, "pkg", home=tmp_path,
             expect=2)  # fmt: skip
    warmpack("create", "-f", tmp_path / "a.tgz", "-C", tree, "pkg", home=tmp_path)
    for more in ((), ("--json",)):
        assert "corrupt" in warmpack("verify", *more, "-f", tmp_path / "a.tgz", home=tmp_path,
                                     expect=1).out  # fmt: skip
    warmpack("verify", "--fix", tree, home=tmp_path, expect=None)
    assert not list((tree / "pkg" / "__pycache__").glob("guf-*"))
    assert run(tree, tmp_path) == (0, "6.0\n")
    assert warmpack("verify", tree, home=tmp_path).err == "2 of 2 cache indexes valid\n"


def test_a_kernel_without_its_wrapper_is_of_use(tree, tmp_path):
    next((tree / "pkg" / "__pycache__").glob("guf-*.nbi")).unlink()
    done = warmpack("verify", tree, home=tmp_path)
    assert "1 of 1 cache indexes valid" in done.err
    assert run(tree, tmp_path) == (0, "6.0\n")


def test_a_module_whose_name_begins_like_a_wrappers_has_no_kernel(tree, tmp_path):
    script = tree / "guf-tool.py"
    script.write_text(SCRIPT)
    for _ in range(2):
        subprocess.run([PYTHON, script], cwd=tree, env=environment(tmp_path), check=True)
    done = warmpack("verify", tree, home=tmp_path)
    assert "3 of 3 cache indexes valid" in done.err
