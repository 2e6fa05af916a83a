"""Archives that are cut, flipped, padded, or lie about their sizes; and what is no archive."""

import os
import random
import re
import resource
import subprocess
import sys
import zipfile
import zlib

import pytest
from hostile_tar import END, directory, file, gz, header, padded, pax, symlink, tar
from trees import (BINARY, Runner, assert_same, environment, index, look, noise, refused, run,
                   write)

SUFFIXES = ("tgz", "tar", "tar.zst")
MORE = int(os.environ.get("WARMPACK_MUTATIONS", "1"))  # so many times as many in a campaign


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A tree, archives of ours of it, and archives that GNU tar made."""
    base = tmp_path_factory.mktemp("tree")
    for i in range(12):
        write(base / "app" / f"{i}.py", noise(700 * i, i), ns=10**18 + i)
    write(base / "app" / "big", noise(60_000) * 5)
    write(base / "app" / "k.py", "new k")
    (base / "app" / "link").symlink_to("k.py")
    index(base / "app" / "0.py")
    warmpack = Runner(base)
    for suffix in SUFFIXES:
        warmpack.ok("-cqf", "a." + suffix, "app")
        run("tar", "--format=pax", "-caf", base / ("gnu." + suffix), "-C", base, "app")
    run("tar", "--format=pax", "-caf", base / "gnu.tar.xz", "-C", base, "app")
    run("tar", "--format=pax", "-caf", base / "gnu.tar.bz2", "-C", base, "app")
    return base


def extracted(arena, packed):
    """DIR holds what was packed, and what was there before."""
    after = look(arena.out)
    for path in (b"mine", b"app/dir", b"app/dir/below", b"app/way-out"):
        after.pop(path)
    assert_same(packed, after)


def refused_or_whole(arena, data, name, packed, offsets_told):
    path = arena.archive(data, name)
    before = arena.look()
    result = arena.extract(path)
    arena.sane(result)
    try:
        if result.returncode == 2:
            refused(result)
            assert_same(before, arena.look())
            return False
        assert result.returncode == 0
        extracted(arena, packed)
        return True
    except BaseException as error:
        error.add_note(offsets_told)
        raise


def reset(arena):
    """DIR as it was."""
    run("rm", "-rf", arena.out)
    for name in ("app/k.py", "app/dir/below", "mine"):
        write(arena.out / name, "old " + name, ns=10**9)
    (arena.out / "app" / "way-out").symlink_to("../..")


def offsets_in(data, count, seed):
    choose = random.Random(seed)
    edges = [1, 2, 9, 10, 17, 18, 19, 20, 24, 100, 511, 512, 513, 1023, 1024, 1536, len(data) // 2,
             len(data) - 512, len(data) - 1024]
    return sorted({n for n in edges if 0 < n < len(data)}
                  | {choose.randrange(1, len(data)) for _ in range(count)})


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("pipe", [False, True])
def test_ours_that_is_cut_before_its_manifest_ends_is_refused(arena, tree, suffix, pipe):
    data = (tree / ("a." + suffix)).read_bytes()
    # Behind the manifest: in gzip and zstd the end of the tar and the pointer in a few bytes.
    last = {"tgz": 120, "tar.zst": 60, "tar": 512 + 10240 + 512}[suffix]
    for offset in [n for n in offsets_in(data, 6 * MORE, suffix) if n < len(data) - last]:
        arena.refused(data[:offset], "a." + suffix if not pipe else "standard input",
                      name="a." + suffix, pipe=pipe)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_ours_that_is_cut_near_its_end_is_refused_or_whole(arena, tree, suffix):
    data, packed = (tree / ("a." + suffix)).read_bytes(), look(tree / "app")
    packed = {b"app": look(tree)[b"app"], **{b"app/" + p: {**e, **(
        {"links": (b"app/" + p,)} if "links" in e else {})} for p, e in packed.items()}}
    for back in (1, 2, 8, 16, 24, 25, 41, 42, 43, 50, 60, 100, 512, 1024, 1536):
        if back < len(data):
            refused_or_whole(arena, data[:-back], "a." + suffix, packed, f"{back} bytes less")
            reset(arena)


@pytest.mark.parametrize("suffix", ["tgz", "tar", "tar.zst", "tar.xz", "tar.bz2"])
def test_theirs_that_is_cut_in_its_middle_is_refused(arena, tree, suffix):
    data = (tree / ("gnu." + suffix)).read_bytes()
    # A plain tar may end between two members, as far as anybody knows.
    offsets = [n for n in offsets_in(data, 8 * MORE, suffix) if n < len(data) - 12_000]
    for offset in [n | 1 for n in offsets] if suffix == "tar" else offsets:
        arena.refused(data[:offset], name="a." + suffix)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_flipped_bit_of_ours_is_refused_or_without_effect(arena, tree, suffix):
    data, packed = (tree / ("a." + suffix)).read_bytes(), look(tree, owners=False)
    packed = {p: e for p, e in packed.items() if p == b"app" or p.startswith(b"app/")}
    choose = random.Random(suffix)
    for _ in range(30 * MORE):
        bit = choose.randrange(len(data) * 8) if choose.random() < 0.7 else choose.choice(
            [choose.randrange(8 * 3000), len(data) * 8 - 1 - choose.randrange(8 * 600)])
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        if refused_or_whole(arena, bytes(flipped), "a." + suffix, packed, f"bit {bit}"):
            reset(arena)


@pytest.mark.parametrize("suffix", ["tgz", "tar.zst", "tar.xz", "tar.bz2"])
def test_a_flipped_bit_of_theirs_never_crashes_and_changes_nothing_if_refused(arena, tree, suffix):
    data = (tree / ("gnu." + suffix)).read_bytes()
    choose = random.Random(suffix)
    for _ in range(15 * MORE):
        flipped = bytearray(data)
        bit = choose.randrange(len(data) * 8)
        flipped[bit // 8] ^= 1 << bit % 8
        arena.contained(bytes(flipped), "a." + suffix)


def installed(base):
    """A directory that can become a wheel or an egg."""
    write(base / "pkg" / "__init__.py", "x = 1\n", ns=10**18)
    write(base / "pkg" / "k.py", noise(3000), ns=10**18)
    index(base / "pkg" / "k.py")
    write(base / "pkg-1.dist-info" / "METADATA", "Metadata-Version: 2.1\nName: pkg\nVersion: 1\n")
    write(base / "pkg-1.dist-info" / "WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    write(base / "pkg-1.dist-info" / "RECORD", "pkg/__init__.py,,\npkg/k.py,,\n")
    write(base / "EGG-INFO" / "PKG-INFO", "Metadata-Version: 1.0\nName: pkg\nVersion: 1\n")
    return base


@pytest.mark.parametrize("suffix", ["zip", "egg", "whl"])
def test_a_flipped_bit_of_a_zip_never_crashes_and_changes_nothing_if_refused(arena, tmp_path, suffix):
    base, warmpack = installed(tmp_path / "i"), Runner(tmp_path)
    warmpack.ok("create", "-qf", "a." + suffix, "-C", base, *sorted(os.listdir(base)))
    data = (tmp_path / ("a." + suffix)).read_bytes()
    choose = random.Random(suffix)
    for _ in range(20 * MORE):
        flipped = bytearray(data)
        bit = choose.choice([choose.randrange(len(data) * 8),
                             len(data) * 8 - 1 - choose.randrange(8 * 900)])
        flipped[bit // 8] ^= 1 << bit % 8
        arena.contained(bytes(flipped), "a." + suffix)


@pytest.mark.parametrize("suffix, record", [("whl", "pkg-1.dist-info/RECORD"),
                                            ("egg", "EGG-INFO/SOURCES.txt")])
def test_a_damaged_record_is_refused_or_without_effect(arena, tmp_path, suffix, record):
    base, warmpack = installed(tmp_path / "i"), Runner(tmp_path)
    choose = random.Random(suffix)
    lines = b"pkg/__init__.py,sha256=" + b"A" * 43 + b",6\npkg/k.py,,\n\"a,\"\"b\",,\n"
    for turn in range(20 * MORE):
        damaged = bytearray(lines)
        for _ in range(choose.randrange(1, 6)):
            at = choose.randrange(len(damaged))
            damaged[at:at + choose.randrange(3)] = choose.choice(
                [b"\0", b'"', b",", b"\n", b"\xff", b"../../", b"/", b"9" * 30, b""])
        with zipfile.ZipFile(tmp_path / "plain.zip", "w") as out:
            for path in sorted(p for p in base.rglob("*") if p.is_file()):
                name = str(path.relative_to(base))
                out.writestr(name, bytes(damaged) if name == record else path.read_bytes())
            if not (base / record).exists():
                out.writestr(record, bytes(damaged))
        os.replace(tmp_path / "plain.zip", tmp_path / ("plain." + suffix))
        made = tmp_path / ("made." + suffix)
        made.unlink(missing_ok=True)
        done = warmpack("amend", "-f", "plain." + suffix, "-o", made)
        arena.sane(done)
        assert made.exists() == (done.returncode == 0), (turn, done)
        if made.exists():
            arena.contained(made.read_bytes(), "a." + suffix)


@pytest.mark.parametrize("suffix", ["tgz", "tar.zst"])
@pytest.mark.parametrize("garbage", [b"garbage" * 100, b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"x",
                                     b"\x1f\x8b\x08\x00" + bytes(20)], ids=repr)
def test_garbage_behind_a_compressed_archive_is_refused(arena, tree, suffix, garbage):
    arena.refused((tree / ("a." + suffix)).read_bytes() + garbage, name="a." + suffix)


@pytest.mark.parametrize("suffix", ["tgz", "tar.zst"])
def test_a_second_archive_behind_the_first_is_refused_or_ignored(arena, tree, suffix):
    """What lies behind the manifest was never recorded."""
    second = tar(file("app/smuggled"))
    more = gz(second) if suffix == "tgz" else run("zstd", "-c", stdin=second)
    arena.contained((tree / ("a." + suffix)).read_bytes() + more, "a." + suffix)
    assert not (arena.out / "app/smuggled").exists()


@pytest.mark.parametrize("size", [b"-1", b"zzzzzzzzzzz", b"77777777777", b"\x80" + b"\xff" * 11,
                                  b"\xff" * 12, b"\xff" * 11 + b"\x00", b"\x80" + b"\0" * 3
                                  + b"\x7f" + b"\xff" * 7], ids=repr)
@pytest.mark.parametrize("packing", ["plain", "gz", "pipe"])
def test_sizes_that_lie_are_refused(arena, size, packing):
    data = tar(file("app/new", "new"), header("app/lie", size=size) + padded(b"short"))
    arena.refused(gz(data) if packing == "gz" else data, pipe=packing == "pipe")


@pytest.mark.parametrize("size", ["-1", "9223372036854775807", "9223372036854775808", "1e9",
                                  "18446744073709551616", "99999999999999999999999", "x", "100000"])
def test_sizes_of_pax_records_that_lie_are_refused(arena, size):
    arena.refused(tar(file("app/new", "new"), pax(("size", size)) + file("app/lie", "short")))


@pytest.mark.parametrize("records", [
    b"", b"\n", b"5", b"0 a=b\n", b"-6 a=b\n", b"99 path=x\n", b"999999999999999999999 path=x\n",
    b"8 path=x", b"9 path=x", b"10 path=x\n10 path", b"6 path\n", b"4 =\n", b"10 path=x\0\0" * 100,
    b"7 a=b\n\n", b"12 mtime=x.y\n", b"30 mtime=99999999999999999\n", b"13 uid=-12345\n",
    b"25 mtime=1e400\n0000000000\n"], ids=repr)
def test_extended_headers_that_lie_never_crash(arena, records):
    arena.contained(tar(pax(records) + file("app/new", "new")))


@pytest.mark.parametrize("records", [
    [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "10"),
     ("GNU.sparse.name", "app/sparse")],
    [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "-1"),
     ("GNU.sparse.name", "../canary")],
    [("GNU.sparse.size", "100"), ("GNU.sparse.numblocks", "2"),
     ("GNU.sparse.map", "0,50,10,50")],
    [("GNU.sparse.size", "9999999999999999"), ("GNU.sparse.numblocks", "1"),
     ("GNU.sparse.map", "9223372036854775800,500")],
    [("GNU.sparse.size", "10"), ("GNU.sparse.map", "5,100")],
    [("GNU.sparse.size", "-10"), ("GNU.sparse.map", "-5,1")]])
@pytest.mark.parametrize("content", [b"1\n0\n512\n", b"9999999999\n", b"1\n-5\n10\n",
                                     b"2\n0\n512\n0\n512\n"])
def test_sparse_maps_that_lie_are_contained(arena, records, content):
    arena.contained(tar(pax(*records) + file("app/sparse", padded(content) + bytes(512))))


def test_a_wrong_checksum_is_refused(arena):
    arena.refused(tar(file("app/new", "new"), file("app/lie", "lie", checksum=b"0001234\0")))


@pytest.mark.parametrize("content", [b"", b"\n", b"text, not an archive\n" * 100, noise(100_000),
                                     b"Salted__" + noise(5000), b"PK\x03\x04" + noise(500),
                                     b"\x1f\x8b\x08\x00" + noise(500), b"\x1f\x8b", b"\x28\xb5\x2f\xfd",
                                     b"\x28\xb5\x2f\xfd" + noise(300), b"BZh9" + noise(300),
                                     b"\xfd7zXZ\0" + noise(300), gz(b""), gz(b"text" * 1000),
                                     gz(noise(5000)), b"\0" * 100, b"\0" * 511,
                                     b"-----BEGIN PGP MESSAGE-----\n\nhQEMA\n"],
                         ids=lambda content: repr(content[:10]))
@pytest.mark.parametrize("pipe", [False, True])
def test_what_is_no_archive_is_refused_by_name(arena, content, pipe):
    arena.refused(content, "standard input" if pipe else "a.tgz", name="a.tgz", pipe=pipe)


@pytest.mark.parametrize("verb", ["extract", "list", "verify"])
def test_a_directory_is_no_archive(arena, verb):
    refused(arena.run(verb, "-f", arena.out), str(arena.out))


@pytest.mark.parametrize("what", ["/dev/null", "fifo", "/proc/self/mem"])
def test_odd_files_are_no_archives(arena, what):
    if what == "fifo":
        os.mkfifo(arena.base / "fifo")
        subprocess.Popen(["sh", "-c", ": > fifo"], cwd=arena.base)
    before = arena.look()
    refused(arena.run("extract", "-f", what, "-C", arena.out), what)
    assert_same(before, arena.look())


# ---- Bombs -------------------------------------------------------------------------------------

MEASURE = """
import os, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, state, usage = os.wait4(child.pid, 0)
child.returncode = os.waitstatus_to_exitcode(state)
print(child.returncode, usage.ru_maxrss)
"""


def peak_memory(*words, cwd, status=(0,)):
    """Bytes that one run had in memory at most; its output is thrown away. To Linux they begin with
    what its parent had, so that is a process of its own: this one has what all tests before it
    took."""
    done = subprocess.run([sys.executable, "-S", "-c", MEASURE, BINARY, *map(str, words)], cwd=cwd,
                          capture_output=True, check=True, env=environment(cwd), timeout=300)
    code, kilobytes = map(int, done.stdout.split())
    assert code in status, done.stderr
    return kilobytes * 1024


def zeros(before, count, after=b""):
    """gzip of BEFORE, COUNT MiB of zeros and AFTER."""
    z = zlib.compressobj(1, wbits=31)
    block = bytes(1 << 20)
    return b"".join([z.compress(before), *(z.compress(block) for _ in range(count)),
                     z.compress(after), z.flush()])


with open(BINARY, "rb") as program:
    SANITIZED = re.search(rb"__[at]san_init", program.read()) is not None
no_sanitizer = pytest.mark.skipif(SANITIZED, reason="a sanitizer keeps freed memory")
BOUND = 200 << 20


@no_sanitizer
@pytest.mark.parametrize("words", [["-xOf"], ["-tf"]])
def test_a_huge_member_of_a_small_archive_takes_little_memory(tmp_path, words):
    (tmp_path / "a.tgz").write_bytes(zeros(header("app/big", size=400 << 20), 400, END))
    assert peak_memory(*words, "a.tgz", cwd=tmp_path) < BOUND


@no_sanitizer
@pytest.mark.parametrize("type", [b"x", b"g", b"L", b"K"])
def test_a_huge_extended_header_takes_little_memory(tmp_path, type):
    """A name of 400 MiB is no name."""
    (tmp_path / "a.tgz").write_bytes(
        zeros(file("app/new", "new") + header("x", type=type, size=400 << 20), 400,
              file("app/more") + END))
    for words in (["-xf", "a.tgz", "-C", "out"], ["-tf", "a.tgz"]):
        assert peak_memory(*words, cwd=tmp_path, status=(0, 2)) < BOUND


@no_sanitizer
def test_a_huge_manifest_takes_little_memory(tmp_path):
    mark = pax(("comment", "warmpack-manifest=app/.warmpack/0123456789abcdef/manifest.jsonl"),
               type=b"g")
    name = "app/.warmpack/0123456789abcdef/manifest.jsonl"
    (tmp_path / "a.tgz").write_bytes(
        zeros(mark + directory("app") + header(name, size=400 << 20), 400, END))
    for words, status in ((["-xf", "a.tgz", "-C", "out"], 2), (["verify", "-f", "a.tgz"], 2),
                          (["-tf", "a.tgz"], 0)):
        assert peak_memory(*words, cwd=tmp_path, status=(status,)) < BOUND


def plain_tar_of_zeros(path, mark, name, size):
    """Its manifest is found by looking back from the end, where something stands; the rest of it is
    a hole of the disk."""
    before = mark + directory("app")
    before += pax(("comment", f"warmpack-manifest-offset={len(before)}")) + header(name, size=size)
    with open(path, "wb") as archive:
        archive.write(before)
        archive.seek(size - 1, os.SEEK_CUR)
        archive.write(b"x")
        archive.truncate(archive.tell() + len(END))


def zip_of_zeros(path, mark, name, size):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.comment = mark
        with archive.open(name, "w") as entry:
            for _ in range(size >> 20):
                entry.write(bytes(1 << 20))


@no_sanitizer
@pytest.mark.parametrize("suffix", ["tar", "zip"])
def test_a_huge_manifest_that_is_found_at_once_takes_little_memory(tmp_path, suffix):
    name = "app/.warmpack/0123456789abcdef/manifest.jsonl"
    mark = "warmpack-manifest=" + name
    if suffix == "tar":
        plain_tar_of_zeros(tmp_path / "a", pax(("comment", mark), type=b"g"), name, 400 << 20)
    else:
        zip_of_zeros(tmp_path / "a", mark.encode(), name, 400 << 20)
    for words in (["-tf", "a"], ["verify", "-f", "a"], ["inspect", "-f", "a"]):
        assert peak_memory(*words, cwd=tmp_path, status=(0, 1, 2)) < BOUND


@no_sanitizer
@pytest.mark.parametrize("tool", [["zstd", "-1", "--long=31"], ["xz", "--lzma2=dict=256MiB"]])
def test_a_huge_window_takes_little_memory(tmp_path, tool):
    """Decompressors must be told how much they may take."""
    (tmp_path / "a").write_bytes(run(*tool, "-c", stdin=tar(file("app/new", bytes(100_000)))))
    assert peak_memory("-xf", "a", "-C", "out", cwd=tmp_path, status=(0, 2)) < 2 * BOUND


@no_sanitizer
def test_a_hundred_thousand_empty_members_take_little_memory(tmp_path):
    data = b"".join(symlink(f"app/{i}", "x") for i in range(100_000)) + END
    (tmp_path / "a.tar").write_bytes(data)
    assert peak_memory("-tf", "a.tar", cwd=tmp_path) < BOUND


@pytest.mark.parametrize("limit", [100, 160])
def test_address_space_that_runs_out_is_an_error_not_a_crash(arena, limit):
    data = zeros(header("app/big", size=50 << 20), 50, END)
    path = arena.archive(data, "a.tgz")
    before = arena.look()
    if SANITIZED:
        return  # it takes terabytes
    result = arena.run("extract", "-f", path, "-C", arena.out, preexec_fn=lambda: resource.setrlimit(
        resource.RLIMIT_AS, (limit << 20, limit << 20)))
    if result.returncode == 127:
        return  # not even its libraries fit
    assert result.returncode in (0, 2), result
    if result.returncode == 2:
        refused(result)
        assert_same(before, arena.look())


# ---- What has no end ---------------------------------------------------------------------------

@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom", "/dev/full"])
@pytest.mark.parametrize("verb", ["list", "verify", "extract", "inspect", "env"])
def test_what_never_ends_is_refused_soon(arena, device, verb):
    where = ["-C", arena.out] if verb == "extract" else []
    before = arena.look()
    refused(arena.run(verb, "-f", device, *where, timeout=60), device)
    with open(device, "rb") as file:
        refused(arena.run(verb, "-f", "-", *where, stdin=file, timeout=60), "standard input")
    assert_same(before, arena.look())


def test_the_signature_of_an_entry_that_comes_up_by_chance_begins_no_zip(arena):
    (arena.base / "noise").write_bytes(b"\xff" * 3 + noise(1 << 20) + b"PK\3\4" + b"\xff" * 40)
    feed = subprocess.Popen(["sh", "-c", "while cat noise; do :; done"], cwd=arena.base,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    refused(arena.run("list", "-f", "-", stdin=feed.stdout, timeout=60), "standard input")
    feed.stdout.close()
    feed.wait(60)


@pytest.mark.parametrize("ours_or_not", ["ours", "foreign"])
@pytest.mark.parametrize("squeeze", ["cat", "gzip -1"])
def test_zeros_without_end_behind_an_archive_are_not_waited_for(arena, tree, ours_or_not, squeeze):
    if ours_or_not == "ours":
        arena.archive((tree / "a.tar").read_bytes())
    else:
        arena.archive(tar(file("app/one", "1")))
    feed = subprocess.Popen(["sh", "-c", f"cat a.tar /dev/zero | {squeeze}"], cwd=arena.base,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    result = arena.run("list", "-f", "-", stdin=feed.stdout, timeout=120)
    feed.stdout.close()
    assert feed.wait(60) != 0 or squeeze != "cat"
    assert result.returncode == (2 if ours_or_not == "ours" else 0), result
    assert b"follows" in result.stderr


def test_an_empty_archive_may_be_padded(arena):
    arena.run.ok("list", "-f", arena.archive(bytes(1 << 20)))
