"""--replace and --from: a file that nobody has touched since warmpack put it there is neither read
nor copied again, and one that somebody may have touched is never taken for such a one."""

import json
import os
import shutil
import subprocess

import pytest
from trees import (NOBODY, Runner, assert_same, look, needs_root, noise, public_directory,
                   refused, remove_tree, write)

TIME = 1_595_339_396_456_441_290
MEGABYTE = 1 << 20
# So many that the first file is older than a tick of the kernel's clock when all are there.
LARGE = 24
FIRST, SMALL = "app/a/large00.so", "app/a/first.py"


def pack(warmpack, root, version, *words):
    """Of a tree in which one file changes with each version."""
    for i in range(LARGE):
        write(root / f"app/a/large{i:02}.so", noise(MEGABYTE, i), ns=TIME + i)
    write(root / SMALL, noise(999), ns=TIME)
    write(root / "app/a/changes.py", noise(1000, version), ns=TIME + version)
    warmpack.ok("create", "-qf", f"{version}.tgz", "-C", str(root), "app", *words)
    return f"{version}.tgz"


@pytest.fixture
def tree(warmpack, tmp_path):
    """Version 1 as warmpack unpacked it; 2 is packed."""
    pack(warmpack, tmp_path / "1", 1)
    pack(warmpack, tmp_path / "2", 2)
    warmpack.ok("extract", "-qf", "1.tgz", "-C", "tree")
    return tmp_path / "tree"


def inodes(tree):
    return {str(path.relative_to(tree)): path.stat().st_ino
            for path in (tree / "app/a").iterdir() if path.is_file()}


def replace(warmpack, archive, *words):
    """What it says as JSON."""
    return json.loads(warmpack.ok("extract", "--json", "--replace", "-f", archive, "-C", "tree",
                                  *words).stdout)


def is_as_unpacked_anew(warmpack, archive, tree, *words):
    warmpack.ok("extract", "-qf", archive, "-C", "whole", *words)
    assert_same(look(tree.parent / "whole"), look(tree))
    for path in tree.rglob("*"):
        assert path.is_dir() or path.stat().st_nlink == 1, path
    shutil.rmtree(tree.parent / "whole")


def test_a_release_keeps_the_files_of_the_one_that_it_replaces(warmpack, tmp_path, tree):
    before = inodes(tree)
    for version in (2, 3, 4):
        archive = pack(warmpack, tmp_path / str(version), version)
        assert replace(warmpack, archive)["reused"] == LARGE + 1
        now = inodes(tree)
        assert now[FIRST] == before[FIRST] and now[SMALL] == before[SMALL]
        assert now["app/a/changes.py"] != before["app/a/changes.py"]
        is_as_unpacked_anew(warmpack, archive, tree)
        before = now


def test_what_restore_has_looked_at_is_kept_too(warmpack, tmp_path, tree):
    tree.rename(tmp_path / "elsewhere")
    warmpack.ok("restore", "-q", "elsewhere", "--cache-dir", "elsewhere/app/caches")
    (tmp_path / "elsewhere").rename(tree)
    before = inodes(tree)
    replace(warmpack, "2.tgz")
    assert inodes(tree)[FIRST] == before[FIRST]


def tamper(path):
    """Other content of the same size and time."""
    st = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))


def exchange(a, b):
    """Two files of one size, as they are, with each other's time."""
    times = a.stat().st_mtime_ns, b.stat().st_mtime_ns
    a.rename(a.with_suffix(".aside"))
    b.rename(a)
    a.with_suffix(".aside").rename(b)
    for path, ns in zip((a, b), times):
        os.utime(path, ns=(ns, ns))


@pytest.mark.parametrize("option", ("--replace", "--from"))
@pytest.mark.parametrize("change", ("content", "small content", "exchanged",
                                    "written through a link"))
def test_a_change_is_noticed_that_size_and_time_do_not_tell(warmpack, tmp_path, tree, change,
                                                            option):
    first = tree / FIRST
    if change == "exchanged":
        exchange(first, tree / "app/a/large01.so")
    elif change == "written through a link":
        os.link(first, tmp_path / "link")
        tamper(tmp_path / "link")
        (tmp_path / "link").unlink()
    else:
        tamper(tree / SMALL if change == "small content" else first)
    if option == "--replace":
        replace(warmpack, "2.tgz")
    else:
        warmpack.ok("extract", "-qf", "2.tgz", "-C", "new", "--from", "tree")
        shutil.rmtree(tree)
        (tmp_path / "new").rename(tree)
    is_as_unpacked_anew(warmpack, "2.tgz", tree)


