"""Caches that were warmed for different CPUs lie in one archive, and each CPU loads its own."""

import json
import platform
import shutil
import subprocess
from pathlib import Path

import pytest
from application import give_exact_times
from harness import HERE, LOADED, PYTHON, SAVED, environment, warmpack

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="names CPUs of x86-64")

SOURCE = '''\
import json
import sys
import numpy as np
from numba import cfunc, njit, vectorize
from pkg.low import step


@njit(cache=True)
def add(a, b=""):
    return step(a) + 1


@njit("float64(float64[::1])", cache=True)
def total(v):
    s = 0.0
    for x in v:
        s += x * x
    return s


@vectorize(["float64(float64)"], cache=True)
def half(x):
    return x / 2


@cfunc("float64(float64)", cache=True)
def called_by_c(x):
    return x + 0.5


def make(n):
    @njit(cache=True)
    def größer(x):
        return x + n

    return größer


V = np.arange(9.0)
print("RESULTS " + json.dumps([
    add(1), add(1.5), total(V), half(V).tolist(), called_by_c.ctypes(1.0), make(7)(1)]))
'''
LOW = '''\
from numba import njit


@njit(cache=True)
def step(x):
    return x * 2
'''
# Tells which data files were opened, whoever opens them.
WATCHED = '''\
import sys
sys.addaudithook(lambda event, args: event == "open" and str(args[0]).endswith(".nbc") and
                 print("OPENED", args[0].rsplit("/", 1)[1]))
import pkg.k
'''
CPUS = ("x86-64", "x86-64-v2", "x86-64-v3")


