"""extract --from OLD, and --replace: content that an earlier tree has is taken from there, and what
nothing is wanted of is not read. Never is anything else unpacked than without it."""

import json
import os
import pathlib
import shutil
import struct
import subprocess
import zlib

import pytest
from trees import (NOBODY, Runner, assert_same, index, leftovers, look, needs_root, noise,
                   public_directory, refused, remove_tree, write)

TIME = 1_595_339_396_456_441_290
FORMATS = ("tgz", "tar.zst", "tar", "zip", "oci", "oci.tar")
MEGABYTE = 1 << 20
LARGE = 12


def fill(root, version):
    """Of twelve files of a megabyte one changes, and of forty small ones two."""
    for i in range(LARGE):
        changes = version if i == 10 else 0
        write(root / f"app/lib/large{i:02}.so", noise(MEGABYTE, (i, changes)), ns=TIME + i)
    for i in range(40):
        changes = version if i in (7, 31) else 0
        write(root / f"app/small/{i:02}.py", noise(1000 + i, (i, changes)), ns=TIME - i)
    write(root / "app/empty", b"", ns=TIME)
    os.link(root / "app/lib/large02.so", root / "app/lib/linked.so")
    (root / "app/link").symlink_to("small")
    write(root / f"app/only-in-{version}", b"x" * version, ns=TIME)


REUSED = LARGE - 1 + 38  # files of version 1 whose content version 2 has


@pytest.fixture
def versions(warmpack, tmp_path):
    """1 and 2, and old: version 1 as warmpack unpacked it."""
    for version in (1, 2):
        fill(tmp_path / str(version), version)
    warmpack.ok("create", "-qf", "1.tgz", "-C", "1", "app")
    warmpack.ok("extract", "-qf", "1.tgz", "-C", "old")


def pack(warmpack, form, *words):
    warmpack.ok("create", "-qf", f"2.{form}", "-C", "2", "app", *words)
    return f"2.{form}"


def extract(warmpack, archive, *words):
    """Into `new`; what it says as JSON."""
    return json.loads(warmpack.ok("extract", "--json", "-f", archive, "-C", "new", *words).stdout)


@pytest.mark.parametrize("form", FORMATS)
def test_the_tree_is_the_same_as_without(warmpack, tmp_path, versions, form):
    archive = pack(warmpack, form)
    before = look(tmp_path / "old", ours=True)
    said = extract(warmpack, archive, "--from", "old")
    assert said["reused"] == REUSED + (form == "zip")  # which holds a link as a file
    warmpack.ok("extract", "-qf", archive, "-C", "whole")
    assert_same(look(tmp_path / "whole"), look(tmp_path / "new"))
    assert_same(before, look(tmp_path / "old", ours=True))
    for path in (tmp_path / "new/app").rglob("*"):
        if path.is_file() and path.name not in ("large02.so", "linked.so"):
            assert path.stat().st_nlink == 1, path  # the trees are independent
    assert not leftovers(tmp_path / "new")


def members(data):
    """(offset, size, bytes that it unpacks to) of each gzip member of ours."""
    at = 0
    while at < len(data):
        extra, = struct.unpack_from("<H", data, at + 10)
        deflated, = struct.unpack_from("<I", data, at + 16)
        size = 12 + extra + deflated + 8
        plain, = struct.unpack_from("<I", data, at + size - 4)
        yield at, size, plain
        at += size


