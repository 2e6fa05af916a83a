"""Retargeting indexes that hold what Numba's CPU target did not write, or more than it ever would."""

import json
import pickle

import pytest
from trees import write

TRIPLE = "x86_64-pc-linux-gnu"
CODE = ("0" * 64, "1" * 64)
OTHER_CPU = (TRIPLE, "generic", "+sse")
GPU = ((12, 0), (7, 5))  # what numba.cuda has in its place: versions of the runtime and of the device
PROBE = {"format": "warmpack-probe", "version": 1, "python": "3.11", "numba": "0.56.4",
         "machine": "+64bit,+cmov,+cx8,+fxsr,+mmx,+sse,+sse2,+x87", "triple": TRIPLE,
         "cpu": "x86-64", "features": "+sse2"}
NAME = "k.add-3.py311"


@pytest.fixture
def tree(warmpack, tmp_path):
    """tree(KEYS) unpacks a tree with an index of these keys, and returns its __pycache__."""
    write(tmp_path / "probe.json", json.dumps(PROBE))

    def make(keys):
        source = write(tmp_path / "s/app/k.py", "x = 1\n", ns=1500000001500000000)
        cache, status = source.parent / "__pycache__", source.stat()
        data = {key: f"{NAME}.{n}.nbc" for n, key in enumerate(keys, 1)}
        write(cache / (NAME + ".nbi"), pickle.dumps("0.56.4", -1) + pickle.dumps(
            ((status.st_mtime, status.st_size), data), -1))
        for name in data.values():
            write(cache / name, pickle.dumps(("library", b"code"), -1))
        for words in ("create", "-qf", "a.tar", "-C", "s", "app"), ("extract", "-qf", "a.tar", "-C", "t"):
            done = warmpack(*words)
            assert done.returncode == 0, done
        return tmp_path / "t/app/__pycache__"
    return make


def keys(cache):
    """The keys in its index, each with its data file."""
    with open(cache / (NAME + ".nbi"), "rb") as file:
        pickle.load(file)
        return pickle.load(file)[1]


def retarget(warmpack, *words, status):
    done = warmpack("retarget", "t", "--for", "probe.json", "--json", *words)
    assert done.returncode == status, done
    return json.loads(done.stdout)["retarget"], done.stderr.decode()


@pytest.mark.parametrize("words", [(), ("--prune",)], ids=["all", "pruned"])
def test_code_for_a_gpu_stays_and_is_not_counted(warmpack, tree, words):
    gpu, cpu, elsewhere = (((), target, CODE) for target in (
        GPU, OTHER_CPU, ("aarch64-unknown-linux-gnu", "generic", "+neon")))
    cache = tree([gpu, cpu, elsewhere])
    was = keys(cache)
    said, _ = retarget(warmpack, *words, status=1)  # one runs nowhere here
    assert (said["overloads"], said["loads"]) == (2, 1)
    now = keys(cache)
    own = ((), (TRIPLE, PROBE["cpu"], PROBE["features"]), CODE)
    kept = {gpu, own} if words else {gpu, own, elsewhere}
    assert now.keys() == kept and now[own] == was[cpu] and now[gpu] == was[gpu]
    assert {path.name for path in cache.glob("*.nbc")} == set(now.values())


def test_an_index_with_more_keys_than_can_be_compared_is_left_as_it_is(warmpack, tree):
    cache = tree([((n,), OTHER_CPU, CODE) for n in range(1025)])
    was = keys(cache)
    said, told = retarget(warmpack, status=0)
    assert "is left as it is: its keys are too many" in told
    assert said["changed"] == 0 and keys(cache) == was
