"""Code that is for no CPU, and code that needs a library: as Numba itself writes both."""

import inspect
import json
import os
import pickle
import re
import subprocess

import pytest
from application import give_exact_times
from harness import PYTHON, environment, warmpack
from small import run_small, write_small

KERNELS = '''\
from numba import cuda


@cuda.jit(cache=True)
def scale(values, by):
    i = cuda.grid(1)
    if i < values.size:
        values[i] *= by
'''

# The dispatcher, the cache, the kernel and the library are Numba's own. There is no GPU, so the
# two things that only a driver can say are said here, and the machine code is some ELF file.
GPU = '''\
import inspect
import sys
from types import SimpleNamespace

from numba import float32, float64, types
from numba.cuda import dispatcher
from numba.cuda.codegen import CUDACodeLibrary
from numba.cuda.cudadrv import devices, runtime

from kernels import scale

capability = (8, 6)
devices.get_context = lambda: SimpleNamespace(device=SimpleNamespace(compute_capability=capability))
runtime.runtime.get_version = lambda: (11, 8)


def kernel(name):
    parts = [None, name, name, ["; ModuleID"], {capability: [".version 7.8"]},
             {capability: open(sys.argv[1], "rb").read()}, {capability: ""}, None, {}]
    if "needs_cudadevrt" in inspect.signature(CUDACodeLibrary._rebuild).parameters:
        parts.append(False)  # Numba 0.58 on
    library = CUDACodeLibrary._rebuild(*parts)
    made = dispatcher._Kernel._rebuild(
        cooperative=False, name=name, signature=types.void(), codelibrary=library, debug=False,
        lineinfo=False, call_helper=None, extensions=[])
    made.target_context = scale.targetctx
    return made


for element in (float32, float64):
    arguments = (element[::1], element)
    if sys.argv[2] == "save":
        scale._cache.save_overload(arguments, kernel("scale"))
    else:
        loaded = scale._cache.load_overload(arguments, scale.targetctx)
        assert loaded.entry_name == "scale", loaded
'''

SVML = '''\
import ctypes
import ctypes.util
import sys

from llvmlite import binding
from numba import njit, types

sine = types.ExternalFunction("__svml_sin1", types.float64(types.float64))


@njit("float64(float64)", cache=True)
def plain(x):
    return x + 1


if __name__ != "waves" or len(sys.argv) > 1:
    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    binding.add_symbol("__svml_sin1", ctypes.cast(libm.sin, ctypes.c_void_p).value)


@njit("float64(float64)", cache=True)
def wave(x):
    return sine(x)


assert wave(0.0) == 0.0
'''


@pytest.fixture
def cuda(here, me):
    """A tree with the cache of a kernel, and what runs Numba on it."""
    root = here / "app"
    root.mkdir()
    (root / "kernels.py").write_text(KERNELS)
    give_exact_times(root)
    program = here / "gpu.py"
    program.write_text(GPU)

    def run(root, what):
        return subprocess.run(
            [PYTHON, "-B", program, "/usr/bin/true", what],
            env=environment(me.home, PYTHONPATH=root, NUMBA_DEBUG_CACHE=1),
            cwd=me.home,
            check=True,
            text=True,
            stdout=subprocess.PIPE,
        ).stdout

    assert run(root, "save").count("data saved") == 2
    return root, run


