"""seal: the manifest of a tree, in it, and nothing else changed."""

import json
import os
import shutil
import subprocess
import time

import pytest
import trees
from trees import (NOBODY, assert_same, index, leftovers, look, needs_root, public_directory, refused,
                   remove_tree, run, write)


@pytest.fixture
def app(tmp_path):
    app = tmp_path / "app"
    write(app / "pkg/k.py", "x = 1\n", ns=10**18 + 1)
    write(app / "pkg/__init__.py", "", ns=10**18 + 2)
    write(app / "other/m.py", "y = 1\n", ns=10**18 + 3)
    write(app / "data.bin", os.urandom(3_000_000), ns=10**18 + 4)
    index(app / "pkg/k.py")
    return app


def manifest(app):
    (found,) = (app / ".warmpack").glob("*/manifest.jsonl")
    return found


def lines(app):
    return [json.loads(line) for line in manifest(app).read_text().splitlines()]


def without_place(text):
    """The lines of a manifest but those that say where it lies."""
    return text.splitlines()[1:-1]


def cache_outside(app, caches, source_dir="pkg"):
    """Moves the cache of a source directory to where $NUMBA_CACHE_DIR would have it."""
    import hashlib
    path = str(app / source_dir)
    name = os.path.basename(path) + "_" + hashlib.sha1(path.encode()).hexdigest()
    caches.mkdir(exist_ok=True)
    (app / source_dir / "__pycache__").rename(caches / name)
    return name


def test_nothing_changes_but_the_manifest_and_sealing_again_writes_nothing(warmpack, app):
    before = look(app)
    first = json.loads(warmpack.ok("seal", "--json", app).stdout)
    assert (first["written"], first["replaced"], first["summary"]["valid"]) == (True, False, 1)
    assert_same(before, look(app))
    sealed, inode = look(app, ours=True), manifest(app).stat().st_ino
    assert manifest(app).parent.name == first["id"]
    again = json.loads(warmpack.ok("seal", "--json", app).stdout)
    assert (again["written"], again["id"]) == (False, first["id"])
    assert_same(sealed, look(app, ours=True))
    assert manifest(app).stat().st_ino == inode
    assert not leftovers(app)


def test_it_is_what_create_would_have_packed(warmpack, app):
    warmpack.ok("create", "-qf", "a.tar", "-C", app, "other", "pkg", "data.bin")
    run("tar", "-xf", "a.tar", "-C", "home", cwd=warmpack.cwd)
    warmpack.ok("seal", "-q", app)
    assert without_place(manifest(app).read_text()) == \
        without_place(manifest(warmpack.home).read_text())


def test_a_changed_tree_gets_another_seal_in_place_of_the_old_one(warmpack, app):
    warmpack.ok("seal", "-q", app)
    old = manifest(app).parent.name
    write(app / "pkg/new.py", "z = 1\n")
    done = json.loads(warmpack.ok("seal", "--json", app).stdout)
    assert (done["written"], done["replaced"]) == (True, True)
    assert manifest(app).parent.name == done["id"] != old
    # A content that changed under the same time and size is a change, too.
    write(app / "pkg/k.py", "x = 2\n", ns=10**18 + 1)
    assert json.loads(warmpack.ok("seal", "--json", app).stdout)["written"]
    assert_same(look(app), look(app))


def test_caches_from_outside_are_copied_and_kept_once_they_are_gone(warmpack, app, tmp_path):
    name = cache_outside(app, tmp_path / "caches")
    done = json.loads(warmpack.ok("seal", "--json", "--cache-dir", "caches", app).stdout)
    assert (done["cache_dirs"], done["summary"]) == (1, {"total": 1, "valid": 1})
    home = manifest(app).parent
    kept = home / "cache" / name
    assert sorted(os.listdir(kept)) == sorted(os.listdir(tmp_path / "caches" / name))
    for file in kept.iterdir():
        other = tmp_path / "caches" / name / file.name
        assert file.read_bytes() == other.read_bytes()
        assert file.stat().st_mtime_ns == other.stat().st_mtime_ns
    sealed = look(app, ours=True)
    shutil.rmtree(tmp_path / "caches")
    assert not json.loads(warmpack.ok("seal", "--json", app).stdout)["written"]
    assert_same(sealed, look(app, ours=True))
    # They are what create packs, and what restore puts in place.
    warmpack.ok("create", "-qf", "a.tgz", "app")
    assert f"cache/{name}/k.add-3.py311.nbi" in run("tar", "-tzf", "a.tgz", cwd=tmp_path).decode()
    app.rename(tmp_path / "moved")
    done = json.loads(warmpack.ok("restore", "--json", "moved").stdout)
    assert (done["renamed"], done["summary"]["valid"]) == (1, 1)


