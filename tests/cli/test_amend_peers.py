"""Archives as other tools write them, amended, and read by the others again."""

import bz2
import io
import pathlib
import shutil
import stat
import struct
import sys
import zipfile
import zlib

import pytest
from test_amend import TIME, contents, make_zip, source
from trees import refused, run, write

HERE = pathlib.Path(__file__).parent
FILES = ("pkg/__init__.py", "pkg/k.py", "pkg/deep/__init__.py", "pkg/deep/m.py", "pkg/plain.py",
         "pkg/data.bin")
__all__ = ["source"]


def with_zipfile(path, compression, **more):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name in FILES:
            with archive.open(name, "w", **more) as file:
                file.write(pathlib.Path(name).read_bytes())


def by_hand(path, method, compress):
    """A zip whose entries are compressed by METHOD, which zipfile cannot write."""
    out, directory = io.BytesIO(), b""
    for name in FILES:
        data = pathlib.Path(name).read_bytes()
        packed = compress(data)
        head = struct.pack("<HHHHHIIIHH", 63, 0, method, 0, 33 | 40 << 9, zlib.crc32(data),
                           len(packed), len(data), len(name), 0)
        directory += (struct.pack("<IH", 0x02014B50, 63) + head
                      + struct.pack("<HHHII", 0, 0, 0, 0o100644 << 16, out.tell()) + name.encode())
        out.write(struct.pack("<I", 0x04034B50) + head + name.encode() + packed)
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, len(FILES), len(FILES), len(directory),
                      out.tell(), 0)
    path.write_bytes(out.getvalue() + directory + end)


def piped(path, *words):
    path.write_bytes(run(*words))