def damage(archive, content):
    """Changes bytes of what CONTENT, which cannot be compressed, became in the archive."""
    is_gzip = archive.suffix in (".tgz", ".oci")
    if archive.is_dir():  # the layout of an image: its largest blob is the layer
        archive = max((archive / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = archive.read_bytes()
    at = data.find(content[1000:1200])
    if is_gzip:
        at, = (at + size // 2 for at, size, _ in members(data)
               if content[1000:1200] in zlib.decompressobj(31).decompress(data[at:at + size]))
    assert at > 0
    with open(archive, "r+b") as file:
        file.seek(at)
        file.write(b"damage")


@pytest.mark.parametrize("form", ("tgz", "tar.zst", "tar", "zip", "oci"))
def test_what_nothing_is_wanted_of_is_not_read(warmpack, tmp_path, versions, form):
    archive = tmp_path / pack(warmpack, form)
    damage(archive, noise(MEGABYTE, (5, 0)))
    assert warmpack("extract", "-qf", archive.name, "-C", "whole").returncode == 2
    extract(warmpack, archive.name, "--from", "old")
    assert (tmp_path / "new/app/lib/large05.so").read_bytes() == noise(MEGABYTE, (5, 0))
    assert (tmp_path / "new/app/lib/large10.so").read_bytes() == noise(MEGABYTE, (10, 2))


@pytest.mark.parametrize("form", FORMATS[:-1])
def test_damage_where_something_is_wanted_is_told_as_without(warmpack, tmp_path, versions, form):
    archive = tmp_path / pack(warmpack, form)
    damage(archive, noise(MEGABYTE, (10, 2)))
    whole = refused(warmpack("extract", "-qf", archive.name, "-C", "new"))
    assert refused(warmpack("extract", "-qf", archive.name, "-C", "new", "--from", "old")) == whole
    assert not (tmp_path / "new/app").exists() and not leftovers(tmp_path / "new")


def tamper(path):
    """Other content of the same size and time."""
    st = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))


def replace_by(make):
    def change(path):
        path.unlink()
        make(path)
    return change


CHANGES = {
    "content": tamper,
    "shorter": lambda path: os.truncate(path, 100),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"more"),
    "gone": pathlib.Path.unlink,
    "directory": replace_by(pathlib.Path.mkdir),
    "pipe": replace_by(os.mkfifo),
    "link": replace_by(lambda path: path.symlink_to("/dev/zero")),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("form", ("tgz", "zip"))
def test_what_is_not_as_its_manifest_says_comes_from_the_archive(warmpack, tmp_path, versions,
                                                                 form, change):
    archive = pack(warmpack, form)
    for name in ("lib/large00.so", "small/03.py"):
        CHANGES[change](tmp_path / "old/app" / name)
    result = warmpack.ok("extract", "-vf", archive, "-C", "new", "--from", "old")
    warmpack.ok("extract", "-qf", archive, "-C", "whole")
    assert_same(look(tmp_path / "whole"), look(tmp_path / "new"))
    assert result.stderr.count(b"is not in old as its manifest says") == 2


def test_a_directory_on_the_way_is_not_followed_out_of_the_tree(warmpack, tmp_path, versions):
    """Of what lies there nothing is read, though it is what the manifest says."""
    (tmp_path / "old/app/small").rename(tmp_path / "elsewhere")
    (tmp_path / "old/app/small").symlink_to(tmp_path / "elsewhere")
    said = extract(warmpack, pack(warmpack, "tgz"), "--from", "old")
    assert said["reused"] == REUSED - 38
    assert (tmp_path / "new/app/small/00.py").read_bytes() == noise(1000, (0, 0))


def test_content_is_found_under_another_name(warmpack, tmp_path, versions):
    """The top directory of a release has its number in its name, and files move."""
    (tmp_path / "2/app").rename(tmp_path / "2/app-2")
    (tmp_path / "2/app-2/small").rename(tmp_path / "2/app-2/little")
    warmpack.ok("create", "-qf", "2.tgz", "-C", "2", "app-2")
    said = extract(warmpack, "2.tgz", "--from", "old/app")
    assert said["reused"] == REUSED
    warmpack.ok("extract", "-qf", "2.tgz", "-C", "whole")
    assert_same(look(tmp_path / "whole"), look(tmp_path / "new"))


def test_modes_and_times_are_those_of_the_archive(warmpack, tmp_path, versions):
    for path in (tmp_path / "old/app").rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(0o640)
            os.utime(path, (1, 1))
    archive = pack(warmpack, "tgz")
    assert extract(warmpack, archive, "--from", "old")["reused"] == REUSED
    warmpack.ok("extract", "-qf", archive, "-C", "whole")
    assert_same(look(tmp_path / "whole"), look(tmp_path / "new"))


