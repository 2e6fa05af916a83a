"""What code for a fleet of CPUs gives up: two loops over arrays, compiled for several CPUs.

    cpus.py [PYTHON]    of the interpreter with Numba, by default this one

Each number is the least of three processes, with 400 runs of 50 calls in each: what other programs
do on the machine does not count then.
"""

import os
import subprocess
import sys

CODE = """
import time
import numpy as np
from numba import njit

@njit(fastmath=True)
def dot(a, b, c):
    s = np.float32(0)
    for i in range(a.size):
        s += a[i] * b[i]
    return s

@njit(fastmath=True)
def fused(a, b, c):
    for i in range(a.size):
        c[i] += a[i] * b[i]

def least(function, *arrays):
    function(*arrays)
    times = []
    for _ in range(400):
        begin = time.perf_counter()
        for _ in range(50):
            function(*arrays)
        times.append((time.perf_counter() - begin) / 50)
    return 1e6 * min(times)

a = np.random.default_rng(1).random(4096).astype(np.float32)
b, c = a[::-1].copy(), np.zeros_like(a)
print(least(dot, a, b, c), least(fused, a, b, c))
"""


def measure(python, cpu):
    given = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": ""} if cpu else {}
    said = subprocess.check_output([python, "-c", CODE], env={**os.environ, **given}, text=True)
    return [float(word) for word in said.split()]


def main():
    python = sys.argv[1] if len(sys.argv) > 1 else sys.executable
    print("| compiled for | sum of products | fused update |\n| --- | --- | --- |")
    for cpu in ("x86-64-v2", "x86-64-v3", ""):
        best = [min(times) for times in zip(*(measure(python, cpu) for _ in range(3)))]
        print("| %s | %.2f us | %.2f us |" % (cpu or "the machine itself", *best), flush=True)


if __name__ == "__main__":
    main()
