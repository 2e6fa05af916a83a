"""An error is not an absence: what cannot be looked at is not taken for gone, empty or corrupt."""

import errno
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess

import pytest

import trees
from indexes import INDEX, make_index
from jobs import PROBE

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def packed(warmpack, tmp_path):
    """a.tgz, with a cache that lay in a cache root."""
    source = tmp_path / "s" / "app" / "pkg" / "k.py"
    source.parent.mkdir(parents=True)
    source.write_text("y = 1\n")
    make_index(source, tmp_path / "c")
    warmpack.ok("create", "-qf", "a.tgz", "--cache-dir", "c", "-C", "s", "app")


def summary(warmpack, *words):
    r = warmpack("verify", *words)
    return (r.stdout + r.stderr).decode()


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_one_function_decides_what_an_absence_is():
    compares = re.compile(r"[=!]=\s*-?E(NOENT|NOTDIR)\b|case\s+-?E(NOENT|NOTDIR)\b|\breaddir(64|_r)?\s*\(")
    found = {str(path.relative_to(ROOT)): len(compares.findall(path.read_text()))
             for path in ROOT.glob("lib/**/*.c") if compares.search(path.read_text())}
    assert found == {"lib/base/error.c": 2, "lib/base/file.c": 1}


def test_no_positive_errno_is_asked_about():
    """It would never be an absence: results are negative, and what is not may be a descriptor."""
    wrong = re.compile(r"error_is_(absence|no_entry|no_directory)\((errno|errnum|[\w.>-]+code)\)")
    assert not [path for part in ("lib", "cmd", "formats") for path in ROOT.glob(part + "/**/*.c")
                if wrong.search(path.read_text())]


def test_restore_remembers_a_cache_root_that_is_away(warmpack, packed, tmp_path):
    warmpack.ok("extract", "-qf", "a.tgz", "-C", "srv", "--cache-dir", "cache")
    (tmp_path / "srv").rename(tmp_path / "moved")
    (tmp_path / "cache").rename(tmp_path / "away")
    assert "looked for again by the next restore" in warmpack(
        "restore", "moved", "--cache-dir", "cache").stderr.decode()
    (tmp_path / "away").rename(tmp_path / "cache")
    warmpack.ok("restore", "moved", "--cache-dir", "cache")
    assert "1 of 1" in summary(warmpack, "moved", "--cache-dir", "cache")


def two_manifests(warmpack, tmp_path):
    """out/one, whose sources have lost their times, and out/two."""
    for name in "one", "two":
        source = tmp_path / name / name / "k.py"
        source.parent.mkdir(parents=True)
        source.write_text("y = 1\n")
        make_index(source)
        warmpack.ok("create", "-qf", tmp_path / "x.tgz", "-C", tmp_path / name, name)
        warmpack.ok("extract", "-qf", tmp_path / "x.tgz", "-C", tmp_path / "out")
        os.utime(tmp_path / "out" / name / "k.py", ns=(0, 10**18))


def test_restore_changes_nothing_where_one_of_two_manifests_cannot_be_read(warmpack, faulty, tmp_path):
    """It could speak for any file, and say that it is to stay as it is."""
    two_manifests(warmpack, tmp_path)
    before = trees.look(tmp_path / "out", ours=True)
    met = 0
    for n in range(1, 60):
        r, happened = faulty("restore", "--dry-run", "out", calls=",openat2,openat,read,pread,", n=n)
        if happened and b"manifest.jsonl" in r.stderr:
            met += 1
            r, _ = faulty("restore", "out", calls=",openat2,openat,read,pread,", n=n)
            assert r.returncode == 2, r
            trees.assert_same(before, trees.look(tmp_path / "out", ours=True))
            assert faulty("verify", "out", calls=",openat2,openat,read,pread,", n=n)[0].returncode
    assert met > 1


