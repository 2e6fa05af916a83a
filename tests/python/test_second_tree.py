"""activate() of a second tree in a living process: the first one's modules never answer for it.

That Numba's machine code follows is tests/numba/test_second_release.py's.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import warmpack
from harness import PYTHON

PACKAGE = Path(warmpack.__file__).parents[1]


def pack(place, files):
    """An archive of PLACE, with the modules FILES: path without suffix, and text."""
    for name, text in files.items():
        path = place / (name + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    archive = place.with_suffix(".tgz")
    warmpack.create(archive, place.name, directory=place.parent)
    return str(archive)


def package(number):
    value = "VALUE = %d" % number
    return {"pkg/__init__": "", "pkg/k": value, "pkg/late": value}


@pytest.fixture
def two(tmp_path):
    """Two releases of one application, of which the first has a module more."""
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    return (pack(tmp_path / "1" / "app", {"only_here": "import pkg.k", **package(1)}),
            pack(tmp_path / "2" / "app", package(2)))


def run(tmp_path, code, *archives):
    """Runs CODE, in which one(), two()... activate the ARCHIVES; returns what it says."""
    head = ["import json, os, sys, warmpack", "said = []"]
    for name, archive in zip(("one", "two", "three"), archives):
        place = str(tmp_path / "place" / Path(archive).parent.name)
        head.append("def %s(**how): return warmpack.activate(%r, %r, **how)"
                    % (name, archive, place))
    env = dict(os.environ, PYTHONPATH=str(PACKAGE))
    done = subprocess.run([PYTHON, "-B", "-c", "\n".join([*head, code, "print(json.dumps(said))"])],
                          env=env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_modules_of_an_earlier_tree_are_an_error_that_names_them_and_nothing_is_set(two, tmp_path):
    said, _ = run(tmp_path, """
one()
import pkg.k
before = list(sys.path), dict(os.environ), sys.modules["pkg.k"]
try: two()
except warmpack.Error as error: said.append(str(error))
said.append(before == (list(sys.path), dict(os.environ), sys.modules["pkg.k"]))
""", *two)
    assert "pkg, pkg.k: imported from %s/place/1/app" % tmp_path in said[0]
    assert "start a new process" in said[0] and said[1] is True


def test_a_tree_of_which_nothing_was_imported_is_no_hindrance(two, tmp_path):
    said, _ = run(tmp_path, "one(); two(); import pkg.k; said.append(pkg.k.VALUE)", *two)
    assert said == [2]


def test_replaced_modules_are_imported_anew_and_come_back_with_their_tree(two, tmp_path):
    said, _ = run(tmp_path, """
one(replace_modules=True)
import pkg.k, only_here
first = pkg
two(replace_modules=True)
import pkg.k, pkg.late
said += [pkg.k.VALUE, pkg.late.VALUE, "only_here" in sys.modules]
try: import only_here
except ImportError: said.append("gone")
one(replace_modules=True)
import pkg.k, pkg.late
said += [pkg is first, pkg.k.VALUE, pkg.late.VALUE, "only_here" in sys.modules]
""", *two)
    assert said == [2, 2, False, "gone", True, 1, 1, True]


def test_another_archive_at_the_same_place_is_another_tree(two, tmp_path):
    said, _ = run(tmp_path, """
place = "place/1"
one()
import pkg.k
one()
try: warmpack.activate(%r, place)
except warmpack.Error as error: said.append(str(error))
warmpack.activate(%r, place, replace_modules=True)
import pkg.k
said.append(pkg.k.VALUE)
""" % (two[1], two[1]), *two)
    assert "was activated before with other content" in said[0] and said[1] == 2


def test_trees_without_a_common_module_are_used_together(two, tmp_path):
    (tmp_path / "3").mkdir()
    other = pack(tmp_path / "3" / "other", {"more/__init__": "", "more/k": "VALUE = 3"})
    said, _ = run(tmp_path, """
one()
import pkg.k
two()
import more.k, pkg.late
said += [pkg.late.VALUE, more.k.VALUE]
""", two[0], other)
    assert said == [1, 3]


def test_a_namespace_package_is_shared_and_its_parts_are_not(tmp_path):
    archives = []
    for number, part in ((1, "lib"), (2, "app"), (3, "lib")):
        (tmp_path / str(number)).mkdir()
        files = {"corp/%s/__init__" % part: "", "corp/%s/k" % part: "VALUE = %d" % number}
        archives.append(pack(tmp_path / str(number) / "tree", files))
    said, _ = run(tmp_path, """
one()
import corp.lib.k
two()
import corp.app.k
said += [corp.lib.k.VALUE, corp.app.k.VALUE]
three(replace_modules=True)
from corp import lib
import corp.lib.k
said += [lib is corp.lib, corp.lib.k.VALUE, corp.app.k.VALUE]
""", *archives)
    assert said == [1, 2, True, 3, 2]


def test_compiled_modules_cannot_be_replaced_and_are_named(tmp_path):
    archives = []
    where = "import sysconfig; print(sysconfig.get_config_var('DESTSHARED'))"
    folder = Path(subprocess.check_output([PYTHON, "-c", where], text=True).strip())
    (compiled,) = folder.glob("_xxtestfuzz*.so")
    for number in (1, 2):
        tree = tmp_path / str(number) / "app"
        tree.mkdir(parents=True)
        shutil.copy2(compiled, tree)
        archives.append(pack(tree, {"other": "VALUE = 1"}))
    said, _ = run(tmp_path, """
one()
import _xxtestfuzz
said.append(_xxtestfuzz.__file__)
try: two(replace_modules=True)
except warmpack.Error as error: said.append(str(error))
""", *archives)
    assert said[0].startswith(str(tmp_path)) and "_xxtestfuzz of" in said[1] and "compiled" in said[1]


@pytest.mark.parametrize("of", ("its own", "numpy's"))
def test_a_tree_that_extended_numba_itself_cannot_be_replaced(tmp_path, of):
    text = """
import numpy as np
from numba import njit
from numba.extending import overload
def own(a): return %%d
@overload(%s)
def _(a): return lambda a: %%d
@njit
def call(): return %s(1)
""" % (("own", "own") if of == "its own" else ("np.linspace", "np.linspace"))
    archives = []
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        archives.append(pack(tmp_path / str(number) / "app", {"k": text % (number, number)}))
    said, _ = run(tmp_path, """
one()
import k
said.append(k.call())
try: two(replace_modules=True)
except warmpack.Error as error: said.append(str(error))
else:
    import k
    said.append(k.call())
""", *archives)
    assert said[0] == 1
    if of == "its own":
        assert said[1] == 2
    else:
        assert said[1].startswith("k of ") and "extended Numba" in said[1]


def test_modules_that_came_from_elsewhere_stay_and_are_told_of_once(two, tmp_path):
    (tmp_path / "elsewhere" / "pkg").mkdir(parents=True)
    (tmp_path / "elsewhere" / "pkg" / "__init__.py").write_text("")
    (tmp_path / "elsewhere" / "pkg" / "k.py").write_text("VALUE = 0\n")
    said, warned = run(tmp_path, """
sys.path.insert(0, "elsewhere")
import pkg.k
one(); one()
import pkg.k
said.append(pkg.k.VALUE)
""", *two)
    assert said == [0]
    assert warned.count("pkg: imported before") == 1