def test_a_file_with_another_name_elsewhere_stays_apart_from_the_new_tree(warmpack, tmp_path, tree):
    os.link(tree / FIRST, tmp_path / "mine")
    replace(warmpack, "2.tgz")
    (tmp_path / "mine").write_bytes(b"mine")
    is_as_unpacked_anew(warmpack, "2.tgz", tree)


def test_two_new_files_never_become_names_of_one_old_one(warmpack, tmp_path, tree):
    for name in ("app/a/copy.so", "app/b/copy.so"):
        write(tmp_path / "2" / name, noise(MEGABYTE, 0), ns=TIME)
    assert replace(warmpack, pack(warmpack, tmp_path / "2", 2))["reused"] == LARGE + 3
    is_as_unpacked_anew(warmpack, "2.tgz", tree)


def repack(warmpack, tmp_path):
    warmpack.ok("create", "-qf", "2.tgz", "-C", "2", "app")


def test_files_that_shared_what_they_hold_get_one_each(warmpack, tmp_path, tree):
    """In the old tree they are one, which is not to be seen from its change time."""
    os.link(tmp_path / "1" / FIRST, tmp_path / "1/app/a/linked.so")
    write(tmp_path / "2/app/a/linked.so", noise(MEGABYTE, 0), ns=TIME)
    shutil.rmtree(tree)
    warmpack.ok("create", "-qf", "1.tgz", "-C", "1", "app")
    warmpack.ok("extract", "-qf", "1.tgz", "-C", "tree")
    repack(warmpack, tmp_path)
    replace(warmpack, "2.tgz")
    is_as_unpacked_anew(warmpack, "2.tgz", tree)


@pytest.mark.parametrize("change", ("mode", "time"))
def test_other_attributes_than_before_are_given_to_a_new_file(warmpack, tmp_path, tree, change):
    first, before = tmp_path / "2" / FIRST, inodes(tree)[FIRST]
    if change == "mode":
        first.chmod(0o600)
    else:
        os.utime(first, ns=(TIME, TIME - 1))
    repack(warmpack, tmp_path)
    replace(warmpack, "2.tgz")
    is_as_unpacked_anew(warmpack, "2.tgz", tree)
    assert inodes(tree)[FIRST] != before


def test_a_file_may_get_another_name(warmpack, tmp_path, tree):
    before = inodes(tree)[FIRST]
    (tmp_path / "2/app/b").mkdir()
    (tmp_path / "2" / FIRST).rename(tmp_path / "2/app/b/renamed.so")
    repack(warmpack, tmp_path)
    replace(warmpack, "2.tgz")
    is_as_unpacked_anew(warmpack, "2.tgz", tree)
    assert (tree / "app/b/renamed.so").stat().st_ino == before


@pytest.fixture
def public(tmp_path, tree):
    """A directory of a user's own, with the archives; as what the user then runs."""
    directory = public_directory()
    for archive in ("1.tgz", "2.tgz"):
        shutil.copy(tmp_path / archive, directory)
    if os.geteuid() == 0:
        os.chown(directory, NOBODY, NOBODY)
    yield directory
    remove_tree(directory)


@pytest.mark.parametrize("umask", ("022", "077"))
def test_a_user_s_own_tree_is_taken_over_where_the_umask_is_the_same(warmpack, public, umask):
    user = NOBODY if os.geteuid() == 0 else None
    warmpack.ok("extract", "-qf", "1.tgz", "-C", "tree", cwd=public, user=user, umask="022")
    before = inodes(public / "tree")[FIRST]
    warmpack.ok("extract", "-qf", "2.tgz", "-C", "tree", "--replace", cwd=public, user=user,
                umask=umask)
    assert (inodes(public / "tree")[FIRST] == before) == (umask == "022")
    assert (public / "tree" / FIRST).stat().st_mode & 0o777 == 0o666 & ~int(umask, 8) & 0o644


def acls(tree):
    said = subprocess.run(["getfacl", "-R", "-p", "--omit-header", str(tree)], check=True,
                          stdout=subprocess.PIPE).stdout
    return said.replace(os.fsencode(tree), b"")


@pytest.mark.skipif(not shutil.which("setfacl"), reason="needs setfacl")
@pytest.mark.parametrize("first", (True, False))
def test_files_get_the_acl_that_the_directory_gives_now(warmpack, tmp_path, tree, first):
    shutil.rmtree(tree)
    for release, has_acl in (("1.tgz", first), ("2.tgz", not first)):
        for name in ("tree", "whole"):
            (tmp_path / name).mkdir(exist_ok=True)
            subprocess.run(["setfacl", *(("-dm", "u:2:rwx") if has_acl else ("-k",)),
                            str(tmp_path / name)], check=True)
        replace(warmpack, release)
    warmpack.ok("extract", "-qf", "2.tgz", "-C", "whole")
    assert acls(tmp_path / "tree/app/a") == acls(tmp_path / "whole/app/a")