@needs_root
def test_who_may_not_read_a_file_gets_it_from_the_archive(versions, warmpack):
    place = public_directory()
    try:
        user = Runner(place)
        os.chown(place, NOBODY, NOBODY)
        shutil.copy(warmpack.cwd / "1.tgz", place)
        user.ok("extract", "-qf", "1.tgz", "-C", "old", user=NOBODY)
        (place / "old/app/lib/large00.so").chmod(0)
        os.chown(place / "old/app/lib/large00.so", 0, 0)
        shutil.copy(warmpack.cwd / pack(warmpack, "tgz"), place)
        said = json.loads(user.ok("extract", "--json", "-f", "2.tgz", "-C", "new", "--from", "old",
                                  user=NOBODY).stdout)
        assert said["reused"] == REUSED - 1
        assert (place / "new/app/lib/large00.so").read_bytes() == noise(MEGABYTE, (0, 0))
    finally:
        remove_tree(place)


def test_replace_takes_from_what_it_replaces(warmpack, tmp_path, versions):
    archive = pack(warmpack, "tgz")
    shutil.copytree(tmp_path / "old", tmp_path / "new", symlinks=True)
    said = extract(warmpack, archive, "--replace")
    assert said["reused"] == REUSED
    warmpack.ok("extract", "-qf", archive, "-C", "whole")
    assert_same(look(tmp_path / "whole"), look(tmp_path / "new"))
    assert extract(warmpack, archive, "--replace")["reused"] == LARGE + 40 + 1  # itself, and a link


def test_an_earlier_tree_may_have_its_cache_root_beside_it(warmpack, tmp_path, versions):
    """So that its state names a directory which moves with the tree."""
    for version in "1", "2":
        index(write(tmp_path / version / "app/k.py", b"x = 1\n", ns=TIME))
    warmpack.ok("create", "-qf", "1.tgz", "-C", "1", "app")
    for name in ("new", "old"):
        shutil.rmtree(tmp_path / name, ignore_errors=True)
        warmpack.ok("extract", "-qf", "1.tgz", "-C", name, "--cache-dir", tmp_path / name / "cache")
    archive = pack(warmpack, "tgz")
    assert extract(warmpack, archive, "--replace")["reused"] > REUSED
    shutil.rmtree(tmp_path / "new")
    assert extract(warmpack, archive, "--from", "old")["reused"] > REUSED
    warmpack.ok("seal", "-q", tmp_path / "old/app")


def test_replace_does_without_what_is_damaged(warmpack, tmp_path, versions):
    """A tree whose manifest is broken can be replaced all the same."""
    manifest, = (tmp_path / "old/app/.warmpack").glob("*/manifest.jsonl")
    manifest.write_bytes(b"{")
    (tmp_path / "old").rename(tmp_path / "new")
    assert extract(warmpack, pack(warmpack, "tgz"), "--replace")["reused"] == 0
    assert (tmp_path / "new/app/lib/large10.so").read_bytes() == noise(MEGABYTE, (10, 2))


def test_an_archive_in_a_pipe_is_unpacked_as_a_whole(warmpack, tmp_path, versions):
    archive = tmp_path / pack(warmpack, "tgz")
    done = subprocess.run(["cat", archive], stdout=subprocess.PIPE, check=True)
    result = warmpack.ok("extract", "-f", "-", "-C", "new", "--from", "old", stdin=done.stdout)
    assert b"all of it is unpacked, nothing is taken from old" in result.stderr
    assert (tmp_path / "new/app/small/00.py").read_bytes() == noise(1000, (0, 0))


def test_names_that_strip_components_makes_the_same_are_as_without(warmpack, tmp_path, versions):
    (tmp_path / "2/app/small/large00.so").write_bytes(b"the last one counts")
    archive = pack(warmpack, "tgz")
    extract(warmpack, archive, "--from", "old", "--strip-components", "2")
    warmpack.ok("extract", "-qf", archive, "-C", "whole", "--strip-components", "2")
    assert_same(look(tmp_path / "whole"), look(tmp_path / "new"))
    assert (tmp_path / "new/large00.so").read_bytes() == b"the last one counts"


def test_patterns_choose_as_without(warmpack, tmp_path, versions):
    archive = pack(warmpack, "tgz")
    said = extract(warmpack, archive, "--from", "old", "app/small", "--exclude", "1*.py")
    assert said["reused"] == 28
    assert len(os.listdir(tmp_path / "new/app/small")) == 30
    assert not (tmp_path / "new/app/lib").exists()


