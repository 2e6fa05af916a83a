"""Code that was compiled for another CPU loads with no setting, wherever it can run."""

import json
import os
import platform
import subprocess
import sys

import pytest
from application import give_exact_times
from harness import LOADED, PYTHON, SAVED, WARMPACK, environment, warmpack

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="names CPUs of x86-64")

# What Numba has: lazily and eagerly compiled, ufuncs, callbacks, threads, closures, and a default
# that shares '' with an empty list of features.
SOURCE = '''\
import json
import numpy as np
from numba import cfunc, guvectorize, njit, prange, vectorize


@njit(cache=True)
def add(a, b=""):
    return a + 1


@njit("float64(float64[::1])", cache=True)
def total(v):
    s = 0.0
    for x in v:
        s += x * x
    return s


@njit(cache=True, parallel=True)
def spread(v):
    s = 0.0
    for i in prange(v.size):
        s += v[i]
    return s


@vectorize(["float64(float64)"], cache=True)
def half(x):
    return x / 2


@guvectorize(["float64[:], float64[:]"], "(n)->(n)", cache=True)
def twice(a, out):
    for i in range(a.size):
        out[i] = 2 * a[i]


@cfunc("float64(float64)", cache=True)
def called_by_c(x):
    return x + 0.5


def make(n):
    @njit(cache=True)
    def größer_und_größer_und_größer(x):
        return x + n

    return größer_und_größer_und_größer


V = np.arange(9.0)
print("RESULTS " + json.dumps([
    add(1), total(V), spread(V), half(V).tolist(), twice(V).tolist(), called_by_c.ctypes(1.0),
    make(7)(1)]))
'''

LIST = "+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16"
BUILDS = {
    "generic": ("generic", ""),
    "generic with a list": ("generic", LIST),
    "x86-64-v2": ("x86-64-v2", ""),
    "x86-64-v3": ("x86-64-v3", ""),
    "its own": None,
}


def settings(build):
    return dict(zip(("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"), build)) if build else {}