def test_caches_beside_the_manifest_of_a_changed_source_go(warmpack, app, tmp_path):
    cache_outside(app, tmp_path / "caches")
    warmpack.ok("seal", "-q", "--cache-dir", "caches", app)
    write(app / "pkg/k.py", "x = 3333\n")
    done = json.loads(warmpack.ok("seal", "--json", "--no-cache-dir", app).stdout)
    assert done["summary"]["total"] == 0
    assert not (manifest(app).parent / "cache").exists()


def test_a_newer_cache_counts_before_the_one_beside_the_manifest(warmpack, app, tmp_path):
    name = cache_outside(app, tmp_path / "caches")
    for _ in range(2):
        done = json.loads(warmpack.ok("seal", "--json", "--cache-dir", "caches", app).stdout)
        assert (done["summary"]["total"], done["cache_dirs"]) == (1, 1)
    shutil.move(tmp_path / "caches" / name, app / "pkg/__pycache__")
    done = json.loads(warmpack.ok("seal", "--json", app).stdout)
    assert (done["summary"]["total"], done["cache_dirs"]) == (1, 0)


def test_an_extracted_manifest_gives_way_and_its_names_do_not_matter(warmpack, app, tmp_path):
    warmpack.ok("create", "-qf", "a.tgz", "app")
    warmpack.ok("extract", "-qf", "a.tgz", "-C", "opt")
    there = tmp_path / "opt/app"
    old = manifest(there).parent.name
    done = json.loads(warmpack.ok("seal", "--json", there).stdout)
    assert (done["replaced"], done["summary"]["valid"]) == (True, 1)
    assert manifest(there).parent.name != old
    assert lines(there)[0]["home"] == ".warmpack/" + done["id"]
    for path in sorted(there.rglob("*")):
        os.utime(path, (1, 1))
    assert warmpack("verify", there).returncode == 1
    assert json.loads(warmpack.ok("restore", "--json", there).stdout)["summary"]["valid"] == 1


def test_a_better_manifest_is_not_replaced(warmpack, app, tmp_path):
    warmpack.ok("seal", "-q", app)
    run("cp", "-r", app, tmp_path / "copy")
    before = look(tmp_path / "copy", ours=True)
    refused(warmpack("seal", "-q", "copy"), "copy: not sealed", "restore first")
    assert_same(before, look(tmp_path / "copy", ours=True))
    warmpack.ok("restore", "-q", "copy")
    assert json.loads(warmpack.ok("seal", "--json", "copy").stdout)["summary"]["valid"] == 1


def test_strict_refuses_what_is_stale_and_changes_nothing(warmpack, app):
    os.utime(app / "pkg/k.py", ns=(5, 5))
    before = look(app, ours=True)
    said = warmpack("seal", "--strict", "-q", app)
    refused(said, "not sealed: 1 of 1 cache indexes are not valid (--strict)")
    assert_same(before, look(app, ours=True))
    assert not (app / ".warmpack").exists() and not leftovers(app)


def test_one_directory_in_the_tree_does_not_take_the_manifest(warmpack, tmp_path):
    write(tmp_path / "site/only/k.py", "x = 1\n")
    warmpack.ok("seal", "-q", "site")
    assert lines(tmp_path / "site")[0]["home"].startswith(".warmpack/")


def test_manifests_of_distributions_and_further_down_stay(warmpack, app):
    for home in ("demo-1.dist-info/warmpack", "pkg/.warmpack"):
        write(app / home / "0123456789abcdef/manifest.jsonl", "theirs")
    write(app / "demo-1.dist-info/METADATA", "Name: demo\n")
    write(app / "demo.egg-info/PKG-INFO", "Name: demo\n")
    before = look(app, ours=True)
    warmpack.ok("seal", "-q", app)
    paths = [line.get("path", "") for line in lines(app)]
    assert "demo-1.dist-info/METADATA" in paths and "demo.egg-info/PKG-INFO" in paths
    assert not [path for path in paths if "warmpack" in path]
    after = look(app, ours=True)
    assert_same(before, {path: entry for path, entry in after.items() if path in before})


def test_a_link_is_recorded_and_never_followed(warmpack, app, tmp_path):
    write(tmp_path / "secret.py", "s = 1\n")
    (app / "pkg/link.py").symlink_to("../../secret.py")
    (app / "pkg/dir").symlink_to("/etc")
    warmpack.ok("seal", "-q", app)
    found = {line["path"]: line for line in lines(app) if "path" in line}
    assert found["pkg/link.py"]["type"] == "symlink" and found["pkg/dir"]["target"] == "/etc"
    assert not [path for path in found if path.startswith("pkg/dir/")]


