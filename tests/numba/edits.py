"""Edits of a module that others were compiled with, each in a package of its own, so that one
process tries them all."""

from dataclasses import dataclass, field

LOW = """\
import collections
import enum

import numpy as np
from numba import njit, vectorize
from numba.extending import register_jitable

RATE = 1
LARGE = False
SHARE = 0.5
STEPS = (1, 2)
TABLE = np.array([1, 2, 3])
ROWS = np.zeros(1, np.dtype([("a", np.int64), ("b", np.int64)]))
ROWS[0] = (1, 2)


class Kind(enum.IntEnum):
    A = 1
    B = 2


Pair = collections.namedtuple("Pair", "x y")


@njit
def step(x):
    return x + 1


@njit
def scale(x, by=2):
    return x * by


@njit(inline="always")
def inlined(x):
    return x + 1


@njit(cache=True)
def kept(x):
    return x + 1


@register_jitable
def registered(x):
    return x + 1


@vectorize(["int64(int64)"])
def lifted(x):
    return x + 1


def make(k):
    @njit
    def made(x):
        return x + k + 1

    return made
"""
HIGH = """\
{imports}

from numba import njit


@njit(cache=True)
def total(x):
    return {result}
"""
APART = """\
from numba import njit


@njit(cache=True)
def alone(x):
    return x * 3
"""


@dataclass(frozen=True)
class Edit:
    """What high.py imports and returns, more files, and the files that the edit leaves behind it
    (None: it is gone). Text "OLD > NEW" is an edit of low.py. A file "-> PATH" is a symbolic link."""

    imports: str
    result: str
    edit: object
    files: dict = field(default_factory=dict)
    touches_high: bool = True  # is high.py's index one that depends on what is edited?

    def before(self, name):
        high = HIGH.format(imports=self.imports, result=self.result)
        files = {"__init__.py": "", "low.py": LOW, "high.py": high, "apart.py": APART}
        files.update(self.files)
        return {path: text.replace("PKG", name) for path, text in files.items()}

    def after(self, name):
        files = self.before(name)
        if isinstance(self.edit, str):
            old, new = self.edit.split(" > ")
            assert files["low.py"].count(old) >= 1, old
            files["low.py"] = files["low.py"].replace(old, new, 1)
            return files
        for path, text in self.edit.items():
            if text is None:
                del files[path]
            else:
                files[path] = text.replace("PKG", name)
        return files


