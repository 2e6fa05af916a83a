"""What goes where: lists and JSON on standard output, the rest on standard error; exit statuses
of signals."""

import base64
import contextlib
import json
import os
import re
import signal
import subprocess
import tarfile

import pytest
from trees import BINARY
from trees import PATIENCE, full_pipe, said_through, wait_until_stalled

NANOSECONDS = 1_795_339_396_123_456_789


@pytest.fixture
def archive(warmpack, tmp_path):
    """a.tgz with one entry of each kind, a name that is not UTF-8, and an old file."""
    app = tmp_path / "app"
    app.mkdir()
    (app / "k.py").write_text("x = 1\n")
    os.utime(app / "k.py", ns=(NANOSECONDS, NANOSECONDS))
    (app / "k.py").chmod(0o640)
    (app / "link").symlink_to("k.py")
    os.link(app / "k.py", app / "l.py")
    with open(os.fsencode(app) + b"/\xff\x1b\n", "wb"):
        pass
    (app / "old").write_text("")
    os.utime(app / "old", ns=(0, -500_000_000))
    result = warmpack("-czf", "a.tgz", "app")
    assert result.returncode == 0, result
    return "a.tgz"


def test_list_escapes_names(warmpack, archive):
    assert b"app/\\377\\033\\n\n" in warmpack("tf", archive).stdout
    assert b"\x1b" not in warmpack("tvf", archive).stdout


def test_verbose_list_has_mode_owner_size_and_the_whole_time(warmpack, archive):
    lines = warmpack("tvf", archive, env={"TZ": "UTC"}).stdout.decode().splitlines()
    by_name = {re.split(r"\.\d{9} ", line)[1]: line for line in lines}
    assert re.fullmatch(r"-rw-r----- \S+/\S+ +6 2026-11-22 09:23:16\.123456789 app/k\.py",
                        by_name["app/k.py"])
    assert by_name["app/"].startswith("d")
    assert by_name["app/link -> k.py"].startswith("l")
    assert by_name["app/l.py link to app/k.py"].startswith("h")
    assert "1969-12-31 23:59:59.500000000" in by_name["app/old"]


def test_fifos_and_devices_are_listed_with_what_gnu_tar_says_of_them(warmpack, tmp_path):
    with tarfile.open(tmp_path / "dev.tar", "w") as tar:
        for name, kind, major, minor in (("p", tarfile.FIFOTYPE, 0, 0),
                                         ("c", tarfile.CHRTYPE, 1, 3),
                                         ("b", tarfile.BLKTYPE, 259, 100_017)):
            entry = tarfile.TarInfo("dev/" + name)
            entry.type, entry.devmajor, entry.devminor = kind, major, minor
            tar.addfile(entry)
    said = subprocess.run(["tar", "-tvf", tmp_path / "dev.tar"], stdout=subprocess.PIPE, check=True)
    theirs, ours = said.stdout.split(), warmpack("tvf", "dev.tar").stdout.split()
    assert [ours[i:i + 3] for i in (0, 6, 12)] == [theirs[i:i + 3] for i in (0, 6, 12)]
    assert [ours[i] for i in (2, 8, 14)] == [b"0", b"1,3", b"259,100017"]


def test_list_shows_times_of_the_zone_that_TZ_names(warmpack, archive):
    shown = warmpack("tvf", archive, env={"TZ": "XST-5:30"}).stdout.decode()
    assert "2026-11-22 14:53:16.123456789 app/k.py" in shown


def test_list_json_is_exact(warmpack, archive):
    entries = json.loads(warmpack("list", "--json", "-f", archive).stdout)["entries"]
    names = [base64.b64decode(e["path_base64"]) if "path_base64" in e else e["path"].encode()
             for e in entries]
    assert b"app/\xff\x1b\n" in names
    by_name = dict(zip(names, entries))
    k = by_name[b"app/k.py"]
    assert (k["type"], k["mode"], k["size"], k["mtime"]) == (
        "file", "0640", 6, "1795339396.123456789")
    assert by_name[b"app/old"]["mtime"] == "-0.500000000"
    assert (by_name[b"app/link"]["type"], by_name[b"app/link"]["target"]) == ("symlink", "k.py")
    assert (by_name[b"app/l.py"]["type"], by_name[b"app/l.py"]["target"]) == (
        "hardlink", "app/k.py")


def test_create_and_extract_json_are_documents_of_their_own(warmpack, tmp_path, archive):
    made = warmpack("create", "--json", "-f", "b.tar", "app")
    document = json.loads(made.stdout)
    assert document["archive"] == "b.tar"
    assert re.fullmatch("[0-9a-f]{16}", document["id"])
    assert document["bytes"] == (tmp_path / "b.tar").stat().st_size
    assert document["summary"] == {"total": 0, "valid": 0}
    unpacked = json.loads(warmpack("extract", "--json", "-f", "b.tar", "-C", "out").stdout)
    assert unpacked["files"] == document["entries"]
    assert (unpacked["manifest"], unpacked["lost"], unpacked["indexes"]) == (True, 0, [])


