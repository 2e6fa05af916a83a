"""stats() counts what Numba itself loaded and compiled in this process."""

import json
import subprocess
from pathlib import Path

import pytest
import warmpack
from harness import PYTHON, WARMPACK, environment

SOURCE = """\
from numba import njit


@njit(cache=True)
def f(x):
    return x + 1


@njit
def g(x):
    return f(x) * 2
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "k.py").write_text(SOURCE)

    def run(code, *before):
        env = environment(tmp_path, PYTHONPATH=Path(warmpack.__file__).parents[1],
                          WARMPACK=WARMPACK)
        done = subprocess.run([*before, PYTHON, "-c", code], cwd=tmp_path, env=env, check=True,
                              stdout=subprocess.PIPE, text=True)
        return json.loads(done.stdout.splitlines()[-1])

    return run


COUNT = """
import json, warmpack
%s
print(json.dumps([warmpack.stats(), %s]))
"""


def test_loads_compilations_and_their_seconds_are_counted(run):
    first, _ = run(COUNT % ("warmpack.stats(); import k; k.f(1); k.f(1.5); k.g(1)", 0))
    assert (first["hits"], first["misses"]) == (0, 3) and first["seconds"] > 0.01
    second, _ = run(COUNT % ("warmpack.stats(); import k; k.f(1); k.f(1.5); k.g(1)", 0))
    assert (second["hits"], second["misses"]) == (2, 1)
    assert 0 < second["seconds"] < first["seconds"]


def test_what_was_before_the_first_call_is_counted_without_its_seconds(run):
    counted, _ = run(COUNT % ("import k; k.f(1)", 0))
    assert counted == {"hits": 0, "misses": 1, "seconds": 0}
    counted, _ = run(COUNT % ("import k; k.f(1); warmpack.stats(); k.f(1.5)", 0))
    assert (counted["hits"], counted["misses"]) == (1, 1) and counted["seconds"] > 0


def test_weak_references_are_not_what_they_refer_to(run):
    """Libraries keep proxies whose object is gone, which nobody may ask anything."""
    code = """
import weakref
import k
k.f(1)
class Gone: pass
gone, alive = weakref.proxy(Gone()), weakref.proxy(k.f)
"""
    counted, _ = run(COUNT % (code, 0))
    assert counted == {"hits": 0, "misses": 1, "seconds": 0}


def test_it_counts_the_same_beside_explain(run):
    counted, _ = run(COUNT % ("import k; k.f(1); k.g(1)", 0), WARMPACK, "explain", "-q")
    assert (counted["hits"], counted["misses"]) == (0, 2)


def test_a_call_adds_its_own_counts_to_an_accumulator_and_iterators_when_they_end(run):
    code = """
from warmpack import metrics
import k
class Sums(list):
    add = list.append
sums = Sums()
metrics.add_to(sums, k.f, 1)
found = metrics.add_to(sums, lambda items: (k.f(i) for i in items), [1.5, 2.5])
before = len(sums)
list(found)
metrics.add_to(sums, k.f, 2)
"""
    _, (before, sums) = run(COUNT % (code, "(before, sums)"))
    assert before == 1 and [s["misses"] for s in sums] == [1, 1]
    assert all(s["seconds"] > 0 and s["hits"] == 0 for s in sums)


def test_opentelemetry_is_asked_for_by_name_where_it_is_missing(run):
    code = """
try:
    warmpack.instrument()
    said = ""
except ImportError as error:
    said = str(error)
"""
    _, said = run(COUNT % (code, "said"))
    assert "opentelemetry" in said
