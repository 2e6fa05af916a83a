"""What amend does to archives that other tools made."""

import base64
import csv
import hashlib
import importlib.util
import io
import json
import marshal
import os
import struct
import sys
import tarfile
import zipfile

import pytest
from trees import (NOBODY, SECOND, Runner, assert_same, environment, index, leftovers, look,
                   needs_root, noise, public_directory, refused, remove_tree, run, write)

TIME = 1_700_000_000 * SECOND + 123_456_789


@pytest.fixture
def source(tmp_path):
    """A tree whose two modules have valid caches."""
    for name in ("pkg/__init__.py", "pkg/k.py", "pkg/deep/__init__.py", "pkg/deep/m.py",
                 "pkg/plain.py", "pkg/data.bin"):
        write(tmp_path / "src" / name, "" if "__init__" in name else f"# {name}\n", ns=TIME)
    for name in ("pkg/k.py", "pkg/deep/m.py"):
        index(tmp_path / "src" / name)
    return tmp_path / "src"


def is_cache(path):
    return path.suffix in (".nbi", ".nbc")


def files_of(source):
    return sorted(p for p in source.rglob("*") if p.is_file() and not is_cache(p))


def make_zip(path, source, top="", extra=()):
    """As other tools do: without caches, with the times that a zip can hold."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files_of(source):
            archive.write(file, top + str(file.relative_to(source)))
        for name, content in extra:
            archive.writestr(name, content)
    return path


def make_egg(path, source):
    return make_zip(path, source, extra=[("EGG-INFO/PKG-INFO", "Name: pkg\n"),
                                         ("EGG-INFO/zip-safe", "\n")])


def make_wheel(path, source):
    return make_zip(path, source, extra=[
        ("pkg-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: pkg\nVersion: 1\n"),
        ("pkg-1.dist-info/WHEEL", "Wheel-Version: 1.0\n"),
        ("pkg-1.dist-info/RECORD", "outdated\n")])


def make_tgz(path, source):
    run("tar", "--format=gnu", "--exclude=__pycache__", "-czf", path, "-C", source, ".")
    return path


MAKERS = {".zip": make_zip, ".egg": make_egg, ".whl": make_wheel, ".tgz": make_tgz}


def make(tmp_path, source, suffix):
    return MAKERS[suffix](tmp_path / ("a" + suffix), source)


def contents(archive):
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            return {n: file.read(n) for n in file.namelist() if not n.endswith("/")}
    with tarfile.open(archive) as file:
        return {m.name.removeprefix("./"): file.extractfile(m).read() for m in file if m.isfile()}


def manifest(archive):
    (name,) = [n for n in contents(archive) if n.endswith("/manifest.jsonl")]
    return [json.loads(line) for line in contents(archive)[name].splitlines()]


def recorded(archive):
    return {line["path"]: line for line in manifest(archive) if "path" in line}


# ---- What is added -----------------------------------------------------------------------------

@pytest.mark.parametrize("suffix", MAKERS)
def test_an_amended_archive_is_unpacked_with_exact_times_and_valid_caches(warmpack, tmp_path, source,
                                                                         suffix):
    archive = make(tmp_path, source, suffix)
    warmpack.ok("amend", "-f", archive, "--source", source)
    done = warmpack.ok("extract", "-f", archive, "-C", "out")
    assert b"2 of 2 cache indexes valid" in done.stderr
    for file in source.rglob("*.py"):
        assert (tmp_path / "out" / file.relative_to(source)).stat().st_mtime_ns == TIME
    warmpack.ok("verify", "-f", archive)


@pytest.mark.parametrize("suffix", MAKERS)
def test_amending_twice_gives_the_same_bytes(warmpack, tmp_path, source, suffix):
    archive = make(tmp_path, source, suffix)
    for words in ((), ("--threads", "1"), ("--threads", "3")):
        warmpack.ok("amend", "-f", archive, "--source", source, *words)
        if not words:
            first = archive.read_bytes()
        assert archive.read_bytes() == first


@pytest.mark.parametrize("suffix", MAKERS)
def test_what_was_in_the_archive_keeps_its_content(warmpack, tmp_path, source, suffix):
    write(source / "pkg/large.bin", noise(9_000_000))
    archive = make(tmp_path, source, suffix)
    before = contents(archive)
    warmpack.ok("amend", "-f", archive, "--source", source)
    after = contents(archive)
    made_anew = {"EGG-INFO/zip-safe", "pkg-1.dist-info/RECORD"}
    assert {n: c for n, c in before.items() if n not in made_anew}.items() <= after.items()
    added = {n for n in after.keys() - before.keys() if not n.endswith("manifest.jsonl")}
    assert {n for n in added if n.endswith((".nbi", ".nbc"))} | {"EGG-INFO/not-zip-safe"} == (
        added | {"EGG-INFO/not-zip-safe"})


def test_attributes_of_what_was_in_a_tar_stay(warmpack, tmp_path, source):
    (source / "link").symlink_to("pkg/k.py")
    os.link(source / "pkg/data.bin", source / "again.bin")
    os.link(source / "pkg/data.bin", source / "zz.bin")
    (source / "pkg/data.bin").chmod(0o4751)
    (source / "empty").mkdir(mode=0o700)
    with open(source / "sparse", "wb") as file:
        file.truncate(3_000_000)
        file.seek(1_000_000)
        file.write(b"in the middle")
    run("tar", "--format=pax", "-S", "--sort=name", "--exclude=__pycache__", "-cf", "a.tar", "-C",
        source, "pkg", "again.bin", "link", "empty", "sparse", "zz.bin", cwd=tmp_path)
    warmpack.ok("extract", "-pf", "a.tar", "-C", "before")
    warmpack.ok("amend", "-f", "a.tar", "--source", source)
    warmpack.ok("extract", "-pf", "a.tar", "-C", "after")
    caches = set(os.fsencode(p.relative_to(source)) for p in source.rglob("__pycache__/*"))
    after = {p: e for p, e in look(tmp_path / "after").items()
             if p not in caches and not p.endswith(b"__pycache__")}
    before = look(tmp_path / "before")
    for path in (b"pkg", b"pkg/deep"):  # changed by what is put into them
        before.pop(path), after.pop(path)
    assert_same(before, after)


def test_what_an_earlier_manifest_says_of_a_zips_entries_stays(warmpack, tmp_path, source):
    write(source / "pkg/data.bin", "data", mode=0o4711, ns=TIME + 1)
    warmpack.ok("create", "-f", "a.zip", "--owner", "someone:4711", "-C", source, ".")
    before = recorded(tmp_path / "a.zip")["pkg/data.bin"]
    warmpack.ok("amend", "-f", "a.zip", "--source", source)
    assert recorded(tmp_path / "a.zip")["pkg/data.bin"] == before
    assert before["mtime"] == "1700000000.123456790" and before["user"] == "someone"


def test_an_egg_is_marked_as_one_that_must_be_unpacked(warmpack, tmp_path, source):
    archive = make(tmp_path, source, ".egg")
    warmpack.ok("amend", "-f", archive, "--source", source)
    names = contents(archive).keys()
    assert "EGG-INFO/not-zip-safe" in names and "EGG-INFO/zip-safe" not in names


def test_a_wheels_RECORD_lists_what_is_in_it_now(warmpack, tmp_path, source):
    archive = make(tmp_path, source, ".whl")
    warmpack.ok("amend", "-f", archive, "--source", source)
    held = contents(archive)
    rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(
        held["pkg-1.dist-info/RECORD"].decode()))}
    assert rows.keys() == held.keys()
    for name, (digest, size) in rows.items():
        if name.endswith("/RECORD"):
            continue
        raw = hashlib.sha256(held[name]).digest()
        assert digest == "sha256=" + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        assert int(size) == len(held[name])


def hashed(directory):
    directory = str(directory)
    return os.path.basename(directory) + "_" + hashlib.sha1(directory.encode()).hexdigest()


def move_caches(source, root):
    """What lies beside the sources goes to where it lies with NUMBA_CACHE_DIR=ROOT."""
    for cache in list(source.rglob("__pycache__")):
        (root / hashed(cache.parent)).parent.mkdir(parents=True, exist_ok=True)
        cache.rename(root / hashed(cache.parent))


@pytest.mark.parametrize("place", ["given", "variable", "user-wide", "in the source"])
def test_hashed_caches_are_found_in_every_place(warmpack, tmp_path, source, place):
    root = {"user-wide": tmp_path / "home/.cache/numba",
            "in the source": source / ".caches"}.get(place, tmp_path / "caches")
    archive = make(tmp_path, source, ".zip")
    move_caches(source, root)
    words = ["--cache-dir", root] if place == "given" else []
    env = {"NUMBA_CACHE_DIR": str(root)} if place == "variable" else {}
    warmpack.ok("amend", "-f", archive, "--source", source, *words, env=env)
    first = archive.read_bytes()
    warmpack.ok("amend", "-f", archive, "--source", source, *words, env=env)
    assert archive.read_bytes() == first
    done = warmpack.ok("extract", "-f", archive, "-C", "out", "--cache-dir", "there")
    assert b"2 of 2 cache indexes valid; 2 cache directories renamed" in done.stderr
    assert (tmp_path / "there" / hashed(tmp_path / "out/pkg")).is_dir()


def test_no_cache_dir_takes_none_from_outside(warmpack, tmp_path, source):
    archive = make(tmp_path, source, ".zip")
    move_caches(source, tmp_path / "home/.cache/numba")
    done = warmpack.ok("amend", "-f", archive, "--source", source, "--no-cache-dir")
    assert b"holds no Numba caches" in done.stderr and b" 0 cache files added" in done.stderr


def test_source_root_names_the_path_that_python_saw(warmpack, tmp_path, source):
    archive = make(tmp_path, source, ".zip")
    root = tmp_path / "caches"
    move_caches(source, root)
    source.rename(tmp_path / "moved")
    words = ("amend", "-f", archive, "--source", "moved", "--cache-dir", root)
    assert b" 0 cache files added" in warmpack.ok(*words).stderr
    warmpack.ok(*words, "--source-root", source)
    assert b"2 of 2" in warmpack.ok("verify", "-f", archive).stderr


def test_caches_that_a_tar_has_with_whole_seconds_are_valid_afterwards(warmpack, tmp_path, source):
    run("tar", "--format=gnu", "-czf", "a.tgz", "-C", source, ".", cwd=tmp_path)
    warmpack.ok("verify", "-f", "a.tgz", status=1)
    warmpack.ok("amend", "-f", "a.tgz", "--source", source)
    assert b"2 of 2 cache indexes valid" in warmpack.ok("verify", "-f", "a.tgz").stderr


# ---- Matching ----------------------------------------------------------------------------------

@pytest.mark.parametrize("top", ["", "app-1.0/", "a/b/"])
@pytest.mark.parametrize("below", ["", "pkg"])
def test_the_archive_and_the_tree_may_begin_at_different_directories(warmpack, tmp_path, source, top,
                                                                     below):
    archive = make_zip(tmp_path / "a.zip", source, top)
    warmpack.ok("amend", "-f", archive, "--source", source / below)
    names = contents(archive).keys()
    assert {top + "pkg/__pycache__/k.add-3.py311.nbi",
            top + "pkg/deep/__pycache__/m.add-3.py311.nbi"} <= names


def test_of_several_files_with_one_content_the_one_with_the_same_path_counts(warmpack, tmp_path,
                                                                             source):
    for directory in ("build/lib/pkg", "other"):
        write(source / directory / "k.py", (source / "pkg/k.py").read_bytes(), ns=TIME - SECOND)
        index(source / directory / "k.py")
    archive = make_zip(tmp_path / "a.zip", source / "pkg", "pkg/")
    warmpack.ok("amend", "-f", archive, "--source", source)
    assert recorded(archive)["pkg/k.py"]["mtime"] == "1700000000.123456789"


def test_of_equally_good_paths_the_one_with_valid_caches_counts(warmpack, tmp_path, source):
    archive = make(tmp_path, source, ".zip")
    project = tmp_path / "project"
    project.mkdir()
    source.rename(project / "src")
    for file in files_of(project / "src"):  # what a build leaves behind
        write(project / "build" / file.relative_to(project / "src"), file.read_bytes(),
              ns=TIME // SECOND * SECOND)
    warmpack.ok("amend", "-f", archive, "--source", project)
    assert recorded(archive)["pkg/k.py"]["mtime"] == "1700000000.123456789"
    assert b"2 of 2" in warmpack.ok("verify", "-f", archive).stderr


def test_caches_do_not_go_to_a_module_of_another_name(warmpack, tmp_path, source):
    """Numba's data files are bound to the name that their module was imported by."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("other/__init__.py", "")
        archive.write(source / "pkg/k.py", "other/k.py")
        archive.write(source / "pkg/__init__.py", "pkg/__init__.py")
        archive.write(source / "pkg/deep/__init__.py", "pkg/deep/__init__.py")
        archive.write(source / "pkg/deep/m.py", "pkg/deep/m.py")
    done = warmpack.ok("amend", "-f", "a.zip", "--source", source)
    assert b"other/k.py: is pkg/k.py by content, but Python imports it by another name" in done.stderr
    assert not any(n.startswith("other/__pycache__") for n in contents(tmp_path / "a.zip"))
    assert recorded(tmp_path / "a.zip")["other/k.py"]["mtime"] == "1700000000.123456789"


