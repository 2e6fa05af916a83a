"""explain names the one cause for which a function was compiled, and its cure works."""

import hashlib
import importlib.util
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
from harness import PYTHON, WARMPACK, environment, indexes_in

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

SOURCE = """\
import os
from numba import njit


@njit(cache=True)
def f(x):
    return x + 1


@njit
def plain(x):
    return x + 2


def make(n):
    @njit(cache=True)
    def inner(x):
        return x + n
    return inner


inner = make(int(os.environ.get("CLOSED", "1")))
body = "x * 3" if os.environ.get("BODY") else "x - 3 + x"
exec(compile("def g(x):\\n    return " + body, __file__, "exec"))
g = njit(cache=True)(g)
"""


class App:
    def __init__(self, base):
        self.base = base
        self.tree = base / "app"
        (self.tree / "pkg").mkdir(parents=True)
        (self.tree / "pkg/__init__.py").write_text("")
        (self.tree / "pkg/k.py").write_text(SOURCE)
        self.cache = self.tree / "pkg/__pycache__"

    def run(self, code="k.f(1)", *, tree=None, user=None, options=(), expect=0, **variables):
        """The document of explain."""
        words = [WARMPACK, "explain", "--json", *options, PYTHON, "-c", "from pkg import k; " + code]
        if user:
            words = ["setpriv", "--reuid=%d" % user, "--regid=%d" % user, "--clear-groups", *words]
        done = subprocess.run(words, cwd=tree or self.tree, env=environment(self.base, **variables),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        assert done.returncode == expect, done.stderr
        return json.loads(done.stdout)

    def warmpack(self, *words, **variables):
        subprocess.run([WARMPACK, *words], env=environment(self.base, **variables), check=True,
                       cwd=self.base, stderr=subprocess.DEVNULL)

    def ship(self, **variables):
        """Packs the warm tree, and unpacks it to `there`."""
        self.warmpack("create", "-q", "-f", "app.tgz", "app", **variables)
        self.warmpack("extract", "-q", "-f", "app.tgz", "-C", "there", **variables)
        return self.base / "there/app"


@pytest.fixture
def app():
    base = pathlib.Path(tempfile.mkdtemp())  # pytest's own directories are root's alone
    base.chmod(0o755)
    yield App(base)
    shutil.rmtree(base)


def causes(document):
    return [(c["function"].partition(".")[2], c["cause"]) for c in document["compiled"]]


def is_warm(document, loaded=1):
    return document["compiled"] == [] and document["loaded"] == loaded


def test_what_was_never_warmed_is_named_and_loads_once_it_is(app):
    first = app.run()
    assert causes(first) == [("k.f", "never-warmed")]
    (told,) = first["compiled"]
    assert told["signature"] == "(int64,)" and told["line"] == 5 and told["saved"]
    assert told["source"] == str(app.tree / "pkg/k.py")
    assert is_warm(app.run())


def test_a_time_that_was_lost_is_stale_and_restore_cures_it(app):
    app.run()
    there = app.ship()
    os.utime(there / "pkg/k.py", ns=(0, 10**18))
    kept = app.base / "kept"
    shutil.copytree(there, kept, copy_function=shutil.copy)
    (index,) = indexes_in(kept)
    stamp = json.loads(subprocess.check_output([WARMPACK, "inspect", "--json", index]))["indexes"][0]
    if stamp["stamp"]["kind"] == "content":  # Numba from 0.68 on does not ask for the time
        assert is_warm(app.run(tree=kept))
        return
    told = app.run(tree=kept)["compiled"][0]
    assert told["cause"] == "stale" and "time" in told["detail"] and "restore" in told["cure"]
    shutil.rmtree(kept)
    shutil.copytree(there, kept, copy_function=shutil.copy)
    app.warmpack("restore", "-q", "kept")
    assert is_warm(app.run(tree=kept))


def test_an_edited_source_is_stale_and_is_to_be_warmed_again(app):
    app.run()
    (app.tree / "pkg/k.py").write_text(SOURCE.replace("x + 1", "x + 100"))
    told = app.run()["compiled"][0]
    assert told["cause"] == "stale" and told["cure"] == "the source changed: warm it again"
    (app.tree / "pkg/k.py").write_text("# A line.\n" + SOURCE)
    told = app.run()["compiled"][0]
    assert told["cause"] == "stale" and "in line 5, and it stands in line 6" in told["detail"]
    assert is_warm(app.run())


def test_a_cache_under_the_hash_of_another_path_is_misplaced_and_restore_cures_it(app):
    where = {"NUMBA_CACHE_DIR": app.base / "caches"}
    app.run(**where)
    there = app.ship(**where)
    moved = there.rename(app.base / "moved")
    told = app.run(tree=moved, **where)["compiled"][0]
    assert told["cause"] == "misplaced" and "NUMBA_CACHE_DIR" in told["detail"]
    hashed = hashlib.sha1(str(moved / "pkg").encode()).hexdigest()
    shutil.rmtree(app.base / "caches" / ("pkg_" + hashed))
    app.warmpack("restore", "-q", "moved", **where)
    assert is_warm(app.run(tree=moved, **where))


def test_a_variable_that_sends_numba_away_from_the_tree_is_named(app):
    app.run()
    told = app.run(NUMBA_CACHE_DIR=app.base / "caches")["compiled"][0]
    assert told["cause"] == "misplaced" and told["cure"].startswith("unset NUMBA_CACHE_DIR")
    assert is_warm(app.run())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_place_that_cannot_be_written_to_is_named_and_loads_once_it_can(app):
    app.run()
    home = app.base / "home"
    home.mkdir(mode=0o777)
    home.chmod(0o777)
    variables = {"user": 65534, "HOME": home, "PYTHONDONTWRITEBYTECODE": "1"}
    told = app.run(**variables)["compiled"][0]
    assert told["cause"] == "unwritable" and str(app.cache) in told["detail"]
    shutil.rmtree(home / ".cache")
    app.cache.chmod(0o777)
    assert is_warm(app.run(**variables))


def test_code_for_another_cpu_is_named_and_retargeting_cures_it(app):
    app.run(NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")
    there = app.ship()
    told = app.run(tree=there)["compiled"][0]
    assert told["cause"] == "other-cpu" and "generic" in told["detail"]
    assert "retarget" in told["cure"]
    shutil.rmtree(app.base / "there")
    there = app.ship()
    app.warmpack("retarget", "-q", "there/app", "--for", PYTHON)
    assert is_warm(app.run(tree=there))


def test_another_numba_and_another_python_are_named(app):
    app.run()
    (index,) = indexes_in(app.cache)
    text = index.read_bytes()
    version = subprocess.check_output([PYTHON, "-c", "import numba; print(numba.__version__)"],
                                      env=environment(app.base), text=True).strip()
    other = version[:-1] + ("0" if version[-1] != "0" else "1")
    index.write_bytes(text.replace(version.encode(), other.encode(), 1))
    told = app.run()["compiled"][0]
    assert told["cause"] == "other-numba" and other in told["detail"]
    index.write_bytes(text)
    tag = index.name.rpartition(".py")[2].partition(".")[0]
    for name in os.listdir(app.cache):
        if name.endswith((".nbi", ".nbc")):
            os.rename(app.cache / name, app.cache / name.replace(".py" + tag, ".py37"))
    told = app.run()["compiled"][0]
    assert told["cause"] == "other-python" and "py37" in told["detail"]
    assert is_warm(app.run())


def test_a_signature_that_was_not_warmed_is_shown_beside_those_that_were(app):
    app.run("k.f(1)")
    told = app.run("k.f(1.5)")["compiled"][0]
    assert told["cause"] == "signature"
    assert told["detail"] == "it was warmed for (int64,), and not for (float64,)"
    assert is_warm(app.run("k.f(1.5)"))


def test_other_bytecode_and_another_closure_are_told_apart(app):
    app.run("k.g(1); k.inner(1)")
    assert causes(app.run("k.g(1)", BODY="1")) == [("k.g", "bytecode")]
    assert causes(app.run("k.inner(1)", CLOSED="2")) == [("k.make.<locals>.inner", "closure")]
    assert is_warm(app.run("k.g(1); k.inner(1)"), 2)


def test_a_damaged_index_is_named_though_numba_raises(app):
    app.run()
    (index,) = indexes_in(app.cache)
    index.write_bytes(index.read_bytes()[:40])
    document = app.run(expect=1)
    assert document["status"] == 1
    (told,) = document["compiled"]
    assert told["cause"] == "unreadable" and told["function"] == "pkg.k.f"
    app.warmpack("verify", "-q", "--fix", "app")
    app.run()
    assert is_warm(app.run())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_index_that_another_user_may_not_read_is_named_and_extract_cures_it(app):
    app.run()
    (index,) = indexes_in(app.cache)
    index.chmod(0o600)
    os.chown(app.cache, 65534, 65534)
    (told,) = app.run(user=65534, expect=1)["compiled"]
    assert told["cause"] == "unreadable" and "extract --user" in told["cure"]
    app.warmpack("create", "-q", "-f", "app.tgz", "app")
    app.warmpack("extract", "-q", "-f", "app.tgz", "-C", "there", "--user", "nobody")
    assert is_warm(app.run(tree=app.base / "there/app", user=65534))


def test_a_missing_data_file_is_named(app):
    app.run()
    (data,) = app.cache.glob("*.nbc")
    data.unlink()
    told = app.run()["compiled"][0]
    assert told["cause"] == "data-missing" and str(data) in told["detail"]
    assert is_warm(app.run())


def test_functions_without_a_cache_and_numba_without_a_compiler_are_named(app):
    document = app.run("k.plain(1)")
    assert causes(document) == [("k.plain", "not-cached")]
    document = app.run("k.f(1)", options=["--fail-on-compile"], expect=1, NUMBA_DISABLE_JIT="1")
    assert document["processes"][0]["disabled"] and document["compiled"] == []


def test_a_launch_configuration_is_told_apart_from_a_signature():
    spec = importlib.util.spec_from_file_location(
        "explaining", os.path.join(ROOT, "python/warmpack/explaining.py"))
    explaining = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(explaining)
    code, magic = ("a" * 64, "b" * 64), ("8", "9")

    def key(launch):
        return ("(int64,)", magic, "0.30.0", code, ("launch_config", launch))

    index = explaining._Index("0.30.0", (1.0, 2), {key(32): "k.1.nbc"})
    assert explaining._not_among(index, key(64)).word == "launch"
    assert explaining._not_among(index, ("(int32,)", *key(32)[1:])).word == "signature"


def test_what_the_command_prints_and_how_it_ends_stays_its_own(app):
    words = [WARMPACK, "explain", "-q", PYTHON, "-c",
             "import sys; print(sys.argv, len(sys.path), 'warmpack' in ' '.join(sys.path)); "
             "sys.exit(7)", "-v", "--json"]
    done = subprocess.run(words, env=environment(app.base), stdout=subprocess.PIPE, check=False)
    plain = subprocess.run(words[3:], env=environment(app.base), stdout=subprocess.PIPE, check=False)
    assert (done.returncode, done.stdout) == (plain.returncode, plain.stdout)
    done = subprocess.run([WARMPACK, "explain", "-q", "sh", "-c", "kill -SEGV $$"], check=False)
    assert done.returncode == 128 + signal.SIGSEGV


def test_the_users_own_sitecustomize_runs(app):
    (app.base / "own").mkdir()
    (app.base / "own/sitecustomize.py").write_text("print('mine')\n")
    done = subprocess.run([WARMPACK, "explain", "-q", PYTHON, "-c", "print('program')"],
                          env=environment(app.base, PYTHONPATH=app.base / "own"),
                          stdout=subprocess.PIPE, check=True)
    assert done.stdout == b"mine\nprogram\n"


def test_children_of_multiprocessing_are_counted(app):
    (app.tree / "main.py").write_text(textwrap.dedent("""\
        import multiprocessing, sys
        from pkg import k

        def work(x):  # k.f itself would come without its cache, by pickle
            return k.f(x)

        if __name__ == "__main__":
            with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
                print(pool.map(work, [1, 2, 3, 4], 1))
        """))
    app.run()
    for way in ("fork", "spawn"):
        done = subprocess.run([WARMPACK, "explain", "--json", PYTHON, "main.py", way],
                              cwd=app.tree, env=environment(app.base), check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        document = json.loads(done.stdout)
        pids = {p["pid"] for p in document["processes"]}
        assert document["compiled"] == [] and document["loaded"] >= 1
        assert len(pids) == len(document["processes"]) >= 1


def test_lines_for_a_fleet_are_appended_and_a_warm_command_passes(app):
    lines = app.base / "fleet.jsonl"
    app.run(options=["--fail-on-compile", "--json-lines", lines], expect=1)
    app.run(options=["--fail-on-compile", "--json-lines", lines])
    first, second = map(json.loads, lines.read_text().splitlines())
    assert (first["compiled"], first["loaded"]) == (1, 0)
    assert (second["compiled"], second["loaded"]) == (0, 1)
    assert first["seconds"] > 0 == second["seconds"]


def test_an_interrupted_command_leaves_nothing(app):
    (app.base / "tmp").mkdir()
    ready = app.base / "ready"
    child = subprocess.Popen(
        [WARMPACK, "explain", "-q", PYTHON, "-c",
         "import time\nopen(%r, 'w').close()\nwhile True: time.sleep(1)" % str(ready)],
        env=environment(app.base, TMPDIR=app.base / "tmp"), stderr=subprocess.DEVNULL)
    while not ready.exists():
        assert child.poll() is None
        time.sleep(0.01)
    child.send_signal(signal.SIGTERM)
    assert child.wait() == 128 + signal.SIGTERM
    assert os.listdir(app.base / "tmp") == []


@pytest.mark.parametrize("before", ["os.environ.clear()", "os.closerange(3, 100)"])
def test_what_a_program_does_to_its_process_hides_nothing(app, before):
    file = app.base / "own"
    told = app.run("import os; k.f(1.5); %s; o = open(%r, 'w'); k.f(1); o.write('own')"
                   % (before, str(file)))
    assert [c["signature"] for c in told["compiled"]].count("(int64,)") == 1
    assert [p["compiled"] for p in told["processes"]] == [2]
    assert file.read_text() == "own"


def test_a_command_may_change_its_directory_under_a_relative_tmpdir(app):
    (app.base / "tmp").mkdir()
    done = subprocess.run(
        [WARMPACK, "explain", "--json", "sh", "-c",
         "cd app && PYTHONPATH=$PYTHONPATH:. exec \"$0\" -c 'from pkg import k; k.f(1)'", PYTHON],
        cwd=app.base, env=environment(app.base, TMPDIR="tmp"), check=True, stdout=subprocess.PIPE)
    assert [c["cause"] for c in json.loads(done.stdout)["compiled"]] == ["never-warmed"]


def test_a_jitclass_is_called_alike_in_all_processes(app):
    (app.tree / "pkg/k.py").write_text(textwrap.dedent("""\
        from numba import njit, types
        from numba.experimental import jitclass

        @jitclass([("x", types.int64)])
        class Box:
            def __init__(self, x):
                self.x = x

            def get(self):
                return self.x

        @njit(cache=True)
        def made(x):
            return Box(x).get()

        @njit(cache=True)
        def takes(function, x):
            return function(x)

        @njit
        def given(x):
            return x
        """))
    app.run("k.made(1)")
    assert app.run("k.made(1)")["compiled"] == []
    told = app.run("k.Box(1).get(); k.takes(k.given, 1)")
    again = app.run("k.Box(1).get(); k.takes(k.given, 1)")
    named = {(c["function"], c["signature"]): c for c in told["compiled"]}
    assert named.keys() == {(c["function"], c["signature"]) for c in again["compiled"]}
    assert {"ctor", "pkg.k.takes"} <= {function for function, _ in named}
    assert "jitclass" in next(c["detail"] for c in named.values() if c["function"] == "ctor")


def test_names_that_are_not_utf8_hide_nothing(app):
    tree = os.fsencode(app.base) + b"/t\xff"
    shutil.copytree(os.fsencode(app.tree), tree)
    (app.base / "run.py").write_text("import sys\nsys.path.insert(0, '')\nfrom pkg import k\nk.f(1)\n")
    done = subprocess.run([WARMPACK, "explain", "--json", PYTHON, app.base / "run.py", b"\xfe"],
                          cwd=tree, env=environment(app.base), check=True, stdout=subprocess.PIPE)
    told = json.loads(done.stdout)
    assert told["processes"][0]["argv"][1] == "\ufffd"
    assert [c["cause"] for c in told["compiled"]] == ["never-warmed"]
    assert told["compiled"][0]["source"].endswith("/t\ufffd/pkg/k.py")


def test_a_report_that_a_process_could_not_write_is_an_error(app):
    # As where the disk of TMPDIR is full: nothing but an empty file can be written.
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); k.plain(1)"
    done = subprocess.run([WARMPACK, "explain", "--fail-on-compile", PYTHON, "-c",
                           "from pkg import k; " + code], cwd=app.tree,
                          env=environment(app.base, PYTHONDONTWRITEBYTECODE="1"),
                          stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "could not write what it saw" in done.stderr


def test_a_directory_that_pythonpath_cannot_hold_is_refused(app):
    (app.base / "a:b").mkdir()
    done = subprocess.run([WARMPACK, "explain", PYTHON, "-c", "1"], stderr=subprocess.PIPE, text=True,
                          env=environment(app.base, TMPDIR=app.base / "a:b"), check=False)
    assert done.returncode == 2 and "colon" in done.stderr
    assert os.listdir(app.base / "a:b") == []
