"""A process that takes the second release of a tree runs the second one's code, and the first one's
again when that is activated again. Numba links machine code by names that are equal in both."""

import json
import subprocess

import pytest
from application import give_exact_times
from harness import LOADED, PYTHON, REPOSITORY, SAVED, WARMPACK, environment, warmpack

LOW = '''\
from collections import namedtuple

import numba
import numpy as np

TABLE = np.arange(3) * {number}
Pair = namedtuple("Pair", "first second{number}")


@numba.njit(cache=True)
def step(a):
    if a > 100:  # a function that calls itself is not inlined into others
        return step(a - 1) + 1
    return a + {number}000


@numba.njit(cache=True)
def pair(a):
    return Pair(a, TABLE[a])


@numba.njit(cache=True)
def refuse(a):
    if a > 5:
        raise ValueError("release {number}")
    return a


@numba.vectorize(["int64(int64)"], cache=True)
def plus(a):
    return a + {number}
'''

HIGH = '''\
import numba

from .low import pair, plus, refuse, step


@numba.njit(cache=True)
def over_step(a):
    return step(a) * 2


def run():
    said = [over_step(10), over_step(200), step(10), pair(2)._asdict(), int(plus(1))]
    try:
        refuse(9)
    except ValueError as error:
        said.append(str(error))
    return said
'''

CALL = "import pkg.high, json; print(json.dumps(pkg.high.run(), default=int))"


def expected(number):
    plus = 1000 * number
    return [2 * (10 + plus), 2 * (200 + plus), 10 + plus,
            {"first": 2, "second%d" % number: 2 * number}, 1 + number, "release %d" % number]


def python(code, home, **variables):
    env = environment(home, NUMBA_DEBUG_CACHE=1, **variables)
    done = subprocess.run([PYTHON, "-B", "-c", code], env=env, cwd=home, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[") and
            not line.startswith("[cache]")]
    return said, len(LOADED.findall(done.stdout)), len(SAVED.findall(done.stdout))


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    base = tmp_path_factory.mktemp("releases")
    made = 0
    for number in (1, 2):
        tree = base / str(number) / "app"
        (tree / "pkg").mkdir(parents=True)
        (tree / "pkg" / "__init__.py").touch()
        # Of another size: Numba 0.68 reads a source of the same place, time and size once.
        (tree / "pkg" / "low.py").write_text(LOW.format(number=number) + "#" * number)
        (tree / "pkg" / "high.py").write_text(HIGH)
        give_exact_times(tree)
        said, _, made = python(CALL, base, PYTHONPATH=tree)
        assert said == [expected(number)]
        warmpack("create", "-q", "--strict", "-f", base / ("%d.tgz" % number), "-C", tree.parent,
                 "app", home=base)
    return base, made


def activations(base, place, turns):
    lines = ["import warmpack"]
    for number, directory in turns:
        lines.append("warmpack.activate(%r, %r, replace_modules=True)"
                     % (str(base / ("%d.tgz" % number)), str(place / directory)))
        lines.append(CALL)
    return "\n".join(lines)


@pytest.mark.parametrize("places", ("ab", "aa"), ids=("two places", "one place"))
def test_a_second_release_runs_its_own_code_from_its_caches(releases, tmp_path, places):
    base, made = releases
    turns = [(1, places[0]), (2, places[1]), (1, places[0]), (2, places[1])]
    code = activations(base, tmp_path, turns)
    said, loads, saves = python(code, tmp_path, PYTHONPATH=REPOSITORY / "python", WARMPACK=WARMPACK)
    assert said == [expected(number) for number, _ in turns]
    # What is brought back was loaded before; what was replaced on disk is loaded anew.
    assert (loads, saves) == ((2 if places == "ab" else 4) * made, 0)
