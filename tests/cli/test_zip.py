"""Zip archives, eggs and wheels: others read ours, we read theirs, and what a zip lacks comes from
the manifest."""

import base64
import csv
import hashlib
import io
import json
import os
import pathlib
import py_compile
import re
import sys
import warnings
import zipfile

import pytest
from trees import (BINARY, SECOND, Runner, assert_same, environment, index, leftovers, look, noise,
                   refused, run, set_time, write)

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"
WHEN = 1_595_339_396 * SECOND


def fill(app):
    for size in (0, 1, 4096, 700_000, 6_000_000):
        write(app / "sizes" / str(size), noise(size, size), 0o640, WHEN + size * 1001)
    write(app / "sizes" / "text", b"warm " * 2_000_000, ns=WHEN + 1)
    write(app / "exec", b"#!/bin/sh\n", 0o755, 1_000_000_000 * SECOND)
    write(app / "größe.py", "x = 1\n", ns=1_600_000_000 * SECOND + 500_000_000)
    (app / "empty").mkdir()
    for directory, _, _ in os.walk(app):
        set_time(directory, 1_500_000_000 * SECOND + 123_456_789)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """(directory that holds app, what app looks like)"""
    base = tmp_path_factory.mktemp("tree")
    (base / "app").mkdir()
    fill(base / "app")
    return base, look(base)


@pytest.fixture(scope="module", params=["file", "pipe"])
def ours(request, tree, tmp_path_factory):
    """The tree packed to a file, and through a pipe, where sizes follow the content."""
    archive = tmp_path_factory.mktemp("ours") / "a.zip"
    script = '"$0" -cqf - --format zip -C "$1" app | cat > "$2"'
    if request.param == "file":
        script = '"$0" -cqf "$2" -C "$1" app'
    run("sh", "-c", script, BINARY, tree[0], archive, env=environment(archive.parent))
    return archive


