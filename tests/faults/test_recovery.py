"""Recovery first: whoever looks at a directory completes, or takes back, what a killed run left."""

import errno
import fcntl
import os
import shutil
import signal
import stat
import subprocess

import pytest

import trees
from indexes import INDEX, make_index


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def packed_of(names):
    """Without what restoring makes itself."""
    return [name for name in names if not name.endswith(("state.jsonl", ".gitignore"))]


def untar(how, folder):
    subprocess.run(["tar", how, folder.parent / "a.tgz", "-C", folder], check=True)


@pytest.fixture
def killed(faulty, tmp_path):
    """Kills a job at each call of the kinds, after PREPARE, and lets CHECK look at what is next."""
    def run(calls, prepare, words, check):
        for n in range(1, 200):
            prepare()
            r, happened = faulty(*words, calls=calls, n=n, kill=1)
            if not happened:
                break
            assert r.returncode == -signal.SIGKILL
            check(n)
        assert 1 < n < 199
        return n - 1
    return run


@pytest.fixture
def source(tmp_path):
    """A source with a valid index, to be packed."""
    path = tmp_path / "s" / "app" / "k.py"
    path.parent.mkdir(parents=True)
    path.write_text("x = 1\n")
    os.utime(path, ns=(0, 1500000001500000000))
    make_index(path)
    return path


def test_if_needed_says_nothing_before_it_has_recovered(warmpack, killed, tmp_path):
    source, out = tmp_path / "s" / "app" / "d", tmp_path / "out"
    source.mkdir(parents=True)
    (source / "f").write_text("new")
    source.chmod(0o755)
    warmpack.ok("create", "-qf", "a.tgz", "-C", "s", "app")

    def prepare():
        shutil.rmtree(out, ignore_errors=True)
        (out / "app" / "d").mkdir(parents=True)
        (out / "app" / "d" / "f").write_text("old")
        (out / "app" / "d").chmod(0o700)

    def check(n):
        warmpack.ok("extract", "--if-needed", "-qf", "a.tgz", "-C", "out")
        assert stat.S_IMODE((out / "app" / "d").stat().st_mode) == 0o755, n
        assert os.listdir(out) == ["app"], n
        assert (out / "app" / "d" / "f").read_text() == "new", n

    assert killed(",renameat2,fchmod,futimens,unlinkat,", prepare,
                  ("extract", "--if-needed", "-qf", "a.tgz", "-C", "out"), check) > 10


def test_fix_completes_a_fix_that_was_killed(warmpack, killed, source, tmp_path):
    cached = tmp_path / "s" / "app" / "__pycache__"
    shutil.rmtree(cached)
    make_index(source, tmp_path / "c")
    warmpack.ok("create", "-qf", "a.tgz", "--cache-dir", "c", "-C", "s", "app")
    tree = tmp_path / "t"

    def prepare():
        shutil.rmtree(tree, ignore_errors=True)
        tree.mkdir()
        untar("xzmf", tmp_path / "t")

    def check(n):
        warmpack("verify", "--fix", "t")
        assert not [name for name in listing(tree) if ".warmpack-" in name], n
        assert (tree / "app" / "__pycache__" / INDEX).exists(), n

    assert killed(",renameat2,unlinkat,futimens,", prepare, ("verify", "--fix", "t"), check) > 10


@pytest.mark.parametrize("exists", [False, True])
def test_create_removes_what_a_killed_create_left(warmpack, killed, source, tmp_path, exists):
    before = os.listdir(tmp_path)

    def prepare():
        (tmp_path / "a.tgz").unlink(missing_ok=True)
        if exists:
            (tmp_path / "a.tgz").write_bytes(b"")
        (tmp_path / ".a.tgz.of-mine").touch()

    def check(n):
        warmpack.ok("create", "-qf", "a.tgz", "-C", "s", "app")
        assert sorted(set(os.listdir(tmp_path)) - set(before) - {"happened"}) == [
            ".a.tgz.of-mine", "a.tgz"], n

    killed(",rename,", prepare, ("create", "-qf", "a.tgz", "-C", "s", "app"), check)


