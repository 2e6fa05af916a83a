"""What inspect says of an index is what Python says after unpickling it with that very Numba."""

import hashlib
import json
import os
import pickle
import re
import subprocess

import pytest
from facts import facts
from harness import HERE, PYTHON, environment, run_numba, warmpack

# Arguments of every kind of type that a key can hold.
KINDS = '''\
from collections import namedtuple
from enum import Enum

import numpy as np
from numba import float64, int64, njit, optional, types, typed
from numba.experimental import structref
from numba.extending import overload


@structref.register
class PairType(types.StructRef):
    pass


class Pair(structref.StructRefProxy):
    def __new__(cls, a, b):
        return structref.StructRefProxy.__new__(cls, a, b)


structref.define_proxy(Pair, PairType, ["a", "b"])
Point = namedtuple("Point", ("x", "größe"))


class Colour(Enum):
    RED = 1


def literally_used(x):
    pass


@overload(literally_used)
def _literally_used(x):
    return lambda x: None


@njit(cache=True)
def one(a):
    return 1


@njit(cache=True)
def defaults(a, b=2.5, c=None, d="it's \\"x\\"\\n", e=(1, "z"), f=1 << 62):
    return a


@njit(cache=True)
def varied(*args):
    return len(args)


@njit(int64(types.FunctionType(int64(int64)), int64), cache=True)
def eager(f, x):
    return f(x)


@njit("optional(float64)(int64, unicode_type)", cache=True)
def text(a, b):
    return 1.0 if a else None


@njit(int64(optional(int64), types.DictType(types.unicode_type, float64[:, ::1])), cache=True)
def signed(a, b):
    return 0


@njit(int64(int64), cache=True)
def increment(x):
    return x + 1


def run():
    from numba import literally

    values = [
        1, 1.5, 1j, True, None, "a", b"a", (1, 2.0), (), (1,), ((1, (2, "x")), 3.0), range(3),
        slice(1, 2), Point(1, 2.0), Colour.RED, np.float32(1), np.datetime64(1, "s"),
        np.zeros((2, 2), order="F"), np.zeros(4)[::2], np.frombuffer(b"12345678"),
        np.zeros(2, dtype=[("größe", "i4"), ("u", "S3"), ("v", "U2", (2,))]), np.array(["ab"]),
        typed.List([1]), typed.Dict.empty(types.int64, types.float64[:]), [1], {1}, {1: 2}.keys,
        Pair(1, 2.0), memoryview(b"x"), np.nditer, types.int64, np.sin, len,
    ]
    count = 0
    for value in values:
        try:
            one(value)
            count += 1
        except Exception:  # a value that this Numba does not take
            pass
    defaults(1)
    defaults(1, 2)
    varied(1, "a", (2.0,))
    varied()
    eager(increment, 1)
    text(1, "x")
    yield "kinds", count > 20
'''


@pytest.fixture(scope="module")
def kinds(workspace):
    root = workspace / "kinds"
    (root / "kinds").mkdir(parents=True)
    (root / "home").mkdir()
    (root / "kinds" / "__init__.py").write_text("")
    (root / "kinds" / "varied.py").write_text(KINDS, encoding="utf-8")
    subprocess.run(
        [PYTHON, "-c", "from kinds import varied; assert all(ok for _, ok in varied.run())"],
        cwd=root,
        env=environment(root / "home", PYTHONPATH=root),
        check=True,
    )
    return root


