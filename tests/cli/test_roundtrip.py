"""What is packed comes back: types, modes, sizes, times to the nanosecond, content and links, in
every format; and two packs are the same bytes."""

import base64
import fcntl
import hashlib
import io
import json
import os
import subprocess
import tarfile

import pytest
from trees import (BINARY, NOBODY, SECOND, Runner, assert_same, environment, leftovers, look,
                   needs_root, noise, public_directory, remove_tree, run, set_time, write)

FORMATS = {"tgz": (["-f", "a.tgz"], "a.tgz"),
           "tgz-of-one-member": (["--gzip-members", "one", "-f", "a.tgz"], "a.tgz"),
           "tar": (["-f", "a.tar"], "a.tar"),
           "zst": (["-f", "a.tar.zst"], "a.tar.zst"),
           "zip": (["-f", "a.zip"], "a.zip"),
           "zip-stored": (["--level", "0", "-f", "a.zip"], "a.zip")}
PIPES = {"tgz": ["-z"], "tar": [], "zst": ["--zstd"],
         "tgz-of-one-member": ["-z", "--gzip-members", "one"],
         "zip": ["--format", "zip"], "zip-stored": ["--format", "zip", "--level", "0"]}

TIMES = {"recent": 1_795_339_396_456_441_290, "epoch": 0, "first": 1, "before": -1,
         "half-before": -SECOND // 2, "before-1970": -86400 * SECOND + 123_456_789,
         "whole-before-1970": -5 * SECOND, "1902": -(2**31) * SECOND,
         "2038": 2**31 * SECOND + 999_999_999, "2106": (2**32 + 5) * SECOND + 1,
         "2242": 2**33 * SECOND + 5, "2446": (2**33 + 2**32) * SECOND}

NAMES = [b"a b", b" leading", b"trailing ", b"new\nline", b"tab\t", b"back\\slash", b"-dash",
         b"--checkpoint-action=exec=false", b"\xff\xfe\x80", b"na\xefve", "größe".encode(),
         "gro\u0308ße".encode(), b"...", b"..a", b".hidden", b"'quote\"", b"*?[x]", b"%s%n",
         b"\x01\x1b[31m", b"\x7f", b"=1", b"10 path=x", b"n" * 255, b"~", b"#", b"$HOME"]


