"""A tree that nobody can write to, and one directory that somebody can: the caches alone go there,
and nothing in the tree changes."""

import os
import shutil
import subprocess

import pytest
from harness import LOADED, PYTHON, environment, warmpack
from small import cache_of, run_small, write_small


@pytest.fixture(scope="module")
def warmed(workspace):
    """Only read by all tests here."""
    root = write_small(workspace / "read-only" / "build")
    assert run_small(root, root) == (0, 3)
    return root


def shut(root):
    """Root's own, and not even root's to write to."""
    for directory, _, _ in os.walk(root, topdown=False):
        os.chmod(directory, 0o555)
    return root


def copied(warmed, root, caches):
    """As a checkout or an image has it: all times are new."""
    shutil.copytree(warmed, root, ignore=None if caches else shutil.ignore_patterns("__pycache__"))
    for path in root.rglob("*.py"):
        os.utime(path, (1.65e9 + 0.25, 1.65e9 + 0.25))
    return shut(root)


def facts_of(root):
    return {p: (p.lstat().st_mtime_ns, p.lstat().st_ctime_ns, p.lstat().st_mode)
            for p in [root, *root.rglob("*")]}


def loads(root, person, caches):
    done = subprocess.run(
        person.command([PYTHON, "-B", "-c", "import pkg.k"]),
        env=environment(person.home, NUMBA_DEBUG_CACHE=1, PYTHONPATH=root, NUMBA_CACHE_DIR=caches),
        cwd=person.home, stdout=subprocess.PIPE, check=True, text=True)
    return len(LOADED.findall(done.stdout))


def packed(here, me, warmed, *options):
    archive = here / "caches.tgz"
    warmpack("create", "-f", archive, *options, "-C", warmed, "pkg", home=me.home)
    return archive


@pytest.mark.parametrize("sources", (False, True))
def test_caches_alone_go_to_a_root_outside_a_tree_that_is_only_read(
    warmed, here, me, another_user, sources
):
    archive = packed(here, me, warmed, *(() if sources else ("--caches-only",)))
    root, caches = copied(warmed, here / "task", False), another_user.home / "nc"
    before = facts_of(root)
    for _ in range(2):
        done = warmpack("extract", "--caches-only", "-f", archive, "-C", root, "--cache-dir", caches,
                        home=another_user.home, person=another_user)
        assert done.counts == (3, 3) and "cannot be written to" in done.err
    assert facts_of(root) == before
    assert [p.name.split("_")[0] for p in caches.iterdir()] == ["pkg"]  # neither staging nor manifest
    assert loads(root, another_user, caches) == 3
    assert warmpack("verify", "--cache-dir", caches, root, home=another_user.home,
                    person=another_user).counts == (3, 3)


def test_what_changed_is_left_out_there_too(warmed, here, me, another_user):
    archive = packed(here, me, warmed, "--caches-only")
    changed = here / "changed"
    shutil.copytree(warmed, changed)
    (changed / "pkg" / "k.py").write_text((changed / "pkg" / "k.py").read_text() + "x = 1\n")
    root, caches = copied(changed, here / "task", False), another_user.home / "nc"
    done = warmpack("extract", "--caches-only", "-f", archive, "-C", root, "--cache-dir", caches,
                    home=another_user.home, person=another_user, expect=2)
    assert "none of the 1 sources" in done.err
    assert not caches.exists()


@pytest.mark.parametrize("where", ("beside", "in the tree"))
def test_restore_puts_copies_of_what_is_there_into_the_root(warmed, here, me, another_user, where):
    """The caches lie in the tree, whose times are lost, or where a manifest is that tells of it."""
    archive = packed(here, me, warmed)
    subprocess.run(["tar", "-xzmf", archive, "-C", here], check=True)
    unpacked = here / "pkg"
    manifest = next(unpacked.rglob("manifest.jsonl"))
    root, caches = here / "task", another_user.home / "nc"
    if where == "beside":
        copied(warmed, root, False)
        options = ("--manifest", manifest)
    else:
        root.mkdir()
        unpacked.rename(root / "pkg")
        shut(root)
        options = ()
    before = facts_of(root)
    for _ in range(2):
        done = warmpack("restore", root, "--cache-dir", caches, *options,
                        home=another_user.home, person=another_user)
        assert done.counts == (3, 3)
    assert facts_of(root) == before
    assert len(list(caches.iterdir())) == 1
    assert loads(root, another_user, caches) == 3
    if where == "in the tree":  # copies, and no further names of what is there
        assert {p.stat().st_nlink for p in cache_of(root).iterdir()} == {1}


def test_without_a_place_for_caches_the_line_says_what_works(warmed, here, me, another_user):
    archive = packed(here, me, warmed)
    root = copied(warmed, here / "task", False)
    done = warmpack("extract", "--caches-only", "-f", archive, "-C", root,
                    home=another_user.home, person=another_user, expect=2)
    assert "--cache-dir" in done.err and "warmpack-locator(7)" in done.err
    manifest = here / "unpacked"
    manifest.mkdir()
    subprocess.run(["tar", "-xzf", archive, "-C", manifest], check=True)
    done = warmpack("restore", root, "--manifest", next(manifest.rglob("manifest.jsonl")),
                    home=another_user.home, person=another_user, expect=2)
    assert "--cache-dir" in done.err and "warmpack-locator(7)" in done.err


def test_keys_are_not_changed_where_no_manifest_can_be_left(warmed, here, me, another_user):
    archive = packed(here, me, warmed)
    root, caches = copied(warmed, here / "task", False), another_user.home / "nc"
    done = warmpack("extract", "--caches-only", "-f", archive, "-C", root, "--cache-dir", caches,
                    "--retarget", PYTHON, home=another_user.home, person=another_user, expect=2)
    assert "--retarget needs a manifest there" in done.err
    assert not caches.exists()
