"""Directories that a group shares: what is unpacked there gets the group and the rights that GNU
tar gives it, though it is made in a staging directory of its own."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest
import trees
from trees import NOBODY, needs_root, public_directory, remove_tree, run, write

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "faults"))

from indexes import make_index  # noqa: E402

GROUP = 100  # nobody is made a member


@pytest.fixture(name="place")
def directory_for_all():
    path = trees.public_directory()
    yield path
    trees.remove_tree(path)


def shared(path):
    path.mkdir()
    os.chown(path, NOBODY, GROUP)
    path.chmod(0o2775)


def with_acl(path):
    shared(path)
    if shutil.which("setfacl") is None:
        pytest.skip("setfacl is not installed")
    subprocess.run(["setfacl", "-d", "-m", f"g:{GROUP}:rwx,o::r", path], check=True)


def with_shared_below(path):
    path.mkdir()
    os.chown(path, NOBODY, NOBODY)
    shared(path / "app")


def rights(root):
    # Sorted, as directories are listed in an order of the filesystem's own.
    said = run("getfacl", "-Rpn", ".", cwd=root) if shutil.which("getfacl") else b""
    acls = sorted(said.split(b"\n\n"))
    return sorted((os.fsdecode(p), oct(e["mode"]), e["owner"])
                  for p, e in trees.look(root, owners=True).items()), acls


@needs_root
@pytest.mark.parametrize("make", [shared, with_acl, with_shared_below])
def test_what_a_user_unpacks_belongs_to_the_group_as_with_tar(place, make):
    write(place / "src/app/sub/file.py", "x = 1\n", mode=0o664)
    write(place / "src/app/tool", "x", mode=0o775)
    (place / "src/app/sub/link").symlink_to("file.py")
    warmpack = trees.Runner(place)
    run("tar", "-czf", "a.tgz", "-C", "src", "app", cwd=place)
    member = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", f"--groups={NOBODY},{GROUP}"]
    for name, command in (("by tar", ["tar"]), ("by us", [trees.BINARY, "-q"])):
        make(place / name)
        run(*member, *command, "-xzf", "a.tgz", "-C", name, cwd=place,
            env=warmpack.variables())
    assert rights(place / "by tar") == rights(place / "by us")


def acl(path, spec):
    run("setfacl", "-b", path)
    if spec:
        run("setfacl", "-d", "-m", spec, path)


FOR_ANOTHER = "u:daemon:rwx,g::rwx"


@needs_root
@pytest.mark.parametrize("mask", ["002", "022", "077"])
@pytest.mark.parametrize("top, below", [
    (None, FOR_ANOTHER), (None, "g:daemon:rwx,o::r"), (None, "u::rwx,g::r-x,o::---"),
    (None, "u::rwx,g::rwx,o::rwx"), (FOR_ANOTHER, "g:daemon:r-x,o::---"), (FOR_ANOTHER, None)])
def test_what_comes_into_an_existing_directory_gets_its_default_acl_as_with_tar(place, mask, top,
                                                                               below):
    if shutil.which("setfacl") is None:
        pytest.skip("setfacl is not installed")
    write(place / "src/app/sub/file.py", "x = 1\n", mode=0o664)
    write(place / "src/app/sub/secret", "x", mode=0o600)
    write(place / "src/app/sub/deep/tool", "x", mode=0o775)
    (place / "src/app/sub/deep").chmod(0o775)
    (place / "src/app/sub/link").symlink_to("file.py")
    warmpack = trees.Runner(place)
    run("tar", "-czf", "a.tgz", "-C", "src", "app", cwd=place)
    for name, command in (("by tar", "tar"), ("by us", f"{trees.BINARY} -q")):
        for path in place / name, place / name / "app":
            path.mkdir()
            os.chown(path, NOBODY, NOBODY)
        acl(place / name, top)
        acl(place / name / "app", below)
        run("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "sh", "-c",
            f"umask {mask}; exec {command} -xzf a.tgz -C '{name}'", cwd=place,
            env=warmpack.variables())
    assert below != FOR_ANOTHER or b"daemon" in run("getfacl", "-cp",
                                                    place / "by us/app/sub/deep/tool")
    assert rights(place / "by tar") == rights(place / "by us")


@needs_root
@pytest.mark.parametrize("top", [True, False], ids=["the cache root", "a directory in it"])
@pytest.mark.parametrize("verb", ["extract", "restore"])
def test_caches_that_come_into_a_cache_root_get_its_default_acl(place, verb, top):
    """Moved or unpacked, with the directories that are made for them; what they were stays where
    its directory gives none."""
    if shutil.which("setfacl") is None:
        pytest.skip("setfacl is not installed")
    warmpack = trees.Runner(place)
    write(place / "src/app/k.py", "x = 1\n")
    make_index(place / "src/app/k.py")
    warmpack.ok("create", "-qf", "a.tgz", "-C", "src", "app")
    (place / "roots").mkdir()
    if verb == "restore":
        warmpack.ok("extract", "-qf", "a.tgz", "-C", "out")
    where = place / "roots"
    if not top:
        warmpack.ok("extract", "-qf", "a.tgz", "-C", "out", "--cache-dir", "roots")
        (where,) = where.iterdir()
        for path in where.iterdir():
            path.unlink()
        warmpack.ok("extract", "-qf", "a.tgz", "-C", "out")
    acl(where, FOR_ANOTHER)
    words = ["-f", "a.tgz", "-C", "out"] if verb == "extract" else ["out"]
    run("sh", "-c", 'umask 022; exec "$@"', "sh", trees.BINARY, verb, "-q", *words, "--cache-dir",
        "roots", cwd=place, env=warmpack.variables())
    (made,) = (place / "roots").iterdir()
    files = sorted(made.iterdir())
    assert [path.suffix for path in files] == [".nbc", ".nbi"]
    for path in made, *files:
        assert b"user:daemon:rwx" in run("getfacl", "-cp", path), path
    if top:  # made anew, so that whoever the ACL names may save there
        assert made.stat().st_mode & 0o777 == 0o775


@needs_root
def test_a_seal_gets_the_default_acl_as_with_tar(place):
    if shutil.which("setfacl") is None:
        pytest.skip("setfacl is not installed")
    warmpack = trees.Runner(place)
    for name in "by tar", "by us":
        write(place / name / "app/k.py", "x = 1\n")
        make_index(place / name / "app/k.py")
        acl(place / name, FOR_ANOTHER)
    warmpack.ok("seal", "-q", "by us")
    run("sh", "-c", "tar -cf - -C 'by us' .warmpack | tar --no-same-permissions -xf - -C 'by tar'",
        cwd=place, env=warmpack.variables())
    us, tar = (run("getfacl", "-Rcpn", place / name / ".warmpack") for name in ("by us", "by tar"))
    assert b"default:user:1:rwx" in us and us == tar


@needs_root
def test_modes_that_are_to_be_kept_are_kept_under_a_default_acl(place):
    if shutil.which("setfacl") is None:
        pytest.skip("setfacl is not installed")
    write(place / "src/app/sub/file.py", "x = 1\n", mode=0o644)
    warmpack = trees.Runner(place)
    run("tar", "-czf", "a.tgz", "-C", "src", "app", cwd=place)
    (place / "out/app").mkdir(parents=True)
    for path in place / "out", place / "out/app":
        os.chown(path, NOBODY, NOBODY)
    acl(place / "out/app", "u::rwx,g::---,o::---")
    run("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
        trees.BINARY, "-qxpzf", "a.tgz", "-C", "out", cwd=place, env=warmpack.variables())
    assert (place / "out/app/sub/file.py").stat().st_mode & 0o777 == 0o644


@needs_root
@pytest.mark.parametrize("shut", [".", "manifest.jsonl", "state.jsonl"])
def test_what_another_user_keeps_to_himself_keeps_nobody_from_unpacking(warmpack, tmp_path, shut):
    write(tmp_path / "app/k.py", b"x = 1\n")
    warmpack.ok("create", "-qf", "1.tgz", "app")
    write(tmp_path / "app/k.py", b"x = 22\n")
    warmpack.ok("create", "-qf", "2.tgz", "app")
    place = public_directory()
    try:
        place.chmod(0o777)
        warmpack.ok("extract", "-qf", "1.tgz", "-C", place)
        for path in (place, place / "app", place / "app/.warmpack"):
            path.chmod(0o777)
        home, = place.glob("app/.warmpack/????????????????")
        (home / shut).chmod(0o700 if shut == "." else 0o600)
        with open(tmp_path / "2.tgz", "rb") as archive:
            done = warmpack("extract", "-f", "-", "-C", place, stdin=archive, cwd=place, user=NOBODY)
        # 2: the directories are another's and keep their times, as with tar.
        assert done.returncode == 2 and b"cannot be read: what it says" in done.stderr, done
        assert (place / "app/k.py").read_bytes() == b"x = 22\n"
    finally:
        remove_tree(place)
