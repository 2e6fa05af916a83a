"""Trees that other tools unpacked, or that were moved, are repaired: what comes of files, links,
modes and cache directories. Whether Numba loads what it should is tests/numba/test_restore.py's."""

import hashlib
import importlib.util
import json
import os
import pickle
import random
import shutil
import time

import pytest
import trees
from trees import index, look, run, set_time, write

PYTHON = "/usr/bin/python3"
OLD = 1_600_000_000 * 10**9 + 123_456_789


def hashed(root, source):
    name = os.path.basename(source) + "_" + hashlib.sha1(os.fspath(source).encode()).hexdigest()
    return root / name


def source(path, text="x = 1\n"):
    """A source with an index."""
    write(path, text, ns=OLD)
    index(path)
    return path


def restore(warmpack, *words, status=0):
    """What --json says of a repair."""
    return json.loads(warmpack.ok("restore", "--json", *words, status=status).stdout)


def judge(warmpack, directory, *words, status=0):
    """What verify --json says: status of each index."""
    said = json.loads(warmpack.ok("verify", "--json", directory, *words, status=status).stdout)
    return {found["index"]: found["status"] for found in said["indexes"]}


def assert_valid(said, count):
    assert (said["summary"]["valid"], said["summary"]["total"]) == (count, count), said
    assert said["lost"] == 0


def pyc_is_valid(path):
    """As importlib judges it: the source's whole-second time and size are in its header."""
    cached = importlib.util.cache_from_source(os.fspath(path))
    with open(cached, "rb") as f:
        header = f.read(16)
    st = path.stat()
    return (header[4:8] == bytes(4) and
            int.from_bytes(header[8:12], "little") == int(st.st_mtime) & 0xffffffff and
            int.from_bytes(header[12:16], "little") == st.st_size)


# ---- Several distributions in one directory --------------------------------------------------

