"""Whatever a filesystem does to times: verify says of a tree there what Numba then does, and what
is unpacked or repaired there is loaded."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from harness import warmpack
from small import run_small, write_small

OVERLOADS = 3  # of the small tree, each in an index of its own


def tool(*words):
    subprocess.run([str(word) for word in words], check=True, stderr=subprocess.PIPE)


class Disks:
    """Filesystems below a directory, which are gone when the test has ended."""

    def __init__(self, here):
        self.here = here
        self.mounted = []

    def mount(self, name, *words):
        place = self.here / name
        place.mkdir()
        done = subprocess.run(["mount", *map(str, words), str(place)], stderr=subprocess.PIPE,
                              text=True, check=False)
        if done.returncode:
            pytest.skip("cannot mount: " + done.stderr.strip())
        self.mounted.append(place)
        return place

    def unmount(self):
        for place in reversed(self.mounted):
            subprocess.run(["umount", place], check=True)

    def tmpfs(self, name="tmpfs"):
        return self.mount(name, "-t", "tmpfs", "none")

    def whole_seconds(self):
        image = self.here / "ext4"
        with open(image, "wb") as f:
            f.truncate(16 << 20)
        tool("mkfs.ext4", "-q", "-I", "128", image)
        return self.mount("whole-seconds", "-o", "loop", image)

    def squashfs(self, tree):
        tool("mksquashfs", tree, self.here / "image", "-quiet", "-no-progress", "-keep-as-directory")
        return self.mount("squashfs", "-o", "loop,ro", self.here / "image")

    def overlay(self, lower, name="overlay"):
        layers = self.tmpfs("layers")
        for layer in ("upper", "work"):
            (layers / layer).mkdir()
        return self.mount(name, "-t", "overlay", "-o",
                          f"lowerdir={lower},upperdir={layers}/upper,workdir={layers}/work", "none")

    def nfs(self):
        if not os.environ.get("WARMPACK_NFS"):
            pytest.skip("WARMPACK_NFS names no directory on NFS")
        place = Path(os.environ["WARMPACK_NFS"]) / self.here.name
        place.mkdir()
        return place


@pytest.fixture
def disks(here):
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    made = Disks(here)
    yield made
    made.unmount()
    if os.environ.get("WARMPACK_NFS"):
        shutil.rmtree(Path(os.environ["WARMPACK_NFS"]) / here.name, ignore_errors=True)


@pytest.fixture
def archive(here, me):
    root = write_small(here / "build" / "app")
    assert run_small(root, me.home) == (0, OVERLOADS)
    warmpack("create", "-qf", here / "app.tgz", "-C", here / "build", "app", home=me.home)
    return here / "app.tgz"


def brought(disks, archive, me, how):
    """The tree that an archive holds, unpacked on a common filesystem and brought to another."""
    root = disks.here / "unpacked" / "app"
    warmpack("extract", "-qf", archive, "-C", root.parent, home=me.home)
    if how == "squashfs":
        return disks.squashfs(root) / "app"
    if how == "overlay":
        return disks.overlay(root.parent) / "app"
    if how == "overlay over squashfs":
        return disks.overlay(disks.squashfs(root)) / "app"
    place = empty(disks, how)
    tool("cp", "-a", root, place)
    return place / "app"


def empty(disks, how):
    if how == "overlay":
        (disks.here / "lower").mkdir()
        return disks.overlay(disks.here / "lower")
    return {"tmpfs": disks.tmpfs, "whole seconds": disks.whole_seconds, "nfs": disks.nfs}[how]()


@pytest.mark.parametrize("how, keeps", [
    ("tmpfs", True), ("whole seconds", False), ("squashfs", False), ("overlay", True),
    ("overlay over squashfs", False), ("nfs", True)])
def test_verify_says_what_numba_does(disks, archive, me, how, keeps):
    root = brought(disks, archive, me, how)
    done = warmpack("verify", root, home=me.home, expect=0 if keeps else 1)
    assert done.counts == (OVERLOADS if keeps else 0, OVERLOADS)
    assert run_small(root, me.home) == ((OVERLOADS, 0) if keeps else (0, OVERLOADS))


@pytest.mark.parametrize("how", ["tmpfs", "whole seconds", "overlay", "nfs"])
def test_what_is_unpacked_there_is_loaded(disks, archive, me, how):
    place = empty(disks, how)
    done = warmpack("extract", "-f", archive, "-C", place, home=me.home)
    assert done.counts == (OVERLOADS, OVERLOADS)
    assert run_small(place / "app", me.home) == (OVERLOADS, 0)


@pytest.mark.parametrize("how", ["whole seconds", "squashfs", "overlay over squashfs"])
def test_what_lost_its_times_there_is_loaded_once_it_is_restored(disks, archive, me, how):
    root, caches = brought(disks, archive, me, how), disks.here / "caches"
    beside = ("--cache-dir", caches) if how == "squashfs" else ()
    done = warmpack("restore", root, *beside, home=me.home)
    assert done.counts == (OVERLOADS, OVERLOADS)
    where = {"NUMBA_CACHE_DIR": caches} if beside else {}
    assert run_small(root, me.home, **where) == (OVERLOADS, 0)
