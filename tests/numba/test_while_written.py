"""Numba writes its caches while they are packed: an archive is made whole, or refused with a line;
what it calls valid loads."""

import os
import subprocess
import textwrap

from harness import PYTHON, WARMPACK, environment, indexes_in

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
    made = 0
    try:
        writer.stdout.readline()  # it has begun
        for turn in range(ROUNDS):
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