def test_a_cuda_index_is_shown_with_its_own_key(cuda, here, me):
    root, _ = cuda
    index = next(root.rglob("*.nbi"))
    script = (
        "import pickle, sys; f = open(sys.argv[1], 'rb'); pickle.load(f)\n"
        "for key, data in pickle.load(f)[1].items():\n"
        "    signature = '(' + ', '.join(map(str, key[0])) + ')'\n"
        "    print(signature, repr(key[1]), *key[2], data, sep='|')"
    )
    python = subprocess.check_output([PYTHON, "-c", script, index], text=True).splitlines()
    document = json.loads(warmpack("inspect", "--json", root, home=me.home).out)
    overloads = document["indexes"][0]["overloads"]
    assert [
        "|".join([o["signature"], o["target"], *o["code"], o["data"]]) for o in overloads
    ] == python
    assert [o["target"] for o in overloads] == ["((11, 8), (8, 6))"] * 2
    assert all(o["triple"] is o["cpu"] is o["features"] is None for o in overloads)
    assert all(o["size"] for o in overloads)
    table = warmpack("inspect", root, home=me.home).out
    assert table.count("    for     ((11, 8), (8, 6))\n") == 2 and "    cpu " not in table


def test_cuda_indexes_are_judged_by_place_and_stamp_and_survive_a_move(cuda, here, me):
    root, run = cuda
    # No setting of a CPU is about them.
    assert warmpack("verify", root, home=me.home, NUMBA_CPU_NAME="generic").counts == (1, 1)
    warmpack("verify", "--python", PYTHON, root, home=me.home)
    warmpack("create", "-f", here / "a.tgz", "-C", here, "app", home=me.home)
    warmpack("extract", "-f", here / "a.tgz", "-C", here / "new", home=me.home)
    assert warmpack("verify", here / "new" / "app", home=me.home).counts == (1, 1)
    assert run(here / "new" / "app", "load").count("data loaded") == 2
    done = warmpack("env", root, home=me.home, expect=2)
    assert "no overload in these caches is for a CPU" in done.err