def run(root, home, **variables):
    done = subprocess.run(
        [PYTHON, "-B", "-c", "import pkg.k"],
        env=environment(home, NUMBA_DEBUG_CACHE=1, NUMBA_NUM_THREADS=1, PYTHONPATH=root,
                        **variables),
        cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results, = [line for line in done.stdout.splitlines() if line.startswith("RESULTS")]
    return len(LOADED.findall(done.stdout)), len(SAVED.findall(done.stdout)), results


def write(root):
    (root / "pkg").mkdir(parents=True)
    (root / "pkg" / "__init__.py").write_text("")
    (root / "pkg" / "k.py").write_text(SOURCE, encoding="utf-8")
    give_exact_times(root)
    return root


@pytest.fixture(scope="module")
def shipped(workspace):
    """Archives of the tree, warmed for each CPU; what a second run in place loads; its results."""
    made = {}

    def make(name):
        if name not in made:
            place = workspace / ("retarget-%d" % len(made))
            place.mkdir()
            root, build = write(place / "app"), settings(BUILDS[name])
            run(root, place, **build)
            in_place = run(root, place, **build)
            assert in_place[1] == 0
            warmpack("create", "-f", place / "app.tgz", "-C", place, "app", home=place)
            made[name] = place / "app.tgz", in_place
        return made[name]

    return make


def indexes(root):
    return {path: path.read_bytes() for path in root.rglob("*.nbi")}


@pytest.mark.parametrize("name", BUILDS)
def test_a_retargeted_tree_loads_as_in_place_with_no_setting(name, shipped, here, me):
    archive, (loads, _, results) = shipped(name)
    warmpack("extract", "-f", archive, "-C", here, home=me.home)
    before = indexes(here)
    done = warmpack("retarget", here, "--for", PYTHON, "--json", home=me.home)
    said = json.loads(done.out)["retarget"]
    assert said["overloads"] == said["loads"] == loads and said["left"] == 0
    assert run(here / "app", me.home) == (loads, 0, results)
    assert results == shipped("its own")[1][2]
    warmpack("verify", "--python", PYTHON, here / "app", home=me.home)
    # Again, there is nothing to do; put back, they are what they were.
    again = json.loads(warmpack("retarget", here / "app", "--for", PYTHON, "--json",
                                home=me.home).out)["retarget"]
    assert again["changed"] == 0
    warmpack("retarget", here / "app", "--undo", home=me.home)
    assert {path: path.read_bytes() for path in before} == before


def test_without_it_nothing_loads(shipped, here, me):
    archive, (loads, _, results) = shipped("x86-64-v2")
    warmpack("extract", "-f", archive, "-C", here, home=me.home)
    assert run(here / "app", me.home) == (0, loads, results)


def test_extraction_retargets_and_is_not_needed_twice(shipped, here, me):
    archive, (loads, _, results) = shipped("generic")
    words = ["extract", "-f", archive, "-C", here, "--if-needed", "--retarget", PYTHON, "--json"]
    assert json.loads(warmpack(*words, home=me.home).out)["retarget"]["loads"] == loads
    assert json.loads(warmpack(*words, home=me.home).out)["unchanged"]
    # Another CPU is another wish.
    other = {"NUMBA_CPU_NAME": "x86-64-v2", "NUMBA_CPU_FEATURES": ""}
    assert not json.loads(warmpack(*words, home=me.home, **other).out)["unchanged"]
    assert run(here / "app", me.home, **other) == (loads, 0, results)


def test_a_tree_that_another_tool_unpacked_is_restored_and_retargeted(shipped, here, me):
    archive, (loads, _, results) = shipped("generic with a list")
    subprocess.run(["tar", "-xzf", archive, "-C", here], check=True)
    warmpack("restore", here, "--retarget", PYTHON, home=me.home)
    assert run(here / "app", me.home) == (loads, 0, results)
    # It can be moved, and put back there.
    moved = here / "moved"
    (here / "app").rename(moved)
    warmpack("restore", moved, home=me.home)
    assert run(moved, me.home) == (loads, 0, results)
    warmpack("retarget", moved, "--undo", home=me.home)
    assert run(moved, me.home, **settings(BUILDS["generic with a list"])) == (loads, 0, results)


def test_hashed_caches_are_retargeted_where_they_lie(shipped, here, me):
    archive, (loads, _, results) = shipped("generic")
    caches = here / "caches"
    warmpack("extract", "-f", archive, "-C", here, "--cache-dir", caches, "--layout", "cache-dir",
             home=me.home)
    warmpack("retarget", here / "app", "--for", PYTHON, home=me.home)
    assert run(here / "app", me.home, NUMBA_CACHE_DIR=caches) == (loads, 0, results)


def probe(here, machine, **numba):
    """A machine with these features, whose Numba compiles for what ours does but for NUMBA."""
    said = json.loads(warmpack("env", "--probe", "--python", PYTHON, home=here).out)
    said.update(machine=machine, **numba)
    path = here / "probe.json"
    path.write_text(json.dumps(said))
    return path


V2 = "+64bit,+cmov,+cx16,+cx8,+fxsr,+mmx,+popcnt,+sahf,+sse,+sse2,+sse3,+sse4.1,+sse4.2,+ssse3,+x87"


def test_what_cannot_run_stays_and_is_told(shipped, here, me):
    archive, (loads, _, _) = shipped("x86-64-v3")
    warmpack("extract", "-f", archive, "-C", here, home=me.home)
    before = indexes(here)
    for told, lacking in (
            ({"cpu": "nehalem", "features": V2}, "its code needs fma"),
            ({"triple": "aarch64-unknown-linux-gnu"}, "compiles for aarch64-unknown-linux-gnu")):
        done = warmpack("retarget", here / "app", "--for", probe(here, V2, **told), "--json",
                        home=me.home, expect=1)
        said = json.loads(done.out)["retarget"]
        assert (said["loads"], said["left"], said["changed"]) == (0, loads, 0)
        assert lacking in done.err and lacking in said["builds"][0]["reason"]
        assert indexes(here) == before


def test_a_cpu_that_is_not_known_is_refused(shipped, here, me):
    """Not even a machine that has everything gets it."""
    place = here / "place"
    root = write(place / "app")
    run(root, place, NUMBA_CPU_NAME="x86-64-v2", NUMBA_CPU_FEATURES="+unknown-to-all")
    warmpack("create", "-f", place / "app.tgz", "-C", place, "app", home=place)
    warmpack("extract", "-f", place / "app.tgz", "-C", here / "to", home=place)
    before = indexes(here / "to")
    done = warmpack("retarget", here / "to", "--for", PYTHON, home=me.home, expect=1)
    assert "the feature unknown-to-all is not known" in done.err
    assert indexes(here / "to") == before


def test_a_changed_source_keeps_its_keys(shipped, here, me):
    archive, _ = shipped("generic")
    warmpack("extract", "-f", archive, "-C", here, home=me.home)
    source = here / "app" / "pkg" / "k.py"
    times = source.stat()
    source.write_text(SOURCE.replace("+ 0.5", "+ 1.5"), encoding="utf-8")
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))
    before = indexes(here)
    warmpack("retarget", here, "--for", PYTHON, home=me.home)
    assert indexes(here) == before


