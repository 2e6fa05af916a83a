"""A disk without room: exit status 2, one line, and everything as it was."""

import hashlib
import os
import subprocess

import pytest
from trees import assert_same, index, leftovers, look, noise, refused, write


def fill(root, count=60, size=30_000):
    for i in range(count):
        write(root / "app" / f"d{i % 5}" / f"{i}", noise(size, i))


def old_tree(out):
    write(out / "app/d0/0", "old")
    write(out / "app/mine", "mine")
    write(out / "mine", "mine")
    return look(out, ours=True)


@pytest.mark.parametrize("suffix", ["tgz", "tar", "tar.zst"])
@pytest.mark.parametrize("options", [[], ["--replace"], ["--if-needed"]])
def test_a_full_disk_leaves_the_target_as_it_was(warmpack, tmp_path, mount, suffix, options):
    fill(tmp_path)
    warmpack.ok("-cqf", "a." + suffix, "app")
    disk = mount(tmp_path / "disk", "-t", "tmpfs", "-o", "size=1m", "small")
    before = old_tree(disk / "out")
    refused(warmpack("extract", "-f", "a." + suffix, "-C", disk / "out", *options),
            "No space left on device")
    assert_same(before, look(disk / "out", ours=True))
    refused(warmpack("extract", "-f", "a." + suffix, "-C", disk / "fresh/x", *options),
            "No space left on device")
    assert os.listdir(disk) == ["out"]


def test_no_inodes_left_is_like_no_room_left(warmpack, tmp_path, mount):
    fill(tmp_path, size=10)
    warmpack.ok("-czqf", "a.tgz", "app")
    disk = mount(tmp_path / "disk", "-t", "tmpfs", "-o", "nr_inodes=50", "small")
    before = old_tree(disk / "out")
    refused(warmpack("extract", "-f", "a.tgz", "-C", disk / "out"), "No space left on device")
    assert_same(before, look(disk / "out", ours=True))


def test_at_every_size_of_disk_it_is_all_or_nothing(warmpack, tmp_path, mount):
    """Wherever the room ends: in the files, in the journal, in the state."""
    fill(tmp_path, count=40, size=6000)
    warmpack.ok("-czqf", "a.tgz", "app")
    packed = look(tmp_path / "app")
    disk = mount(tmp_path / "disk", "-t", "tmpfs", "-o", "size=1m", "small")
    statuses = []
    for pages in range(60, 125, 4):
        subprocess.run(["mount", "-o", f"remount,size={4 * pages}k", disk], check=True)
        before = old_tree(disk / "out")
        result = warmpack("extract", "-f", "a.tgz", "-C", disk / "out")
        statuses.append(result.returncode)
        if result.returncode == 0:
            after = look(disk / "out/app")
            assert after.pop(b"mine")
            assert_same(packed, after)
        else:
            refused(result, "No space left on device")
            assert_same(before, look(disk / "out", ours=True))
        assert not leftovers(disk)
        subprocess.run(["rm", "-rf", disk / "out"], check=True)
    assert {0, 2} == set(statuses), statuses


def test_a_cache_root_without_room_leaves_everything_as_it_was(warmpack, tmp_path, mount):
    source = write(tmp_path / "app/pkg/m.py", "x = 1\n")
    nbi = index(source)
    (nbi.parent / "m.add-3.py311.9.nbc").write_bytes(noise(3_000_000))
    name = "pkg_" + hashlib.sha1(str(source.parent).encode()).hexdigest()
    (tmp_path / "caches").mkdir()
    nbi.parent.rename(tmp_path / "caches" / name)
    warmpack.ok("-czqf", "a.tgz", "--cache-dir", "caches", "app")
    disk = mount(tmp_path / "disk", "-t", "tmpfs", "-o", "size=1m", "small")
    before = old_tree(tmp_path / "out")
    write(disk / "roots/other_cache/x.nbi", "x")
    roots = look(disk, ours=True)
    roots.pop(b"roots")
    refused(warmpack("extract", "-f", "a.tgz", "-C", "out", "--cache-dir", disk / "roots"),
            "No space left on device")
    assert_same(before, look(tmp_path / "out", ours=True))
    after = look(disk, ours=True)
    after.pop(b"roots")
    assert_same(roots, after)


def test_to_stdout_onto_a_full_device_is_an_error(warmpack, tmp_path):
    fill(tmp_path)
    warmpack.ok("-czqf", "a.tgz", "app")
    with open("/dev/full", "wb") as full:
        refused(warmpack("-xOf", "a.tgz", stdout=full), "No space left on device")