STEP = "def step(x):\n    return x + 1 > def step(x):\n    return x + 2"
SHORT = {
    "constant": Edit("from PKG.low import RATE", "x + RATE", "RATE = 1 > RATE = 2"),
    "callee_body": Edit("from PKG.low import step", "step(x)", STEP),
    "default": Edit("from PKG.low import scale", "scale(x)", "by=2 > by=3"),
    "array": Edit("from PKG.low import TABLE", "x + TABLE[1]", "[1, 2, 3] > [1, 5, 3]"),
    "named_tuple": Edit("from PKG.low import Pair", "Pair(x, 7).x", '"x y" > "y x"'),
    "chain": Edit(
        "from PKG.middle import over", "over(x)", STEP,
        {"middle.py": "from numba import njit\nfrom .low import step\n\n\n@njit\ndef over(x):\n"
                      "    return step(x) * 10\n"},
    ),
    "re_export": Edit(
        "from PKG.sub import f", "f(x)", {"sub/__init__.py": "from .b import f\n"},
        {"sub/__init__.py": "from .a import f\n",
         "sub/a.py": "from ..low import step as f\n",
         "sub/b.py": "from ..low import scale as f\n"},
    ),
    "in_vain_until_added": Edit(
        "try:\n    from PKG.fast import RATE\nexcept ImportError:\n    from PKG.low import RATE",
        "x + RATE", {"fast.py": "RATE = 5\n"},
    ),
    "linked_directory": Edit(
        "from PKG.sub.deep import RATE", "x + RATE", {"shared/deep.py": "RATE = 22\n"},
        {"sub": "-> shared", "shared/deep.py": "RATE = 1\n"},
    ),
    "comment": Edit("from PKG.low import RATE", "x + RATE", "RATE = 1 > RATE = 1  # one"),
    "unrelated": Edit("from PKG.low import RATE", "x + RATE", {"other.py": "RATE = 9\n"},
                      {"other.py": "RATE = 8\n"}, touches_high=False),
}  # fmt: skip
ALL = {
    **SHORT,
    "signature": Edit("from PKG.low import scale", "scale(x)",
                      "scale(x, by=2):\n    return x * by > "
                      "scale(x, by=2, more=1):\n    return x * by + more"),
    "enum": Edit("from PKG.low import Kind", "x + Kind.B.value", "B = 2 > B = 4"),
    "star": Edit("from PKG.low import *", "x + RATE", "RATE = 1 > RATE = 2"),
    "relative": Edit("from .low import RATE", "x + RATE", "RATE = 1 > RATE = 2"),
    "relative_module": Edit("from . import low", "x + low.RATE", "RATE = 1 > RATE = 2"),
    "module_attribute": Edit("import PKG.low as low", "x + low.RATE", "RATE = 1 > RATE = 2"),
    "as_another": Edit("from PKG.low import RATE as R", "x + R", "RATE = 1 > RATE = 2"),
    "in_a_function": Edit(
        "def get():\n    from PKG.low import RATE\n    return RATE\n\n\nR = get()", "x + R",
        "RATE = 1 > RATE = 2"),
    "conditional": Edit("if True:\n    from PKG.low import RATE", "x + RATE",
                        "RATE = 1 > RATE = 2"),
    "importlib": Edit("import importlib\nRATE = importlib.import_module('PKG.low').RATE",
                      "x + RATE", "RATE = 1 > RATE = 2"),
    "dunder_import": Edit("RATE = __import__('PKG.low').low.RATE", "x + RATE",
                          "RATE = 1 > RATE = 2"),
    "executed": Edit("exec('from PKG.low import RATE')", "x + RATE", "RATE = 1 > RATE = 2"),
    "float": Edit("from PKG.low import SHARE", "x * SHARE", "SHARE = 0.5 > SHARE = 0.25"),
    "branch": Edit("from PKG.low import LARGE", "x * 9 if LARGE else x",
                   "LARGE = False > LARGE = True"),
    "tuple": Edit("from PKG.low import STEPS", "x + STEPS[1]", "(1, 2) > (1, 4)"),
    "longer_tuple": Edit("from PKG.low import STEPS", "x + len(STEPS)", "(1, 2) > (1, 2, 3)"),
    "array_type": Edit("from PKG.low import TABLE", "x + TABLE[1] / 2",
                       "np.array([1, 2, 3]) > np.array([1.5, 2.5, 3.5])"),
    "longer_array": Edit("from PKG.low import TABLE", "x + len(TABLE)",
                         "[1, 2, 3] > [1, 2, 3, 4]"),
    "record": Edit("from PKG.low import ROWS", "x + ROWS[0].a", "(1, 2)\n\n > (2, 1)\n\n"),
    "record_type": Edit("from PKG.low import ROWS", "x + ROWS[0].a",
                        '("a", np.int64), ("b", np.int64) > ("b", np.int64), ("a", np.int64)'),
    "inlined": Edit("from PKG.low import inlined", "inlined(x)",
                    "def inlined(x):\n    return x + 1 > def inlined(x):\n    return x + 2"),
    "cached_callee": Edit("from PKG.low import kept", "kept(x)",
                          "def kept(x):\n    return x + 1 > def kept(x):\n    return x + 2"),
    "registered": Edit("from PKG.low import registered", "registered(x)",
                       "def registered(x):\n    return x + 1 > "
                       "def registered(x):\n    return x + 2"),
    "lifted": Edit("from PKG.low import lifted", "lifted(x)",
                   "def lifted(x):\n    return x + 1 > def lifted(x):\n    return x + 2"),
    "factory": Edit("from PKG.low import make\nmade = make(3)", "made(x)",
                    "x + k + 1 > x + k + 2"),
    "moved": Edit("from PKG.low import step", "step(x)",
                  {"low.py": "from .lower import step\n",
                   "lower.py": "from numba import njit\n\n\n@njit\ndef step(x):\n"
                               "    return x + 8\n"}),
    "renamed": Edit("from PKG.low import RATE", "x + RATE",
                    {"low.py": None, "lower.py": "RATE = 6\n",
                     "high.py": HIGH.format(imports="from PKG.lower import RATE",
                                            result="x + RATE")}),
    "shadowed_by_a_package": Edit("from PKG.low import RATE", "x + RATE",
                                  {"low/__init__.py": "RATE = 7\n"}),
    "became_a_package": Edit("from PKG.low import RATE", "x + RATE",
                             {"low.py": None, "low/__init__.py": "RATE = 7\n"}),
    "circle": Edit("from PKG.ring import RATE", "x + RATE", "RATE = 1 > RATE = 2",
                   {"ring.py": "from .low import RATE\nfrom . import round\n",
                    "round.py": "from . import ring\n"}),
    "whitespace": Edit("from PKG.low import step", "step(x)", "RATE = 1\n > RATE = 1\n\n\n\n"),
    "computed": Edit("from PKG.low import STEPS\nS = sum(STEPS)", "x + S", "(1, 2) > (1, 4)"),
    "lambda": Edit("from numba import njit as jit\nfrom PKG.plain import f\ng = jit(f)", "g(x)",
                   {"plain.py": "f = lambda x: x + 2\n"}, {"plain.py": "f = lambda x: x + 1\n"}),
    "linked_directory_elsewhere": Edit(
        "from PKG.sub.deep import RATE", "x + RATE", {"sub": "-> newer"},
        {"sub": "-> older", "older/deep.py": "RATE = 1\n", "newer/deep.py": "RATE = 22\n"}),
    "out_of_a_linked_directory": Edit(
        "from PKG.sub.mid import R", "x + R", "RATE = 1 > RATE = 2",
        {"sub": "-> shared/deep", "shared/deep/mid.py": "from ..low import RATE as R\n"}),
    "linked_file": Edit("from PKG.now import RATE", "x + RATE", {"older.py": "RATE = 22\n"},
                        {"now.py": "-> older.py", "older.py": "RATE = 1\n"}),
    "linked_file_elsewhere": Edit(
        "from PKG.now import RATE", "x + RATE", {"now.py": "-> newer.py"},
        {"now.py": "-> older.py", "older.py": "RATE = 1\n", "newer.py": "RATE = 22\n"}),
    "linked_directory_by_links": Edit(
        "from PKG.sub.deep import RATE", "x + RATE", {"current": "-> newer"},
        {"sub": "-> current/lib", "current": "-> older", "older/lib/deep.py": "RATE = 1\n",
         "newer/lib/deep.py": "RATE = 22\n"}),
    "linked_directory_of_links": Edit(
        "from PKG.sub.deep.at import RATE", "x + RATE", {"very/at.py": "RATE = 22\n"},
        {"sub": "-> targets", "targets/deep": "-> ../very", "very/at.py": "RATE = 1\n"}),
    "link_behind_a_linked_directory": Edit(
        "from PKG.sub.over.mid import R", "x + R", "RATE = 1 > RATE = 2",
        {"sub": "-> deep/er/in", "deep/er/in/over": "-> ../../../shared", "shared/__init__.py": "",
         "shared/mid.py": "from ...low import RATE as R\n"}),
    "in_vain_behind_a_linked_directory": Edit(
        "try:\n    from PKG.sub.fast import RATE\nexcept ImportError:\n    from PKG.low import RATE",
        "x + RATE", {"shared/fast.py": "RATE = 55\n"},
        {"sub": "-> shared", "shared/slow.py": "RATE = 1\n"}),
    "in_vain_until_linked": Edit(
        "try:\n    from PKG.sub.fast import RATE\nexcept ImportError:\n    from PKG.low import RATE",
        "x + RATE", {"sub": "-> shared"}, {"shared/fast.py": "RATE = 56\n"}),
    "linked_file_by_links": Edit(
        "from PKG.now import RATE", "x + RATE", {"current": "-> newer"},
        {"now.py": "-> current/at.txt", "current": "-> older", "older/at.txt": "RATE = 1\n",
         "newer/at.txt": "RATE = 22\n"}),
    "unrelated_added": Edit("from PKG.low import RATE", "x + RATE", {"new.py": "RATE = 3\n"},
                            touches_high=False),
}  # fmt: skip


# Packages of names that nobody has.
SHORT = {"of_" + name: edit for name, edit in SHORT.items()}
ALL = {"of_" + name: edit for name, edit in ALL.items()}


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    if text.startswith("-> "):
        path.unlink(missing_ok=True)
        path.symlink_to(text[3:])
    else:
        path.write_text(text)


def write(root, edits, after=False):
    """A tree in which each of EDITS is a package."""
    for name, edit in edits.items():
        files = edit.after(name) if after else edit.before(name)
        for path, text in files.items():
            put(root / name / path, text)
    (root / "run_edits.py").write_text(RUN)
    return root


RUN = """\
import importlib
import json
import sys

said = {}
for name in sys.argv[1:]:
    high = importlib.import_module(name + ".high")
    apart = importlib.import_module(name + ".apart")
    said[name] = {
        "total": float(high.total(5)),
        "alone": apart.alone(5),
        "total_hit": sum(high.total.stats.cache_hits.values()),
        "alone_hit": sum(apart.alone.stats.cache_hits.values()),
    }
print(json.dumps(said))
"""
