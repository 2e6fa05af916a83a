"""Kills and signals at any moment: what was there stays, or what comes is there whole."""

import array
import fcntl
import os
import pathlib
import random
import signal
import tempfile
import termios
import time

import pytest
from trees import (PATIENCE, assert_same, catches, full_pipe, leftovers, look, noise, run,
                   said_through, wait_for, wait_until_stalled, write)

FILES = 150


@pytest.fixture
def tmp_path():
    """In memory where that can be: what counts are the moments, not the disk's."""
    where = "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None
    with tempfile.TemporaryDirectory(dir=where, prefix="warmpack-test-") as path:
        yield pathlib.Path(path)


def fill(root, version):
    """Half of the files differ between versions, and each has some of its own."""
    for i in range(FILES):
        changes = i % 2 == 0
        write(root / "app" / f"d{i % 7}" / f"{i}.py", noise(2000 + i, (i, version * changes)),
              ns=10**18 + i)
    write(root / "app" / f"only-in-{version}", b"x", ns=10**18)
    write(root / "app" / "big", noise(1_000_000, version), ns=10**18)
    (root / "app" / "current").symlink_to(f"only-in-{version}")
    os.utime(root / "app", ns=(10**18, 10**18))


@pytest.fixture
def versions(warmpack, tmp_path):
    """(what version 1 looks like, what version 2 looks like); 1.tgz and 2.tgz are their archives,
    and reset() makes `out` version 1."""
    for version in (1, 2):
        fill(tmp_path / str(version), version)
        warmpack.ok("-czqf", f"{version}.tgz", "-C", str(version), "app")
    return look(tmp_path / "1"), look(tmp_path / "2")


def reset(tmp_path):
    run("rm", "-rf", "out", cwd=tmp_path)
    run("cp", "-a", "1", "out", cwd=tmp_path)


def duration(warmpack, tmp_path, *words, prepare=reset):
    """Of the quickest of three: what is killed within that time has hardly ended before."""
    quickest = PATIENCE
    for _ in range(3):
        prepare(tmp_path)
        start = time.monotonic()
        warmpack.ok(*words)
        quickest = min(quickest, time.monotonic() - start)
    return quickest


def start_and_send(warmpack, words, delay, number):
    child = warmpack.start(*words)
    time.sleep(delay)
    child.send_signal(number)
    _, said = child.communicate(timeout=PATIENCE)
    return child.returncode, said


def moments(count, longest, seed):
    choose = random.Random(seed)
    return [choose.uniform(0, longest) for _ in range(count)]


def contents(snapshot):
    return {path: (e.get("content"), e.get("target")) for path, e in snapshot.items()}


def without_staging(snapshot):
    return {p: e for p, e in snapshot.items() if not p.startswith(b".warmpack-")}


def merged(old, new):
    """Version 2 unpacked over version 1."""
    return {**{p: e for p, e in old.items() if p not in new}, **new}


@pytest.mark.parametrize("options", [[], ["--replace"]], ids=["merge", "replace"])
def test_after_a_kill_each_file_is_whole_and_the_next_run_completes(warmpack, tmp_path, versions,
                                                                    options):
    old, new = versions
    whole = {p: {a, b} for p in old.keys() | new.keys()
             for a, b in [(contents(old).get(p), contents(new).get(p))]}
    words = ["extract", "-qf", "2.tgz", "-C", "out", *options]
    expected = merged(old, new) if not options else new
    longest = duration(warmpack, tmp_path, *words)
    assert_same(expected, look(tmp_path / "out"))
    killed = 0
    for delay in moments(20, longest, str(options)):
        reset(tmp_path)
        status, said = start_and_send(warmpack, words, delay, signal.SIGKILL)
        killed += status == -signal.SIGKILL
        assert status in (-signal.SIGKILL, 0), said
        for path, content in contents(without_staging(look(tmp_path / "out"))).items():
            assert content in whole[path], (delay, path)
        if not options:
            assert not old.keys() - look(tmp_path / "out").keys(), delay
        again = warmpack.ok(*words)
        assert again.stderr == b""
        after = look(tmp_path / "out")
        if options and b"app/only-in-1" in after:
            # The killed commit was completed as it had been planned; then came this one.
            pytest.fail(f"killed after {delay} s: a file of the old version is left")
        assert_same(expected, after)
        assert not leftovers(tmp_path / "out")
    assert killed > 0, "the run was too quick to be killed"


