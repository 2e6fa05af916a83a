"""A seal that is cut short by a kill or a full disk: the old one stays, or the new one is whole."""

import os
import signal

from test_kill import duration, moments, start_and_send, tmp_path  # noqa: F401
from trees import assert_same, index, leftovers, look, noise, refused, run, write


def fill(app, version):
    for i in range(150):
        write(app / f"d{i % 7}" / f"{i}.py", noise(2000, i), ns=10**18 + i)
    write(app / "d0" / "version.py", f"v = {version}\n", ns=10**18 + version)
    index(app / "d0" / "version.py")


def seals(app):
    """Those that are there, by their IDs."""
    return sorted(path.parent.name for path in app.glob(".warmpack/*/manifest.jsonl"))


def with_seal(app):
    """All that is there; the directories of a seal have the time at which it was made."""
    found = look(app, ours=True)
    for path in (b".warmpack", *(b".warmpack/" + os.fsencode(name) for name in seals(app))):
        del found[path]["mtime"]
    return found


def test_after_a_kill_there_is_the_old_seal_or_the_new_one(warmpack, tmp_path):  # noqa: F811
    for version in (1, 2):
        fill(tmp_path / str(version), version)
    warmpack.ok("seal", "-q", "1")
    old = seals(tmp_path / "1")

    def reset(place):
        """Sealed as version 1, and changed to version 2."""
        run("rm", "-rf", "app", cwd=place)
        run("cp", "-a", "2", "app", cwd=place)
        run("cp", "-a", "1/.warmpack", "app/", cwd=place)

    longest = duration(warmpack, tmp_path, "seal", "-q", "app", prepare=reset)
    tree, new = look(tmp_path / "app"), seals(tmp_path / "app")
    whole = with_seal(tmp_path / "app")
    assert old != new and len(new) == 1
    killed = 0
    for delay in moments(20, longest, "seal"):
        reset(tmp_path)
        status, said = start_and_send(warmpack, ["seal", "-q", "app"], delay, signal.SIGKILL)
        killed += status == -signal.SIGKILL
        assert status in (-signal.SIGKILL, 0), said
        assert seals(tmp_path / "app") in (old, new, sorted(old + new)), delay
        assert_same(tree, {path: entry for path, entry in look(tmp_path / "app").items()
                           if not path.startswith(b".warmpack-")})
        warmpack.ok("seal", "-q", "app")
        assert seals(tmp_path / "app") == new
        assert_same(whole, with_seal(tmp_path / "app"))
        assert not leftovers(tmp_path / "app")
    assert killed > 0, "the run was too quick to be killed"


def test_a_full_disk_leaves_the_old_seal(warmpack, tmp_path, mount):  # noqa: F811
    disk = mount(tmp_path / "disk", "-t", "tmpfs", "-o", "size=2m", "small")
    fill(disk / "app", 1)
    warmpack.ok("seal", "-q", disk / "app")
    write(disk / "app" / "new.py", "n = 1\n")
    (disk / "full").write_bytes(b"")
    with open(disk / "full", "ab", buffering=0) as full:
        while True:
            try:
                full.write(bytes(4096))
            except OSError:
                break
    before = look(disk / "app", ours=True)
    refused(warmpack("seal", "-q", disk / "app"), "No space left on device")
    assert_same(before, look(disk / "app", ours=True))
    os.unlink(disk / "full")
    warmpack.ok("seal", "-q", disk / "app")


def test_a_read_only_tree_is_refused_in_a_line(warmpack, tmp_path, mount):  # noqa: F811
    fill(tmp_path / "app", 1)
    bound = mount(tmp_path / "bound", "--bind", tmp_path / "app")
    run("mount", "-o", "remount,ro,bind", bound)
    refused(warmpack("seal", "-q", bound), "Read-only file system")
    assert not (tmp_path / "app/.warmpack").exists()
