"""What extract does to a directory that is there, and what its options change."""

import json
import os
import stat
import subprocess

import pytest
from trees import (BINARY, NOBODY, SECOND, Runner, as_user, assert_same, bytes_read, index,
                   leftovers, look, needs_root, noise, public_directory, refused, remove_tree,
                   run, set_time, without, write)


@pytest.fixture
def warmpack(tmp_path):
    yield Runner(tmp_path)
    assert not leftovers(tmp_path), "staging is left"


@pytest.fixture
def shared():
    path = public_directory()
    yield path
    remove_tree(path)


@pytest.fixture
def archive(warmpack, tmp_path):
    """a.tgz of app/: k.py, lib/m.py, lib/deep/n.py, data/1 and data/2, a link to k.py"""
    app = tmp_path / "src" / "app"
    for name in ("k.py", "lib/m.py", "lib/deep/n.py", "data/1", "data/2"):
        write(app / name, "new " + name, ns=1_700_000_000 * SECOND + 123_456_789)
    (app / "link").symlink_to("k.py")
    index(app / "k.py")
    warmpack.ok("-czqf", "a.tgz", "-C", "src", "app")
    return "a.tgz"


@pytest.fixture
def packed(tmp_path, archive):
    return look(tmp_path / "src")


# ---- Into what is there ------------------------------------------------------------------------

def test_an_existing_tree_is_merged_file_by_file(warmpack, tmp_path, archive, packed):
    write(tmp_path / "out/app/k.py", "old, and longer than the new one")
    write(tmp_path / "out/app/mine", "mine")
    write(tmp_path / "out/app/lib/mine", "mine")
    write(tmp_path / "out/other", "other")
    before = look(tmp_path / "out")
    warmpack.ok("-xf", archive, "-C", "out")
    after = look(tmp_path / "out")
    for mine in (b"app/mine", b"app/lib/mine", b"other"):
        assert after.pop(mine) == before[mine]
    assert_same(packed, after)


def test_a_file_is_replaced_not_written_into(warmpack, tmp_path, archive):
    old = write(tmp_path / "out/app/k.py", "old")
    os.link(old, tmp_path / "other-name")
    with open(old, "rb") as reader:
        warmpack.ok("-xf", archive, "-C", "out")
        assert reader.read() == b"old"
    assert (tmp_path / "other-name").read_text() == "old"
    assert old.read_text() == "new k.py"


def test_a_symlink_in_the_way_of_a_directory_is_replaced_never_followed(warmpack, tmp_path,
                                                                        archive, packed):
    write(tmp_path / "elsewhere/keep", "keep")
    elsewhere = look(tmp_path / "elsewhere")
    (tmp_path / "out/app").mkdir(parents=True)
    (tmp_path / "out/app/lib").symlink_to(tmp_path / "elsewhere")
    warmpack.ok("-xf", archive, "-C", "out")
    assert_same(packed, look(tmp_path / "out"))
    assert_same(elsewhere, look(tmp_path / "elsewhere"))


def test_a_symlinked_top_directory_is_replaced_never_followed(warmpack, tmp_path, archive, packed):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/app").symlink_to("../elsewhere")
    warmpack.ok("-xf", archive, "-C", "out")
    assert_same(packed, look(tmp_path / "out"))
    assert not os.listdir(tmp_path / "elsewhere")


def test_symlinks_in_the_way_of_files_are_replaced(warmpack, tmp_path, archive, packed):
    target = write(tmp_path / "victim", "victim")
    (tmp_path / "out/app").mkdir(parents=True)
    (tmp_path / "out/app/k.py").symlink_to(target)
    (tmp_path / "out/app/link").symlink_to(target)
    warmpack.ok("-xf", archive, "-C", "out")
    assert target.read_text() == "victim"
    assert_same(packed, look(tmp_path / "out"))


def test_a_file_in_the_way_of_a_directory_is_replaced(warmpack, tmp_path, archive, packed):
    write(tmp_path / "out/app/lib", "a file")
    warmpack.ok("-xf", archive, "-C", "out")
    assert_same(packed, look(tmp_path / "out"))


