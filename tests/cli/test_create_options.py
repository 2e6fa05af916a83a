"""What create packs, what it leaves out, and what it leaves behind when it fails."""

import json
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess
import tarfile
import tempfile
import threading

import pytest
from trees import (BINARY, NOBODY, PATIENCE, SECOND, Runner, environment, index, leftovers,
                   needs_root, noise, public_directory, refused, remove_tree, run,
                   wait_until_stalled, write)


@pytest.fixture
def shared():
    path = public_directory()
    yield path
    remove_tree(path)


@pytest.fixture
def memory():
    """A directory that no disk makes slow."""
    path = pathlib.Path(tempfile.mkdtemp(dir="/dev/shm"))
    yield path
    shutil.rmtree(path)


def members(archive):
    """The archive's entries as Python's tarfile sees them, without warmpack's own."""
    with tarfile.open(archive, errors="surrogateescape") as tar:
        return {m.name: m for m in tar.getmembers() if ".warmpack" not in m.name.split("/")}


def tar_names(*words, cwd):
    """What GNU tar packs."""
    listing = run("sh", "-c", 'tar -cf - "$@" | tar -tf - --quoting-style=literal', "sh", *words,
                  cwd=cwd)
    return {line.rstrip("/").removeprefix("./") for line in os.fsdecode(listing).splitlines()}


def tidy(names):
    return {n.removeprefix("./") for n in names} - {".", ""}


@pytest.fixture
def app(tmp_path):
    for name in ("app/k.py", "app/k.pyc", "app/lib/m.py", "app/lib/m.o", "app/lib/deep/n.o",
                 "app/data/1", "app/data/a b", "app/o", "app/[x]", "app/.hidden", "app/lib.o/f",
                 "app/UP.O", "lib/other.py", "two/other/z"):
        write(tmp_path / name, name)
    (tmp_path / "app/empty").mkdir()
    (tmp_path / "app/link").symlink_to("k.py")
    (tmp_path / "app/dirlink").symlink_to("lib")
    return tmp_path / "app"


# ---- What is packed ----------------------------------------------------------------------------

@pytest.mark.parametrize("words", [
    ["app"], ["app/"], ["./app"], ["app/lib", "app/data"], ["."], ["app", "lib"], ["app/k.py"],
    ["-C", "app", "lib", "-C", "lib", "deep"], ["-C", "app", "."], ["-C", "app/lib", "deep", "-C",
                                                                   "../../two", "other"],
    ["app/lib", "-C", "two", "other"], ["-C", "two", "-C", "..", "lib"],
    ["app/dirlink"], ["app/data/a b"]])
def test_paths_and_directories_name_what_they_name_to_gnu_tar(warmpack, tmp_path, app, words):
    expected = tidy(tar_names(*words, cwd=tmp_path))
    with open(tmp_path / "a.tar", "wb") as file:  # so that no archive lies in the tree
        warmpack.ok("-cqf", "-", *words, stdout=file)
    packed = tidy(members(tmp_path / "a.tar"))
    home = {n for n in packed if n.split("/")[0] == "home"}
    assert packed - home - {"a.tar"} == expected - home - {"a.tar", "home"}


def test_an_absolute_C_may_follow_a_relative_one(warmpack, tmp_path, app):
    warmpack.ok("-cqf", "a.tar", "-C", "app", "k.py", "-C", tmp_path / "two", "other")
    assert set(members(tmp_path / "a.tar")) == {"k.py", "other", "other/z"}


def test_a_relative_archive_name_is_taken_from_where_the_program_was_called(warmpack, tmp_path,
                                                                            app):
    warmpack.ok("-cqf", "a.tar", "-C", "app", "k.py")
    assert (tmp_path / "a.tar").exists()


EXCLUDES = ["*.o", "lib", "app/lib", "m.?", "[kl].py", "*/deep", "lib/deep", "app", "data/*",
            "*b", "\\[x]", ".*", "*.O", "lib/", "app/*/m*", "nothing", "*/*/*"]


