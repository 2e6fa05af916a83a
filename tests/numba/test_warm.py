"""warm: a tree is warmed by a command, packed, and proved warm elsewhere; or nothing is written."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import textwrap
import time

import pytest
from harness import PYTHON, WARMPACK, environment

SMOKE = [PYTHON, "-m", "app.smoke"]


class Builder:
    def __init__(self, base):
        self.base = base
        self.app = base / "srv/app"
        self.app.mkdir(parents=True)
        self.write("__init__.py", "")
        self.write("k.py", """\
            from numba import njit


            @njit(cache=True)
            def f(x):
                return x + 1


            @njit(cache=True)
            def g(x):
                return f(x) * 2
            """)
        self.write("smoke.py", "from app import k\nassert k.g(1) == 4\nassert k.f(2.5) == 3.5\n")
        (base / "tmp").mkdir()

    def write(self, name, text):
        (self.app / name).write_text(textwrap.dedent(text))

    def environment(self, **variables):
        return environment(self.base, TMPDIR=self.base / "tmp", PYTHONDONTWRITEBYTECODE="1",
                           **variables)

    def run(self, *words, expect=0, cwd=None, **variables):
        done = subprocess.run([WARMPACK, *map(str, words)], cwd=cwd or self.base / "srv",
                              env=self.environment(**variables), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == expect, done.stderr
        assert os.listdir(self.base / "tmp") == []  # nothing stays
        return done

    def warm(self, *options, command=SMOKE, expect=0, **more):
        """The JSON document; "error" where there is none."""
        archive = self.base / "app.tgz"
        done = self.run("warm", "--json", "-f", archive, *options, "app", "--", *command,
                        expect=expect, **more)
        document = json.loads(done.stdout) if done.stdout else {}
        assert archive.exists() == document.get("written", False)
        return dict(document, said=done.stderr)

    def names(self):
        listed = self.run("list", "-f", self.base / "app.tgz").stdout.split()
        return sorted(name.rpartition("/")[2] for name in listed if name.endswith(".nbi"))

    def explain(self, *options, expect=0, **variables):
        """Extracts the archive elsewhere and runs the command there."""
        there = self.base / "there"
        self.run("extract", "-q", "-f", self.base / "app.tgz", "-C", there, *options)
        done = self.run("explain", "--json", *SMOKE, cwd=there, expect=expect, **variables)
        shutil.rmtree(there)
        return json.loads(done.stdout)


@pytest.fixture
def builder():
    base = pathlib.Path(tempfile.mkdtemp())
    yield Builder(base)
    shutil.rmtree(base)


def header(archive):
    listed = subprocess.run(["tar", "-xzOf", archive, "--wildcards", "*/manifest.jsonl"],
                            stdout=subprocess.PIPE, check=True)
    return json.loads(listed.stdout.splitlines()[0])


def test_a_tree_is_warmed_packed_and_proved(builder):
    document = builder.warm()
    (build,) = document["builds"]
    assert (build["cpu"], build["functions"], build["overloads"]) == ("here", 2, 3)
    assert build["never"] == document["compiled"] == [] and document["loaded"] == 2
    assert document["summary"] == {"total": 2, "valid": 2}
    assert header(builder.base / "app.tgz")["command"] == " ".join(SMOKE)
    found = builder.explain()
    assert (found["compiled"], found["loaded"]) == ([], 2)
    # The tree is as it was.
    assert sorted(os.listdir(builder.app)) == ["__init__.py", "k.py", "smoke.py"]


def test_what_was_warm_before_by_accident_is_not_in_it(builder):
    builder.write("old.py", "from numba import njit\n@njit(cache=True)\ndef h(x):\n    return x\n")
    subprocess.run([PYTHON, "-c", "from app import old, k; old.h(1); k.f(1)"], check=True,
                   cwd=builder.base / "srv", env=builder.environment())
    builder.warm()
    assert [name.partition("-")[0] for name in builder.names()] == ["k.f", "k.g"]


def test_code_for_another_cpu_loads_where_nothing_is_set(builder):
    document = builder.warm("--cpu", "x86-64-v2")
    assert document["builds"][0]["cpu"] == "x86-64-v2" and document["failed"] == 0
    assert header(builder.base / "app.tgz")["cpu"].split()[1] == "x86-64-v2"
    assert builder.explain("--retarget", PYTHON)["compiled"] == []
    assert builder.explain()["compiled"] != []


def test_several_cpus_make_one_archive_of_which_each_machine_takes_one_build(builder):
    document = builder.warm("--cpu", "x86-64-v2,x86-64-v3")
    assert [b["cpu"] for b in document["builds"]] == ["x86-64-v2", "x86-64-v3"]
    assert document["failed"] == 0 and document["summary"] == {"total": 2, "valid": 2}
    said = header(builder.base / "app.tgz")
    assert [cpu.split()[1] for cpu in said["cpus"]] == ["x86-64-v2", "x86-64-v3"]
    assert said["command"] == " ".join(SMOKE)
    for settings in ({"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": ""}
                     for name in ("x86-64-v2", "x86-64-v3")):
        assert builder.explain(**settings)["compiled"] == []
    assert builder.explain("--retarget", PYTHON)["compiled"] == []


def test_what_this_machine_cannot_run_is_refused_with_what_it_lacks(builder):
    probe = json.loads(builder.run("env", "--probe", "--python", PYTHON).stdout)
    text = json.dumps(probe).replace("+sse2", "+sse2,+sse4a,+tbm", 1)
    (builder.base / "other.json").write_text(text)
    said = builder.warm("--cpu", builder.base / "other.json", expect=2)["said"]
    assert "this machine cannot run its code: it lacks" in said
    said = builder.warm("--cpu", "x86-64-v9", expect=2)["said"]
    assert "no CPU of that name is known" in said


def test_a_command_that_fails_leaves_no_archive(builder):
    builder.write("smoke.py", "from app import k\nk.f(1)\nprint('the reason')\nraise SystemExit(5)\n")
    said = builder.warm(expect=2)["said"]
    assert "the reason" in said and "it ended with status 5, in place" in said
    said = builder.warm(command=["true"], expect=2)["said"]
    assert "imported Numba" in said
    said = builder.warm(command=["/nothing/there"], expect=2)["said"]
    assert "/nothing/there: cannot be run" in said


def test_what_is_compiled_elsewhere_alone_is_a_failure_and_no_archive(builder):
    builder.write("k.py", """\
        import os
        from numba import njit


        def make(n):
            @njit(cache=True)
            def f(x):
                return x + n * 0 + 1
            return f


        f = make(len(os.path.abspath(__file__)))


        @njit(cache=True)
        def g(x):
            return (x + 1) * 2
        """)
    document = builder.warm(expect=1)
    assert document["failed"] == 1
    assert "k.make.<locals>.f (float64,) is compiled elsewhere: closure" in document["said"]
    kept = builder.warm("--keep-going", expect=1)
    assert kept["written"] and kept["failed"] == 1


def test_functions_that_always_grow_are_named_and_no_failure(builder):
    builder.write("k.py", """\
        from numba import njit


        def make(inner):
            @njit(cache=True)
            def f(x):
                return inner(x)
            return f


        f = make(njit(lambda x: x + 1))


        @njit(cache=True)
        def g(x):
            return (x + 1) * 2
        """)
    document = builder.warm()
    assert [o["function"] for o in document["builds"][0]["never"]] == ["app.k.make.<locals>.f"]
    assert document["failed"] == 0 and len(document["compiled"]) == 1
    assert "k.make.<locals>.f (float64,) is compiled in every process" in document["said"]


def test_a_command_may_spawn_workers_and_write_into_its_tree(builder):
    builder.write("work.py", "from app import k\ndef work(x):\n    return k.f(x)\n")
    builder.write("smoke.py", """\
        import multiprocessing, os
        from app.work import work

        if __name__ == "__main__":
            with open(os.path.join(os.path.dirname(__file__), "log"), "a") as log:
                log.write("x")
            with multiprocessing.get_context("spawn").Pool(2) as pool:
                assert pool.map(work, [1, 2, 3]) == [2, 3, 4]
        """)
    document = builder.warm("--exclude", "log")
    assert document["compiled"] == [] and document["loaded"] >= 1
    listed = builder.run("list", "-f", builder.base / "app.tgz").stdout.split()
    assert "app/smoke.py" in listed and "app/log" not in listed
    assert (builder.app / "log").read_text() == "xx"  # in place; the copy has its own


def test_an_interrupted_run_leaves_nothing(builder):
    ready = builder.base / "ready"
    builder.write("smoke.py", "import time\nfrom app import k\nk.f(1)\nopen(%r, 'w').close()\n"
                  "while True: time.sleep(1)\n" % str(ready))
    child = subprocess.Popen([WARMPACK, "warm", "-f", builder.base / "app.tgz", "app", "--", *SMOKE],
                             cwd=builder.base / "srv", env=builder.environment(),
                             stderr=subprocess.DEVNULL)
    while not ready.exists():
        assert child.poll() is None
        time.sleep(0.01)
    child.send_signal(signal.SIGTERM)
    assert child.wait() == 128 + signal.SIGTERM
    assert os.listdir(builder.base / "tmp") == [] and not (builder.base / "app.tgz").exists()


def test_a_directory_that_is_a_symbolic_link_may_be_named_by_it(builder):
    (builder.base / "link").symlink_to("srv")
    done = builder.run("warm", "--json", "-f", builder.base / "app.tgz", "-C", builder.base / "link",
                       "app", "--", *SMOKE, cwd="/", PYTHONPATH=builder.base / "link")
    document = json.loads(done.stdout)
    assert document["compiled"] == [] and document["loaded"] == 2


def test_recorded_variables_are_compared_by_verify(builder):
    builder.warm("--record-env", "APP_*", APP_MODE="fast", OTHER="x")
    assert header(builder.base / "app.tgz")["env"] == {"APP_MODE": "fast"}
    builder.run("extract", "-q", "-f", builder.base / "app.tgz", "-C", builder.base / "there")

    def settings(**variables):
        done = builder.run("verify", "--json", builder.base / "there", **variables)
        return [n["text"] for n in json.loads(done.stdout)["notes"] if n["kind"] == "settings"]

    assert settings(APP_MODE="fast") == []
    assert settings(APP_MODE="slow") == ["it was packed with APP_MODE=fast, and now APP_MODE is slow"]


def test_without_an_archive_the_tree_is_warmed_in_place_and_sealed(builder):
    done = builder.run("warm", "--json", "app", "--", *SMOKE)
    document = json.loads(done.stdout)
    assert document["written"] and document["summary"] == {"total": 2, "valid": 2}
    (manifest,) = builder.app.glob(".warmpack/*/manifest.jsonl")
    assert json.loads(manifest.read_text().splitlines()[0])["command"] == " ".join(SMOKE)
    done = builder.run("explain", "--json", "--fail-on-compile", *SMOKE)
    assert json.loads(done.stdout)["loaded"] == 2


@pytest.mark.parametrize("words, said", [
    (("app",), "give the COMMAND"),
    (("--", "true"), "give the PATHs"),
    (("-f", "-", "app", "--", "true"), "name an archive"),
    (("--keep-going", "app", "--", "true"), "go with -f"),
    (("-f", "x.tgz", "--cpu", "here,here", "app", "--", "true"), "named twice"),
    (("-f", "nowhere/x.tgz", "app", "--", "true"), "cannot be made in nowhere"),
    (("-f", "x.tgz", "/srv/app", "--", "true"), "relative to a directory"),
    (("-f", "x.unknown", "app", "--", "true"), "x.unknown"),
    (("-f", "x.tgz", "-C", "nowhere", "app", "--", "true"), "nowhere"),
])
def test_what_makes_no_sense_is_refused(builder, words, said):
    assert said in builder.run("warm", *words, expect=2).stderr


def test_a_jitclass_that_every_process_compiles_is_named_and_no_failure(builder):
    builder.write("box.py", """\
        from numba import types
        from numba.experimental import jitclass


        @jitclass([("x", types.int64)])
        class Box:
            def __init__(self, x):
                self.x = x

            def get(self):
                return self.x
        """)
    builder.write("smoke.py", "from app import box, k\nassert k.f(box.Box(1).get()) == 2\n")
    done = builder.warm()
    assert done["written"] and done["failed"] == 0
    assert {c["function"] for c in done["compiled"]} >= {"ctor"}
    assert {c["cause"] for c in done["compiled"]} == {"not-cached"}
