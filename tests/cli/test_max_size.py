"""How much an archive may unpack to."""

import os
import subprocess

import pytest
from trees import BINARY

SUFFIXES = [".tar", ".tgz", ".tar.zst", ".zip"]


def warmpack(directory, *words):
    return subprocess.run([BINARY, *words], cwd=directory, capture_output=True, check=False)


@pytest.fixture
def packed(tmp_path):
    """packed(SUFFIX): an archive of two files of 1000 bytes."""
    (tmp_path / "s" / "app").mkdir(parents=True)
    for name in "k", "l":
        (tmp_path / "s" / "app" / name).write_bytes(os.urandom(1000))

    def make(suffix):
        assert warmpack(tmp_path, "create", "-qf", "a" + suffix, "-C", "s", "app").returncode == 0
        return "a" + suffix
    return make


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_more_than_is_allowed_is_refused_and_nothing_unpacked(packed, tmp_path, suffix):
    name = packed(suffix)
    for words in (["-C", "out"], ["-O"]):
        done = warmpack(tmp_path, "extract", "-f", name, "--max-size", "1999", *words)
        assert done.returncode == 2
        assert b"app/l: with this file more than 1999 bytes" in done.stderr
    assert not (tmp_path / "out").exists()
    assert warmpack(tmp_path, "extract", "-f", name, "--max-size", "1999", "-C", "out",
                    "app/k").returncode == 0
    assert warmpack(tmp_path, "extract", "-f", name, "--max-size", "2000", "-C",
                    "out").returncode == 0


@pytest.mark.parametrize("value", ["0", "-1", "1k", ""])
def test_a_size_that_is_none_is_refused(packed, tmp_path, value):
    assert warmpack(tmp_path, "extract", "-f", packed(".tar"), "--max-size",
                    value).returncode == 2


def test_a_thousand_times_the_archives_size_is_told_once(tmp_path):
    for name, size in (("many", 64 << 20), ("few", 100_000)):
        (tmp_path / name).mkdir()
        for i in range(2):
            with open(tmp_path / name / f"zeros{i}", "wb") as file:
                file.truncate(size)
        assert warmpack(tmp_path, "create", "-qf", name + ".tar.zst", name).returncode == 0
    assert (tmp_path / "many.tar.zst").stat().st_size * 1000 < 128 << 20
    done = warmpack(tmp_path, "extract", "-f", "many.tar.zst", "-C", "out")
    assert done.returncode == 0
    assert done.stderr.count(b"more than 1000 times its size") == 1
    assert b"times its size" not in warmpack(
        tmp_path, "extract", "-f", "few.tar.zst", "-C", "out").stderr
    assert b"times its size" not in warmpack(
        tmp_path, "extract", "-f", "many.tar.zst", "-C", "out", "--max-size", "200000000").stderr