@pytest.mark.parametrize("pattern", EXCLUDES)
def test_exclude_means_what_it_means_to_gnu_tar(warmpack, tmp_path, app, pattern):
    expected = tar_names("--exclude", pattern, "app", cwd=tmp_path)
    warmpack.ok("-cqf", "a.tar", "--exclude", pattern, "app")
    assert set(members(tmp_path / "a.tar")) == expected


def test_a_file_of_excludes_means_what_it_means_to_gnu_tar(warmpack, tmp_path, app):
    write(tmp_path / "patterns", "*.o\ndata/1 \n\n*/deep\t\n")
    expected = tar_names("-X", "patterns", "--exclude=link", "app", cwd=tmp_path)
    warmpack.ok("-cqf", "a.tar", "--exclude-from=patterns", "--exclude=link", "app")
    assert set(members(tmp_path / "a.tar")) == expected


def test_names_from_find_reach_the_archive_whatever_bytes_they_have(warmpack, tmp_path):
    odd = [b"app/a b", b"app/new\nline", b"app/\xff", b"-dash", b"app/ x "]
    for name in odd:
        write(os.fsencode(tmp_path) + b"/" + name, b"x")
    warmpack.ok("-cqf", "a.tar", "-0", "-T", "-", stdin=b"\0".join(odd) + b"\0")
    assert {os.fsencode(n) for n in members(tmp_path / "a.tar")} == set(odd)


def test_a_list_of_a_hundred_thousand_names_is_packed(memory):
    """As find gives them: neither in order nor by directories, and some twice."""
    names = [f"app/{i % 1000}/{i}.py" for i in range(100_000)]
    for i in range(1000):
        (memory / "app" / str(i)).mkdir(parents=True)
    for name in names:
        os.close(os.open(memory / name, os.O_CREAT | os.O_WRONLY))
    names += names[::100]
    done = Runner(memory).ok("create", "-f", "a.tar.zst", "-T", "-", "--json",
                             stdin="".join(name + "\n" for name in names).encode())
    assert json.loads(done.stdout)["entries"] == 100_000
    listed = run(BINARY, "list", "-f", memory / "a.tar.zst").decode().split()
    assert sorted(n for n in listed if "/.warmpack/" not in n) == sorted(set(names))


def test_a_list_of_names_joins_those_of_the_command_line(warmpack, tmp_path, app):
    write(tmp_path / "list", "app/k.py\n\napp/data\n")
    warmpack.ok("-cqf", "a.tar", "-T", "list", "lib")
    assert set(members(tmp_path / "a.tar")) == {"app/k.py", "app/data", "app/data/1",
                                                "app/data/a b", "lib", "lib/other.py"}


def test_a_path_that_is_given_twice_is_packed_once(warmpack, tmp_path, app):
    warmpack.ok("-cqf", "a.tar", "app/lib", "app", "app/k.py")
    with tarfile.open(tmp_path / "a.tar") as tar:
        names = tar.getnames()
    assert len(names) == len(set(names))
    assert "app/k.py" in names
    warmpack.ok("-xf", "a.tar", "-C", "out")


def test_of_two_files_of_one_name_none_is_dropped_in_silence(warmpack, tmp_path, app):
    """From two -C: GNU tar packs both, and the last one counts."""
    write(tmp_path / "two/app/k.py", "another")
    result = warmpack("-cf", "a.tar", "app/k.py", "-C", "two", "app/k.py")
    if result.returncode == 0 and b"app/k.py" not in result.stderr:
        assert warmpack.ok("-xOf", "a.tar", "app/k.py").stdout == b"another"


def test_dereference_packs_what_links_point_to(warmpack, tmp_path, app):
    expected = tar_names("-h", "app", cwd=tmp_path)
    warmpack.ok("-chqf", "a.tar", "app")
    packed = members(tmp_path / "a.tar")
    assert set(packed) == expected
    assert not [m.name for m in packed.values() if m.issym()]
    warmpack.ok("-xf", "a.tar", "-C", "out")
    assert (tmp_path / "out/app/link").read_text() == "app/k.py"
    assert (tmp_path / "out/app/dirlink/m.py").read_text() == "app/lib/m.py"