def test_more_than_the_largest_size_is_refused_before_it_is_copied(warmpack, tmp_path, versions):
    archive = pack(warmpack, "tgz")
    refused(warmpack("extract", "-qf", archive, "-C", "new", "--from", "old", "--max-size",
                     str(3 * MEGABYTE)), "more than 3145728 bytes")
    assert not (tmp_path / "new/app").exists()


@pytest.mark.parametrize("old, said", [("nowhere", "cannot be opened"), ("2", "no manifest")])
def test_an_earlier_tree_that_is_none_is_refused(warmpack, tmp_path, versions, old, said):
    refused(warmpack("extract", "-qf", pack(warmpack, "tgz"), "-C", "new", "--from", old), old,
            said)
    assert not (tmp_path / "new/app").exists()


@pytest.mark.parametrize("damage", (b"{", b"", b'{"format": "other"}\n'))
def test_an_earlier_tree_whose_manifest_is_damaged_is_refused(warmpack, tmp_path, versions, damage):
    manifest, = (tmp_path / "old/app/.warmpack").glob("*/manifest.jsonl")
    manifest.write_bytes(damage or manifest.read_bytes()[:-100])
    refused(warmpack("extract", "-qf", pack(warmpack, "tgz"), "-C", "new", "--from", "old"),
            "manifest.jsonl")
    assert not (tmp_path / "new/app").exists() and not leftovers(tmp_path / "new")


def reorder(archive, first, second):
    """Two entries of one size, one behind the other, change places in the archive."""
    data, out, moved = archive.read_bytes(), [], 0
    manifest, = struct.unpack_from("<Q", data, len(data) - 42 + 24)
    pointer = 0
    for at, size, _ in members(data):
        plain = zlib.decompressobj(31).decompress(data[at:at + size])
        if at == manifest:
            pointer = sum(map(len, out))
        a = plain.find(first)
        if a > 0 and not pointer:
            b = plain.find(second)
            a, b = plain.rindex(b"PaxHeader", 0, a), plain.rindex(b"PaxHeader", 0, b)
            n = b - a
            plain = plain[:a] + plain[b:b + n] + plain[a:b] + plain[b + n:]
            moved += 1
        squeeze = zlib.compressobj(6, zlib.DEFLATED, -15)
        deflated = squeeze.compress(plain) + squeeze.flush()
        out.append(data[at:at + 16] + struct.pack("<I", len(deflated)) + data[at + 20:at + 12
                   + struct.unpack_from("<H", data, at + 10)[0]] + deflated
                   + struct.pack("<II", zlib.crc32(plain), len(plain)))
    assert moved == 1 and pointer
    out[-1] = data[-42:-18] + struct.pack("<Q", pointer) + data[-10:]
    archive.write_bytes(b"".join(out))


def test_an_archive_in_another_order_is_read_as_a_whole(warmpack, tmp_path, versions):
    """Where the entries lie is known from our own order alone; what is there decides."""
    for name in ("07.py", "08.py"):
        write(tmp_path / "2/app/small" / name, noise(1000, name), ns=TIME)
    archive = tmp_path / pack(warmpack, "tgz")
    reorder(archive, b"app/small/07.py", b"app/small/08.py")
    warmpack.ok("extract", "-qf", archive.name, "-C", "whole")
    extract(warmpack, archive.name, "--from", "old")
    assert_same(look(tmp_path / "whole"), look(tmp_path / "new"))


def test_with_a_key_the_same_is_taken_and_nothing_else(warmpack, tmp_path, versions):
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", "key.pem"],
                   cwd=tmp_path, check=True)
    subprocess.run(["openssl", "pkey", "-in", "key.pem", "-pubout", "-out", "pub.pem"],
                   cwd=tmp_path, check=True)
    archive = pack(warmpack, "tgz", "--sign", "key.pem")
    tamper(tmp_path / "old/app/lib/large00.so")
    said = extract(warmpack, archive, "--from", "old", "--trust", "pub.pem")
    assert said["reused"] == REUSED - 1
    assert (tmp_path / "new/app/lib/large00.so").read_bytes() == noise(MEGABYTE, (0, 0))
    refused(warmpack("extract", "-qf", "1.tgz", "-C", "no", "--from", "old", "--trust", "pub.pem"))


