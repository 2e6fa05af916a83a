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

    def prepare(place="t"):
        shutil.rmtree(tmp_path / place, ignore_errors=True)
        (tmp_path / "b.tgz").unlink(missing_ok=True)
        warmpack.ok("extract", "-qf", "1.tgz", "-C", place)
    return prepare


def texts(tmp_path, place="t"):
    return {(tmp_path / place / "app" / name).read_text() for name in "abc"}


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


BELOW = {"restore": ("restore", "up"), "verify --fix": ("verify", "--fix", "up"),
         "seal": ("seal", "up"), "retarget": ("retarget", "up", "--for", "/usr/bin/python3")}


@pytest.mark.parametrize("verb", BELOW)
def test_what_a_killed_run_left_below_is_completed(warmpack, killed, releases, tmp_path, verb):
    def check(n):
        assert b"a run that changes it" in warmpack("verify", "up").stderr, n
        warmpack.ok(*BELOW[verb])
        assert texts(tmp_path, "up/t") == {"2"}, n
        assert os.listdir(tmp_path / "up/t") == ["app"], n

    assert killed(RENAMES, lambda: releases("up/t"), ("extract", "-qf", "2.tgz", "-C", "up/t"),
                  check) > 3


@pytest.mark.parametrize("words", [("create", "-f", "b.tgz", "up"),
                                   ("create", "-f", "b.tgz", "-C", "up", "."),
                                   ("merge", "-o", "b.tgz", "up", "2.tgz"), ("diff", "up", "1.tgz")],
                         ids=" ".join)
def test_nothing_is_packed_of_two_releases_below(warmpack, killed, releases, tmp_path, words):
    def check(n):
        before = listing(tmp_path)
        assert b"up/t: a run that changes it" in warmpack.ok(*words, status=2).stderr, n
        assert listing(tmp_path) == before, n

    assert killed(RENAMES, lambda: releases("up/t"), ("extract", "-qf", "2.tgz", "-C", "up/t"),
                  check) > 3


def test_a_tree_that_was_moved_half_done_is_not_packed(warmpack, killed, releases, tmp_path):
    def prepare():
        shutil.rmtree(tmp_path / "moved", ignore_errors=True)
        releases()

    def check(n):
        (tmp_path / "t").rename(tmp_path / "moved")
        r = warmpack.ok("create", "-f", "b.tgz", "-C", "moved", "app", status=2)
        assert b"a run that changes it" in r.stderr, n
        assert b"a run that changes it" in warmpack("verify", "moved/app").stderr, n
        warmpack.ok("restore", "moved")
        assert texts(tmp_path, "moved") == {"2"}, n

    assert killed(RENAMES, prepare, ("extract", "-qf", "2.tgz", "-C", "t"), check) > 3


def test_if_needed_looks_above_before_it_says_anything(warmpack, killed, releases, source, tmp_path):
    (source.parent / "part").mkdir()
    for name in "abc":
        (source.parent / "part" / name).write_text("1")
    warmpack.ok("create", "-qf", "part.tgz", "-C", "s/app/part", ".")
    for name in "abc":
        (source.parent / "part" / name).write_text("2")
    warmpack.ok("create", "-qf", "2.tgz", "-C", "s", "app")
    part = ("extract", "--if-needed", "-qf", "part.tgz", "-C", "t/app/part")

    def prepare():
        releases()
        warmpack.ok(*part)

    def check(n):
        warmpack.ok(*part)
        assert os.listdir(tmp_path / "t") == ["app"], n
        assert len({(tmp_path / "t/app/part" / name).read_text() for name in "abc"}) == 1, n

    assert killed(RENAMES, prepare, ("extract", "-qf", "2.tgz", "-C", "t"), check) > 3


@pytest.mark.parametrize("option", [(), ("-k",)], ids=str)
def test_no_killed_repair_is_completed_over_what_came_later(warmpack, killed, source, tmp_path, option):
    """It began in the tree itself, and the next release is unpacked in the directory above."""
    for release in "12":
        shutil.rmtree(tmp_path / "c", ignore_errors=True)
        shutil.rmtree(source.parent / "__pycache__", ignore_errors=True)
        source.write_text(f"x = {release}\n")
        make_index(source, tmp_path / "c")
        warmpack.ok("create", "-qf", f"{release}.tgz", "--cache-dir", "c", "-C", "s", "app")
    tree = tmp_path / "t"

    def prepare():
        shutil.rmtree(tree, ignore_errors=True)
        tree.mkdir()
        subprocess.run(["tar", "xzf", "1.tgz", "-C", "t"], check=True, cwd=tmp_path)

    def check(n):
        r = warmpack("extract", "-qf", "2.tgz", "-C", "t", *option)
        assert r.returncode == (2 if option else 0), (n, r)
        assert not [name for name in listing(tree) if ".warmpack-" in name], n
        held = (tree / "app/__pycache__" / INDEX).read_bytes()
        warmpack.ok("restore", "-q", "t/app")
        assert (tree / "app/__pycache__" / INDEX).read_bytes() == held, n
        assert b"1 of 1 cache indexes valid" in warmpack.ok("verify", "t").stderr, n

    assert killed(RENAMES, prepare, ("restore", "-q", "t/app"), check) > 1


