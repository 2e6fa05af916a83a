"""What may go on around a tree that is run in place: settings, threads, links, a full disk."""

import os
import subprocess

import pytest
from harness import warmpack
from in_place import RESULTS, reader, run_in_place
from small import run_small, write_small
from test_in_place import SAVED_IN_PLACE, by_touch, mount, tool


@pytest.fixture(scope="module")
def sealed(workspace):
    base = workspace / "odd"
    write_small(base / "app")
    assert run_small(base / "app", base) == (0, SAVED_IN_PLACE)
    warmpack("seal", "--strict", base / "app", home=base)
    return base / "app"


@pytest.fixture
def tree(sealed, here):
    tool("cp", "-r", sealed, here / "app")
    return by_touch(here / "app", here)


def test_a_program_whose_overlay_is_removed_goes_on_and_leaves_a_whole_one(tree, here):
    person = reader(here)
    code = ("import shutil, os, json, numpy as np\nimport pkg.k as k\n"
            "shutil.rmtree(os.path.expanduser('~/.cache'))\n"
            "print('RESULTS', json.dumps([k.add(1, 2), k.total(np.arange(9.0))]))\n"
            "k.add(1j, 2)\nk.add(1, 2j)\n")
    run = run_in_place(tree, person, code)
    assert (run.loads, run.saves, run.results) == (SAVED_IN_PLACE, 2, [[3, 204.0]]), run.said
    run = run_in_place(tree, person, RESULTS + "k.add(1j, 2)\nk.add(1, 2j)\n")
    assert (run.loads, run.saves) == (SAVED_IN_PLACE + 2, 0), run.said


def test_a_full_disk_while_running_costs_what_is_new_and_nothing_else(tree, here):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    small = here / "small"
    small.mkdir()
    mount("-t", "tmpfs", "-o", "size=1M,mode=1777", "tmpfs", small)
    try:
        code = ("import os, json, numpy as np\nimport pkg.k as k\n"
                "with open(os.environ['WARMPACK_OVERLAY_DIR'] + '/fill', 'wb', 0) as f:\n"
                "    try:\n        while f.write(b'x' * 512): pass\n    except OSError: pass\n"
                "k.add(1j, 2)\nk.add(np.int8(1), 2)\n"
                "print('RESULTS', json.dumps([k.add(1, 2), k.total(np.arange(9.0))]))\n")
        person = reader(here)
        run = run_in_place(tree, person, code, WARMPACK_OVERLAY_DIR=small)
        assert run.results == [[3, 204.0]] and run.loads == SAVED_IN_PLACE
        assert run.said.count("is not saved") == 1, run.said
        os.unlink(small / "fill")
        run = run_in_place(tree, person, RESULTS + "k.add(1j, 2)\n", WARMPACK_OVERLAY_DIR=small)
        assert run.results == [[3, 204.0]] and run.loads >= SAVED_IN_PLACE
        (small / "fill").write_bytes(b"x" * (1 << 19))
    finally:
        subprocess.run(["umount", small], check=True)


def test_threads_that_import_at_once_all_load(tree, here):
    code = ("import json, numba, sys, threading\nsys.setswitchinterval(1e-6)\n"
            "go, failed = threading.Barrier(12), []\n"
            "source = open(%r).read()\n"
            "def work(n):\n"
            "    try:\n"
            "        go.wait()\n"
            "        space = {'__name__': 'pkg.k', '__file__': %r}\n"
            "        exec(compile(source, %r, 'exec'), space)\n"
            "        assert space['add'](1j, n) == 1j + n\n"
            "    except BaseException as error: failed.append(repr(error))\n"
            "threads = [threading.Thread(target=work, args=(n,)) for n in range(12)]\n"
            "[t.start() for t in threads]; [t.join() for t in threads]\n"
            "print('RESULTS', json.dumps(failed))\n") % ((str(tree / "pkg" / "k.py"),) * 3)
    run = run_in_place(tree, reader(here), code)
    assert run.results == [[]], run.said
    assert run.loads >= SAVED_IN_PLACE


@pytest.mark.parametrize("umask", ["0", "0777"])
def test_whatever_the_umask_they_load(tree, here, umask):
    code = "import os\nos.umask(0o%s)\n" % umask + RESULTS + "k.add(1j, 2)\n"
    person = reader(here)
    for _ in range(2):
        run = run_in_place(tree, person, code)
        assert run.loads >= SAVED_IN_PLACE and run.results == [[3, 204.0]], run.said


@pytest.mark.parametrize("home", [None, "/nonexistent"])
def test_without_a_home_they_load(tree, here, home):
    run = run_in_place(tree, reader(here), HOME=home, TMPDIR=here / "reader")
    assert (run.loads, run.saves) == (SAVED_IN_PLACE, 0), run.said


def test_without_compiling_nobody_is_asked(tree, here):
    run = run_in_place(tree, reader(here), NUMBA_DISABLE_JIT=1, WARMPACK_DEBUG=1)
    assert (run.loads, run.saves, run.results) == (0, 0, [[3, 204.0]])
    assert "warmpack" not in run.said