@pytest.mark.parametrize("target", ["..", ".", "../..", "self"])
def test_a_loop_of_symlinks_ends_with_dereference(warmpack, tmp_path, target):
    write(tmp_path / "app/sub/k.py", "x")
    (tmp_path / "app/sub/self").symlink_to(target)
    result = warmpack("-chf", "a.tar", "app")
    assert result.returncode in (0, 2)
    assert b"app/sub/self" in result.stderr
    if result.returncode == 2:
        assert not (tmp_path / "a.tar").exists()


def test_a_dangling_symlink_with_dereference_is_an_error_that_names_it(warmpack, tmp_path):
    write(tmp_path / "app/k.py", "x")
    (tmp_path / "app/dangling").symlink_to("nowhere")
    refused(warmpack("-chf", "a.tar", "app"), "app/dangling", "No such file")
    assert not (tmp_path / "a.tar").exists()


@pytest.mark.parametrize("name", ["..", "../app", "app/..", "app/../app", "app/lib/../data"])
def test_names_that_lead_out_are_refused(warmpack, tmp_path, app, name):
    refused(warmpack("-cf", "a.tar", name), "..")
    assert not (tmp_path / "a.tar").exists()


def test_an_absolute_name_is_packed_as_a_relative_one_with_a_note(warmpack, tmp_path, app):
    result = warmpack.ok("-cf", "a.tar", tmp_path / "app/lib")
    assert b"/" in result.stderr.split(b"\n")[0] and result.stderr.count(b"\n") == 2
    names = set(members(tmp_path / "a.tar"))
    assert f"{str(tmp_path)[1:]}/app/lib/m.py" in names
    assert not [n for n in names if n.startswith("/")]
    warmpack.ok("-xf", "a.tar", "-C", "out")
    assert (tmp_path / "out" / str(tmp_path)[1:] / "app/lib/m.py").exists()


@pytest.mark.parametrize("listed", [b"app\0\0app/k.py\0", b"\n\napp\n"])
def test_empty_names_in_a_list_are_passed_over(warmpack, tmp_path, app, listed):
    flags = ["-0"] if b"\0" in listed else []
    warmpack.ok("-cqf", "a.tar", *flags, "-T", "-", stdin=listed)
    assert "app/k.py" in members(tmp_path / "a.tar")


def test_sockets_and_fifos_are_left_out_with_a_warning(warmpack, tmp_path):
    write(tmp_path / "app/k.py", "x")
    os.mkfifo(tmp_path / "app/fifo")
    here = os.getcwd()
    os.chdir(tmp_path / "app")  # a socket's name must be short
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind("sock")
            result = warmpack("-cf", "a.tar", "app")
    finally:
        os.chdir(here)
    assert set(members(tmp_path / "a.tar")) == {"app", "app/k.py"}
    assert result.returncode == 0
    assert b"app/fifo" in result.stderr and b"app/sock" in result.stderr


# ---- The archive itself --------------------------------------------------------------------------

def test_an_archive_inside_the_tree_is_not_packed(warmpack, tmp_path, app):
    for _ in range(2):  # the second time it is there already
        warmpack.ok("-czqf", "app/a.tgz", "app")
        assert "app/a.tgz" not in members(app / "a.tgz")
        assert not [n for n in members(app / "a.tgz") if "a.tgz" in n]
    assert not leftovers(app)


def test_an_archive_inside_the_tree_does_not_change_the_next_one(warmpack, tmp_path, app):
    warmpack.ok("-czqf", "app/a.tgz", "app")
    first = members(app / "a.tgz")
    warmpack.ok("-czqf", "app/a.tgz", "app")
    assert set(first) == set(members(app / "a.tgz"))


def test_an_archive_of_nothing_but_itself_is_not_made(warmpack, tmp_path, app):
    """GNU tar leaves an archive without files in its place, exit status 0."""
    old = write(tmp_path / "a.tar", "old")
    result = warmpack("-cf", "a.tar", "a.tar")
    assert b"a.tar: is the archive being written; not packed" in result.stderr
    assert result.returncode == 2
    assert b"a.tar: not made: there is nothing to pack but itself" in result.stderr
    assert old.read_text() == "old"
    warmpack.ok("-cf", "a.tar", "a.tar", "app")
    assert "app/k.py" in members(old) and "a.tar" not in members(old)


