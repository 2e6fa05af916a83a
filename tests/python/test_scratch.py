"""Directories for a moment are removed with what killed processes left, and nothing else is."""

import os
import resource
import subprocess
import sys

import pytest
from warmpack import _places
from warmpack._scratch import scratch

HOLD = """
import sys
from warmpack._scratch import scratch
with scratch(sys.argv[1]) as folder:
    open(folder + "/x", "w").close()
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def hold(tmp_path):
    """hold(): a process that has such a directory in PLACE, and the directory."""
    processes = []

    def start():
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "place"], text=True,
                                   env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        processes.append(process)
        return process, process.stdout.readline().rstrip("\n")

    (tmp_path / "place").mkdir()
    yield start
    for process in processes:
        process.communicate()


def test_what_killed_processes_left_is_removed_and_what_is_in_use_is_not(hold, tmp_path):
    place = tmp_path / "place"
    killed, left = hold()
    living, used = hold()
    killed.kill()
    killed.wait()
    half = place / ".warmpack-scratch-half"  # somebody was killed while he removed it
    half.mkdir()
    for name in ("app", ".warmpack-scratch-file"):
        (place / name).write_text("x")
    (place / ".warmpack-scratch-link").symlink_to(tmp_path / "home")
    assert os.path.exists(left + "/x")
    with scratch(str(place)) as mine:
        assert os.path.isdir(mine) and os.path.exists(used + "/x")
        assert not os.path.exists(left) and not half.exists()
    living.communicate()
    assert sorted(os.listdir(place)) == [".warmpack-scratch-file", ".warmpack-scratch-link", "app"]
    assert (tmp_path / "home").is_dir()


def test_an_archive_that_does_not_fit_leaves_nothing(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError):
            _places.keep(bytes(2000), str(tmp_path), "app-1.tgz")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == ["home"]
    path = _places.keep(bytes(2000), str(tmp_path), "app-1.tgz")
    assert os.path.getsize(path) == 2000 and len(os.listdir(tmp_path)) == 2