def by_python(root, *paths):
    done = subprocess.run(
        [PYTHON, str(HERE / "unpickle_indexes.py"), str(root), *map(str, paths)],
        env=environment(root),
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


def by_inspect(document):
    said = {}
    for index in json.loads(document)["indexes"]:
        stamp = index["stamp"]
        assert index["error"] is None
        said[index["index"]] = {
            "numba": index["numba"],
            "python": index["python"],
            "stamp": stamp["sha256"]
            if stamp["kind"] == "content"
            else [float(stamp["mtime"]).hex(), stamp["size"]],
            "overloads": [
                {
                    "signature": o["signature"],
                    "magic": [o["triple"], o["cpu"], o["features"]],
                    "code": o["code"],
                    "data": o["data"],
                    "size": o["size"],
                }
                for o in index["overloads"]
            ],
        }
    return said


def without_addresses(signature):
    """The repr of a function has its address, in the process that saved it or in that of Python."""
    return re.sub(r"(<function \S+ at )0x[0-9a-f]+>", r"\1...>", signature)


def assert_agree(said, python):
    """Returns how many overloads there were of each form of signature."""
    forms = {}
    assert said.keys() == python.keys()
    for name, index in python.items():
        assert len(said[name]["overloads"]) == len(index["overloads"])
        for mine, its in zip(said[name]["overloads"], index["overloads"]):
            form = its.pop("form")
            forms[form] = forms.get(form, 0) + 1
            # What a class of the program's own prints of itself cannot be known.
            if its["signature"].startswith("(numba.PairType(") or "kinds.varied" in mine["signature"]:
                assert mine["signature"].startswith("(kinds.varied.PairType{"), mine
                mine["signature"] = its["signature"]
            mine["signature"] = without_addresses(mine["signature"])
            its["signature"] = without_addresses(its["signature"])
        assert said[name] == index, name
    return forms


def test_inspect_says_of_a_large_application_what_python_says(copied, me):
    done = warmpack("inspect", "--json", copied, home=me.home)
    forms = assert_agree(by_inspect(done.out), by_python(copied))
    assert set(forms) == {"tuple", "str", "Signature"}
    assert sum(forms.values()) > (50 if facts().pynndescent else 30)


@pytest.mark.numba_with("pynndescent")
def test_inspect_says_of_all_of_pynndescent_what_python_says(outside, me):
    """Its own index calls nearly everything; the caches lie in directories named by hash."""
    caches = outside.copies["caches"]
    done = warmpack("inspect", "--json", caches, home=me.home)
    said, python = by_inspect(done.out), by_python(caches)
    assert_agree(said, python)
    assert len(python) == outside.indexes
    assert sum(name.startswith("pynndescent_") for name in python) > 20


def test_inspect_says_of_types_of_every_kind_what_python_says(kinds):
    done = warmpack("inspect", "--json", kinds, home=kinds / "home")
    forms = assert_agree(by_inspect(done.out), by_python(kinds))
    assert sum(forms.values()) > 25


def test_inspect_of_an_archive_says_what_inspect_of_its_tree_says(in_tree, copied, me):
    tree = by_inspect(warmpack("inspect", "--json", copied, home=me.home).out)
    for archive in in_tree.archives.values():
        said = by_inspect(warmpack("inspect", "--json", "-f", archive, home=me.home).out)
        assert {name.partition("/")[2]: index for name, index in said.items()} == tree


def test_inspect_of_one_file_shows_a_table(copied, me):
    index = next((copied / "warmapp" / "__pycache__").glob("eager.cube-*.nbi"))
    said = warmpack("inspect", index, home=me.home).out
    assert said.startswith(str(index) + "\n")
    assert "overload  (float64,) -> float64\n" in said
    assert "overload  (int64,) -> int64\n" in said
    source = copied / "warmapp" / "eager.py"
    stamp = source.stat()
    if facts().content_stamps:
        assert hashlib.sha256(source.read_bytes()).hexdigest() in said
    else:
        assert "stamp     mtime %r (" % stamp.st_mtime in said
        assert ", %d bytes\n" % stamp.st_size in said


def test_inspect_executes_nothing_and_names_classes_it_does_not_know(here, me):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(here / "executed"),)

    index = here / "m.f-1.py311.nbi"
    key = (("a", Bomb(), 1.5, b"\x00'", None), ("cc", (8, 6)), ("x", "y"))
    index.write_bytes(pickle.dumps("0.56.4") + pickle.dumps(((1.5, 1), {key: "m.f-1.py311.1.nbc"})))
    overload = json.loads(warmpack("inspect", "--json", index, home=me.home).out)["indexes"][0][
        "overloads"
    ][0]
    assert overload["signature"] == (
        "('a', posix.mkdir('%s',), 1.5, b\"\\x00'\", None)" % (here / "executed")
    ).replace("',)", "')")
    assert overload["cpu"] is None
    assert overload["target"] == "('cc', (8, 6))"
    assert overload["size"] is None
    assert not (here / "executed").exists()


