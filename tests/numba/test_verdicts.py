"""verify holds keys against the interpreter, the settings and this machine, looks into object
code, and says what else is not as it should be."""

import json
import os
import platform
import shutil
import signal
import subprocess
import time

import pytest
from harness import LOADED, PYTHON, SAVED, Person, environment, warmpack
from small import cache_of, cpu_flags, old, run_small, write_small


@pytest.fixture
def tree(here, me):
    root = write_small(here / "app")
    assert run_small(root, me.home) == (0, 3)
    return root


def statuses(document):
    return {i["index"].rpartition("/")[2].split("-")[0]: i for i in json.loads(document)["indexes"]}


def interpreter(path, **values):
    """An interpreter like the real one but for some of what it says of itself."""
    changes = "".join("; %s = %r" % item for item in values.items())
    path.write_text(
        "#!/bin/sh\nexec %s -B -c \"import sys, numba, numba.core.codegen%s\n"
        "exec(sys.argv[1])\" \"$3\"\n" % (PYTHON, changes)
    )
    path.chmod(0o755)
    return path


def test_the_interpreter_that_compiled_finds_all_valid(tree, me):
    done = warmpack("verify", "--json", "--python", PYTHON, tree, home=me.home)
    assert {i["status"] for i in json.loads(done.out)["indexes"]} == {"valid"}
    assert run_small(tree, me.home) == (3, 0)


@pytest.mark.parametrize(
    "changes, status, reason",
    [
        ({"numba.__version__": "0.99.1"}, "wrong-numba", "has 0.99.1"),
        ({"sys.abiflags": "t"}, "wrong-python", "is 311t"),
        ({"numba.core.config.CPU_NAME": "nehalem"}, "wrong-cpu", "has nehalem"),
        ({"numba.core.config.CPU_FEATURES": "+avx"}, "wrong-cpu", "list of features"),
    ],
)
def test_another_interpreter_is_named_with_what_it_has(tree, here, me, changes, status, reason):
    python = interpreter(here / "python", **changes)
    done = warmpack("verify", "--json", "--python", python, tree, home=me.home, expect=1)
    for index in json.loads(done.out)["indexes"]:
        assert index["status"] == status
        assert reason in index["reason"] and str(python) in index["reason"]


def test_an_archive_is_held_against_an_interpreter_too(tree, here, me):
    warmpack("create", "-f", here / "a.tgz", "-C", here, "app", home=me.home)
    warmpack("verify", "-f", here / "a.tgz", "--python", PYTHON, home=me.home)
    python = interpreter(here / "python", **{"numba.__version__": "0.1"})
    done = warmpack("verify", "-f", here / "a.tgz", "--python", python, home=me.home, expect=1)
    assert done.out.count("wrong-numba") == 3


@pytest.mark.parametrize(
    "script, said",
    [
        ("exit 3", "it said nothing"),
        ("echo no such thing >&2; exit 1", "no such thing"),
        ("echo '[1]'", "cannot be asked"),
        ("kill -SEGV $$", "it was ended by signal 11 (Segmentation fault): it said nothing"),
        ("echo aargh >&2; kill -KILL $$", "it was ended by signal 9 (Killed): aargh"),
        ("exec >&- 2>&-; sleep 60", "its Numba: it said nothing"),
        ("echo '{\"numba\": 5}'", "does not say what its Numba compiles for"),
    ],
)
def test_an_interpreter_that_cannot_answer_is_an_error_with_its_last_words(
    tree, here, me, script, said
):
    python = here / "python"
    python.write_text("#!/bin/sh\n" + script + "\n")
    python.chmod(0o755)
    done = warmpack("verify", "--python", python, tree, home=me.home, expect=2)
    assert said in done.err and str(python) in done.err
    assert done.out == ""


def test_a_python_that_has_answered_is_not_waited_for_while_its_child_holds_the_pipe(
    tree, me, here
):
    python = here / "python"
    python.write_text(
        "#!/bin/sh\nsetsid sleep 1000 &\necho $! > %s\n%s \"$@\"\n" % (here / "pid", PYTHON)
    )
    python.chmod(0o755)
    try:
        done = warmpack("verify", "--json", "--python", python, tree, home=me.home)
        os.kill(int((here / "pid").read_text()), 0)  # it holds it still
        assert {i["status"] for i in json.loads(done.out)["indexes"]} == {"valid"}
    finally:
        os.kill(int((here / "pid").read_text()), signal.SIGKILL)


def test_a_module_in_the_working_directory_is_not_imported(tree, here, me):
    for name in ("numba", "json", "os"):
        (here / (name + ".py")).write_text("open('executed', 'w')\n")
    warmpack("verify", "--python", PYTHON, tree, home=me.home, cwd=here)
    assert not (here / "executed").exists()


def test_settings_of_the_CPU_are_held_against_keys(tree, me):
    done = warmpack("verify", tree, home=me.home, expect=1, NUMBA_CPU_NAME="generic")
    assert done.out.count("wrong-cpu") == 3
    assert "hint: wrong-cpu: " in done.err and "warmpack env" in done.err
    first = statuses(warmpack("verify", "--json", tree, home=me.home).out)["k.add"]["overloads"][0]
    warmpack(
        *("verify", tree),
        home=me.home,
        NUMBA_CPU_NAME=first["cpu"],
        NUMBA_CPU_FEATURES=first["features"],
    )


def test_code_for_a_feature_that_this_machine_lacks_is_unsafe(here, me):
    lacking = [
        name
        for name, flag in (("xop", "xop"), ("amx-tile", "amx_tile"), ("avx512er", "avx512er"))
        if flag not in cpu_flags()
    ]
    assert len(lacking) >= 2, "no CPU has all of them"
    root = write_small(here / "app")
    variables = {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "+sse4.2," + ",".join("+" + name for name in lacking[:2]),
    }
    run_small(root, me.home, **variables)
    done = warmpack("verify", root, home=me.home, expect=1)
    assert done.out.count("unsafe-cpu") == 3
    assert "which this machine lacks" in done.out
    assert all(name in done.out for name in lacking[:2]) and "sse4.2" not in done.out