def test_create_leaves_the_file_of_one_that_lives(warmpack, source, tmp_path):
    with (tmp_path / ".a.tgz.0123456789abcdef").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # as its maker does
        warmpack.ok("create", "-qf", "a.tgz", "-C", "s", "app")
        assert (tmp_path / held.name).exists()
    warmpack.ok("create", "-qf", "a.tgz", "-C", "s", "app")
    assert not (tmp_path / held.name).exists()


@pytest.mark.parametrize("next_run", [("restore", "-q", "--restamp", "always", "t"),
                                      ("restore", "-q", "t"), ("verify", "--fix", "t")])
def test_no_temporary_file_of_a_stamp_stays(warmpack, killed, source, tmp_path, next_run):
    warmpack.ok("create", "-qf", "a.tgz", "-C", "s", "app")
    tree, whole = tmp_path / "t", tmp_path / "whole"
    whole.mkdir()
    untar("xzmf", tmp_path / "whole")

    def prepare():
        shutil.rmtree(tree, ignore_errors=True)
        shutil.copytree(whole, tree)

    def check(n):
        warmpack(*next_run)
        assert packed_of(listing(tree)) == listing(whole), n

    killed(",rename,fchmod,", prepare, ("restore", "-q", "--restamp", "always", "t"), check)


@pytest.mark.parametrize("owner", [None, pytest.param(65534, marks=trees.needs_root)])
@pytest.mark.parametrize("next_run", [("extract", "-qf", "a.tgz", "-C", "t"),
                                      ("extract", "--if-needed", "-qf", "a.tgz", "-C", "t"),
                                      ("extract", "--caches-only", "-qf", "a.tgz", "-C", "t"),
                                      ("seal", "-q", "t")])
def test_nothing_of_a_killed_repair_stays_for_who_does_something_else(warmpack, killed, source,
                                                                      tmp_path, next_run, owner):
    warmpack.ok("create", "-qf", "a.tgz", "-C", "s", "app")
    warmpack.ok("extract", "-qf", "a.tgz", "-C", "whole")
    tree, left = tmp_path / "t", set()

    def ours():
        return {name for name in listing(tree) if ".warmpack.new." in name or name.endswith(".lock")}

    def prepare():
        shutil.rmtree(tree, ignore_errors=True)
        shutil.copytree(tmp_path / "whole", tree)
        os.utime(tree / "app" / "k.py", (0, 1))
        if owner:  # to whom root gives what it makes there
            subprocess.run(["chown", "-R", str(owner), tree], check=True)

    def check(n):
        left.update(ours())
        warmpack(*next_run)
        assert not ours(), n

    killed(",rename,fchmod,unlinkat,", prepare, ("restore", "-q", "--restamp", "always", "t"), check)
    assert len(left) > 2


@pytest.mark.parametrize("next_run", [("extract", "-qf", "a.tgz", "-C", "t", "--cache-dir", "c"),
                                      ("extract", "--if-needed", "-qf", "a.tgz", "-C", "t",
                                       "--cache-dir", "c"),
                                      ("seal", "-q", "t")])
def test_nothing_of_a_killed_repair_stays_in_a_cache_root(warmpack, killed, source, tmp_path,
                                                          next_run):
    warmpack.ok("create", "-qf", "a.tgz", "-C", "s", "app")
    root, left = tmp_path / "c", set()

    def ours():
        return {name for name in listing(root) if ".warmpack.new." in name}

    def prepare():
        for path in tmp_path / "t", root:
            shutil.rmtree(path, ignore_errors=True)
        warmpack.ok("extract", "-qf", "a.tgz", "-C", "t", "--cache-dir", "c")
        os.utime(tmp_path / "t" / "app" / "k.py", (0, 1))

    def check(n):
        left.update(ours())
        warmpack(*next_run)
        assert not ours(), n

    killed(",rename,fchmod,", prepare, ("restore", "-q", "--restamp", "always", "t"), check)
    assert left


