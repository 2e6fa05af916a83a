"""Numba writes its caches while they are packed: an archive is made whole, or refused with a line;
what it calls valid loads."""

import os
import subprocess
import textwrap
import time
from pathlib import Path

import pytest
from harness import PYTHON, WARMPACK, environment, indexes_in
from small import run_small, write_small

ROUNDS = 2 * int(os.environ.get("WARMPACK_MUTATIONS", "1"))
# Compiles function after function, until the file "stop" is there.
WRITER = """\
import importlib, os, pathlib, sys
n = 0
while not os.path.exists("stop"):
    pathlib.Path(f"app/m{n}.py").write_text(
        "from numba import njit\\n\\n\\n@njit(cache=True)\\ndef f(x):\\n    return x + %d\\n" % n)
    importlib.invalidate_caches()
    assert importlib.import_module(f"app.m{n}").f(1) == n + 1
    n += 1
    print(n, flush=True)
"""
READER = """\
import importlib, pathlib
for path in sorted(pathlib.Path("app").glob("m*.py")):
    f = importlib.import_module("app." + path.stem).f
    assert f(1) == int(path.stem[1:]) + 1
    print(path.stem, sum(f.stats.cache_hits.values()))
"""


def test_what_is_packed_while_numba_writes_loads(tmp_path):
    base = tmp_path / "srv"
    (base / "app").mkdir(parents=True)
    (base / "app" / "__init__.py").write_text("")
    (base / "writer.py").write_text(textwrap.dedent(WRITER))
    (base / "reader.py").write_text(READER)
    env = environment(tmp_path, PYTHONDONTWRITEBYTECODE="1")
    writer = subprocess.Popen([PYTHON, "writer.py"], cwd=base, env=env, stdout=subprocess.PIPE)
    made = turn = 0
    try:
        writer.stdout.readline()  # it has begun
        # By chance all may be refused.
        while turn < ROUNDS or (not made and turn < ROUNDS + 50):
            turn += 1
            archive, out = tmp_path / f"{turn}.tgz", tmp_path / f"out{turn}"
            done = subprocess.run([WARMPACK, "create", "-f", archive, "-C", base, "app"], env=env,
                                  capture_output=True, check=False)
            assert done.returncode in (0, 2), done
            assert archive.exists() == (done.returncode == 0), done
            writer.stdout.readline()  # another function is there: the next round finds more
            if done.returncode:
                assert done.stderr.startswith(b"warmpack: "), done
                continue
            made += 1
            unpacked = subprocess.run([WARMPACK, "extract", "-f", archive, "-C", out], env=env,
                                      capture_output=True, check=False)
            assert unpacked.returncode == 0, unpacked
            judged = subprocess.run([WARMPACK, "verify", "--json", out], env=env,
                                    capture_output=True, check=False)
            assert judged.returncode in (0, 1), judged
            read = subprocess.run([PYTHON, base / "reader.py"], cwd=out, check=False, text=True,
                                  env={**env, "PYTHONPATH": str(out)}, capture_output=True)
            assert read.returncode == 0, read.stderr
            loaded = sum(line.endswith(" 1") for line in read.stdout.splitlines())
            # At most the one that was being written is compiled again.
            assert loaded >= len(indexes_in(out)) - 1 or judged.returncode == 1, read.stdout
    finally:
        (base / "stop").touch()
        writer.communicate(timeout=120)
    assert made and writer.returncode == 0


def wait_until_it_opens(job):
    """Waits until JOB opens a FIFO that nobody reads yet."""
    place = Path(f"/proc/{job.pid}/wchan")
    for _ in range(6000):
        where = place.read_text() if job.poll() is None else ""
        if where == "wait_for_partner":
            return
        time.sleep(0.01)
    job.kill()
    job.communicate()
    pytest.skip("the kernel does not tell where a process waits")


def test_a_source_that_imports_more_by_the_time_it_is_packed_is_not_packed_as_before(tmp_path):
    """--caches-only decides by the imports which sources are compared later."""
    root = write_small(tmp_path / "srv")
    (root / "pkg" / "more.py").write_text("")
    assert run_small(root, tmp_path) == (0, 3)
    archive = tmp_path / "caches.tar"
    os.mkfifo(archive)
    words = ("create", "--caches-only", "-f", archive, "-C", root, "pkg")
    job = subprocess.Popen([WARMPACK, *words], env=environment(tmp_path), stderr=subprocess.PIPE)
    wait_until_it_opens(job)
    with (root / "pkg" / "k.py").open("a") as source:
        source.write("from pkg import more\n")
    archive.read_bytes()
    _, told = job.communicate(timeout=120)
    assert job.returncode == 2 and b"changed while it was packed" in told, told