def test_an_archive_through_a_symlink_is_written_where_it_points(warmpack, tmp_path, app):
    (tmp_path / "real").mkdir()
    write(tmp_path / "real/a.tgz", "old")
    (tmp_path / "a.tgz").symlink_to("real/a.tgz")
    warmpack.ok("-czqf", "a.tgz", "app")
    assert "app/k.py" in members(tmp_path / "real/a.tgz")
    assert (tmp_path / "a.tgz").is_symlink()
    assert os.listdir(tmp_path / "real") == ["a.tgz"]


def test_an_archive_is_new_not_written_into(warmpack, tmp_path, app):
    old = write(tmp_path / "a.tgz", "old")
    with open(old, "rb") as reader:
        warmpack.ok("-czqf", "a.tgz", "app")
        assert reader.read() == b"old"


@pytest.mark.parametrize("umask, mode", [("022", 0o644), ("077", 0o600), ("000", 0o666)])
def test_an_archive_has_the_mode_that_the_umask_gives(warmpack, tmp_path, app, umask, mode):
    warmpack.ok("-czqf", "a.tgz", "app", umask=umask)
    assert stat.S_IMODE((tmp_path / "a.tgz").stat().st_mode) == mode


def test_an_archive_goes_into_a_fifo(warmpack, tmp_path, app):
    os.mkfifo(tmp_path / "fifo")
    child = warmpack.start("-cz", "--format", "tgz", "-qf", "fifo", "app")
    data = (tmp_path / "fifo").read_bytes()
    assert (child.wait(60), child.stderr.read()) == (0, b"")
    child.stderr.close()
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)
    warmpack.ok("-czqf", "a.tgz", "app")
    assert data == (tmp_path / "a.tgz").read_bytes()


def test_an_archive_goes_to_a_device(warmpack, tmp_path, app):
    warmpack.ok("-cz", "--format", "tgz", "-qf", "/dev/null", "app")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_full_device_is_an_error(warmpack, tmp_path, app):
    refused(warmpack("-cz", "--format", "tgz", "-f", "/dev/full", "app"), "/dev/full",
            "No space left")


@pytest.fixture
def small_disk(tmp_path):
    """A filesystem of 1 MiB."""
    path = tmp_path / "small"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "small", path],
                             capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("cannot mount a small filesystem here")
    yield path
    subprocess.run(["umount", path], check=True)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("suffix", ["tgz", "tar", "tar.zst"])
def test_a_full_disk_leaves_no_partial_archive_and_the_old_one_whole(warmpack, small_disk, app,
                                                                     suffix, old):
    write(app / "big", noise(4 << 20))
    archive = small_disk / ("a." + suffix)
    if old:
        write(archive, "old")
    refused(warmpack("-cf", archive, "app"), archive.name, "No space left")
    assert os.listdir(small_disk) == ([archive.name] if old else [])
    assert not old or archive.read_text() == "old"


def test_a_missing_directory_of_the_archive_is_an_error(warmpack, tmp_path, app):
    refused(warmpack("-cf", "no/where/a.tgz", "app"), "no/where/a.tgz", "No such file")


def test_a_directory_in_the_archives_place_is_an_error(warmpack, tmp_path, app):
    (tmp_path / "a.tgz").mkdir()
    refused(warmpack("-cf", "a.tgz", "app"), "a.tgz", "directory")
    assert not os.listdir(tmp_path / "a.tgz")


def test_an_existing_archive_survives_a_failure(warmpack, tmp_path, app):
    warmpack.ok("-czqf", "a.tgz", "app")
    before = (tmp_path / "a.tgz").read_bytes()
    refused(warmpack("-czf", "a.tgz", "app", "nowhere"), "nowhere")
    assert (tmp_path / "a.tgz").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["a.tgz", "app", "home", "lib", "two"]