@pytest.mark.parametrize("kind", [None, "riscv64-unknown-linux-gnu", "powerpc64le-unknown-linux-gnu",
                                  "x86_64-pc-windows-msvc", "arm64-apple-darwin23.1.0"])
def test_code_for_another_architecture_is_for_another_cpu(tree, here, me, kind):
    """Nobody can run it here, whatever is set."""
    here_is = os.uname().machine
    triple = kind or ("aarch64" if here_is == "x86_64" else "x86_64") + "-unknown-linux-gnu"
    magic = (triple, "generic", "")
    again = (
        "import pickle, sys\nfor name in sys.argv[1:]:\n"
        "    f = open(name, 'rb'); version, (stamp, all) = pickle.load(f), pickle.load(f)\n"
        "    all = {(k[0], %r, k[2]): v for k, v in all.items()}\n"
        "    open(name, 'wb').write(pickle.dumps(version, -1) + pickle.dumps((stamp, all), 4))"
    ) % (magic,)
    subprocess.run([PYTHON, "-c", again, *cache_of(tree).glob("*.nbi")], cwd=tree, check=True)
    for variables in ({}, {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}):
        done = warmpack("verify", tree, home=me.home, expect=1, **variables)
        assert done.counts == (0, 3) and done.out.count("wrong-cpu") == 3
        is_foreign = "windows" in triple or "darwin" in triple
        said = f"it is for {triple}, and this machine is {'a Linux' if is_foreign else here_is}\n"
        assert done.out.count(said) == 3
        assert "warmpack env" not in done.err and "another architecture" in done.err
    done = warmpack("env", tree, home=me.home, expect=2)
    assert done.out == "" and triple in done.err
    warmpack("create", "-f", here / "a.tgz", "-C", here, "app", home=me.home)
    done = warmpack("verify", "-f", here / "a.tgz", home=me.home, expect=1)
    assert done.out.count("wrong-cpu") == 3


