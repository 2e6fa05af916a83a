"""Calls some functions of umap, stumpy and librosa, caching all that Numba can cache, and prints
their results, and for each function that was called whether its cache was hit.

    calls.py LIBRARY...
"""

import json
import sys
import warnings

warnings.simplefilter("ignore")

import numpy as np  # noqa: E402
from numba.core.registry import CPUDispatcher  # noqa: E402

X = np.random.RandomState(1).rand(64)


def dispatchers(library):
    for name, module in sorted(sys.modules.items()):
        if name.split(".")[0] == library:
            for function in vars(module).values():
                if isinstance(function, CPUDispatcher) and function.py_func.__module__ == name:
                    yield "%s.%s" % (name, function.py_func.__qualname__), function


def cache_all(library):
    """Most of their functions are cached by those who use them alone."""
    for _, function in dispatchers(library):
        if not function.overloads and not function.targetoptions.get("parallel"):
            function.enable_caching()


def umap():
    from umap import distances, layouts, utils

    cache_all("umap")
    a, b = X[:8].copy(), X[8:16].copy()
    state = np.array([1, 2, 3], dtype=np.int64)
    yield from (distances.euclidean(a, b), distances.chebyshev(a, b), distances.hellinger(a, b))
    yield from (distances.correlation(a, b), utils.tau_rand_int(state), utils.tau_rand(state))
    yield from (utils.norm(a), layouts.rdist(a.astype(np.float32), b.astype(np.float32)))


def stumpy():
    from stumpy import core

    cache_all("stumpy")
    yield from core._sliding_dot_product(X[:4].copy(), X)
    yield from core._p_norm_distance_profile(X[:4].copy(), X)


def librosa():
    from librosa import sequence, util

    cache_all("librosa")
    costs, path = sequence.dtw(X[None, :16], X[None, 16:40])
    yield from costs.ravel()
    yield from path.ravel()
    yield from util.localmax(X)
    yield from util.localmin(X)


def called(library):
    results = [float(value) for value in globals()[library]()]
    hits = {
        name: not function.stats.cache_misses
        for name, function in dispatchers(library)
        if function.overloads and function.stats.cache_path
    }
    return {"results": results, "hits": hits}


if __name__ == "__main__":
    print(json.dumps({library: called(library) for library in sys.argv[1:]}))
