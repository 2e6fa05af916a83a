"""Others read what we write, and we read what others write."""

import gzip
import os
import pathlib
import subprocess
import sys
import tarfile
import zipfile

import pytest
from trees import (SECOND, Runner, assert_same, environment, index, leftovers, look, noise, refused,
                   run, set_time, write)

HERE = pathlib.Path(__file__).resolve().parent
LONG = "d" * 150 + "/" + "f" * 140


def fill(app, *, old=True, long=True, bytes_in_names=True):
    """What tars of all ages agree on; the parameters add what only some do."""
    for size in (0, 1, 511, 512, 513, 2_500_000):
        write(app / "sizes" / str(size), noise(size, size), 0o640,
              1_795_339_396 * SECOND + size * 1001)
    write(app / "exec", b"#!/bin/sh\n", 0o755, 1_000_000_000 * SECOND)
    write(app / "größe.py", "x = 1\n", ns=1_600_000_000 * SECOND + 500_000_000)
    (app / "empty").mkdir()
    (app / "link").symlink_to("sizes/1")
    (app / "dangling").symlink_to("no/such")
    os.link(app / "exec", app / "hard")
    if long:
        write(app / LONG, b"long")
        write(app / ("e" * 120) / ("g" * 255), b"longer")
        os.symlink("t" * 300, app / "far")
    if old:
        write(app / "old", b"", ns=-86400 * SECOND)
        write(app / "older", b"", ns=-SECOND // 2)
        write(app / "late", b"", ns=2**33 * SECOND + 7)
    if bytes_in_names:
        write(os.fsencode(app) + b"/\xff\xfe", b"x")
        write(app / "new\nline", b"x")
    for directory, _, files in os.walk(app):
        for path in [directory] + [os.path.join(directory, name) for name in files]:
            if not os.path.isfile(path) or os.path.islink(path):
                set_time(path, 1_500_000_000 * SECOND + 123_456_789)
    set_time(app, 1_400_000_000 * SECOND + 987_654_321)


def make(base, **kinds):
    (base / "app").mkdir()
    fill(base / "app", **kinds)
    return base, look(base)


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    return make(tmp_path_factory.mktemp("rich"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """What ustar holds."""
    return make(tmp_path_factory.mktemp("plain"), old=False, long=False, bytes_in_names=False)


@pytest.fixture(scope="module")
def middle(tmp_path_factory):
    """What needs extensions, but neither odd names nor times."""
    return make(tmp_path_factory.mktemp("middle"), old=False, bytes_in_names=False)


def whole_seconds(snapshot):
    return {path: {**entry, "mtime": entry["mtime"] // SECOND}
            for path, entry in snapshot.items()}


def as_doubles(snapshot):
    """Seconds, as near as a double comes: what Python reads back is the same double, whatever the
    clock said. Where doubles are finer than a nanosecond, microseconds are enough."""
    return {path: {**entry, "mtime": round(entry["mtime"] / 10**9, 6)}
            for path, entry in snapshot.items()}


# ---- They read ours ----------------------------------------------------------------------------

OURS = {"tgz": [], "tgz-of-one-member": ["--gzip-members", "one"], "tar": [], "tar.zst": []}


def pack(tmp_path, base, form):
    archive = tmp_path / ("a." + form.split("-")[0])
    Runner(tmp_path).ok("create", *OURS[form], "-qf", archive, "-C", base, "app")
    (tmp_path / "out").mkdir()
    return archive


@pytest.mark.parametrize("form", OURS)
@pytest.mark.parametrize("words", [[], ["--ignore-zeros"]])
def test_gnu_tar_reads_ours_to_the_nanosecond_and_without_a_word(tmp_path, rich, form, words):
    base, packed = rich
    archive = pack(tmp_path, base, form)
    done = subprocess.run(["tar", "--warning=no-timestamp", *words, "-xpf", archive, "-C",
                           tmp_path / "out"], capture_output=True,
                          env=environment(tmp_path), check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert_same(packed, look(tmp_path / "out"))


@pytest.mark.parametrize("form", OURS)
def test_bsdtar_reads_ours_to_the_nanosecond(tmp_path, rich, form):
    base, packed = rich
    archive = pack(tmp_path, base, form)
    run("bsdtar", "-xpf", archive, "-C", tmp_path / "out")
    # libarchive 3.6 takes the last half second before 1970 for the one after it.
    def comparable(snapshot):
        return {p: {**e, "mtime": 0} if p == b"app/older" else e for p, e in snapshot.items()}
    assert_same(comparable(packed), comparable(look(tmp_path / "out")))


@pytest.mark.parametrize("form", ["tgz", "tgz-of-one-member", "tar"])
def test_busybox_reads_ours(tmp_path, plain, form):
    """It knows whole seconds only, and no long names."""
    base, packed = plain
    archive = pack(tmp_path, base, form)
    run("busybox", "tar", "-xp", *(["-z"] if "tgz" in form else []), "-f", archive,
        "-C", tmp_path / "out")
    # busybox sets no times of symlinks, nor of directories that it writes into afterwards.
    def comparable(snapshot):
        return {p: e if "size" in e else {**e, "mtime": 0}
                for p, e in whole_seconds(snapshot).items()}
    assert_same(comparable(packed), comparable(look(tmp_path / "out")))


PYTHON_READS = """
import sys, tarfile
with tarfile.open(sys.argv[1], sys.argv[2]) as archive:
    archive.extractall(sys.argv[3])
"""


@pytest.mark.parametrize("form, mode", [("tgz", "r:gz"), ("tgz-of-one-member", "r:gz"),
                                        ("tgz-of-one-member", "r|gz"), ("tar", "r:"),
                                        ("tar", "r|")])
def test_python_reads_ours(tmp_path, rich, form, mode):
    base, packed = rich
    archive = pack(tmp_path, base, form)
    run(sys.executable, "-c", PYTHON_READS, archive, mode, tmp_path / "out")
    unpacked = look(tmp_path / "out")
    # tarfile sets no times of symlinks.
    def comparable(snapshot):
        return {p: {**e, "mtime": 0} if "target" in e else e
                for p, e in as_doubles(snapshot).items()}
    assert_same(comparable(packed), comparable(unpacked))


@pytest.fixture(scope="module")
def java_class(tmp_path_factory):
    path = tmp_path_factory.mktemp("java")
    run("javac", "-d", path, HERE / "Names.java")
    return path


@pytest.mark.parametrize("form", ["tgz", "tgz-of-one-member"])
def test_java_reads_ours_from_a_file_to_the_end(tmp_path, middle, java_class, form):
    base, packed = middle
    archive = pack(tmp_path, base, form)
    listed = run("java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8",
                 "-Dstdout.encoding=UTF-8", "-cp", java_class, "Names", archive)
    sizes = {}
    for line in listed.splitlines():
        size, name = line.split(b" ", 1)
        sizes[name.rstrip(b"/")] = int(size)
    assert packed.keys() <= sizes.keys()
    for path, entry in packed.items():
        if "size" in entry:  # of several names, all but one are headers without content
            assert max(sizes[name] for name in entry["links"]) == entry["size"], path
    assert any(name.endswith(b"/manifest.jsonl") for name in sizes)


@pytest.mark.parametrize("tool", [["gzip", "-dc"], ["pigz", "-dc"], ["busybox", "gunzip", "-c"],
                                  ["zcat"]])
def test_gunzips_inflate_ours_to_the_same_tar(tmp_path, rich, tool):
    base, _ = rich
    archive = pack(tmp_path, base, "tgz")
    one = tmp_path / "one.tgz"
    Runner(tmp_path).ok("create", "--gzip-members", "one", "-qf", one, "-C", base, "app")
    inflated = [run("sh", "-c", f'{" ".join(tool)} < "$0"', path) for path in (archive, one)]
    with gzip.open(one) as file:
        assert inflated[0] == inflated[1] == file.read()


# ---- We read theirs ----------------------------------------------------------------------------

COMPRESSIONS = {"none": [], "gz": ["-z"], "bz2": ["-j"], "xz": ["-J"], "zst": ["--zstd"]}


def unpack(tmp_path, archive, *options):
    result = Runner(tmp_path).ok("extract", "-pf", archive, "-C", "out", *options)
    assert result.stderr.count(b"\n") == 1, result.stderr  # the summary
    assert not leftovers(tmp_path / "out")
    return look(tmp_path / "out", ours=True)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_gnu_tar_in_pax_format_is_read_to_the_nanosecond(tmp_path, rich, compression):
    base, packed = rich
    run("tar", "--format=pax", "-c", *COMPRESSIONS[compression], "-f", tmp_path / "a",
        "-C", base, "app")
    assert_same(packed, unpack(tmp_path, "a"))


def test_libarchive_is_needed_only_where_an_archive_needs_it(tmp_path):
    write(tmp_path / "src" / "app" / "k.py", "x = 1\n" * 100)
    for name, compression in (("a.tgz", "gz"), ("a.tar.xz", "xz"), ("a.tar.bz2", "bz2")):
        run("tar", "-c", *COMPRESSIONS[compression], "-f", tmp_path / name,
            "-C", tmp_path / "src", "app")
    for name, method in (("a.zip", zipfile.ZIP_DEFLATED), ("odd.zip", zipfile.ZIP_LZMA)):
        with zipfile.ZipFile(tmp_path / name, "w", method) as archive:
            archive.write(tmp_path / "src" / "app" / "k.py", "app/k.py")
    write(tmp_path / "broken" / "libarchive.so.13", "this is no library\n")
    warmpack, env = Runner(tmp_path), {"LD_LIBRARY_PATH": str(tmp_path / "broken")}
    warmpack.ok("create", "-f", "own.tgz", "-C", "src", "app", env=env)
    for name in ("own.tgz", "a.tgz", "a.zip"):
        warmpack.ok("extract", "-f", name, "-C", "out-" + name, env=env)
    for name in ("a.tar.xz", "a.tar.bz2", "odd.zip"):
        refused(warmpack("extract", "-f", name, "-C", "out", env=env), name, "libarchive.so.13")
        assert not (tmp_path / "out").exists()
        warmpack.ok("extract", "-f", name, "-C", "out-" + name)


@pytest.mark.parametrize("compression", ["gz", "none"])
def test_gnu_tar_in_gnu_format_is_read(tmp_path, rich, compression):
    base, packed = rich
    run("tar", "--format=gnu", "-c", *COMPRESSIONS[compression], "-f", tmp_path / "a",
        "-C", base, "app")
    assert_same(whole_seconds(packed), whole_seconds(unpack(tmp_path, "a")))


@pytest.mark.parametrize("form", ["ustar", "v7"])
def test_gnu_tar_in_old_formats_is_read(tmp_path, plain, form):
    base, packed = plain
    run("tar", "--format=" + form, "-czf", tmp_path / "a", "-C", base, "app")
    assert_same(whole_seconds(packed), whole_seconds(unpack(tmp_path, "a")))


@pytest.mark.parametrize("form", ["pax", "gnu"])
def test_sparse_members_of_gnu_tar_are_read(tmp_path, form):
    (tmp_path / "app").mkdir()
    with open(tmp_path / "app" / "sparse", "wb") as file:
        for i in range(30):
            file.seek(i * 300_001)
            file.write(noise(50, i))
        file.truncate(10_000_000)
    with open(tmp_path / "app" / "hole", "wb") as file:
        file.truncate(5_000_000)
    run("tar", "--format=" + form, "-cSf", tmp_path / "a", "-C", tmp_path, "app")
    assert_same(whole_seconds(look(tmp_path / "app")),
                whole_seconds({p[4:]: {**e, "links": tuple(n[4:] for n in e.get("links", ()))}
                               if "links" in e else e
                               for p, e in unpack(tmp_path, "a").items() if p != b"app"}))


@pytest.mark.parametrize("form", ["pax", "gnutar", "ustar"])
def test_bsdtar_is_read(tmp_path, rich, plain, middle, form):
    base, packed = {"pax": middle, "gnutar": middle, "ustar": plain}[form]
    run("bsdtar", "--format=" + form, "-czf", tmp_path / "a", "-C", base, "app")
    unpacked = unpack(tmp_path, "a")
    if form == "pax":
        assert_same(packed, unpacked)
    else:
        assert_same(whole_seconds(packed), whole_seconds(unpacked))


@pytest.mark.parametrize("long", [False, True])
def test_busybox_is_read(tmp_path, plain, middle, long):
    base, packed = middle if long else plain
    run("busybox", "tar", "-czf", tmp_path / "a", "-C", base, "app")
    assert_same(whole_seconds(packed), whole_seconds(unpack(tmp_path, "a")))


@pytest.mark.parametrize("form", ["PAX_FORMAT", "GNU_FORMAT", "USTAR_FORMAT"])
def test_python_is_read(tmp_path, rich, plain, form):
    base, packed = plain if form == "USTAR_FORMAT" else rich
    with tarfile.open(tmp_path / "a", "w:gz", format=getattr(tarfile, form),
                      compresslevel=1) as archive:
        archive.add(base / "app", "app")
    unpacked = unpack(tmp_path, "a")
    if form == "PAX_FORMAT":
        assert_same(as_doubles(packed), as_doubles(unpacked))
    else:
        # Python cuts fractions towards 0.
        def cut(snapshot):
            return {p: e for p, e in whole_seconds(snapshot).items() if p != b"app/older"}
        assert_same(cut(packed), cut(unpacked))


@pytest.mark.parametrize("tool", ["tar", "bsdtar"])
def test_names_that_begin_with_a_dot_and_slash_are_the_same_names(tmp_path, plain, tool):
    base, packed = plain
    run(tool, "-czf", tmp_path / "a", "-C", base, "--format=pax", "./app")
    assert_same(packed, unpack(tmp_path, "a"))
    run(tool, "-cf", tmp_path / "b", "-C", base, "--format=pax", ".")
    unpacked = Runner(tmp_path).ok("-xpf", "b", "-C", "dot")
    assert_same(packed, look(tmp_path / "dot"))
    assert unpacked.returncode == 0


def test_theirs_is_read_from_a_pipe(tmp_path, rich):
    base, packed = rich
    with subprocess.Popen(["tar", "--format=pax", "-cJf", "-", "-C", base, "app"],
                          stdout=subprocess.PIPE) as tar:
        Runner(tmp_path).ok("-xpf", "-", "-C", "out", stdin=tar.stdout)
    assert_same(packed, look(tmp_path / "out"))


def test_appended_archives_are_read_like_gnu_tar_does(tmp_path, plain):
    """tar -r replaces by appending: the last one counts."""
    base, _ = plain
    write(tmp_path / "app" / "k.py", "old\n", ns=SECOND)
    run("tar", "--format=pax", "-cf", tmp_path / "a", "-C", tmp_path, "app")
    write(tmp_path / "app" / "k.py", "newer\n", ns=2 * SECOND)
    run("tar", "--format=pax", "-rf", tmp_path / "a", "-C", tmp_path, "app/k.py")
    unpacked = unpack(tmp_path, "a")
    assert unpacked[b"app/k.py"]["mtime"] == 2 * SECOND
    assert (tmp_path / "out/app/k.py").read_text() == "newer\n"


@pytest.mark.parametrize("stale", [False, True])
def test_stale_indexes_of_theirs_are_warned_about_and_that_is_all(tmp_path, stale):
    source = write(tmp_path / "app" / "k.py", "x = 1\n", ns=1_595_339_396 * SECOND + 456_441_290)
    index(source)
    # GNU's own format drops the fraction that the index remembers; pax keeps it.
    run("tar", "--format=" + ("gnu" if stale else "pax"), "-czf", tmp_path / "a.tgz",
        "-C", tmp_path, "app")
    result = Runner(tmp_path).ok("-xf", "a.tgz", "-C", "out")
    said = result.stderr.decode()
    assert result.stdout == b""
    assert ("stale" in said) == stale, said
    assert ("0 of 1" if stale else "1 of 1") + " cache index" in said
    assert (tmp_path / "out/app/k.py").exists()