@pytest.mark.parametrize("suffix", ["tgz", "zip", "tar.zst"])
def test_an_archive_with_code_that_this_machine_cannot_run_is_unsafe(here, me, suffix):
    root, archive = write_small(here / "app"), here / f"app.{suffix}"
    lacking = "xop" if "xop" not in cpu_flags() else "avx512er"
    unsafe = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "+" + lacking}

    def verify(expect):
        warmpack("create", "-f", archive, "-C", here, "app", home=me.home)
        seen = warmpack("verify", "-f", archive, home=me.home, expect=expect)
        whole = warmpack("verify", "--json", "-f", archive, home=me.home, expect=expect)
        document = json.loads(whole.out)
        bad = [i for i in document["indexes"] if i["status"] != "valid"]
        lines = [" ".join(line.split()) for line in seen.out.splitlines()]
        assert lines == [f"{i['status']} {i['index']} {i['reason']}" for i in bad]
        return [i["status"] for i in bad]

    run_small(root, me.home, **unsafe)
    assert verify(1) == ["unsafe-cpu"] * 3
    run_small(root, me.home)  # beside what this machine cannot run, code that it can
    assert verify(0) == []
    run_small(root, me.home, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")
    assert verify(0) == []


def test_an_overload_for_this_CPU_beside_one_for_another_is_enough(tree, me):
    old_keys = {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": ""}
    assert run_small(tree, me.home, **old_keys) == (0, 3)
    for variables in ({}, old_keys):
        done = warmpack("verify", "--python", PYTHON, tree, home=me.home, **variables)
        assert done.counts == (3, 3)
    done = warmpack("verify", tree, home=me.home, expect=1, NUMBA_CPU_NAME="generic")
    assert done.counts == (0, 3)


def test_object_code_that_is_cut_is_corrupt(tree, me):
    data = next(cache_of(tree).glob("k.add-*.1.nbc"))
    content = data.read_bytes()
    elf = content.index(b"\x7fELF")
    # The table of sections lies behind the end: as a whole pickle with half an object would be.
    data.write_bytes(content[: elf + 40] + b"\xff\xff\xff\x0f\0\0\0\0" + content[elf + 48 :])
    done = warmpack("verify", tree, home=me.home, expect=1)
    assert done.out.startswith("corrupt  pkg/__pycache__/k.add-")


def test_the_old_root_in_object_code_is_noted_after_a_move(tree, here, me):
    assert "old-root" not in warmpack("verify", tree, home=me.home).out
    warmpack("create", "-f", here / "a.tgz", "-C", here, "app", home=me.home)
    warmpack("extract", "-f", here / "a.tgz", "-C", here / "new", home=me.home)
    done = warmpack("verify", here / "new" / "app", home=me.home)
    noted = [line for line in done.out.splitlines() if line.startswith("old-root  ")]
    assert len(noted) == 1 and "k.where-" in noted[0] and str(here / "app") in noted[0]
    # One level up, the manifest is found, too.
    assert "old-root  app/pkg/__pycache__/k.where-" in warmpack("verify", here / "new", home=me.home).out
    assert done.counts == (3, 3)


def test_settings_that_differ_from_packing_are_noted(tree, here, me):
    warmpack(
        *("create", "-f", here / "a.tgz", "-C", here, "app"), home=me.home, NUMBA_BOUNDSCHECK=1
    )
    warmpack("extract", "-f", here / "a.tgz", "-C", here / "new", home=me.home)
    done = warmpack("verify", here / "new" / "app", home=me.home, NUMBA_OPT=1)
    assert "it was packed with NUMBA_BOUNDSCHECK=1, and now NUMBA_BOUNDSCHECK is not set" in done.out
    assert "it was packed without NUMBA_OPT, and now NUMBA_OPT=1" in done.out
    for words in ([here / "new" / "app"], ["-f", here / "a.tgz"], ["--json", "-f", here / "a.tgz"]):
        done = warmpack("verify", *words, home=me.home, NUMBA_BOUNDSCHECK=1)
        assert "settings" not in done.out
        assert "BOUNDSCHECK is not set" in warmpack("verify", *words, home=me.home).out
    subprocess.run(["tar", "--format=pax", "--exclude=.warmpack", "-czf", here / "tree.tgz", "app"],
                   cwd=here, check=True)
    done = warmpack("verify", "-f", here / "tree.tgz", home=me.home, NUMBA_BOUNDSCHECK=1)
    assert "settings" not in done.out


def test_only_settings_that_change_code_are_noted(tree, here, me):
    same = dict(NUMBA_OPT=3, NUMBA_THREADING_LAYER="workqueue", NUMBA_FULL_TRACEBACKS=1)
    warmpack("create", "-f", here / "a.tgz", "-C", here, "app", home=me.home, **same)
    warmpack("extract", "-f", here / "a.tgz", "-C", here / "new", home=me.home)
    tree = here / "new" / "app"
    assert "settings" not in warmpack("verify", tree, home=me.home).out
    assert "settings" not in warmpack(
        *("verify", tree), home=me.home, NUMBA_SHOW_HELP=1, NUMBA_DUMP_IR=1, **same
    ).out
    done = warmpack("verify", tree, home=me.home, NUMBA_OPT=0)
    assert "it was packed without NUMBA_OPT, and now NUMBA_OPT=0" in done.out


def test_stamps_of_whole_seconds_are_for_a_locator_that_makes_them(tree, here, me):
    """Before Numba 0.62, and after it with its own list, no locator does."""
    again = (
        "import pickle, sys\nfor name in sys.argv[1:]:\n"
        "    f = open(name, 'rb'); version, (stamp, all) = pickle.load(f), pickle.load(f)\n"
        "    stamp = int(stamp[0] // 1), stamp[1]\n"
        "    open(name, 'wb').write(pickle.dumps(version, -1) + pickle.dumps((stamp, all), 4))"
    )
    subprocess.run([PYTHON, "-c", again, *cache_of(tree).glob("*.nbi")], cwd=tree, check=True)
    warmpack("verify", tree, home=me.home)
    done = warmpack("verify", "--python", PYTHON, tree, home=me.home, expect=1)
    assert done.out.count("which no locator of") == 3
    classes = {"numba.core.config.CACHE_LOCATOR_CLASSES": "InTreeCacheLocatorFsAgnostic"}
    python = interpreter(here / "python", **classes)
    warmpack("verify", "--python", python, tree, home=me.home)
    source = tree / "pkg" / "k.py"
    os.utime(source, ns=(0, source.stat().st_mtime_ns // 10**9 * 10**9))
    warmpack("verify", "--python", PYTHON, tree, home=me.home)
    assert run_small(tree, me.home) == (3, 0)


def test_the_name_of_a_CPU_alone_keeps_the_features_of_this_machine(tree, me):
    """Numba then never finds code for that name without features."""
    first = statuses(warmpack("verify", "--json", tree, home=me.home).out)["k.add"]["overloads"][0]
    name = first["cpu"]
    if name == "generic":  # a CPU that LLVM does not know: with that name Numba takes no features
        name = "x86-64-v2"
        run_small(tree, me.home, NUMBA_CPU_NAME=name)
    assert run_small(tree, me.home, NUMBA_CPU_NAME=name) == (3, 0)
    warmpack("verify", tree, home=me.home, NUMBA_CPU_NAME=name)
    for path in cache_of(tree).glob("*.nb?"):
        path.unlink()
    run_small(tree, me.home, NUMBA_CPU_NAME="x86-64", NUMBA_CPU_FEATURES="")
    done = warmpack("verify", tree, home=me.home, expect=1, NUMBA_CPU_NAME="x86-64")
    assert done.out.count("wrong-cpu") == 3 and "NUMBA_CPU_NAME is set alone" in done.out
    assert run_small(tree, me.home, NUMBA_CPU_NAME="x86-64") == (0, 3)


def test_an_interpreter_looks_into_a_directory_of_the_tree_with_the_variable_alone(here, me):
    root = write_small(here / "app")
    cache = root / ".numba_cache"
    assert run_small(root, me.home, NUMBA_CACHE_DIR=cache) == (0, 3)
    done = warmpack("verify", "--python", PYTHON, root, home=me.home, expect=1)
    assert done.out.count("misplaced") == 3 and f"NUMBA_CACHE_DIR={cache} alone" in done.out
    assert "restore" not in done.err  # there is no manifest
    warmpack("verify", "--python", PYTHON, root, home=me.home, NUMBA_CACHE_DIR=cache)
    warmpack("verify", root, home=me.home)
    assert run_small(root, me.home) == (0, 3)


def test_an_index_that_grows_by_arrays_as_defaults_is_noted(here, me):
    (here / "app").mkdir()
    (here / "app" / "g.py").write_text(
        "from numba import njit\nimport numpy as np\n@njit(cache=True)\n"
        "def f(x, a=np.empty(0)):\n    return x + a.size\nf(1)\n"
    )
    for _ in range(3):
        subprocess.run(
            [PYTHON, "-B", "-W", "ignore", "-c", "import g"],
            cwd=here / "app",
            env=environment(me.home, PYTHONPATH=here / "app"),
            check=True,
        )
    done = warmpack("verify", here / "app", home=me.home)
    assert "grows  __pycache__/g.f-3.py311.nbi  3 overloads" in done.out


def test_no_place_at_all_stops_the_program(here, me, another_user):
    root = write_small(here / "app")
    run_small(root, me.home)
    warmpack("create", "-f", here / "a.tgz", "-C", here, "app", home=me.home)
    warmpack("extract", "-f", here / "a.tgz", "-C", here / "new", home=me.home)
    root = here / "new" / "app"
    done = warmpack("verify", "--user", "nobody", root, home=me.home, expect=1)
    assert done.out.count("unwritable") == 3 and "no locator available" in done.out
    assert "warmpack.locator.Warm" in done.err
    ran = subprocess.run(
        another_user.command([PYTHON, "-B", "-c", "import pkg.k"]),
        env=environment("/nonexistent", PYTHONPATH=root),
        cwd="/",
        stderr=subprocess.PIPE,
        text=True,
    )
    assert ran.returncode and "no locator available" in ran.stderr


def run_as(person, root):
    done = subprocess.run(
        person.command([PYTHON, "-B", "-c", "import pkg.k"]),
        env=environment("/nonexistent", NUMBA_DEBUG_CACHE=1, PYTHONPATH=root),
        cwd="/", capture_output=True, text=True,
    )  # fmt: skip
    return len(LOADED.findall(done.stdout)), len(SAVED.findall(done.stdout)), done.stderr


def test_what_the_user_cannot_read_is_not_valid_for_them(tree, here, me, another_user):
    os.chown(cache_of(tree), another_user.uid, another_user.uid)
    words = ("verify", "--json", "--user", "nobody", tree)
    next(cache_of(tree).glob("k.total-*.nbc")).chmod(0o600)
    done = warmpack(*words, home=me.home, expect=1)
    assert {n: i["status"] for n, i in statuses(done.out).items()} == {
        "k.add": "valid", "k.total": "unreadable", "k.where": "valid"}  # fmt: skip
    assert run_as(another_user, tree)[:2] == (2, 1)
    next(cache_of(tree).glob("k.add-*.nbi")).chmod(0o600)
    told = statuses(warmpack(*words, home=me.home, expect=1).out)["k.add"]
    assert told["status"] == "unreadable" and "nobody cannot read it" in told["reason"]
    assert "PermissionError" in run_as(another_user, tree)[2]
    warmpack("verify", tree, home=me.home)


@pytest.mark.parametrize("verb", ["extract", "restore"])
def test_caches_that_only_their_builder_could_read_are_given_to_the_user(tree, here, me,
                                                                         another_user, verb):
    """As a umask of 077 makes them where sources have been made readable."""
    for file in cache_of(tree).glob("k.*.nb?"):
        file.chmod(0o600)
    warmpack("create", "-f", here / "a.tgz", "-C", here, "app", home=me.home)
    to = ("-f", here / "a.tgz", "-C", here / "new")
    warmpack("extract", *to, *(["--user", "nobody"] if verb == "extract" else []), home=me.home)
    if verb == "restore":
        warmpack("restore", here / "new", "--user", "nobody", home=me.home)
    assert run_as(another_user, here / "new" / "app")[:2] == (3, 0)


def test_locators_that_replace_numbas_are_named(tree, here, me):
    done = warmpack("verify", tree, home=me.home, NUMBA_CACHE_LOCATOR_CLASSES="UserWide")
    assert "NUMBA_CACHE_LOCATOR_CLASSES=UserWide: Numba looks where these say" in done.out
    python = interpreter(here / "python", **{"numba.core.config.CACHE_LOCATOR_CLASSES": "Mine"})
    done = warmpack("verify", "--python", python, tree, home=me.home)
    assert "NUMBA_CACHE_LOCATOR_CLASSES=Mine" in done.out


def test_an_index_that_grows_is_noted(here, me):
    root = here / "app"
    root.mkdir()
    (root / "g.py").write_text(
        "from numba import njit\n"
        "def make(f):\n"
        "    @njit(cache=True)\n"
        "    def call(x):\n"
        "        return f(x)\n"
        "    return call\n"
        "make(njit(lambda x: x + 1))(1)\n"
    )
    for _ in range(3):
        assert "grows" not in warmpack("verify", root, home=me.home).out
        subprocess.run(
            [PYTHON, "-B", "-c", "import g"],
            env=environment(me.home, PYTHONPATH=root),
            cwd=me.home,
            check=True,
        )
    done = warmpack("verify", root, home=me.home)
    assert done.out.startswith("grows  __pycache__/g.make.locals.call-") and "3 overloads" in done.out
    said = warmpack("verify", "-v", root, home=me.home).out
    assert "3 of 3 overloads are closures, whose keys may be bound to the path: (int64,), " in said


def test_a_sticky_directory_with_indexes_of_others_is_noted(tree, me, another_user):
    cache_of(tree).chmod(0o1777)
    done = warmpack("verify", "--user", "65534", tree, home=me.home)
    assert done.out.startswith("sticky  pkg/__pycache__  ")
    assert "sticky" not in warmpack("verify", tree, home=me.home).out


def spoil(tree):
    """Returns what is to go: a cut index with its data, a suspect pair, and two orphans."""
    cache = cache_of(tree)
    cut = next(cache.glob("k.add-*.nbi"))
    cut.write_bytes(cut.read_bytes()[:-7])
    suspect = next(cache.glob("k.total-*.nbc"))
    os.utime(suspect, (1, 1))
    orphan = cache / "k.gone-3.py311.1.nbc"
    half = cache / "k.add-7.py311.nbi.tmp.12ab"
    for path in (orphan, half):
        path.write_bytes(b"x")
        old(path)
    return {*cache.glob("k.add-*"), *cache.glob("k.total-*"), orphan, half}


def test_fix_removes_what_is_broken_and_nothing_else(tree, me):
    before = {p for p in tree.rglob("*") if p.is_file()}
    bad = spoil(tree)
    mine = cache_of(tree) / "notes.tmp.12"
    mine.write_text("mine")
    said = warmpack("verify", "--fix", "--dry-run", tree, home=me.home, expect=1)
    assert said.err.count("would be removed: ") == len(bad)
    assert all(p.exists() for p in bad)

    done = warmpack("verify", "--fix", tree, home=me.home)
    assert done.counts == (1, 1)
    assert done.err.count(": removed: ") == len(bad)
    assert {p for p in tree.rglob("*") if p.is_file()} == (before - bad) | {mine}
    assert run_small(tree, me.home) == (1, 2)


def test_a_source_whose_time_is_ahead_of_the_clock_has_valid_caches(here, me):
    """A zip holds local time, so one of another time zone unpacks with times to come."""
    root = write_small(here / "app")
    source = root / "pkg" / "k.py"
    later = time.time_ns() + 10**15
    os.utime(source, ns=(later, later))
    assert run_small(root, me.home) == (0, 3)
    found = json.loads(warmpack("verify", "--json", root, home=me.home).out)
    assert {i["status"] for i in found["indexes"]} == {"valid"}
    assert [n["kind"] for n in found["notes"] if n["kind"] != "closures"] == ["clock"] * 3
    assert " --fix" not in warmpack("verify", root, home=me.home).err
    warmpack("create", "--strict", "-f", here / "a.tgz", "-C", here, "app", home=me.home)
    assert warmpack("verify", "-f", here / "a.tgz", home=me.home).counts == (3, 3)
    warmpack("verify", "--fix", root, home=me.home)
    assert run_small(root, me.home) == (3, 0)


CELL = """
import linecache, sys
from numba.core import caching
NAME, TEXT = "<ipython-input-1-0123456789ab>", '''
from numba import njit
@njit(cache=True)
def f(x):
    return x + 1
'''
linecache.cache[NAME] = (len(TEXT), None, TEXT.splitlines(True), NAME)
space = {"__name__": "__main__"}
exec(compile(TEXT, NAME, "exec"), space)
space["f"](1)

class Graph(caching._UserProvidedCacheLocator):  # as PyTensor's: a stamp that says nothing
    def get_source_stamp(self):
        return 0

caching.CacheImpl._locator_classes.insert(0, Graph)
import graph
"""


def run_cell(root, home):
    """A cell of IPython, and what PyTensor compiles; the numbers of overloads loaded and saved."""
    done = subprocess.run(
        [PYTHON, "-B", "-c", CELL],
        env=environment(
            home, NUMBA_DEBUG_CACHE=1, PYTHONPATH=root / "lib", CELLS=root / ".ipython",
            NUMBA_CACHE_DIR=root / "graphs",
        ),
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return len(LOADED.findall(done.stdout)), len(SAVED.findall(done.stdout))


def test_caches_of_no_source_file_are_valid_at_any_path(here, me):
    root = here / "home"
    (root / "lib" / "IPython").mkdir(parents=True)
    (root / "lib" / "IPython" / "__init__.py").write_text("")
    (root / "lib" / "IPython" / "paths.py").write_text(
        "import os\ndef get_ipython_cache_dir():\n    return os.environ['CELLS']\n"
    )
    (root / "lib" / "graph.py").write_text(
        "from numba import njit\n@njit(cache=True)\ndef g(x):\n    return x - 1\ng(1)\n"
    )
    assert run_cell(root, me.home) == (0, 2) and run_cell(root, me.home) == (2, 0)
    next(root.rglob("*.f-*.nbi")).with_suffix(".nbi.lock").write_text("")
    done = warmpack("verify", "-v", root, home=me.home)
    assert done.counts == (2, 2) and done.out.count("self-keyed") == 2
    warmpack("create", "--strict", "-f", here / "a.tgz", "-C", here, "home", home=me.home)
    assert ".nbi.lock" not in warmpack("list", "-f", here / "a.tgz", home=me.home).out
    for words in (["-v"], ["--json"]):
        done = warmpack("verify", *words, "-f", here / "a.tgz", home=me.home)
        assert done.out.count('self-keyed') == 2 + (words == ["--json"])
    assert warmpack("inspect", root, home=me.home).out.count("it has no source file") == 2
    done = warmpack("extract", "-f", here / "a.tgz", "-C", here / "new", home=me.home)
    assert done.counts == (2, 2) and "2 self-keyed" in done.err
    cells = here / "new" / "home" / ".ipython"
    assert len([*cells.rglob("*.nbi")]) == 1
    warmpack("verify", here / "new" / "home", home=me.home)


def unpacked(tree, here, me, *options, **variables):
    warmpack("create", "-f", here / "a.tgz", "-C", here, "app", home=me.home, **variables)
    words = ("extract", *options, "-f", here / "a.tgz", "-C", here / "new")
    warmpack(*words, home=me.home)
    return here / "new" / "app"


def test_fix_gives_sources_their_times_and_changes_no_index(tree, here, me):
    root = unpacked(tree, here, me)
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    for path in root.rglob("*"):
        os.utime(path)
    (root / "pkg" / "__init__.py").chmod(0o600)
    said = warmpack("verify", "--fix", "--dry-run", root, home=me.home, expect=1)
    assert "would be set as the manifest has them" in said.err and said.counts == (0, 3)
    assert run_small(here / "app", me.home) == (3, 0)

    done = warmpack("verify", "--fix", "--json", root, home=me.home)
    assert done.counts == (3, 3)
    fix = json.loads(done.out)["fix"]
    assert fix["times"] >= 2 and fix["moved"] == fix["removed"] == 0 and fix["dry_run"] is False
    assert {p: p.read_bytes() for p in root.rglob("*") if p.is_file()} == before
    assert (root / "pkg" / "__init__.py").stat().st_mode & 0o777 == 0o600
    assert run_small(root, me.home) == (3, 0)
    assert json.loads(warmpack("verify", "--fix", "--json", root, home=me.home).out)["fix"] == {
        "dry_run": False,
        "times": 0,
        "moved": 0,
        "removed": 0,
    }


def test_a_file_that_caches_depend_on_is_read_where_its_time_was_set_back(here, me):
    root = write_small(here / "app")
    (root / "pkg" / "__init__.py").write_text("ONE = 1\n")
    assert run_small(root, me.home) == (0, 3)
    root = unpacked(root, here, me)
    init = root / "pkg" / "__init__.py"
    was = init.stat()
    init.write_text("ONE = 2\n")
    os.utime(init, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert init.stat().st_size == was.st_size and init.stat().st_mtime_ns == was.st_mtime_ns
    found = statuses(warmpack("verify", "--json", root, home=me.home, expect=1).out)
    assert {i["status"] for i in found.values()} == {"outdated"}
    assert all("__init__.py changed" in i["reason"] for i in found.values())


def test_fix_gives_no_time_to_a_source_with_other_content(tree, here, me):
    root = unpacked(tree, here, me)
    source = root / "pkg" / "k.py"
    source.write_text(source.read_text().replace("x * x", "x + x"))
    edited = source.stat().st_mtime_ns
    done = warmpack("verify", "--fix", root, home=me.home, expect=1)
    assert done.counts == (0, 3) and source.stat().st_mtime_ns == edited
    assert run_small(root, me.home) == (0, 3)


def test_fix_moves_cache_directories_to_where_numba_looks(here, me):
    caches = here / "caches"
    root = write_small(here / "app")
    assert run_small(root, me.home, NUMBA_CACHE_DIR=caches) == (0, 3)
    new = unpacked(root, here, me, "--cache-dir", here / "there", NUMBA_CACHE_DIR=caches)
    moved = here / "moved"
    new.rename(moved)
    hashed = {p.name for p in (here / "there").iterdir() if p.is_dir()}
    done = warmpack("verify", "--cache-dir", here / "there", moved, home=me.home, expect=1)
    assert done.counts == (0, 3)
    assert done.out.count("misplaced") == done.out.count("named for sources in %s/pkg" % new) == 3
    for options in (("--dry-run",), ()):
        done = warmpack(
            *("verify", "--fix", *options, "--cache-dir", here / "there", moved),
            home=me.home,
            expect=1 if options else 0,
        )
    assert done.counts == (3, 3), done.err
    assert run_small(moved, me.home, NUMBA_CACHE_DIR=here / "there") == (3, 0)
    assert {p.name for p in (here / "there").iterdir() if p.is_dir()} != hashed


def test_a_cache_root_inside_a_tree_that_was_moved_is_misplaced_once_and_fixed(here, me):
    root = write_small(here / "app")
    run_small(root, me.home, NUMBA_CACHE_DIR=root / ".numba_cache")
    new = unpacked(root, here, me)
    moved = here / "moved"
    new.rename(moved)
    for variables in ({}, {"NUMBA_CACHE_DIR": moved / ".numba_cache"}):
        done = warmpack("verify", moved, home=me.home, expect=1, **variables)
        assert done.counts == (0, 3) and done.out.count("misplaced  .numba_cache/pkg_") == 3
        assert done.out.count("named for a path that the tree had earlier") == 3
    assert warmpack("verify", "--fix", moved, home=me.home, **variables).counts == (3, 3)
    assert run_small(moved, me.home, **variables) == (3, 0)


def test_fix_moves_caches_in_tree_where_the_interpreters_settings_send_numba(tree, here, me):
    root = unpacked(tree, here, me)
    (me.home / ".numba_config.yaml").write_text("cache_dir: %s\n" % (here / "there"))
    (here / "there").mkdir()
    words = ("verify", "--python", PYTHON, root)
    done = warmpack(*words, home=me.home, cwd=me.home, expect=1)
    assert done.counts == (0, 3) and done.out.count("misplaced") == 3
    done = warmpack(*words, "--fix", home=me.home, cwd=me.home)
    assert done.counts == (3, 3)
    assert run_small(root, me.home) == (3, 0)


def test_caches_that_numba_finds_with_its_variable_alone_are_misplaced_without(here, me):
    caches = here / "caches"
    root = write_small(here / "app")
    run_small(root, me.home, NUMBA_CACHE_DIR=caches)
    new = unpacked(root, here, me, "--cache-dir", here / "there", NUMBA_CACHE_DIR=caches)
    done = warmpack("verify", new, home=me.home, expect=1)
    assert done.out.count("misplaced") == done.out.count("NUMBA_CACHE_DIR=%s" % (here / "there")) == 3
    assert warmpack("verify", new, home=me.home, NUMBA_CACHE_DIR=here / "there").counts == (3, 3)
    assert run_small(new, me.home) == (0, 3)


def test_caches_that_nobody_put_into_place_are_misplaced_and_fixed(here, me):
    caches = here / "caches"
    root = write_small(here / "app")
    run_small(root, me.home, NUMBA_CACHE_DIR=caches)
    warmpack(
        *("create", "-f", here / "a.tgz", "-C", here, "app"), home=me.home, NUMBA_CACHE_DIR=caches
    )
    (here / "new").mkdir()
    subprocess.run(["tar", "xzf", here / "a.tgz", "-C", here / "new"], check=True)
    done = warmpack("verify", here / "new", home=me.home, expect=1)
    assert done.out.count("misplaced") == done.out.count("nobody has put it where Numba looks") == 3
    assert warmpack("verify", "--fix", here / "new", home=me.home).counts == (3, 3)
    assert run_small(here / "new" / "app", me.home) == (3, 0)


def test_indexes_that_were_packed_and_are_gone_are_noted(tree, here, me):
    root = unpacked(tree, here, me)
    for path in cache_of(root).glob("k.add-*"):
        path.unlink()
    done = warmpack("verify", root, home=me.home)
    assert done.counts == (2, 2)
    assert "absent  1 of the indexes that were packed is gone" in done.out


def test_a_manifest_that_lies_elsewhere_is_used(tree, here, me):
    root = unpacked(tree, here, me)
    manifest = here / "m.jsonl"
    next((root / ".warmpack").glob("*/manifest.jsonl")).rename(manifest)
    shutil.rmtree(root / ".warmpack")
    os.utime(root / "pkg" / "k.py")
    assert warmpack("verify", "--fix", root, home=me.home, expect=1).counts == (0, 3)
    done = warmpack("verify", "--fix", "--manifest", manifest, root, home=me.home)
    assert done.counts == (3, 3) and run_small(root, me.home) == (3, 0)


def test_fix_without_a_manifest_sets_no_time(tree, me):
    os.utime(tree / "pkg" / "k.py")
    now = (tree / "pkg" / "k.py").stat().st_mtime_ns
    done = warmpack("verify", "--fix", tree, home=me.home, expect=1)
    assert done.counts == (0, 3) and (tree / "pkg" / "k.py").stat().st_mtime_ns == now


def test_a_relative_runtime_root_counts_from_the_working_directory(here, me):
    root = write_small(here / "app")
    run_small(root, me.home, NUMBA_CACHE_DIR=here / "caches")
    words = ("verify", "--cache-dir", here / "caches", "--runtime-root")
    for name in ("app", "./app/", root):
        assert warmpack(*words, name, root, home=me.home, cwd=here).counts == (3, 3)
    assert warmpack(*words, "other", root, home=me.home, cwd=here).counts == (0, 0)


def test_fix_leaves_an_index_that_cannot_be_read(tree, here, me):
    index = next(cache_of(tree).glob("k.add-*.nbi"))
    if os.geteuid() == 0:
        for path in (tree, *tree.rglob("*")):
            os.chown(path, 65534, 65534)
        index.chmod(0)
        os.chown(index, 0, 0)
        nobody = Person(here / "nobody", 65534)
        nobody.home.mkdir()
        nobody.own(nobody.home)
    else:
        nobody = me
        index.chmod(0)
    done = warmpack("verify", "--fix", tree, home=nobody.home, person=nobody, expect=1)
    assert "cannot be read: Permission denied" in done.out and index.exists()
    assert "it is left alone" in done.err


def test_fix_leaves_what_somebody_may_be_writing(tree, me):
    half = cache_of(tree) / "k.add-7.py311.nbi.tmp.12ab"
    half.write_bytes(b"")
    done = warmpack("verify", "--fix", tree, home=me.home)
    assert half.exists() and "somebody may be writing it" in done.err


def test_fix_does_not_follow_what_a_corrupt_index_names(tree, here, me):
    """An index is believed in nothing: its data files are those that its own name gives."""
    import pickle

    other = next(cache_of(tree).glob("k.total-*.1.nbc"))
    bad = cache_of(tree) / "k.evil-1.py311.nbi"
    source = (tree / "pkg" / "k.py").stat()
    key = ((), ("x86_64-pc-linux-gnu", "generic", ""), ("a", "b"))
    bad.write_bytes(
        pickle.dumps("0.56.4")
        + pickle.dumps(((source.st_mtime, source.st_size), {key: other.name}))
    )
    os.utime(other, (1, 1))  # now both are suspect
    keep = next(cache_of(tree).glob("k.add-*.1.nbc"))
    key_of_add = cache_of(tree) / "k.evil-2.py311.nbi"
    key_of_add.write_bytes(
        pickle.dumps("0.56.4") + pickle.dumps(((0.5, 1), {key: keep.name}))[:-1]
    )
    warmpack("verify", "--fix", tree, home=me.home)
    assert not bad.exists() and not key_of_add.exists()
    assert keep.exists()


def test_an_index_that_numba_did_not_write_is_told_as_that_and_left_by_fix(tree, me):
    """It may be sound: here Numba loads it as it is."""
    import pickle

    index = next(cache_of(tree).glob("k.add-*.nbi"))
    again = (
        "import pickle, sys; f = open(sys.argv[1], 'rb'); both = [pickle.load(f), pickle.load(f)]\n"
        "open(sys.argv[1], 'wb').write(b''.join(pickle.dumps(x, 2) for x in both))"
    )
    subprocess.run([PYTHON, "-c", again, index], check=True)
    assert pickle.loads(index.read_bytes()) and run_small(tree, me.home) == (3, 0)
    before = sorted(cache_of(tree).iterdir())
    done = warmpack("verify", "--fix", "--json", tree, home=me.home, expect=1)
    found = json.loads(done.out)
    told = [i for i in found["indexes"] if i["status"] != "valid"]
    assert [(i["status"], i["index"].rpartition("/")[2]) for i in told] == [("unreadable", index.name)]
    assert "is not one of Numba's: version: pickle, byte 0: " in told[0]["reason"]
    assert not [n for n in found["notes"] if n["kind"] == "orphan"]
    assert sorted(cache_of(tree).iterdir()) == before
    done = warmpack("inspect", tree, home=me.home, expect=1)
    assert "3 cache indexes, 1 of them unreadable; " in done.err
    assert f"{index.name}" in warmpack("env", tree, home=me.home).err


def test_an_index_that_is_a_symlink_is_judged_as_numba_reads_it_and_left_by_fix(tree, here, me):
    index = next(cache_of(tree).glob("k.add-*.nbi"))
    index.rename(here / "elsewhere")
    index.symlink_to(here / "elsewhere")
    before = sorted(cache_of(tree).iterdir())
    assert warmpack("inspect", tree, home=me.home).err.startswith("3 cache indexes")
    done = warmpack("verify", "--fix", tree, home=me.home)
    assert done.counts == (3, 3) and run_small(tree, me.home) == (3, 0)
    assert "orphan" not in done.out and sorted(cache_of(tree).iterdir()) == before
    (here / "elsewhere").write_bytes((here / "elsewhere").read_bytes()[:50])
    done = warmpack("verify", "--fix", tree, home=me.home, expect=1)
    assert "corrupt" in done.out and f"{index.name}: left" in done.err
    assert sorted(cache_of(tree).iterdir()) == before
    (here / "elsewhere").unlink()  # leads nowhere: to Numba there is none, which is no trouble
    assert warmpack("inspect", tree, home=me.home).err.startswith("2 cache indexes")


def test_fix_leaves_an_index_that_is_too_large_to_be_looked_at(tree, me):
    index = next(cache_of(tree).glob("k.add-*.nbi"))
    os.truncate(index, (64 << 20) + 1)
    done = warmpack("verify", "--fix", tree, home=me.home, expect=1)
    assert f"{index.name}: left" in done.err and index.exists()
    assert index.with_suffix(".1.nbc").exists()


def test_what_is_no_regular_file_is_named_as_such(tree, me):
    index = next(cache_of(tree).glob("k.add-*.nbi"))
    index.with_suffix(".1.nbc").unlink()
    os.mkfifo(index.with_suffix(".1.nbc"))
    assert "no regular file" in warmpack("verify", tree, home=me.home, expect=1).out
    index.unlink()
    index.symlink_to("/dev/zero")
    assert "no regular file" in warmpack("verify", tree, home=me.home, expect=1).out
    assert "no regular file" in warmpack("inspect", index, home=me.home, expect=2).err


def test_a_directory_with_the_name_of_an_index_is_corrupt_and_left_by_fix(tree, me):
    index = next(cache_of(tree).glob("k.add-*.nbi"))
    index.unlink()
    index.mkdir()
    (tree / "also.nbi").mkdir()  # where Numba does not look
    with pytest.raises(subprocess.CalledProcessError):
        run_small(tree, me.home)
    done = warmpack("verify", "--fix", tree, home=me.home, expect=1)
    assert "corrupt" in done.out and "it is a directory" in done.out
    assert f"{index.name}: left" in done.err and index.is_dir()
    assert done.counts == (2, 3)


@pytest.mark.parametrize("where", ["outside", "app/kept", "app/other/__pycache__"])
def test_a_pycache_that_is_a_link_is_judged_as_numba_uses_it(tree, here, me, where):
    target = here / where
    target.parent.mkdir(exist_ok=True)
    cache_of(tree).rename(target)
    cache_of(tree).symlink_to(target)
    assert run_small(tree, me.home) == (3, 0)
    done = warmpack("verify", "--fix", "--json", tree, home=me.home)
    found = json.loads(done.out)
    assert [(i["index"].rpartition("/")[0], i["status"]) for i in found["indexes"]] == [
        ("pkg/__pycache__", "valid")
    ] * 3
    assert not [n for n in found["notes"] if n["kind"] == "orphan"]
    other = warmpack("verify", "--cache-dir", here, tree, home=me.home, expect=1)
    assert other.out.count("misplaced  pkg/__pycache__/k.") == 3
    index = next(target.glob("k.add-*.nbi"))
    (target / "gone.f-1.py311.nbi").write_bytes(index.read_bytes())
    index.write_bytes(index.read_bytes()[:50])
    done = warmpack("verify", "--fix", tree, home=me.home, expect=1)
    assert done.out.count("corrupt") == done.out.count("source-missing") == 1
    assert f"pkg/__pycache__/{index.name}: left" in done.err and index.exists()


def test_a_cache_that_several_links_share_is_judged_for_each_source(tree, here, me):
    (tree / "twin").symlink_to("pkg")  # not followed: a tree's links to directories are not its own
    shared = here / "shared"
    cache_of(tree).rename(shared)
    (tree / "a").mkdir()
    (tree / "a" / "__pycache__").symlink_to(shared)
    cache_of(tree).symlink_to(shared)
    done = warmpack("verify", "-v", tree, home=me.home)
    assert done.counts == (3, 3) and done.out.count("pkg/__pycache__/k.") == 3


def test_an_interpreter_that_talks_without_end_is_refused(tree, here, me):
    talker = here / "talker"
    talker.write_text("#!/bin/sh\nexec yes\n")
    talker.chmod(0o755)
    done = warmpack("verify", "--python", talker, tree, home=me.home, expect=2)
    assert "says too much" in done.err and done.err.count("\n") == 1


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names features of x86-64")
def test_where_numba_leaves_avx_out_the_interpreter_is_believed(here, me):
    """Numba turns every avx feature to minus by this setting, and on some CPUs by their names: only
    the interpreter knows."""
    variables = {"NUMBA_ENABLE_AVX": 0}
    root = write_small(here / "app")
    assert run_small(root, me.home, **variables) == (0, 3)
    said = json.loads(warmpack("inspect", "--json", root, home=me.home).out)
    assert "-avx," in said["indexes"][0]["overloads"][0]["features"]
    for words in ([], ["--python", PYTHON]):
        assert warmpack("verify", *words, root, home=me.home, **variables).counts == (3, 3)
    assert run_small(root, me.home, **variables) == (3, 0)
    done = warmpack("verify", "--python", PYTHON, root, home=me.home, expect=1)
    assert done.counts == (0, 3) and done.out.count("wrong-cpu  ") == 3
    assert run_small(root, me.home) == (0, 3)
