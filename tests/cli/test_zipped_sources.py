"""Sources in a zip from which Python imports: their caches travel with the zip."""

import hashlib
import json
import os
import pathlib
import pickle
import zipfile

import pytest
from trees import SECOND, refused, set_time, write

TIME = 1_700_000_000 * SECOND + 123_456_789
LATER = TIME + 3600 * SECOND
MODULES = {"pkg/__init__.py": "", "pkg/k.py": "# kernel\n", "pkg/deep/m.py": "# deep\n",
           "top.py": "# top\n"}


def hashed(directory):
    directory = str(directory)
    return os.path.basename(directory) + "_" + hashlib.sha1(directory.encode()).hexdigest()


def cache(zip_path, module, root, kind="mtime", at=None):
    """A cache such as Numba makes of MODULE in the zip; AT is the zip's path for Python."""
    zip_path = pathlib.Path(zip_path)
    with zipfile.ZipFile(zip_path) as archive:
        digest = hashlib.sha256(archive.read(module)).digest()
    st = zip_path.stat()
    stamp = digest if kind == "content" else (st.st_mtime, st.st_size)
    place = root / hashed((pathlib.Path(at or zip_path) / module).parent)
    place.mkdir(parents=True, exist_ok=True)
    name = pathlib.Path(module).stem + ".add-3.py311"
    key = ((), ("x86_64-pc-linux-gnu", "generic", "+sse"), ("0" * 64, "1" * 64))
    overloads = {key: name + ".1.nbc"}
    (place / (name + ".nbi")).write_bytes(
        pickle.dumps("0.62.1", -1) + pickle.dumps((stamp, overloads), -1))
    (place / (name + ".1.nbc")).write_bytes(pickle.dumps(("library", b"code"), -1))


def make_zip(path, modules=MODULES, ns=TIME):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in modules.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    set_time(path, ns)
    return path


@pytest.fixture
def user_wide(tmp_path):
    return tmp_path / "home/.cache/numba"


@pytest.fixture(params=["mtime", "content"])
def kind(request):
    return request.param


@pytest.fixture
def tree(tmp_path, user_wide, kind):
    path = make_zip(tmp_path / "srv/app/lib.zip")
    write(tmp_path / "srv/app/main.py", "# main\n", ns=TIME)
    for module in ("pkg/k.py", "pkg/deep/m.py", "top.py"):
        cache(path, module, user_wide, kind)
    return tmp_path / "srv"


def names_of(directory):
    return sorted(p.name for p in directory.iterdir()) if directory.exists() else []


def expected_names(zip_path):
    return sorted(hashed(d) for d in (zip_path, zip_path / "pkg", zip_path / "pkg/deep"))


@pytest.fixture
def archive(warmpack, tmp_path, tree, user_wide):
    done = warmpack.ok("create", "-f", "a.tgz", "-C", tree, "app")
    assert b"3 of 3 cache indexes valid" in done.stderr
    user_wide.rename(tmp_path / "home/before")
    return tmp_path / "a.tgz"


def test_they_go_to_the_user_wide_place_under_the_zips_new_path(warmpack, tmp_path, archive,
                                                                user_wide):
    done = warmpack.ok("extract", "-f", archive, "-C", "out")
    assert b"3 of 3 cache indexes valid; 3 cache directories renamed" in done.stderr
    assert str(user_wide).encode() in done.stderr
    assert names_of(user_wide) == expected_names(tmp_path / "out/app/lib.zip")
    assert (tmp_path / "out/app/lib.zip").stat().st_mtime_ns == TIME
    assert not list((tmp_path / "out").rglob("*.nbi"))


@pytest.mark.parametrize("layout", [("--layout", "in-tree"), ("--cache-dir", "caches"),
                                    ("--cache-dir", "out/caches")])
