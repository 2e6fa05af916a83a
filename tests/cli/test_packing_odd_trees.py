"""What create packs, and what it leaves out: caches of the right tree, our own files, files that
vanish under it; and what is then said of the archive."""

import fcntl
import hashlib
import io
import json
import os
import struct
import subprocess
import tarfile
import termios
import time

import pytest

import trees


def members(warmpack, archive):
    return warmpack.ok("list", "-f", archive).stdout.decode().splitlines()


def user_wide(warmpack, directory):
    """The user-wide cache of a directory, with one file in it."""
    name = f"{directory.name}_{hashlib.sha1(str(directory).encode()).hexdigest()}"
    cache = warmpack.home / ".cache" / "numba" / name
    trees.write(cache / "k.add-3.py311.1.nbc", b"of " + str(directory).encode())
    return cache


def test_cache_files_that_are_one_file_are_packed_so_that_they_can_be_unpacked(warmpack, tmp_path):
    trees.write(tmp_path / "app/k.py", b"x = 1\n")
    cache = user_wide(warmpack, tmp_path / "app")
    os.link(cache / "k.add-3.py311.1.nbc", cache / "k.sub-5.py311.1.nbc")
    warmpack.ok("create", "-f", "a.tgz", "app")
    warmpack.ok("extract", "-f", "a.tgz", "-C", "out")
    assert [name.rpartition("/")[2] for name in members(warmpack, "a.tgz")
            if name.endswith(".nbc")] == ["k.add-3.py311.1.nbc", "k.sub-5.py311.1.nbc"]


def test_a_user_wide_cache_is_packed_only_for_the_directory_it_belongs_to(warmpack, tmp_path):
    for where in ("one/app", "two/app", "two/lib"):
        trees.write(tmp_path / where / "k.py", b"x = 1\n")
    user_wide(warmpack, tmp_path / "two" / "app")
    lib = user_wide(warmpack, tmp_path / "two" / "lib")
    warmpack.ok("create", "-f", "a.tar", "-C", "one", "app", "-C", "../two", "lib")
    packed = [name for name in members(warmpack, "a.tar") if name.endswith(".nbc")]
    assert [name.split("/")[-2] for name in packed] == [lib.name]


def test_two_directories_of_one_member_directory_keep_their_caches(warmpack, tmp_path):
    for where in ("one/app", "one/lib", "one/more"):
        trees.write(tmp_path / where / "k.py", b"x = 1\n")
    caches = [user_wide(warmpack, tmp_path / "one" / name) for name in ("app", "lib", "more")]
    warmpack.ok("create", "-f", "a.tar", "-C", "one", "app", "lib", "-C", "../one", "more")
    packed = [name for name in members(warmpack, "a.tar") if name.endswith(".nbc")]
    assert sorted(name.split("/")[-2] for name in packed) == sorted(c.name for c in caches)


@trees.needs_root
def test_a_user_wide_place_that_cannot_be_read_is_only_warned_of():
    place = trees.public_directory()
    try:
        warmpack = trees.Runner(place)
        trees.write(place / "app" / "k.py", b"x = 1\n")
        cache = warmpack.home / ".cache" / "numba"
        cache.mkdir(parents=True)
        cache.chmod(0o700)
        place.chmod(0o777)
        said = warmpack.ok("create", "-f", "a.tar", "app", user=trees.NOBODY).stderr.decode()
        assert f"{cache}: cannot be read" in said
        other = place / "caches"
        other.mkdir(mode=0o700)
        refused = warmpack("create", "-f", "b.tar", "--cache-dir", other, "app", user=trees.NOBODY)
        assert refused.returncode == 2
    finally:
        trees.remove_tree(place)


def test_a_file_below_what_is_no_directory_is_not_packed(warmpack, tmp_path):
    trees.write(tmp_path / "one" / "k", b"a file\n")
    trees.write(tmp_path / "two" / "k" / "m.py", b"below a directory\n")
    result = warmpack("create", "-f", "a.tar", "-C", "one", "k", "-C", "../two", "k/m.py")
    assert result.returncode == 2 and b"k/m.py: lies in k," in result.stderr
    assert not (tmp_path / "a.tar").exists()


def test_a_lock_of_an_earlier_extraction_is_not_packed(warmpack, tmp_path):
    trees.write(tmp_path / "app" / "k.py", b"x = 1\n")
    trees.write(tmp_path / "app" / ".warmpack.lock")
    trees.write(tmp_path / "app" / ".warmpack.locked", b"not ours")
    warmpack.ok("create", "-f", "a.tar", "app")
    names = members(warmpack, "a.tar")
    assert "app/.warmpack.lock" not in names
    assert "app/.warmpack.locked" in names


def test_locks_beside_indexes_are_not_packed(warmpack, tmp_path):
    """As numba-cache-lock makes them."""
    cache = tmp_path / "app" / "__pycache__"
    trees.write(cache / "k.f-1.py311.nbi.lock")
    trees.write(cache / "k.f-1.py311.nbi.locked", b"not one")
    trees.write(tmp_path / "app" / "poetry.lock", b"not one")
    warmpack.ok("create", "-f", "a.tar", "app")
    names = members(warmpack, "a.tar")
    assert "app/__pycache__/k.f-1.py311.nbi.lock" not in names
    assert {"app/__pycache__/k.f-1.py311.nbi.locked", "app/poetry.lock"} < set(names)


