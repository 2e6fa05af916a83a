"""Many threads on few processors: the same bytes, and no more memory than the manual says."""

import filecmp
import shutil
import subprocess
import sys

import pytest
from trees import BINARY, assert_same, look, noise, write

MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    base = tmp_path_factory.mktemp("tree")
    for i in range(140):  # more than 64 threads have in hand at once
        write(base / f"app/{i:03}.so", noise(MEGABYTE, i))
    return base


MEASURE = """
import os, subprocess, sys
_, status, usage = os.wait4(subprocess.Popen(sys.argv[1:]).pid, 0)
assert status == 0
print(usage.ru_maxrss)
"""


def memory_of(base, *words):
    """The most that a run had resident, in bytes, once it has succeeded. To Linux that begins with
    what its parent had, so that is a process of its own."""
    done = subprocess.run([sys.executable, "-S", "-c", MEASURE, BINARY, *map(str, words)], cwd=base,
                          stdout=subprocess.PIPE, check=True)
    return int(done.stdout) * 1024


@pytest.mark.parametrize("form", ["tgz", "tar.zst"])
def test_sixty_four_threads_need_less_than_a_gigabyte_and_more_are_not_made(tmp_path, tree,
                                                                            form):
    for threads in ("1", "64", "1000"):
        archive, out = f"{threads}.{form}", f"out{threads}"
        most = [memory_of(tmp_path, "create", "-qf", archive, "--threads", threads, "-C", tree,
                          "app"),
                memory_of(tmp_path, "extract", "-qf", archive, "--threads", threads, "-C", out)]
        assert max(most) < (100 if threads == "1" else 1000) * MEGABYTE, (threads, most)
        assert_same(look(tree), look(tmp_path / out))
        shutil.rmtree(tmp_path / out)
        assert filecmp.cmp(tmp_path / f"1.{form}", tmp_path / archive, shallow=False)
