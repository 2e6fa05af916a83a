"""A signal ends a job at once, also one that waits for a pipe whose other end stalls."""

import os
import resource
import signal
import struct
import subprocess
import tarfile
import time
import zlib
from contextlib import contextmanager

import pytest
from trees import BINARY
from trees import PATIENCE, catches, cpu_seconds_of, wait_for, wait_until_stalled

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
READERS = {"extract": ["extract", "-C", "out"], "verify": ["verify"], "env": ["env"],
           "inspect": ["inspect"]}


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """packed(SUFFIX): the bytes of an archive with more content than is read at once."""
    top = tmp_path_factory.mktemp("packed")
    app = top / "app"
    app.mkdir()
    for i in range(8):
        (app / f"{i}.bin").write_bytes(os.urandom(1 << 20))

    def make(suffix):
        archive = top / ("a" + suffix)
        if not archive.exists():
            subprocess.run([BINARY, "create", "-qf", archive, "app"], cwd=top, check=True)
        return archive.read_bytes()

    return make


@contextmanager
def started(*words, **more):
    """The program, running; it is ended where a test fails, so that nobody waits for it."""
    with subprocess.Popen([BINARY, *words], stderr=subprocess.PIPE, **more) as child:
        try:
            yield child
        finally:
            child.kill()


def assert_ends(child, number, *statuses):
    child.send_signal(number)
    # A second is promised; a loaded machine may be slower, but one that hangs never ends.
    assert child.wait(timeout=PATIENCE) in statuses


def assert_ends_soon(child, number, status):
    wait_until_stalled(child)
    assert catches(child, number)
    assert_ends(child, number, status)
    assert child.stderr.read().endswith(b"warmpack: interrupted\n")


def feed(child, data):
    """Writes DATA, or as much of it as the program takes."""
    os.set_blocking(child.stdin.fileno(), False)
    deadline = time.monotonic() + PATIENCE
    while data and time.monotonic() < deadline:
        try:
            data = data[os.write(child.stdin.fileno(), data):]
        except BlockingIOError:
            time.sleep(0.005)
    assert not data


@pytest.mark.parametrize("threads", ["1", "4"])
@pytest.mark.parametrize("suffix", [".tar", ".tgz", ".tar.zst", ".zip"])
@pytest.mark.parametrize("number, status", SIGNALS)
def test_a_signal_ends_extract_while_its_pipe_stalls(packed, tmp_path, suffix, threads, number,
                                                     status):
    with started("extract", "--threads", threads, "-C", "out", "-f", "-", cwd=tmp_path,
                 stdin=subprocess.PIPE) as child:
        feed(child, packed(suffix)[:6 << 20])
        assert_ends_soon(child, number, status)
    assert not (tmp_path / "out").exists() or not [*(tmp_path / "out").rglob("*.bin")]


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGXCPU, signal.SIGUSR1])
def test_signals_of_batch_systems_end_a_job_as_others_do(packed, tmp_path, number):
    with started("extract", "-C", "out", "-f", "-", cwd=tmp_path, stdin=subprocess.PIPE) as child:
        feed(child, packed(".tar")[:6 << 20])
        assert_ends_soon(child, number, 128 + number)
    assert not (tmp_path / "out").exists()


def test_a_file_beyond_the_size_limit_is_named_and_nothing_stays(packed, tmp_path):
    (tmp_path / "a.tar").write_bytes(packed(".tar"))
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "k").write_bytes(os.urandom(200000))
    for words, name in ((["extract", "-f", "a.tar", "-C", "out"], b".bin"),
                        (["create", "-f", "b.tar", "s"], b"b.tar")):
        done = subprocess.run(
            [BINARY, *words], cwd=tmp_path, stderr=subprocess.PIPE, check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000)))
        assert done.returncode == 2
        assert name in done.stderr and b"File too large" in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["a.tar", "s"]


@pytest.mark.parametrize("at", [0, 100, 3 << 20])
@pytest.mark.parametrize("verb", READERS)
def test_a_signal_ends_every_reader_while_its_pipe_stalls(packed, tmp_path, verb, at):
    with started(*READERS[verb], "-f", "-", cwd=tmp_path, stdin=subprocess.PIPE) as child:
        feed(child, packed(".tgz")[:at])
        assert_ends_soon(child, signal.SIGTERM, 143)


