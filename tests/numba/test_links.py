"""Sources that are symbolic links, as package managers and build systems make them of a store: what
they lead to is judged, what nothing leads to is said, and nothing is written through a link."""

import json
import os
import shutil
import subprocess

import pytest
from harness import warmpack
from small import cache_of, run_small, write_small


@pytest.fixture
def warmed(here, me):
    """A warm tree of regular files."""
    root = write_small(here / "build")
    assert run_small(root, me.home) == (0, 3)
    return root


@pytest.fixture
def store(here, me, warmed):
    """The same, copied so that all times are new, without caches."""
    root = here / "store"
    shutil.copytree(warmed, root, ignore=shutil.ignore_patterns("__pycache__"))
    for path in root.rglob("*.py"):
        os.utime(path, (1.65e9 + 0.25, 1.65e9 + 0.25))
    return root


def link_files(store, root, relative=False):
    """A tree whose files are links to those of STORE."""
    for path in store.rglob("*"):
        if path.is_file():
            link = root / path.relative_to(store)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(path, link.parent) if relative else path)
    return root


def caches_of(warmed, here, me):
    archive = here / "caches.tgz"
    warmpack("create", "--caches-only", "-f", archive, "-C", warmed, "pkg", home=me.home)
    return archive


def unpacked_manifest(warmed, here, me):
    """The manifest of the whole tree, somewhere else."""
    archive = here / "whole.tgz"
    warmpack("create", "-f", archive, "-C", warmed, "pkg", home=me.home)
    (here / "unpacked").mkdir()
    subprocess.run(["tar", "-xzf", archive, "-C", here / "unpacked"], check=True)
    return next((here / "unpacked").rglob("manifest.jsonl"))


def facts_of(root):
    return {
        path: (path.lstat().st_mtime_ns, path.lstat().st_mode, os.path.islink(path))
        for path in root.rglob("*")
    }


@pytest.mark.parametrize("relative", (False, True))
def test_caches_are_put_beside_linked_sources_and_the_store_stays_as_it_was(
    warmed, store, here, me, relative
):
    archive = caches_of(warmed, here, me)
    root = link_files(store, here / "env", relative)
    before = facts_of(store)
    done = warmpack("extract", "--caches-only", "-f", archive, "-C", root, home=me.home)
    assert done.counts == (3, 3) and "3 indexes restamped" in done.err
    assert facts_of(store) == before
    assert (root / "pkg" / "k.py").is_symlink()
    assert run_small(root, me.home) == (3, 0)
    assert warmpack("verify", root, home=me.home).counts == (3, 3)


def test_restore_of_links_to_everything_changes_the_tree_alone(warmed, here, me):
    manifest = unpacked_manifest(warmed, here, me)
    store = manifest.parents[3]  # unpacked by tar: whole seconds
    root = link_files(store, here / "env")
    shutil.rmtree(root / "pkg" / ".warmpack")
    before = facts_of(store)
    words = ("restore", root, "--manifest", manifest)
    done = warmpack(*words, home=me.home)
    assert done.counts == (3, 3) and "missing" not in done.err
    assert facts_of(store) == before
    assert run_small(root, me.home) == (3, 0)
    assert "restamped" not in warmpack(*words, home=me.home).err


def test_other_content_behind_a_link_gets_no_caches(warmed, store, here, me):
    archive = caches_of(warmed, here, me)
    manifest = unpacked_manifest(warmed, here, me)
    (store / "pkg" / "k.py").write_text((store / "pkg" / "k.py").read_text() + "# another\n")
    root = link_files(store, here / "env")
    words = ("extract", "--caches-only", "-f", archive, "-C", root)
    warmpack(*words, home=me.home, expect=2)
    assert not cache_of(root).exists()
    done = warmpack("restore", root, "--manifest", manifest, home=me.home)
    assert "pkg/k.py: is not what was packed" in done.err
    assert run_small(root, me.home) == (0, 3)


