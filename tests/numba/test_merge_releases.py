"""Two builds in one archive, with each release of Numba."""

import json
import platform
import shutil
import subprocess

import pytest
from harness import HERE, PYTHON, environment, warmpack
from small import run_small, write_small

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="names CPUs of x86-64")

CPUS = ("generic", "x86-64-v2")


def settings(cpu):
    return {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": ""}


def test_each_cpu_loads_its_own_and_every_other_the_best(here, me):
    archives = []
    for cpu in CPUS:
        root = write_small(here / cpu / "app")
        loads = run_small(root, me.home, **settings(cpu))[1]
        assert loads
        archives.append(here / (cpu + ".tgz"))
        warmpack("create", "-f", archives[-1], "-C", root.parent, "app", home=me.home)
        shutil.rmtree(here / cpu)
    warmpack("merge", "-o", here / "fat.tgz", *archives, home=me.home)
    warmpack("extract", "-f", here / "fat.tgz", "-C", here / "to", home=me.home)
    for cpu in CPUS:
        assert run_small(here / "to" / "app", me.home, **settings(cpu)) == (loads, 0)
    # Numba's own types are read from the keys, of each CPU as many.
    done = subprocess.run([PYTHON, "-B", HERE / "unpickle_indexes.py", here / "to" / "app"],
                          env=environment(me.home), stdout=subprocess.PIPE, check=True)
    keys = [o["magic"][1] for i in json.loads(done.stdout).values() for o in i["overloads"]]
    assert [keys.count(cpu) for cpu in CPUS] == [loads, loads]
    done = warmpack("retarget", here / "to", "--for", PYTHON, "--json", home=me.home)
    builds = json.loads(done.out)["retarget"]["builds"]
    assert [b["cpu"] for b in builds if b["chosen"]] == ["x86-64-v2"]
    assert run_small(here / "to" / "app", me.home) == (loads, 0)