@trees.needs_root
def test_what_restore_may_not_look_into_is_told(warmpack):
    base = trees.public_directory()
    try:
        two_manifests(warmpack, base)
        trees.run("chown", "-R", str(trees.NOBODY), base / "out")
        for path, mode in (base / "out/two", 0o700), (base / "out/two/.warmpack", 0o755):
            os.chown(path, 0, 0)
            path.chmod(mode)
        said = warmpack("restore", base / "out", user=trees.NOBODY, cwd=base)
        assert said.returncode == 0 and b"two: is not looked through" in said.stderr, said
        (base / "out/two").chmod(0o755)
        hidden = next((base / "out/two").rglob("manifest.jsonl"))
        os.chown(hidden, 0, 0)
        hidden.chmod(0o600)
        os.utime(base / "out/one/k.py", ns=(0, 10**18))
        said = warmpack("restore", "-q", base / "out", user=trees.NOBODY, cwd=base)
        assert said.returncode == 2 and len(said.stderr.splitlines()) == 1, said
        assert b"Permission denied; what other manifests know was repaired" in said.stderr
    finally:
        trees.remove_tree(base)


@trees.needs_root
def test_a_working_directory_that_one_may_not_look_into_has_no_settings(warmpack, tmp_path):
    """As for Numba: root's own, from which a service's user is given a command."""
    base = trees.public_directory()
    try:
        two_manifests(warmpack, base)
        trees.run("chown", "-R", str(trees.NOBODY), base / "out")
        closed = base / "closed"
        closed.mkdir(0o700)
        for words in ("restore", base / "out"), ("verify", base / "out"):
            warmpack.ok(*words, user=trees.NOBODY, cwd=closed)
        settings = closed / ".numba_config.yaml"
        settings.write_text("opt: 0\n")
        settings.chmod(0o600)
        closed.chmod(0o755)
        trees.refused(warmpack("verify", base / "out", user=trees.NOBODY, cwd=closed),
                      ".numba_config.yaml", "Permission denied")
    finally:
        trees.remove_tree(base)


def test_restore_loses_nothing_to_a_listing_that_fails(warmpack, faulty, packed, tmp_path):
    warmpack.ok("extract", "-qf", "a.tgz", "-C", "srv", "--cache-dir", "cache")
    (tmp_path / "cache").rename(tmp_path / "cache.0")
    for n in range(1, 600):
        for name, copy in ("srv", "moved"), ("cache.0", "cache"):
            shutil.rmtree(tmp_path / copy, ignore_errors=True)
            shutil.copytree(tmp_path / name, tmp_path / copy)
        hide = tmp_path / "srv"
        hide.rename(tmp_path / "hidden")
        r, happened = faulty("restore", "-q", "moved", "--cache-dir", "cache", calls=",readdir,", n=n)
        (tmp_path / "hidden").rename(hide)
        if not happened:
            break
        if r.returncode == 2 and names(tmp_path / "cache") == names(tmp_path / "cache.0"):
            continue
        assert "1 of 1" in summary(warmpack, "moved", "--cache-dir", "cache"), (n, r)
    assert 3 < n < 599


def test_extract_drops_no_cache_for_an_error(faulty, packed, tmp_path):
    for n in range(1, 400):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        r, happened = faulty("extract", "-f", "a.tgz", "-C", "out", "--threads", "1",
                             calls=",openat2,", n=n, errno=errno.ENFILE)
        if not happened:
            break
        index = tmp_path / "out" / "app" / "pkg" / "__pycache__" / INDEX
        assert r.returncode != 0 or index.exists(), (n, r)
    assert 5 < n < 399


def test_a_directory_that_cannot_be_looked_at_has_not_been_replaced(faulty, packed, tmp_path):
    happened, n = True, 0
    while happened:
        n += 1
        r, happened = faulty("extract", "-qf", "a.tgz", "-C", "out", "--threads", "1",
                             calls=",stat,", n=n, errno=errno.EIO)
        if r.returncode == 2:
            assert b"Input/output error" in r.stderr and not (tmp_path / "out").exists(), n
        else:
            shutil.rmtree(tmp_path / "out")
    assert n > 3


def test_an_earlier_tree_that_cannot_be_read_changes_nothing(warmpack, faulty, packed, tmp_path):
    """Whichever file of it, or of the new tree, cannot be opened."""
    warmpack.ok("extract", "-qf", "a.tgz", "-C", "old")
    source, done = tmp_path / "out/app/pkg/k.py", 0
    for n in range(1, 400):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        r, happened = faulty("extract", "-f", "a.tgz", "-C", "out", "--from", "old",
                             "--threads", "1", calls=",openat2,", n=n, errno=errno.ENFILE)
        if not happened:
            break
        index = tmp_path / "out/app/pkg/__pycache__" / INDEX
        done += r.returncode == 0
        assert r.returncode != 0 or (index.exists() and source.read_text() == "y = 1\n"), (n, r)
    assert 5 < n < 399 and done > 0