def pack_while(warmpack, tmp_path, change, *options):
    """Packs tree/ and calls CHANGE after the walk, before any z file is read: what -v prints has
    nowhere to go by then. Returns status and what was said."""
    for i in range(200):
        trees.write(tmp_path / "tree" / f"a{i:03}{'-' * 100}", b"x")
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    job = warmpack.start("create", "-v", *options, "-f", "a.tar", "tree", stdout=write, stderr=write)
    os.close(write)
    limit = time.monotonic() + 60
    while struct.unpack("i", fcntl.ioctl(read, termios.FIONREAD, b"\0" * 4))[0] < 3900:
        assert time.monotonic() < limit and job.poll() is None
        time.sleep(0.01)
    change()
    with open(read, "rb") as file:
        said = file.read().decode()
    return job.wait(60), said


@pytest.mark.parametrize("size", [10, 5 << 20])
@pytest.mark.parametrize("name", ["z.py", "z.bin"])
def test_a_file_that_vanishes_is_left_out_with_a_warning(warmpack, tmp_path, name, size):
    gone = trees.write(tmp_path / "tree" / name, trees.noise(size))
    trees.write(tmp_path / "tree" / "zz", b"stays")
    status, said = pack_while(warmpack, tmp_path, gone.unlink)
    assert (status, f"tree/{name}: was removed before it was read" in said) == (1, True), said
    names = members(warmpack, "a.tar")
    assert f"tree/{name}" not in names and "tree/zz" in names
    (tmp_path / "out").mkdir()
    warmpack.ok("extract", "-f", "a.tar", "-C", "out")


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("size", [10, 5 << 20])
def test_hard_links_whose_names_all_vanish_are_left_out_together(warmpack, tmp_path, size, threads):
    first = trees.write(tmp_path / "tree" / "z1", trees.noise(size))
    for i in range(2, 5):
        os.link(first, tmp_path / "tree" / f"z{i}")
    status, said = pack_while(
        warmpack, tmp_path, lambda: [(tmp_path / "tree" / f"z{i}").unlink() for i in range(1, 5)],
        "--threads", str(threads))
    assert (status, said.count("was removed before it was read")) == (1, 4), said
    assert not [name for name in members(warmpack, "a.tar") if name.startswith("tree/z")]
    (tmp_path / "out").mkdir()
    warmpack.ok("extract", "-f", "a.tar", "-C", "out")


@pytest.mark.parametrize("size", [10, 5 << 20])
def test_a_hard_link_whose_first_name_vanishes_is_read_by_another(warmpack, tmp_path, size):
    first = trees.write(tmp_path / "tree" / "z1", trees.noise(size))
    os.link(first, tmp_path / "tree" / "z2")
    status, said = pack_while(warmpack, tmp_path, first.unlink)
    assert status == 0, said
    (tmp_path / "out").mkdir()
    warmpack.ok("extract", "-f", "a.tar", "-C", "out")
    assert (tmp_path / "out" / "tree" / "z2").read_bytes() == trees.noise(size)


def test_many_hard_links_over_many_blocks_are_packed(warmpack, tmp_path):
    for i in range(300):
        first = trees.write(tmp_path / "tree" / "a" / f"{i:03}", trees.noise(20000, i))
        os.makedirs(tmp_path / "tree" / "b", exist_ok=True)
        os.link(first, tmp_path / "tree" / "b" / f"{i:03}")
        os.link(first, tmp_path / "tree" / "a" / f"{i:03}.link")
    warmpack.ok("create", "--threads", "4", "-f", "a.tgz", "tree")
    (tmp_path / "out").mkdir()
    warmpack.ok("extract", "-f", "a.tgz", "-C", "out")
    trees.assert_same(trees.look(tmp_path / "tree"), trees.look(tmp_path / "out" / "tree"))


def verdicts(warmpack, *args, **more):
    done = warmpack.ok("verify", *args, status=1, **more)
    return sorted(done.stdout.decode().splitlines())