def test_a_changed_file_behind_a_link_that_a_source_imports_leaves_its_caches_out(here, me):
    root = write_small(here / "build")
    text = (root / "pkg" / "k.py").read_text()
    (root / "pkg" / "low.py").write_text("STEP = 1\n")
    (root / "pkg" / "k.py").write_text("from pkg.low import STEP\n" + text)
    assert run_small(root, me.home) == (0, 3)
    archive = caches_of(root, here, me)
    store = here / "store"
    shutil.copytree(root, store, ignore=shutil.ignore_patterns("__pycache__"))
    env = link_files(store, here / "env")
    done = warmpack("extract", "--caches-only", "-f", archive, "-C", env, home=me.home)
    assert done.counts == (3, 3)
    (store / "pkg" / "low.py").write_text("STEP = 2\n")
    env = link_files(store, here / "later")
    done = warmpack("extract", "--caches-only", "-f", archive, "-C", env, home=me.home)
    assert "3 of 3 indexes left out: pkg/low.py changed" in done.err
    assert run_small(env, me.home) == (0, 3)


@pytest.mark.parametrize("target", ("k.py", "nowhere", "/dev/null", "fifo"))
def test_links_that_lead_to_no_file_are_missing_files(warmed, here, me, target):
    archive = caches_of(warmed, here, me)
    manifest = unpacked_manifest(warmed, here, me)
    root = here / "env"
    (root / "pkg").mkdir(parents=True)
    (root / "pkg" / "__init__.py").write_text("")
    if target == "fifo":
        os.mkfifo(root / "pkg" / "fifo")
    (root / "pkg" / "k.py").symlink_to(target)
    words = ("extract", "--caches-only", "-f", archive, "-C", root)
    assert "none of the 1 sources" in warmpack(*words, home=me.home, expect=2).err
    done = warmpack("restore", root, "--manifest", manifest, home=me.home)
    assert "0 of 1 sources are the same; 1 file missing" in done.err
    assert os.readlink(root / "pkg" / "k.py") == target


@pytest.mark.parametrize("place", ("in tree", "cache dir"))
def test_a_linked_package_directory_stays_a_link_and_is_named(warmed, store, here, me, place):
    archive = caches_of(warmed, here, me)
    manifest = unpacked_manifest(warmed, here, me)
    root = here / "env"
    root.mkdir()
    (root / "pkg").symlink_to(store / "pkg")
    before = facts_of(store)
    words = ["extract", "--caches-only", "-f", archive, "-C", root]
    words += ["--cache-dir", here / "caches"] if place == "cache dir" else []
    done = warmpack(*words, home=me.home, expect=2)
    assert "pkg/k.py: a directory above it is a symbolic link" in done.err
    done = warmpack("restore", root, "--manifest", manifest, home=me.home)
    assert "pkg/k.py: a directory above it is a symbolic link" in done.err
    assert "1 of 1 sources are the same" in done.err and "missing" not in done.err
    assert (root / "pkg").is_symlink() and facts_of(store) == before
    # What it leads to is a tree like any other.
    words = ("extract", "--caches-only", "-f", archive, "-C", store)
    assert warmpack(*words, home=me.home).counts == (3, 3)
    assert run_small(root, me.home) == (3, 0)


def test_the_linked_directory_of_one_package_costs_another_nothing(here, me):
    root = write_small(here / "build")
    shutil.copytree(root / "pkg", root / "pkg" / "sub")
    assert run_small(root, me.home) == (0, 3)
    archive = here / "caches.tgz"
    subprocess.run(
        ["/usr/bin/python3", "-B", "-c", "import pkg.sub.k"],
        env={"PATH": "/usr/bin", "HOME": str(me.home), "PYTHONPATH": str(root)},
        check=True,
    )
    warmpack("create", "--caches-only", "-f", archive, "-C", root, "pkg", home=me.home)
    env = here / "env"
    shutil.copytree(root, env, ignore=shutil.ignore_patterns("__pycache__"))
    (env / "pkg" / "sub").rename(here / "sub")
    (env / "pkg" / "sub").symlink_to(here / "sub")
    done = warmpack("extract", "--caches-only", "-f", archive, "-C", env, home=me.home)
    assert done.counts == (3, 3) and "caches of 1 source there are left out" in done.err
    assert (env / "pkg" / "sub").is_symlink()
    assert not (here / "sub" / "__pycache__").exists()
    assert run_small(env, me.home) == (3, 0)