def test_whatever_the_layout_is_they_go_to_the_user_wide_place(warmpack, tmp_path, archive,
                                                               user_wide, layout):
    done = warmpack.ok("extract", "-f", archive, "-C", "out", *layout)
    assert b"3 of 3 cache indexes valid" in done.stderr
    assert names_of(user_wide) == expected_names(tmp_path / "out/app/lib.zip")
    assert b"NUMBA_CACHE_DIR" not in done.stderr
    warmpack.ok("verify", "out", *(layout if layout[0] == "--cache-dir" else ()))


def test_runtime_roots_give_them_several_names(warmpack, archive, user_wide):
    warmpack.ok("extract", "-f", archive, "-C", "out", "--runtime-root", "/srv/one",
                "--runtime-root", "/srv/two")
    assert names_of(user_wide) == sorted(
        expected_names(pathlib.Path("/srv/one/app/lib.zip"))
        + expected_names(pathlib.Path("/srv/two/app/lib.zip")))


def test_strip_components_may_lead_to_the_zip_but_not_into_it(warmpack, tmp_path, archive,
                                                              user_wide):
    warmpack.ok("extract", "-f", archive, "-C", "out", "--strip-components", "1")
    assert names_of(user_wide) == expected_names(tmp_path / "out/lib.zip")
    done = warmpack.ok("extract", "-f", archive, "-C", "none", "--strip-components", "2")
    assert b"cache indexes valid" not in done.stderr
    assert names_of(user_wide) == expected_names(tmp_path / "out/lib.zip")


def test_verify_judges_the_tree_and_the_archive(warmpack, tmp_path, archive, kind):
    assert b"3 of 3" in warmpack.ok("verify", "-f", archive).stderr
    warmpack.ok("extract", "-f", archive, "-C", "out")
    assert b"3 of 3" in warmpack.ok("verify", "out").stderr
    assert b"3 of 3" in warmpack.ok("verify", "out", env={"NUMBA_CACHE_DIR": "/none"}).stderr
    set_time(tmp_path / "out/app/lib.zip", LATER)
    if kind == "content":
        warmpack.ok("verify", "out", "--json")
    make_zip(tmp_path / "out/app/lib.zip", {**MODULES, "pkg/k.py": "# other\n"})
    done = json.loads(warmpack.ok("verify", "out", "--json", status=1).stdout)
    stale = {i["source"] for i in done["indexes"] if i["status"] == "stale"}
    everything = {"app/lib.zip/pkg/k.py", "app/lib.zip/pkg/deep/m.py", "app/lib.zip/top.py"}
    assert stale == ({"app/lib.zip/pkg/k.py"} if kind == "content" else everything)