TOOLS = {
    "zip": lambda p: run("zip", "-q", p, *FILES),
    "zip with directories": lambda p: run("zip", "-qr", p, "pkg", "-x", "*__pycache__*"),
    "zip stored": lambda p: run("zip", "-q0", p, *FILES),
    "zip with bzip2": lambda p: run("zip", "-q", "-Z", "bzip2", p, *FILES),
    "zip to a pipe": lambda p: piped(p, "zip", "-q", "-", *FILES),
    "bsdtar": lambda p: run("bsdtar", "--format=zip", "-cf", p, *FILES),
    "bsdtar to a pipe": lambda p: piped(p, "bsdtar", "--format=zip", "-cf", "-", *FILES),
    "jar": lambda p: run("jar", "cf", p, *FILES),
    "zipfile": lambda p: with_zipfile(p, zipfile.ZIP_DEFLATED),
    "zipfile stored": lambda p: with_zipfile(p, zipfile.ZIP_STORED),
    "zipfile with bzip2": lambda p: with_zipfile(p, zipfile.ZIP_BZIP2),
    "zipfile with lzma": lambda p: with_zipfile(p, zipfile.ZIP_LZMA),
    "zipfile with zip64": lambda p: with_zipfile(p, zipfile.ZIP_DEFLATED, force_zip64=True),
    "zstd": lambda p: by_hand(p, 93, lambda d: run("zstd", "-qc", stdin=d)),
    "xz": lambda p: by_hand(p, 95, lambda d: run("xz", "-c", stdin=d)),
    "bzip2": lambda p: by_hand(p, 12, bz2.compress),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_zip_of_any_tool_is_amended_and_read_by_all(warmpack, tmp_path, source, tool, monkeypatch):
    monkeypatch.chdir(source)
    archive = tmp_path / "a.zip"
    TOOLS[tool](archive)
    warmpack.ok("amend", "-f", archive, "--source", source)
    first = archive.read_bytes()
    warmpack.ok("amend", "-f", archive, "--source", source)
    assert archive.read_bytes() == first
    expected = {name: pathlib.Path(name).read_bytes() for name in FILES}

    assert expected.items() <= contents(archive).items()
    with zipfile.ZipFile(archive) as file:
        assert file.testzip() is None
    assert b"No errors detected" in run("unzip", "-tq", archive)
    names = set(run("bsdtar", "-tf", archive).decode().split())
    assert expected.keys() <= names
    run("bsdtar", "-xf", archive, "-O")
    said = run(sys.executable, "-c", f"import sys; sys.path[0] = {str(archive)!r}\n"
               "import pkg.k, pkg.deep.m; print(pkg.k.__file__)", cwd=tmp_path)
    assert said.decode().strip() == f"{archive}/pkg/k.py"
    done = warmpack.ok("extract", "-f", archive, "-C", "out")
    assert b"2 of 2 cache indexes valid" in done.stderr
    assert (tmp_path / "out/pkg/k.py").stat().st_mtime_ns == TIME


@pytest.mark.parametrize("tool", ["zip to a pipe", "jar", "zstd"])
def test_java_reads_an_amended_zip_as_a_stream_and_as_a_file(warmpack, tmp_path, source, tool,
                                                             monkeypatch):
    monkeypatch.chdir(source)
    archive = tmp_path / "a.zip"
    TOOLS[tool](archive)
    warmpack.ok("amend", "-f", archive, "--source", source)
    said = dict(reversed(line.split(" ", 1)) for line in run(
        "java", HERE / "ZipNames.java", archive).decode().splitlines())
    for name in FILES:
        assert int(said[name]) == (source / name).stat().st_size


def test_a_zip_of_more_entries_than_the_old_format_counts_is_amended(warmpack, tmp_path, source):
    archive = make_zip(tmp_path / "a.zip", source,
                       extra=[(f"data/{i}", b"") for i in range(70_000)])
    warmpack.ok("amend", "-f", archive, "--source", source)
    with zipfile.ZipFile(archive) as file:
        assert len(file.namelist()) > 70_000
    assert b"2 of 2" in warmpack.ok("verify", "-f", archive).stderr


def test_a_program_before_a_zip_is_not_lost(warmpack, tmp_path, source):
    archive = make_zip(tmp_path / "a.zip", source)
    archive.write_bytes(b"\x7fELF" + bytes(100) + archive.read_bytes())
    before = archive.read_bytes()
    refused(warmpack("amend", "-f", archive, "--source", source), "a.zip", "would be lost")
    assert archive.read_bytes() == before


@pytest.fixture
def application(tmp_path, source):
    """What zipapp makes of the sources, which runs by itself."""
    write(source / "__main__.py", "import pkg.k\nprint(pkg.k.__name__)\n", ns=TIME)
    shutil.copytree(source, tmp_path / "bare", ignore=shutil.ignore_patterns("*.nb?"))
    run(sys.executable, "-m", "zipapp", tmp_path / "bare", "-p", sys.executable,
        "-o", tmp_path / "a.pyz")
    return tmp_path / "a.pyz"


AS_ZIP = ("--format", "zip")


def test_an_application_that_begins_with_an_interpreters_name_runs_when_it_is_amended(
        warmpack, tmp_path, source, application):
    mode, line = application.stat().st_mode, application.read_bytes().split(b"PK")[0]
    assert line.startswith(b"#!") and mode & 0o100
    warmpack.ok("amend", "-f", application, *AS_ZIP, "--source", source)
    once = application.read_bytes()
    assert once.startswith(line + b"PK\3\4") and application.stat().st_mode == mode
    assert run(application) == b"pkg.k\n"
    run("unzip", "-tq", application)
    warmpack.ok("amend", "-f", application, *AS_ZIP, "--source", source)
    assert application.read_bytes() == once
    for how in ({}, {"stdin": once}):
        target = "out-of-a-pipe" if how else "out"
        said = warmpack.ok("extract", "-f", "-" if how else application, "-C", target, **how)
        assert b"2 of 2" in said.stderr
        assert (tmp_path / target / "pkg/k.py").stat().st_mtime_ns == TIME


@pytest.mark.parametrize("umask, mode", [("022", 0o755), ("077", 0o700), ("027", 0o750)])
def test_a_new_application_may_be_run_by_who_may_read_it(warmpack, tmp_path, source, application,
                                                        umask, mode):
    warmpack.ok("amend", "-f", application, "-o", "new.pyz", *AS_ZIP, "--source", source,
                umask=umask)
    assert stat.S_IMODE((tmp_path / "new.pyz").stat().st_mode) == mode
    assert run(tmp_path / "new.pyz") == b"pkg.k\n"
    application.chmod(0o644)
    warmpack.ok("amend", "-f", application, *AS_ZIP, "--source", source)
    assert stat.S_IMODE(application.stat().st_mode) == 0o644


def test_a_script_is_not_lost_in_a_format_that_begins_with_none(warmpack, tmp_path, source,
                                                               application):
    refused(warmpack("amend", "-f", application, "-o", "new.tgz", "--source", source),
            "new.tgz", "script", "would be lost")
    assert not (tmp_path / "new.tgz").exists()


def test_a_comment_that_gives_way_is_told_of_once(warmpack, tmp_path, source):
    archive = make_zip(tmp_path / "a.zip", source)
    with zipfile.ZipFile(archive, "a") as file:
        file.comment = b"the comment of somebody"
    said = b"its comment gives way"
    assert said in warmpack.ok("amend", "-f", archive, "--source", source).stderr
    assert said not in warmpack.ok("amend", "-f", archive, "--source", source).stderr


def test_tars_of_any_tool_are_amended(warmpack, tmp_path, source):
    makers = {
        "gnu.tar": ("tar", "--format=gnu", "-cf"), "ustar.tar": ("tar", "--format=ustar", "-cf"),
        "v7.tar": ("tar", "--format=v7", "-cf"), "pax.tgz": ("tar", "--format=pax", "-czf"),
        "bsd.tgz": ("bsdtar", "-czf"), "zstd.tar.zst": ("tar", "--zstd", "-cf"),
        "busybox.tar": ("busybox", "tar", "-cf"),
    }
    for name, words in makers.items():
        run(*words, tmp_path / name, *FILES, cwd=source)
        warmpack.ok("amend", "-f", name, "--source", source)
        done = warmpack.ok("extract", "-f", name, "-C", "out-" + name)
        assert b"2 of 2 cache indexes valid" in done.stderr
        assert run("tar", "-tf", tmp_path / name).count(b".nbi") == 2


def test_what_cannot_be_written_is_amended_into_another_format(warmpack, tmp_path, source):
    for name, flag in (("a.tar.bz2", "-j"), ("a.tar.xz", "-J")):
        run("tar", flag, "-cf", tmp_path / name, *FILES, cwd=source)
        warmpack.ok("amend", "-f", name, "--source", source, status=2)
        warmpack.ok("amend", "-f", name, "--source", source, "-o", name + ".tgz")
        assert b"2 of 2" in warmpack.ok("verify", "-f", name + ".tgz").stderr