def test_sources_without_a_match_are_named_and_the_rest_is_done(warmpack, tmp_path, source):
    archive = make(tmp_path, source, ".zip")
    (source / "pkg/k.py").write_text("# changed\n")
    (source / "pkg/plain.py").unlink()
    done = warmpack.ok("amend", "-qf", archive, "--source", source, status=1)
    lines = done.stderr.decode().splitlines()
    assert [line.split(":")[1].strip() for line in lines] == ["pkg/k.py", "pkg/plain.py"]
    assert b"1 of 1" in warmpack.ok("verify", "-f", archive).stderr
    assert recorded(archive)["pkg/deep/m.py"]["mtime"] == "1700000000.123456789"


def test_json_tells_what_was_done(warmpack, tmp_path, source):
    archive = make(tmp_path, source, ".zip")
    (source / "pkg/plain.py").unlink()
    done = json.loads(warmpack.ok("amend", "-f", archive, "--source", source, "--json",
                                  status=1).stdout)
    assert done["written"] and done["sources"] == 5 and done["added"] == 4
    assert done["unmatched"] == [{"path": "pkg/plain.py"}]
    assert done["summary"] == {"total": 2, "valid": 2}


# ---- What is not added -------------------------------------------------------------------------

def test_where_nothing_is_matched_the_archive_stays_as_it_was(warmpack, tmp_path, source):
    archive = make(tmp_path, source, ".zip")
    remove_tree(source / "pkg")
    before, inode = archive.read_bytes(), archive.stat().st_ino
    done = warmpack.ok("amend", "-f", archive, "--source", source, status=1)
    assert b"not written" in done.stderr
    assert (archive.read_bytes(), archive.stat().st_ino) == (before, inode)
    warmpack.ok("amend", "-f", archive, "--source", source, "-o", "new.zip", status=1)
    assert not (tmp_path / "new.zip").exists()


