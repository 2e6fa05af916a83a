"""A Python tree that uses every kind of Numba cache, written file by file with exact times.

Written by a generator, not kept as files, because a checkout gives every file the time of the
checkout: the whole point is sources whose modification time has an arbitrary number of
nanoseconds.
"""

import os
import random
import shutil
from pathlib import Path

PYNNDESCENT = Path("/usr/lib/python3/dist-packages/pynndescent")

# path below the top-level directory -> source text
MODULES = {}

MODULES["warmapp/__init__.py"] = '''\
"""A package with a kernel of its own, beside a module of the same name."""
from numba import njit


@njit(cache=True)
def twice(x):
    return x + x
'''

# The same function name as in __init__.py: Numba keeps the two apart by the file's name.
MODULES["warmapp/warmapp.py"] = '''\
from numba import njit


@njit(cache=True)
def twice(x):
    return 2 * x + 1000
'''

MODULES["warmapp/lazy.py"] = '''\
import numpy as np
from numba import njit


@njit(cache=True)
def add(a, b):
    return a + b


@njit(cache=True)
def inner(x):
    return x * x + 1


@njit(cache=True)
def total(values):
    s = 0.0
    for v in values:
        s += inner(v)
    return s


def run():
    yield "add int", add(1, 2)
    yield "add float", add(1.5, 2.0)
    yield "add complex", add(1j, 2.0)
    yield "add arrays", add(np.arange(4.0), np.ones(4)).tolist()
    yield "total", total(np.linspace(0.0, 1.0, 11))
    yield "total int", total(np.arange(5))
'''

MODULES["warmapp/eager.py"] = '''\
from numba import float64, int64, njit


@njit("int64(int64, int64)", cache=True)
def gcd(a, b):
    while b:
        a, b = b, a % b
    return a


@njit([float64(float64), int64(int64)], cache=True)
def cube(x):
    return x * x * x


@njit("float64(float64[::1])", fastmath=True, nogil=True, error_model="numpy", cache=True)
def norm(v):
    s = 0.0
    for i in range(v.shape[0]):
        s += v[i] * v[i]
    return s ** 0.5


def run():
    import numpy as np

    yield "gcd", gcd(1071, 462)
    yield "cube", (cube(3), cube(1.5))
    yield "norm", norm(np.array([3.0, 4.0]))
'''

MODULES["warmapp/closures.py"] = '''\
from numba import njit


def scaled(factor, offset):
    @njit(cache=True)
    def apply(x):
        return x * factor + offset

    return apply


class Namespace:
    @staticmethod
    @njit(cache=True)
    def method(x):
        return x - 7


def run():
    yield "closure 3", scaled(3, 1)(10)
    yield "closure 5", scaled(5, 2)(10)
    yield "method", Namespace.method(10)
'''

MODULES["warmapp/threads.py"] = '''\
import numpy as np
from numba import njit, prange


@njit(parallel=True, cache=True)
def squares(n):
    out = np.empty(n, np.int64)
    for i in prange(n):
        out[i] = i * i
    return out


def run():
    yield "parallel", int(squares(1000).sum())
'''

MODULES["warmapp/ufuncs.py"] = '''\
import numpy as np
from numba import cfunc, guvectorize, vectorize


@vectorize(["float64(float64, float64)", "int64(int64, int64)"], cache=True)
def clipped(a, b):
    return a if a < b else b


@vectorize(cache=True)
def dynamic(a):
    return a * 10


@guvectorize(["void(float64[:], float64, float64[:])"], "(n),()->(n)", cache=True)
def shift(row, by, out):
    for i in range(row.shape[0]):
        out[i] = row[i] + by


@cfunc("float64(float64, float64)", cache=True)
def callback(x, y):
    return x * 100 + y


def run():
    yield "vectorize", clipped(np.arange(4.0), 2.0).tolist()
    yield "vectorize int", clipped(np.arange(4), 2).tolist()
    yield "dynamic ufunc", dynamic(np.arange(3)).tolist()
    yield "guvectorize", shift(np.ones((2, 3)), np.array([1.0, 2.0])).tolist()
    yield "cfunc", callback.ctypes(4.0, 2.0)
'''

MODULES["warmapp/generators.py"] = '''\
from numba import njit


@njit(cache=True)
def countdown(n):
    while n > 0:
        yield n
        n -= 1


@njit(cache=True)
def drain(n):
    s = 0
    for v in countdown(n):
        s += v
    return s


def run():
    yield "generator", list(countdown(4))
    yield "generator within", drain(100)
'''

MODULES["warmapp/stencils.py"] = '''\
import numpy as np
from numba import njit, stencil


@stencil
def cross(a):
    return a[-1, 0] + a[1, 0] + a[0, -1] + a[0, 1]


@njit(cache=True)
def smooth(a):
    return cross(a)


def run():
    yield "stencil", smooth(np.arange(16.0).reshape(4, 4)).tolist()
'''

MODULES["warmapp/recursion.py"] = '''\
from numba import njit


@njit(cache=True)
def fibonacci(n):
    if n < 2:
        return n
    return fibonacci(n - 1) + fibonacci(n - 2)


def run():
    yield "recursion", fibonacci(15)
'''

