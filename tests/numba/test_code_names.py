"""The names in caches: the module a function was compiled as, the functions that were compiled into
it, and the classes that Python imports to read the files. Judged by the Numba that made them.
"""

import json
import re
import subprocess
from pathlib import Path

import pytest
from harness import PYTHON, WARMPACK, environment

SHOW = Path(WARMPACK).parent / "tests" / "unit" / "show_code_names"

LOW = """\
import enum
from typing import NamedTuple
import numba

STEP = 3

class Point(NamedTuple):
    x: float
    y: float

class Colour(enum.IntEnum):
    red = 1

class Outer:
    class Inner(NamedTuple):
        x: float

@numba.njit
def step(x):
    if x > 10:
        raise ValueError("too much")
    return x + STEP

@numba.njit
def twice(x):
    return step(step(x))

def make(k):
    @numba.njit
    def inner(x):
        return x * k
    return inner
"""
GREEK = """\
import numba

@numba.njit
def größe(x):
    return x * 2
"""
HIGH = """\
import numba
from ..a_b import low
from ..é1 import größe

inner = low.make(5)

@numba.njit(cache=True)
def alone(x):
    return x + low.STEP

@numba.njit(cache=True)
def calls(x):
    return low.twice(x) + inner(x)

@numba.njit(cache=True)
def greek(x):
    return größe(x)

@numba.njit(cache=True)
def point(p):
    return p.x

@numba.njit(cache=True)
def nested(p):
    return p.x

@numba.njit(cache=True)
def colour(c):
    return c == low.Colour.red

@numba.vectorize(["float64(float64)"], cache=True)
def ufunc(x):
    return low.step(x)

@numba.guvectorize(["float64[:], float64[:]"], "(n)->(n)", cache=True)
def gufunc(x, out):
    for i in range(len(x)):
        out[i] = low.step(x[i])

def local():
    @numba.njit(cache=True)
    def closed(x):
        return low.step(x)
    return closed
"""
MAIN = """\
import numpy
from pkg.a_b import low
from pkg.sub import high

high.alone(1)
high.calls(1)
high.greek(1)
high.point(low.Point(1.0, 2.0))
high.nested(low.Outer.Inner(1.0))
high.colour(low.Colour.red)
high.ufunc(numpy.ones(3))
high.gufunc(numpy.ones(3))
high.local()(1)
"""
# Prints, for each file, what unpickling it looks up by name.
FIND = """\
import json, pickle, sys
from numba.core import types

class Finder(pickle.Unpickler):
    def find_class(self, module, name):
        self.found.add((module, name))
        return super().find_class(module, name)

for path in sys.argv[1:]:
    with open(path, "rb") as f:
        found = set()
        for _ in range(2 if path.endswith(".nbi") else 1):
            finder = Finder(f)
            finder.found = found
            finder.load()
    print(json.dumps(sorted(found)))
"""
MODULES = ("pkg.a_b.low", "pkg.é1")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("names")
    for name, text in {
        "__init__.py": "",
        "a_b/__init__.py": "",
        "a_b/low.py": LOW,
        "é1.py": GREEK,
        "sub/__init__.py": "",
        "sub/high.py": HIGH,
        "../main.py": MAIN,
    }.items():
        path = root / "pkg" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    python(root, "main.py")
    return root


def python(root, *words):
    env = environment(root, PYTHONPATH=root, PYTHONDONTWRITEBYTECODE=1)
    done = subprocess.run(
        [PYTHON, *words], cwd=root, env=env, check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


@pytest.fixture(scope="module")
def names(tree):
    """What is found in each file of the cache, by its name."""
    files = sorted((tree / "pkg" / "sub" / "__pycache__").iterdir())
    done = subprocess.run([SHOW, *files], stdout=subprocess.PIPE, check=True, encoding="utf-8")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return dict(zip((f.name for f in files), lines, strict=True))


def mangled(module):
    """As the mangler spells it: a byte that no name in C has as two digits."""
    return re.sub(rb"[^\w.]", lambda c: b"_%02x" % ord(c[0]), module.encode()).decode()


def of(names, function, suffix=".1.nbc"):
    (file,) = [n for n in names if n.startswith(function + "-") and n.endswith(suffix)]
    return names[file]


@pytest.mark.parametrize(
    "function", ["alone", "calls", "point", "colour", "ufunc", "gufunc", "local.locals.closed"]
)
def test_a_data_file_names_the_module_it_was_compiled_as(names, function):
    found = of(names, "high." + function)
    assert found["module"] == "pkg.sub.high"
    assert found["qualname"].split(".")[-1] == function.split(".")[-1]


@pytest.mark.parametrize(
    "function, called",
    [
        ("high.alone", set()),
        ("high.calls", {(name, "pkg.a_b.low") for name in ("step", "twice", "inner")}),
        ("high.greek", {("gr_c3_b6_c3_9fe", "pkg.é1")}),
        ("high.ufunc", {("step", "pkg.a_b.low")}),
        ("high.gufunc", {("step", "pkg.a_b.low")}),
        ("guf-high.gufunc", {("step", "pkg.a_b.low")}),
        ("high.local.locals.closed", {("step", "pkg.a_b.low")}),
    ],
)
def test_every_function_that_was_compiled_in_is_named_with_its_module(names, function, called):
    found = set()
    for f in of(names, function)["functions"]:
        # Up to 0.54 a number is behind the name, and $ before an escaped byte.
        path = f["path"].replace("$24", "\0").split("\0")[0].replace("$", "_")
        for module in MODULES:
            if path.startswith(mangled(module) + "."):
                found.add((path.split(".")[-1], module))
                assert f["module"] in (module, None)
    assert found == called


def test_a_script_is_named_as_the_module_it_ran_as(tree):
    (tree / "script.py").write_text(
        "import numba\n@numba.njit(cache=True)\ndef f(x):\n    return x\nf(1)\n"
    )
    python(tree, "script.py")
    (data,) = (tree / "__pycache__").glob("script.f-*.nbc")
    done = subprocess.run([SHOW, data], stdout=subprocess.PIPE, check=True)
    assert json.loads(done.stdout)["module"] == "__main__"


def test_what_python_looks_up_to_read_the_files_is_named(tree, names):
    files = sorted((tree / "pkg" / "sub" / "__pycache__").iterdir())
    lines = python(tree, "-c", FIND, *map(str, files)).splitlines()
    types = set()
    for file, line in zip(files, lines, strict=True):
        expected = {tuple(pair) for pair in json.loads(line)}
        found = {tuple(pair) for pair in names[file.name]["globals"]}
        assert expected <= found, file.name
        types |= {pair for pair in found if pair[0].startswith("pkg")}
    wanted = {("pkg.a_b.low", n) for n in ("Point", "Outer.Inner", "Colour")}
    assert wanted <= types
    for function in ("point", "nested", "colour"):
        of_key = {tuple(g) for g in of(names, "high." + function, ".nbi")["globals"]}
        assert of_key & wanted, function
