"""activate(): one unpacking for many processes, and a process that finds its caches."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import warmpack
from harness import LOADED, PYTHON, SAVED

PACKAGE = Path(warmpack.__file__).parents[1]
WORK = """
import json, os, sys
import warmpack
done = warmpack.activate(*{words!r}, **{options!r})
import pkg.k
print(json.dumps([done.path, done.summary, sorted(done.settings), pkg.k.__file__]))
"""


def run(code, **variables):
    variables.setdefault("PYTHONPATH", PACKAGE)
    env = dict(os.environ, NUMBA_DEBUG_CACHE="1",
               **{k: str(v) for k, v in variables.items()})
    return subprocess.run([PYTHON, "-B", "-c", code], env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)


def activated(archive, place, *, variables=None, **options):
    code = WORK.format(words=(str(archive), str(place)), options=options)
    done = run(code, **(variables or {}))
    assert done.returncode == 0, done.stderr
    counts = len(LOADED.findall(done.stdout)), len(SAVED.findall(done.stdout))
    return counts, json.loads(done.stdout.splitlines()[-1])


def test_numba_loads_everything_and_saves_nothing(archive, tmp_path):
    counts, (path, summary, settings, source) = activated(archive, tmp_path / "there")
    assert counts == (3, 0)
    assert path == str(tmp_path / "there" / "app")
    assert summary == {"total": 3, "valid": 3}
    assert settings == []
    assert source == path + "/pkg/k.py"


@pytest.mark.parametrize("given", ("variable", "argument"))
def test_caches_go_where_they_are_told_and_are_found_there(archive, tmp_path, given):
    caches = tmp_path / "caches"
    if given == "variable":
        counts, (_, summary, settings, _) = activated(archive, tmp_path / "there",
                                                      variables={"NUMBA_CACHE_DIR": caches})
    else:
        counts, (_, summary, settings, _) = activated(archive, tmp_path / "there",
                                                      cache_dir=str(caches))
    assert counts == (3, 0) and summary["valid"] == 3
    assert settings == (["NUMBA_CACHE_DIR"] if given == "argument" else [])
    assert list(caches.iterdir()) and not (tmp_path / "there/app/pkg/__pycache__").exists()


def test_many_processes_at_once_unpack_once(archive, tmp_path):
    """Whoever unpacked wrote the record; the tree is not made again by the others."""
    place = tmp_path / "there"
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(activated, archive, place) for _ in range(8)]
        results = [job.result() for job in jobs]
    assert all(counts == (3, 0) for counts, _ in results)
    inode = (place / "app").stat().st_ino
    activated(archive, place)
    assert (place / "app").stat().st_ino == inode
    record = json.loads((tmp_path / ".there.json").read_text())
    assert record["summary"] == {"total": 3, "valid": 3}


@pytest.fixture
def public_place():
    """A directory that every user may enter, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="warmpack-test-"))
    path.chmod(0o755)
    yield path
    for directory in [path, *(p for p in path.rglob("*") if p.is_dir())]:
        directory.chmod(0o755)
    shutil.rmtree(path)


