"""diff: what two archives, directories or manifests have not in common."""

import json
import os
import shutil

import pytest
import trees
from trees import SECOND, index, look, refused, run, write


@pytest.fixture
def app(tmp_path):
    app = tmp_path / "app"
    write(app / "pkg/k.py", "x = 1\n", ns=10**18 + 1)
    write(app / "pkg/__init__.py", "", ns=10**18 + 2)
    write(app / "m.py", "y = 1\n", ns=10**18 + 3)
    write(app / "data.bin", trees.noise(3_000_000), ns=10**18 + 4)
    (app / "link").symlink_to("m.py")
    os.link(app / "m.py", app / "other_name.py")
    index(app / "pkg/k.py")
    return app


def differences(warmpack, a, b, *more, **kwargs):
    """(what, path) of each, and the exit status held against them."""
    done = warmpack("diff", "--json", a, b, *more, **kwargs)
    found = json.loads(done.stdout)["differences"]
    assert done.returncode == (1 if found else 0)
    return [(d["change"], d["path"]) for d in found]


@pytest.mark.parametrize("suffix", ["tgz", "tar", "tar.zst", "zip"])
def test_a_tree_and_what_was_packed_of_it_are_the_same_in_every_direction(warmpack, app, tmp_path,
                                                                         suffix):
    if suffix == "zip":  # has no hard links
        (app / "other_name.py").unlink()
        shutil.copy2(app / "m.py", app / "other_name.py")
    before = look(tmp_path)
    archive = tmp_path / f"a.{suffix}"
    warmpack.ok("create", "-q", "-f", archive, "app")
    assert differences(warmpack, archive, app) == differences(warmpack, app, archive) == []
    (tmp_path / "else").mkdir()
    warmpack.ok("extract", "-q", "-f", archive, "-C", "else")
    assert differences(warmpack, archive, tmp_path / "else/app") == []
    assert differences(warmpack, archive, tmp_path / "else") == []
    manifest, = (tmp_path / "else/app/.warmpack").glob("*/manifest.jsonl")
    assert differences(warmpack, manifest, archive) == []
    assert differences(warmpack, manifest, app) == []
    archive.unlink()
    shutil.rmtree(tmp_path / "else")
    trees.assert_same(before, look(tmp_path))