def test_code_that_calls_svml_is_noted_with_the_symbol(here, me):
    root = here / "app"
    root.mkdir()
    (root / "waves.py").write_text(SVML)
    give_exact_times(root)

    def run(*words):
        return subprocess.run(
            [PYTHON, "-B", "-c", "import waves", *words],
            env=environment(me.home, PYTHONPATH=root, NUMBA_DEBUG_CACHE=1),
            cwd=me.home,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    done = run("with the library")
    assert done.returncode == 0 and done.stdout.count("data saved") == 2, done.stderr
    assert run("with the library").stdout.count("data loaded") == 2
    done = warmpack("verify", root, home=me.home)
    assert done.counts == (2, 2)
    assert re.findall(r"^svml  __pycache__/(\S+?)-.* calls (\S+) of", done.out, re.M) == [
        ("waves.wave", "__svml_sin1")
    ]
    assert "hint: svml: install the library" in done.err
    done = warmpack("verify", "--python", PYTHON, root, home=me.home, expect=1)
    assert done.counts == (1, 2) and "unsafe-svml  __pycache__/waves.wave-" in done.out
    assert "__svml_sin1 of Intel's SVML library" in done.out and "\nsvml" not in done.out
    # An archive tells it too: by its manifest, or where there is none, by the code in it.
    archive, plain = here / "a.tgz", here / "plain.tgz"
    warmpack("create", "-f", archive, "-C", here, "app", home=me.home)
    subprocess.run(["tar", "--format=pax", "-czf", plain, "-C", here, "app"], check=True)
    for file in archive, plain:
        done = warmpack("verify", "-f", file, home=me.home)
        assert done.counts == (2, 2)
        assert re.findall(r"^svml  app/__pycache__/(\S+?)-", done.out, re.M) == ["waves.wave"]
        done = warmpack("verify", "--python", PYTHON, "-f", file, home=me.home, expect=1)
        assert done.counts == (1, 2) and "unsafe-svml  app/__pycache__/waves.wave-" in done.out
        assert "\nsvml" not in done.out
    # What the note warns of: without the library the process ends at the load.
    assert run().returncode < 0


def give_launch_configurations(index):
    """What numba-cuda's keys have where the code depends on how the kernel is launched."""
    with index.open("rb") as file:
        version, (stamp, overloads) = pickle.load(file), pickle.load(file)
    keys = {(key[0], ((8, 6), (12, 4)), "0.30.4", key[2],
             ("launch_config", ((1, 1, 1), (32, 1, 1), 0))): name
            for key, name in overloads.items()}
    index.write_bytes(pickle.dumps(version, 5) + pickle.dumps((stamp, keys), 4))


def test_a_missing_marker_of_a_launch_configuration_is_told(here, me):
    root = write_small(here / "app")
    run_small(root, me.home)
    index = next(root.rglob("k.add*.nbi"))
    stat = index.stat()
    subprocess.run([PYTHON, "-c", "import pickle, sys, pathlib\n" + inspect.getsource(
        give_launch_configurations) + "give_launch_configurations(pathlib.Path(sys.argv[1]))",
                    index], check=True)
    os.utime(index, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    marker = index.with_suffix(".lcs")
    wanted = "the marker (.lcs) beside it is missing"
    for there in (False, True):
        if there:
            marker.touch()
        archive = here / ("%d.tgz" % there)
        made = warmpack("create", "-f", archive, "-C", here, "app", home=me.home)
        for said in (made.err, warmpack("verify", root, home=me.home).out,
                     warmpack("verify", "--json", "-f", archive, home=me.home).out,
                     warmpack("inspect", root, home=me.home).out,
                     warmpack("inspect", "-f", archive, home=me.home).out):
            assert said.count(wanted) == (not there), said
        assert warmpack("verify", root, home=me.home).counts == (3, 3)


def test_the_marker_of_a_launch_configuration_travels_with_its_index(here, me):
    """Without it numba-cuda looks for shorter keys than the index has, and compiles."""
    root, caches = write_small(here / "build" / "app"), here / "caches"
    run_small(root, me.home, NUMBA_CACHE_DIR=caches)
    marked = {path.with_suffix(".lcs").name for path in caches.rglob("*.nbi")}
    for path in caches.rglob("*.nbi"):
        path.with_suffix(".lcs").touch()

    def markers(place):
        return {path.name for path in place.rglob("*.lcs")}

    pack = ["--cache-dir", caches, "-C", here / "build", "app"]
    warmpack("create", "-f", here / "a.tgz", *pack, home=me.home)
    warmpack("create", "-f", here / "c.tgz", "--caches-only", *pack, home=me.home)
    warmpack("extract", "-f", here / "a.tgz", "-C", here / "to", home=me.home)
    cache = here / "to" / "app" / "pkg" / "__pycache__"
    assert markers(cache) == marked
    # Restored after a move, with hashed names.
    away = ["--cache-dir", here / "away", "--layout", "cache-dir"]
    warmpack("extract", "-f", here / "a.tgz", "-C", here / "at", *away, home=me.home)
    (here / "at").rename(here / "moved")
    warmpack("restore", here / "moved", "--cache-dir", here / "away", home=me.home)
    (hashed,) = (here / "away").iterdir()
    assert markers(hashed) == marked
    # Onto a tree that came another way, and into an archive that did.
    subprocess.run(["cp", "-r", root, here / "copy"], check=True)
    (here / "other").mkdir()
    (here / "copy").rename(here / "other" / "app")
    subprocess.run(["tar", "-czf", here / "plain.tgz", "-C", here / "other", "app"], check=True)
    warmpack("extract", "-f", here / "c.tgz", "--caches-only", "-C", here / "other", home=me.home)
    assert markers(here / "other") == marked
    warmpack("amend", "-f", here / "plain.tgz", "--source", root, "--cache-dir", caches,
             home=me.home)
    warmpack("extract", "-f", here / "plain.tgz", "-C", here / "amended", home=me.home)
    assert markers(here / "amended" / "app" / "pkg") == marked
    # None of them is taken for what is left over.
    assert warmpack("verify", "--fix", here / "amended", home=me.home).counts == (3, 3)
    assert markers(here / "amended" / "app" / "pkg") == marked