def too_large(path):
    path.touch()
    os.truncate(path, 100 << 20)


def test_one_index_that_is_too_large_or_no_file_does_not_hide_the_others(copied, here, me):
    before = by_inspect(warmpack("inspect", "--json", copied, home=me.home).out)
    bad = copied / "warmapp" / "__pycache__" / "x.f-1.py311.nbi"
    too_large(bad)
    archive = here / "a.tgz"
    subprocess.run(["tar", "czf", archive, "-C", copied, "."], check=True)
    for words, said in (([copied], "File too large"), (["-f", archive], "too large for an index")):
        done = warmpack("inspect", "--json", *words, home=me.home, expect=1)
        indexes = json.loads(done.out)["indexes"]
        assert [i["index"].rpartition("/")[2] for i in indexes if i["error"]] == [bad.name]
        assert said in next(i["error"] for i in indexes if i["error"])
        assert len(indexes) == len(before) + 1
        assert warmpack("env", *words, home=me.home).err.count("left out: ") == 1
        assert said in warmpack("verify", *words, home=me.home, expect=1).out
    done = warmpack("inspect", bad, home=me.home, expect=2)
    assert str(bad) in done.err and "File too large" in done.err


def test_inspect_names_what_cannot_be_read_and_exits_1(copied, me):
    index = next((copied / "warmapp" / "__pycache__").glob("eager.cube-*.nbi"))
    index.write_bytes(index.read_bytes()[:-1])
    done = warmpack("inspect", "--json", copied, home=me.home, expect=1)
    broken = [i for i in json.loads(done.out)["indexes"] if i["error"]]
    assert [i["index"] for i in broken] == [os.path.relpath(index, copied)]
    assert "1 of them corrupt" in done.err


def test_diff_names_the_overloads_that_an_index_gained_and_lost(tmp_path):
    tree = tmp_path / "app"
    tree.mkdir()
    (tree / "k.py").write_text("from numba import njit\n@njit(cache=True)\ndef f(x):\n    return x\n")

    def call(argument):
        subprocess.run([PYTHON, "-c", f"import k; k.f({argument})"], cwd=tree, check=True,
                       env=environment(tmp_path))

    def diff(*sides):
        done = warmpack("diff", "--json", *sides, home=tmp_path, expect=1)
        return json.loads(done.out)

    call("1")
    warmpack("create", "-q", "-f", tmp_path / "before.tgz", "-C", tmp_path, "app", home=tmp_path)
    call("1.5")
    found = diff(tmp_path / "before.tgz", tree)
    index, = [d for d in found["differences"] if d["path"].endswith(".nbi")]
    assert [o["signature"] for o in index["gained"]] == ["(float64,)"] and index["lost"] == []
    assert (found["summary"]["gained"], found["summary"]["lost"]) == (1, 0)
    found = diff(tree, tmp_path / "before.tgz")
    index, = [d for d in found["differences"] if d["path"].endswith(".nbi")]
    assert [o["signature"] for o in index["lost"]] == ["(float64,)"] and index["gained"] == []
    # Only the stamp is another one.
    warmpack("create", "-q", "-f", tmp_path / "after.tgz", "-C", tmp_path, "app", home=tmp_path)
    os.utime(tree / "k.py", ns=(0, 10**18))
    for name in os.listdir(tree / "__pycache__"):
        os.unlink(tree / "__pycache__" / name)
    call("1")
    call("1.5")
    found = diff(tmp_path / "after.tgz", tree)
    by_content = {i["stamp"]["kind"] for i in json.loads(
        warmpack("inspect", "--json", tree, home=tmp_path).out)["indexes"]} == {"content"}
    assert {(d["change"], d["path"].rpartition(".")[2]) for d in found["differences"]
            if not d["path"].endswith((".pyc", ".nbc"))} == (
                {("time", "py")} if by_content else {("time", "py"), ("time", "nbi")})