def test_a_wheel_and_its_manifest_are_the_same(warmpack, app, tmp_path):
    """Which has no digest of RECORD, since that has the manifest's."""
    info = tmp_path / "app/app-1.dist-info"
    write(info / "METADATA", "Metadata-Version: 2.1\nName: app\nVersion: 1\n")
    write(info / "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    write(info / "RECORD", "m.py,,\n")
    wheel, out = tmp_path / "app-1-py3-none-any.whl", tmp_path / "out"
    warmpack.ok("create", "-qf", wheel, "-C", "app", "pkg", "m.py", info.name)
    warmpack.ok("extract", "-qf", wheel, "-C", out)
    manifest, = out.glob("*.dist-info/warmpack/*/manifest.jsonl")
    for side in manifest, wheel, out:
        assert differences(warmpack, manifest, side) == [], side
    write(out / "m.py", "y = 2\n", ns=10**18 + 3)
    assert differences(warmpack, manifest, out) == [("changed", "m.py")]


def test_each_kind_of_difference_is_named(warmpack, app, tmp_path):
    warmpack.ok("create", "-q", "-f", "a.tgz", "app")
    write(app / "new.py", "z = 1\n")
    (app / "data.bin").unlink()
    write(app / "pkg/__init__.py", "#\n", ns=10**18 + 2)
    os.utime(app / "pkg/k.py", ns=(0, 10**18 + SECOND))
    (app / "m.py").chmod(0o750)
    (app / "link").unlink()
    (app / "link").symlink_to("pkg")
    (app / "empty").mkdir()
    assert differences(warmpack, "a.tgz", "app") == [
        ("removed", "data.bin"), ("added", "empty"), ("changed", "link"), ("mode", "m.py"),
        ("added", "new.py"), ("mode", "other_name.py"), ("changed", "pkg/__init__.py"),
        ("time", "pkg/k.py")]
    done = warmpack("diff", "a.tgz", "app")
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == b"removed data.bin"
    assert done.stderr.endswith(
        b"2 added, 1 removed, 2 changed, 2 with another mode, 1 with another time alone\n")
    assert warmpack("diff", "-q", "a.tgz", "app").stderr == b""


def test_a_file_of_the_same_size_and_time_with_other_content_is_changed(warmpack, app):
    warmpack.ok("create", "-q", "-f", "a.tgz", "app")
    content = bytearray((app / "data.bin").read_bytes())
    content[-1] ^= 1
    write(app / "data.bin", bytes(content), ns=10**18 + 4)
    assert differences(warmpack, "a.tgz", "app") == [("changed", "data.bin")]


def test_what_became_another_type_is_changed(warmpack, app):
    warmpack.ok("create", "-q", "-f", "a.tgz", "app")
    (app / "data.bin").unlink()
    (app / "data.bin").mkdir()
    (app / "link").unlink()
    write(app / "link", "m.py")
    assert differences(warmpack, "a.tgz", "app") == [("changed", "data.bin"), ("changed", "link")]


def test_releases_with_other_top_directories_are_compared_below_them(warmpack, app, tmp_path):
    warmpack.ok("create", "-q", "-f", "a.tgz", "app")
    app.rename(tmp_path / "app-2")
    write(tmp_path / "app-2/new.py")
    warmpack.ok("create", "-q", "-f", "b.tgz", "app-2")
    assert differences(warmpack, "a.tgz", "b.tgz") == [("added", "new.py")]


def test_archives_of_other_tools_are_compared_by_their_content(warmpack, app, tmp_path):
    warmpack.ok("create", "-q", "-f", "a.tgz", "app")
    run("tar", "--format=posix", "-cf", tmp_path / "b.tar", "-C", tmp_path, "app")
    assert differences(warmpack, "a.tgz", "b.tar") == []
    write(app / "data.bin", b"0" * 3_000_000, ns=10**18 + 4)
    run("tar", "--format=posix", "-cf", tmp_path / "c.tar", "-C", tmp_path, "app")
    assert differences(warmpack, "b.tar", "c.tar") == [("changed", "app/data.bin")]


def test_holes_are_zeros(warmpack, app, tmp_path):
    with open(app / "data.bin", "wb") as file:
        file.seek(5_000_000)
        file.write(b"x")
        file.truncate(9_000_000)
    os.utime(app / "data.bin", ns=(0, 10**18))
    run("tar", "--format=posix", "--sparse", "-cf", tmp_path / "b.tar", "-C", tmp_path, "app")
    assert (tmp_path / "b.tar").stat().st_size < 1_000_000
    assert differences(warmpack, "b.tar", "b.tar") == differences(warmpack, "b.tar", "app") == []


def test_where_one_has_caches_only_these_are_compared(warmpack, app):
    warmpack.ok("create", "-q", "--caches-only", "-f", "c.tgz", "app")
    assert differences(warmpack, "c.tgz", "app") == differences(warmpack, "app", "c.tgz") == []
    name = next((app / "pkg/__pycache__").glob("*.nbi")).name
    (app / "pkg/__pycache__" / name).unlink()
    assert differences(warmpack, "c.tgz", "app") == [("removed", f"pkg/__pycache__/{name}")]


def test_patterns_leave_files_of_a_directory_out(warmpack, app):
    warmpack.ok("create", "-q", "-f", "a.tgz", "--exclude", "data.bin", "app")
    assert differences(warmpack, "a.tgz", "app") == [("added", "data.bin")]
    assert differences(warmpack, "a.tgz", "app", "--exclude", "data.bin") == []


def test_an_archive_may_come_through_a_pipe(warmpack, app, tmp_path):
    warmpack.ok("create", "-q", "-f", "a.tgz", "app")
    data = (tmp_path / "a.tgz").read_bytes()
    assert differences(warmpack, "-", "app", stdin=data) == []
    refused(warmpack("diff", "-", "-", stdin=data), "standard input is named twice")


@pytest.mark.parametrize("words, said", [
    (("app",), "give two of them"),
    (("app", "app", "app"), "give two of them"),
    (("app", "nowhere"), "nowhere"),
    (("app", "app/m.py"), "m.py"),
    (("nothing.jsonl", "app"), "nothing.jsonl"),
    (("app", "wrong.jsonl"), "wrong.jsonl"),
    (("short.tgz", "app"), "truncated"),
    (("--cache-dir", "x", "--no-cache-dir", "app", "app"), "exclude one another"),
])
def test_what_cannot_be_compared_is_refused(warmpack, app, tmp_path, words, said):
    write(tmp_path / "wrong.jsonl", "{}\n")
    warmpack.ok("create", "-q", "-f", "a.tgz", "app")
    write(tmp_path / "short.tgz", (tmp_path / "a.tgz").read_bytes()[:-30000])
    done = warmpack("diff", *words)
    refused(done, said)
    assert done.stdout == b""
