"""Many threads on few processors: the same bytes, and no more memory than the manual says."""

import filecmp
import os
import shutil

import pytest
from trees import assert_same, look, noise, write

MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    base = tmp_path_factory.mktemp("tree")
    for i in range(140):  # more than 64 threads have in hand at once
        write(base / f"app/{i:03}.so", noise(MEGABYTE, i))
    return base


def memory_of(child):
    """The most that it had resident, in bytes, once it has succeeded. That counts from the fork on:
    this process must not have more."""
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, child.stderr.read()
    child.stderr.close()
    return usage.ru_maxrss * 1024


@pytest.mark.parametrize("form", ["tgz", "tar.zst"])
def test_sixty_four_threads_need_less_than_a_gigabyte_and_more_are_not_made(warmpack, tmp_path,
                                                                            tree, form):
    for threads in ("1", "64", "1000"):
        archive, out = f"{threads}.{form}", f"out{threads}"
        most = [memory_of(warmpack.start("create", "-qf", archive, "--threads", threads, "-C", tree,
                                         "app")),
                memory_of(warmpack.start("extract", "-qf", archive, "--threads", threads, "-C", out))]
        assert max(most) < (100 if threads == "1" else 1000) * MEGABYTE, (threads, most)
        assert_same(look(tree), look(tmp_path / out))
        shutil.rmtree(tmp_path / out)
        assert filecmp.cmp(tmp_path / f"1.{form}", tmp_path / archive, shallow=False)