def test_a_directory_with_content_in_the_way_of_a_file_is_refused_and_nothing_changes(
        warmpack, tmp_path, archive):
    write(tmp_path / "out/app/k.py/below", "x")
    write(tmp_path / "out/app/lib/m.py", "old")
    before = look(tmp_path / "out", ours=True)
    refused(warmpack("-xf", archive, "-C", "out"), "app/k.py", "directory")
    assert_same(before, look(tmp_path / "out", ours=True))


def test_an_empty_directory_in_the_way_of_a_file_is_replaced_as_by_tar(warmpack, tmp_path, archive,
                                                                       packed):
    (tmp_path / "out/app/k.py").mkdir(parents=True)
    warmpack.ok("-xf", archive, "-C", "out")
    assert_same(packed, look(tmp_path / "out"))


def test_unpacking_twice_changes_nothing(warmpack, tmp_path, archive):
    warmpack.ok("-xf", archive, "-C", "out")
    first = without(look(tmp_path / "out", ours=True), "content", "size", "mtime", "links")
    warmpack.ok("-xf", archive, "-C", "out")
    assert_same(first, without(look(tmp_path / "out", ours=True),
                               "content", "size", "mtime", "links"))


def test_two_archives_at_once_into_one_directory(warmpack, tmp_path):
    """Their trees share directories, and neither loses a file."""
    for name in ("one", "two"):
        for i in range(200):
            write(tmp_path / name / "app" / "shared" / f"{name}-{i}", name)
        write(tmp_path / name / "app" / "both", noise(100_000, name))
        warmpack.ok("-czqf", name + ".tgz", "-C", name, "app")
    for _ in range(3):
        children = [warmpack.start("-xqf", name + ".tgz", "-C", "out") for name in ("one", "two")]
        for child in children:
            _, said = child.communicate(timeout=60)
            assert (child.returncode, said) == (0, b"")
        assert len(os.listdir(tmp_path / "out/app/shared")) == 400
        assert (tmp_path / "out/app/both").read_bytes() in (noise(100_000, "one"),
                                                            noise(100_000, "two"))
        assert not leftovers(tmp_path / "out")
        remove_tree(tmp_path / "out")


# ---- DIR ---------------------------------------------------------------------------------------

def test_a_missing_directory_is_made_with_its_parents(warmpack, tmp_path, archive, packed):
    warmpack.ok("-xf", archive, "-C", "x/y/z")
    assert_same(packed, look(tmp_path / "x/y/z"))


def test_a_directory_that_was_made_is_removed_after_a_failure(warmpack, tmp_path, archive):
    (tmp_path / "cut.tgz").write_bytes((tmp_path / archive).read_bytes()[:-500])
    (tmp_path / "x").mkdir()
    refused(warmpack("-xf", "cut.tgz", "-C", "x/y/z"), "cut.tgz")
    assert not os.listdir(tmp_path / "x")


def test_a_directory_that_was_there_stays_after_a_failure(warmpack, tmp_path, archive):
    (tmp_path / "cut.tgz").write_bytes((tmp_path / archive).read_bytes()[:-500])
    (tmp_path / "out").mkdir()
    set_time(tmp_path / "out", 5 * SECOND)
    refused(warmpack("-xf", "cut.tgz", "-C", "out"), "cut.tgz")
    assert not os.listdir(tmp_path / "out")


def test_the_directory_may_be_a_symlink_as_typed(warmpack, tmp_path, archive, packed):
    (tmp_path / "real").mkdir()
    (tmp_path / "to").symlink_to("real")
    (tmp_path / "to-to").symlink_to("to")
    warmpack.ok("-xf", archive, "-C", "to-to/")
    assert_same(packed, look(tmp_path / "real"))
    assert (tmp_path / "to-to").is_symlink()


@pytest.mark.parametrize("there", ["file", "dangling"])
def test_what_is_no_directory_is_refused(warmpack, tmp_path, archive, there):
    if there == "file":
        write(tmp_path / "out", "file")
    else:
        (tmp_path / "out").symlink_to("nowhere")
    before = look(tmp_path)
    refused(warmpack("-xf", archive, "-C", "out"), "out")
    assert_same(before, look(tmp_path))


# ---- -k, --replace -----------------------------------------------------------------------------