@pytest.mark.parametrize("why", ["no caches", "all stale"])
@pytest.mark.parametrize("suffix", [".egg", ".whl", ".tgz"])
def test_without_caches_a_warning_says_so_and_the_times_are_recorded(warmpack, tmp_path, source,
                                                                     why, suffix):
    """A build of a package that has nothing to compile must not stop."""
    archive = make(tmp_path, source, suffix)
    for file in sorted(source.rglob("*.py")):
        if why == "all stale":
            os.utime(file, ns=(TIME + SECOND + 1, TIME + SECOND + 1))
        else:
            remove_tree(file.parent / "__pycache__")
    done = warmpack.ok("amend", "-f", archive, "--source", source)
    assert done.stderr.count(b"holds no Numba caches: only the exact times of its sources") == 1
    assert b"5 of 5 sources matched, 0 cache files added" in done.stderr
    assert (b"left behind" in done.stderr) == (why == "all stale")
    first = archive.read_bytes()
    warmpack.ok("extract", "-f", archive, "-C", "out")
    for file in source.rglob("*.py"):
        out = tmp_path / "out" / file.relative_to(source)
        assert out.stat().st_mtime_ns == file.stat().st_mtime_ns
    warmpack.ok("amend", "-f", archive, "--source", source)
    assert archive.read_bytes() == first