def distribution(root, name, modules):
    """What a wheel of NAME is made of."""
    for module in modules:
        source(root / module, f"name = '{name} {module}'\n")
    info = root / f"{name}-1.0.dist-info"
    write(info / "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    write(info / "WHEEL",
          "Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    write(info / "RECORD", "")
    return root


@pytest.fixture(name="site")
def two_wheels_installed_by_pip(warmpack, tmp_path):
    """alpha and beta, which share a directory; each has two indexes."""
    wheels = []
    for name in ("alpha", "beta"):
        built = distribution(tmp_path / "build" / name, name, [f"{name}/k.py", f"shared/{name}.py"])
        wheels.append(tmp_path / f"{name}-1.0-py3-none-any.whl")
        warmpack.ok("create", "-qf", wheels[-1], "-C", built, ".")
    site = tmp_path / "site"
    run(PYTHON, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", site, *wheels,
        home=warmpack.home)
    return site


def test_wheels_that_pip_installed_are_each_repaired(warmpack, site):
    sources = sorted(site.rglob("*.py"))
    assert len(sources) == 4
    assert all(path.stat().st_mtime_ns != OLD for path in sources)
    assert all(pyc_is_valid(path) for path in sources)  # pip compiles
    assert set(judge(warmpack, site, status=1).values()) == {"stale"}
    said = restore(warmpack, site)
    assert_valid(said, 4)
    assert said["manifests"] == 2
    assert (said["missing"], said["changed"], said["sources"], said["matched"]) == (0, 0, 4, 4)
    assert all(path.stat().st_mtime_ns == OLD for path in sources)
    assert all(pyc_is_valid(path) for path in sources)
    assert set(judge(warmpack, site).values()) == {"valid"}
    before = look(site, ours=True)
    assert_valid(restore(warmpack, site), 4)
    trees.assert_same(before, look(site, ours=True))


def test_a_distributions_manifest_leaves_alone_what_is_not_its_own(warmpack, site):
    strangers = [source(site / "shared/stranger.py"), source(site / "alpha/late.py")]
    for path in strangers:
        set_time(path, OLD + 10**9)
    strange = {p: e for p, e in look(site).items() if b"stranger" in p or b"late" in p}
    (site / "shared/beta.py").write_text("changed\n")
    said = restore(warmpack, site, "--layout", "cache-dir", "--cache-dir", site / "caches",
                   status=1)
    # Of beta's two indexes one is lost; nobody else's are counted, or moved.
    assert (said["summary"]["valid"], said["summary"]["total"], said["lost"]) == (3, 4, 1)
    assert said["changed"] == 1
    trees.assert_same(strange, {p: e for p, e in look(site).items()
                                if b"stranger" in p or b"late" in p})


def test_an_uninstalled_distribution_leaves_nothing_behind(warmpack, site, tmp_path):
    """What a repair adds and moves is in RECORD, from which installers remove."""
    restore(warmpack, site)
    env = trees.environment(warmpack.home, PYTHONPATH=str(site))
    run(PYTHON, "-m", "pip", "uninstall", "--break-system-packages", "-qy", "alpha", env=env)
    left = {os.fsdecode(p) for p in look(site, ours=True)}
    assert not [p for p in left if p.startswith("alpha")], sorted(left)
    assert not [p for p in left if "shared" in p and "alpha" in p], sorted(left)
    assert_valid(restore(warmpack, site), 2)


def test_two_manifests_for_one_file_do_not_quarrel(warmpack, tmp_path):
    """A later release over an earlier one, by tar: the manifest that knows the content rules."""
    for number, text in ((1, "x = 1\n"), (2, "x = 2\n")):
        app = tmp_path / str(number) / "app"
        source(app / "same.py")
        source(app / "other.py", text)
        set_time(app / "same.py", OLD + number)
        index(app / "same.py")
        warmpack.ok("-czqf", f"{number}.tgz", "-C", str(number), "app")
        (tmp_path / "out").mkdir(exist_ok=True)
        run("tar", "-xzf", f"{number}.tgz", "-C", "out", cwd=tmp_path)
    run("sh", "-c", "find out -name '*.py' -exec touch {} +", cwd=tmp_path)
    said = restore(warmpack, "out")
    assert_valid(said, 2)
    assert said["manifests"] == 2
    assert said["changed"] == 0
    assert (tmp_path / "out/app/same.py").stat().st_mtime_ns == OLD + 2
    before = look(tmp_path / "out", ours=True)
    assert_valid(restore(warmpack, "out"), 2)
    trees.assert_same(before, look(tmp_path / "out", ours=True))


def test_two_archives_in_one_directory_are_both_repaired(warmpack, tmp_path):
    """Neither has a top-level directory of its own."""
    for name in ("one", "two"):
        build = tmp_path / "build" / name
        source(build / f"only_{name}" / "k.py", f"{name} = 1\n")
        source(build / "common" / f"{name}.py", f"{name} = 2\n")
        warmpack.ok("-czqf", f"{name}.tgz", "-C", build, f"only_{name}", "common")
        (tmp_path / "out").mkdir(exist_ok=True)
        run("tar", "-xzf", f"{name}.tgz", "-C", "out", cwd=tmp_path)
        warmpack.ok("create", "-qf", f"{name}.zip", "-C", build, f"only_{name}", "common")
        run("unzip", "-qo", f"{name}.zip", "-d", "unzipped", cwd=tmp_path)
    run("sh", "-c", "find out -name '*.py' -exec touch {} +", cwd=tmp_path)
    for there in ("out", "unzipped"):
        said = restore(warmpack, there)
        assert said["manifests"] == 2
        assert_valid(said, 4)
        assert set(judge(warmpack, there).values()) == {"valid"}


def several(warmpack, tmp_path, count):
    """COUNT trees that tar has unpacked in one directory, with the wrong times."""
    source(tmp_path / "src/app/k.py")
    warmpack.ok("-czqf", "a.tgz", "-C", "src", "app")
    (tmp_path / "first").mkdir()
    run("tar", "-xzf", "a.tgz", "-C", "first", cwd=tmp_path)
    set_time(tmp_path / "first/app/k.py", OLD + 1)
    for number in range(count):
        shutil.copytree(tmp_path / "first/app", tmp_path / f"out/{number:04}")
    return tmp_path / "out"


@pytest.mark.parametrize("damage", ["manifest", "state"])
def test_a_damaged_manifest_is_named_and_the_others_are_acted_upon(warmpack, tmp_path, damage):
    out = several(warmpack, tmp_path, 3)
    bad = next((out / "0001").rglob("manifest.jsonl"))
    if damage == "manifest":
        bad.write_bytes(bad.read_bytes()[:-30])
    else:
        bad = bad.with_name("state.jsonl")
        bad.write_text("{")
    before = look(out / "0001", ours=True)
    result = warmpack.ok("restore", "--json", out, status=2)
    said = json.loads(result.stdout)
    assert (said["manifests"], said["damaged"], said["summary"]["valid"]) == (2, 1, 2)
    lines = result.stderr.decode().splitlines()
    name = str(bad.relative_to(tmp_path / "out"))
    assert len([line for line in lines if name in line]) == 1, lines
    trees.assert_same(before, look(out / "0001", ours=True))
    for other in ("0000", "0002"):
        assert (out / other / "k.py").stat().st_mtime_ns == OLD
    assert name.encode() in warmpack("verify", out).stderr


def test_where_all_manifests_are_damaged_nothing_is_done(warmpack, tmp_path):
    out = several(warmpack, tmp_path, 2)
    for manifest in out.rglob("manifest.jsonl"):
        manifest.write_text("none")
    before = look(out, ours=True)
    trees.refused(warmpack("restore", out), "0000", "manifest.jsonl")
    trees.assert_same(before, look(out, ours=True))


def test_more_manifests_than_a_process_has_descriptors_are_acted_upon(warmpack, tmp_path):
    out = several(warmpack, tmp_path, 100)
    words = trees.command("restore", "--json", "--cache-dir", "caches", out)
    said = run("sh", "-c", 'ulimit -n 40; exec "$@"', "sh", *words, cwd=tmp_path,
               env=warmpack.variables())
    assert json.loads(said)["manifests"] == 100
    words = trees.command("verify", out)
    run("sh", "-c", 'ulimit -n 40; exec "$@"', "sh", *words, cwd=tmp_path, ok=(0, 1),
        env=warmpack.variables())


# ---- Manifests far below ---------------------------------------------------------------------

def test_wheels_in_a_virtual_environment_are_repaired_by_its_root(warmpack, tmp_path):
    built = distribution(tmp_path / "build", "alpha", ["alpha/k.py", "shared/alpha.py"])
    warmpack.ok("create", "-qf", "alpha-1.0-py3-none-any.whl", "-C", built, ".")
    run(PYTHON, "-m", "venv", "--system-site-packages", "--without-pip", "venv", cwd=tmp_path,
        home=warmpack.home)
    run(tmp_path / "venv/bin/python", "-m", "pip", "install", "-q", "--no-index", "--no-deps",
        "alpha-1.0-py3-none-any.whl", cwd=tmp_path, home=warmpack.home)
    assert set(judge(warmpack, "venv", status=1).values()) == {"stale"}
    assert_valid(restore(warmpack, "venv"), 2)
    assert set(judge(warmpack, "venv").values()) == {"valid"}
    sources = [p for p in (tmp_path / "venv").rglob("*.py") if p.stat().st_mtime_ns == OLD]
    assert len(sources) == 2 and all("site-packages" in str(p) for p in sources)
    run("find", "venv", "-name", "*.py", "-exec", "touch", "{}", "+", cwd=tmp_path)
    warmpack.ok("verify", "-q", "--fix", "venv")
    assert all(p.stat().st_mtime_ns == OLD for p in sources)


def test_trees_far_below_are_each_repaired_and_links_are_not_followed(warmpack, tmp_path):
    """As in the directory of an executor: unpacked archives and an egg, at several depths."""
    source(tmp_path / "app/k.py")
    write(tmp_path / "app/EGG-INFO/PKG-INFO", "Name: app\nVersion: 1\n")
    warmpack.ok("-czqf", "app.tgz", "app")
    warmpack.ok("create", "-qf", "app.egg", "-C", "app", ".")
    places = ["job", "job/0/files", "job/.hidden/1", "job/" + "d/" * 60, "elsewhere"]
    for place in places:
        os.makedirs(tmp_path / place, exist_ok=True)
        run("tar", "-xzmf", "app.tgz", "-C", place, cwd=tmp_path)
    os.makedirs(tmp_path / "job/0/eggs")
    run("unzip", "-qo", "app.egg", "-d", "job/0/eggs/app.egg", cwd=tmp_path)
    (tmp_path / "job/0/link").symlink_to(tmp_path / "elsewhere")
    said = restore(warmpack, "job")
    assert said["manifests"] == len(places)  # the egg, but not elsewhere
    assert_valid(said, len(places))
    assert set(judge(warmpack, "job").values()) == {"valid"}
    for path in tmp_path.rglob("k.py"):
        assert (path.stat().st_mtime_ns == OLD) == ("elsewhere" not in path.parts), path


# ---- Cache directories -----------------------------------------------------------------------

def all_indexes(*roots):
    return sorted(path for root in roots for path in root.rglob("*.nbi"))


@pytest.fixture(name="inside")
def tree_with_a_cache_root_inside(warmpack, tmp_path):
    """app/k has its caches in app/.nc; app and app/l in the tree. Returns the archive."""
    app = tmp_path / "src" / "app"
    for name in ("m.py", "l/l.py", "k/k.py"):
        source(app / name)
    shutil.copytree(app / "k/__pycache__", hashed(app / ".nc", app / "k"))
    shutil.rmtree(app / "k/__pycache__")
    warmpack.ok("-czqf", "inside.tgz", "-C", "src", "app")
    shutil.rmtree(tmp_path / "src")
    return tmp_path / "inside.tgz"


def assert_only_names_for(root, caches, sources):
    assert ({path.name for path in caches.iterdir()} ==
            {hashed(caches, root / source).name for source in sources})


def test_copies_in_a_root_inside_the_tree_move_with_it(warmpack, inside, tmp_path):
    warmpack.ok("-xqf", inside, "-C", "a")
    root = tmp_path / "a/app"
    assert_only_names_for(root, root / ".nc", ["", "k", "l"])
    for name in ("b", "c"):
        os.rename(root.parent, tmp_path / name)
        root = tmp_path / name / "app"
        said = restore(warmpack, root)
        assert_valid(said, 5)
        assert_only_names_for(root, root / ".nc", ["", "k", "l"])
        assert set(judge(warmpack, root, "--cache-dir", root / ".nc").values()) == {"valid"}


@pytest.mark.parametrize("how", ["unpacked again", "restored"])
def test_caches_that_go_into_the_tree_leave_nothing_elsewhere_in_it(
        warmpack, inside, tmp_path, how):
    """Not in a root inside the tree, and no duplicates beside the manifest."""
    warmpack.ok("-xqf", inside, "-C", "a")
    if how == "restored":
        assert_valid(restore(warmpack, "a", "--layout", "in-tree"), 3)
    else:
        warmpack.ok("-xqf", inside, "-C", "a", "--layout", "in-tree")
    places = {path.parent.name for path in all_indexes(tmp_path / "a")}
    assert places == {"__pycache__"}, places
    assert len(judge(warmpack, "a")) == 3


def test_duplicates_beside_the_manifest_go(warmpack, tmp_path):
    """Another tool unpacked; Numba, or an earlier run, has filled __pycache__ meanwhile."""
    app = source(tmp_path / "src/app/k.py").parent
    shutil.copytree(app / "__pycache__", hashed(tmp_path / "caches", app))
    shutil.rmtree(app / "__pycache__")
    warmpack.ok("-czqf", "a.tgz", "-C", "src", "--cache-dir", "caches", "app")
    (tmp_path / "out").mkdir()
    run("tar", "-xzf", "a.tgz", "-C", "out", cwd=tmp_path)
    found = all_indexes(tmp_path / "out")
    assert len(found) == 1 and "cache" in found[0].parts
    shutil.copytree(found[0].parent, tmp_path / "out/app/__pycache__")
    assert_valid(restore(warmpack, "out", "--layout", "in-tree"), 1)
    assert all_indexes(tmp_path / "out") == [tmp_path / "out/app/__pycache__" / found[0].name]
    assert not list((tmp_path / "out/app/.warmpack").rglob("cache"))
    assert judge(warmpack, "out") == {f"app/__pycache__/{found[0].name}": "valid"}


def test_unpacking_again_in_a_moved_tree_leaves_no_old_names(warmpack, inside, tmp_path):
    warmpack.ok("-xqf", inside, "-C", "a")
    os.rename(tmp_path / "a", tmp_path / "b")
    warmpack.ok("-xqf", inside, "-C", "b")
    root = tmp_path / "b/app"
    assert_only_names_for(root, root / ".nc", ["", "k", "l"])


def test_a_selection_brings_no_caches_of_what_was_not_selected(warmpack, tmp_path):
    app = tmp_path / "src" / "app"
    for name in ("k/k.py", "k/other.py", "l/l.py"):
        path = source(app / name)
        place = hashed(tmp_path / "caches", path.parent)
        shutil.copytree(path.parent / "__pycache__", place, dirs_exist_ok=True)
        shutil.rmtree(path.parent / "__pycache__")
    warmpack.ok("-czqf", "a.tgz", "-C", "src", "--cache-dir", "caches", "app")
    warmpack.ok("-xqf", "a.tgz", "-C", "out", "app/k/k.py")
    assert [p.name for p in all_indexes(tmp_path / "out")] == ["k.add-3.py311.nbi"]
    assert not list((tmp_path / "out").rglob("*other*"))
    assert not list((tmp_path / "out").rglob("l_*"))
    assert set(judge(warmpack, "out").values()) == {"valid"}


def test_a_copied_tree_takes_no_caches_from_the_first(warmpack, tmp_path):
    """After cp -a, both trees have their caches in the same root outside of them."""
    source(tmp_path / "src/app/k.py")
    warmpack.ok("-czqf", "a.tgz", "-C", "src", "app")
    warmpack.ok("-xqf", "a.tgz", "-C", "one", "--cache-dir", "caches")
    run("cp", "-a", "one", "two", cwd=tmp_path)
    assert_valid(restore(warmpack, "two"), 1)
    for name in ("one", "two"):
        assert len(all_indexes(hashed(tmp_path / "caches", tmp_path / name / "app"))) == 1, name
    shutil.rmtree(tmp_path / "one")
    os.rename(tmp_path / "two", tmp_path / "three")
    assert_valid(restore(warmpack, "three"), 1)
    assert not hashed(tmp_path / "caches", tmp_path / "two/app").exists()


def test_a_link_in_place_of_pycache_is_told_and_not_followed(warmpack, tmp_path):
    app = source(tmp_path / "src/app/k.py").parent
    shutil.copytree(app / "__pycache__", hashed(tmp_path / "caches", app))
    shutil.rmtree(app / "__pycache__")
    warmpack.ok("-czqf", "a.tgz", "-C", "src", "--cache-dir", "caches", "app")
    (tmp_path / "out/app").mkdir(parents=True)
    (tmp_path / "out/elsewhere").mkdir()
    (tmp_path / "out/app/__pycache__").symlink_to("../elsewhere")
    done = warmpack("-xf", "a.tgz", "-C", "out")
    assert done.returncode == 1
    assert b"app/__pycache__: is a symbolic link" in done.stderr, done.stderr
    assert not list((tmp_path / "out/elsewhere").iterdir())
    assert warmpack("-xf", "a.tgz", "-C", "out", "--cache-dir", "here").returncode == 0


@pytest.mark.parametrize("layout", ["auto", "keep"])
@pytest.mark.parametrize("in_the_way", ["link", "file"])
def test_caches_of_another_tree_replace_nothing_that_stands_at_pycache(warmpack, tmp_path,
                                                                       in_the_way, layout):
    app = source(tmp_path / "src/app/k.py").parent
    warmpack.ok("-czqf", "a.tgz", "-C", "src", "app")
    warmpack.ok("-xqf", "a.tgz")
    (manifest,) = (tmp_path / "app/.warmpack").glob("*/manifest.jsonl")
    (tmp_path / "other").mkdir()
    shutil.copy(app / "k.py", tmp_path / "other/k.py")
    place = tmp_path / "other/__pycache__"
    if in_the_way == "link":
        (tmp_path / "elsewhere").mkdir()
        place.symlink_to("../elsewhere")
    else:
        place.write_text("no caches here")
    done = warmpack("restore", "--layout", layout, "--manifest", manifest, "other")
    assert done.returncode == (1 if in_the_way == "link" else 0), done.stderr
    assert place.is_symlink() if in_the_way == "link" else place.read_text() == "no caches here"
    assert in_the_way == "file" or not list(place.iterdir())


@pytest.mark.parametrize("name", ["k.add-3.py311.1.nbc", "k.add-3.py311.2.nbc"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("k.py")],
                         ids=["pipe", "directory", "link"])
@trees.needs_root
def test_what_is_no_file_among_caches_keeps_nobody_from_giving_them_away(warmpack, tmp_path, name,
                                                                         make):
    source(tmp_path / "src/app/k.py")
    warmpack.ok("-czqf", "a.tgz", "-C", "src", "app")
    warmpack.ok("-xqf", "a.tgz", "-C", "out")
    path = tmp_path / "out/app/__pycache__" / name
    path.unlink(missing_ok=True)
    make(path)
    done = warmpack("restore", "out", "--user", "nobody", timeout=60)
    assert done.returncode in (0, 1) and b"1 of 1 sources" in done.stderr, done


def test_a_pipe_in_the_place_of_another_trees_cache_is_not_waited_for(warmpack, tmp_path):
    app = source(tmp_path / "src/app/k.py").parent
    warmpack.ok("-czqf", "a.tgz", "-C", "src", "app")
    warmpack.ok("-xqf", "a.tgz")
    (manifest,) = (tmp_path / "app/.warmpack").glob("*/manifest.jsonl")
    (data,) = (tmp_path / "app/__pycache__").glob("*.nbc")
    data.unlink()
    os.mkfifo(data)
    write(tmp_path / "other/k.py", (app / "k.py").read_bytes(), ns=OLD)
    before = look(tmp_path / "other", ours=True)
    trees.refused(warmpack("restore", "--manifest", manifest, "other", timeout=60), data.name)
    trees.assert_same(before, look(tmp_path / "other", ours=True))


# ---- Files, modes and links ------------------------------------------------------------------

ZIPFILE = "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])"
UNPACKERS = {
    "unzip": ["unzip", "-q", "{archive}", "-d", "{there}"],
    "zipfile": [PYTHON, "-c", ZIPFILE, "{archive}", "{there}"],
    "bsdtar": ["bsdtar", "-xf", "{archive}", "-C", "{there}"],
    "jar": ["sh", "-c", 'cd "$1" && jar xf "$0"', "{archive}", "{there}"],
}


@pytest.fixture(name="zipped")
def tree_with_links_and_modes(warmpack, tmp_path):
    app = tmp_path / "src" / "app"
    source(app / "k.py")
    source(app / "lib/deep.py")
    write(app / "tool", "#!/bin/sh\n", mode=0o755, ns=OLD)
    write(app / "secret", "s", mode=0o600, ns=OLD)
    (app / "current").symlink_to("tool")
    (app / "dir").symlink_to("lib")
    (app / "dangling").symlink_to("/nonexistent/été")
    (app / "alias.py").symlink_to("k.py")
    index(app / "alias.py")
    warmpack.ok("create", "-qf", "a.zip", "-C", "src", "app")
    return tmp_path / "a.zip"


def unpack(tool, archive, there):
    if shutil.which(UNPACKERS[tool][0]) is None or shutil.which(tool.replace("zipfile", "sh")) is None:
        pytest.skip(tool + " is not installed")
    there.mkdir()
    run(*[word.format(archive=archive, there=there) for word in UNPACKERS[tool]])
    return there


@pytest.mark.parametrize("tool", UNPACKERS)
def test_a_zip_that_any_tool_unpacked_is_what_was_packed(warmpack, zipped, tmp_path, tool):
    there = unpack(tool, zipped, tmp_path / "out")
    said = restore(warmpack, there)
    assert_valid(said, 3)
    assert (said["missing"], said["changed"], said["extra"]) == (0, 0, 0)
    packed, found = look(tmp_path / "src"), look(there)
    for path, entry in packed.items():
        if entry["type"] == found[path]["type"] and not path.endswith(b"__pycache__"):
            wanted = {"content", "target", "mode"} | ({"mtime"} if b"content" in entry else set())
            for member in wanted & entry.keys():
                if entry["type"] != 0o040000:
                    assert entry[member] == found[path][member], (path, member)
    for name in ("current", "dir", "dangling", "alias.py"):
        assert (there / "app" / name).is_symlink(), name
    before = look(there, ours=True)
    said = restore(warmpack, there)
    assert (said["times"], said["modes"], said["links"]) == (0, 0, 0)
    trees.assert_same(before, look(there, ours=True))


def test_what_was_changed_after_a_repair_is_left_alone(warmpack, zipped, tmp_path):
    there = unpack("zipfile", zipped, tmp_path / "out")
    assert restore(warmpack, there)["links"] == 4
    (there / "app/tool").chmod(0o700)
    (there / "app/current").unlink()
    said = restore(warmpack, there)
    assert (said["modes"], said["links"]) == (0, 0)
    assert (there / "app/tool").stat().st_mode & 0o777 == 0o700
    assert not os.path.lexists(there / "app/current")
    # Packed and unpacked by others once more, with the record of the first repair in it.
    run("sh", "-c", "cd out && zip -qr ../again.zip .", cwd=tmp_path)
    again = unpack("zipfile", tmp_path / "again.zip", tmp_path / "again")
    assert_valid(restore(warmpack, again), 3)
    assert (again / "app/tool").stat().st_mode & 0o777 == 0o755


def test_files_that_were_not_packed_are_counted_and_left(warmpack, zipped, tmp_path):
    there = unpack("unzip", zipped, tmp_path / "out")
    for name in ("app/new.txt", "app/lib/new.txt", "app/fresh/deep.txt", "beside.txt"):
        write(there / name, "new")
    said = restore(warmpack, there)
    assert said["extra"] == 2  # in directories of the archive
    assert (there / "app/new.txt").read_text() == "new"
    (there / "app/secret").unlink()
    assert restore(warmpack, there)["missing"] == 1


@pytest.mark.parametrize("caches", ["in tree", "in a cache directory"])
def test_an_index_whose_source_is_gone_is_lost(warmpack, tmp_path, caches):
    """As verify judges it; the others are repaired all the same."""
    for name in ("k.py", "other/stays.py"):
        source(tmp_path / "src/app" / name)
    warmpack.ok("-czqf", "a.tgz", "-C", "src", "app")
    words = ["--cache-dir", "caches"] if caches != "in tree" else []
    warmpack.ok("-xqf", "a.tgz", "-C", "out", *words)
    (tmp_path / "out/app/k.py").unlink()
    set_time(tmp_path / "out/app/other/stays.py", OLD + 5)
    said = restore(warmpack, "out", *words, status=1)
    assert said["lost"] == 1 and said["was_valid"] == 2
    assert sorted(i["status"] for i in said["indexes"]) == ["source-missing", "valid"]
    assert b"source-missing" in warmpack.ok("restore", "out", *words, status=1).stderr


def test_an_index_whose_source_was_never_here_is_no_loss(warmpack, tmp_path):
    """Of an archive of caches alone, for a tree that has fewer modules."""
    for name in ("k.py", "other.py"):
        source(tmp_path / "src/app" / name)
    warmpack.ok("-czqf", "a.tgz", "--caches-only", "-C", "src", "app")
    shutil.copytree(tmp_path / "src", tmp_path / "out", ignore=lambda *_: ["__pycache__", "other.py"])
    run("tar", "-xzf", "a.tgz", "-C", "out", cwd=tmp_path)
    assert restore(warmpack, "out")["lost"] == 0


def test_a_file_of_its_own_is_no_link(warmpack, zipped, tmp_path):
    there = unpack("zipfile", zipped, tmp_path / "out")
    (there / "app/current").write_text("another text")
    assert restore(warmpack, there)["links"] == 3
    assert (there / "app/current").read_text() == "another text"


# ---- Caches alone ----------------------------------------------------------------------------

@pytest.fixture(name="bare")
def tree_without_caches(warmpack, tmp_path):
    """c.tgz and c.zip hold the caches of three sources alone; bare/app is the tree, with new
    times."""
    for name in ("k.py", "l/l.py", "l/m.py"):
        source(tmp_path / "src/app" / name, f"name = '{name}'\n")
    for suffix in ("tgz", "zip", "tar.zst"):
        warmpack.ok("create", "-q", "--caches-only", "-f", f"c.{suffix}", "-C", "src", "app")
    for name in ("k.py", "l/l.py", "l/m.py"):
        write(tmp_path / "bare/app" / name, (tmp_path / "src/app" / name).read_bytes())
    shutil.rmtree(tmp_path / "src")
    return tmp_path / "bare"


@pytest.mark.parametrize("words", [[], ["--caches-only"]])
@pytest.mark.parametrize("suffix", ["tgz", "zip", "tar.zst"])
def test_an_archive_of_caches_says_how_many_sources_matched(warmpack, bare, suffix, words):
    (bare / "app/l/m.py").write_text("changed\n")
    done = warmpack.ok("extract", "--json", "-f", f"c.{suffix}", "-C", bare, *words)
    said = json.loads(done.stdout)
    assert (said["matched"], said["sources"]) == (2, 3)
    assert (said["summary"]["valid"], said["summary"]["total"]) == (2, 2)
    assert b"l/m.py: is not what was packed" in done.stderr
    assert b"2 of 3 sources are the same" in done.stderr
    assert {path.name for path in all_indexes(bare)} == {"k.add-3.py311.nbi", "l.add-3.py311.nbi"}


@pytest.mark.parametrize("cache_dir", [False, True])
def test_caches_are_put_onto_a_tree_in_one_commit(warmpack, bare, tmp_path, cache_dir):
    """In several directories of the tree, and in a cache root beside it."""
    hashed_there = ["--layout", "cache-dir", "--cache-dir", tmp_path / "hashed"] if cache_dir else []
    if cache_dir:
        (tmp_path / "hashed").mkdir()
    traced = ["strace", "-f", "-qq", "-o", tmp_path / "trace", "-e", "trace=/^(rename|unlink)"]
    run(*traced, trees.BINARY, "extract", "-qf", "c.tgz", "--caches-only", "-C", bare, *hashed_there,
        cwd=tmp_path, env=warmpack.variables(ASAN_OPTIONS="detect_leaks=0"))
    lines = (tmp_path / "trace").read_text().splitlines()
    done = [line for line in lines if '"journal"' in line and line.endswith(" = 0")]
    (begun, ended) = (lines.index(line) for line in done)  # it gets its name once, and goes once
    assert "rename" in lines[begun] and "unlink" in lines[ended]
    placed = [i for i, line in enumerate(lines) if "rename" in line and "__pycache__" in line
              or cache_dir and "rename" in line and "hashed" in line]
    assert len(all_indexes(tmp_path / "hashed" if cache_dir else bare)) == 3
    assert placed and all(begun < i < ended for i in placed)


@pytest.mark.parametrize("words", [[], ["--caches-only"]])
def test_an_archive_of_caches_is_refused_where_nothing_matches(warmpack, bare, tmp_path, words):
    said = trees.refused(warmpack("extract", "-f", "c.tgz", "-C", "empty", *words))
    assert "none of the 3 sources" in said
    assert not (tmp_path / "empty").exists()


def test_caches_alone_leave_those_that_the_tree_has_of_use(warmpack, bare):
    """Sources get the archive's times, so indexes that Numba has made here must follow."""
    path = bare / "app/k.py"
    trees.set_time(path, OLD + 7 * trees.SECOND)
    trees.index(path, "k.other-9.py311")
    warmpack.ok("extract", "-f", "c.tgz", "-C", bare)
    assert path.stat().st_mtime_ns == OLD
    assert list(judge(warmpack, bare).values()) == ["valid"] * 4


def test_caches_alone_change_nothing_where_they_cannot_be_put(warmpack, bare):
    write(bare / "app/l/__pycache__/l.add-3.py311.nbi/in the way")
    before = trees.look(bare)
    trees.refused(warmpack("extract", "-f", "c.tgz", "-C", bare))
    trees.assert_same(trees.look(bare), before)


# ---- Runs at the same time, and killed ones --------------------------------------------------

def moved_tree(warmpack, tmp_path, count=120):
    for i in range(count):
        source(tmp_path / f"src/app/d{i % 10}/k{i}.py", f"x = {i}\n")
    warmpack.ok("-czqf", "a.tgz", "-C", "src", "app")
    warmpack.ok("-xqf", "a.tgz", "-C", "first", "--cache-dir", "caches")
    os.rename(tmp_path / "first", tmp_path / "second")
    run("sh", "-c", "find second -name '*.py' -exec touch {} +", cwd=tmp_path)


def assert_whole(warmpack, tmp_path, count=120):
    said = restore(warmpack, "second")
    assert_valid(said, count)
    assert len(all_indexes(tmp_path / "caches", tmp_path / "second")) == count
    assert len(list((tmp_path / "caches").iterdir())) == 10
    assert not trees.leftovers(tmp_path / "second", tmp_path / "caches")
    assert set(judge(warmpack, "second", "--cache-dir", "caches").values()) == {"valid"}


def test_repairs_at_the_same_time_do_not_disturb_one_another(warmpack, tmp_path):
    moved_tree(warmpack, tmp_path)
    runs = [warmpack.start("restore", "-q", "second") for _ in range(4)]
    said = [child.communicate(timeout=120)[1] for child in runs]
    assert [child.returncode for child in runs] == [0] * 4, said
    assert_whole(warmpack, tmp_path)


def test_repairs_killed_at_any_moment_lose_nothing(warmpack, tmp_path):
    moved_tree(warmpack, tmp_path)
    run("cp", "-a", "second", "whole", cwd=tmp_path)
    run("cp", "-a", "caches", "whole caches", cwd=tmp_path)
    started = time.monotonic()
    restore(warmpack, "second")
    length = time.monotonic() - started
    choose = random.Random(5)
    for _ in range(4):
        for name, origin in (("second", "whole"), ("caches", "whole caches")):
            run("rm", "-rf", name, cwd=tmp_path)
            run("cp", "-a", origin, name, cwd=tmp_path)
        for _ in range(5):
            child = warmpack.start("restore", "-q", "second")
            time.sleep(choose.uniform(0, length))
            child.kill()
            child.communicate()
        assert_whole(warmpack, tmp_path)


@pytest.mark.parametrize("verb", ["restore", "extract"])
def test_no_wrapper_of_a_gufunc_is_valid_without_its_kernel(warmpack, tmp_path, verb):
    """The program would crash, and verify says so."""
    write(tmp_path / "app/k.py", "x = 1\n")
    wrapper, kernel = [index(tmp_path / "app/k.py", name) for name in ("guf-k.f-1.py311", "k.f-1.py311")]
    warmpack.ok("create", "-qf", "a.tgz", "app")
    if verb == "restore":
        warmpack.ok("extract", "-qf", "a.tgz", "-C", "out")
        (tmp_path / "out" / kernel.relative_to(tmp_path)).unlink()
        r = warmpack("restore", "out")
    else:
        r = warmpack("extract", "-f", "a.tgz", "-C", "out", "--exclude", "*/k.f-*.nbi")
    assert r.returncode == 1
    assert f"{wrapper.relative_to(tmp_path)}: corrupt: {kernel.name}".encode() in r.stderr
    assert b"0 of 1 cache indexes valid (1 corrupt)" in r.stderr


def test_no_wrapper_of_a_gufunc_is_removed_since_its_kernel_could_not_be_read(warmpack, tmp_path):
    """It may be sound: Python would unpickle this one, which no Numba wrote."""
    write(tmp_path / "app/k.py", "x = 1\n")
    wrapper, kernel = [index(tmp_path / "app/k.py", name) for name in ("guf-k.f-1.py311", "k.f-1.py311")]
    kernel.write_bytes(pickle.dumps("0.56.4", 0) + pickle.dumps(((0.0, 6), {}), 0))
    r = warmpack("verify", "--fix", "app")
    assert r.returncode == 1 and b"0 of 2 cache indexes valid (2 unreadable)" in r.stderr
    assert wrapper.exists() and kernel.exists()