@pytest.mark.parametrize("options", [["--from", "old"], ["--replace"]], ids=["from", "replace"])
def test_after_a_kill_the_earlier_tree_is_whole_and_can_be_taken_from(warmpack, tmp_path, versions,
                                                                      options):
    """Which is another one than the target, or that itself."""
    def prepare(_):
        run("rm", "-rf", "out", cwd=tmp_path)
        if options == ["--replace"]:
            run("cp", "-a", "old", "out", cwd=tmp_path)

    warmpack.ok("extract", "-qf", "1.tgz", "-C", "old")
    old, (_, new) = look(tmp_path / "old", ours=True), versions
    words = ["extract", "-qf", "2.tgz", "-C", "out", *options]
    longest = duration(warmpack, tmp_path, *words, prepare=prepare)
    for delay in moments(8, longest, str(options)):
        prepare(tmp_path)
        start_and_send(warmpack, words, delay, signal.SIGKILL)
        assert_same(old, look(tmp_path / "old", ours=True))
        if options == ["--replace"]:
            there = contents(without_staging(look(tmp_path / "out")))
            assert there in (contents(versions[0]), contents(new)), delay
        assert warmpack.ok(*words).stderr == b""
        assert_same(new, look(tmp_path / "out"))
        assert not leftovers(tmp_path / "out")


def test_after_a_kill_another_version_can_be_unpacked(warmpack, tmp_path, versions):
    """The next run need not be the same one."""
    old, new = versions
    words = ["extract", "-qf", "2.tgz", "-C", "out"]
    longest = duration(warmpack, tmp_path, *words)
    for delay in moments(8, longest, "another"):
        reset(tmp_path)
        start_and_send(warmpack, words, delay, signal.SIGKILL)
        warmpack.ok("extract", "--if-needed", "-qf", "1.tgz", "-C", "out")
        after = look(tmp_path / "out")
        for path, entry in old.items():
            if b"/d" in path or b"big" in path:
                assert after[path]["mtime"] == entry["mtime"] and \
                    after[path].get("content") == entry.get("content"), (delay, path)
        assert not leftovers(tmp_path / "out")


def test_after_a_kill_a_fresh_tree_is_there_whole_or_not_at_all(warmpack, tmp_path, versions):
    _, new = versions
    words = ["extract", "-qf", "2.tgz", "-C", "fresh"]
    longest = duration(warmpack, tmp_path, *words,
                       prepare=lambda place: run("rm", "-rf", "fresh", cwd=place))
    for delay in moments(10, longest, "fresh"):
        run("rm", "-rf", "fresh", cwd=tmp_path)
        start_and_send(warmpack, words, delay, signal.SIGKILL)
        if (tmp_path / "fresh" / "app").exists():
            there = look(tmp_path / "fresh")
            assert contents(without_staging(there)) == contents(new)
        warmpack.ok(*words)
        assert_same(new, look(tmp_path / "fresh"))
        assert not leftovers(tmp_path / "fresh")


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("fresh", [False, True])
def test_a_signal_leaves_the_old_tree_or_the_new_one_and_nothing_else(warmpack, tmp_path, versions,
                                                                      number, status, fresh):
    old, new = versions
    words = ["extract", "-qf", "2.tgz", "-C", "out"]
    longest = duration(warmpack, tmp_path, *words)
    seen = set()
    for i, delay in enumerate(moments(60, longest, number)):
        if i >= 10 and status in seen:
            break
        reset(tmp_path)
        if fresh:
            run("rm", "-rf", "out", cwd=tmp_path)
        code, said = start_and_send(warmpack, words, delay, number)
        seen.add(code)
        assert code in (0, status, -number), said  # -number: before the program had begun
        assert not leftovers(tmp_path / "out")
        if code == 0:
            assert_same(new if fresh else merged(old, new), look(tmp_path / "out"))
        elif fresh:
            assert not (tmp_path / "out").exists()
        else:
            assert_same(old, look(tmp_path / "out"))
    assert status in seen


