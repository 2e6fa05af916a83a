"""Many processes at once on one tree, and what the kernel sees of it."""

import json
import os
import re
import shutil
import subprocess

import pytest
from harness import PYTHON, environment, warmpack
from in_place import PACKAGE, RESULTS, locator_variables, reader, run_in_place
from small import run_small, write_small
from test_in_place import by_owner, by_touch

# Everything is imported once, then forked, so that all ask at the same instant. "spawned" are
# whole processes. Each also compiles what is new, and all save it at once.
MANY = """\
import json, os, sys
import numba, numba.core.caching, numpy as np
import warmpack.locator
warmpack.locator.install()
numba.njit(lambda x: x)(1)  # what Numba makes for itself
go, done = os.pipe(), os.pipe()
count = int(sys.argv[1])
for number in range(count):
    if os.fork() == 0:
        os.close(go[1])
        os.read(go[0], 1)  # ends when all are there
        import pkg.k as k
        kind = (1j, np.float32(1), np.int8(1), np.uint16(1))[number % 4]
        said = [k.add(1, 2), k.total(np.arange(9.0)), repr(k.add(kind, 2)),
                sum(k.add.stats.cache_hits.values()) + sum(k.total.stats.cache_hits.values())]
        os.write(done[1], (json.dumps([number % 4, said]) + "\\n").encode())
        os._exit(0)
os.close(go[0]); os.close(go[1]); os.close(done[1])
with os.fdopen(done[0]) as answers:
    print("ANSWERS " + json.dumps([json.loads(line) for line in answers]))
codes = [os.wait()[1] for _ in range(count)]
sys.exit(any(codes))
"""
EXPECTED = {0: "(2+1j)", 1: "3.0", 2: "3", 3: "3"}


@pytest.fixture
def tree(here):
    build = here / "build"
    write_small(build / "app")
    assert run_small(build / "app", here) == (0, 3)
    warmpack("create", "-f", here / "app.tgz", "-C", build, "app", home=here)
    subprocess.run(["tar", "-xzf", here / "app.tgz", "-C", here], check=True)
    shutil.rmtree(build)
    for path in [here / "app", *(here / "app").rglob("*")]:
        os.utime(path, (1, 1))
    return here / "app"