# ---- Archives of such trees


@pytest.fixture
def linked(here, me, store):
    """A warm tree whose files are links out of it."""
    root = link_files(store, here / "env")
    assert run_small(root, me.home) == (0, 3)
    return root


@pytest.mark.parametrize("suffix", (".tgz", ".zip", ".tar"))
def test_links_out_of_an_archive_are_named_and_their_indexes_are_not_valid(
    linked, here, me, suffix
):
    archive = here / ("app" + suffix)
    words = ("-f", archive, "-C", linked, "pkg")
    done = warmpack("create", *words, home=me.home)
    assert "pkg/k.py: the source of valid indexes is a symbolic link" in done.err
    assert "-h packs" in done.err and done.counts == (3, 3)
    done = warmpack("verify", "--json", "-f", archive, home=me.home, expect=1)
    lines = json.loads(done.out)["indexes"]
    assert {line["status"] for line in lines} == {"source-missing"}
    assert all("not in the archive" in line["reason"] for line in lines)
    # Where the store is, they are valid; elsewhere they are not, and that is said.
    words = ("extract", "-f", archive, "-C")
    assert warmpack(*words, here / "near", home=me.home).counts == (3, 3)
    (here / "store").rename(here / "gone")
    assert warmpack(*words, here / "far", home=me.home, expect=1).counts == (0, 3)


def test_a_pipe_is_judged_as_a_file_is(linked, here, me):
    archive = here / "app.tgz"
    warmpack("create", "-f", archive, "-C", linked, "pkg", home=me.home)
    data = archive.read_bytes()
    done = warmpack("verify", "-f", "-", home=me.home, stdin=data, expect=1)
    assert "not in the archive" in done.out


def test_dereferenced_links_arrive_warm(linked, here, me):
    for kind in ((), ("--caches-only",)):
        archive = here / ("app%d.tgz" % len(kind))
        words = ("create", "--strict", "-h", *kind, "-f", archive, "-C", linked, "pkg")
        assert "symbolic link" not in warmpack(*words, home=me.home).err
        assert warmpack("verify", "-f", archive, home=me.home).counts == (3, 3)
    root = here / "far"
    done = warmpack("extract", "-f", here / "app0.tgz", "-C", root, home=me.home)
    assert done.counts == (3, 3)
    (here / "store").rename(here / "gone")
    assert run_small(root, me.home) == (3, 0)
    root = here / "graft"
    shutil.copytree(here / "gone", root)
    words = ("extract", "--caches-only", "-f", here / "app1.tgz", "-C", root)
    assert warmpack(*words, home=me.home).counts == (3, 3)
    assert run_small(root, me.home) == (3, 0)


@pytest.mark.parametrize("through", ("file", "directory"))
def test_links_within_an_archive_are_whole_there(here, me, through):
    root = write_small(here / "build")
    (root / "pkg" / "k.py").rename(root / "pkg" / "real.py")
    if through == "file":
        (root / "pkg" / "k.py").symlink_to("real.py")
    else:
        (root / "pkg" / "v2").mkdir()
        (root / "pkg" / "real.py").rename(root / "pkg" / "v2" / "k.py")
        (root / "pkg" / "now").symlink_to("v2")
        (root / "pkg" / "k.py").symlink_to("now/k.py")
    assert run_small(root, me.home) == (0, 3)
    archive = here / "app.tgz"
    words = ("create", "--strict", "-f", archive, "-C", root, "pkg")
    assert "symbolic link" not in warmpack(*words, home=me.home).err
    assert warmpack("verify", "-f", archive, home=me.home).counts == (3, 3)
    there = here / "far"
    assert warmpack("extract", "-f", archive, "-C", there, home=me.home).counts == (3, 3)
    assert run_small(there, me.home) == (3, 0)
    # An absolute link to the same file leads out all the same.
    target = os.path.realpath(root / "pkg" / "k.py")
    (root / "pkg" / "k.py").unlink()
    (root / "pkg" / "k.py").symlink_to(target)
    assert "symbolic link" in warmpack(*words, home=me.home).err
    warmpack("verify", "-f", archive, home=me.home, expect=1)


