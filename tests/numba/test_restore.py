"""A tree that another tool unpacked, or that was moved, is repaired: Numba loads as in place."""

import json
import os
import random
import shutil
import signal
import subprocess
import time

import pytest
from arrivals import assert_all_valid, assert_as_in_place
from harness import (
    PYTHON,
    WARMPACK,
    environment,
    indexes_in,
    remove_tree,
    run_numba,
    warmpack,
)
from small import run_small, write_small

ZIP = """
import os, sys, tarfile, zipfile, tempfile
with tempfile.TemporaryDirectory() as there:
    tarfile.open(sys.argv[1]).extractall(there)
    name = os.path.join(there, "through.zip")
    with zipfile.ZipFile(name, "w") as z:
        for directory, _, files in os.walk(there):
            for file in files:
                path = os.path.join(directory, file)
                if path != name and os.path.isfile(path):  # followed
                    z.write(path, os.path.relpath(path, there))
    zipfile.ZipFile(name).extractall(sys.argv[2])
"""
COPIES = "tar -xzf '{archive}' -C '{directory}' && find '{directory}' -type f -exec touch {{}} +"
TOOLS = {
    "gnu-tar": "tar -xzf '{archive}' -C '{directory}'",
    "whole-seconds": "mkdir '{directory}.first' && tar -xzf '{archive}' -C '{directory}.first' &&"
    " tar --format=gnu -cC '{directory}.first' . | tar -xC '{directory}'",
    "bsdtar": "bsdtar -xzf '{archive}' -C '{directory}' 2>/dev/null",
    "zipfile": PYTHON + " '{directory}/../zip.py' '{archive}' '{directory}'",
    "new-times": COPIES,
}


def unpacked_by(tool, archive, here):
    """The archive, unpacked by TOOL; returns the directory that holds "app"."""
    directory = here / "by other"
    directory.mkdir()
    (here / "zip.py").write_text(ZIP)
    subprocess.run(
        TOOLS[tool].format(archive=archive, directory=directory), shell=True, check=True
    )
    return directory


def listing(*roots):
    """Everything that stat tells but the times of reading."""
    found = []
    for root in roots:
        for directory, names, files in os.walk(root):
            for name in [".", *names, *files]:
                path = os.path.join(directory, name)
                s = os.lstat(path)
                found.append(
                    (path, s.st_ino, s.st_mode, s.st_size, s.st_mtime_ns, s.st_ctime_ns)
                )
    return sorted(found)


def stamps(roots):
    return {path.name: path.read_bytes() for path in indexes_in(*roots)}


def consumer(warm, root):
    return {"NUMBA_CACHE_DIR": root / ".numba_cache"} if warm.place == "inside" else {}


@pytest.mark.parametrize("tool", sorted(TOOLS))
def test_tree_unpacked_by_another_tool_loads_as_in_place(warm, here, me, tool):
    directory = unpacked_by(tool, warm.archives[".tgz"], here)
    done = warmpack("restore", directory, home=me.home)
    assert_all_valid(done, warm)
    root = directory / "app"
    assert_as_in_place(run_numba(root, me, **consumer(warm, root)), warm, root)


UNZIPPERS = {
    "unzip": "unzip -q '{archive}' -d '{directory}'",
    "java": "cd '{directory}' && jar xf '{archive}'",
    "zipfile": PYTHON + " -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1])"
    ".extractall(sys.argv[2])' '{archive}' '{directory}'",
    "bsdtar": "bsdtar -xf '{archive}' -C '{directory}'",
    "tarfile": PYTHON + " -c 'import sys, tarfile; tarfile.open(sys.argv[1])"
    ".extractall(sys.argv[2])' '{archive}' '{directory}'",
}


