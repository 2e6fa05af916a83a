"""extract --from OLD and --replace with --trust, where OLD is somebody's who means harm: what is
unpacked is the archive's content to the byte, nothing of it is a name of what lies elsewhere, and
what lies elsewhere stays as it is."""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import threading
import time

import pytest
import trees
from trees import NOBODY, Runner, assert_same, look, needs_root, noise, write

FILES = 30
LARGE = 600_000  # more than is read at once
pytestmark = needs_root


@pytest.fixture
def place():
    path = trees.public_directory()
    yield path
    trees.remove_tree(path)


def fill(root, version):
    for i in range(FILES):
        write(root / f"app/{i:02}.py", noise(500 + i, (i, version * (i == 3))), ns=10**18 + i)
    write(root / "app/large", noise(LARGE, 1), ns=10**18)


@pytest.fixture
def warmpack(place):
    """1.tgz and 2.tgz, signed; `whole` is what 2.tgz holds; OLD, nobody's, has 1 or what it says."""
    runner = Runner(place)
    (place / "keys").mkdir()
    for words in (("genpkey", "-algorithm", "ed25519", "-out", "key.pem"),
                  ("pkey", "-in", "key.pem", "-pubout", "-out", "keys/pub.pem")):
        subprocess.run(["openssl", *words], cwd=place, check=True)
    for version in 1, 2:
        fill(place / str(version), version)
        runner.ok("create", "-qf", f"{version}.tgz", "--sign", "key.pem", "-C", str(version), "app")
    runner.ok("extract", "-qf", "2.tgz", "-C", "whole")
    runner.ok("extract", "-qf", "1.tgz", "-C", "old")
    write(place / "outside/secret", noise(505, "secret"), mode=0o600, ns=10**18)
    return runner


def sabotage(old):
    """Each file is something else in turn, of the same size and time where that can be."""
    for i, path in enumerate(sorted((old / "app").glob("*.py"))):
        status, how = path.stat(), i % 6
        if how == 0:
            path.write_bytes(noise(status.st_size, "forged"))
        elif how == 1:
            path.unlink()
            path.symlink_to(old.parent / "outside/secret")
        elif how == 2:
            path.unlink()
            os.link(old.parent / "outside/secret", path)
        elif how == 3:
            path.unlink()
            os.mkfifo(path)
        elif how == 4:
            path.unlink()
            os.link(old.parent / "whole/app" / path.name, path)  # the right content
            continue
        if how == 0:
            os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))
    with open(old / "app/large", "r+b") as file:
        file.seek(LARGE - 1)
        file.write(b"?")


def forge(old):
    """A record that all is as a run of now has left it, though every file has other content."""
    (home,) = (path.parent for path in old.rglob("manifest.jsonl"))
    text = (home / "manifest.jsonl").read_bytes()
    for path in sorted((old / "app").glob("*.py"), reverse=True):  # the witness is the last
        status = path.stat()
        path.write_bytes(noise(status.st_size, "forged"))
        os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))
        time.sleep(0.005)
    lines = (home / "state.jsonl").read_text().splitlines()
    status = (old / "app/00.py").stat()
    state = dict(json.loads(lines[0]), since=1, until=status.st_ctime_ns, witness="app/00.py",
                 inode=status.st_ino, archive=hashlib.sha256(text).hexdigest())
    (home / "state.jsonl").write_text("\n".join([json.dumps(state), *lines[1:]]) + "\n")


def give_away(old):
    for path in old, *old.rglob("*"):
        if path.is_symlink() or path.stat().st_nlink == 1 or path.is_dir():
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


def unpack(warmpack, option):
    words = (("--from", "old", "-C", "new") if option == "--from" else ("--replace", "-C", "old"))
    r = warmpack("extract", "-qf", "2.tgz", "--trust", "keys", *words)
    return r, "new" if option == "--from" else "old"


def check(place, r, target):
    if r.returncode == 2:
        assert r.stderr.startswith(b"warmpack: "), r
        return
    assert r.returncode == 0, r
    assert_same(look(place / "whole"), look(place / target))
    known = {path.stat().st_ino for top in ("whole", "1", "2", "outside")
             for path in ((place / top), *(place / top).rglob("*"))}
    assert not known & {path.stat().st_ino for path in (place / target).rglob("*")}


@pytest.mark.parametrize("option", ["--from", "--replace"])
@pytest.mark.parametrize("harm", [sabotage, forge])
@pytest.mark.parametrize("whose", ["ours", "nobody's"])
def test_an_earlier_tree_that_lies_gives_nothing_of_its_own(warmpack, place, option, harm, whose):
    harm(place / "old")
    if whose != "ours":
        give_away(place / "old")
    before = look(place / "outside"), look(place / "1"), look(place / "whole")
    r, target = unpack(warmpack, option)
    assert r.returncode == 0, r
    check(place, r, target)
    assert before == (look(place / "outside"), look(place / "1"), look(place / "whole"))


@pytest.mark.parametrize("option", ["--from", "--replace"])
def test_files_that_are_swapped_while_they_are_read_give_nothing(warmpack, place, option):
    shutil.copytree(place / "old", place / "pristine", symlinks=True)
    for _ in range(10):
        for name in "old", "new":
            shutil.rmtree(place / name, ignore_errors=True)
        shutil.copytree(place / "pristine", place / "old", symlinks=True)
        app = os.open(place / "old/app", os.O_RDONLY)  # of what will be replaced
        held = os.open(place / "old/app/large", os.O_RDWR)
        ends = threading.Event()

        def attack():
            n = 0
            while not ends.is_set():
                n += 1
                os.pwrite(held, b"?" if n % 2 else noise(LARGE, 1)[-1:], LARGE - 1)
                name = f"{n % FILES:02}.py"
                try:
                    if n % 3 == 0:
                        os.symlink(place / "outside/secret", "swap", dir_fd=app)
                    elif n % 3 == 1:
                        os.link(place / "outside/secret", "swap", dst_dir_fd=app)
                    else:
                        fd = os.open("swap", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644,
                                     dir_fd=app)
                        os.write(fd, noise(500 + n % FILES, "forged"))
                        os.close(fd)
                    os.rename("swap", name, src_dir_fd=app, dst_dir_fd=app)
                except OSError:  # the directory has been removed, or the name is taken
                    with contextlib.suppress(OSError):
                        os.unlink("swap", dir_fd=app)

        attacker = threading.Thread(target=attack)
        attacker.start()
        try:
            r, target = unpack(warmpack, option)
        finally:
            ends.set()
            attacker.join()
        os.pwrite(held, b"?", LARGE - 1)  # what it holds open is not what was unpacked
        os.close(held)
        os.close(app)
        check(place, r, target)
    assert (place / "outside/secret").read_bytes() == noise(505, "secret")