def long_directory(root, length, letter=b"l"):
    """Makes a directory whose name from ROOT's own on is LENGTH bytes; returns an open one."""
    fd = os.open(root, os.O_RDONLY)
    name = os.path.basename(root)
    while len(name) < length:
        step = letter * min(200, length - len(name) - 1)
        if length - len(name) - 1 - len(step) == 1:
            step = step[:-1]  # a slash alone would be left
        os.mkdir(step, dir_fd=fd)
        below = os.open(step, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
        name += b"/" + step
    return fd


def as_held(packed, form):
    """A zip has no hard links: each name becomes a file of its own."""
    if not form.startswith("zip"):
        return packed
    return {path: {**entry, "links": (path,)} if "links" in entry else entry
            for path, entry in packed.items()}


def fill(root):
    """A tree with one of each thing that a filesystem can hold."""
    for size in (0, 1, 511, 512, 513, 4096, 3 * 2**20 + 7):
        write(root / "sizes" / str(size), noise(size, size))
    write(root / "sizes" / "compressible", b"warm" * 500_000)
    for mode in (0o644, 0o600, 0o755, 0o444, 0o666, 0o777, 0o001):
        write(root / "modes" / oct(mode), b"m", mode)
    for i, name in enumerate(NAMES):
        write(os.fsencode(root / "names") + b"/" + name, name, ns=SECOND * i + i)
    fd = long_directory(os.fsencode(root), 3900)
    with open(os.open(b"f" * 99, os.O_CREAT | os.O_WRONLY, dir_fd=fd), "wb") as file:
        file.write(b"far down")
    os.symlink(b"t" * 4000, b"s", dir_fd=fd)
    os.close(fd)
    (root / "empty" / "dir" / "below").mkdir(parents=True)
    links = root / "links"
    links.mkdir()
    for name, target in {"relative": "../sizes/1", "dangling": "no/such", "absolute": "/etc/passwd",
                         "self": "self", "dir": "..", "dot": ".", "long": "x" * 4000,
                         "odd": b"\xff\n ", "root": "/", "outside": "../../../../x",
                         "slash": "dir/"}.items():
        os.symlink(target, os.fsencode(links / name))
    write(root / "hard" / "z", b"one inode")
    (root / "aaa").mkdir()
    os.link(root / "hard" / "z", root / "aaa" / "first")
    os.link(root / "hard" / "z", root / "hard" / "\udcff")
    write(root / "hard" / "empty")
    os.link(root / "hard" / "empty", root / "hard" / "empty2")
    fd = long_directory(os.fsencode(root), 900, b"h")
    os.link(os.fsencode(root / "hard" / "z"), b"z", dst_dir_fd=fd)
    os.close(fd)
    deep = root
    for level in range(100):
        deep = deep / str(level)
    deep.mkdir(parents=True)
    write(deep / "leaf", b"leaf")
    with open(root / "sparse", "wb") as file:
        for offset in (0, 1 << 20, (5 << 20) + 3):
            file.seek(offset)
            file.write(b"data")
        file.truncate(9 << 20)
    with open(root / "hole", "wb") as file:
        file.truncate((2 << 20) + 1)
    for name, ns in TIMES.items():
        set_time(write(root / "times" / name), ns)
        (root / "times" / (name + ".dir")).mkdir()
        os.symlink(name, root / "times" / (name + ".link"))
        for suffix in (".dir", ".link"):
            set_time(root / "times" / (name + suffix), ns)
    for i, path in enumerate(sorted(root.iterdir())):
        set_time(path, 1_700_000_000 * SECOND + 111_111_111 * (i % 9))


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """(directory that holds app, what app looks like)"""
    base = tmp_path_factory.mktemp("everything")
    (base / "app").mkdir()
    fill(base / "app")
    return base, look(base)


def test_the_tree_holds_what_it_should(everything):
    """Else the tests below prove nothing."""
    _, seen = everything
    assert max(map(len, seen)) == 4000
    for name, ns in TIMES.items():
        assert seen[b"app/times/" + name.encode()]["mtime"] == ns
    assert len(seen[b"app/hard/z"]["links"]) == 4


@pytest.mark.parametrize("form", FORMATS)
def test_everything_comes_back_from_a_file(tmp_path, everything, form):
    warmpack, (base, packed) = Runner(tmp_path), everything
    options, archive = FORMATS[form]
    warmpack.ok("create", *options, "-C", base, "app", "-q")
    result = warmpack.ok("extract", "-f", archive, "-C", "out", "-p")
    assert_same(as_held(packed, form), look(tmp_path / "out"))
    assert not leftovers(tmp_path)
    assert f"{len(packed)} files".encode() in result.stderr


@pytest.mark.parametrize("form", PIPES)
def test_everything_comes_back_through_pipes(tmp_path, everything, form):
    base, packed = everything
    script = '"$0" -cqf - "$@" -C "$BASE" app | cat | "$0" -xpqf - -C out'
    (tmp_path / "out").mkdir()
    run("bash", "-c", "set -o pipefail; " + script, BINARY, *PIPES[form], cwd=tmp_path,
        env=environment(tmp_path, BASE=str(base)))
    assert_same(as_held(packed, form), look(tmp_path / "out"))


@pytest.mark.parametrize("form", FORMATS)
def test_threads_and_repetition_do_not_change_a_byte(tmp_path, everything, form):
    warmpack, (base, _) = Runner(tmp_path), everything
    options, archive = FORMATS[form]
    digests = set()
    for threads in (1, 2, 5, 5):
        warmpack.ok("create", *options, "--threads", str(threads), "-C", base, "app", "-q")
        digests.add(hashlib.sha256((tmp_path / archive).read_bytes()).hexdigest())
    assert len(digests) == 1


@pytest.mark.parametrize("form", FORMATS)
def test_threads_do_not_change_what_is_unpacked(tmp_path, everything, form):
    warmpack, (base, packed) = Runner(tmp_path), everything
    options, archive = FORMATS[form]
    warmpack.ok("create", *options, "-C", base, "app", "-q")
    for threads in ("1", "5"):
        warmpack.ok("extract", "-f", archive, "-C", threads, "--threads", threads, "-p")
        assert_same(as_held(packed, form), look(tmp_path / threads))


def test_a_pipe_and_a_file_hold_the_same_bytes(tmp_path, everything):
    warmpack, (base, _) = Runner(tmp_path), everything
    warmpack.ok("-czqf", "a.tgz", "-C", base, "app")
    assert warmpack.ok("-czqf", "-", "-C", base, "app").stdout == (tmp_path / "a.tgz").read_bytes()


def test_the_order_on_disk_does_not_change_a_byte(tmp_path):
    warmpack = Runner(tmp_path)
    names = [f"{i:x}" for i in range(300)]
    for place, order in (("one", names), ("two", reversed(names))):
        for name in order:
            write(tmp_path / place / "app" / name, name, ns=5)
        for path in (tmp_path / place / "app", tmp_path / place):
            set_time(path, 7)
    # The manifest says where a tree was packed, so it must be the same place.
    archives = []
    for place in ("one", "two"):
        (tmp_path / place).rename(tmp_path / "here")
        warmpack.ok("-czqf", place + ".tgz", "-C", "here", "app")
        archives.append((tmp_path / (place + ".tgz")).read_bytes())
        (tmp_path / "here").rename(tmp_path / place)
    assert archives[0] == archives[1]


def test_the_numbers_of_descriptors_are_no_errors(tmp_path):
    """Whatever the program inherits: a new file's number may be that of ENOTDIR or ENOENT."""
    for i in range(200):
        write(tmp_path / ("s/app/d/%d.py" % i), noise(20_000, i))
    for count in range(24):
        held = [os.open(os.devnull, os.O_RDONLY) for _ in range(count)]
        target = tmp_path / ("t%d" % count)
        target.mkdir()
        try:
            for words in (["create", "-qf", "a.tgz", "-C", "s", "app"],
                          ["extract", "-qf", "a.tgz", "-C", target],
                          ["restore", "-q", target / "app"]):
                done = subprocess.run([BINARY, *words], cwd=tmp_path, pass_fds=held, check=False,
                                      env=environment(tmp_path), stderr=subprocess.PIPE)
                assert (done.returncode, done.stderr) == (0, b""), (count, words)
        finally:
            for fd in held:
                os.close(fd)
        assert_same(look(tmp_path / "s/app/d"), look(target / "app/d"))


def test_list_names_everything_that_was_packed(tmp_path, everything):
    warmpack, (base, packed) = Runner(tmp_path), everything
    warmpack.ok("-czqf", "a.tgz", "-C", base, "app")
    entries = json.loads(warmpack.ok("list", "--json", "-f", "a.tgz").stdout)["entries"]
    listed = {(base64.b64decode(e["path_base64"]) if "path_base64" in e else e["path"].encode())
              .rstrip(b"/"): e for e in entries}
    assert packed.keys() <= listed.keys()
    for path, entry in packed.items():
        sign, ns = ("-", -entry["mtime"]) if entry["mtime"] < 0 else ("", entry["mtime"])
        if listed[path]["type"] != "hardlink":
            assert listed[path]["mtime"] == f"{sign}{ns // SECOND}.{ns % SECOND:09}", path


def test_a_target_deeper_than_a_path_can_name_is_reached(tmp_path, everything):
    """4,000 bytes in the archive beneath a DIR of some hundred more."""
    warmpack, (base, packed) = Runner(tmp_path), everything
    warmpack.ok("-cqf", "a.tar", "-C", base, "app")
    out = tmp_path / ("d" * 200) / ("e" * 200)
    warmpack.ok("extract", "-f", "a.tar", "-C", out, "-p")
    assert_same(packed, look(out))


def test_two_names_of_one_symlink_stay_one_inode(tmp_path):
    """As with GNU tar."""
    warmpack = Runner(tmp_path)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "a").symlink_to("nowhere")
    os.link(tmp_path / "app" / "a", tmp_path / "app" / "b", follow_symlinks=False)
    warmpack.ok("-cqf", "a.tar", "app")
    warmpack.ok("-xpf", "a.tar", "-C", "out")
    assert_same(look(tmp_path / "app"), look(tmp_path / "out/app"))