@trees.needs_root
def test_the_lock_of_a_killed_root_goes_where_somebody_else_rules(warmpack, killed, source, tmp_path):
    warmpack.ok("create", "-qf", "a.tgz", "-C", "s", "app")
    out, locked = tmp_path / "out", set()

    def prepare():
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        os.chown(out, 65534, -1)

    def check(n):
        if "app" in os.listdir(out):
            locked.update(os.listdir(out))
        warmpack.ok("extract", "--if-needed", "-qf", "a.tgz", "-C", "out")
        assert os.listdir(out) == ["app"], n

    killed(",unlinkat,", prepare, ("extract", "--if-needed", "-qf", "a.tgz", "-C", "out"), check)
    assert ".warmpack.lock" in locked


def test_no_temporary_link_stays(warmpack, killed, source, tmp_path):
    (tmp_path / "s" / "app" / "l.py").symlink_to("k.py")
    warmpack.ok("create", "-qf", "a.tgz", "-C", "s", "app")
    tree, whole = tmp_path / "t", tmp_path / "whole"
    whole.mkdir()
    untar("xzf", tmp_path / "whole")

    def prepare():
        shutil.rmtree(tree, ignore_errors=True)
        shutil.copytree(whole, tree, symlinks=True)
        (tree / "app" / "l.py").unlink()

    def check(n):
        warmpack.ok("restore", "-q", "t")
        assert packed_of(listing(tree)) == listing(whole), n
        assert (tree / "app" / "l.py").is_symlink()

    killed(",renameat2,unlinkat,", prepare, ("restore", "-q", "t"), check)


RENAMES = ",renameat2,"


@pytest.fixture
def releases(warmpack, source, tmp_path):
    """Two, of several files each, and what unpacks the first into an existing directory."""
    for release in "12":
        for name in "abc":
            (source.parent / name).write_text(release)
        warmpack.ok("create", "-qf", f"{release}.tgz", "-C", "s", "app")

    def prepare():
        shutil.rmtree(tmp_path / "t", ignore_errors=True)
        (tmp_path / "b.tgz").unlink(missing_ok=True)
        warmpack.ok("extract", "-qf", "1.tgz", "-C", "t")
    return prepare


def texts(tmp_path):
    return {(tmp_path / "t/app" / name).read_text() for name in "abc"}


MEND = {"restore": ("restore", "t/app"), "verify --fix": ("verify", "--fix", "t/app"),
        "seal": ("seal", "t/app"), "retarget": ("retarget", "t/app", "--for", "/usr/bin/python3"),
        "extract": ("extract", "-f", "1.tgz", "-C", "t/app/elsewhere"),
        "extract --if-needed": ("extract", "--if-needed", "-f", "1.tgz", "-C", "t/app/elsewhere")}


@pytest.mark.parametrize("verb", MEND)
def test_what_a_killed_run_left_above_is_completed(warmpack, killed, releases, tmp_path, verb):
    """A tree's own commit begins in the directory that the tree was unpacked in."""
    def check(n):
        warmpack.ok(*MEND[verb])
        assert texts(tmp_path) == {"2"}, n
        assert os.listdir(tmp_path / "t") == ["app"], n

    assert killed(RENAMES, releases, ("extract", "-qf", "2.tgz", "-C", "t"), check) > 3


READ = {"create": ("create", "-f", "b.tgz", "-C", "t", "app"),
        "create of a file": ("create", "-f", "b.tgz", "t/app/a", "t/app/b"),
        "create of all": ("create", "-f", "b.tgz", "t"),
        "amend": ("amend", "-f", "1.tgz", "--source", "t", "-o", "b.tgz"),
        "merge": ("merge", "-o", "b.tgz", "t", "2.tgz"), "diff": ("diff", "t/app", "1.tgz")}