MODULES["warmapp/records.py"] = '''\
import numpy as np
from numba import njit, types
from numba.typed import List

point = np.dtype([("x", np.float64), ("n", np.int32)])


@njit(cache=True)
def weigh(points):
    s = 0.0
    for p in points:
        s += p.x * p.n
    return s


@njit(cache=True)
def lengths(words):
    n = 0
    for w in words:
        n += len(w)
    return n


@njit(cache=True)
def push(items):
    items.append(41)
    return items[0] + len(items)


def run():
    yield "records", weigh(np.array([(1.5, 2), (2.5, 4)], dtype=point))
    yield "strings", lengths(("alpha", "beta"))
    yield "typed list", push(List.empty_list(types.int64))
'''

MODULES["warmapp/objects.py"] = '''\
from numba import jit


@jit(forceobj=True, cache=True)
def join(parts):
    return "-".join(parts)


def run():
    yield "object mode", join(["one", "two"])
'''

MODULES["warmapp/deep/__init__.py"] = ""
MODULES["warmapp/deep/deeper/__init__.py"] = ""
MODULES["warmapp/deep/deeper/kernel.py"] = '''\
from numba import njit

from warmapp.lazy import inner


@njit(cache=True)
def deepest(x):
    return inner(x) + 5
'''

MODULES["größe/__init__.py"] = ""
MODULES["größe/zähler.py"] = '''\
from numba import njit


@njit(cache=True)
def fläche(länge, höhe):
    return länge * höhe
'''

# Importable by name only through importlib, as plugin directories are.
MODULES["odd name-2/__init__.py"] = ""
MODULES["odd name-2/kern.py"] = '''\
from numba import njit


@njit(cache=True)
def odd(x):
    return x | 1
'''

MODULES["entry.py"] = '''\
"""Calls everything once; what a part returns is compared before and after a move."""
import hashlib
import importlib

PARTS = ("lazy", "eager", "closures", "threads", "ufuncs", "generators", "stencils",
         "recursion", "records", "objects")


def few():
    """A tenth of it, for where it matters only whether anything is loaded at all."""
    import warmapp
    import warmapp.lazy

    return [("package", repr(warmapp.twice(4))), ("lazy", repr(warmapp.lazy.add(1, 2)))]


def application():
    import warmapp
    import warmapp.warmapp as same_name

    results = [("package", repr(warmapp.twice(4))), ("same name", repr(same_name.twice(4)))]
    for part in PARTS:
        module = importlib.import_module("warmapp." + part)
        results += [(name, repr(value)) for name, value in module.run()]
    for name, function, arguments in (
        ("warmapp.deep.deeper.kernel", "deepest", (3,)),
        ("warmapp.alias", "deepest", (4,)),
        ("größe.zähler", "fläche", (3, 4)),
        ("odd name-2.kern", "odd", (8,)),
    ):
        module = importlib.import_module(name)
        results.append((name, repr(getattr(module, function)(*arguments))))
    return results


def sample():
    import numpy as np

    return np.random.RandomState(7).normal(size=(200, 8)).astype(np.float32)


def digest(values):
    import numpy as np

    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def neighbours():
    """The nearest of the points that share a leaf with the query in a forest of pynndescent's."""
    import numpy as np
    from pynndescent import rp_trees, utils

    data = sample()
    state = np.array([1, 2, 3], dtype=np.int64)
    forest = rp_trees.make_forest(data, 6, 3, 20, state, np.random.RandomState(3), n_jobs=1)
    leaves = rp_trees.rptree_leaf_array(forest)
    heap = utils.make_heap(len(data), 6)
    for leaf in leaves:
        members = leaf[leaf >= 0]
        for i in members:
            for j in members:
                distance = np.float32(((data[i] - data[j]) ** 2).sum())
                utils.checked_heap_push(heap[1][i], heap[0][i], distance, j)
    found, distances = utils.deheap_sort(heap[0], heap[1])
    return [("nearest", digest(found)), ("distances", digest(distances))]


def descent():
    """pynndescent's own index; most of it is compiled anew in every process, even in place."""
    import pynndescent

    index = pynndescent.NNDescent(sample(), n_neighbors=6, random_state=3, n_jobs=1)
    found, distances = index.neighbor_graph
    return [("nearest", digest(found)), ("distances", digest(distances))]
'''

# A symlinked module: stamped by its target, cached beside the link.
LINKS = {"warmapp/alias.py": "deep/deeper/kernel.py"}


def give_exact_times(root, seed=20220817):
    """Gives every .py file a time of its own whose nanoseconds no coarser clock can hold."""
    rng = random.Random(seed)
    for path in sorted(root.rglob("*.py")):
        if path.is_symlink():
            continue
        # The last digit is never 0: neither 100 ns, nor 1 us, nor 1 s are enough.
        nsec = rng.randrange(1, 10**8) * 10 + rng.randrange(1, 10)
        sec = rng.randrange(1_500_000_000, 1_750_000_000)
        os.utime(path, ns=(sec * 10**9 + nsec, sec * 10**9 + nsec))


def write_application(root):
    """Writes the tree into ROOT, which must not exist yet."""
    root = Path(root)
    root.mkdir(parents=True)
    for name, text in MODULES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for name, target in LINKS.items():
        (root / name).symlink_to(target)
    if PYNNDESCENT.is_dir():  # not in every release of Debian
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PYNNDESCENT, root / "pynndescent", ignore=ignore)
    (root / "settings.json").write_text('{"kernels": "all"}\n')
    give_exact_times(root)
    return root


if __name__ == "__main__":
    import sys

    write_application(sys.argv[1])