@pytest.mark.parametrize("option", [(), ("--if-needed",), ("--caches-only",)], ids=str)
def test_a_killed_repair_with_a_cache_root_is_completed_from_above(warmpack, killed, source, tmp_path,
                                                                   option):
    """Who unpacks without that root confines itself to the tree."""
    warmpack.ok("create", "-qf", "a.tgz", "-C", "s", "app")
    words = ("extract", "--if-needed", "-qf", "a.tgz", "-C", "t")

    def prepare():
        for name in "tc":
            shutil.rmtree(tmp_path / name, ignore_errors=True)
        warmpack.ok(*words)

    def check(n):
        warmpack.ok("extract", *option, "-qf", "a.tgz", "-C", "t")
        assert not [name for name in listing(tmp_path / "t") if ".warmpack-" in name], n
        assert b"1 of 1 cache indexes valid" in warmpack.ok("verify", "t").stderr, n

    assert killed(RENAMES, prepare, ("restore", "-q", "t/app", "--cache-dir", "c"), check) > 3


def test_if_needed_clears_nothing_up_behind_a_link(warmpack, source, tmp_path):
    warmpack.ok("create", "-qf", "a.tgz", "-C", "s", "app")
    left = tmp_path / "other/.warmpack-ABCDEF"
    left.mkdir(0o700, parents=True)
    (left / "lock").touch(0o600)
    (tmp_path / "t").mkdir()
    (tmp_path / "t/app").symlink_to("../other")
    warmpack.ok("extract", "--if-needed", "-qf", "a.tgz", "-C", "t")
    assert left.exists() and (tmp_path / "t/app/k.py").exists()
    assert os.listdir(tmp_path / "other") == [left.name]


def test_what_a_later_run_takes_back_has_not_the_time_of_what_was_seen(warmpack, faulty, releases,
                                                                     tmp_path):
    """Python looks into a directory again only where its time is another one."""
    app, seen = tmp_path / "t/app", 0
    for n in range(2, 20):
        releases()
        r, happened = faulty("extract", "-qf", "2.tgz", "-C", "t", calls=RENAMES, n=n, lasts=1,
                             errno=errno.EIO)
        if not happened:
            break
        half = texts(tmp_path), app.stat().st_mtime_ns
        warmpack.ok("verify", "--fix", "t/app")
        assert texts(tmp_path) == {"1"}, (n, r)
        if len(half[0]) > 1:
            seen += 1
            assert app.stat().st_mtime_ns != half[1], n
    assert seen and n < 19


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


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE], ids=errno.errorcode.get)
def test_a_cache_root_that_an_error_keeps_from_being_cleaned_is_cleaned_later(warmpack, faulty,
                                                                              source, tmp_path, number):
    warmpack.ok("create", "-qf", "a.tgz", "-C", "s", "app")
    words = ("extract", "--if-needed", "-qf", "a.tgz", "-C", "t", "--cache-dir", "c")
    failed = 0
    for n in range(1, 200):
        for name in "t", "c":
            shutil.rmtree(tmp_path / name, ignore_errors=True)
        warmpack.ok(*words)
        home, = (tmp_path / "t/app/.warmpack").glob("*[0-9a-f]/")
        (home / ".warmpack.lock").touch(0o600)
        left = next((tmp_path / "c").rglob(INDEX)).parent / ".warmpack.new.0123456789abcdef"
        left.write_text("")
        r, happened = faulty(*words, calls=",open,opendir,", n=n, errno=number)
        if not happened:
            break
        failed += left.exists()
        warmpack.ok(*words)
        assert not left.exists(), (n, r)
    assert failed > 2 and n < 199


PLANTED = [".warmpack-FIFO01", ".warmpack-link01", ".warmpack-away01", ".warmpack-file01",
           ".warmpack-full01", ".warmpack-junk01"]


def plant(folder, victim):
    """What is only called like staging, and a directory that looks like it but for its journal."""
    fifo, dangling, away, file, full, junk = (folder / name for name in PLANTED)
    os.mkfifo(fifo)
    dangling.symlink_to("nowhere")
    away.symlink_to(victim)
    file.write_text("")
    for directory in full, junk, victim:
        directory.mkdir(0o700, exist_ok=True)
        (directory / "journal").write_text("area .warmpack-junk01 /\nput 0 1 1 etc\nend 1 0\n")
    (junk / "lock").touch(0o600)
    os.mkfifo(junk / "journal.undo")
    (junk / "new").symlink_to(victim)
    (junk / "old").symlink_to(victim)
    return [folder / name for name in PLANTED], junk