def test_a_signal_ends_list_while_its_pipe_stalls(packed, tmp_path):
    with started("list", "-f", "-", cwd=tmp_path, stdin=subprocess.PIPE,
                 stdout=subprocess.DEVNULL) as child:
        feed(child, packed(".tgz")[:3 << 20])
        wait_until_stalled(child)
        assert_ends(child, signal.SIGTERM, -signal.SIGTERM, 143)


@pytest.mark.parametrize("number, status", SIGNALS)
def test_a_signal_ends_create_while_its_pipe_stalls(tmp_path, number, status):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "big").write_bytes(os.urandom(8 << 20))
    with started("create", "-f", "-", "--format", "tar", "app", cwd=tmp_path,
                 stdout=subprocess.PIPE) as child:
        assert_ends_soon(child, number, status)


def test_a_signal_ends_create_while_its_fifo_stalls(tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "big").write_bytes(os.urandom(8 << 20))
    os.mkfifo(tmp_path / "fifo.tar")
    held = os.open(tmp_path / "fifo.tar", os.O_RDWR)
    try:
        with started("create", "-f", "fifo.tar", "app", cwd=tmp_path) as child:
            assert_ends_soon(child, signal.SIGTERM, 143)
    finally:
        os.close(held)


def sparse(path, size):
    """An archive of one file that is a hole of SIZE bytes, with its map in front, as GNU tar."""
    info = tarfile.TarInfo("GNUSparseFile.0/app/k.py")
    info.mode, info.mtime, info.size = 0o644, 1, 512
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                        "GNU.sparse.name": "app/k.py", "GNU.sparse.realsize": str(size)}
    path.write_bytes(info.tobuf(tarfile.PAX_FORMAT) + b"1\n0\n0\n".ljust(512, b"\0")
                     + bytes(1024))


@pytest.mark.parametrize("size, verb", [
    (1 << 60, ["extract", "-O"]), (1 << 40, ["amend", "--source", ".", "-o", "out.tar"])])
def test_a_signal_ends_what_is_busy_with_a_hole(tmp_path, size, verb):
    sparse(tmp_path / "a.tar", size)
    with started(*verb, "-f", "a.tar", cwd=tmp_path, stdout=subprocess.DEVNULL) as child:
        # Whatever comes before the hole takes no time to speak of.
        wait_for(lambda: cpu_seconds_of(child) > 0.3, child)
        assert_ends(child, signal.SIGTERM, 143)
        assert child.stderr.read().endswith(b"warmpack: interrupted\n")
    assert not (tmp_path / "out.tar").exists()


def zip_of_zeros(path, name):
    """3 GiB in 3 MB; the directory speaks of more, so that who reads to the end fails there."""
    deflate = zlib.compressobj(9, wbits=-15)
    block = deflate.compress(bytes(1 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    data = 3000 * block + deflate.flush()
    same = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, 0, len(data), 0xfffffff0, len(name), 0)
    local = b"PK\3\4" + same + name + data
    central = b"PK\1\2\x14\3" + same + struct.pack("<HHHII", 0, 0, 0, 0o100644 << 16, 0) + name
    path.write_bytes(local + central + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1,
                                                   len(central), len(local), 0))


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("verb", [["extract", "-C", "out"], ["verify"]])
def test_a_signal_ends_what_is_busy_with_a_large_entry_of_a_zip(tmp_path, verb, threads):
    zip_of_zeros(tmp_path / "a.zip", b"app/k.py")
    (tmp_path / "out").mkdir()
    with started(*verb, "--threads", threads, "-f", "a.zip", cwd=tmp_path) as child:
        wait_for(lambda: cpu_seconds_of(child) > 0.3, child)
        assert_ends(child, signal.SIGTERM, 143)
        assert child.stderr.read().endswith(b"warmpack: interrupted\n")
    assert not list((tmp_path / "out").iterdir())


def test_a_hole_larger_than_any_file_is_refused_at_once(tmp_path):
    sparse(tmp_path / "a.tar", (1 << 63) - 1)
    # There are filesystems, such as tmpfs, on which this would be a file.
    limit = (1 << 40, 1 << 40)
    result = subprocess.run([BINARY, "amend", "--source", ".", "-o", "out.tar", "-f", "a.tar"],
                            cwd=tmp_path, stderr=subprocess.PIPE, timeout=PATIENCE,
                            restore_signals=False,  # or SIGXFSZ would end it
                            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    assert result.returncode == 2
    assert result.stderr == (b"warmpack: app/k.py: cannot be kept in a temporary file: "
                             b"File too large\n")
