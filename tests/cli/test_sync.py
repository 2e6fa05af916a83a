"""--sync: content and names are on the disk, in that order, when the program ends."""

import os
import subprocess

import pytest
from trees import BINARY, index, system_calls, traced

CALLS = "fsync,syncfs,rename,renameat,renameat2,linkat"


@pytest.fixture
def packed(tmp_path):
    (tmp_path / "s" / "app").mkdir(parents=True)
    source = tmp_path / "s" / "app" / "k.py"
    source.write_text("x = 1\n")
    index(source)
    subprocess.run([BINARY, "create", "-qf", "a.tgz", "-C", "s", "app"], cwd=tmp_path, check=True)
    subprocess.run(["tar", "czf", "plain.tgz", "-C", "s", "app/k.py"], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.parametrize("words", [
    ["create", "-qf", "b.tgz", "-C", "s", "app"],
    ["amend", "-qf", "plain.tgz", "-o", "b.tgz", "--source", "s"],
])
def test_an_archive_is_on_the_disk_before_it_has_its_name_and_then_that(packed, words):
    got = system_calls(packed, *words, "--sync", calls=CALLS)
    name = max(i for i, call in enumerate(got) if call.startswith("rename"))
    assert "fsync" in got[:name] and "fsync" in got[name:]
    assert "fsync" not in system_calls(packed, *words, calls=CALLS)


@pytest.mark.parametrize("words", [
    ["extract", "-qf", "a.tgz", "-C", "out"], ["seal", "-q", "s"],
])
def test_a_tree_is_on_the_disk_before_the_commit_and_after_it(packed, words):
    got = system_calls(packed, *words, "--sync", calls=CALLS)
    renames = [i for i, call in enumerate(got) if call.startswith("rename")]
    # The first names the journal; what is put in place follows.
    assert "syncfs" in got[:renames[0]] and "syncfs" in got[renames[-1]:]
    assert "syncfs" not in system_calls(packed, *words, calls=CALLS)


def test_the_journal_is_gone_from_the_disk_as_well(packed):
    """Else a power failure would bring it back, and the next run would undo or repeat its job."""
    words = ("extract", "-qf", "a.tgz", "-C", "out", "--sync")
    lines = traced(packed, *words, calls="unlinkat,fsync").splitlines()
    (removed,) = [i for i, line in enumerate(lines)
                  if 'unlinkat' in line and '"journal"' in line and line.endswith("= 0")]
    assert any("fsync(" in line for line in lines[removed:])


def test_what_restore_sets_is_on_the_disk(packed):
    subprocess.run([BINARY, "extract", "-qf", "a.tgz"], cwd=packed, check=True)
    os.utime(packed / "app" / "k.py", (1, 1))
    assert system_calls(packed, "restore", "-q", "app", "--sync", calls=CALLS)[-1] == "syncfs"