def with_holes(archive, ranges):
    """A file of its size that has no more of it than RANGES."""
    data = archive.read_bytes()
    with open(archive.parent / f"part-{archive.name}", "wb") as file:
        file.truncate(len(data))
        for begin, end in ranges:
            file.seek(begin)
            file.write(data[begin:end])
    return file.name


def needs(warmpack, archive, *words):
    said = json.loads(warmpack.ok("extract", "--needs", "-f", archive, "-C", "new", *words).stdout)
    assert said["known"] == bool(said["ranges"][1:])
    return said["ranges"]


@pytest.mark.parametrize("form", ("tgz", "tar.zst", "tar", "zip"))
def test_what_needs_tells_is_enough(warmpack, tmp_path, versions, form):
    archive = tmp_path / pack(warmpack, form)
    ranges = needs(warmpack, archive, "--from", "old")
    assert sum(end - begin for begin, end in ranges) < archive.stat().st_size / 2
    assert not (tmp_path / "new").exists()
    part = with_holes(archive, ranges)
    extract(warmpack, part, "--from", "old")
    warmpack.ok("extract", "-qf", archive, "-C", "whole")
    assert_same(look(tmp_path / "whole"), look(tmp_path / "new"))
    assert needs(warmpack, archive)[0][0] == 0  # without an earlier tree: all


def test_needs_tells_all_where_two_files_get_one_name(warmpack, tmp_path, versions):
    """Then nothing is taken from the earlier tree, as the last of them counts."""
    write(tmp_path / "2/app/small/large00.so", b"the last", ns=TIME)
    archive = tmp_path / pack(warmpack, "tgz")
    words = ("--from", "old", "--strip-components", "2")
    part = with_holes(archive, needs(warmpack, archive, *words))
    warmpack.ok("extract", "-qf", part, "-C", "new", *words)
    warmpack.ok("extract", "-qf", archive, "-C", "whole", *words[2:])
    assert_same(look(tmp_path / "whole"), look(tmp_path / "new"))
    assert (tmp_path / "new/large00.so").read_bytes() == b"the last"


def test_needs_tells_all_where_the_earlier_tree_has_no_content(warmpack, tmp_path, versions):
    write(tmp_path / "bare/app/empty", b"")
    warmpack.ok("seal", "-q", "bare")
    archive = tmp_path / pack(warmpack, "tgz")
    words = ("--from", "bare", "app/lib/large1*")
    part = with_holes(archive, needs(warmpack, archive, *words))
    warmpack.ok("extract", "-qf", part, "-C", "new", *words)
    assert len(list((tmp_path / "new/app/lib").iterdir())) == 2


@pytest.mark.parametrize("form", ("tgz", "tar.zst", "tar", "zip"))
def test_a_hole_is_never_taken_for_content(warmpack, tmp_path, versions, form):
    """Where the earlier tree turns out to be other than its manifest says."""
    archive = tmp_path / pack(warmpack, form)
    part = with_holes(archive, needs(warmpack, archive, "--from", "old"))
    tamper(tmp_path / "old/app/lib/large00.so")
    refused(warmpack("extract", "-qf", part, "-C", "new", "--from", "old"), part)
    refused(warmpack("extract", "-qf", part, "-C", "new"), part)
    assert not (tmp_path / "new/app").exists() and not leftovers(tmp_path / "new")


@pytest.mark.parametrize("form", ("oci", "oci.tar"))
def test_needs_does_not_know_where_in_an_image_its_layer_lies(warmpack, tmp_path, versions, form):
    archive = tmp_path / pack(warmpack, form)
    whole = [[0, archive.stat().st_size]] if archive.is_file() else []
    assert needs(warmpack, archive, "--from", "old") == whole
    assert needs(warmpack, archive) == whole


def test_needs_is_for_files(warmpack, versions):
    refused_usage = warmpack("extract", "--needs", "-f", "-", "--from", "old")
    assert refused_usage.returncode == 2 and b"--needs is for files" in refused_usage.stderr