# ---- Modes of directories ----------------------------------------------------------------------

@needs_root
def test_directories_without_any_permission_come_back_for_root(tmp_path):
    warmpack = Runner(tmp_path)
    for mode in (0o000, 0o111, 0o222, 0o444, 0o555):
        place = tmp_path / "app" / oct(mode)
        write(place / "below" / "file", b"x", 0)
        set_time(place / "below", 3)
        (place / "below").chmod(mode)
        set_time(place, 4)
        place.chmod(mode)
    packed = look(tmp_path / "app")
    warmpack.ok("-czqf", "a.tgz", "app")
    warmpack.ok("-xpf", "a.tgz", "-C", "out")
    assert_same(packed, look(tmp_path / "out" / "app"))


@pytest.fixture
def shared():
    path = public_directory()
    yield path
    remove_tree(path)


def owned(path, uid=NOBODY):
    """PATH, made as a directory of that user."""
    path.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        os.chown(path, uid, uid)
    return path


@needs_root
@pytest.mark.parametrize("form", ["tgz", "tar", "zst"])
def test_a_user_gets_read_only_directories_back(shared, form):
    warmpack = Runner(shared)
    options, archive = FORMATS[form]
    work = owned(shared / "work")
    write(work / "app" / "ro" / "below" / "f", b"x", 0o444, 5)
    write(work / "app" / "k.py", b"x = 1\n")
    (work / "app" / "ro" / "empty").mkdir()
    run("chown", "-R", str(NOBODY), work)
    for path in (work / "app" / "ro" / "below", work / "app" / "ro" / "empty",
                 work / "app" / "ro", work / "app"):
        set_time(path, 1_600_000_000 * SECOND + 17)
        path.chmod(0o555)
    packed = look(work / "app")
    warmpack.ok("create", *options, "app", "-q", user=NOBODY, cwd=work)
    for again in range(2):  # the second time over what is there
        warmpack.ok("extract", "-f", archive, "-C", "out", "-p", user=NOBODY, cwd=work)
        assert_same(packed, look(work / "out" / "app"))
    assert not leftovers(work)