def test_create_refuses_a_cache_root_that_it_cannot_search(warmpack, faulty, packed):
    for n in range(1, 200):
        r, happened = faulty("create", "-qf", "b.tgz", "--cache-dir", "c", "-C", "s", "app",
                             calls=",openat2,", n=n, errno=errno.EACCES)
        if not happened:
            break
        if r.returncode == 0:
            assert "1 of 1" in summary(warmpack, "-f", "b.tgz"), (n, r)
    assert 1 < n < 199


def test_fix_keeps_an_index_that_it_could_not_read(faulty, tmp_path):
    source = tmp_path / "s" / "app" / "k.py"
    source.parent.mkdir(parents=True)
    source.write_text("x = 1\n")
    make_index(source)
    for n in range(1, 300):
        shutil.rmtree(tmp_path / "t", ignore_errors=True)
        shutil.copytree(tmp_path / "s", tmp_path / "t")
        r, happened = faulty("verify", "--fix", "t", calls=",read,", n=n)
        if not happened:
            break
        assert (tmp_path / "t" / "app" / "__pycache__" / INDEX).exists(), (n, r)
    assert 2 < n < 299


def test_fix_keeps_an_index_whose_source_could_not_be_read(warmpack, faulty, packed, tmp_path):
    """An index is outdated where its source is another, not where that is not known."""
    pristine = tmp_path / "pristine"
    warmpack.ok("extract", "-qf", "a.tgz", "-C", pristine)
    raw = tmp_path / "raw"

    def fix(n):
        shutil.rmtree(raw, ignore_errors=True)
        shutil.copytree(pristine, raw, symlinks=True)
        for path in raw.rglob("*.py"):
            os.utime(path)  # so that its content must tell
        return faulty("verify", "--fix", "raw", "--threads", "1", calls=",open,", n=n,
                      errno=errno.EIO)

    n, told = 1, 0
    while True:
        r, happened = fix(n)
        if not happened:
            break
        assert list(raw.rglob("*.nbi")), (n, r)
        told += b".py: cannot be read" in r.stderr
        n += 1
    assert told


@pytest.mark.parametrize("kind", ["directory", "fifo", "socket", "loop", "nothing"])
def test_what_is_no_file_any_more_is_a_change_and_no_error(warmpack, tmp_path, kind):
    app = tmp_path / "s" / "app"
    app.mkdir(parents=True)
    (app / "low.py").write_text("x = 1\n")
    (app / "k.py").write_text("from app import low\n")
    make_index(app / "k.py")
    warmpack.ok("create", "-qf", "a.tgz", "-C", "s", "app")
    warmpack.ok("extract", "-qf", "a.tgz", "-C", "out")
    low = tmp_path / "out" / "app" / "low.py"
    low.unlink()
    if kind == "directory":
        low.mkdir()
    elif kind == "fifo":
        os.mkfifo(low)
    elif kind == "socket":
        os.mknod(low, stat.S_IFSOCK | 0o600)
    elif kind == "loop":
        low.symlink_to("low.py")
    r = warmpack("verify", "out")
    assert r.returncode == 1, r
    assert b"app/low.py changed after it was compiled" in r.stdout


def test_inspect_calls_no_index_corrupt_that_it_could_not_read(faulty, tmp_path):
    source = tmp_path / "app" / "k.py"
    source.parent.mkdir(parents=True)
    source.write_text("x = 1\n")
    make_index(source)
    unreadable = 0
    for n in range(1, 100):
        r, happened = faulty("inspect", "app", calls=",read,", n=n)
        if not happened:
            break
        assert b"corrupt" not in r.stdout + r.stderr, (n, r)
        unreadable += b"unreadable" in r.stdout
    assert unreadable and n < 99