def test_a_format_can_be_named_where_the_suffix_is_none(warmpack, tmp_path, source):
    make(tmp_path, source, ".zip").rename(tmp_path / "a.pyz")
    refused(warmpack("amend", "-f", "a.pyz", "--source", source), "--format")
    done = warmpack.ok("amend", "-f", "a.pyz", "--format", "zip", "--source", source)
    assert b"4 cache files added; 2 of 2" in done.stderr
    with zipfile.ZipFile(tmp_path / "a.pyz") as archive:
        assert archive.testzip() is None and "pkg/k.py" in archive.namelist()
    assert b"2 of 2" in warmpack.ok("extract", "-f", "a.pyz", "-C", "out").stderr


def test_an_archive_that_would_hold_stale_indexes_alone_stays_as_it_was(warmpack, tmp_path, source):
    run("tar", "--format=gnu", "-czf", "a.tgz", "-C", source, ".", cwd=tmp_path)
    for file in source.rglob("*.py"):
        os.utime(file)
    before = (tmp_path / "a.tgz").read_bytes()
    warmpack.ok("amend", "-f", "a.tgz", "--source", source, status=1)
    assert (tmp_path / "a.tgz").read_bytes() == before


def test_stale_indexes_are_left_behind_and_strict_refuses(warmpack, tmp_path, source):
    archive = make(tmp_path, source, ".zip")
    os.utime(source / "pkg/k.py")
    before = archive.read_bytes()
    assert "not amended: 1 cache indexes" in warmpack.ok(
        "amend", "-f", archive, "--source", source, "--strict", status=2).stderr.decode()
    assert archive.read_bytes() == before
    done = warmpack.ok("amend", "-f", archive, "--source", source)
    assert b"k.add-3.py311.nbi: stale" in done.stderr and b"left behind" in done.stderr
    assert not any("k.add" in n for n in contents(archive))


