"""A tree of one module that is warmed in a second, for tests that need many."""

import os
import re
import subprocess
from pathlib import Path

from application import give_exact_times
from harness import LOADED, PYTHON, SAVED, environment

SOURCE = '''\
import os
import numpy as np
from numba import njit

HERE = __file__


@njit(cache=True)
def add(a, b):
    return a + b


@njit("float64(float64[::1])", cache=True)
def total(v):
    s = 0.0
    for x in v:
        s += x * x
    return s


@njit(cache=True)
def where():
    return HERE


add(1, 2)
total(np.arange(9.0))
where()
'''


def write_small(root):
    root = Path(root)
    (root / "pkg").mkdir(parents=True)
    (root / "pkg" / "__init__.py").write_text("")
    (root / "pkg" / "k.py").write_text(SOURCE)
    give_exact_times(root)
    return root


def run_small(root, home, **variables):
    """Imports the module; returns the number of overloads loaded and saved."""
    done = subprocess.run(
        [PYTHON, "-B", "-c", "import pkg.k"],
        env=environment(home, NUMBA_DEBUG_CACHE=1, PYTHONPATH=root, **variables),
        cwd=home,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return len(LOADED.findall(done.stdout)), len(SAVED.findall(done.stdout))


def cache_of(root):
    return Path(root) / "pkg" / "__pycache__"


def cpu_flags():
    """What the kernel says of the CPU, by the kernel's names."""
    found = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    return set(found.group(1).split()) if found else set()


def old(path, days=2):
    past = path.stat().st_mtime - days * 86400
    os.utime(path, (past, past))