@pytest.mark.parametrize("call, kind", [("read", "an index or a data file"), ("openat2", "a source")])
def test_undoing_forgets_no_original_for_an_error(warmpack, faulty, tmp_path, call, kind):
    """What retargeting has kept of an index is there for the next undoing."""
    source = tmp_path / "s" / "app" / "k.py"
    source.parent.mkdir(parents=True)
    source.write_text("x = 1\n")
    was = make_index(source).read_bytes()
    (tmp_path / "probe.json").write_text(json.dumps(PROBE))
    warmpack.ok("create", "-qf", "a.tgz", "-C", "s", "app")
    warmpack.ok("extract", "-qf", "a.tgz", "-C", "aimed")
    warmpack.ok("retarget", "-q", "aimed", "--for", "probe.json")
    index = tmp_path / "out" / "app" / "__pycache__" / INDEX
    for n in range(1, 200):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        shutil.copytree(tmp_path / "aimed", tmp_path / "out")
        assert index.read_bytes() != was
        _, happened = faulty("retarget", "-q", "--undo", "out", calls=f",{call},", n=n,
                             errno=errno.EACCES)
        if not happened:
            break
        warmpack.ok("retarget", "-q", "--undo", "out")
        assert index.read_bytes() == was, (n, kind)
    assert 2 < n < 199


def test_restore_says_1_where_an_index_is_lost_to_a_link(warmpack, tmp_path):
    source = tmp_path / "s" / "app" / "k.py"
    source.parent.mkdir(parents=True)
    source.write_text("x = 1\n")
    make_index(source)
    warmpack.ok("create", "-qf", "a.tgz", "-C", "s", "app")
    warmpack.ok("extract", "-qf", "a.tgz", "-C", "out")
    here = tmp_path / "out" / "app" / "k.py"
    here.rename(tmp_path / "k.py")
    (tmp_path / "k.py").write_text("x = 2\n")
    here.symlink_to(tmp_path / "k.py")
    assert warmpack("restore", "out").returncode == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="acts as two users")
@pytest.mark.parametrize("verb", ["restore", "verify", "seal"])
def test_a_place_of_manifests_that_cannot_be_read_is_not_one_without(warmpack, verb):
    place = trees.public_directory()
    try:
        (place / "t/.warmpack/0123456789abcdef").mkdir(parents=True)
        (place / "t/k.py").write_text("x = 1\n")
        make_index(place / "t/k.py")
        for path in place / "t", *(place / "t").rglob("*"):
            os.chown(path, trees.NOBODY, trees.NOBODY)
        before = names(place)
        (place / "t/.warmpack").chmod(0)
        r = subprocess.run(["setpriv", f"--reuid={trees.NOBODY}", f"--regid={trees.NOBODY}",
                            "--clear-groups", trees.BINARY, verb, "t"], cwd=place,
                           capture_output=True, check=False)
        # Verify judges caches by the files alone where there is no manifest to be had.
        assert r.returncode == (0 if verb == "verify" else 2), r
        assert b".warmpack" in r.stderr and b"Permission denied" in r.stderr, r
        assert b"memory" not in r.stderr
        (place / "t/.warmpack").chmod(0o755)
        assert names(place) == before
    finally:
        trees.remove_tree(place)


def test_an_image_whose_names_cannot_be_listed_is_not_said_to_be_on_the_disk(warmpack, faulty,
                                                                              packed, tmp_path):
    """The last directories that --sync lists are those of the image."""
    words = "create", "--sync", "-qf", "x.oci", "-C", "s", "app", "--threads", "1"
    faulty(*words, calls=",readdir,", n=0)
    last = int((tmp_path / "happened").read_text())
    for n in last, last - 1:
        shutil.rmtree(tmp_path / "x.oci", ignore_errors=True)
        r, happened = faulty(*words, calls=",readdir,", n=n, errno=errno.EIO)
        assert happened and r.returncode == 2
        assert b"x.oci: cannot be written to the disk: Input/output error" in r.stderr
        assert not (tmp_path / "x.oci").exists()


def test_a_directory_that_cannot_be_looked_into_is_not_taken_for_an_empty_one(warmpack, faulty,
                                                                              packed, tmp_path):
    words = "create", "-qf", "x.oci", "-C", "s", "app", "--threads", "1"
    trees.write(tmp_path / "x.oci/mine", "x")
    for calls in ",opendir,", ",readdir,":
        said, happened, n = b"", True, 1
        while happened:
            r, happened = faulty(*words, calls=calls, n=n, errno=errno.EIO)
            assert r.returncode == 2 and names(tmp_path / "x.oci") == ["mine"]
            said, n = said + r.stderr, n + 1
        assert b"x.oci: cannot look into the directory: Input/output error" in said
