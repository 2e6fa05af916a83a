"""Warm trees, made once for the tests that run: one for each place where a cache can lie."""

import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from application import write_application
from facts import facts
from harness import (
    NOBODY,
    WARMPACK,
    Person,
    Warm,
    environment,
    indexes_in,
    remove_tree,
    run_numba,
    shell,
    warmpack,
)

PLACES = ("in-tree", "outside", "inside", "user-wide")
# pynndescent's own index takes a quarter of a minute a run, so one place must do.
PYNNDESCENT = {place: ("neighbours",) for place in PLACES}
PYNNDESCENT["outside"] += ("descent",)
SUFFIXES = (".tgz", ".tar", ".tar.zst", ".zip")


def pytest_sessionstart(session):
    if not os.access(WARMPACK, os.X_OK):
        pytest.exit("no program at %s: build it, or set WARMPACK" % WARMPACK, returncode=2)


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "numba_with(*names): for a Numba of which all of these facts are true"
    )


def pytest_collection_modifyitems(config, items):
    """What the Numba at hand does not have cannot be tested with it; that is no skipped promise."""

    def fits(item):
        return all(
            getattr(facts(), name)
            for marker in item.iter_markers("numba_with")
            for name in marker.args
        )

    unfit = [item for item in items if not fits(item)]
    config.hook.pytest_deselected(items=unfit)
    items[:] = [item for item in items if fits(item)]


def places_of(item):
    """The places whose warm trees this test takes."""
    given = item.callspec.params.get("warm") if hasattr(item, "callspec") else None
    return {
        place
        for place in PLACES
        if place == given or place.replace("-", "_") in item.fixturenames
    }


def parts_of(place):
    return ("application", *(PYNNDESCENT[place] if facts().pynndescent else ()))


@pytest.fixture(scope="session")
def workspace():
    """A directory that every user may enter, with a name that is not ASCII."""
    path = Path(tempfile.mkdtemp(prefix="warmpack-größe-"))
    path.chmod(0o755)
    yield path
    remove_tree(path)


def new_person(workspace, name, uid=None):
    home = workspace / "homes" / name
    home.mkdir(parents=True)
    person = Person(home, uid)
    person.own(home)
    return person


@pytest.fixture
def here(workspace, request):
    """An empty directory for one test."""
    path = Path(tempfile.mkdtemp(dir=workspace, prefix="test-"))
    path.chmod(0o755)
    yield path
    remove_tree(path)


@pytest.fixture
def me(here):
    return new_person(here, "me")


@pytest.fixture
def another_user(here):
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    return new_person(here, "nobody", NOBODY)


def read_only_directories(root):
    """Takes away every directory's write permission, so that no __pycache__ can be made."""
    for directory, _, _ in os.walk(root, topdown=False):
        os.chmod(directory, 0o555)


def prepare(workspace, place):
    """Writes the tree; returns its root, who runs it, with which variables, and its cache root."""
    base = workspace / place
    root = write_application(base / "build" / "app")
    if place == "in-tree":
        return root, new_person(base, "me"), {}, None
    if place == "outside":
        return root, new_person(base, "me"), {"NUMBA_CACHE_DIR": base / "caches"}, base / "caches"
    if place == "inside":
        return root, new_person(base, "me"), {"NUMBA_CACHE_DIR": root / ".numba_cache"}, None
    # Numba uses the user-wide place where it cannot write beside the sources. Root can write
    # anywhere, so it must be somebody else.
    read_only_directories(root)
    person = new_person(base, "runner", NOBODY if os.geteuid() == 0 else None)
    return root, person, {}, person.home / ".cache" / "numba"


def make_warm(workspace, place):
    root, person, variables, caches = prepare(workspace, place)
    base = workspace / place
    parts = parts_of(place)
    warmed = {part: run_numba(root, person, part, **variables) for part in parts}
    in_place = {part: run_numba(root, person, part, **variables) for part in parts}

    archives, said = {}, {}
    for suffix in SUFFIXES:
        archives[suffix] = base / ("app" + suffix)
        said[suffix] = warmpack(
            "create",
            *("-f", archives[suffix], "-C", root.parent, "app"),
            home=person.home,
            **variables,
        )
    # The variable is the packing side's alone: it would send the caches back to the old place.
    piped = shell(
        '"$WARMPACK" create -f - -z -C "$FROM" app |'
        ' env -u NUMBA_CACHE_DIR "$WARMPACK" extract -f - -C "$TO"',
        person.home,
        FROM=root.parent,
        TO=base / "piped" / "elsewhere",
        expect=None,
        **variables,
    )

    tars = {}
    for flavour in ("gnu", "pax"):
        sources = [("app", root.parent, "app")] + ([("caches", caches, ".")] if caches else [])
        tars[flavour] = []
        for name, directory, member in sources:
            tars[flavour].append(base / ("%s-%s.tar.gz" % (flavour, name)))
            subprocess.run(
                ["tar", "--format=" + flavour, "-czf", tars[flavour][-1], "-C", directory, member],
                check=True,
                env=environment(person.home),
            )

    copies = {}
    for name, path in (("tree", root), ("caches", caches)):
        if path:
            copies[name] = base / "copies" / name
            copies[name].parent.mkdir(exist_ok=True)
            subprocess.run(["cp", "-a", path, copies[name]], check=True)

    indexes = len(indexes_in(root, *([caches] if caches else [])))
    # Nothing may be found at the old paths any more.
    remove_tree(root.parent)
    if caches:
        remove_tree(caches)
    extra = {"piped root": base / "piped" / "elsewhere" / "app", "source root": root.parent}
    return Warm(
        place, variables, archives, said, tars, copies, in_place, warmed, indexes, piped, extra
    )


@pytest.fixture(scope="session")
def warm_trees(workspace, request):
    """All places at once, as most of the time is spent in compilers of one thread each."""
    places = set().union(*map(places_of, request.session.items))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        longest_first = sorted(places, key=lambda place: -len(parts_of(place)))
        jobs = {place: pool.submit(make_warm, workspace, place) for place in longest_first}
    # What went wrong with one place is the failure of that place's tests alone.
    return jobs


@pytest.fixture(params=PLACES)
def warm(request, warm_trees):
    return warm_trees[request.param].result()


@pytest.fixture
def in_tree(warm_trees):
    return warm_trees["in-tree"].result()


@pytest.fixture
def outside(warm_trees):
    return warm_trees["outside"].result()


@pytest.fixture
def user_wide(warm_trees):
    return warm_trees["user-wide"].result()


@pytest.fixture
def copied(in_tree, here):
    """A warm tree of one's own, at another path, to be spoilt; its caches lie in tree."""
    root = here / "own" / "app"
    root.parent.mkdir()
    subprocess.run(["cp", "-a", in_tree.copies["tree"], root], check=True)
    return root


@pytest.fixture
def names_wrapper(here):
    """Variables that give nobody a home directory, for this one command and nobody else."""

    def variables(home):
        passwd = here / "passwd"
        group = here / "group"
        passwd.write_text("nobody:x:%d:%d::%s:/bin/sh\n" % (NOBODY, NOBODY, home))
        group.write_text("nogroup:x:%d:\n" % NOBODY)
        preload = "libnss_wrapper.so"
        if b"__asan_init" in Path(WARMPACK).read_bytes():
            asan = subprocess.check_output(["gcc", "-print-file-name=libasan.so"], text=True)
            preload = asan.strip() + " " + preload
        return {
            "LD_PRELOAD": preload,
            "NSS_WRAPPER_PASSWD": passwd,
            "NSS_WRAPPER_GROUP": group,
        }

    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    return variables