def test_what_numba_adds_stays_when_keys_are_put_back(shipped, here, me):
    archive, (loads, _, results) = shipped("generic")
    warmpack("extract", "-f", archive, "-C", here, "--retarget", PYTHON, home=me.home)
    more = environment(me.home, NUMBA_DEBUG_CACHE=1, PYTHONPATH=here / "app")
    code = "import pkg.k; pkg.k.add(1.5)"
    done = subprocess.run([PYTHON, "-B", "-c", code], env=more, stdout=subprocess.PIPE, text=True,
                          check=True)
    assert len(SAVED.findall(done.stdout)) == 1
    warmpack("retarget", here, "--undo", home=me.home)
    assert run(here / "app", me.home, **settings(BUILDS["generic"])) == (loads, 0, results)
    done = subprocess.run([PYTHON, "-B", "-c", code], env=more, stdout=subprocess.PIPE, text=True,
                          check=True)
    assert (len(LOADED.findall(done.stdout)), len(SAVED.findall(done.stdout))) == (1, loads)


KILLED_AT = """\
import os, signal, subprocess, sys
limit, program, *words = sys.argv[1:]
done = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=renameat,renameat2",
    "-e", "inject=renameat,renameat2:signal=KILL:when=" + limit, program, *words])
sys.exit(0 if done.returncode == 0 else 9)
"""


@pytest.mark.parametrize("at", [1, 2, 4])
def test_a_run_that_was_killed_is_completed_by_the_next(at, shipped, here, me):
    archive, (loads, _, results) = shipped("x86-64-v2")
    warmpack("extract", "-f", archive, "-C", here, home=me.home)
    before = indexes(here)
    killed = subprocess.run([sys.executable, "-c", KILLED_AT, str(at), WARMPACK, "retarget",
                             str(here), "--for", PYTHON], env=environment(me.home), check=False)
    assert killed.returncode == 9
    warmpack("retarget", here, "--for", PYTHON, home=me.home)
    assert run(here / "app", me.home) == (loads, 0, results)
    warmpack("retarget", here, "--undo", home=me.home)
    assert {path: path.read_bytes() for path in before} == before


def builds(root, me, **variables):
    said = json.loads(warmpack("verify", "--python", PYTHON, "--json", root, home=me.home,
                               expect=None, **variables).out)["builds"]
    return [(b["cpu"], b["features"], b["overloads"], b["retargeted"]) for b in said], said


def test_verify_says_which_build_an_interpreter_loads(shipped, here, me):
    archive, (loads, _, _) = shipped("x86-64-v2")
    caches = here / "caches"
    warmpack("extract", "-f", archive, "-C", here, "--cache-dir", caches, "--layout", "cache-dir",
             home=me.home)
    where = {"NUMBA_CACHE_DIR": caches}
    assert builds(here / "app", me, **where)[0] == []
    done = warmpack("verify", "--python", PYTHON, here / "app", home=me.home, expect=1, **where)
    assert "'warmpack retarget' makes what can run there load with no settings" in done.err
    warmpack("retarget", here / "app", "--for", PYTHON, home=me.home, **where)
    found, said = builds(here / "app", me, **where)
    assert found == [("x86-64-v2", "", loads, True)]
    assert {"sse4.2", "popcnt"} <= set(said[0]["needs"]) and "avx" not in said[0]["needs"]
    done = warmpack("verify", "--python", PYTHON, here / "app", home=me.home, **where)
    assert "%d overloads compiled for x86-64-v2 (retargeted), which need " % loads in done.out
    # What Numba compiles here is no build of theirs.
    archive, (loads, _, _) = shipped("its own")
    warmpack("extract", "-f", archive, "-C", here / "own", home=me.home)
    ((_, _, count, retargeted),), _ = builds(here / "own" / "app", me)
    assert (count, retargeted) == (loads, False)
    done = warmpack("verify", "--python", PYTHON, "-f", archive, home=me.home)
    assert ", for which it compiles" in done.out