@pytest.mark.parametrize("owner", [None, pytest.param(65534, marks=trees.needs_root)])
@pytest.mark.parametrize("place", ["up", "up/t", "up/t/app"])
def test_what_is_called_like_staging_harms_nobody(warmpack, source, tmp_path, place, owner):
    """Above, in and below the directory that is named; of ours, only what a run can have left goes."""
    warmpack.ok("create", "-qf", "a.tgz", "-C", "s", "app")
    warmpack.ok("extract", "-qf", "a.tgz", "-C", "up/t")
    planted, junk = plant(tmp_path / place, tmp_path / "victim")
    for path in planted if owner else ():
        os.chown(path, owner, -1, follow_symlinks=False)
    for words in [("verify", "up/t"), ("create", "-qf", "b.tgz", "-C", "up/t", "app"),
                  ("diff", "up/t", "a.tgz"), ("restore", "up/t"), ("verify", "--fix", "up/t"),
                  ("extract", "-qf", "a.tgz", "-C", "up/t"),
                  ("extract", "--if-needed", "-qf", "a.tgz", "-C", "up/t"), ("seal", "up/t")]:
        r = warmpack(*words, timeout=30)
        assert r.returncode == 0 and b"a run that" not in r.stderr, r
    assert os.listdir(tmp_path / "victim") == ["journal"]
    assert [path for path in planted if not os.path.lexists(path)] == ([] if owner else [junk])
    warmpack.ok("extract", "-qf", "b.tgz", "-C", "out")


@pytest.mark.parametrize("name", [".warmpack-ABCDEF", ".warmpack-mine", ".warmpack.new.1"])
def test_nothing_is_packed_that_nobody_would_unpack(warmpack, source, tmp_path, name):
    (source.parent / name).write_text("")
    (source.parent / "d" / name).mkdir(parents=True)
    (source.parent / "d" / name / "f").write_text("")
    r = warmpack.ok("create", "-qf", "a.tgz", "-C", "s", "app")
    assert r.stderr.count(b": not packed\n") == (1 if name == PLANTED[0] else r.stderr.count(b"\n"))
    warmpack.ok("extract", "-qf", "a.tgz", "-C", "out")
    assert not [path for path in listing(tmp_path / "out") if name in path]


@trees.needs_root
def test_no_caches_of_two_releases_are_packed_from_a_cache_root(warmpack, killed, mount, source,
                                                                 tmp_path):
    """The tree can only be read: a commit begins in the cache root, and ends there."""
    for release in "12":
        source.write_text(f"x = {release}\n")
        make_index(source, cpu="generic" + release)
        warmpack.ok("create", "-qf", f"{release}.tgz", "-C", "s", "app")
    tree, caches = mount(tmp_path / "t", "-t", "tmpfs", "tmpfs"), tmp_path / "c"

    def prepare():
        shutil.rmtree(caches, ignore_errors=True)
        for release in "12":
            subprocess.run(["mount", "-o", "remount,rw", tree], check=True)
            subprocess.run(["tar", "xzf", f"{release}.tgz", "-C", tree], check=True, cwd=tmp_path)
            subprocess.run(["mount", "-o", "remount,ro", tree], check=True)
            if release == "1":
                warmpack.ok("restore", "-q", "--cache-dir", "c", "t")

    def check(n):
        r = warmpack.ok("create", "-qf", "b.tgz", "-C", "t", "--cache-dir", "c", "app", status=2)
        assert b"a run that changes it" in r.stderr, n
        warmpack.ok("restore", "-q", "--cache-dir", "c", "t")
        warmpack.ok("create", "-qf", "b.tgz", "-C", "t", "--cache-dir", "c", "app")

    assert killed(RENAMES, prepare, ("restore", "-q", "--cache-dir", "c", "t"), check) > 1


@pytest.fixture
def nested(warmpack, source, tmp_path):
    """Releases of a tree, and of a part of it deep inside that is unpacked by itself."""
    part = tmp_path / "s/app/lib/part"
    part.mkdir(parents=True)
    for release in "123":
        for name in "abc":
            (part / name).write_text(release)
        warmpack.ok("create", "-qf", f"part{release}.tgz", "-C", "s/app/lib", "part")
        warmpack.ok("create", "-qf", f"all{release}.tgz", "-C", "s", "app")

    def prepare():
        shutil.rmtree(tmp_path / "t", ignore_errors=True)
        warmpack.ok("extract", "-qf", "all1.tgz", "-C", "t")

    def now():
        return {(tmp_path / "t/app/lib/part" / name).read_text() for name in "abc"}
    return prepare, now


PART = ("extract", "-qf", "part2.tgz", "-C", "t/app/lib")