@pytest.mark.parametrize("verb", READ)
def test_nothing_is_packed_of_two_releases(warmpack, killed, releases, tmp_path, verb):
    def check(n):
        before = listing(tmp_path)
        r = warmpack.ok(*READ[verb], status=2)
        assert b"a run that changes it is at work, or was killed" in r.stderr, (n, r)
        assert b"a run that changes it" in warmpack("verify", "t/app").stderr, n
        assert listing(tmp_path) == before, n
        warmpack.ok("restore", "t/app")
        assert b"a run that" not in warmpack(*READ[verb]).stderr, n

    assert killed(RENAMES, releases, ("extract", "-qf", "2.tgz", "-C", "t"), check) > 3


def test_no_error_hides_that_there_are_two_releases(warmpack, faulty, releases, tmp_path):
    releases()
    faulty("extract", "-qf", "2.tgz", "-C", "t", calls=RENAMES, n=3, kill=1)
    for n in range(1, 40):
        r, happened = faulty(*READ["create of a file"], calls=",faccessat,realpath,", n=n)
        assert r.returncode == 2 and not (tmp_path / "b.tgz").exists(), (n, r)
        if not happened:
            break
    assert 2 < n < 39


def test_a_killed_run_on_another_tree_keeps_nobody_from_packing(warmpack, killed, releases, tmp_path):
    other = tmp_path / "t/other"

    def prepare():
        releases()
        other.mkdir()
        (other / "k.py").write_text("")

    def check(n):
        warmpack.ok("create", "-qf", "b.tgz", "-C", "t", "other")
        assert b"a run" not in warmpack.ok("verify", "t/other").stderr, n

    assert killed(RENAMES, prepare, ("extract", "-qf", "2.tgz", "-C", "t"), check) > 3


def test_a_repair_that_puts_caches_elsewhere_removes_what_one_in_the_tree_left(warmpack, source,
                                                                               tmp_path):
    warmpack.ok("create", "-qf", "a.tgz", "-C", "s", "app")
    warmpack.ok("extract", "-qf", "a.tgz", "-C", "t")
    home, = (tmp_path / "t/app/.warmpack").glob("*/")
    (home / ".warmpack.lock").touch(0o600)
    left = tmp_path / "t/app/__pycache__/.warmpack.new.0123456789abcdef"
    left.write_text("")
    warmpack.ok("restore", "-q", "t", "--layout", "cache-dir", "--cache-dir", "c")
    assert not left.exists() and not (home / ".warmpack.lock").exists()


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ENOMEM], ids=errno.errorcode.get)
def test_a_cleaning_that_fails_leaves_the_next_run_something_to_see(warmpack, faulty, source,
                                                                    tmp_path, number):
    """The lock says that there is something to be cleaned: in a tree, and in its cache root."""
    warmpack.ok("create", "-qf", "a.tgz", "-C", "s", "app")
    warmpack.ok("extract", "-qf", "a.tgz", "-C", "whole", "--cache-dir", "c")
    tree, fixed, failed = tmp_path / "t", ("verify", "--fix", "-q", "t"), 0
    cache, = (tmp_path / "c").iterdir()

    def left():
        return [name for place in (tree, cache.parent) for name in listing(place)
                if "/.warmpack." in name]

    for n in range(1, 1000):
        shutil.rmtree(tree, ignore_errors=True)
        shutil.copytree(tmp_path / "whole", tree)
        (tree / "app/__pycache__").mkdir(exist_ok=True)
        home, = (tree / "app/.warmpack").glob("*/")
        for place in home, tree / "app/__pycache__", cache:
            (place / ".warmpack.new.0123456789abcdef").write_text("")
        (home / ".warmpack.lock").touch(0o600)
        r, happened = faulty(*fixed, calls=",every,", n=n, errno=number)
        if not happened:
            break
        failed += bool(left())
        warmpack.ok(*fixed, status=1)  # where Numba looks here, there are none
        assert left() == [], (n, r)
    assert failed > 5 and n < 999