def test_verify_reads_the_archive_where_keys_are_asked_for(warmpack, archive):
    done = warmpack.ok("verify", "-f", archive, "--json",
                       env={"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "+sse"})
    assert json.loads(done.stdout)["summary"] == {"total": 3, "valid": 3}


def test_restore_gives_the_zip_its_time_and_follows_it_when_the_tree_moves(warmpack, tmp_path,
                                                                           archive, user_wide):
    warmpack.ok("extract", "-f", archive, "-C", "out")
    set_time(tmp_path / "out/app/lib.zip", LATER)
    warmpack.ok("restore", "out")
    assert (tmp_path / "out/app/lib.zip").stat().st_mtime_ns == TIME
    (tmp_path / "out").rename(tmp_path / "moved")
    assert b"0 of 3 cache indexes valid (3 misplaced)" in warmpack.ok("verify", "moved",
                                                                      status=1).stderr
    for _ in range(2):
        done = warmpack.ok("restore", "moved")
        assert b"3 of 3 cache indexes valid" in done.stderr
        assert names_of(user_wide) == expected_names(tmp_path / "moved/app/lib.zip")


def test_restore_takes_them_from_a_tree_that_tar_unpacked(warmpack, tmp_path, archive, user_wide):
    import tarfile

    with tarfile.open(archive) as file:
        file.extractall(tmp_path / "out")
    set_time(tmp_path / "out/app/lib.zip", LATER)
    done = warmpack.ok("restore", "out")
    assert b"3 of 3 cache indexes valid" in done.stderr
    assert names_of(user_wide) == expected_names(tmp_path / "out/app/lib.zip")


def test_another_zip_gets_no_caches_of_the_first(warmpack, tmp_path, archive):
    warmpack.ok("extract", "-f", archive, "-C", "out")
    make_zip(tmp_path / "out/app/lib.zip", {**MODULES, "pkg/k.py": "# other\n"}, ns=LATER)
    done = warmpack.ok("restore", "out", status=1)
    assert b"is not what was packed" in done.stderr
    assert (tmp_path / "out/app/lib.zip").stat().st_mtime_ns == LATER


def test_where_the_time_must_stay_the_index_is_changed(warmpack, tmp_path, archive, user_wide,
                                                       kind):
    warmpack.ok("extract", "-f", archive, "-C", "out")
    before = {p.name: p.read_bytes() for p in user_wide.rglob("*.nbi")}
    set_time(tmp_path / "out/app/lib.zip", LATER)
    done = warmpack.ok("restore", "out", "--restamp", "always")
    assert b"3 of 3 cache indexes valid" in done.stderr
    assert (tmp_path / "out/app/lib.zip").stat().st_mtime_ns == LATER
    after = {p.name: p.read_bytes() for p in user_wide.rglob("*.nbi")}
    assert (before == after) == (kind == "content")


def test_caches_alone_can_be_put_onto_the_same_zip(warmpack, tmp_path, tree, user_wide):
    warmpack.ok("create", "--caches-only", "-f", "c.tgz", "-C", tree, "app")
    user_wide.rename(tmp_path / "home/before")
    content = (tree / "app/lib.zip").read_bytes()
    write(tmp_path / "out/app/lib.zip", content, ns=LATER)
    done = warmpack.ok("extract", "--caches-only", "-f", "c.tgz", "-C", "out")
    assert b"3 of 3 cache indexes valid" in done.stderr
    assert names_of(user_wide) == expected_names(tmp_path / "out/app/lib.zip")


@pytest.mark.parametrize("suffix", [".zip", ".tar.zst"])
def test_every_format_carries_them(warmpack, tmp_path, tree, user_wide, suffix):
    warmpack.ok("create", "-f", "a" + suffix, "-C", tree, "app")
    user_wide.rename(tmp_path / "home/before")
    done = warmpack.ok("extract", "-f", "a" + suffix, "-C", "out")
    assert b"3 of 3 cache indexes valid" in done.stderr


def test_a_zip_reached_through_a_symlink_has_its_caches(warmpack, tmp_path, user_wide, kind):
    make_zip(tmp_path / "srv/app/real.zip")
    (tmp_path / "srv/app/lib.zip").symlink_to("real.zip")
    cache(tmp_path / "srv/app/lib.zip", "pkg/k.py", user_wide, kind)
    warmpack.ok("create", "-f", "a.tgz", "-C", "srv", "app")
    user_wide.rename(tmp_path / "home/before")
    done = warmpack.ok("extract", "-f", "a.tgz", "-C", "out")
    assert b"1 of 1 cache indexes valid" in done.stderr
    assert names_of(user_wide) == [hashed(tmp_path / "out/app/lib.zip/pkg")]
    assert b"1 of 1" in warmpack.ok("restore", "out").stderr


def test_a_stale_one_is_packed_as_stale(warmpack, tmp_path, tree, kind):
    make_zip(tree / "app/lib.zip", {**MODULES, "pkg/k.py": "# other\n"}, ns=LATER)
    done = warmpack.ok("create", "-f", "a.tgz", "-C", tree, "app")
    assert (b"2 of 3" if kind == "content" else b"0 of 3") in done.stderr
    warmpack.ok("create", "--strict", "-f", "b.tgz", "-C", tree, "app", status=2)


def test_a_directory_with_such_a_name_is_no_zip(warmpack, tmp_path, user_wide):
    write(tmp_path / "srv/app.zip/pkg/k.py", "# kernel\n", ns=TIME)
    warmpack.ok("create", "-f", "a.tgz", "-C", "srv", "app.zip")
    warmpack.ok("extract", "-f", "a.tgz", "-C", "out")
    places = warmpack.ok("path", "out/app.zip/pkg/k.py").stdout
    assert b"in-tree" in places


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all" * 10,
                                     b"PK\5\6" + b"\xff" * 18, b"PK\5\6" + b"\0" * 18])