# ---- Large files -------------------------------------------------------------------------------

EIGHT_GIB = 8 << 30


def test_the_header_of_a_file_over_8_gib_has_its_size(tmp_path):
    with open(tmp_path / "big", "wb") as file:
        file.truncate(EIGHT_GIB + 12345)
    child = subprocess.Popen([BINARY, "-cf", "-", "big"], cwd=tmp_path, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, env=environment(tmp_path))
    with child:
        head = child.stdout.read(8192)
        child.kill()
    with tarfile.open(fileobj=io.BytesIO(head)) as archive:
        assert archive.next().size == EIGHT_GIB + 12345


def big_tar(path, size):
    """A tar whose first member has SIZE bytes, of which the last are "end", then one more member;
    sparse on disk."""
    with open(path, "wb") as file:
        big = tarfile.TarInfo("app/big")
        big.size = size
        file.write(big.tobuf(tarfile.PAX_FORMAT))
        file.seek(size - 3, os.SEEK_CUR)
        file.write(b"end")
        file.seek(-size % 512, os.SEEK_CUR)
        small = tarfile.TarInfo("app/small")
        small.size = 5
        file.write(small.tobuf(tarfile.PAX_FORMAT) + b"small".ljust(512, b"\0") + bytes(1024))


def test_what_stands_behind_8_gib_is_listed_and_unpacked(tmp_path):
    warmpack = Runner(tmp_path)
    big_tar(tmp_path / "big.tar", EIGHT_GIB + 12345)
    listed = warmpack.ok("-tvf", "big.tar").stdout.decode()
    assert f" {EIGHT_GIB + 12345} " in listed
    assert listed.count("\n") == 2
    warmpack.ok("-xf", "big.tar", "-C", "out", "app/small")
    assert (tmp_path / "out/app/small").read_bytes() == b"small"


def test_a_member_over_8_gib_comes_out_whole(tmp_path):
    """Of zeros, in frames of 64 MiB that are all the same."""
    size = EIGHT_GIB + (64 << 20) + 512
    big = tarfile.TarInfo("app/big")
    big.size = size
    frame = run("zstd", "-1", "-c", stdin=bytes(64 << 20))
    ends = [run("zstd", "-c", stdin=data) for data in (
        big.tobuf(tarfile.PAX_FORMAT), b"end".rjust(512, b"\0") + bytes(1024))]
    (tmp_path / "big.tar.zst").write_bytes(ends[0] + frame * (size // (64 << 20)) + ends[1])
    child = subprocess.Popen([BINARY, "-xOf", "big.tar.zst", "app/big"], cwd=tmp_path,
                             stdout=subprocess.PIPE, bufsize=0, env=environment(tmp_path))
    fcntl.fcntl(child.stdout, fcntl.F_SETPIPE_SZ, 1 << 20)
    block, count, tail = memoryview(bytearray(1 << 20)), 0, b""
    while n := child.stdout.readinto(block):
        count += n
        tail = (tail + bytes(block[max(0, n - 3):n]))[-3:]
    assert (child.wait(), count, tail) == (0, size, b"end")