def test_verify_json_and_lines_name_the_index_that_is_not_valid(warmpack, tmp_path):
    cache = tmp_path / "app" / "__pycache__"
    cache.mkdir(parents=True)
    (tmp_path / "app" / "k.py").write_text("")
    (cache / "k.add-3.py311.nbi").write_bytes(b"\x80\x04junk")
    result = warmpack("verify", "app")
    assert result.returncode == 1
    assert result.stdout.startswith(b"corrupt  __pycache__/k.add-3.py311.nbi  ")
    assert result.stdout.count(b"\n") == 1
    hint, summary = result.stderr.splitlines()
    assert hint.startswith(b"hint: corrupt: ") and b"warmpack verify --fix" in hint
    assert summary == b"0 of 1 cache indexes valid (1 corrupt)"
    result = warmpack("verify", "-q", "--json", "app")
    assert (result.returncode, result.stderr) == (1, b"")
    document = json.loads(result.stdout)
    assert document["summary"] == {"total": 1, "valid": 0, "corrupt": 1}
    (index,) = document["indexes"]
    assert index["index"] == "__pycache__/k.add-3.py311.nbi"
    assert (index["status"], index["stamp"], index["python"]) == ("corrupt", None, "311")
    assert index["reason"]


def test_path_marks_the_place_that_numba_uses(warmpack, tmp_path):
    (tmp_path / "k.py").write_text("")
    lines = warmpack("path", "k.py").stdout.decode().splitlines()
    assert lines[0] == f"* in-tree    {tmp_path}/__pycache__"
    assert re.fullmatch(rf"  user-wide  {tmp_path}/home/\.cache/numba/\S+_[0-9a-f]{{40}}", lines[1])
    places = json.loads(warmpack("path", "--json", "k.py", env={"NUMBA_CACHE_DIR": "/nc"}).stdout)
    (file,) = places["files"]
    assert file["file"] == "k.py"
    assert [p["kind"] for p in file["places"]] == ["cache-dir", "in-tree", "user-wide"]
    assert [p["used"] for p in file["places"]].count(True) == 1


def test_path_goes_on_after_a_file_that_is_missing(warmpack, tmp_path):
    (tmp_path / "k.py").write_text("")
    result = warmpack("path", "nowhere.py", "k.py")
    assert result.returncode == 2
    assert b"* in-tree" in result.stdout
    assert result.stderr.startswith(b"warmpack: nowhere.py: ")


@pytest.mark.parametrize("closed", ["<&-", "<&- >&-", "<&- >&- 2>&-"])
def test_a_closed_standard_stream_never_becomes_the_archive(warmpack, tmp_path, archive, closed):
    """The first file that is opened would get its number, and messages with it."""
    command = f"exec {BINARY!r} create --progress=always -f b.tgz app {closed}"
    result = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, check=False)
    assert result.returncode == 0
    assert (tmp_path / "b.tgz").read_bytes() == (tmp_path / "a.tgz").read_bytes()


def test_a_reader_that_goes_away_ends_the_list_without_a_word(warmpack, tmp_path, archive):
    command = f"{BINARY!r} -tvf a.tgz | true"
    result = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, check=False)
    assert (result.returncode, result.stderr) == (0, b"")


def test_without_a_terminal_there_is_no_colour(warmpack, tmp_path):
    assert b"\x1b" not in warmpack("create", "--bogus", env={"TERM": "xterm"}).stderr


@pytest.mark.parametrize("environment, coloured", [({}, True), ({"NO_COLOR": "1"}, False),
                                                   ({"TERM": "dumb"}, False)])
def test_colour_on_a_terminal_obeys_the_environment(warmpack, environment, coloured):
    master, slave = os.openpty()
    warmpack("create", "--bogus", stderr=slave, env={"TERM": "xterm", **environment})
    os.close(slave)
    shown = b""
    with contextlib.suppress(OSError):  # that is how a terminal ends
        while block := os.read(master, 4096):
            shown += block
    os.close(master)
    assert shown and (b"\x1b[" in shown) == coloured


@pytest.mark.parametrize("verb", ["create", "extract"])
def test_an_archive_is_neither_written_to_nor_read_from_a_terminal(warmpack, tmp_path, verb):
    (tmp_path / "app").mkdir()
    master, slave = os.openpty()
    ends = {"stdout": slave} if verb == "create" else {"stdin": slave}
    command = [BINARY, verb, "-f", "-"] + (["app"] if verb == "create" else [])
    result = subprocess.run(command, cwd=tmp_path, stderr=subprocess.PIPE, check=False, timeout=60,
                            **ends)
    os.close(slave)
    os.close(master)
    assert result.returncode == 2
    assert b"terminal" in result.stderr


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_packing_with_its_status_and_leaves_nothing(tmp_path, number, status):
    app = tmp_path / "app"
    app.mkdir()
    for i in range(40):
        (app / f"{i}.bin").write_bytes(os.urandom(1 << 20))
    reader, writer = full_pipe()
    child = subprocess.Popen([BINARY, "create", "-f", "a.tgz", "--threads", "1", "--progress",
                              "always", "app"], cwd=tmp_path, stderr=writer)
    os.close(writer)
    wait_until_stalled(child)  # it has begun to pack, and cannot say so
    child.send_signal(number)
    said = said_through(reader)
    # What it was about to say may be cut off by the signal; it wipes its line all the same.
    assert b"\r" in said and said.endswith(b"warmpack: interrupted\n")
    assert child.wait(PATIENCE) == status
    assert [p.name for p in tmp_path.iterdir()] == ["app"]