# ---- The archive that is written ---------------------------------------------------------------

def test_o_writes_another_archive_and_leaves_the_first(warmpack, tmp_path, source):
    archive = make(tmp_path, source, ".tgz")
    before = archive.read_bytes()
    warmpack.ok("amend", "-f", archive, "--source", source, "-o", "new.tgz")
    assert archive.read_bytes() == before
    assert b"2 of 2" in warmpack.ok("verify", "-f", "new.tgz").stderr
    warmpack.ok("amend", "-f", "-", "--source", source, "-o", "piped.tgz", stdin=before)
    assert (tmp_path / "piped.tgz").read_bytes() == (tmp_path / "new.tgz").read_bytes()


def test_the_archive_keeps_its_mode_and_may_be_reached_through_a_symlink(warmpack, tmp_path, source):
    archive = make(tmp_path, source, ".zip")
    archive.chmod(0o640)
    (tmp_path / "link.zip").symlink_to("a.zip")
    warmpack.ok("amend", "-f", "link.zip", "--source", source)
    assert (tmp_path / "link.zip").is_symlink()
    assert archive.stat().st_mode & 0o777 == 0o640
    warmpack.ok("verify", "-f", archive)


def damaged(name, source):
    """Archives that cannot be read to their end, or hold what must not be unpacked."""
    if name == "cut.tgz":
        return make_tgz(source.parent / name, source).read_bytes()[:-40]
    if name == "flipped.zip":
        data = bytearray(make_zip(source.parent / name, source).read_bytes())
        data[40 + data.index(b"pkg/k.py")] ^= 0xFF
        return bytes(data)
    if name == "noise.zip":
        return b"PK\3\4" + noise(1000)
    entry = tarfile.TarInfo("../out.py" if name == "dotdot.tar" else "d.py")
    if name == "hardlink.tar":
        entry.type, entry.linkname = tarfile.LNKTYPE, "gone"
    if name == "fifo.tar":
        entry.type = tarfile.FIFOTYPE
    if name == "below-a-link.tar":
        entry.name, entry.type, entry.linkname = "pkg/link", tarfile.SYMTYPE, "."
    if name == "place-of-the-manifest.tar":
        entry.name = "pkg/.warmpack"
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.add(source / "pkg", "pkg")
        archive.addfile(entry)
        if name == "below-a-link.tar":
            archive.addfile(tarfile.TarInfo("pkg/link/k.py"))
    return out.getvalue()