def test_what_is_no_zip_is_packed_as_any_file(warmpack, tmp_path, tree, content):
    write(tree / "app/other.zip", content)
    assert b"3 of 3" in warmpack.ok("create", "-f", "b.tgz", "-C", tree, "app").stderr
    warmpack.ok("extract", "-f", "b.tgz", "-C", "out")
    assert (tmp_path / "out/app/other.zip").read_bytes() == content


def test_path_names_the_user_wide_place_whatever_the_variable_says(warmpack, tmp_path, user_wide):
    zip_path = make_zip(tmp_path / "a.zip")
    for env in ({}, {"NUMBA_CACHE_DIR": "/tmp/caches"}):
        done = warmpack.ok("path", "a.zip/pkg/k.py", "--json", env=env)
        (file,) = json.loads(done.stdout)["files"]
        assert file["places"] == [{"kind": "user-wide", "used": True, "reason": None,
                                   "dir": str(user_wide / hashed(zip_path / "pkg"))}]
    done = warmpack.ok("path", "a.zip/pkg/k.py", "--runtime-root", "/srv")
    assert hashed("/srv/a.zip/pkg").encode() in done.stdout
    refused(warmpack("path", "a.zip/pkg/none.py"), "a.zip/pkg/none.py")
    write(tmp_path / "b.zip", "no zip")
    refused(warmpack("path", "b.zip/pkg/k.py"), "b.zip/pkg/k.py")


@pytest.mark.parametrize("suffix", [".tgz", ".zip"])
def test_amend_gives_a_zip_in_an_archive_its_time_and_caches(warmpack, tmp_path, tree, user_wide,
                                                             suffix):
    import subprocess

    archive = tmp_path / ("a" + suffix)
    words = {".tgz": ["tar", "--format=gnu", "-czf"], ".zip": ["bsdtar", "--format=zip", "-cf"]}
    subprocess.run([*words[suffix], archive, "-C", tree, "app"], check=True)
    done = warmpack.ok("amend", "-f", archive, "--source", tree)
    assert b"1 of 1 sources matched, 6 cache files added; 3 of 3" in done.stderr
    first = archive.read_bytes()
    warmpack.ok("amend", "-f", archive, "--source", tree)
    assert archive.read_bytes() == first
    user_wide.rename(tmp_path / "home/before")
    done = warmpack.ok("extract", "-f", archive, "-C", "out")
    assert b"3 of 3 cache indexes valid" in done.stderr
    assert names_of(user_wide) == expected_names(tmp_path / "out/app/lib.zip")
    assert (tmp_path / "out/app/lib.zip").stat().st_mtime_ns == TIME
    assert b"3 of 3" in warmpack.ok("verify", "out").stderr


def test_amend_adds_no_caches_of_another_zip(warmpack, tmp_path, tree):
    make_zip(tmp_path / "b/app/lib.zip", {**MODULES, "pkg/k.py": "# other\n"})
    write(tmp_path / "b/app/main.py", "# main\n")
    warmpack.ok("create", "-f", "b.tgz", "-C", "b", "app")
    done = warmpack.ok("amend", "-f", "b.tgz", "--source", tree)
    assert b"holds no Numba caches" in done.stderr and b" 0 cache files added" in done.stderr