def whole_seconds(snapshot):
    return {p: {**e, "mtime": e["mtime"] // SECOND} for p, e in snapshot.items()}


def content_alone(snapshot):
    return {p: {k: v for k, v in e.items() if k in ("type", "size", "content")}
            for p, e in snapshot.items()}


# ---- Others read ours --------------------------------------------------------------------------

def test_unzip_finds_no_error_and_keeps_seconds_and_modes(tmp_path, tree, ours):
    assert b"No errors detected" in run("unzip", "-tq", ours)
    run("unzip", "-q", ours, "-d", tmp_path / "out", env=environment(tmp_path))
    assert_same(whole_seconds(tree[1]), whole_seconds(look(tmp_path / "out")))


def test_bsdtar_keeps_seconds_and_modes(tmp_path, tree, ours):
    (tmp_path / "out").mkdir()
    run("bsdtar", "-xpf", ours, "-C", tmp_path / "out", env=environment(tmp_path))
    assert_same(whole_seconds(tree[1]), whole_seconds(look(tmp_path / "out")))


def test_python_reads_every_entry(tmp_path, tree, ours):
    with zipfile.ZipFile(ours) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "out")
        assert re.fullmatch(b"warmpack-manifest=[0-9a-f]{16}", archive.comment)
        assert len(archive.comment) <= 58  # npm's unzipper looks no further from the end
    assert_same(content_alone(tree[1]), content_alone(look(tmp_path / "out")))


def test_java_reads_it_as_a_stream_and_as_a_file(tree, ours):
    said = run("java", HERE / "ZipNames.java", ours,
               env={**environment("/nonexistent"), "JAVA_TOOL_OPTIONS": "-Dfile.encoding=UTF-8"})
    sizes = dict(line.split(" ", 1)[::-1] for line in said.decode().splitlines())
    assert sizes["app/sizes/6000000"] == "6000000"
    assert sizes["app/größe.py"] == "6"
    assert len(sizes) == len(tree[1]) + 1


def test_sizes_stand_in_the_headers_of_a_file(tree, ours, request):
    with zipfile.ZipFile(ours) as archive:
        flagged = [i.filename for i in archive.infolist() if i.flag_bits & 8]
    if "pipe" in request.node.name:
        assert flagged == ["app/sizes/6000000", "app/sizes/text"]
    else:
        assert flagged == []


def test_it_is_no_larger_than_info_zip_makes_it(tmp_path, tree):
    run("zip", "-qr", tmp_path / "peer.zip", "app", cwd=tree[0])
    Runner(tmp_path).ok("-cqf", "a.zip", "-C", tree[0], "app")
    assert (tmp_path / "a.zip").stat().st_size <= (tmp_path / "peer.zip").stat().st_size * 1.01


# ---- We read theirs ----------------------------------------------------------------------------

def by_python(archive, method=zipfile.ZIP_DEFLATED):
    with warnings.catch_warnings(), zipfile.ZipFile(archive, "w", method) as made:
        warnings.simplefilter("ignore")
        for path in sorted(pathlib.Path("app").rglob("*")):
            made.write(path)


MAKERS = {
    "info-zip": lambda a: run("zip", "-qr", a, "app"),
    "info-zip to a pipe": lambda a: a.write_bytes(run("sh", "-c", "zip -qr - app | cat")),
    "bsdtar": lambda a: run("bsdtar", "--format", "zip", "-cf", a, "app"),
    "jar": lambda a: run("jar", "cf", a, "app"),
    "python": by_python,
    "python, bzip2": lambda a: by_python(a, zipfile.ZIP_BZIP2),
    "python, lzma": lambda a: by_python(a, zipfile.ZIP_LZMA),
    "a program in front": lambda a: a.write_bytes(
        b"#!/bin/sh\nexit 1\n" + run("sh", "-c", "zip -qr - app | cat")),
}


@pytest.mark.parametrize("maker, through",
                         [(maker, way) for maker in MAKERS for way in ("file", "pipe")])
def test_what_others_pack_comes_out_right(tmp_path, tree, maker, through, monkeypatch):
    monkeypatch.chdir(tree[0])
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.delenv("TZ", raising=False)
    archive = tmp_path / "a.zip"
    MAKERS[maker](archive)
    if through == "pipe":
        Runner(tmp_path).ok("-xpqf", "-", "-C", "out", stdin=archive.read_bytes())
    else:
        Runner(tmp_path).ok("-xpqf", archive, "-C", "out")
    got = {p: e for p, e in look(tmp_path / "out").items() if p.startswith(b"app/")}
    want = {p: e for p, e in tree[1].items() if p.startswith(b"app/")}
    assert_same(content_alone(want), content_alone(got))
    if maker.startswith("info-zip") or maker == "bsdtar":
        assert_same(whole_seconds(want), whole_seconds(got))


def test_symlinks_of_info_zip_come_back(tmp_path):
    write(tmp_path / "app" / "k.py", b"x")
    (tmp_path / "app" / "link").symlink_to("k.py")
    run("zip", "-qry", "a.zip", "app", cwd=tmp_path)
    Runner(tmp_path).ok("-xqf", "a.zip", "-C", "out")
    assert os.readlink(tmp_path / "out/app/link") == "k.py"


def test_an_encrypted_archive_is_refused_and_leaves_nothing(tmp_path):
    write(tmp_path / "app" / "k.py", b"x = 1\n")
    run("zip", "-qr", "-P", "secret", "a.zip", "app", cwd=tmp_path)
    warmpack = Runner(tmp_path)
    refused(warmpack("-xf", "a.zip", "-C", "out"), "a.zip", "app/k.py", "encrypted")
    assert not (tmp_path / "out/app").exists() and not leftovers(tmp_path)
    assert b"app/k.py" in warmpack.ok("-tf", "a.zip").stdout


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x"])
def test_names_that_lead_outside_are_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("good", b"x")
        archive.writestr(name, b"x")
    refused(Runner(tmp_path)("-xf", "a.zip", "-C", "out"), "refused")
    assert not (tmp_path / "out/good").exists() and not leftovers(tmp_path)


def test_nothing_is_written_through_a_symlink_of_the_archive(tmp_path):
    link = zipfile.ZipInfo("d")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, os.fsencode(tmp_path / "outside"))
        archive.writestr("d/x", b"x")
    (tmp_path / "outside").mkdir()
    assert Runner(tmp_path)("-xf", "a.zip", "-C", "out").returncode == 2
    assert not list((tmp_path / "outside").iterdir())


def test_files_without_a_mode_get_the_usual_one(tmp_path):
    info = zipfile.ZipInfo("k.py", (2020, 2, 2, 2, 2, 2))
    info.create_system = 0
    directory = zipfile.ZipInfo("d/", (2020, 2, 2, 2, 2, 2))
    directory.create_system = 0
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, b"x")
        archive.writestr(directory, b"")
    Runner(tmp_path).ok("-xpqf", "a.zip", "-C", "out", env={"TZ": "Asia/Tokyo"})
    seen = look(tmp_path / "out")
    assert (seen[b"k.py"]["mode"], seen[b"d"]["mode"]) == (0o644, 0o755)
    # DOS times are local ones.
    assert seen[b"k.py"]["mtime"] // SECOND == 1_580_576_522


