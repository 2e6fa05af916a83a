"""A tree with its manifest is warm where it lies: read-only, with any times, for any user."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import tarfile
import zipfile

import pytest
from arrivals import assert_as_in_place
from facts import facts
from harness import PYTHON, environment, run_numba, warmpack
from in_place import RESULTS, locator_variables, reader, run_in_place
from small import run_small, write_small

SAVED_IN_PLACE = 3


def tool(*words, cwd="/", home="/"):
    subprocess.run([str(word) for word in words], check=True, cwd=cwd, stdout=subprocess.DEVNULL,
                   env=environment(home, PIP_DISABLE_PIP_VERSION_CHECK=1))


@pytest.fixture(scope="module")
def packed(workspace):
    """The archives of a small warm tree: caches in tree, and in a directory outside of it."""
    base = workspace / "locator"
    base.mkdir()
    archives = {}
    for place in ("in-tree", "outside"):
        build = base / place
        write_small(build / "app")
        variables = {"NUMBA_CACHE_DIR": build / "caches"} if place == "outside" else {}
        assert run_small(build / "app", base, **variables) == (0, SAVED_IN_PLACE)
        archives[place] = base / (place + ".tgz")
        warmpack("create", "-f", archives[place], "-C", build, "app", home=base, **variables)
        shutil.rmtree(build)
    return archives


@pytest.fixture
def tree(packed, here):
    """What a tool that knows nothing of warmpack unpacks: in an image's layer, say."""
    tool("tar", "-xzf", packed["in-tree"], "-C", here)
    return here / "app"


def by_cp(tree, here):
    tool("cp", "-r", tree, here / "copy")
    return here / "copy"


def by_git(tree, here):
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b.c")
    tool("git", "init", "-q", tree)
    tool("git", "add", "-f", ".", cwd=tree)
    tool(*git, "commit", "-qm", "warm", cwd=tree)
    tool("git", "clone", "-q", tree, here / "clone", home=here)
    return here / "clone"


def by_pip(tree, here):
    """A wheel of the sources, to which the caches were added."""
    info = "app-1.dist-info/"
    with zipfile.ZipFile(here / "app-1-py3-none-any.whl", "w") as wheel:
        names = ["pkg/__init__.py", "pkg/k.py"]
        for name in names:
            wheel.write(tree / name, name)
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: app\nVersion: 1\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: a\nRoot-Is-Purelib: true\n"
                                       "Tag: py3-none-any\n")
        names += [info + "METADATA", info + "WHEEL", info + "RECORD"]
        wheel.writestr(info + "RECORD", "".join(name + ",,\n" for name in names))
    warmpack("amend", "-f", here / "app-1-py3-none-any.whl", "--source", tree, home=here)
    tool(PYTHON, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", here / "site",
         here / "app-1-py3-none-any.whl", home=here)
    return here / "site"


def by_zip(tree, here):
    tool("zip", "-qr", here / "app.zip", "app", cwd=here)
    tool("unzip", "-q", here / "app.zip", "-d", here / "unzipped")
    return here / "unzipped" / "app"


def by_touch(tree, here):
    for path in [tree, *tree.rglob("*")]:
        os.utime(path, (1, 1))
    return tree


def by_layer(tree, here):
    """A container's layer: whole seconds, root's."""
    with tarfile.open(here / "layer.tar", "w", format=tarfile.GNU_FORMAT) as layer:
        layer.add(tree, "app")
    (here / "rootfs").mkdir()
    tool("tar", "-xf", here / "layer.tar", "-C", here / "rootfs")
    return here / "rootfs" / "app"


