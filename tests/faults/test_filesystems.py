"""Filesystems that hold less than the archive does, and trees of several filesystems."""

import os
import pickle
import shutil
import subprocess

import pytest
from trees import assert_same, index, leftovers, look, refused, run, set_time, write

FRACTION = 1_595_339_396_456_441_290


def fill(root):
    write(root / "app/k.py", "new\n", ns=FRACTION)
    write(root / "app/lib/m.py", "new m\n", ns=FRACTION)
    write(root / "app/lib/deep/n.py", "new n\n", ns=FRACTION)
    (root / "app/lib/link").symlink_to("m.py")
    set_time(root / "app/lib/link", FRACTION)
    for path in ("app/lib/deep", "app/lib", "app"):
        set_time(root / path, FRACTION)


def second_filesystem(tmp_path, mount):
    """An ext4 whose inodes have no room for fractions of seconds."""
    image = tmp_path / "image"
    with open(image, "wb") as file:
        file.truncate(16 << 20)
    run("mkfs.ext4", "-q", "-I", "128", image)
    disk = mount(tmp_path / "disk", "-o", "loop", image)
    probe = write(disk / "probe", "", ns=FRACTION)
    assert probe.stat().st_mtime_ns % 10**9 == 0
    return disk


def stamp_is_true(nbi, source):
    with open(nbi, "rb") as file:
        pickle.load(file)
        stamp, _ = pickle.load(file)
    st = source.stat()
    return tuple(stamp) == (st.st_mtime, st.st_size)


def test_whole_seconds_lose_an_index_aloud_or_not_at_all(warmpack, tmp_path, mount):
    disk = second_filesystem(tmp_path, mount)
    fill(tmp_path / "src")
    index(tmp_path / "src/app/k.py")
    warmpack.ok("-czqf", "a.tgz", "-C", tmp_path / "src", "app")
    result = warmpack("extract", "-f", "a.tgz", "-C", disk / "out")
    nbi = disk / "out/app/__pycache__/k.add-3.py311.nbi"
    if stamp_is_true(nbi, disk / "out/app/k.py"):
        assert result.returncode == 0
        assert b"1 of 1 cache indexes valid" in result.stderr
    else:
        assert result.returncode == 1
        assert b"k.add-3.py311.nbi" in result.stderr and b"stale" in result.stderr
    assert (disk / "out/app/k.py").stat().st_mtime_ns == FRACTION // 10**9 * 10**9
    assert not leftovers(disk)


@pytest.mark.parametrize("words", [("restore",),
                                   ("extract", "--caches-only", "-f", "a.tgz", "-C")])
def test_whole_seconds_are_what_repaired_caches_are_fitted_to(warmpack, tmp_path, mount, words):
    disk = second_filesystem(tmp_path, mount)
    fill(tmp_path / "src")
    index(tmp_path / "src/app/k.py")
    warmpack.ok("-czqf", "a.tgz", "-C", tmp_path / "src", "app")
    (disk / "out").mkdir()
    without = ["--exclude=.warmpack", "--exclude=__pycache__"] if "extract" in words else []
    run("tar", "xzmf", tmp_path / "a.tgz", "-C", disk / "out", *without)
    result = warmpack.ok(*words, disk / "out")
    assert b"1 of 1 cache indexes valid" in result.stderr
    assert stamp_is_true(disk / "out/app/__pycache__/k.add-3.py311.nbi", disk / "out/app/k.py")
    assert (disk / "out/app/k.py").stat().st_mtime_ns == FRACTION // 10**9 * 10**9


def test_whole_seconds_keep_what_is_of_whole_seconds(warmpack, tmp_path, mount):
    disk = second_filesystem(tmp_path, mount)
    index(write(disk / "src/app/k.py", "x = 1\n"))
    warmpack.ok("-czqf", "a.tgz", "-C", disk / "src", "app")
    result = warmpack.ok("extract", "-f", "a.tgz", "-C", disk / "out")
    assert b"1 of 1 cache indexes valid" in result.stderr
    result = warmpack.ok("extract", "-f", "a.tgz", "-C", "out")
    assert b"1 of 1 cache indexes valid" in result.stderr