def test_an_archive_gives_the_same_answer_from_a_file_and_from_a_pipe(warmpack, tmp_path):
    tree = tmp_path / "app"
    sources = {name: trees.write(tree / f"{name}.py", b"x = 1\n")
               for name in ("good", "stale", "gone", "bare", "cut", "old", "away", "link")}
    for source in sources.values():
        trees.index(source)
    cache = tree / "__pycache__"
    trees.set_time(sources["stale"], trees.SECOND)
    sources["gone"].unlink()
    (cache / "bare.add-3.py311.1.nbc").unlink()
    trees.write(cache / "cut.add-3.py311.nbi", b"\x80")
    trees.set_time(cache / "old.add-3.py311.1.nbc", trees.SECOND)
    (tree / "other").mkdir()
    for path in cache.glob("away.*"):
        path.rename(tree / "other" / path.name)
    outside = tmp_path / "outside.py"
    sources["link"].rename(outside)
    sources["link"].symlink_to("../outside.py")
    warmpack.ok("create", "-f", "a.tgz", "app")
    piped = {"stdin": (tmp_path / "a.tgz").read_bytes()}
    assert verdicts(warmpack, "-v", "-f", "a.tgz") == verdicts(warmpack, "-v", "-f", "-", **piped)
    from_file, from_pipe = (
        json.loads(warmpack.ok("verify", "--json", "-f", f, status=1, **piped).stdout)["indexes"]
        for f in ("a.tgz", "-"))
    assert from_file == from_pipe
    found = {i["index"].split("/")[-1].split(".")[0]: i["status"] for i in from_file}
    for name, status in found.items():
        assert any(line.startswith(status) and f"/{name}.add" in line
                   for line in verdicts(warmpack, "-v", "-f", "a.tgz"))
    assert found == {"good": "valid", "stale": "stale", "gone": "source-missing",
                     "bare": "data-missing", "cut": "corrupt", "old": "suspect",
                     "away": "misplaced", "link": "source-missing"}
    assert {i["numba"] for i in from_file if i["status"] == "valid"} >= {"0.56.4"}


def test_indexes_that_are_too_large_together_are_called_corrupt(warmpack, tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", compresslevel=1) as tar:
        for i in range(5):
            member = tarfile.TarInfo(f"app/__pycache__/k{i}.add-3.py311.nbi")
            member.size = 60 << 20
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    done = warmpack.ok("verify", "-f", "a.tar.gz", status=1)
    assert [l for l in done.stdout.splitlines() if b"too large together" in l] == [
        b"corrupt  app/__pycache__/k4.add-3.py311.nbi  "
        b"the indexes of the archive are too large together"]


def test_path_shows_the_cache_below_the_runtime_root(warmpack, tmp_path):
    trees.write(tmp_path / "pkg" / "k.py", b"x = 1\n")
    done = warmpack.ok("path", "--json", "--runtime-root", "/srv/app", "pkg/k.py")
    assert b'"/srv/app/pkg/__pycache__"' in done.stdout
    assert os.fsencode(tmp_path / "pkg" / "__pycache__") not in done.stdout
    done = warmpack.ok("path", "--json", "pkg/k.py")
    assert os.fsencode(tmp_path / "pkg" / "__pycache__") in done.stdout


def test_a_linked_pycache_whose_caches_stay_behind_is_named(warmpack, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__pycache__").symlink_to(tmp_path / "elsewhere")
    done = warmpack("create", "-f", "a.tgz", "app", cwd=tmp_path)
    assert done.returncode == 0
    assert b"app/__pycache__: is a symbolic link" in done.stderr
    done = warmpack("create", "-h", "-f", "a.tgz", "app", cwd=tmp_path)
    assert b"symbolic link" not in done.stderr


def test_a_file_called_like_our_directory_is_packed_like_any_other(warmpack, tmp_path):
    """Not where the manifest must go: then nothing is made."""
    trees.write(tmp_path / "src/app/lib/.warmpack", "mine")
    trees.write(tmp_path / "src/app/k.py", "x = 1")
    warmpack.ok("-czqf", "a.tgz", "-C", "src", "app")
    warmpack.ok("-xqf", "a.tgz", "-C", "out")
    assert (tmp_path / "out/app/lib/.warmpack").read_text() == "mine"
    trees.write(tmp_path / "src/app/.warmpack", "in the way")
    trees.refused(warmpack("-czf", "b.tgz", "-C", "src", "app"), "app/.warmpack", "the manifest's place")
    assert not (tmp_path / "b.tgz").exists()


def test_a_link_that_leads_to_itself_is_a_member_like_others(warmpack, tmp_path):
    trees.write(tmp_path / "tree/app/k.py", b"x = 1\n")
    (tmp_path / "tree/loop").symlink_to("loop")
    warmpack.ok("create", "-f", "a.tgz", "-C", "tree", "loop", "app")
    assert members(warmpack, "a.tgz")[:3] == ["app/", "app/k.py", "loop"]


def test_paths_longer_than_the_system_takes_are_packed_and_judged(warmpack, tmp_path):
    deep = "/".join(["d" * 200] * 22)
    fd = os.open(tmp_path, os.O_RDONLY)
    for name in ["deep", *deep.split("/"), "app"]:
        os.mkdir(name, dir_fd=fd)
        inner = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    for name in ("k.py", "lib.zip"):
        with open(os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=fd), "w", encoding="utf-8") as file:
            file.write("x = 1\n")
    os.close(fd)
    warmpack.ok("create", "-f", "a.tgz", "-C", "deep", "d" * 200)
    warmpack.ok("create", "-f", "b.tgz", "-C", "deep", deep + "/app")
    for archive in ("a.tgz", "b.tgz"):
        assert members(warmpack, archive)[-2].endswith("d/app/lib.zip")
        warmpack.ok("extract", "-f", archive, "-C", "out")
        warmpack.ok("verify", "out")
        subprocess.run(["rm", "-rf", str(tmp_path / "out")], check=True)