def by_owner(tree, here):
    """Root's, and so only to be read by whoever runs it."""
    tool("cp", "-a", tree, here / "roots")
    for path in [here / "roots", *(here / "roots").rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    return here / "roots"


def mount(*words):
    done = subprocess.run(["mount", *map(str, words)], stderr=subprocess.PIPE, text=True,
                          check=False)
    if done.returncode:
        pytest.skip("cannot mount: " + done.stderr.strip())


def by_squashfs(tree, here):
    tool("mksquashfs", tree, here / "app.squashfs", "-quiet", "-no-progress", "-all-time", "1")
    (here / "squashed").mkdir()
    mount("-o", "loop,ro", here / "app.squashfs", here / "squashed")
    return here / "squashed"


def by_bind(tree, here):
    (here / "bound").mkdir()
    mount("--bind", tree, here / "bound")
    mount("-o", "remount,ro,bind", here / "bound")
    return here / "bound"


JOURNEYS = {
    "cp": by_cp, "git": by_git, "pip": by_pip, "zip": by_zip, "times": by_touch,
    "layer": by_layer, "owner": by_owner, "squashfs": by_squashfs, "bind": by_bind,
}
# What the one who runs it may write to, and mounts need root.
WRITABLE = ("cp", "git", "pip", "zip", "times")


@pytest.fixture
def unmounted(here):
    yield
    for name in ("squashed", "bound"):
        subprocess.run(["umount", here / name], stderr=subprocess.DEVNULL, check=False)


def travel(journey, tree, here):
    """The tree at the end of a journey and who runs it. Nothing of its start is left."""
    root = JOURNEYS[journey](tree, here)
    if root != tree and journey != "bind":
        shutil.rmtree(tree)
    return root


@pytest.mark.parametrize("journey", JOURNEYS)
def test_every_journey_loads_as_in_place_and_nothing_is_written(journey, tree, here, me, unmounted):
    if os.geteuid() != 0 and journey in ("squashfs", "bind"):
        pytest.skip("only root can mount")
    root = travel(journey, tree, here)
    person = me if journey in WRITABLE else reader(here)
    before = listing(root)
    for _ in range(2):  # the first makes the overlay, the second finds it
        run = run_in_place(root, person)
        assert (run.loads, run.saves) == (SAVED_IN_PLACE, 0), run.said
        assert run.results == [[3, 204.0]]
        assert not [path for path in run.loaded if path.startswith(str(root) + "/")]
    assert listing(root) == before


@pytest.mark.parametrize("journey", JOURNEYS)
def test_without_the_locator_every_journey_loses_them(journey, tree, here, me, unmounted):
    if os.geteuid() != 0 and journey in ("squashfs", "bind"):
        pytest.skip("only root can mount")
    root = travel(journey, tree, here)
    person = me if journey in WRITABLE else reader(here)
    run = run_in_place(root, person, locator=False)
    # Numba that stamps the content has them where it may write beside them.
    kept = SAVED_IN_PLACE if facts().content_stamps and journey in WRITABLE else 0
    assert (run.loads, run.saves) == (kept, SAVED_IN_PLACE - kept)


def listing(root):
    """Everything that stat tells but the times of reading."""
    found = []
    for directory, names, files in os.walk(root):
        for name in [".", *names, *files]:
            s = os.lstat(os.path.join(directory, name))
            found.append((directory, name, s.st_ino, s.st_mode, s.st_size, s.st_mtime_ns,
                          s.st_ctime_ns))
    return sorted(found)


def test_caches_from_outside_load_from_where_the_archive_has_them(packed, here):
    tool("tar", "-xzf", packed["outside"], "-C", here)
    root = here / "renamed"
    (here / "app").rename(root)
    assert not list((root / "pkg").rglob("*.nbi"))
    run = run_in_place(by_owner(root, here), reader(here))
    assert (run.loads, run.saves) == (SAVED_IN_PLACE, 0), run.said


def test_a_cache_root_in_an_extracted_tree_is_found_after_a_move(packed, here, me):
    warmpack("extract", "-f", packed["outside"], "-C", here,
             "--cache-dir", here / "app" / ".caches", home=me.home)
    assert not list((here / "app" / "pkg").rglob("*.nbi"))
    (here / "app").rename(here / "moved")
    run = run_in_place(by_touch(here / "moved", here), me)
    assert (run.loads, run.saves) == (SAVED_IN_PLACE, 0), run.said


def test_indexes_that_extraction_restamped_are_still_those_that_were_packed(packed, here, me):
    warmpack("extract", "-f", packed["in-tree"], "-C", here, "--restamp", "always", home=me.home)
    run = run_in_place(by_touch(here / "app", here), me)
    assert (run.loads, run.saves) == (SAVED_IN_PLACE, 0), run.said


@pytest.mark.parametrize("restamp", ["never", "always"])
def test_a_tree_that_was_retargeted_for_another_machine_is_warm_here(packed, here, me, restamp):
    """Extracted for one machine, on a share that another one reads."""
    said = json.loads(warmpack("env", "--probe", "--python", PYTHON, home=me.home).out)
    said.update(cpu="of-that-machine", features=said["features"] + ",+not-here")
    said["machine"] += ",+not-here"
    (here / "probe.json").write_text(json.dumps(said))
    warmpack("extract", "-f", packed["in-tree"], "-C", here, "--restamp", restamp, home=me.home)
    warmpack("retarget", here, "--for", here / "probe.json", home=me.home)
    moved = here / "moved"
    (here / "app").rename(moved)
    root, person = by_owner(by_touch(moved, here), here), reader(here)
    run = run_in_place(root, person)
    assert (run.loads, run.saves) == (SAVED_IN_PLACE, 0), run.said
    assert run_in_place(root, person, locator=False).loads == 0


def test_what_numba_compiles_is_saved_in_the_overlay_and_loaded_by_the_next(tree, here):
    root, person = by_owner(tree, here), reader(here)
    code = "import pkg.k as k\nk.add(1j, 2)\n"
    first = run_in_place(root, person, code)
    assert (first.loads, first.saves) == (SAVED_IN_PLACE, 1)
    assert all(path.startswith(str(person.home)) for path in first.saved)
    second = run_in_place(root, person, code)
    assert (second.loads, second.saves) == (SAVED_IN_PLACE + 1, 0)


def test_a_changed_constant_gives_the_new_result_and_one_line_says_why(tree, here, me):
    run_in_place(tree, me)
    source = tree / "pkg" / "k.py"
    source.write_text(source.read_text().replace("s += x * x", "s += x * 2"))
    run = run_in_place(tree, me)
    assert run.results == [[3, 72.0]]
    assert run.said.count("its caches are not used: it is not what was packed") == 1
    assert run.said.count("\n") == 1


def test_a_changed_file_of_the_package_leaves_it_to_numba(tree, here, me):
    """Its code may be in the caches too."""
    (tree / "pkg" / "__init__.py").write_text("X = 1\n")
    run = run_in_place(by_owner(tree, here), reader(here))
    assert (run.loads, run.saves) == (0, SAVED_IN_PLACE)
    assert "it depends on pkg/__init__.py, which is not what was packed" in run.said


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names CPUs of x86-64")
@pytest.mark.parametrize("needs, loads", [
    ("as packed", SAVED_IN_PLACE), (["cx16", "popcnt", "sse4.2"], SAVED_IN_PLACE),
    (["popcnt", "feature-of-another"], 0), (None, 0)])
def test_code_of_another_cpu_loads_where_its_needs_are_met(here, needs, loads):
    """Built for an old CPU; run with no setting."""
    write_small(here / "build" / "app")
    old = {"NUMBA_CPU_NAME": "nehalem", "NUMBA_CPU_FEATURES": ""}
    assert run_small(here / "build" / "app", here, **old) == (0, SAVED_IN_PLACE)
    warmpack("create", "-f", here / "app.tgz", "-C", here / "build", "app", home=here)
    tool("tar", "-xzf", here / "app.tgz", "-C", here)
    (manifest,) = (here / "app" / ".warmpack").glob("*/manifest.jsonl")
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert lines[0]["cpu"].endswith(" nehalem ")
    assert {"cx16", "popcnt", "sse4.2"} <= set(*lines[0]["needs"])
    assert not {"avx", "x87", "crc32"} & set(*lines[0]["needs"])
    if needs != "as packed":
        lines[0]["needs"] = [needs]
    body = "".join(json.dumps(line) + "\n" for line in lines[:-1])
    lines[-1]["sha256"] = hashlib.sha256(body.encode()).hexdigest()
    manifest.write_text(body + json.dumps(lines[-1]) + "\n")
    root, person = by_owner(here / "app", here), reader(here)
    run = run_in_place(root, person)
    assert (run.loads, run.saves) == (loads, SAVED_IN_PLACE - loads), run.said
    assert run.results == [[3, 204.0]]
    assert ("its caches are for" in run.said) == (loads == 0)


def with_its_own_locator(root, person):
    """Nothing of warmpack is on the path but what lies in the tree."""
    variables, code = {"NUMBA_CACHE_LOCATOR_CLASSES": "warmpack.locator.Warm"}, RESULTS
    if tuple(map(int, facts().numba.split(".")[:2])) < (0, 62):
        variables, code = {}, "import warmpack.locator\nwarmpack.locator.install()\n" + RESULTS
    return run_in_place(root, person, code + "import warmpack.locator\n"
                        "print('RESULTS', json.dumps(warmpack.locator.__file__))\n",
                        locator=False, path=[root / ".warmpack" / "python"], **variables)


@pytest.mark.parametrize("how", ["create", "seal"])
def test_the_locator_that_a_tree_carries_is_all_it_takes(here, how):
    build = here / "build" / "app"
    write_small(build)
    assert run_small(build, here) == (0, SAVED_IN_PLACE)
    if how == "create":
        warmpack("create", "--with-locator", "-f", here / "app.tgz", "-C", here / "build", "app",
                 home=here)
        tool("tar", "-xzf", here / "app.tgz", "-C", here)
    else:
        warmpack("seal", "--with-locator", build, home=here)
        tool("cp", "-r", build, here / "app")
    shutil.rmtree(here / "build")
    root, person = by_owner(here / "app", here), reader(here)
    before = listing(root)
    for _ in range(2):
        run = with_its_own_locator(root, person)
        assert (run.loads, run.saves) == (SAVED_IN_PLACE, 0), run.said
        assert run.results == [[3, 204.0], str(root / ".warmpack/python/warmpack/locator.py")]
    assert listing(root) == before


def test_the_whole_application_loads_as_in_place(in_tree, outside, here):
    for name, warm in (("in", in_tree), ("out", outside)):
        place = here / name
        place.mkdir()
        tool("tar", "-xzf", warm.archives[".tgz"], "-C", place)
        person = reader(place)
        root = by_owner(by_touch(place / "app", place), place)
        run = run_numba(root, person, **locator_variables(here))
        assert_as_in_place(run, warm, person.home)