@pytest.mark.parametrize("name", ["cut.tgz", "flipped.zip", "noise.zip", "dotdot.tar",
                                  "hardlink.tar", "fifo.tar", "below-a-link.tar",
                                  "place-of-the-manifest.tar"])
def test_a_damaged_or_hostile_archive_is_left_as_it_is(warmpack, tmp_path, source, name):
    data = damaged(name, source)
    (tmp_path / name).write_bytes(data)
    listing = sorted(os.listdir(tmp_path))
    refused(warmpack("amend", "-f", name, "--source", source))
    assert (tmp_path / name).read_bytes() == data
    assert sorted(os.listdir(tmp_path)) == listing and not leftovers(tmp_path)


def test_what_an_earlier_manifest_says_is_held_against_the_content(warmpack, tmp_path, source):
    archive = make(tmp_path, source, ".tgz")
    warmpack.ok("amend", "-f", archive, "--source", source, "-o", "a.tar")
    data = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(data.replace(b"# pkg/plain.py", b"# pkg/blank.py", 1))
    refused(warmpack("amend", "-f", "a.tar", "--source", source), "pkg/plain.py", "SHA-256")


@needs_root
def test_where_the_archive_cannot_be_written_it_stays(source):
    shared = public_directory()
    try:
        archive = make_zip(shared / "a.zip", source)
        run("cp", "-a", source, shared / "src")
        run("chmod", "-R", "a+rX", shared / "src")
        before = archive.read_bytes()
        home = shared / "home"
        home.mkdir()
        (shared / "tmp").mkdir()
        (shared / "tmp").chmod(0o777)
        warmpack, env = Runner(shared), {"TMPDIR": str(shared / "tmp")}
        for mode in (0o644, 0o666):  # but not its directory
            archive.chmod(mode)
            refused(warmpack("amend", "-f", archive, "--source", shared / "src", user=NOBODY,
                             env=env), "a.zip", "Permission denied")
        assert archive.read_bytes() == before
    finally:
        remove_tree(shared)


def test_a_full_disk_for_the_temporary_file_leaves_the_archive(warmpack, tmp_path, source):
    archive = make(tmp_path, source, ".zip")
    before = archive.read_bytes()
    refused(warmpack("amend", "-f", archive, "--source", source,
                     env={"TMPDIR": str(tmp_path / "missing")}), "missing", "temporary file")
    assert archive.read_bytes() == before