def test_a_reader_that_goes_away_ends_packing(warmpack, tmp_path, app):
    write(app / "big", noise(4 << 20))
    child = subprocess.Popen([BINARY, "-cf", "-", "app"], cwd=tmp_path, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, env=environment(tmp_path))
    child.stdout.read(1000)
    child.stdout.close()
    said = child.stderr.read()
    child.stderr.close()
    assert child.wait(60) == 128 + signal.SIGPIPE
    assert said == b""


# ---- Files that cannot be read, or change --------------------------------------------------------

@needs_root
@pytest.mark.parametrize("what", ["file", "directory"])
def test_what_a_user_may_not_read_fails_by_name_and_nothing_is_left(shared, what):
    write(shared / "app/k.py", "x")
    (write(shared / "app/secret", "x") if what == "file" else shared / "app/secret").parent.mkdir(
        exist_ok=True)
    if what == "directory":
        write(shared / "app/secret/below", "x")
    (shared / "app/secret").chmod(0)
    (shared / "out").mkdir()
    os.chown(shared / "out", NOBODY, NOBODY)
    refused(Runner(shared)("-czf", "out/a.tgz", "app", user=NOBODY), "app/secret",
            "Permission denied")
    assert not os.listdir(shared / "out")


@needs_root
def test_what_a_user_may_not_read_can_be_excluded(shared):
    write(shared / "app/k.py", "x")
    write(shared / "app/secret/below", "x")
    (shared / "app/secret").chmod(0)
    (shared / "out").mkdir()
    os.chown(shared / "out", NOBODY, NOBODY)
    Runner(shared).ok("-czf", "out/a.tgz", "--exclude", "secret", "app", user=NOBODY)
    assert set(members(shared / "out/a.tgz")) == {"app", "app/k.py"}


class Writer(threading.Thread):
    """Appends to a file until it is told to stop. It sleeps most of the time: such a thread gets a
    processor at once, also where others want all of them."""

    def __init__(self, path):
        super().__init__()
        self.path, self.begun, self.stopped = path, threading.Event(), threading.Event()

    def run(self):
        with open(self.path, "ab", buffering=0) as file:
            while not self.stopped.wait(0.0005):
                file.write(b"more\n")
                self.begun.set()

    def __enter__(self):
        self.start()
        self.begun.wait()

    def __exit__(self, *_):
        self.stopped.set()
        self.join()


@pytest.mark.parametrize("suffix", ["tgz", "tar", "tar.zst"])
def test_a_file_that_grows_while_it_is_read_is_packed_with_exit_status_1(warmpack, tmp_path,
                                                                         suffix):
    write(tmp_path / "app/log", noise(40_000_000))
    write(tmp_path / "app/k.py", "x")
    child = warmpack.start("create", "--format", suffix, "-f", "-", "app", stdout=subprocess.PIPE)
    wait_until_stalled(child)  # in the middle: nobody reads what it writes
    with open(tmp_path / "app/log", "ab") as file:
        file.write(b"more\n")
    archive, said = child.communicate(timeout=PATIENCE)
    assert child.returncode == 1
    assert b"app/log" in said and b"changed" in said
    warmpack.ok("-xf", "-", "-C", "out", stdin=archive)
    packed = (tmp_path / "out/app/log").read_bytes()
    assert packed == (tmp_path / "app/log").read_bytes()[:len(packed)]


def test_a_source_that_keeps_changing_fails_the_pack(warmpack, tmp_path):
    """Its stamp would not match its content."""
    os.truncate(write(tmp_path / "app/k.py", b"#"), 60 << 20)  # so that reading takes its time
    with Writer(tmp_path / "app/k.py"):
        result = warmpack("-cf", "a.tgz", "app")
    assert result.returncode == 2
    last = result.stderr.splitlines()[-1]
    assert b"app/k.py" in last and b"changing" in last
    assert sorted(os.listdir(tmp_path)) == ["app", "home"]


# ---- Owners --------------------------------------------------------------------------------------