def settings(cpu):
    return {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": ""} if cpu else {}


def write(root, low=LOW):
    (root / "pkg").mkdir(parents=True)
    (root / "pkg" / "__init__.py").write_text("")
    (root / "pkg" / "k.py").write_text(SOURCE, encoding="utf-8")
    (root / "pkg" / "low.py").write_text(low)
    give_exact_times(root)
    return root


class Ran:
    def __init__(self, root, home, cpu=None, code=WATCHED, **variables):
        done = subprocess.run(
            [PYTHON, "-B", "-c", code],
            env=environment(home, NUMBA_DEBUG_CACHE=1, NUMBA_NUM_THREADS=1, PYTHONPATH=root,
                            **settings(cpu), **variables),
            cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        self.loads, self.saves = len(LOADED.findall(done.stdout)), len(SAVED.findall(done.stdout))
        self.results = [line for line in lines if line.startswith("RESULTS")]
        self.opened = {line.split()[1] for line in lines if line.startswith("OPENED")}


@pytest.fixture(scope="module")
def built(workspace):
    """Archives of one tree, copied with new times to a place for each CPU, and warmed there; what a
    second run in place loads."""
    made = {}

    def make(cpu):
        if cpu not in made:
            place = workspace / ("merge-%d" % len(made))
            place.mkdir()
            root = write(place / "app")
            Ran(root, place, cpu)
            ran = Ran(root, place, cpu)
            assert ran.loads and not ran.saves
            warmpack("create", "-f", place / "app.tgz", "-C", place, "app", home=place)
            made[cpu] = place / "app.tgz", ran
        return made[cpu]

    return make


@pytest.fixture(scope="module")
def fat(workspace, built):
    archive = workspace / "fat.tgz"
    done = warmpack("merge", "--json", "-o", archive, *(built(cpu)[0] for cpu in CPUS),
                    home=workspace)
    said = json.loads(done.out)
    assert [b["cpu"] for b in said["builds"]] == list(CPUS) and said["left_out"] == 0
    assert len({b["overloads"] for b in said["builds"]}) == 1
    return archive


def builds_of(root, home):
    """The data files by the CPU in their key."""
    said = json.loads(warmpack("inspect", "--json", root, home=home).out)
    of = {}
    for index in said["indexes"]:
        for overload in index["overloads"]:
            of.setdefault(overload["cpu"], set()).add(overload["data"])
    return of


def test_each_cpu_loads_its_own_build(fat, built, here, me):
    warmpack("extract", "-f", fat, "-C", here, home=me.home)
    of = builds_of(here, me.home)
    for cpu in CPUS:
        ran, in_place = Ran(here / "app", me.home, cpu), built(cpu)[1]
        assert (ran.loads, ran.saves, ran.results) == (in_place.loads, 0, in_place.results)
        assert ran.opened and ran.opened <= of[cpu]
        warmpack("verify", here, "--python", PYTHON, home=me.home, **settings(cpu))


def test_python_reads_what_was_merged(fat, built, here, me):
    """Every key and every data file's name, by the C unpickler and by the pure one."""
    warmpack("extract", "-f", fat, "-C", here / "fat", home=me.home)
    for cpu in CPUS:
        warmpack("extract", "-f", built(cpu)[0], "-C", here / cpu, home=me.home)
    pure = ("import sys, pickle; pickle.load = pickle._load; sys.argv[:] = sys.argv[1:]; "
            "exec(compile(open(sys.argv[0]).read(), sys.argv[0], 'exec'))")

    def read(place, *how):
        done = subprocess.run([PYTHON, "-B", *how, HERE / "unpickle_indexes.py", place],
                              env=environment(me.home), stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)

    fat_ones = read(here / "fat" / "app")
    assert fat_ones == read(here / "fat" / "app", "-c", pure)
    parts = [read(here / cpu / "app") for cpu in CPUS]
    assert fat_ones.keys() == parts[0].keys()

    def keys(indexes, name):
        return [[o[k] for k in ("form", "signature", "magic", "code", "size")]
                for o in indexes[name]["overloads"]]

    for name, index in fat_ones.items():
        assert keys(fat_ones, name) == [k for part in parts for k in keys(part, name)]
        assert index["stamp"] == parts[0][name]["stamp"]
        assert len({o["data"] for o in index["overloads"]}) == len(index["overloads"])
        for part, start in zip(parts, range(0, 99, len(parts[0][name]["overloads"]))):
            for number, o in enumerate(part[name]["overloads"]):
                now = index["overloads"][start + number]["data"]
                cpu = CPUS[parts.index(part)]
                place = Path("app", name).parent
                assert ((here / "fat" / place / now).read_bytes()
                        == (here / cpu / place / o["data"]).read_bytes())


def test_retargeted_the_best_build_alone_is_taken(fat, built, here, me):
    done = warmpack("extract", "-f", fat, "-C", here, "--retarget", PYTHON, "--json", home=me.home)
    said = json.loads(done.out)["retarget"]
    chosen, = [b["cpu"] for b in said["builds"] if b["chosen"]]
    assert chosen == CPUS[-1]
    of = builds_of(here, me.home)
    native, = of.keys() - set(CPUS)
    ran, in_place = Ran(here / "app", me.home), built(CPUS[-1])[1]
    assert (ran.loads, ran.saves, ran.results) == (in_place.loads, 0, in_place.results)
    assert ran.opened and ran.opened <= of[native]
    # The others are what they were.
    for cpu in CPUS[:-1]:
        ran = Ran(here / "app", me.home, cpu)
        assert ran.opened and ran.opened <= of[cpu] and not ran.saves


def test_pruned_nothing_is_left_but_the_best(fat, built, here, me):
    """Nor is it brought back: the rest of the life of such a tree."""
    loads, results = built(CPUS[-1])[1].loads, built(CPUS[-1])[1].results
    words = ("--retarget", PYTHON, "--prune")
    warmpack("extract", "-f", fat, "-C", here / "extracted", *words, home=me.home)
    warmpack("extract", "-f", fat, "-C", here / "restored", home=me.home)
    warmpack("restore", here / "restored", *words, home=me.home)
    warmpack("extract", "-f", fat, "-C", here / "later", home=me.home)
    before = builds_of(here / "later", me.home)
    warmpack("retarget", here / "later", "--for", PYTHON, home=me.home)
    warmpack("retarget", here / "later", "--for", PYTHON, "--prune", "--dry-run", home=me.home)
    assert builds_of(here / "later", me.home).keys() >= set(CPUS[:-1])
    warmpack("retarget", here / "later", "--for", PYTHON, "--prune", home=me.home)
    for name in ("extracted", "restored", "later"):
        (cpu, data), = builds_of(here / name, me.home).items()
        assert cpu not in CPUS and {p.name for p in (here / name).rglob("*.nbc")} == data
        ran = Ran(here / name / "app", me.home)
        assert (ran.loads, ran.saves, ran.results) == (loads, 0, results)
        warmpack("verify", here / name, "--python", PYTHON, home=me.home)
        # Again, nothing is to be done; moved, it stays what it is.
        done = warmpack("retarget", here / name, "--for", PYTHON, "--prune", "--json", home=me.home)
        assert json.loads(done.out)["retarget"]["changed"] == 0
        moved = here / ("moved-" + name)
        (here / name).rename(moved)
        warmpack("restore", moved, home=me.home)
        ran = Ran(moved / "app", me.home)
        assert (ran.loads, ran.saves) == (loads, 0)
        # Put back are the keys of what is there still.
        warmpack("retarget", moved, "--undo", home=me.home)
        assert builds_of(moved, me.home) == {CPUS[-1]: before[CPUS[-1]]}


def test_where_nothing_can_run_nothing_is_pruned(fat, here, me):
    said = json.loads(warmpack("env", "--probe", "--python", PYTHON, home=me.home).out)
    said.update(triple="aarch64-unknown-linux-gnu", cpu="cortex-a72", features="+neon")
    (here / "probe.json").write_text(json.dumps(said))
    warmpack("extract", "-f", fat, "-C", here / "to", home=me.home)
    before = builds_of(here / "to", me.home)
    warmpack("retarget", here / "to", "--for", here / "probe.json", "--prune", home=me.home,
             expect=1)
    assert builds_of(here / "to", me.home) == before


V2 = "+64bit,+cmov,+crc32,+cx16,+cx8,+fxsr,+mmx,+popcnt,+sahf,+sse,+sse2,+sse3,+sse4.1,+sse4.2,+ssse3,+x87"


def test_a_machine_that_lacks_the_best_gets_the_next(fat, here, me):
    said = json.loads(warmpack("env", "--probe", "--python", PYTHON, home=me.home).out)
    said.update(machine=V2, cpu="nehalem", features=V2)
    (here / "probe.json").write_text(json.dumps(said))
    done = warmpack("extract", "-f", fat, "-C", here / "to", "--retarget", here / "probe.json",
                    "--json", home=me.home)
    builds = {b["cpu"]: b for b in json.loads(done.out)["retarget"]["builds"]}
    assert builds["x86-64-v2"]["chosen"] and not builds["x86-64"]["chosen"]
    assert "its code needs fma" in builds["x86-64-v3"]["reason"]
    of = builds_of(here / "to", me.home)
    assert of.keys() == {"x86-64", "nehalem", "x86-64-v3"}


def test_a_merged_archive_is_merged_with_a_third(fat, built, here, me):
    two = here / "two.zip"
    warmpack("merge", "-o", two, built(CPUS[0])[0], built(CPUS[1])[0], home=me.home)
    warmpack("merge", "-o", here / "three.tar.zst", two, built(CPUS[2])[0], home=me.home)
    warmpack("extract", "-f", here / "three.tar.zst", "-C", here / "to", home=me.home)
    for cpu in CPUS:
        ran, in_place = Ran(here / "to" / "app", me.home, cpu), built(cpu)[1]
        assert (ran.loads, ran.saves, ran.results) == (in_place.loads, 0, in_place.results)


def test_trees_and_hashed_caches_are_merged(built, here, me):
    """One tree of each kind: caches below NUMBA_CACHE_DIR, and beside the sources."""
    one, caches, other = here / "1", here / "caches", built(CPUS[1])[0].parent / "app"
    warmpack("extract", "-f", built(CPUS[0])[0], "-C", one, "--cache-dir", caches, "--layout",
             "cache-dir", home=me.home)
    warmpack("merge", "-o", here / "fat.tgz", "--cache-dir", caches, one / "app", other,
             home=me.home)
    to = here / "to"
    warmpack("extract", "-f", here / "fat.tgz", "-C", to, "--cache-dir", here / "to-c",
             "--layout", "cache-dir", home=me.home)
    for cpu in CPUS[:2]:
        ran = Ran(to, me.home, cpu, NUMBA_CACHE_DIR=here / "to-c")
        assert (ran.loads, ran.saves) == (built(cpu)[1].loads, 0)
        assert ran.results == built(cpu)[1].results


MEETING = '''\
from numba import njit


def make(n):
    @njit(cache=True)
    def inner(x):
        return x + n

    return inner


one, hundred = make(1), make(100)


@njit
def both(x):
    return one(x), hundred(x)
'''


def meeting(root, caches=None):
    root.mkdir(parents=True)
    (root / "m.py").write_text(MEETING)
    give_exact_times(root)
    return root


def test_numba_mistakes_code_of_one_process_for_that_of_another(here, me):
    """Why two builds for one CPU are refused: it is Numba alone that calls here."""
    root = meeting(here / "app")
    for name in ("one", "hundred"):
        assert Ran(root, me.home, code="import m; m.%s(1)" % name).saves == 1
    ran = Ran(root, me.home, code="import m; print('RESULTS', m.one(1), m.hundred(1), m.both(1))")
    assert ran.loads == 2
    assert ran.results == ["RESULTS 2 101 (2, 2)"]  # hundred(1) is 101


def test_such_builds_are_refused(here, me):
    for name in ("one", "hundred"):
        root = meeting(here / name / "app")
        Ran(root, me.home, code="import m; m.%s(1)" % name)
        warmpack("create", "-f", here / (name + ".tgz"), "-C", root.parent, "app", home=me.home)
    done = warmpack("merge", "-o", here / "fat.tgz", here / "one.tgz", here / "hundred.tgz",
                    home=me.home, expect=2)
    assert "object code of two processes can share symbols" in done.err
    assert not (here / "fat.tgz").exists()
    # For different CPUs they never meet.
    root = here / "hundred" / "app"
    shutil.rmtree(root / "__pycache__")
    Ran(root, me.home, "x86-64", code="import m; m.hundred(1)")
    warmpack("merge", "-o", here / "fat.tgz", here / "one.tgz", root.parent, home=me.home)
    warmpack("extract", "-f", here / "fat.tgz", "-C", here / "to", home=me.home)
    ran = Ran(here / "to" / "app", me.home, code="import m; print('RESULTS', m.both(1))")
    assert ran.results == ["RESULTS (2, 101)"]


def test_caches_of_edited_sources_are_refused(built, here, me):
    root = write(here / "app", LOW.replace("x * 2", "x * 3"))
    Ran(root, me.home, CPUS[1])
    done = warmpack("merge", "-o", here / "fat.tgz", built(CPUS[0])[0], here, home=me.home,
                    expect=2)
    assert "app/pkg/low.py: has other content" in done.err