def test_a_signal_in_a_pipe_ends_at_once(warmpack, tmp_path):
    """The archive's rest never comes."""
    read, pipe = os.pipe()
    child = warmpack.start("-xzf", "-", "-C", "out", stdin=read)
    os.close(read)
    os.write(pipe, b"\x1f\x8b\x08\x00")

    def is_taken():
        unread = array.array("i", [-1])
        fcntl.ioctl(pipe, termios.FIONREAD, unread)
        return unread[0] == 0

    try:
        wait_for(is_taken, child)
        assert catches(child, signal.SIGTERM)
        child.send_signal(signal.SIGTERM)
        _, said = child.communicate(timeout=PATIENCE)
    finally:
        child.kill()
        os.close(pipe)
    assert (child.returncode, said) == (143, b"warmpack: interrupted\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("suffix", ["tgz", "tar", "tar.zst"])
def test_a_killed_create_leaves_no_partial_archive_under_its_name(warmpack, tmp_path, suffix):
    fill(tmp_path, 1)
    archive = tmp_path / ("a." + suffix)
    words = ["create", "-qf", archive, "app"]
    longest = duration(warmpack, tmp_path, *words,
                       prepare=lambda _: archive.unlink(missing_ok=True))
    whole = archive.read_bytes()
    for i, delay in enumerate(moments(12, longest, suffix)):
        archive.unlink(missing_ok=True)
        if i % 2:
            archive.write_bytes(b"old")
        start_and_send(warmpack, words, delay, signal.SIGKILL)
        if archive.exists():
            assert archive.read_bytes() in ((whole, b"old") if i % 2 else (whole,))
        for path in tmp_path.iterdir():  # what the next run need not clean up
            if path not in (archive, tmp_path / "app", tmp_path / "home"):
                path.unlink()


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143),
                                            (signal.SIGHUP, 129)])
def test_a_signal_to_create_leaves_what_was_there(warmpack, tmp_path, number, status):
    fill(tmp_path, 1)
    write(tmp_path / "app" / "more", noise(8_000_000))
    archive = write(tmp_path / "a.tgz", "old")
    reader, writer = full_pipe()  # for what it says, so that it stands still in the middle
    child = warmpack.start("create", "--threads", "1", "--progress", "always", "-f", archive, "app",
                           stderr=writer)
    os.close(writer)
    wait_until_stalled(child)
    child.send_signal(number)
    said = said_through(reader)
    assert said.startswith(b"\r"), "it had not begun to write"
    assert said.endswith(b"warmpack: interrupted\n")
    assert child.wait(PATIENCE) == status
    assert archive.read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["a.tgz", "app", "home"]


def test_whoever_waits_for_a_killed_run_goes_on(warmpack, tmp_path, versions):
    """A lock dies with its process."""
    reset(tmp_path)
    reader, writer = full_pipe()  # for what it says, so that it stands still in the middle
    stopped = warmpack.start("extract", "--if-needed", "-vf", "2.tgz", "-C", "out", stderr=writer)
    os.close(writer)
    wait_until_stalled(stopped)
    assert leftovers(tmp_path / "out"), "it has not begun"
    waiting = warmpack.start("extract", "--if-needed", "-qf", "2.tgz", "-C", "out")
    wait_until_stalled(waiting)
    stopped.kill()
    stopped.wait()
    os.close(reader)
    _, said = waiting.communicate(timeout=PATIENCE)
    assert (waiting.returncode, said) == (0, b"")
    assert_same(merged(*versions), look(tmp_path / "out"))
    assert not leftovers(tmp_path / "out")