def copied(tree):
    """As another tool does, which keeps all but inodes and change times."""
    shutil.copytree(tree, tree.with_name("copy"), symlinks=True)
    tamper(tree.with_name("copy") / FIRST)
    shutil.rmtree(tree)
    tree.with_name("copy").rename(tree)


def forged(tree):
    """As if all of any time were of that run."""
    tamper(tree / FIRST)
    state, = tree.glob("app/.warmpack/*/state.jsonl")
    said = json.loads(state.read_text())
    state.write_text(json.dumps(said | {"since": 0, "until": 2**62}) + "\n")


def another_witness(tree):
    tamper(tree / FIRST)
    state, = tree.glob("app/.warmpack/*/state.jsonl")
    said = json.loads(state.read_text())
    state.write_text(json.dumps(said | {"witness": FIRST}) + "\n")


@pytest.mark.parametrize("make", (copied, forged, another_witness))
def test_a_record_that_its_witness_does_not_confirm_is_not_believed(warmpack, tree, make):
    make(tree)
    replace(warmpack, "2.tgz")
    is_as_unpacked_anew(warmpack, "2.tgz", tree)


def test_a_manifest_that_is_not_the_one_of_the_run_is_not_believed(warmpack, tmp_path, tree):
    """It says that the file has the content which the new release wants, of its size and time."""
    write(tmp_path / "2" / FIRST, noise(MEGABYTE, "new"), ns=TIME)
    repack(warmpack, tmp_path)
    warmpack.ok("extract", "-qf", "2.tgz", "-C", "new")
    shutil.copy(next(tmp_path.glob("new/app/.warmpack/*/manifest.jsonl")),
                next(tree.glob("app/.warmpack/*/manifest.jsonl")))
    replace(warmpack, "2.tgz")
    is_as_unpacked_anew(warmpack, "2.tgz", tree)


@needs_root
@pytest.mark.parametrize("whose", ("directory", "open directory", "record"))
def test_what_others_can_rename_is_read_again(warmpack, tree, whose):
    before = inodes(tree)[FIRST]
    if whose == "open directory":
        (tree / "app/a").chmod(0o777)
    elif whose == "directory":
        os.chown(tree / "app", NOBODY, NOBODY)
    else:
        os.chown(next(tree.glob("app/.warmpack/*/state.jsonl")), NOBODY, NOBODY)
    replace(warmpack, "2.tgz")
    assert inodes(tree)[FIRST] != before
    is_as_unpacked_anew(warmpack, "2.tgz", tree)


def test_what_must_be_of_somebody_is_read_again(warmpack, tmp_path, tree):
    for words in (("genpkey", "-algorithm", "ed25519", "-out", "key.pem"),
                  ("pkey", "-in", "key.pem", "-pubout", "-out", "pub.pem")):
        subprocess.run(["openssl", *words], cwd=tmp_path, check=True)
    before = inodes(tree)[FIRST]
    replace(warmpack, pack(warmpack, tmp_path / "2", 2, "--sign", "key.pem"), "--trust", "pub.pem")
    assert inodes(tree)[FIRST] != before


def test_one_time_for_all_is_given_to_copies(warmpack, tree):
    replace(warmpack, "2.tgz", "--mtime", "@1000000000")
    is_as_unpacked_anew(warmpack, "2.tgz", tree, "--mtime", "@1000000000")
    replace(warmpack, "2.tgz")  # without a record of that run
    is_as_unpacked_anew(warmpack, "2.tgz", tree)


def test_a_run_that_fails_leaves_the_tree_as_it_was(warmpack, tmp_path, tree):
    before = look(tree, ours=True), inodes(tree)
    warmpack.ok("create", "-qf", "2.tar", "-C", "2", "app")
    data = (tmp_path / "2.tar").read_bytes()
    (tmp_path / "2.tar").write_bytes(data.replace(noise(1000, 2), noise(1000, 3)))
    refused(warmpack("extract", "-qf", "2.tar", "-C", "tree", "--replace"), "changes.py")
    assert_same(before[0], look(tree, ours=True))
    assert inodes(tree) == before[1]
    for path in tree.rglob("*"):
        assert path.is_dir() or path.stat().st_nlink == 1, path
    replace(warmpack, "2.tgz")
    is_as_unpacked_anew(warmpack, "2.tgz", tree)