@pytest.mark.parametrize("words, said", [
    (["-f", "a.zip"], "--source"), (["--source", "src"], "no archive"),
    (["-f", "a.zip", "--source", "src", "x"], "'x'"),
    (["-f", "a.xyz", "--source", "src"], "suffix"),
    (["-f", "a.tar.xz", "--source", "src"], "read, not written"),
    (["-f", "-", "--source", "src"], "-o"),
    (["-f", "a.zip", "--source", "src", "-o", "-"], "-o"),
    (["-f", "a.zip", "--source", "src", "-o", "src"], "src"),
    (["-f", "a.zip", "--source", "missing"], "missing"),
    (["-f", "missing.zip", "--source", "src"], "missing.zip"),
    (["-f", "a.zip", "--source", "src", "--level", "99"], "--level"),
    (["-f", "a.zip", "--source", "src", "--format", "rar"], "'rar' is not known"),
    (["-f", "a.zip", "--source", "src", "--format", "tgz", "--level", "99"], "--level"),
    (["-f", "a.zip", "--source", "src", "--cache-dir", "missing"], "missing"),
    (["-f", "a.zip", "--source", "src", "--cache-dir", ".", "--no-cache-dir"], "exclude")])
def test_bad_usage_is_one_clear_matter(warmpack, tmp_path, source, words, said):
    make(tmp_path, source, ".zip")
    done = warmpack("amend", *words)
    assert done.returncode == 2 and said in done.stderr.decode()


# ---- Importing from the zip itself -------------------------------------------------------------

def compile_into(archive, source, mtime):
    """Adds the .pyc that Python looks for in a zip; it can be told from its source."""
    code = marshal.dumps(compile("taken = 'compiled'", "k.py", "exec"))
    head = importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, mtime, source.stat().st_size)
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("k.pyc", head + code)


@pytest.mark.parametrize("compiled_at, is_valid", [
    (TIME // SECOND, True),  # that of the tree
    (TIME // SECOND - 50_000, True),  # that which the zip has
    (TIME // SECOND - 500_000, False)])
def test_compiled_files_in_a_zip_stay_valid_by_its_times(warmpack, tmp_path, compiled_at, is_valid):
    source = write(tmp_path / "src/k.py", "taken = 'source'\n", ns=TIME - 50_000 * SECOND)
    archive = make_zip(tmp_path / "a.zip", source.parent)
    source.touch()
    os.utime(source, ns=(TIME, TIME))
    index(source)
    compile_into(archive, source, compiled_at)
    for _ in range(2):
        done = warmpack.ok("amend", "-f", archive, "--source", source.parent)
        assert b"%d of 1 .pyc files are valid" % is_valid in done.stderr
        taken = run(sys.executable, "-c", "import k; print(k.taken)",
                    env=environment(tmp_path, PYTHONPATH=str(archive)))
        assert taken == (b"compiled\n" if is_valid else b"source\n")
    assert recorded(archive)["k.py"]["mtime"] == "1700000000.123456789"


@pytest.mark.parametrize("suffix", [".tgz", ".zip"])
def test_sources_that_are_symlinks_have_their_caches(warmpack, tmp_path, source, suffix):
    """A tar has them as links, a zip of other tools as copies."""
    (source / "pkg/other.py").symlink_to("k.py")
    index(source / "pkg/other.py")
    archive = make(tmp_path, source, suffix)
    warmpack.ok("amend", "-f", archive, "--source", source)
    done = warmpack.ok("extract", "-f", archive, "-C", "out")
    assert b"3 of 3 cache indexes valid" in done.stderr
    assert (tmp_path / "out/pkg/other.py").stat().st_mtime_ns == TIME
    first = archive.read_bytes()
    warmpack.ok("amend", "-f", archive, "--source", source)
    assert archive.read_bytes() == first