def test_keep_keeps_what_is_there_unpacks_the_rest_and_says_so(warmpack, tmp_path, archive, packed):
    write(tmp_path / "out/app/k.py", "old", ns=SECOND)
    write(tmp_path / "out/app/data", "a file")
    (tmp_path / "out/app/link").symlink_to("nowhere")
    before = look(tmp_path / "out")
    result = warmpack("-xkf", archive, "-C", "out")
    assert result.returncode == 2
    said = result.stderr.decode()
    for name in ("app/k.py", "app/link", "app/data"):
        assert name in said
    after = look(tmp_path / "out")
    for name in (b"app/k.py", b"app/link", b"app/data"):
        assert after[name] == before[name]
    for name in (b"app/lib/m.py", b"app/lib/deep/n.py"):
        assert after[name] == packed[name]


def test_keep_succeeds_where_nothing_is_in_the_way(warmpack, tmp_path, archive, packed):
    write(tmp_path / "out/app/mine", "mine")
    warmpack.ok("-xkf", archive, "-C", "out")
    assert packed[b"app/k.py"] == look(tmp_path / "out")[b"app/k.py"]


def test_replace_swaps_the_whole_top_directory(warmpack, tmp_path, archive, packed):
    write(tmp_path / "out/app/old/file", "old")
    write(tmp_path / "out/other/file", "other")
    warmpack.ok("extract", "--replace", "-f", archive, "-C", "out")
    after = look(tmp_path / "out")
    assert after.pop(b"other") and after.pop(b"other/file")
    assert_same(packed, after)