@pytest.mark.parametrize("option", [(), ("-k",), ("--if-needed",), ("--replace",),
                                    ("--strip-components", "0")], ids=str)
def test_no_killed_run_is_completed_over_what_came_later_however_deep(warmpack, killed, nested,
                                                                      tmp_path, option):
    prepare, now = nested

    def check(n):
        warmpack("extract", "-qf", "all3.tgz", "-C", "t", *option)
        expected = {"2"} if option == ("-k",) else {"3"}
        assert now() == expected, n
        warmpack.ok("restore", "-q", "t")
        assert now() == expected, n
        assert not [name for name in listing(tmp_path / "t") if ".warmpack-" in name], n

    assert killed(RENAMES, prepare, PART, check) > 3


@pytest.mark.parametrize("words, expected", [(("restore", "t"), "2"), (("seal", "t"), "2"),
                                             (("verify", "--fix", "t"), "2"),
                                             (("restore", "t/app/lib/part"), "2"),
                                             (("extract", "-f", "all3.tgz", "-C", "t"), "3")], ids=str)
def test_what_another_run_is_putting_in_place_comes_first(warmpack, faulty, nested, tmp_path, words,
                                                          expected):
    """Below the directory that is named, or above it: two releases would be mixed."""
    prepare, now = nested
    prepare()
    r, _ = faulty(*PART, calls=RENAMES, n=3, kill=1)
    lock, = (tmp_path / "t/app/lib").glob(".warmpack-*/lock")
    half = now()
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # as one that lives
        waiting = warmpack.start(*words)
        said = next((line for line in waiting.stderr if b"waiting for another process" in line), None)
        assert said and now() == half and len(half) == 2
    waiting.communicate(timeout=trees.PATIENCE)
    assert waiting.returncode == 0 and now() == {expected}


@pytest.mark.parametrize("words", [("restore", "--dry-run"), ("verify", "--fix", "--dry-run"),
                                   ("retarget", "--dry-run", "--for", "/usr/bin/python3")],
                         ids=" ".join)
@pytest.mark.parametrize("place", ["up", "up/t/app"])
def test_who_changes_nothing_warns_of_what_a_killed_run_left(warmpack, killed, releases, tmp_path,
                                                             place, words):
    """What is told then is true of neither release."""
    def check(n):
        before = listing(tmp_path)
        r = warmpack(*words, place)
        assert r.stderr.count(b"a run that changes it is at work, or was killed") == 1, (n, r)
        assert listing(tmp_path) == before, n

    assert killed(RENAMES, lambda: releases("up/t"), ("extract", "-qf", "2.tgz", "-C", "up/t"),
                  check) > 3


@trees.needs_root
@pytest.mark.parametrize("words", [("create", "-f", "b.tgz", "-C", "t", "app"), ("seal", "t"),
                                   ("diff", "t/app", "1.tgz")], ids=" ".join)
def test_root_packs_no_tree_of_two_releases_of_its_owners(warmpack, killed, releases, tmp_path, words):
    """Whose staging it takes for nothing of its own, and neither completes nor removes."""
    def check(n):
        staging, = (tmp_path / "t").glob(".warmpack-*")
        for path in (tmp_path / "t", staging, *staging.rglob("*")):
            os.chown(path, trees.NOBODY, -1, follow_symlinks=False)
        before = listing(tmp_path)
        r = warmpack.ok(*words, status=2)
        assert b"a run that changes it is at work, or was killed" in r.stderr, n
        assert b"a run that changes it" in warmpack("verify", "t").stderr, n
        assert listing(tmp_path) == before, n
        os.chown(tmp_path / "t", 0, -1)  # somebody else's, in a directory that is not his
        assert b"a run that" not in warmpack(*words).stderr, n

    assert killed(RENAMES, releases, ("extract", "-qf", "2.tgz", "-C", "t"), check) > 3


@trees.needs_root
@pytest.mark.parametrize("calls, is_half_done", [(RENAMES, True), (",rename,", False)], ids=str)
def test_a_tree_on_a_read_only_filesystem_is_looked_at_all_the_same(warmpack, faulty, mount, releases,
                                                                    tmp_path, calls, is_half_done):
    place = mount(tmp_path / "m", "-t", "tmpfs", "none")
    releases("m/t")
    faulty("extract", "-qf", "2.tgz", "-C", "m/t", calls=calls, n=1, kill=1)
    assert [name for name in os.listdir(place / "t") if name.startswith(".warmpack-")]
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    for words in ("create", "-f", "b.tgz", "-C", "m/t", "app"), ("verify", "m/t"):
        r = warmpack(*words)
        if words[0] == "create":
            assert r.returncode == (2 if is_half_done else 0), r
        assert (b"a run that changes it" in r.stderr) == is_half_done, r
        assert b"Read-only" not in r.stderr, r
