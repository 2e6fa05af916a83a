"""Jobs leave what has come since they looked: by another run, or a program that saves its caches."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest
from test_retarget_odd import PROBE
from trees import (BINARY, PATIENCE, full_pipe, index, run, said_through, wait_until_stalled,
                   write)


@pytest.fixture(name="bad")
def damaged_trees(tmp_path):
    """Two indexes that are no indexes, in tree; the same that are right, in new."""
    for place in ("tree", "new"):
        for name in ("a", "b"):
            write(tmp_path / place / f"{name}.py", "x = 1\n", ns=10**18)
            made = index(tmp_path / place / f"{name}.py")
            if place == "tree":
                made.write_bytes(b"no index")
    return tmp_path / "tree"


def test_names_of_one_file_all_go(warmpack, bad):
    """With the first of them, the ctime of the others changes."""
    cache = bad / "__pycache__"
    for end in (".nbi", ".1.nbc"):
        (cache / f"b.add-3.py311{end}").unlink()
        os.link(cache / f"a.add-3.py311{end}", cache / f"b.add-3.py311{end}")
    warmpack.ok("verify", "--fix", bad)
    assert os.listdir(cache) == []


def fix_until_it_stands_still(warmpack, tree):
    """It has looked, and says that it has removed the first of what it found."""
    reader, writer = full_pipe()
    child = warmpack.start("verify", "--fix", tree, stderr=writer)
    os.close(writer)
    wait_until_stalled(child)
    assert not (tree / "__pycache__/a.add-3.py311.nbi").exists()
    return child, reader


def test_an_index_that_was_replaced_meanwhile_stays(warmpack, bad, tmp_path):
    child, reader = fix_until_it_stands_still(warmpack, bad)
    for name in ("b.add-3.py311.1.nbc", "b.add-3.py311.nbi"):
        shutil.copy2(tmp_path / "new/__pycache__" / name, tmp_path / name)
        os.replace(tmp_path / name, bad / "__pycache__" / name)
    said = said_through(reader)
    assert child.wait(PATIENCE) == 0, said
    assert sorted(os.listdir(bad / "__pycache__")) == ["b.add-3.py311.1.nbc", "b.add-3.py311.nbi"]
    assert b"b.add-3.py311.nbi: left: it has changed meanwhile" in said
    assert b"1 of 1 cache indexes valid" in said


def test_data_that_an_index_names_by_now_stay(warmpack, bad, tmp_path):
    """A data file of before that no index named."""
    cache, there = bad / "__pycache__", tmp_path / "new/__pycache__"
    (cache / "b.add-3.py311.nbi").unlink()
    os.utime(cache / "b.add-3.py311.1.nbc", (1, 1))
    child, reader = fix_until_it_stands_still(warmpack, bad)
    for name in ("b.add-3.py311.1.nbc", "b.add-3.py311.nbi"):
        shutil.copy2(there / name, tmp_path / name)
        os.utime(tmp_path / name, (1, 1))
        os.replace(tmp_path / name, cache / name)
    said = said_through(reader)
    assert child.wait(PATIENCE) == 0, said
    assert sorted(os.listdir(cache)) == ["b.add-3.py311.1.nbc", "b.add-3.py311.nbi"]


def test_new_data_of_an_old_index_stay(warmpack, bad, tmp_path):
    """Numba and warmpack put data into their place before the index that names them."""
    child, reader = fix_until_it_stands_still(warmpack, bad)
    name = "b.add-3.py311.1.nbc"
    shutil.copy2(tmp_path / "new/__pycache__" / name, tmp_path / name)
    os.replace(tmp_path / name, bad / "__pycache__" / name)
    said = said_through(reader)
    assert child.wait(PATIENCE) == 0, said
    assert os.listdir(bad / "__pycache__") == [name]




class Stopped:
    """The program, which stands still behind its NUMBER-th call of the kind CALLS."""

    def __init__(self, warmpack, directory, calls, number, *words):
        trace = write(directory / "trace" / words[0], "")
        self.process = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", trace, "-e", f"trace=/{calls}", "-e",
             f"inject=/{calls}:signal=SIGSTOP:when={number}", BINARY, *words], cwd=directory,
            stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            env=warmpack.variables(ASAN_OPTIONS="detect_leaks=0"))
        while not (has_ended := self.process.poll() is not None) and not (
                "stopped by SIGSTOP" in trace.read_text()):
            time.sleep(0.005)
        self.has_ended = has_ended  # before that call

    def child(self):
        number = self.process.pid
        text = pathlib.Path(f"/proc/{number}/task/{number}/children").read_text()
        return int(text.split()[0])

    def go_on(self):
        os.kill(self.child(), signal.SIGCONT)

    def end(self):
        """Lets it go on to its end; returns its status."""
        if self.process.poll() is None:
            self.go_on()
        return self.process.wait(PATIENCE)


def test_fix_waits_for_a_run_that_changes_the_tree(warmpack, bad, tmp_path):
    """What is there in between may look broken."""
    names = [f"other{i}.py" for i in range(4)]
    for name in names:
        write(tmp_path / "next" / name, "x = 2\n")
    warmpack.ok("create", "-qf", "next.tgz", "-C", "next", *names)
    before = sorted(os.listdir(bad / "__pycache__"))
    extract = Stopped(warmpack, tmp_path, "^rename", 3, "extract", "-qf", "next.tgz", "-C", bad)
    assert 0 < len(list(bad.glob("other*"))) < 4
    fix = warmpack.start("verify", "--fix", bad)
    wait_until_stalled(fix)
    assert sorted(os.listdir(bad / "__pycache__")) == before
    assert extract.end() == 0
    fix.communicate(timeout=PATIENCE)
    assert len(list(bad.glob("other*"))) == 4
    assert not list(bad.glob("__pycache__/*.nbi"))


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "half"])
def test_fix_leaves_a_release_that_comes_at_any_moment(warmpack, bad, tmp_path, whole):
    """All of it, or the first half while it looks and the second afterwards."""
    warmpack.ok("create", "-qf", "new.tgz", "-C", "new", ".")
    shutil.copytree(bad, tmp_path / "kept")
    for number in range(1, 1000, 5):
        shutil.rmtree(bad)
        shutil.copytree(tmp_path / "kept", bad)
        fix = Stopped(warmpack, tmp_path, "^openat2$", number, "verify", "--fix", bad)
        if fix.has_ended:
            break
        extract = Stopped(warmpack, tmp_path, "^rename", 1000 if whole else 4, "extract", "-qf",
                          "new.tgz", "-C", bad)
        fix.go_on()
        if not whole:
            with contextlib.suppress(subprocess.TimeoutExpired):  # it waits
                fix.process.wait(0.5)
        assert (extract.end(), fix.process.wait(PATIENCE)) in ((0, 0), (0, 1)), number
        assert b"2 of 2 cache indexes valid" in warmpack.ok("verify", bad).stderr, number
    assert 20 < number < 1000


@pytest.mark.parametrize("job", [["restore", "-q", "--restamp", "always", "app"],
                                 ["retarget", "-q", "--for", "probe.json", "app"]],
                         ids=["restore", "retarget"])
def test_no_index_of_a_new_release_is_replaced_by_one_of_before(warmpack, tmp_path, job):
    """Where the two number their data differently, Numba would run one overload's code for another."""
    for release in "12":
        write(tmp_path / release / "app/k.py", f"x = {release}\n")
        index(tmp_path / release / "app/k.py")
        warmpack.ok("create", "-qf", release + ".tgz", "-C", release, "app")
    write(tmp_path / "probe.json", json.dumps(PROBE))
    caches, seen = tmp_path / "app/__pycache__", 0
    for number in range(1, 20):
        shutil.rmtree(tmp_path / "app", ignore_errors=True)
        run("tar", "xzf", "1.tgz", cwd=tmp_path)
        if job[0] == "restore":
            os.utime(tmp_path / "app/k.py", (5, 5))
        stopped = Stopped(warmpack, tmp_path, "^fchmod$", number, *job)
        if stopped.has_ended:
            break
        seen += bool(list(caches.glob(".warmpack.new.*")))
        warmpack.ok("extract", "-qf", "2.tgz")
        stopped.end()
        assert (tmp_path / "app/k.py").read_text() == "x = 2\n"
        assert b"1 of 1 cache indexes valid" in warmpack.ok("verify", "app").stderr, number
        assert not list(caches.glob(".warmpack*"))
    assert seen == 1
    assert 1 < number < 19