@pytest.mark.parametrize("options, expected", [
    (["--owner=daemon"], {"uname": "daemon", "uid": 1}),
    (["--group=daemon"], {"gname": "daemon", "gid": 1}),
    (["--owner=ada:4711", "--group", "wheel:815"],
     {"uname": "ada", "uid": 4711, "gname": "wheel", "gid": 815}),
    (["--owner=4711"], {"uid": 4711}),
    (["--group=0"], {"gid": 0}),
    (["--owner=big:3000000000"], {"uname": "big", "uid": 3_000_000_000}),
    (["--numeric-owner"], {"uname": "", "gname": ""}),
    (["--numeric-owner", "--owner=ada:4711"], {"uname": "", "uid": 4711}),
])
def test_owners_are_stored_as_gnu_tar_stores_them(warmpack, tmp_path, app, options, expected):
    warmpack.ok("-cqf", "a.tar", *options, "app")
    run("tar", "--format=pax", "-cf", tmp_path / "tar.tar", *options, "-C", tmp_path, "app")
    tar = members(tmp_path / "tar.tar")
    for name, member in members(tmp_path / "a.tar").items():
        for key in ("uid", "gid", "uname", "gname"):
            assert getattr(member, key) == getattr(tar[name], key), (name, key)
        for key, value in expected.items():
            assert getattr(member, key) == value


# ---- Indexes -------------------------------------------------------------------------------------

@pytest.fixture
def stale(tmp_path):
    """app/ with an index that is valid and one that is not."""
    for name in ("good", "bad"):
        index(write(tmp_path / f"app/{name}.py", "x = 1\n"))
    write(tmp_path / "app/bad.py", "x = 2\n", ns=1_595_339_396 * SECOND)


def test_a_stale_index_is_warned_about_and_counted(warmpack, tmp_path, stale):
    result = warmpack.ok("-czf", "a.tgz", "app")
    said = result.stderr.decode()
    assert "bad.add-3.py311.nbi" in said and "stale" in said
    assert "good.add" not in said
    assert "1 of 2 cache indexes valid" in said


def test_strict_refuses_a_stale_index_and_writes_nothing(warmpack, tmp_path, stale):
    result = warmpack("-czf", "a.tgz", "--strict", "app")
    assert result.returncode == 2
    assert b"bad.add-3.py311.nbi" in result.stderr
    assert sorted(os.listdir(tmp_path)) == ["app", "home"]


def test_strict_packs_where_every_index_is_valid(warmpack, tmp_path, stale):
    index(tmp_path / "app/bad.py")
    warmpack.ok("-czf", "a.tgz", "--strict", "app")
    document = json.loads(warmpack.ok("verify", "--json", "-f", "a.tgz").stdout)
    assert document["summary"] == {"total": 2, "valid": 2}


def test_what_was_stale_when_packed_is_no_loss_when_unpacked(warmpack, tmp_path, stale):
    warmpack.ok("-czqf", "a.tgz", "app")
    result = warmpack.ok("extract", "--json", "-f", "a.tgz", "-C", "out")
    document = json.loads(result.stdout)
    assert (document["was_valid"], document["lost"]) == (1, 0)
    assert document["summary"] == {"total": 2, "valid": 1, "stale": 1}


def test_what_is_warmpacks_own_from_earlier_times_is_not_packed(warmpack, tmp_path, app):
    warmpack.ok("-czqf", "a.tgz", "app")
    warmpack.ok("-xqf", "a.tgz", "-C", "out")
    write(tmp_path / "out/app/.warmpack-AbCdEf/new/k.py", "staged")
    warmpack.ok("-czqf", "b.tgz", "-C", "out", "app")
    listed = warmpack.ok("-tf", "b.tgz").stdout.decode().splitlines()
    assert [n.split("/")[-1] for n in listed if ".warmpack" in n] == ["manifest.jsonl"]


def test_two_trees_of_the_same_content_have_one_id(warmpack, tmp_path, app):
    ids = {json.loads(warmpack.ok("create", "--json", "-f", "a." + suffix, "app").stdout)["id"]
           for suffix in ("tgz", "tar", "tar.zst")}
    assert len(ids) == 1
    write(app / "k.py", "changed")
    ids.add(json.loads(warmpack.ok("create", "--json", "-f", "a.tgz", "app").stdout)["id"])
    assert len(ids) == 2
