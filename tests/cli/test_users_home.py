"""Root unpacks for another user: the caches in that user's home are that user's from the first
moment, and no link of that user's leads root anywhere."""

import os
import pathlib
import random
import shutil
import signal
import time

import pytest
import trees
from trees import NOBODY, index, look, needs_root, write

pytestmark = needs_root
WORDS = ("-xf", "a.tgz", "-C", "out", "--layout", "user-wide", "--user", "nobody")


@pytest.fixture(name="place")
def directory_for_all():
    path = trees.public_directory()
    yield path
    trees.remove_tree(path)


@pytest.fixture(name="warmpack")
def warmpack_that_knows_where_nobody_lives(place):
    home = place / "nobody"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    (place / "passwd").write_text(f"nobody:x:{NOBODY}:{NOBODY}::{home}:/bin/sh\n")
    (place / "group").write_text(f"nogroup:x:{NOBODY}:\n")
    preload = "libnss_wrapper.so"
    if b"__asan_init" in pathlib.Path(trees.BINARY).read_bytes():
        preload = trees.run("gcc", "-print-file-name=libasan.so").decode().strip() + " " + preload
    runner = trees.Runner(place)
    plain = runner.variables
    runner.variables = lambda **more: plain(
        LD_PRELOAD=preload, NSS_WRAPPER_PASSWD=str(place / "passwd"),
        NSS_WRAPPER_GROUP=str(place / "group"), **more)
    for i in range(60):
        index(write(place / f"src/app/d{i}/k.py", f"x = {i}\n"))
    runner.ok("-czqf", "a.tgz", "-C", "src", "app")
    return runner


def owners(root):
    return {os.fsdecode(p): e["owner"] for p, e in look(root, ours=True, owners=True).items()
            if b".warmpack-" not in p}


def test_all_that_is_made_in_a_home_is_its_users(warmpack, place):
    warmpack(*WORDS)
    found = owners(place / "nobody")
    assert len([p for p in found if p.endswith(".nbi")]) == 60
    assert {".cache", ".cache/numba"} <= found.keys()
    assert set(found.values()) == {(NOBODY, NOBODY)}


def test_a_kill_leaves_nothing_of_roots_in_a_home(warmpack, place):
    started = time.monotonic()
    warmpack(*WORDS)
    length = time.monotonic() - started
    choose = random.Random(4)
    for _ in range(15):
        shutil.rmtree(place / "nobody/.cache", ignore_errors=True)
        shutil.rmtree(place / "out", ignore_errors=True)
        child = warmpack.start(*WORDS)
        time.sleep(choose.uniform(0, length))
        child.send_signal(signal.SIGKILL)
        child.communicate()
        assert set(owners(place / "nobody").values()) <= {(NOBODY, NOBODY)}
    warmpack(*WORDS)
    assert len([p for p in owners(place / "nobody") if p.endswith(".nbi")]) == 60
    assert not trees.leftovers(place / "nobody", place / "out")


@pytest.mark.parametrize("name", [".cache", ".cache/numba"])
def test_a_link_of_the_users_is_not_followed(warmpack, place, name):
    victim = place / "victim"
    victim.mkdir()
    link = place / "nobody" / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(victim)
    os.lchown(link, NOBODY, NOBODY)
    trees.refused(warmpack(*WORDS), "symbolic link of the user's")
    assert not list(victim.iterdir())
    assert victim.stat().st_uid == 0
    # Nor is one that root made where the user can put another in its place.
    os.lchown(link, 0, 0)
    os.chown(link.parent, NOBODY, NOBODY)
    trees.refused(warmpack(*WORDS), "symbolic link of the user's")
    assert not list(victim.iterdir())


@pytest.mark.parametrize("user, owner", [
    ("4000000:4000001", (4000000, 4000001)), (f"{NOBODY}:0", (NOBODY, 0)),
    (f"nobody:{NOBODY}", (NOBODY, NOBODY)), ("nobody:", (NOBODY, NOBODY))])
def test_caches_are_given_to_the_user_and_the_group_that_are_named(warmpack, place, user, owner):
    """As chown, podman's --user and Dockerfiles' USER take them; also what lies there already."""
    caches = place / "caches"
    words = ("-xf", "a.tgz", "-C", "out", "--cache-dir", caches, "--user", user)
    warmpack.ok(*words)
    found = owners(caches)
    assert len(found) == 60 * 3 and set(found.values()) == {owner}
    warmpack.ok("restore", "out", "--cache-dir", caches, "--user", "4000002:4000003")
    assert {owners(caches)[p] for p in found if "." not in p} == {(4000002, 4000003)}


def test_a_group_that_is_not_there_is_named(warmpack):
    trees.refused(warmpack("-xf", "a.tgz", "-C", "out", "--user", "nobody:nogroups"),
                  "nogroups", "no such group")