def test_sealing_names_links_out_of_the_tree(linked, me):
    done = warmpack("seal", linked, home=me.home)
    assert "is a symbolic link to what is not in the tree" in done.err
    assert "-h packs" not in done.err
    assert run_small(linked, me.home) == (3, 0)


def test_amend_finds_a_linked_directory_in_the_archive(here, me):
    root = write_small(here / "app")
    (root / "shared").mkdir()
    (root / "shared" / "low.py").write_text("ONE = 1\n")
    (root / "pkg" / "sub").symlink_to("../shared")
    source = root / "pkg" / "k.py"
    source.write_text("from .sub.low import ONE\n" + source.read_text())
    assert run_small(root, me.home) == (0, 3)
    archive = here / "a.tgz"
    subprocess.run(["tar", "--exclude=__pycache__", "-czf", archive, "-C", here, "app"], check=True)
    done = warmpack("amend", "-f", archive, "--source", root, home=me.home)
    assert "left behind" not in done.err and "3 of 3 cache indexes valid" in done.err


@pytest.mark.parametrize("what", ("file", "link", "added"))
def test_amend_is_not_misled_by_a_copy_elsewhere(here, me, what):
    root = write_small(here / "app")
    files = {"one/low.py": "ONE = 1\n", "two/low.py": "ONE = 22\n", "new.py": "ONE = 333\n"}
    files.update({top + "/data/low.py": "ONE = 4444\n" for top in ("pkg", "twin")})
    files.update({"twin/__init__.py": "", "twin/fast.py": "ONE = 333\n"})
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    for top in ("pkg", "twin"):
        (root / top / "sub").symlink_to("../one")
    module = {"file": "data.low", "link": "sub.low", "added": "fast"}[what]
    source = root / "pkg" / "k.py"
    lines = "try:\n    from pkg.%s import ONE\nexcept ImportError:\n    ONE = 0\n" % module
    source.write_text(lines + source.read_text())
    assert run_small(root, me.home) == (0, 3)
    newer = here / "newer" / "app"
    shutil.copytree(root, newer, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    archive = here / "a.tgz"
    words = ("amend", "-f", archive, "--source", root)
    tar = ["tar", "-czf", archive, "-C", newer.parent, "app"]
    subprocess.run(tar, check=True)
    assert warmpack(*words, home=me.home).counts == (3, 3)
    if what == "file":
        (newer / "pkg" / "data" / "low.py").write_text("ONE = 22\n")
    elif what == "link":
        (newer / "pkg" / "sub").unlink()
        (newer / "pkg" / "sub").symlink_to("../two")
    else:
        shutil.copy(newer / "twin" / "fast.py", newer / "pkg" / "fast.py")
    subprocess.run(tar, check=True)
    done = warmpack(*words, home=me.home, expect=None)
    assert "left behind" in done.err
    warmpack("extract", "-f", archive, "-C", here / "far", home=me.home)
    assert run_small(here / "far" / "app", me.home) == (0, 3)


def test_create_looks_at_the_time_of_links_between(here, me):
    root = write_small(here / "app")
    for name in ("one", "two"):
        (root / name).mkdir()
        (root / name / "low.txt").write_text("ONE = '%s'\n" % name)
        os.utime(root / name / "low.txt", (1.6e9, 1.6e9))
    (root / "current").symlink_to("one")
    (root / "pkg" / "low.py").symlink_to("../current/low.txt")
    source = root / "pkg" / "k.py"
    source.write_text("from .low import ONE\n" + source.read_text())
    assert run_small(root, me.home) == (0, 3)
    words = ("create", "-f", here / "a.tgz", "-C", here, "app")
    assert warmpack(*words, home=me.home).counts == (3, 3)
    (root / "current").unlink()
    (root / "current").symlink_to("two")
    assert warmpack(*words, home=me.home).counts == (0, 3)