@pytest.mark.parametrize("kept", ("lock and record", "no lock", "nothing"))
def test_what_is_in_place_can_be_activated_by_who_may_only_read(archive, package_copy,
                                                               public_place, kept):
    """Such as an image that root made. Without the record, what is there is looked at again."""
    shutil.copy2(archive, public_place / "app.tgz")
    shutil.copytree(package_copy, public_place / "site")
    words = (str(public_place / "app.tgz"), str(public_place / "there"))
    activated(*words)
    if kept != "lock and record":
        (public_place / ".there.lock").unlink()
    if kept == "nothing":
        (public_place / ".there.json").unlink()
    shutil.copy2(os.environ["WARMPACK"], public_place / "warmpack")
    # Numba loads from directories alone that it may write to.
    (public_place / "there/app/pkg/__pycache__").chmod(0o777)
    for path in (public_place / "there", public_place):
        path.chmod(0o555)
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    env = dict(os.environ, PYTHONPATH=str(public_place / "site"), NUMBA_DEBUG_CACHE="1",
               WARMPACK=str(public_place / "warmpack"), HOME="/nonexistent")
    done = subprocess.run([*(as_nobody if os.geteuid() == 0 else ()), PYTHON, "-B", "-c",
                           WORK.format(words=words, options={})], env=env, cwd="/",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr
    path, summary, *_ = json.loads(done.stdout.splitlines()[-1])
    assert path == words[1] + "/app" and summary["total"] == 3
    assert (len(LOADED.findall(done.stdout)), len(SAVED.findall(done.stdout))) == (3, 0)
    assert sorted(p.name for p in public_place.iterdir() if p.name.startswith(".")) == (
        {"nothing": [], "no lock": [".there.json"]}.get(kept, [".there.json", ".there.lock"]))


def test_an_archive_that_changed_is_unpacked_again(archive, warm_tree, tmp_path):
    tree = tmp_path / "build" / "app"
    tree.parent.mkdir()
    subprocess.run(["cp", "-a", warm_tree / "build" / "app", tree], check=True)
    (tree / "removed.py").write_text("")
    warmpack.create(archive, "app", directory=tree.parent, cache_dir=warm_tree / "caches",
                    source_root=warm_tree / "build")
    activated(archive, tmp_path / "there")
    assert (tmp_path / "there/app/removed.py").exists()
    (tree / "removed.py").unlink()
    (tree / "added.txt").write_text("new")
    warmpack.create(archive, "app", directory=tree.parent, cache_dir=warm_tree / "caches",
                    source_root=warm_tree / "build")
    counts, _ = activated(archive, tmp_path / "there")
    assert counts == (3, 0) and (tmp_path / "there/app/added.txt").exists()
    assert not (tmp_path / "there/app/removed.py").exists()


def test_a_half_done_unpacking_is_done_again(archive, tmp_path):
    """Killed between the lock and the record: the next one must not take it for done."""
    for name in (".there.lock", ".there.json"):
        (tmp_path / name).write_text("")
    (tmp_path / "there").mkdir()
    counts, _ = activated(archive, tmp_path / "there")
    assert counts == (3, 0)


def test_a_package_is_imported_from_what_holds_it(warm_tree, tmp_path):
    archive = tmp_path / "pkg.tgz"
    warmpack.create(archive, "pkg", directory=warm_tree / "build" / "app",
                    cache_dir=warm_tree / "caches")
    counts, (path, _, _, source) = activated(archive, tmp_path / "there")
    assert counts == (3, 0)
    assert path == str(tmp_path / "there") and source == path + "/pkg/k.py"


def test_numba_imported_with_other_settings_is_an_error(archive, tmp_path):
    code = ("import numba\n"
            "import warmpack\n"
            "warmpack.activate(%r, %r)" % (str(archive), str(tmp_path / "there")))
    assert run(code).returncode == 0, "the CPU's own settings are the same"
    other = run(code, NUMBA_CPU_NAME="x86-64", NUMBA_CPU_FEATURES="")
    assert other.returncode == 1
    assert "numba was imported before" in other.stderr and "NUMBA_CPU_NAME" in other.stderr
    late = run(code.replace(")", ", cache_dir=%r)" % str(tmp_path / "caches")))
    assert late.returncode == 1
    assert "numba was imported before" in late.stderr and "NUMBA_CACHE_DIR" in late.stderr


def test_caches_that_numba_would_not_look_for_are_an_error(archive, tmp_path):
    """Where Numba has another cache directory than the one that was filled, it says nothing."""
    late = run("import os, numba, warmpack\n"
               "os.environ['NUMBA_CACHE_DIR'] = %r\n"
               "warmpack.activate(%r, %r)" % (str(tmp_path / "caches"), str(archive),
                                              str(tmp_path / "there")))
    assert late.returncode == 1
    assert "numba was imported before" in late.stderr and "NUMBA_CACHE_DIR" in late.stderr
    two = run("import warmpack\n"
              "warmpack.activate(%r, %r, cache_dir=%r)\n"
              "warmpack.activate(%r, %r)" % (str(archive), str(tmp_path / "one"),
                                             str(tmp_path / "own"), str(archive),
                                             str(tmp_path / "two")))
    assert two.returncode == 1 and "NUMBA_CACHE_DIR is " in two.stderr


def test_a_refused_activation_sets_nothing(archive, tmp_path):
    code = ("import os, warmpack\n"
            "try: warmpack.activate(%r, %r)\n"
            "except warmpack.Error: print(os.environ.get('NUMBA_CPU_NAME'))"
            % (str(archive), str(tmp_path / "there")))
    assert run(code, NUMBA_CPU_FEATURES="").stdout == "None\n"


def test_a_relative_cache_directory_is_one_for_each_working_directory(archive, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        code = WORK.format(words=(str(archive), str(tmp_path / "there")), options={})
        done = run("import os; os.chdir(%r)\n" % str(tmp_path / name) + code,
                   NUMBA_CACHE_DIR="caches")
        assert done.returncode == 0, done.stderr
        assert len(LOADED.findall(done.stdout)) == 3 and not SAVED.findall(done.stdout)


def test_settings_of_somebody_else_are_an_error_unless_left_alone(archive, tmp_path):
    code = WORK.format(words=(str(archive), str(tmp_path / "there")), options={})
    done = run(code, NUMBA_CPU_NAME="x86-64", NUMBA_CPU_FEATURES="")
    assert done.returncode == 1 and "NUMBA_CPU_NAME is x86-64 here" in done.stderr
    code = WORK.format(words=(str(archive), str(tmp_path / "there")), options={"cpu": False})
    assert run(code, NUMBA_CPU_NAME="x86-64", NUMBA_CPU_FEATURES="").returncode == 0


def test_code_that_this_cpu_cannot_run_is_not_asked_for(tmp_path, clean_environment):
    """NUMBA_CPU_ of a machine that has more would crash here; Numba compiles again instead."""
    from small import run_small, write_small

    write_small(tmp_path / "build" / "app")
    # No machine has the extensions of both makers.
    run_small(tmp_path / "build" / "app", clean_environment, NUMBA_CPU_NAME="generic",
              NUMBA_CPU_FEATURES="+xop,+amx-tile")
    warmpack.create(tmp_path / "app.tgz", "app", directory=tmp_path / "build")
    counts, (_, summary, settings, _) = activated(tmp_path / "app.tgz", tmp_path / "there")
    assert counts == (0, 3)
    assert settings == [] and summary["unsafe-cpu"] == 3


def test_caches_for_a_cpu_without_features_are_activated_again_and_again(tmp_path,
                                                                         clean_environment):
    """An empty list is a setting, too, also once Numba has read it."""
    from small import run_small, write_small

    write_small(tmp_path / "build" / "app")
    run_small(tmp_path / "build" / "app", clean_environment, NUMBA_CPU_NAME="generic",
              NUMBA_CPU_FEATURES="")
    warmpack.create(tmp_path / "app.tgz", "app", directory=tmp_path / "build")
    words = (str(tmp_path / "app.tgz"), str(tmp_path / "there"))
    done = run(WORK.format(words=words, options={}) + "warmpack.activate(*%r)\n" % (words,))
    assert done.returncode == 0, done.stderr
    assert len(LOADED.findall(done.stdout)) == 3 and not SAVED.findall(done.stdout)


def test_a_wrapped_function_is_read_after_the_activation(archive, tmp_path):
    """A function of the application's own modules cannot be unpickled before."""
    pickled = tmp_path / "wrapped"
    (tmp_path / "handle.py").write_text(
        "import sys, warmpack\n"
        "class App:\n"
        "    def activate(self): return warmpack.activate(%r, sys.argv[1])\n" % str(archive))
    here = ("import sys; sys.path.append(%r); sys.argv[1:] = [%r]\n"
            "import handle, pickle\n"
            "from warmpack._wrapped import Wrapped\n"
            "handle.App().activate()\n"
            "import pkg.k\n"
            "open(%r, 'wb').write(pickle.dumps(Wrapped(handle.App(), pkg.k.add)))"
            % (str(tmp_path), str(tmp_path / "one"), str(pickled)))
    done = run(here)
    assert done.returncode == 0, done.stderr
    there = ("import sys, pickle; sys.path.append(%r); sys.argv[1:] = [%r]\n"
             "wrapped = pickle.load(open(%r, 'rb'))\n"
             "assert 'pkg' not in sys.modules\n"
             "assert wrapped(2, 3) == 5\n"
             "print(sys.modules['pkg.k'].__file__)" % (str(tmp_path), str(tmp_path / "two"), str(pickled)))
    done = run(there)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(tmp_path / "two/app/pkg/k.py")
    assert not SAVED.findall(done.stdout)


def test_a_wrapped_function_can_be_pickled_twice():
    from warmpack._wrapped import Wrapped

    again = pickle.loads(pickle.dumps(Wrapped(None, len)))
    assert pickle.loads(pickle.dumps(again)).__name__ == "len"
    assert sys.modules["warmpack._wrapped"].Wrapped is type(again)


@pytest.mark.parametrize("package", ("corp/app", "corp/team/app"))
def test_a_namespace_package_is_imported_from_what_holds_it(package, tmp_path, clean_environment):
    """It has no __init__.py: by whose name it was imported, the caches say."""
    name = package.replace("/", ".")
    source = tmp_path / "src" / package
    source.mkdir(parents=True)
    (source / "__init__.py").touch()
    (source / "k.py").write_text("from numba import njit\n\n\n@njit(cache=True)\n"
                                 "def add(a):\n    return a + 1\n")
    call = "from %s.k import add; add(1)" % name
    assert run(call, PYTHONPATH=tmp_path / "src").returncode == 0
    warmpack.create(tmp_path / "a.tgz", "corp", directory=tmp_path / "src", strict=True)
    code = "import warmpack; print(warmpack.activate(%r, %r).path)\n" % (
        str(tmp_path / "a.tgz"), str(tmp_path / "there"))
    done = run(code + call)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == str(tmp_path / "there")
    assert len(LOADED.findall(done.stdout)) == 1 and not SAVED.findall(done.stdout)