def test_replace_never_shows_a_mixture(warmpack, tmp_path):
    """Whoever enters the directory by its name finds one version, whole."""
    for version in ("1", "2"):
        for i in range(50):
            write(tmp_path / version / "app" / f"{i:02}", version)
        warmpack.ok("-cqf", version + ".tar", "-C", version, "app")
    warmpack.ok("-xf", "1.tar", "-C", "out")
    for version in ("2", "1", "2"):
        child = warmpack.start("extract", "--replace", "-qf", version + ".tar", "-C", "out")
        while child.poll() is None:
            try:
                fd = os.open(tmp_path / "out/app", os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                pytest.fail("for a moment there was no directory")
            seen = set()
            try:
                for i in range(50):
                    with open(os.open(f"{i:02}", os.O_RDONLY, dir_fd=fd)) as file:
                        seen.add(file.read())
            except FileNotFoundError:
                continue  # entered the old one, which is being removed
            finally:
                os.close(fd)
            assert len(seen) == 1
        assert child.communicate()[1] == b""
        assert child.returncode == 0
        assert (tmp_path / "out/app/00").read_text() == version


# ---- What is unpacked ----------------------------------------------------------------------------

def names_in(directory):
    return {os.fsdecode(path) for path, entry in look(directory).items()
            if not stat.S_ISDIR(entry["type"])}


def test_to_stdout_gives_the_content_in_order_and_touches_nothing(warmpack, tmp_path, archive):
    before = look(tmp_path, ours=True)
    result = warmpack.ok("-xOf", archive, "app/k.py", "app/data")
    assert result.stdout == b"new data/1new data/2new k.py"
    assert_same(before, look(tmp_path, ours=True))


def test_to_stdout_of_a_large_file_is_exact(warmpack, tmp_path):
    write(tmp_path / "big", noise(9_000_000))
    for name in ("a.tgz", "a.tar", "a.tar.zst"):
        warmpack.ok("-cqf", name, "big")
        assert warmpack.ok("-xOf", name, "big").stdout == noise(9_000_000)


@pytest.mark.parametrize("patterns", [["app/k.py"], ["app/lib"], ["app/lib/"], ["app/l*"],
                                      ["app/data", "app/k.py"], ["app"], ["*.py"], ["app/*/m.py"],
                                      ["app/data/[2-9]"], ["app/dat?"]])
def test_patterns_choose_what_gnu_tar_with_wildcards_would(warmpack, tmp_path, archive, patterns):
    warmpack.ok("-xf", archive, "-C", "out", *patterns)
    (tmp_path / "tar").mkdir()
    run("tar", "-xzf", tmp_path / archive, "-C", tmp_path / "tar", "--wildcards", *patterns)
    ours = {n for n in names_in(tmp_path / "out")}
    assert ours and ours == names_in(tmp_path / "tar")


def test_a_pattern_without_a_match_is_an_error_and_the_others_are_unpacked(warmpack, tmp_path,
                                                                           archive):
    result = warmpack("-xf", archive, "-C", "out", "app/k.py", "app/nowhere")
    assert result.returncode == 2
    assert b"app/nowhere" in result.stderr
    assert names_in(tmp_path / "out") == {"app/k.py"}


def test_patterns_from_a_file(warmpack, tmp_path, archive):
    warmpack.ok("-xf", archive, "-C", "out", "-0", "-T", "-", stdin=b"app/k.py\0app/data/1\0")
    assert names_in(tmp_path / "out") == {"app/k.py", "app/data/1"}


@pytest.mark.parametrize("exclude", ["*.py", "lib", "app/lib", "data/1", "*/deep", "app", "n.py",
                                     "l*"])
def test_exclude_leaves_out_what_gnu_tar_would(warmpack, tmp_path, archive, exclude):
    lost = exclude == "*.py"  # then the index has no source any more
    warmpack.ok("-xf", archive, "-C", "out", "--exclude", exclude, status=1 if lost else 0)
    (tmp_path / "tar").mkdir()
    run("tar", "-xzf", tmp_path / archive, "-C", tmp_path / "tar", "--exclude", exclude)
    assert names_in(tmp_path / "out") == names_in(tmp_path / "tar")


def test_every_name_that_list_prints_can_be_asked_for(warmpack, tmp_path, archive):
    names = warmpack.ok("-tf", archive).stdout.decode().splitlines()
    results = {name: warmpack("-xOf", archive, name) for name in names}
    assert not {name: result.stderr for name, result in results.items() if result.returncode}


@pytest.mark.parametrize("strip", [0, 1, 2, 3, 9])
def test_strip_components_leaves_what_gnu_tar_would(warmpack, tmp_path, archive, strip):
    run("tar", "-czf", tmp_path / "plain.tgz", "-C", tmp_path / "src", "app")
    warmpack.ok("-xf", archive, "-C", "out", f"--strip-components={strip}")
    warmpack.ok("-xf", "plain.tgz", "-C", "out2", f"--strip-components={strip}")
    (tmp_path / "tar").mkdir()
    run("tar", "-xzf", tmp_path / "plain.tgz", "-C", tmp_path / "tar",
        f"--strip-components={strip}")
    assert names_in(tmp_path / "out") == names_in(tmp_path / "tar")
    assert names_in(tmp_path / "out2") == names_in(tmp_path / "tar")


def manifest_id(tmp_path, archive):
    names = run(BINARY, "-tf", tmp_path / archive).decode().splitlines()
    (name,) = [n for n in names if n.endswith("/manifest.jsonl")]
    return name.split("/")[-2]


@pytest.mark.parametrize("strip", [1, 2, 3])
def test_strip_components_keeps_what_is_warmpacks_own_whole(warmpack, tmp_path, archive, strip):
    home = f".warmpack/{manifest_id(tmp_path, archive)}"
    warmpack.ok("-xf", archive, "-C", "out", f"--strip-components={strip}")
    assert sorted(os.listdir(tmp_path / "out" / home)) == ["manifest.jsonl", "state.jsonl"]
    original = run("tar", "-xzOf", tmp_path / archive, "app/" + home + "/manifest.jsonl")
    assert (tmp_path / "out" / home / "manifest.jsonl").read_bytes() == original


# ---- Owners and modes ----------------------------------------------------------------------------

MODES = [0o644, 0o666, 0o777, 0o600, 0o4755, 0o2755, 0o6777, 0o400, 0o000]


@pytest.fixture
def owned_archive(shared):
    """Files of several owners, by names and numbers that are known here and that are not."""
    app = shared / "src" / "app"
    for mode in MODES:
        write(app / f"f{mode:o}", b"x", mode)
    for mode in (0o755, 0o777, 0o700, 0o1777, 0o2775):
        (app / f"d{mode:o}").mkdir()
        (app / f"d{mode:o}").chmod(mode)
    if os.geteuid() == 0:
        for name, owner in {"daemon": (1, 1), "stranger": (12345, 54321), "bin": (2, 0)}.items():
            write(app / name, b"x", 0o644)
            os.chown(app / name, *owner)
        os.symlink("x", app / "link")
        os.chown(app / "link", 1, 1, follow_symlinks=False)
    Runner(shared).ok("-czqf", "a.tgz", "-C", "src", "app")
    return shared


def unpack_with_both(shared, options, umask, user):
    for name, tool in (("ours", BINARY), ("tar", "tar")):
        (shared / name).mkdir()
        if user is not None:
            os.chown(shared / name, user, user)
        words = ["sh", "-c", f'umask {umask}; exec "$@"', "sh", tool, "-xzf", "a.tgz", "-C", name,
                 *options]
        run(*(as_user(user) if user is not None else []), *words, cwd=shared)
    return [without(look(shared / name, owners=True), "links", "content")
            for name in ("ours", "tar")]


OPTIONS = [[], ["-p"], ["--no-same-owner"], ["--numeric-owner"], ["--same-owner", "-p"]]


@needs_root
@pytest.mark.parametrize("umask", ["022", "077"])
@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_root_gets_owners_and_modes_as_with_gnu_tar(owned_archive, options, umask):
    ours, tar = unpack_with_both(owned_archive, options, umask, None)
    if "-p" not in options:  # for us even root must ask for setuid bits of files
        assert not [p for p, e in ours.items() if "size" in e and e["mode"] & 0o7000]
        tar = {p: {**e, "mode": e["mode"] & 0o777} if "size" in e else e for p, e in tar.items()}
    assert_same(tar, ours)


@needs_root
@pytest.mark.parametrize("umask", ["022", "077"])
@pytest.mark.parametrize("options", OPTIONS[:4], ids=" ".join)
def test_a_user_gets_owners_and_modes_as_with_gnu_tar(owned_archive, options, umask):
    ours, tar = unpack_with_both(owned_archive, options, umask, NOBODY)
    assert {e["owner"] for e in ours.values()} == {(NOBODY, NOBODY)}
    assert_same(tar, ours)


@needs_root
def test_names_of_owners_count_before_numbers(shared):
    """An archive from a machine where daemon has another number."""
    write(shared / "app" / "f", b"x")
    run("tar", "--format=pax", "--owner=daemon:777", "--group=daemon:778", "-czf",
        shared / "a.tgz", "-C", shared, "app")
    ours, tar = unpack_with_both(shared, [], "022", None)
    assert_same(tar, ours)
    assert ours[b"app/f"]["owner"] == (1, 1)
    for name in ("ours", "tar"):
        remove_tree(shared / name)
    ours, tar = unpack_with_both(shared, ["--numeric-owner"], "022", None)
    assert_same(tar, ours)
    assert ours[b"app/f"]["owner"] == (777, 778)


@needs_root
def test_another_users_directory_that_cannot_be_written_is_refused_unchanged(owned_archive):
    (owned_archive / "out").mkdir()
    result = Runner(owned_archive)("-xf", "a.tgz", "-C", "out", user=NOBODY)
    refused(result, "out", "Permission denied")
    assert not os.listdir(owned_archive / "out")


# ---- --if-needed -------------------------------------------------------------------------------

def inodes(directory):
    return {path: os.stat(os.fsencode(directory) + b"/" + path, follow_symlinks=False).st_ino
            for path in look(directory, ours=True)}


def test_if_needed_unpacks_once_and_says_so(warmpack, tmp_path, archive, packed):
    first = warmpack.ok("extract", "--if-needed", "-f", archive, "-C", "out")
    assert_same(packed, look(tmp_path / "out"))
    before = inodes(tmp_path / "out")
    again = warmpack.ok("extract", "--if-needed", "--json", "-f", archive, "-C", "out")
    assert json.loads(again.stdout)["unchanged"] is True
    assert inodes(tmp_path / "out") == before
    said = warmpack.ok("extract", "--if-needed", "-f", archive, "-C", "out").stderr
    assert said != first.stderr
    assert said.count(b"\n") == 1 and b"already" in said


def test_if_needed_is_quick_where_nothing_is_to_do(warmpack, tmp_path):
    write(tmp_path / "app" / "big", noise(1 << 20) * 100)
    write(tmp_path / "app" / "k.py", "x = 1\n")
    warmpack.ok("-czqf", "a.tgz", "--level", "1", "app")
    words = ("extract", "--if-needed", "-f", "a.tgz", "-C", "out")
    whole = (tmp_path / "a.tgz").stat().st_size
    first, again = [bytes_read(tmp_path, *words) for _ in range(2)]
    assert again < whole / 3 < whole <= first, (first, again)


@pytest.mark.parametrize("options", [["--strip-components", "1"], ["--exclude", "data"], ["-p"],
                                     ["app/k.py"], ["--runtime-root", "/elsewhere"],
                                     ["--cache-dir", "caches"], ["--layout", "cache-dir",
                                                                 "--cache-dir", "caches"]])
def test_if_needed_unpacks_again_with_other_options(warmpack, tmp_path, archive, options):
    warmpack.ok("extract", "--if-needed", "-f", archive, "-C", "out")
    result = warmpack("extract", "--if-needed", "--json", "-f", archive, "-C", "out", *options)
    assert json.loads(result.stdout)["unchanged"] is False


def test_if_needed_unpacks_another_version(warmpack, tmp_path, archive):
    warmpack.ok("extract", "--if-needed", "-f", archive, "-C", "out")
    write(tmp_path / "src/app/k.py", "newer")
    warmpack.ok("-czqf", "b.tgz", "-C", "src", "app")
    for name, content in (("b.tgz", "newer"), (archive, "new k.py")):
        result = warmpack("extract", "--if-needed", "--json", "-f", name, "-C", "out")
        assert json.loads(result.stdout)["unchanged"] is False
        assert (tmp_path / "out/app/k.py").read_text() == content


def test_if_needed_unpacks_into_each_directory_of_its_own(warmpack, tmp_path, archive, packed):
    for out in ("one", "two"):
        warmpack.ok("extract", "--if-needed", "-f", archive, "-C", out)
        assert_same(packed, look(tmp_path / out))


def test_if_needed_unpacks_again_in_a_tree_that_was_moved(warmpack, tmp_path, archive):
    warmpack.ok("extract", "--if-needed", "-f", archive, "-C", "one")
    (tmp_path / "one").rename(tmp_path / "two")
    result = warmpack.ok("extract", "--if-needed", "--json", "-f", archive, "-C", "two")
    assert json.loads(result.stdout)["unchanged"] is False


def test_of_eight_at_once_all_succeed_and_one_unpacks(warmpack, tmp_path):
    for i in range(300):
        write(tmp_path / "app" / f"{i}", noise(5000, i))
    warmpack.ok("-czqf", "a.tgz", "app")
    packed = look(tmp_path / "app")
    for _ in range(2):
        children = [warmpack.start("extract", "--if-needed", "--json", "-f", "a.tgz", "-C", "out",
                                   stdout=subprocess.PIPE) for _ in range(8)]
        unchanged = []
        for child in children:
            out, said = child.communicate(timeout=60)
            assert child.returncode == 0, said
            unchanged.append(json.loads(out)["unchanged"])
        assert unchanged.count(False) == 1
        assert_same(packed, look(tmp_path / "out/app"))
        assert not leftovers(tmp_path / "out")
        remove_tree(tmp_path / "out")


def test_if_needed_of_an_archive_without_a_manifest_unpacks(warmpack, tmp_path, archive):
    run("tar", "-czf", tmp_path / "plain.tgz", "-C", tmp_path / "src", "app")
    for _ in range(2):
        warmpack.ok("extract", "--if-needed", "-f", "plain.tgz", "-C", "out")
    assert (tmp_path / "out/app/k.py").read_text() == "new k.py"


# ---- Odd members ---------------------------------------------------------------------------------

@needs_root
def test_devices_and_fifos_are_left_out_with_a_warning(warmpack, tmp_path):
    app = tmp_path / "app"
    write(app / "k.py", "x")
    os.mkfifo(app / "fifo")
    os.mknod(app / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    run("tar", "-czf", tmp_path / "a.tgz", "-C", tmp_path, "app")
    result = warmpack.ok("-xf", "a.tgz", "-C", "out")
    assert names_in(tmp_path / "out") == {"app/k.py"}
    for name in (b"app/fifo", b"app/null"):
        assert name in result.stderr


def test_verbose_names_each_entry_on_stderr(warmpack, tmp_path, archive, packed):
    result = warmpack.ok("-xvf", archive, "-C", "out")
    lines = result.stderr.decode().splitlines()
    assert result.stdout == b""
    assert {os.fsdecode(p) for p in packed} <= {line.rstrip("/") for line in lines}


# ---- What a failure leaves -----------------------------------------------------------------------

def many(tmp_path):
    """many.tgz: enough members that -v says more than a pipe holds."""
    for i in range(4000):
        write(tmp_path / "src" / "many" / f"{i:04}-{'x' * 100}", b"x")
    Runner(tmp_path).ok("-czqf", "many.tgz", "-C", "src", "many")


@pytest.mark.parametrize("words", [["-xvf", "many.tgz", "-C", "out"], ["-xvOf", "many.tgz"],
                                   ["-cvf", "again.tgz", "-C", "src", "many"]])
def test_a_reader_of_what_is_said_that_goes_away_leaves_nothing_behind(tmp_path, words):
    many(tmp_path)
    (tmp_path / "out").mkdir()
    set_time(tmp_path / "out", 10**18)
    script = '("$@" 2>&1; echo $? >status) | head -c 300 | wc -c'
    seen = subprocess.run(["bash", "-c", script, "bash", BINARY, *words],
                          cwd=tmp_path, capture_output=True, check=True, timeout=120)
    assert seen.stdout == b"300\n" and seen.stderr == b""
    assert (tmp_path / "status").read_text() == "141\n"
    assert not os.listdir(tmp_path / "out") and not (tmp_path / "again.tgz").exists()
    assert not leftovers(tmp_path)
    assert (tmp_path / "out").stat().st_mtime_ns == 10**18


@pytest.mark.parametrize("options", [[], ["--if-needed"]])
def test_an_extract_that_fails_leaves_the_directorys_time(warmpack, tmp_path, archive, options):
    data = bytearray((tmp_path / archive).read_bytes())
    data[len(data) // 2] ^= 255
    (tmp_path / "bad.tgz").write_bytes(data)
    write(tmp_path / "out" / "mine")
    set_time(tmp_path / "out", 10**18 + 5)
    refused(warmpack("extract", *options, "-f", "bad.tgz", "-C", "out"))
    assert (tmp_path / "out").stat().st_mtime_ns == 10**18 + 5


@needs_root
def test_owners_that_a_user_asked_for_and_cannot_set_are_an_error(shared):
    write(shared / "app" / "k.py", "x")
    Runner(shared).ok("-czqf", "a.tgz", "app")
    (shared / "out").mkdir()
    os.chown(shared / "out", NOBODY, NOBODY)
    refused(Runner(shared)("-xf", "a.tgz", "-C", "out", "--same-owner", user=NOBODY), "k.py",
            "owner")
    assert not os.listdir(shared / "out")
    Runner(shared).ok("-xf", "a.tgz", "-C", "out", "--same-owner", "--no-same-owner", user=NOBODY)


@needs_root
def test_a_user_can_ask_for_what_is_his_own(shared):
    write(shared / "app" / "k.py", "x")
    for path in (shared / "app", shared / "app" / "k.py", shared):
        os.chown(path, NOBODY, NOBODY)
    Runner(shared).ok("-czqf", "a.tgz", "app")
    Runner(shared).ok("-xf", "a.tgz", "-C", "out", "--same-owner", user=NOBODY)
    assert (shared / "out" / "app" / "k.py").stat().st_uid == NOBODY


@needs_root
def test_an_owner_whom_a_user_namespace_lacks_is_named_with_the_option_that_helps(tmp_path):
    warmpack = Runner(tmp_path)
    write(tmp_path / "src/app/k.py", "x = 1\n")
    os.chown(tmp_path / "src/app/k.py", 4242, 4242)
    warmpack.ok("-czqf", "a.tgz", "-C", "src", "app")
    inside = ["unshare", "--user", "--map-root-user", BINARY, "extract", "-qf", "a.tgz", "-C"]
    done = subprocess.run([*inside, "out"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 2 and not (tmp_path / "out").exists()
    assert done.stderr.count(b"\n") == 1 and b"k.py" in done.stderr
    assert b"--no-same-owner" in done.stderr
    subprocess.run([*inside, "out", "--no-same-owner"], cwd=tmp_path, check=True)
    assert (tmp_path / "out/app/k.py").read_text() == "x = 1\n"
