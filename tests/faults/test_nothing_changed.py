"""Exit status 2 of restore: nothing is changed."""

import errno
import os
import shutil
import signal
import subprocess

import pytest
from indexes import INDEX, make_index
from trees import NOBODY, needs_root

CHANGING = ",mkdirat,renameat2,rename,futimens,fchmod,openat,openat2,unlinkat,"


def facts(folder):
    return {str(path.relative_to(folder)): (path.lstat().st_mode, path.lstat().st_mtime_ns)
            for path in sorted(folder.rglob("*")) if path.is_file()}


def test_restore_sets_no_time_where_it_fails(warmpack, faulty, tmp_path):
    source = tmp_path / "s" / "app" / "pkg" / "k.py"
    source.parent.mkdir(parents=True)
    source.write_text("y = 1\n")
    source.with_name("data").write_text("z")
    os.utime(source, ns=(0, 1500000001987654321))
    make_index(source, tmp_path / "c")
    warmpack.ok("create", "-qf", "a.tgz", "--cache-dir", "c", "-C", "s", "app")
    whole, tree = tmp_path / "whole", tmp_path / "t"
    whole.mkdir()
    subprocess.run(["tar", "xzmf", tmp_path / "a.tgz", "-C", whole], check=True)
    (whole / "app" / "pkg" / "data").chmod(0o600)
    failed = 0
    for n in range(1, 100):
        shutil.rmtree(tree, ignore_errors=True)
        shutil.copytree(whole, tree)
        before = facts(tree)
        r, happened = faulty("restore", "-q", "t", calls=",mkdirat,renameat2,rename,", n=n,
                             errno=errno.ENOSPC)
        if not happened:
            break
        if r.returncode == 2:
            failed += 1
            assert facts(tree) == before, (n, r)
        else:
            assert (tree / "app" / "pkg" / "k.py").stat().st_mtime_ns == 1500000001987654321
    assert failed > 3
    assert facts(tree)["app/pkg/data"][0] & 0o777 == 0o644


@pytest.mark.parametrize("words", [("restore", "-q", "t"),
                                   ("extract", "--caches-only", "-qf", "a.tgz", "-C", "t")])
def test_a_kill_leaves_no_time_set_before_the_caches_are_staged(warmpack, faulty, tmp_path, words):
    source = tmp_path / "s" / "app" / "pkg" / "k.py"
    source.parent.mkdir(parents=True)
    source.write_text("y = 1\n")
    os.utime(source, ns=(0, 1500000001987654321))
    make_index(source, tmp_path / "c")
    warmpack.ok("create", "-qf", "a.tgz", "--cache-dir", "c", "-C", "s", "app")
    tree, whole = tmp_path / "t", tmp_path / "whole"
    whole.mkdir()
    subprocess.run(["tar", "xzmf", tmp_path / "a.tgz", "-C", whole,
                    *(["--exclude=.warmpack"] if "extract" in words else [])], check=True)
    early = 0
    for n in range(1, 200):
        shutil.rmtree(tree, ignore_errors=True)
        shutil.copytree(whole, tree)
        before = (tree / "app" / "pkg" / "k.py").stat().st_mtime_ns
        r, happened = faulty(*words, calls=CHANGING, n=n, kill=1)
        if not happened:
            break
        assert r.returncode == -signal.SIGKILL
        now = (tree / "app" / "pkg" / "k.py").stat().st_mtime_ns
        assert now in (before, 1500000001987654321)
        if not list(tree.rglob("__pycache__/" + INDEX)):  # neither staged nor in place
            early += 1
            assert now == before, n
    assert early > 2 and n > early
    warmpack.ok(*words)


@needs_root
@pytest.mark.parametrize("restamp", ["auto", "never"])
def test_root_does_not_repair_what_the_owner_of_a_tree_has_linked_into_it(warmpack, tmp_path,
                                                                          restamp):
    victim, named = tmp_path / "victim", tmp_path / "s" / "app" / "named"
    victim.write_text("known to all\n")
    victim.chmod(0o600)
    named.parent.mkdir(parents=True)
    named.write_text("known to all\n")
    named.chmod(0o666)
    named.with_name("own").write_text("o")
    for path in named, named.with_name("own"):
        os.utime(path, ns=(0, 1500000001987654321))
    named.with_name("k.py").write_text("x = 1\n")
    make_index(named.with_name("k.py"))
    warmpack.ok("create", "-qf", "a.tgz", "-C", "s", "app")
    (tmp_path / "t").mkdir()
    subprocess.run(["tar", "xzmf", "a.tgz", "-C", "t"], cwd=tmp_path, check=True)
    (tmp_path / "t" / "app" / "named").unlink()
    os.link(victim, tmp_path / "t" / "app" / "named")
    subprocess.run(["chown", "-hR", str(NOBODY), "t"], cwd=tmp_path, check=True)
    os.chown(victim, 0, 0)
    before = victim.stat()
    warmpack.ok("restore", "-q", "--restamp", restamp, "t")
    after = victim.stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
    assert (tmp_path / "t" / "app" / "own").stat().st_mtime_ns == 1500000001987654321


def times(folder):
    return {path: path.lstat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def test_a_commit_that_is_taken_back_leaves_the_times_of_directories(warmpack, faulty, tmp_path):
    for name in "1.txt", "a/2.txt", "a/b/3.txt", "c/4.txt":
        path = tmp_path / "s/app" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    warmpack.ok("create", "-qf", "a.tgz", "-C", "s", "app")
    tree = tmp_path / "t"
    shutil.copytree(tmp_path / "s", tree)
    (tree / "app/c/4.txt").unlink()
    for path in [*tree.rglob("*"), tree]:
        os.utime(path, ns=(0, 1500000000123456789))
    before, taken_back = times(tree), 0
    for n in range(1, 100):
        r, happened = faulty("extract", "-qf", "a.tgz", "-C", "t", calls=",renameat2,rename,", n=n,
                             errno=errno.EIO)
        if not happened:
            break
        assert r.returncode == 2 and times(tree) == before, (n, r)
        taken_back += b"cannot be put in place" in r.stderr
    assert taken_back >= 5 and r.returncode == 0