def many(tree, person, count, **variables):
    env = environment(person.home, PYTHONPATH="%s:%s" % (tree, PACKAGE), **variables)
    done = subprocess.run(person.command([PYTHON, "-B", "-c", MANY, str(count)]), env=env,
                          cwd=person.home, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(re.search("^ANSWERS (.*)$", done.stdout, re.M)[1])


def test_64_processes_at_once_load_equal_results_and_tear_nothing(tree, here):
    person = reader(here)
    answers = many(tree, person, 64)
    assert len(answers) == 64
    for kind, (add, total, other, hits) in answers:
        assert (add, total, other) == (3, 204.0, EXPECTED[kind]) and hits >= 2
    # Whatever they saved at once, each overload has its own file and is what it says.
    code = RESULTS + ("for v in (1j, np.float32(1), np.int8(1), np.uint16(1)): print('RESULTS',"
                      " json.dumps(repr(k.add(v, 2))))\n")
    run = run_in_place(tree, person, code)
    assert run.results == [[3, 204.0], *EXPECTED.values()]
    assert (run.loads, run.saves) == (3 + 4, 0), run.saved
    assert not [name for name in os.walk(person.home) if ".new-" in str(name)]


def test_each_process_has_its_own_where_they_are_private(tree, here):
    person = reader(here)
    answers = many(tree, person, 8, WARMPACK_OVERLAY="private")
    assert {(add, total) for _, (add, total, _, _) in answers} == {(3, 204.0)}
    assert sum(hits >= 2 for _, (_, _, _, hits) in answers) == 8


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_multiprocessing_load_too(tree, here, method):
    (here / "job.py").write_text(
        "import multiprocessing, sys\n"
        "def work(n):\n"
        "    import pkg.k\n"
        "    return pkg.k.add(n, 1), sum(pkg.k.add.stats.cache_hits.values())\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:\n"
        "        print('RESULTS [%d]' % (sorted(pool.map(work, range(4))) == "
        "[(n + 1, 1) for n in range(4)]))\n")
    code = "import runpy, sys; sys.argv[1:] = [%r]; " % method
    code += "runpy.run_path(%r, run_name='__main__')" % str(here / "job.py")
    if method == "spawn":  # its children start the script by name
        code = "import subprocess, sys; subprocess.run([sys.executable, '-B', %r, 'spawn'], "
        code = code % str(here / "job.py") + "check=True)"
    assert run_in_place(tree, reader(here), code).results == [[1]]


XDIST = """\
import numpy as np, pytest
import pkg.k as k

@pytest.mark.parametrize("number", range(16))
def test_of_an_application(number):
    assert k.add(number, 1) == number + 1 and k.total(np.arange(9.0)) == 204.0
    hits = sum(sum(f.stats.cache_hits.values()) for f in (k.add, k.total, k.where))
    misses = sum(sum(f.stats.cache_misses.values()) for f in (k.add, k.total, k.where))
    assert (hits, misses) == (3, 0)
"""


@pytest.mark.numba_with("debian")
def test_workers_of_xdist_load_from_a_venv_that_they_may_not_write_to(tree, here):
    """pytest -n 4, each worker a process of its own."""
    venv = here / "venv"
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", "--system-site-packages", venv],
                   check=True, env=environment(here))
    (site,) = venv.glob("lib/*/site-packages")
    shutil.copytree(tree, site, dirs_exist_ok=True)
    person = reader(here)
    for path in [venv, *venv.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)
    (person.home / "test_app.py").write_text(XDIST)
    (person.home / "test_app.py").chmod(0o644)
    env = environment(person.home, **locator_variables(person.home))
    for _ in range(2):
        done = subprocess.run(
            person.command([venv / "bin" / "python", "-B", "-m", "pytest", "-q", "-n", "4", "-p",
                            "no:cacheprovider", "test_app.py"]), cwd=person.home, env=env,
            stdout=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 0 and "16 passed" in done.stdout, done.stdout
    assert not list(venv.rglob(".new-*"))


def free_threaded():
    """A Python without the lock of its interpreter, and with a Numba."""
    code = "import sys, numba; sys.exit(sys._is_gil_enabled())"
    for name in (PYTHON, "python3.14t", "python3.13t"):
        path = shutil.which(name)
        if path and not subprocess.run([path, "-c", code], stderr=subprocess.DEVNULL,
                                       check=False).returncode:
            return path
    return None


@pytest.mark.numba_with("debian")  # looks for another itself
def test_threads_of_a_free_threaded_python_load_too(here):
    python = free_threaded()
    if python is None:
        pytest.skip("no free-threaded Python with a Numba")
    build = write_small(here / "app")
    person = reader(here)
    code = ("import threading, json, sys, importlib\nimport numba\n"
            "go = threading.Barrier(8)\nsaid = []\n"
            "def work(n):\n    go.wait()\n    import pkg.k as k\n"
            "    said.append(k.add(1, n) == n + 1)\n"
            "threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]\n"
            "[t.start() for t in threads]; [t.join() for t in threads]\n"
            "print('RESULTS', json.dumps([len(said), all(said), sys._is_gil_enabled()]))\n")
    env = environment(here, PYTHONPATH=build)
    subprocess.run([python, "-B", "-c", "import pkg.k"], check=True, env=env, cwd=here)
    warmpack("seal", "--strict", build, home=here)
    run = run_in_place(by_owner(by_touch(build, here), here), person, code, python=python)
    assert (run.loads, run.saves, run.results) == (3, 0, [[8, True, False]]), run.said


def test_the_kernel_sees_no_write_beneath_the_tree(tree, here, me):
    """As the tree's owner, who could write."""
    calls = ("open,openat,openat2,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,"
             "rmdir,link,linkat,symlink,symlinkat,utimensat,utime,utimes,futimesat,truncate,"
             "chmod,fchmodat,chown,fchownat,lchown,setxattr,lsetxattr,mknod,mknodat")
    traced = ["strace", "-f", "-qq", "-y", "-s", "4096", "-e", "trace=" + calls,
              "-o", str(here / "trace")]
    if subprocess.run([*traced, "true"], stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("strace may not trace here")
    # As strace writes a name that is not ASCII.
    shown = "".join(chr(b) if b < 128 else "\\%o" % b for b in os.fsencode(tree))
    for _ in range(2):
        run = run_in_place(tree, me, RESULTS + "k.add(1j, 2)\n", before=traced)
        assert run.loads >= 3
        lines = [line for line in (here / "trace").read_text().splitlines()
                 if '"' + shown in line or "<" + shown in line]
        assert len(lines) > 3
        assert not [line for line in lines if not re.match(r"\d+ +open(at)?\(.*O_RDONLY", line)]