def test_env_prints_no_settings_for_a_retargeted_tree_and_says_what_still_needs_some(
        shipped, here, me):
    archive, _ = shipped("x86-64-v2")
    warmpack("extract", "-f", archive, "-C", here, home=me.home)
    assert "NUMBA_CPU_NAME='x86-64-v2'" in warmpack("env", here / "app", home=me.home).out
    warmpack("retarget", here / "app", "--for", PYTHON, home=me.home)
    for words, wanted in (((), ""), (("--format", "docker"), ""), (("--json",), "{}\n")):
        done = warmpack("env", *words, here / "app", home=me.home)
        assert done.out == wanted and done.err.startswith("no settings are needed")
    warmpack("retarget", here / "app", "--undo", home=me.home)
    assert "NUMBA_CPU_NAME='x86-64-v2'" in warmpack("env", here / "app", home=me.home).out
    # What was added since for another CPU is for nobody without settings.
    warmpack("retarget", here / "app", "--for", PYTHON, home=me.home)
    run(here / "app", me.home, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")
    done = warmpack("env", here / "app", home=me.home)
    assert done.out == "" and "is for CPU generic still" in done.err


def test_usage(here, me):
    for words, text in (([here], "say who will run the code"), ([], "give one DIR"),
                        ([here, "--for", PYTHON, "--undo"], "exclude one another")):
        assert text in warmpack("retarget", *words, home=me.home, expect=2).err
    done = warmpack("retarget", here, "--for", "/bin/false", home=me.home, expect=2)
    assert "/bin/false" in done.err
    done = warmpack("retarget", here, "--for", PYTHON, home=me.home, expect=2)
    assert "no manifest" in done.err


@pytest.mark.parametrize("more", [[], ["--restamp", "always"], ["--prune"]], ids=" ".join)
def test_what_was_retargeted_is_known_for_what_was_signed(more, shipped, here, me):
    """Keys and stamps are others than those that were signed; whoever altered them otherwise is
    found out."""
    place = shipped("x86-64-v2")[0].parent
    key, pub = me.home / "key.pem", me.home / "pub.pem"
    for words in (["genpkey", "-algorithm", "ed25519", "-out", key],
                  ["pkey", "-in", key, "-pubout", "-out", pub]):
        subprocess.run(["openssl", *words], check=True, capture_output=True)
    warmpack("create", "-f", me.home / "s.tgz", "-C", place, "--sign", key, "app", home=me.home)
    warmpack("extract", "-f", me.home / "s.tgz", "-C", here, "--trust", pub, home=me.home)
    packed = indexes(here)
    if "--restamp" in more:
        os.utime(here / "app/pkg/k.py", ns=(10**18, 10**18))
        warmpack("restore", here, *more, home=me.home)
        assert all(indexes(here)[path] != packed[path] for path in packed)
    warmpack("retarget", here, "--for", PYTHON, *[m for m in more if m == "--prune"], home=me.home)
    assert indexes(here) != packed
    warmpack("verify", here, "--trust", pub, home=me.home)
    warmpack("restore", here, "--trust", pub, *([] if "--prune" in more else more), home=me.home)
    path, text = next(item for item in indexes(here).items() if b"float64" in item[1])
    path.write_bytes(text.replace(b"float64", b"float32", 1))
    done = warmpack("verify", here, "--trust", pub, home=me.home, expect=2)
    assert "is not a cache that was packed and signed" in done.err