def test_the_last_of_two_entries_with_one_name_counts(tmp_path):
    with warnings.catch_warnings(), zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("k.py", b"first")
        archive.writestr("k.py", b"second")
    Runner(tmp_path).ok("-xqf", "a.zip", "-C", "out")
    assert (tmp_path / "out/k.py").read_bytes() == b"second"


def test_a_bomb_is_stopped_where_its_header_says(tmp_path):
    """A header that tells of a kilobyte, and content that never ends."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(50_000_000))
    data = bytearray((tmp_path / "a.zip").read_bytes())
    size = (50_000_000).to_bytes(4, "little")
    assert data.count(size) == 2
    (tmp_path / "a.zip").write_bytes(data.replace(size, (1000).to_bytes(4, "little")))
    refused(Runner(tmp_path)("-xf", "a.zip", "-C", "out"), "bomb", "longer")
    assert not (tmp_path / "out/bomb").exists()


# ---- What extract, list and verify do with tars, they do with zips -----------------------------

@pytest.fixture
def packed(tmp_path):
    write(tmp_path / "src/app/k.py", "x = 1\n", ns=WHEN + 123_456_789)
    index(tmp_path / "src/app/k.py")
    write(tmp_path / "src/app/b.txt", "text\n", ns=WHEN + 1)
    Runner(tmp_path).ok("-cqf", "a.zip", "-C", "src", "app")
    return Runner(tmp_path)


def test_indexes_are_valid_after_unpacking(packed, tmp_path):
    done = packed.ok("-xf", "a.zip", "-C", "out")
    assert b"1 of 1 cache indexes valid" in done.stderr
    assert (tmp_path / "out/app/k.py").stat().st_mtime_ns == WHEN + 123_456_789


def test_an_archive_is_verified_from_a_file_and_from_a_pipe(packed, tmp_path):
    data = (tmp_path / "a.zip").read_bytes()
    for words, stdin in ((("verify", "-f", "a.zip"), b""), (("verify", "-f", "-"), data)):
        assert b"1 of 1 cache indexes valid" in packed.ok(*words, stdin=stdin).stderr


def test_list_shows_nanoseconds(packed):
    entries = json.loads(packed.ok("list", "--json", "-f", "a.zip").stdout)["entries"]
    found = {e["path"]: e for e in entries}["app/k.py"]
    assert found["mtime"] == f"{WHEN // SECOND}.123456789"
    assert found["sha256"] == hashlib.sha256(b"x = 1\n").hexdigest()


def test_patterns_strip_and_standard_output(packed, tmp_path):
    assert packed.ok("-xOf", "a.zip", "app/b.txt").stdout == b"text\n"
    packed.ok("-xqf", "a.zip", "-C", "out", "--strip-components", "1", "app/b.txt")
    assert (tmp_path / "out/b.txt").exists() and not (tmp_path / "out/k.py").exists()


def test_if_needed_does_nothing_the_second_time(packed, tmp_path):
    packed.ok("-xqf", "a.zip", "-C", "out", "--if-needed")
    before = (tmp_path / "out/app").stat().st_ino
    assert b"nothing to do" in packed.ok("-xf", "a.zip", "-C", "out", "--if-needed").stderr
    assert (tmp_path / "out/app").stat().st_ino == before


def rewrite(path, change):
    """The zip at PATH with each entry's content put through CHANGE(name, content)."""
    with zipfile.ZipFile(path) as old:
        comment, entries = old.comment, [(i, old.read(i)) for i in old.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        new.comment = comment
        for info, content in entries:
            content = change(info.filename, content)
            if content is not None:
                new.writestr(info, content)


def test_content_other_than_the_manifest_says_is_refused(packed, tmp_path):
    rewrite(tmp_path / "a.zip",
            lambda name, c: c.replace(b"1", b"2") if name.endswith("k.py") else c)
    refused(packed("-xf", "a.zip", "-C", "out"), "app/k.py", "SHA-256")
    assert not (tmp_path / "out/app").exists()


def test_an_archive_that_lost_its_manifest_is_refused(packed, tmp_path):
    rewrite(tmp_path / "a.zip", lambda name, c: None if "manifest" in name else c)
    refused(packed("-xf", "a.zip", "-C", "out"), "manifest is missing")


def test_levels_out_of_range_are_refused(packed):
    refused_line = packed("-cf", "b.zip", "--level", "13", "src")
    assert refused_line.returncode == 2 and b"0 to 12" in refused_line.stderr


# ---- Python imports ours without unpacking -----------------------------------------------------

@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_zipimport_takes_the_compiled_files(tmp_path, zone):
    """It compares a .pyc with the time of day that the zip shows, in the zone where it runs."""
    when = 1_600_000_001 * SECOND + 5
    source = write(tmp_path / "tree/pkg/k.py", "x = 2\n", ns=when)
    py_compile.compile(source, tmp_path / "tree/pkg/k.pyc", doraise=True)
    write(source, "x = 1\n", ns=when)  # so that one can see which of the two was taken
    write(tmp_path / "tree/pkg/__init__.py", "", ns=1_600_000_000 * SECOND)
    Runner(tmp_path).ok("-cqf", "a.zip", "-C", "tree", "pkg", env={"TZ": zone})
    said = run(sys.executable, "-c", "import pkg.k; print(pkg.k.x)",
               env=environment(tmp_path, TZ=zone, PYTHONPATH=str(tmp_path / "a.zip")))
    assert said == b"2\n"


# ---- Eggs --------------------------------------------------------------------------------------

@pytest.fixture
def project(tmp_path):
    """A project as setuptools leaves it after "build egg_info"."""
    write(tmp_path / "build/lib/demo_app/__init__.py", "X = 42\n", ns=WHEN + 7)
    index(tmp_path / "build/lib/demo_app/__init__.py")
    info = tmp_path / "demo_app.egg-info"
    write(info / "PKG-INFO", "Metadata-Version: 2.1\nName: demo-app\nVersion: 1.0\n")
    write(info / "top_level.txt", "demo_app\n")
    write(info / "zip-safe", "\n")
    return tmp_path


EGG = "demo_app-1.0-py3.11.egg"
EGG_SCRIPT = """
import importlib.metadata, demo_app
print(demo_app.__file__, demo_app.X, importlib.metadata.version("demo-app"))
"""


def test_an_egg_is_imported_as_it_is_and_unpacked(project):
    warmpack = Runner(project)
    warmpack.ok("create", "-qf", EGG, "-C", "build/lib", ".")
    names = set(zipfile.ZipFile(project / EGG).namelist())
    assert {"EGG-INFO/PKG-INFO", "EGG-INFO/not-zip-safe", "EGG-INFO/top_level.txt"} <= names
    assert "EGG-INFO/zip-safe" not in names
    assert any(re.fullmatch(r"EGG-INFO/warmpack/[0-9a-f]{16}/manifest\.jsonl", n) for n in names)
    done = warmpack.ok("extract", "-f", EGG, "-C", "out/" + EGG)
    assert b"1 of 1 cache indexes valid" in done.stderr
    for place in (project / EGG, project / "out" / EGG):
        said = run(PYTHON, "-c", EGG_SCRIPT, cwd="/",
                   env=environment(project, PYTHONPATH=str(place), PYTHONDONTWRITEBYTECODE="1"))
        assert said.decode().split() == [str(place / "demo_app/__init__.py"), "42", "1.0"]


def test_an_egg_takes_the_metadata_that_is_named(project):
    warmpack = Runner(project)
    (project / "demo_app.egg-info").rename(project / "elsewhere")
    refused(warmpack("create", "-f", EGG, "-C", "build/lib", "."), EGG, "--egg-info")
    assert not (project / EGG).exists()
    warmpack.ok("create", "-qf", EGG, "--egg-info", "elsewhere", "-C", "build/lib", ".")
    assert b"Version: 1.0" in run("unzip", "-p", project / EGG, "EGG-INFO/PKG-INFO")
    refused(warmpack("create", "-f", EGG, "--egg-info", "build", "-C", "build/lib", "."),
            "PKG-INFO")


def test_metadata_in_the_tree_is_not_packed_twice(project):
    (project / "demo_app.egg-info").rename(project / "build/lib/demo_app.egg-info")
    Runner(project).ok("create", "-qf", EGG, "-C", "build/lib", ".")
    names = zipfile.ZipFile(project / EGG).namelist()
    assert "EGG-INFO/PKG-INFO" in names
    assert not [n for n in names if "egg-info" in n]


def test_an_unpacked_egg_packs_to_the_same_contents(project):
    warmpack = Runner(project)
    warmpack.ok("create", "-qf", EGG, "-C", "build/lib", ".")
    warmpack.ok("extract", "-qf", EGG, "-C", "out")
    warmpack.ok("create", "-qf", "again.egg", "-C", "out", ".")
    names = [sorted(n for n in zipfile.ZipFile(project / a).namelist() if "/warmpack/" not in n)
             for a in (EGG, "again.egg")]
    assert names[0] == names[1]
    assert sum("manifest.jsonl" in n
               for n in zipfile.ZipFile(project / "again.egg").namelist()) == 1


# ---- Wheels ------------------------------------------------------------------------------------

WHEEL = "demo_app-1.0-py3-none-any.whl"
INFO = "demo_app-1.0.dist-info"


@pytest.fixture
def unpacked_wheel(tmp_path):
    tree = tmp_path / "tree"
    write(tree / "demo_app/__init__.py", "X = 42\n", ns=WHEN + 7)
    write(tree / 'demo_app/a,b".txt', "odd")
    index(tree / "demo_app/__init__.py")
    write(tree / INFO / "METADATA", "Metadata-Version: 2.1\nName: demo-app\nVersion: 1.0\n")
    write(tree / INFO / "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    write(tree / INFO / "RECORD", "outdated,,\n")
    return tmp_path


def test_record_has_the_digest_of_every_file(unpacked_wheel):
    Runner(unpacked_wheel).ok("create", "-qf", WHEEL, "-C", "tree", ".")
    with zipfile.ZipFile(unpacked_wheel / WHEEL) as wheel:
        record = wheel.read(INFO + "/RECORD").decode()
        rows = {name: (digest, size) for name, digest, size in csv.reader(io.StringIO(record))}
        files = [n for n in wheel.namelist() if not n.endswith("/")]
        assert sorted(rows) == sorted(files)
        assert rows.pop(INFO + "/RECORD") == ("", "")
        for name, (digest, size) in rows.items():
            content = wheel.read(name)
            encoded = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
            assert (digest, size) == ("sha256=" + encoded.decode(), str(len(content))), name


def test_a_wheel_comes_back_valid_and_its_record_is_checked(unpacked_wheel):
    warmpack = Runner(unpacked_wheel)
    warmpack.ok("create", "-qf", WHEEL, "-C", "tree", ".")
    assert b"1 of 1 cache indexes valid" in warmpack.ok("-xf", WHEEL, "-C", "out").stderr
    rewrite(unpacked_wheel / WHEEL,
            lambda name, c: c.replace(b",7\n", b",8\n") if name.endswith("/RECORD") else c)
    refused(warmpack("-xf", WHEEL, "-C", "other"), "RECORD", "SHA-256")


def test_a_wheel_of_an_installed_package_has_nothing_of_its_installer(unpacked_wheel):
    info = unpacked_wheel / "tree" / INFO
    for name in ("direct_url.json", "INSTALLER", "REQUESTED", "uv_cache.json", "uv_build.json"):
        write(info / name, "{}\n")
    write(unpacked_wheel / "tree/demo_app/INSTALLER", "of the package itself\n")
    Runner(unpacked_wheel).ok("create", "-qf", WHEEL, "-C", "tree", ".")
    with zipfile.ZipFile(unpacked_wheel / WHEEL) as wheel:
        names = {n for n in wheel.namelist() if "/warmpack/" not in n and not n.endswith("/")}
        rows = csv.reader(io.StringIO(wheel.read(INFO + "/RECORD").decode()))
        listed = {row[0] for row in rows if "/warmpack/" not in row[0]}
    assert {n for n in names if n.startswith(INFO)} == {
        f"{INFO}/{n}" for n in ("METADATA", "WHEEL", "RECORD")}
    assert "demo_app/INSTALLER" in names
    assert listed == names


def test_a_wheel_has_no_symlinks_and_one_dist_info(unpacked_wheel):
    warmpack, tree = Runner(unpacked_wheel), unpacked_wheel / "tree"
    (tree / "demo_app/link").symlink_to("__init__.py")
    refused(warmpack("create", "-f", WHEEL, "-C", "tree", "."), "demo_app/link", "symbolic link")
    refused(warmpack("create", "-f", WHEEL, "-C", "tree", "demo_app"), "dist-info")
    warmpack.ok("create", "-hqf", WHEEL, "-C", "tree", ".")
    (tree / "other-1.dist-info").mkdir()
    refused(warmpack("create", "-hf", WHEEL, "-C", "tree", "."), "one .dist-info")