def test_times_that_a_filesystem_cannot_hold_do_not_fail_the_run(warmpack, tmp_path, mount):
    """2446 and later: what is set is what the filesystem makes of it."""
    disk = second_filesystem(tmp_path, mount)
    write(tmp_path / "app/late", "x", ns=2**33 * 10**9)
    warmpack.ok("-czqf", "a.tgz", "app")
    warmpack.ok("extract", "-f", "a.tgz", "-C", disk / "out")
    assert (disk / "out/app/late").read_text() == "x"


def test_a_read_only_target_is_refused_unchanged(warmpack, tmp_path, mount):
    fill(tmp_path / "src")
    warmpack.ok("-czqf", "a.tgz", "-C", "src", "app")
    disk = mount(tmp_path / "disk", "-t", "tmpfs", "read-only")
    write(disk / "out/app/k.py", "old")
    run("mount", "-o", "remount,ro", disk)
    before = look(disk, ours=True)
    for where in ("out", "fresh"):
        refused(warmpack("extract", "-f", "a.tgz", "-C", disk / where), "Read-only file system")
    assert_same(before, look(disk, ours=True))


def test_a_read_only_place_for_the_archive_is_refused(warmpack, tmp_path, mount):
    fill(tmp_path)
    disk = mount(tmp_path / "disk", "-t", "tmpfs", "-o", "ro", "read-only")
    refused(warmpack("-czf", disk / "a.tgz", "app"), "a.tgz", "Read-only file system")


def test_a_target_that_is_a_mount_point_is_unpacked_into(warmpack, tmp_path, mount):
    fill(tmp_path / "src")
    warmpack.ok("-czqf", "a.tgz", "-C", "src", "app")
    disk = mount(tmp_path / "disk", "-t", "tmpfs", "target")
    warmpack.ok("extract", "-f", "a.tgz", "-C", disk)
    assert_same(look(tmp_path / "src"), look(disk))


def changed_or_refused(warmpack, tmp_path, packed, out, *options):
    """All of it is unpacked, or nothing is touched and one line says why."""
    before = look(out, ours=True)
    result = warmpack("extract", "-f", "a.tgz", "-C", out, *options)
    assert not leftovers(out)
    after = look(out, ours=True)
    if result.returncode == 2:
        refused(result)
        assert_same(before, after)
    else:
        assert result.returncode == 0, result
        after = {p: e for p, e in after.items() if p in packed}
        packed = {p: {**e, "mtime": 0} if e["type"] == 0o040000 else e for p, e in packed.items()}
        after = {p: {**e, "mtime": 0} if e["type"] == 0o040000 else e for p, e in after.items()}
        assert_same(packed, after)
    return result.returncode


@pytest.mark.parametrize("where", ["app", "app/lib", "app/lib/deep"])
@pytest.mark.parametrize("options", [[], ["--replace"]])
def test_another_filesystem_below_the_target_is_all_or_nothing(warmpack, tmp_path, mount, where,
                                                               options):
    fill(tmp_path / "src")
    warmpack.ok("-czqf", "a.tgz", "-C", "src", "app")
    out = tmp_path / "out"
    write(out / "app/k.py", "old")
    mount(out / where, "-t", "tmpfs", "below")
    write(out / where / "old", "old")
    changed_or_refused(warmpack, tmp_path, look(tmp_path / "src"), out, *options)