def test_a_link_in_the_place_of_the_manifest_is_refused(warmpack, app, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (app / ".warmpack").symlink_to("../elsewhere")
    refused(warmpack("seal", "-q", app), ".warmpack", "refused")
    assert not os.listdir(tmp_path / "elsewhere")
    assert (app / ".warmpack").is_symlink()


def test_a_hostile_manifest_beside_caches_brings_nothing_from_elsewhere(warmpack, app, tmp_path):
    name = cache_outside(app, tmp_path / "caches")
    warmpack.ok("seal", "-q", "--cache-dir", "caches", app)
    home = manifest(app).parent
    (home / "cache" / name).rename(tmp_path / "caches2")
    (home / "cache" / name).symlink_to(tmp_path / "caches2")
    done = json.loads(warmpack.ok("seal", "--json", app).stdout)
    assert done["summary"]["total"] == 0
    assert (tmp_path / "caches2").is_dir()
    (manifest(app)).write_bytes(b"{}\n")
    assert warmpack("seal", "-q", app).returncode == 0


def test_a_symlink_to_the_tree_is_the_tree(warmpack, app, tmp_path):
    (tmp_path / "current").symlink_to("app")
    name = cache_outside(app, tmp_path / "caches")
    done = json.loads(warmpack.ok("seal", "--json", "--cache-dir", "caches", "current").stdout)
    assert done["summary"] == {"total": 1, "valid": 1}
    assert (manifest(app).parent / "cache" / name).is_dir()


@pytest.mark.parametrize("path, said", [("none", "No such file"), ("app/data.bin", "Not a dir")])
def test_what_is_no_directory_is_refused(warmpack, app, path, said):
    refused(warmpack("seal", path), path, said)
    assert not (app.parent / "none").exists()


@needs_root
def test_a_tree_that_cannot_be_written_to_is_refused_in_a_line(warmpack, app):
    place = public_directory()
    try:
        tree = shutil.copytree(app, place / "app")
        before = look(tree, ours=True)
        refused(warmpack("seal", "--no-cache-dir", tree, user=NOBODY, cwd=place), str(tree),
                "Permission denied")
        assert_same(before, look(tree, ours=True))
    finally:
        remove_tree(place)


def test_two_at_once_leave_one_whole_seal(warmpack, app):
    for round_ in range(5):
        write(app / "pkg/more.py", f"r = {round_}\n")
        runs = [warmpack.start("seal", "-q", app) for _ in range(4)]
        for child in runs:
            _, said = child.communicate(timeout=trees.PATIENCE)
            assert (child.returncode, said) == (0, b"")
        seal = manifest(app).read_bytes()
        assert not json.loads(warmpack.ok("seal", "--json", app).stdout)["written"]
        assert manifest(app).read_bytes() == seal
    assert not leftovers(app)


def copied_last(app):
    """As if the tree were a copy that took the manifest last: all else is older there."""
    time.sleep(0.05)
    os.utime(manifest(app))


def test_verify_believes_content_alone_in_a_copy_of_a_changed_tree(warmpack, app):
    """Where builds give all files one time, a change of one letter has neither time nor size."""
    warmpack.ok("seal", "-q", app)
    write(app / "pkg/k.py", "x = 2\n", ns=10**18 + 1)
    copied_last(app)
    said = warmpack.ok("verify", app, status=1).stdout
    assert b"outdated" in said and b"pkg/k.py changed" in said


def test_verify_sees_that_two_directories_have_changed_places(warmpack, app):
    write(app / "other/k.py", "x = 3\n", ns=10**18 + 1)
    write(app / "other/__init__.py", "", ns=10**18 + 2)
    write(app / "user/k.py", "from pkg import k\n", ns=10**18 + 5)
    index(app / "user/k.py")
    warmpack.ok("seal", "-q", app)
    copied_last(app)
    assert b"2 of 2" in warmpack.ok("verify", app).stderr
    for name, other in ("pkg", "between"), ("other", "pkg"), ("between", "other"):
        (app / name).rename(app / other)
    said = warmpack.ok("verify", app, status=1).stdout
    assert b"outdated  user/__pycache__/" in said and b"pkg/k.py changed" in said


def test_exclude_leaves_out_of_the_manifest_alone(warmpack, app):
    warmpack.ok("seal", "-q", "--exclude", "other", app)
    assert not [line for line in lines(app) if line.get("path", "").startswith("other")]
    assert (app / "other/m.py").exists()


def test_words_that_do_not_fit_are_refused(warmpack, app):
    refused_usage = warmpack("seal", app, app)
    assert refused_usage.returncode == 2 and b"give one DIR" in refused_usage.stderr
    both = warmpack("seal", "--no-cache-dir", "--cache-dir", "x", app)
    assert both.returncode == 2 and b"exclude one another" in both.stderr
    assert subprocess.run([trees.BINARY, "seal", "--help"], capture_output=True,
                          check=True).stdout.startswith(b"Usage: warmpack seal DIR")
