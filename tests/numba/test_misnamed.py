"""Caches with which Numba raises an error in the program are named, and no other is: code compiled
as a module that Python does not find, and classes that are gone from theirs."""

import json
import os
import subprocess

import pytest
from harness import LOADED, PYTHON, environment, warmpack

UTIL = """\
from numba import njit

@njit(cache=True)
def f(x):
    return x + 1
"""
SCRIPT = """\
from numba import jit, njit
from util import f

def helper(x):
    return x + 5

@njit(cache=True)
def fast(x):
    return x * 2

@jit(forceobj=True, cache=True)
def slow(x):
    return helper(x)

if __name__ == "__main__":
    print(f(1), fast(2), slow(3))
"""
SHAPES = """\
from collections import namedtuple
Old = namedtuple("Old", "x y")
New = namedtuple("New", "x y z")
"""
TOTAL = """\
from numba import njit

@njit(cache=True)
def total(t):
    return t.x + t.y
"""


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for directory in [path, *path.parents]:
            if directory == root.parent:
                break
            os.utime(directory, (1.7e9 + 0.5, 1.7e9 + 0.5))
    return root


def run(words, me, root, path=None, debug=False):
    variables = {"NUMBA_DEBUG_CACHE": 1} if debug else {}
    return subprocess.run(
        [PYTHON, "-B", *words],
        env=environment(me.home, PYTHONPATH=path or root, **variables),
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def statuses(root, me):
    done = warmpack("verify", "--json", root, home=me.home, expect=None)
    said = json.loads(done.out)["indexes"]
    assert done.code == any(i["status"] != "valid" for i in said)
    return {i["index"].rpartition("/")[2].split("-")[0]: i for i in said}


@pytest.fixture
def script(here, me):
    """A package whose script was run, and not the package imported."""
    files = {"package/__init__.py": "", "package/util.py": UTIL, "package/script.py": SCRIPT}
    root = write(here / "app", files)
    done = run(["package/script.py"], me, root)
    assert done.stdout == "2 4 8\n", done.stdout
    return root


def test_code_compiled_under_a_name_that_is_not_imported_is_misnamed(script, here, me):
    call = "import package.util as u; u.f(1)"
    assert "No module named 'util'" in run(["-c", call], me, script).stdout
    index = statuses(script, me)["util.f"]
    assert index["status"] == "misnamed"
    assert index["reason"] == "compiled as util; importing it as package.util raises an error"
    shown = warmpack("inspect", script, home=me.home).out
    assert "    module  util\n" in shown and "    module  __main__\n" in shown

    archive = here / "a.tgz"
    done = warmpack(
        "create", "--strict", "-f", archive, "-C", script, "package", home=me.home, expect=2
    )
    assert "misnamed: compiled as util" in done.err and not archive.exists()
    warmpack("create", "-f", archive, "-C", script, "package", home=me.home)
    done = warmpack("verify", "-f", archive, home=me.home, expect=1)
    assert "misnamed  package/__pycache__/util.f-" in done.out
    # Read as a whole it is judged alike.
    done = warmpack("verify", "-f", "-", home=me.home, expect=1, stdin=archive.read_bytes())
    assert "misnamed  package/__pycache__/util.f-" in done.out
    document = json.loads(warmpack("verify", "--json", "-f", archive, home=me.home, expect=1).out)
    found = [i["status"] for i in document["indexes"] if "/util.f-" in i["index"]]
    assert found == ["misnamed"]


def test_amend_leaves_what_is_misnamed_behind(script, here, me):
    archive = here / "a.tgz"
    subprocess.run(
        ["tar", "--exclude=__pycache__", "-czf", archive, "-C", script, "package"], check=True
    )
    done = warmpack("amend", "-f", archive, "--source", script, home=me.home)
    assert "misnamed" in done.err and "left behind" in done.err
    listed = warmpack("list", "-f", archive, home=me.home).out
    assert "util.f-" not in listed and "script.fast-" in listed


def test_code_of_main_is_misnamed_only_where_importing_it_fails(script, me):
    """Every program has a module __main__; object mode looks for globals in it."""
    write(script, {"util.py": UTIL})
    names = {name: i["status"] for name, i in statuses(script, me).items()}
    assert names["script.fast"] == "valid" and names["script.slow"] == "misnamed"
    call = "import package.script as s; print(s.%s(3))"
    done = run(["-c", call % "fast"], me, script, debug=True)
    assert LOADED.search(done.stdout) and done.stdout.endswith("\n6\n")
    assert "name 'helper' is not defined" in run(["-c", call % "slow"], me, script).stdout


DYNAMIC = "import sys; sys.path.insert(0, __path__[0])\n"


@pytest.mark.parametrize("namespace", ["{}", "{'__name__': __name__}"])
def test_what_exec_ran_without_a_name_is_misnamed(here, me, namespace):
    """Numba imports the module that the code says to be of, and None is none."""
    root = write(here / "app", {"made.py": "def f(x):\n    return x + 1\n", "load.py": (
        "from numba import njit\n"
        "path = __file__.replace('load', 'made')\n"
        f"names = {namespace}\n"
        "exec(compile(open(path).read(), path, 'exec'), names)\n"
        "print(njit(cache=True)(names['f'])(1))\n")})  # fmt: skip
    assert run(["-c", "import load"], me, root).stdout == "2\n"
    again = run(["-c", "import load"], me, root, debug=True)
    raises = again.returncode != 0
    assert raises == (namespace == "{}") and raises == (not LOADED.search(again.stdout))
    index = statuses(root, me)["made.f"]
    assert index["status"] == ("misnamed" if raises else "valid")
    assert not raises or "without a __name__" in index["reason"]
    warmpack("create", "-f", here / "a.tgz", "-C", root, ".", home=me.home)
    done = warmpack("extract", "-f", here / "a.tgz", "-C", here / "new", home=me.home)
    assert done.counts == (0 if raises else 1, 1) and raises == ("1 misnamed" in done.err)
    done = warmpack("restore", here / "new", home=me.home)
    assert done.counts == (0 if raises else 1, 1) and raises == ("1 misnamed" in done.err)
    # What has taken its place is judged for itself.
    for path in (here / "new/__pycache__").glob("made.f-*"):
        path.unlink()
    program = (here / "new/load.py").read_text().replace(namespace, "{'__name__': 'made'}")
    program = program.replace("__file__", repr(str(here / "new/load.py")))
    assert run(["-c", program], me, here / "new").stdout == "2\n"
    assert warmpack("restore", here / "new", home=me.home).counts == (1, 1)


def test_no_name_by_which_a_source_is_imported_is_misnamed(here, me):
    """From a directory that is no package, one named site-packages, a namespace package, a package
    that puts itself on the path, and by a name that only an import hook knows."""
    files = {
        "lib/one/__init__.py": "",
        "lib/one/m1.py": UTIL,
        "x/__init__.py": "",
        "x/site-packages/__init__.py": "",
        "x/site-packages/m2.py": UTIL,
        "space/m3.py": UTIL,
        "self/__init__.py": DYNAMIC,
        "self/m4.py": UTIL,
        "hooked/__init__.py": "",
        "hooked/m5.py": UTIL,
    }
    root = write(here / "app", files)
    call = (
        "import importlib.util, sys\n"
        "spec = importlib.util.spec_from_file_location('another.m5', 'hooked/m5.py')\n"
        "m5 = sys.modules['another.m5'] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(m5)\n"
        "import one.m1, m2, space.m3, self, m4\n"
        "for m in one.m1, m2, space.m3, m4, m5: m.f(1)\n"
    )
    path = "%s:%s:%s" % (root, root / "lib", root / "x" / "site-packages")
    assert run(["-c", call], me, root, path).stdout == ""
    found = statuses(root, me)
    assert len(found) == 5 and {i["status"] for i in found.values()} == {"valid"}
    assert len(LOADED.findall(run(["-c", call], me, root, path, debug=True).stdout)) == 5


@pytest.fixture
def shapes(here, me):
    files = {"pkg/__init__.py": "", "pkg/k.py": TOTAL, "pkg/shapes.py": SHAPES}
    root = write(here / "app", files)
    call = "import pkg.k as k, pkg.shapes as s; k.total(s.Old(1, 2)); k.total(s.New(1, 2, 3))"
    assert run(["-c", call], me, root).stdout == ""
    return root


CALL = "import pkg.k as k, pkg.shapes as s; print(k.total(s.New(1, 2, 3)))"


def test_a_class_that_is_gone_is_type_missing(shapes, here, me):
    assert statuses(shapes, me)["k.total"]["status"] == "valid"
    write(shapes, {"pkg/shapes.py": SHAPES.replace("Old", "Older")})
    assert "Can't get attribute 'Old'" in run(["-c", CALL], me, shapes).stdout
    index = statuses(shapes, me)["k.total"]
    assert index["status"] == "type-missing" and "Old of pkg/shapes.py" in index["reason"]
    done = warmpack(
        "create", "--strict", "-f", here / "a.tgz", "-C", shapes, "pkg", home=me.home, expect=2
    )
    assert "type-missing" in done.err
    warmpack("verify", "--fix", shapes, home=me.home)
    assert run(["-c", CALL], me, shapes).stdout == "3\n"


def test_a_class_whose_module_is_gone_is_type_missing(here, me):
    """Not where a source of the package makes the module, and Numba loads the code."""
    files = {
        "pkg/__init__.py": "",
        "pkg/k.py": TOTAL,
        "pkg/sub/__init__.py": "",
        "pkg/sub/shapes.py": SHAPES.replace("pkg.shapes", "pkg.sub.shapes"),
    }
    root = write(here / "app", files)
    call = "import pkg.k as k, pkg.sub.shapes as s; print(k.total(s.New(1, 2, 3)))"
    assert run(["-c", call], me, root).stdout == "3\n"
    assert statuses(root, me)["k.total"]["status"] == "valid"
    os.rename(root / "pkg/sub/shapes.py", root / "pkg/shapes.py")
    moved = "import pkg.k as k, pkg.shapes as s; print(k.total(s.New(1, 2, 3)))"
    assert "No module named 'pkg.sub.shapes'" in run(["-c", moved], me, root).stdout
    index = statuses(root, me)["k.total"]
    assert index["status"] == "type-missing"
    assert "New of pkg.sub.shapes, which the tree does not have" in index["reason"]

    made = "import sys\nimport pkg.shapes\nsys.modules['pkg.sub.shapes'] = pkg.shapes\n"
    write(root, {"pkg/sub/names.py": made})
    done = run(["-c", "import pkg.sub.names, " + call[len("import ") :]], me, root, debug=True)
    assert LOADED.search(done.stdout) and done.stdout.endswith("\n3\n"), done.stdout
    assert statuses(root, me)["k.total"]["status"] == "valid"


def test_a_class_of_a_module_that_another_part_of_the_package_makes_is_not_missing(here, me):
    files = {
        "pkg/__init__.py": "",
        "pkg/k.py": TOTAL,
        "pkg/old/__init__.py": "",
        "pkg/shapes.py": SHAPES.replace('")', '", module="pkg.old.shapes")'),
        "pkg/compat.py": "import sys\nfrom . import shapes\n"
        "sys.modules['pkg.old.shapes'] = shapes\n",
    }
    root = write(here / "app", files)
    call = "import pkg.compat, pkg.k as k, pkg.shapes as s; print(k.total(s.New(1, 2, 3)))"
    assert run(["-c", call], me, root).stdout == "3\n"
    done = run(["-c", call], me, root, debug=True)
    assert LOADED.search(done.stdout) and done.stdout.endswith("\n3\n"), done.stdout
    assert statuses(root, me)["k.total"]["status"] == "valid"


@pytest.mark.parametrize("other", [{}, {"lib/utils/shapes.py": "x = 1\n"}])
def test_a_class_of_a_package_that_python_finds_elsewhere_first_is_not_missing(here, me, other):
    """Unless the source imports the package itself: then the tree's is meant."""
    files = {
        "lib/pkg/__init__.py": "",
        "lib/pkg/k.py": TOTAL,
        "lib/utils/__init__.py": "",
        "app/utils/__init__.py": "",
        "app/utils/shapes.py": SHAPES,
        **other,
    }
    root = write(here / "app", files)
    call = "import pkg.k as k, utils.shapes as s; print(k.total(s.New(1, 2, 3)))"
    path = "%s:%s" % (root / "app", root / "lib")
    assert run(["-c", call], me, root, path).stdout == "3\n"
    done = run(["-c", call], me, root, path, debug=True)
    assert LOADED.search(done.stdout) and done.stdout.endswith("\n3\n"), done.stdout
    assert statuses(root, me)["k.total"]["status"] == "valid"

    write(root, {"lib/pkg/k.py": "import utils\n" + TOTAL, "lib/utils/shapes.py": SHAPES})
    assert run(["-c", call], me, root, root / "lib").stdout == "3\n"
    write(root, {"lib/utils/shapes.py": "x = 1\n"})
    assert "no attribute 'New'" in run(["-c", call], me, root, root / "lib").stdout
    assert "type-missing" in {i["status"] for i in statuses(root, me).values()}


@pytest.mark.parametrize(
    "text",
    [
        "from .old import *\n",
        "from . import old\nfor n in vars(old):\n    globals().setdefault(n, vars(old)[n])\n",
        "import sys\nfrom . import old\nsys.modules[__name__] = old\n",
    ],
)
def test_a_class_that_a_module_has_in_another_way_is_not_missing(shapes, me, text):
    old = SHAPES.replace('")', '", module="pkg.shapes")')
    write(shapes, {"pkg/shapes.py": text, "pkg/old.py": old})
    done = run(["-c", CALL], me, shapes, debug=True)
    assert LOADED.search(done.stdout) and done.stdout.endswith("\n3\n"), done.stdout
    assert statuses(shapes, me)["k.total"]["status"] == "valid"