@pytest.mark.parametrize("tool", sorted(UNZIPPERS))
def test_zip_unpacked_by_another_tool_loads_as_in_place(outside, here, me, tool):
    directory = here / "by other"
    directory.mkdir()
    archive = outside.archives[".tgz" if tool == "tarfile" else ".zip"]
    command = UNZIPPERS[tool].format(archive=archive, directory=directory)
    subprocess.run(command, shell=True, check=True, env=environment(me.home))
    root = directory / "app"
    if tool == "unzip":  # without repair nothing is found
        assert run_numba(shutil.copytree(root, here / "unrepaired"), me).loads == 0
    done = warmpack("restore", directory, home=me.home)
    assert_all_valid(done, outside)
    assert_as_in_place(run_numba(root, me), outside, root)


def test_egg_unpacked_by_unzip_loads_as_in_place(in_tree, copied, here, me):
    metadata = here / "warmapp.egg-info"
    metadata.mkdir()
    (metadata / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: warmapp\nVersion: 1.0\n")
    egg = here / "warmapp-1.0-py3.11.egg"
    warmpack("create", "-f", egg, "--egg-info", metadata, "-C", copied, ".", home=me.home)
    root = here / "site" / egg.name
    root.mkdir(parents=True)
    subprocess.run(["unzip", "-q", egg, "-d", root], check=True)
    assert_all_valid(warmpack("restore", root.parent, home=me.home), in_tree)
    assert_as_in_place(run_numba(root, me), in_tree, root)


def test_wheel_installed_by_pip_loads_as_in_place(in_tree, copied, here, me):
    info = copied / "warmapp-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: warmapp\nVersion: 1.0\n")
    (info / "WHEEL").write_text(
        "Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    for path in copied.rglob("*"):
        if path.is_symlink():  # a wheel has none: a copy of the same time, as stamps want it
            target = path.resolve()
            path.unlink()
            shutil.copy2(target, path)
            os.utime(path, ns=(target.stat().st_mtime_ns,) * 2)
    wheel = here / "warmapp-1.0-py3-none-any.whl"
    packed = warmpack("create", "-f", wheel, "-C", copied, ".", home=me.home)
    site = here / "site"
    pip = (PYTHON, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", site)
    subprocess.run([*pip, wheel], check=True, env=environment(me.home))
    done = warmpack("restore", site, home=me.home)
    assert done.counts == packed.counts == (in_tree.indexes, in_tree.indexes)
    assert_as_in_place(run_numba(site, me), in_tree, site)


def test_tree_with_new_times_loses_its_caches_without_repair(in_tree, here, me):
    directory = unpacked_by("new-times", in_tree.archives[".tgz"], here)
    assert run_numba(directory / "app", me).loads == 0


def test_second_repair_changes_nothing(warm, here, me):
    directory = unpacked_by("zipfile", warm.archives[".tgz"], here)
    warmpack("restore", directory, home=me.home)
    before = listing(directory)
    warmpack("restore", directory, home=me.home)
    assert listing(directory) == before


def test_dry_run_tells_and_changes_nothing(warm, here, me):
    directory = unpacked_by("zipfile", warm.archives[".tgz"], here)
    before = listing(directory)
    done = warmpack("restore", "--dry-run", directory, home=me.home)
    assert "to set" in done.err
    assert listing(directory) == before
    warmpack("restore", directory, home=me.home)
    assert listing(directory) != before


def test_executable_bits_that_a_zip_dropped_come_back(in_tree, here, me):
    root = here / "own" / "app"
    shutil.copytree(in_tree.copies["tree"], root, symlinks=True)
    tool = root / "tool.sh"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    archive = here / "own.tgz"
    warmpack("create", "-f", archive, "-C", root.parent, "app", home=me.home)
    directory = unpacked_by("zipfile", archive, here)
    assert not os.access(directory / "app" / "tool.sh", os.X_OK)
    warmpack("restore", directory, home=me.home)
    assert (directory / "app" / "tool.sh").stat().st_mode & 0o777 == 0o755


def test_indexes_that_numba_made_before_the_repair_stay_valid(in_tree, here, me):
    """They fit the times that the other tool set, so they are given the exact ones."""
    directory = unpacked_by("new-times", in_tree.archives[".tgz"], here)
    root = directory / "app"
    assert run_numba(root, me).saves > 0
    done = warmpack("restore", directory, home=me.home)
    assert "restamped" in done.err
    assert_as_in_place(run_numba(root, me), in_tree, root)


# ---- Moved trees


def laid(warm, here, me, *words):
    """The tree unpacked by warmpack, its caches where the place has them; and who needs what."""
    caches = here / "caches"
    root = here / "first" / "app"
    if warm.place == "outside":
        words += ("--cache-dir", caches)
    if warm.place == "user-wide":
        words += ("--layout", "user-wide")
    done = warmpack(
        "extract", "-f", warm.archives[".tgz"], "-C", root.parent, *words, home=me.home
    )
    return root, done, {"NUMBA_CACHE_DIR": caches} if warm.place == "outside" else {}


def test_moved_tree_is_repaired_in_every_place_twice(warm, here, me):
    if warm.place == "user-wide":
        pytest.skip("the user-wide place is tested with read-only trees")
    root, _, variables = laid(warm, here, me)
    for name in ("second/app", "third/other name"):
        new = here / name
        new.parent.mkdir()
        os.rename(root, new)
        root = new
        done = warmpack("restore", root, home=me.home)
        assert_all_valid(done, warm)
        here_variables = variables or consumer(warm, root)
        run = run_numba(root, me, **here_variables)
        assert_as_in_place(run, warm, here_variables.get("NUMBA_CACHE_DIR", root))
        before = listing(root, *variables.values())
        warmpack("restore", root, home=me.home)
        assert listing(root, *variables.values()) == before


def test_moved_tree_that_nobody_may_write_to_finds_its_user_wide_caches(
    user_wide, here, me, another_user, names_wrapper
):
    variables = names_wrapper(another_user.home)
    words = ("--layout", "user-wide", "--user", "nobody")
    archive = user_wide.archives[".tgz"]
    warmpack("extract", "-f", archive, "-C", here / "a", *words, home=me.home, **variables)
    os.rename(here / "a", here / "b")
    done = warmpack("restore", here / "b", "--user", "nobody", home=me.home, **variables)
    assert_all_valid(done, user_wide)
    run = run_numba(here / "b" / "app", another_user)
    assert_as_in_place(run, user_wide, another_user.home / ".cache" / "numba")


@pytest.mark.parametrize("layout", ["in-tree", "cache-dir"])
def test_repair_moves_caches_to_another_layout(warm, here, me, layout):
    directory = unpacked_by("gnu-tar", warm.archives[".tgz"], here)
    root, caches = directory / "app", here / "new caches"
    words = ("--cache-dir", caches) if layout == "cache-dir" else ()
    done = warmpack("restore", root, "--layout", layout, *words, home=me.home)
    assert_all_valid(done, warm)
    variables = {"NUMBA_CACHE_DIR": caches} if words else {}
    assert_as_in_place(run_numba(root, me, **variables), warm, caches if words else root)


# ---- Stamps


def test_times_that_must_stay_are_matched_by_stamps(warm, here, me):
    directory = unpacked_by("new-times", warm.archives[".tgz"], here)
    root = directory / "app"
    times = {path: path.stat().st_mtime_ns for path in root.rglob("*.py")}
    done = warmpack("restore", root, "--restamp", "always", home=me.home)
    assert_all_valid(done, warm)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert_as_in_place(run_numba(root, me, **consumer(warm, root)), warm, root)

    # Given other times again, it is still known whose indexes they are.
    for path in times:
        os.utime(path)
    assert_all_valid(warmpack("restore", root, "--restamp", "always", home=me.home), warm)
    # And with its own times back, it is what was packed.
    assert_all_valid(warmpack("restore", root, home=me.home), warm)
    assert_as_in_place(run_numba(root, me, **consumer(warm, root)), warm, root)


def test_never_restamping_leaves_every_index_as_it_is(in_tree, here, me):
    directory = unpacked_by("new-times", in_tree.archives[".tgz"], here)
    before = stamps([directory])
    done = warmpack("restore", directory, "--restamp", "never", home=me.home)
    assert_all_valid(done, in_tree)
    assert stamps([directory]) == before


CONSTANT = """
import numba

@numba.njit(cache=True)
def answer(x):
    return x * {}
"""


def test_changed_source_keeps_a_stale_index_since_it_would_run_old_code(here, me):
    """Numba's key does not see the constant: a fresh stamp on the old index runs the old code."""
    root = here / "build" / "app"
    root.mkdir(parents=True)
    entry = root / "entry.py"

    def answer(of):
        return run_numba(of, me, "application").results

    run_line = "\ndef application():\n    return answer(1)\n"
    entry.write_text(CONSTANT.format(2) + run_line)
    # Python's own .pyc tells whole seconds only: a change within the second would not be seen.
    os.utime(entry, ns=(1_700_000_000_123_456_789, 1_700_000_000_123_456_789))
    assert answer(root) == 2
    archive = here / "app.tgz"
    warmpack("create", "-f", archive, "-C", root.parent, "app", home=me.home)
    directory = unpacked_by("gnu-tar", archive, here)
    changed = directory / "app" / "entry.py"
    changed.write_text(CONSTANT.format(3) + run_line)
    for when in ("auto", "always"):
        done = warmpack("restore", directory, "--restamp", when, home=me.home, expect=1)
        assert "app/entry.py" in done.err
        assert done.counts == (0, 1)

    # What would have happened: a stamp that fits.
    wrong = here / "wrong"
    shutil.copytree(directory / "app", wrong)
    index = indexes_in(wrong)[0]
    text = index.read_bytes()
    import pickle
    import struct

    old = entry.stat()
    new = (wrong / "entry.py").stat()
    assert old.st_size == new.st_size
    assert text.count(struct.pack(">d", old.st_mtime)) == 1
    index.write_bytes(
        text.replace(struct.pack(">d", old.st_mtime), struct.pack(">d", new.st_mtime))
    )
    assert pickle.loads(index.read_bytes())
    assert answer(wrong) == 2  # old code, and Numba says nothing
    assert answer(directory / "app") == 3


def test_index_stale_when_packed_is_never_restamped(copied, here, me):
    source = copied / "warmapp" / "recursion.py"
    os.utime(source, ns=(1_600_000_000_123_456_789, 1_600_000_000_123_456_789))
    archive = here / "stale.tgz"
    warmpack("create", "-f", archive, "-C", copied.parent, "app", home=me.home)
    directory = unpacked_by("new-times", archive, here)
    total = len(indexes_in(directory))
    for when in ("always", "auto"):
        done = warmpack("restore", directory, "--restamp", when, home=me.home)
        assert done.counts == (total - 1, total)
        assert "recursion.fibonacci-" in done.err


@pytest.fixture
def small_inodes(here):
    """A filesystem that holds whole seconds only."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    image, place = here / "image", here / "mounted"
    place.mkdir()
    with open(image, "wb") as f:
        f.truncate(256 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-I", "128", image], check=True, stderr=subprocess.PIPE)
    mounted = subprocess.run(["mount", "-o", "loop", image, place], stderr=subprocess.PIPE)
    if mounted.returncode:
        pytest.skip("no loop devices")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("verb", ["extract", "restore"])
def test_filesystem_of_whole_seconds_gets_stamps_that_fit(warm, here, me, small_inodes, verb):
    place = small_inodes / "there"
    place.mkdir()
    archive = warm.archives[".tgz"]
    if verb == "extract":
        done = warmpack("extract", "-f", archive, "-C", place, home=me.home)
    else:
        subprocess.run(["tar", "-xzf", archive, "-C", place], check=True)
        done = warmpack("restore", place, home=me.home)
    assert_all_valid(done, warm)
    assert "restamped" in done.err
    root = place / "app"
    assert all(path.stat().st_mtime_ns % 10**9 == 0 for path in root.rglob("*.py"))
    assert_as_in_place(run_numba(root, me, **consumer(warm, root)), warm, root)


def test_sources_of_another_user_are_matched_by_stamps(in_tree, here, me, another_user):
    directory = unpacked_by("new-times", in_tree.archives[".tgz"], here)
    for path, _, files in os.walk(directory):
        os.chown(path, another_user.uid, another_user.uid)
        for name in files:
            if name.endswith((".nbi", ".jsonl")):
                os.chown(os.path.join(path, name), another_user.uid, another_user.uid)
    done = warmpack("restore", directory, home=another_user.home, person=another_user)
    assert_all_valid(done, in_tree)
    root = directory / "app"
    assert_as_in_place(run_numba(root, another_user), in_tree, root)


# ---- Grafting


def bare(warm, here):
    """The application as git or pip would bring it: new times, no caches."""
    root = here / "site" / "app"
    shutil.copytree(
        warm.copies["tree"],
        root,
        symlinks=True,
        copy_function=shutil.copyfile,
        ignore=shutil.ignore_patterns("*.nb?", "*.pyc", ".numba_cache"),
    )
    subprocess.run("find . -type f -exec touch {} +", shell=True, check=True, cwd=root)
    return root


@pytest.mark.parametrize("when", ["auto", "always"])
@pytest.mark.parametrize("contents", ["full", "caches"])
def test_caches_of_an_archive_go_onto_a_tree_that_came_another_way(
    warm, here, me, when, contents
):
    archive = warm.archives[".tgz"]
    if contents == "caches":
        build = here / "again"
        warmpack("extract", "-f", archive, "-C", build, home=me.home)
        archive = here / "caches.tgz"
        words = ("--caches-only", "-C", build, "app")
        assert_all_valid(warmpack("create", "-f", archive, *words, home=me.home), warm)
        listed = warmpack("list", "-f", archive, home=me.home).out
        assert ".py\n" not in listed
    root = bare(warm, here)
    done = warmpack(
        "extract",
        *("--caches-only", "-f", archive, "-C", root.parent, "--restamp", when),
        home=me.home,
    )
    assert_all_valid(done, warm)
    assert_as_in_place(run_numba(root, me, **consumer(warm, root)), warm, root)


def test_caches_beside_a_manifest_go_onto_a_tree_that_came_another_way(warm, here, me):
    directory = unpacked_by("gnu-tar", warm.archives[".tgz"], here)
    manifest = next(directory.rglob("manifest.jsonl"))
    root = bare(warm, here)
    before = listing(directory)
    # Its caches have no place in the tree of their own here: they go beside the sources.
    done = warmpack("restore", root, "--manifest", manifest, home=me.home)
    assert_all_valid(done, warm)
    assert listing(directory) == before
    assert_as_in_place(run_numba(root, me), warm, root)
    after = listing(root)
    warmpack("restore", root, "--manifest", manifest, home=me.home)
    assert listing(root) == after


def link_tree(store, there):
    shutil.copytree(store, there, copy_function=os.link, ignore=lambda d, n: {".warmpack"} & {*n})
    return there


def test_files_that_other_environments_share_keep_their_times(here, me):
    """uv and conda link one file into many environments: the time of one is that of all."""
    root = write_small(here / "build" / "app")
    assert run_small(root, me.home) == (0, 3)
    warmpack("create", "-f", here / "a.tgz", "-C", here / "build", "app", home=me.home)
    warmpack(
        "create", "--caches-only", "-f", here / "c.tgz", "-C", here / "build", "app", home=me.home
    )
    shutil.copytree(root / "pkg", here / "store" / "pkg", copy_function=shutil.copy)
    shutil.rmtree(here / "store" / "pkg" / "__pycache__")
    first, other = (link_tree(here / "store", here / n / "app") for n in ("first", "other"))
    assert run_small(other, me.home) == (0, 3)
    before = listing(other)

    warmpack("extract", "--caches-only", "-f", here / "c.tgz", "-C", first.parent, home=me.home)
    assert run_small(first, me.home) == (3, 0)
    assert listing(other) == before and run_small(other, me.home) == (3, 0)

    # And where a link is of the tree itself, all of them get the time.
    warmpack("extract", "-f", here / "a.tgz", "-C", here / "unpacked", home=me.home)
    moved = here / "unpacked" / "app" / "pkg"
    os.link(moved / "k.py", moved / "same.py")
    warmpack("create", "-f", here / "b.tgz", "-C", here / "unpacked", "app", home=me.home)
    tree = unpacked_by("new-times", here / "b.tgz", here)
    assert (tree / "app" / "pkg" / "k.py").stat().st_nlink == 2
    warmpack("restore", tree, home=me.home)
    assert (tree / "app" / "pkg" / "k.py").stat().st_mtime_ns == (moved / "k.py").stat().st_mtime_ns


def test_changed_source_gets_no_caches(in_tree, here, me):
    root = bare(in_tree, here)
    source = root / "warmapp" / "recursion.py"
    source.write_text(source.read_text() + "\n# changed\n")
    done = warmpack(
        "extract",
        *("--caches-only", "--json", "-f", in_tree.archives[".tgz"], "-C", root.parent),
        home=me.home,
    )
    said = json.loads(done.out)
    assert said["matched"] == said["sources"] - 1
    assert not list(root.rglob("recursion.fibonacci-*"))
    saved = run_numba(root, me).saved
    assert saved and all("/recursion.fibonacci-" in path for path in saved)


def test_sources_are_matched_in_a_git_clone(in_tree, here, me):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    origin = bare(in_tree, here)
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    for words in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "all")):
        subprocess.run(["git", *words], cwd=origin, check=True, env=environment(me.home))
    root = here / "clone"
    subprocess.run(["git", "clone", "-q", origin, root], check=True, env=environment(me.home))
    done = warmpack(
        "extract",
        *("--caches-only", "-f", in_tree.archives[".tgz"], "-C", root),
        *("--strip-components", "1", "--restamp", "always"),
        home=me.home,
    )
    assert_all_valid(done, in_tree)
    assert_as_in_place(run_numba(root, me), in_tree, root)


# ---- Kills


def test_killed_repair_is_finished_by_the_next_one(outside, here, me):
    dice = random.Random(7)
    directory = unpacked_by("zipfile", outside.archives[".tgz"], here)
    whole = here / "whole"
    subprocess.run(["cp", "-a", directory, whole], check=True)
    started = time.monotonic()
    warmpack("restore", whole, home=me.home)
    length = time.monotonic() - started
    for _ in range(12):
        process = subprocess.Popen(
            [WARMPACK, "restore", directory],
            env=environment(me.home),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(dice.uniform(0, length))
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = warmpack("restore", directory, home=me.home)
    assert_all_valid(done, outside)
    root = directory / "app"
    assert not list(directory.glob(".warmpack-*"))
    assert len(indexes_in(directory)) == outside.indexes
    assert_as_in_place(run_numba(root, me), outside, root)


def test_tree_without_a_manifest_is_refused(copied, me):
    done = warmpack("restore", copied, home=me.home, expect=2)
    assert "no manifest" in done.err


def test_two_archives_in_one_directory_are_both_repaired(in_tree, outside, here, me):
    directory = here / "both"
    directory.mkdir()
    for warm, name in ((in_tree, "one"), (outside, "two")):
        subprocess.run(["tar", "-xzf", warm.archives[".tgz"], "-C", directory], check=True)
        os.rename(directory / "app", directory / name)
    done = warmpack("restore", directory, home=me.home)
    total = in_tree.indexes + outside.indexes
    assert done.counts == (total, total)
    assert_as_in_place(run_numba(directory / "one", me), in_tree, directory / "one")
    assert_as_in_place(run_numba(directory / "two", me), outside, directory / "two")
    remove_tree(directory / "one")