def test_a_mount_point_that_is_a_file_is_all_or_nothing(warmpack, tmp_path, mount):
    """As in a container, where single files are mounted from outside."""
    fill(tmp_path / "src")
    warmpack.ok("-czqf", "a.tgz", "-C", "src", "app")
    out = tmp_path / "out"
    write(out / "app/lib/m.py", "old m")
    write(tmp_path / "outside", "outside")
    done = subprocess.run(["mount", "--bind", tmp_path / "outside", out / "app/lib/m.py"],
                          capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("cannot mount here")
    try:
        changed_or_refused(warmpack, tmp_path, look(tmp_path / "src"), out)
        assert (tmp_path / "outside").read_text() == "outside"
    finally:
        run("umount", out / "app/lib/m.py")


@pytest.mark.parametrize("options", [[], ["--replace"]])
def test_a_tree_in_the_lower_layer_of_an_overlay_is_all_or_nothing(warmpack, tmp_path, mount,
                                                                   options):
    """Directories of a container's image cannot be renamed."""
    fill(tmp_path / "src")
    warmpack.ok("-czqf", "a.tgz", "-C", "src", "app")
    base = mount(tmp_path / "base", "-t", "tmpfs", "layers")
    for name in ("k.py", "lib/m.py", "lib/old/o.py"):
        write(base / "lower/app" / name, "old")
    for name in ("upper", "work"):
        (base / name).mkdir()
    out = mount(tmp_path / "out", "-t", "overlay", "-o",
                f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work", "overlay")
    if changed_or_refused(warmpack, tmp_path, look(tmp_path / "src"), out, *options) == 2:
        done = warmpack("extract", "-f", "a.tgz", "-C", out, *options)
        refused(done, "Invalid cross-device link; a directory in a lower layer of an overlay")


def test_a_moved_tree_in_the_lower_layer_of_an_overlay_is_restored(warmpack, tmp_path, mount):
    """As where an image's layer was copied, and the next one repairs it."""
    fill(tmp_path / "src")
    index(tmp_path / "src/app/k.py")
    warmpack.ok("-czqf", "a.tgz", "-C", "src", "app")
    base = mount(tmp_path / "base", "-t", "tmpfs", "layers")
    for name in ("upper", "work"):
        (base / name).mkdir()
    warmpack.ok("extract", "-qf", "a.tgz", "-C", base / "lower", "--cache-dir",
                base / "lower/cache", "--layout", "cache-dir")
    out = mount(tmp_path / "out", "-t", "overlay", "-o",
                f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work", "overlay")
    result = warmpack.ok("restore", out / "app", "--cache-dir", out / "cache")
    assert b"1 cache directory renamed; 1 of 1 cache indexes valid" in result.stderr
    assert not leftovers(out)


def test_a_cache_root_on_another_filesystem_is_filled(warmpack, tmp_path, mount):
    fill(tmp_path / "src")
    index(tmp_path / "src/app/k.py")
    warmpack.ok("-czqf", "a.tgz", "-C", "src", "app")
    disk = mount(tmp_path / "disk", "-t", "tmpfs", "caches")
    result = warmpack.ok("extract", "-f", "a.tgz", "-C", "out", "--cache-dir", disk / "root",
                         "--layout", "cache-dir")
    assert b"1 of 1 cache indexes valid" in result.stderr
    assert len(os.listdir(disk / "root")) == 1
    assert not leftovers(disk, tmp_path / "out")


def test_no_staging_stays_where_unlinked_files_keep_a_name_while_they_are_open(warmpack, tmp_path):
    """FUSE and NFS rename them in their directory, which then is not empty."""
    if not shutil.which("bindfs"):
        pytest.skip("bindfs is not installed")
    write(tmp_path / "app" / "k.py", "x = 1\n")
    warmpack.ok("create", "-qf", "a.tar", "app")
    (tmp_path / "real").mkdir()
    (tmp_path / "mnt").mkdir()
    if subprocess.run(["bindfs", "real", "mnt"], cwd=tmp_path, check=False).returncode != 0:
        pytest.skip("cannot mount by FUSE here")
    try:
        for words in ("-C", "mnt/out"), ("-C", "mnt/out"), ("--if-needed", "-C", "mnt/other"):
            warmpack.ok("extract", "-qf", "a.tar", *words)
        assert warmpack("extract", "-qf", "none.tar", "-C", "mnt/out").returncode == 2
        assert os.listdir(tmp_path / "mnt" / "out") == ["app"]
        assert os.listdir(tmp_path / "mnt" / "other") == ["app"]
    finally:
        subprocess.run(["umount", tmp_path / "mnt"], check=True)


@pytest.mark.parametrize("name", ["app", "a b", "a\\b", "new\nline", "pp", "0"])
@pytest.mark.parametrize("place", ["in/mounted", "mounted"])
def test_a_tree_that_something_is_mounted_in_is_not_replaced(warmpack, tmp_path, mount, name, place):
    write(tmp_path / name / "x.py", b"x = 1\n")
    warmpack.ok("create", "-qf", "a.tgz", name)
    warmpack.ok("extract", "-qf", "a.tgz", "-C", "out")
    disk = mount(tmp_path / "out" / name / place, "-t", "tmpfs", "none")
    write(disk / "kept", b"kept")
    before = look(tmp_path / "out", ours=True)
    result = warmpack("extract", "-qf", "a.tgz", "-C", "out", "--replace")
    assert result.returncode == 2 and b"something is mounted in it" in result.stderr
    assert_same(before, look(tmp_path / "out", ours=True))
