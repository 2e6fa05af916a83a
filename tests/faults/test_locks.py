"""Locks are our own: nobody who may only read a directory, and no archive, holds up a job."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import tarfile

import pytest

import trees
from indexes import make_index

LOCK = ".warmpack.lock"
BUSY = b"waiting for another process"


def hold(path, flags=os.O_RDONLY):
    """Locks PATH until the descriptor is closed."""
    fd = os.open(path, flags, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return fd


@pytest.fixture
def packed(warmpack, tmp_path):
    source = tmp_path / "s" / "app" / "k.py"
    source.parent.mkdir(parents=True)
    source.write_text("x = 1\n")
    make_index(source)
    warmpack.ok("create", "-qf", "a.tgz", "-C", "s", "app")


def home_of(out):
    home, = (out / "app" / ".warmpack").glob("*/")
    return home


@pytest.mark.parametrize("words, made", [
    (("extract", "-f", "a.tgz", "-C", "out"), "app/k.py"),
    (("seal", "out"), ".warmpack/*/manifest.jsonl")])
def test_a_reader_of_the_directory_holds_up_no_commit(warmpack, packed, tmp_path, words, made):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/m.py").write_text("")
    fd = hold(tmp_path / "out")
    r = warmpack.ok(*words, timeout=60)
    os.close(fd)
    assert r.stderr.count(b"another program has locked the directory") == 1
    assert list((tmp_path / "out").glob(made))


def test_seals_wait_for_one_another_and_say_so(warmpack, packed, tmp_path):
    out = tmp_path / "out"
    (out / ".warmpack-AbCdEf").mkdir(parents=True)  # of the one that is at work
    (out / "m.py").write_text("")
    one, other = hold(out / ".warmpack-AbCdEf/lock", os.O_RDWR | os.O_CREAT), hold(out)
    with warmpack.start("seal", "out", stderr=subprocess.PIPE) as run:
        assert BUSY in run.stderr.readline()
        shutil.rmtree(out / ".warmpack-AbCdEf")
        os.close(one)
        os.close(other)
        run.stderr.read()
        assert run.wait() == 0


def test_a_lock_that_others_may_take_is_replaced(warmpack, packed, tmp_path):
    lock = tmp_path / "out" / LOCK
    lock.parent.mkdir()
    lock.touch()
    lock.chmod(0o644)
    fd = hold(lock)
    warmpack.ok("extract", "--if-needed", "-qf", "a.tgz", "-C", "out")
    os.close(fd)
    assert os.listdir(tmp_path / "out") == ["app"]


def test_a_reader_of_the_manifest_holds_up_no_repair(warmpack, packed, tmp_path):
    warmpack.ok("extract", "-qf", "a.tgz", "-C", "out")
    home = home_of(tmp_path / "out")
    before = home.stat().st_mtime_ns
    fd = hold(home)
    assert BUSY not in warmpack.ok("restore", "out").stderr
    os.close(fd)
    assert sorted(os.listdir(home)) == ["manifest.jsonl", "state.jsonl"]
    assert home.stat().st_mtime_ns == before


def make_link(path):
    path.symlink_to("elsewhere")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, make_link])
def test_what_is_no_lock_is_refused(warmpack, packed, tmp_path, make):
    out = tmp_path / "out"
    warmpack.ok("extract", "-qf", "a.tgz", "-C", "out")
    make(home_of(out) / LOCK)
    make(out / LOCK)
    (out / "app" / "k.py").write_text("x = 2\n")
    assert LOCK.encode() in warmpack.ok("restore", "out", status=2).stderr
    os.rename(home_of(out), tmp_path / "away")
    assert LOCK.encode() in warmpack.ok(
        "extract", "--if-needed", "-f", "a.tgz", "-C", "out", status=2).stderr
    assert (out / "app" / "k.py").read_text() == "x = 2\n"


@pytest.mark.parametrize("words, place", [
    (("extract", "--if-needed", "-f", "a.tgz", "-C", "out"), lambda out: out),
    (("restore", "out"), home_of)])
def test_waiting_is_told_and_ends_with_the_lock(warmpack, packed, tmp_path, words, place):
    out = tmp_path / "out"
    out.mkdir()
    if words[0] == "restore":
        warmpack.ok("extract", "-qf", "a.tgz", "-C", "out")
    lock = place(out) / LOCK
    fd = hold(lock, os.O_RDWR | os.O_CREAT)
    with warmpack.start(*words, stderr=subprocess.PIPE) as run:
        assert BUSY in run.stderr.readline()
        lock.unlink()
        os.close(fd)
        run.stderr.read()
        assert run.wait() == 0
    assert not lock.exists()


def test_a_dead_lock_goes_with_the_next_run(warmpack, packed, tmp_path):
    lock = tmp_path / "out" / LOCK
    lock.parent.mkdir()
    os.close(hold(lock, os.O_RDWR | os.O_CREAT))
    warmpack.ok("extract", "-qf", "a.tgz", "-C", "out")
    assert os.listdir(tmp_path / "out") == ["app"]


@pytest.mark.parametrize("name", [LOCK, "app/" + LOCK, LOCK + "/x", ".warmpack-aZ09bc/lock",
                                  "app/.warmpack.new.0123456789abcdef"])
def test_no_archive_brings_what_runs_obey(warmpack, tmp_path, name):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    r = warmpack.ok("extract", "-f", "a.tar", "-C", "out", status=2)
    assert b"has a name that warmpack uses" in r.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [errno.EPERM, errno.EIO], ids=errno.errorcode.get)
def test_a_lock_that_cannot_get_its_mode_is_in_nobodys_way(warmpack, faulty, packed, tmp_path, number):
    (tmp_path / "out").mkdir()
    words = ("extract", "--if-needed", "-qf", "a.tgz", "-C", "out")
    r, _ = faulty(*words, calls=",fchmod,", n=1, errno=number)
    assert r.returncode == 2 and b"cannot open the lock" in r.stderr
    assert os.listdir(tmp_path / "out") == []
    warmpack.ok(*words)


JOBS = [("extract", "-f", "a.tgz", "-C", "out"),
        ("extract", "--if-needed", "-f", "a.tgz", "-C", "out"), ("restore", "moved"),
        ("seal", "tree"), ("create", "-f", "b.tgz", "-C", "tree", ".")]


@pytest.fixture
def grounds(warmpack, packed, tmp_path):
    """What JOBS work on."""
    warmpack.ok("extract", "-qf", "a.tgz", "-C", "place")
    (tmp_path / "place").rename(tmp_path / "moved")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/m.py").write_text("")


@pytest.mark.parametrize("words", JOBS, ids=" ".join)
@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOLCK], ids=errno.errorcode.get)
def test_a_filesystem_without_locks_will_do(warmpack, faulty, grounds, words, number):
    r, _ = faulty(*words, calls=",flock,", n=1, lasts=1, errno=number)
    assert r.returncode == 0, r.stderr


def test_nor_does_the_python_package_need_them_for_what_lasts_a_moment(shim, tmp_path):
    code = ("import os\nfrom warmpack._scratch import scratch\n"
            "with scratch('.') as one, scratch('.') as two:\n"
            "    print(os.path.isdir(one) and os.path.isdir(two))")
    env = {**os.environ, "PYTHONPATH": str(trees.ROOT / "python"), "LD_PRELOAD": str(shim),
           "FAULT_CALLS": ",flock,", "FAULT_N": "1", "FAULT_LASTS": "1",
           "FAULT_ERRNO": str(errno.ENOSYS)}
    said = subprocess.check_output([sys.executable, "-B", "-c", code], cwd=tmp_path, env=env)
    assert said == b"True\n" and not list(tmp_path.glob(".warmpack*"))


def state(top):
    """Times of all in TOP, but for lock files and what is made for them: they are left for others."""
    places = [top / "out", *(top / "moved").glob("app/.warmpack/*")]
    return {path: path.lstat().st_mtime_ns for path in top.rglob("*")
            if path not in places and path.name not in (LOCK, "happened")}


@pytest.mark.parametrize("words", JOBS, ids=" ".join)
def test_an_error_is_no_missing_lock(warmpack, faulty, grounds, tmp_path, words):
    """Whichever lock it is that the kernel fails to give."""
    before, refused = state(tmp_path), 0
    for n in range(1, 20):
        r, happened = faulty(*words, calls=",flock,", n=n, errno=errno.EIO)
        if not happened:
            break
        refused += b"cannot be locked: Input" in r.stderr or r.returncode == 2
        assert r.returncode == 0 or state(tmp_path) == before, (n, r.stderr)
        if r.returncode == 0:  # what a dead run's lock would have been, or a record that is missed
            break
    assert refused and r.returncode == 0, r.stderr
