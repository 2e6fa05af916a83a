"""Sources in a zip from which Python imports: Numba 0.61 and later caches them, and warmpack carries
those caches. With a Numba that does not, there is nothing to carry."""

import os
import subprocess
import zipfile

import pytest
from facts import facts
from harness import PYTHON, environment, indexes_in, shell, warmpack
from small import SOURCE, run_small

TIME = 1_700_000_000_123_456_789
LATER = TIME + 3600 * 10**9


@pytest.fixture
def app(here):
    """A tree with a zip in it; PYTHONPATH names the zip."""
    path = here / "srv" / "app" / "lib.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pkg/__init__.py", "")
        archive.writestr("pkg/k.py", SOURCE)
    os.utime(path, ns=(TIME, TIME))
    return path


@pytest.fixture
def warm(app, me):
    """The zip, and how many overloads its second run loads."""
    saved = run_small(app, me.home)[1]
    assert saved > 0 and run_small(app, me.home) == (saved, 0)
    return app, saved


@pytest.fixture
def other(here):
    """The home of whoever runs it elsewhere, where Numba has never been."""
    home = here / "other"
    home.mkdir()
    return home


@pytest.fixture
def arrived(warm, here, me, other):
    app, all_of_it = warm
    warmpack("create", "-f", here / "a.tgz", "-C", app.parent.parent, "app", home=me.home)
    done = warmpack("extract", "-f", here / "a.tgz", "-C", here / "opt", home=other)
    assert done.counts == (all_of_it, all_of_it)
    return here / "opt/app/lib.zip", all_of_it


HIGH = """\
from numba import njit
from pkg.low import LOW, step

@njit(cache=True)
def total(x):
    return step(x) + LOW
"""
STEP = "from numba import njit\n\n@njit\ndef step(x):\n    return x + %d\n\n\nLOW = %d\n"


def write_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)


def run_total(root, module, me, *more):
    """What MODULE's total(1) is, and how often Numba loaded and saved."""
    done = subprocess.run(
        [PYTHON, "-B", "-c", "import %s as m; print('TOTAL', m.total(1))" % module],
        env=environment(me, NUMBA_DEBUG_CACHE=1,
                        PYTHONPATH=os.pathsep.join(str(root / name) for name in (".", *more))),
        cwd=me, check=True, text=True, stdout=subprocess.PIPE,
    ).stdout  # fmt: skip
    return (int(done.split("TOTAL ")[1]), done.count("data loaded from"),
            done.count("data saved to"))


def keep_manifest(here, me, app):
    warmpack("create", "-f", here / "kept.tgz", "-C", app.parent, "app", home=me.home)
    warmpack("extract", "-q", "-f", here / "kept.tgz", "-C", here / "kept", home=me.home)


def assert_outdated(app, me, changed):
    """Times alone do not tell it of stamps of content, but a manifest does."""
    if facts().content_stamps:
        words = ["--manifest", next(app.parent.parent.glob("kept/**/manifest.jsonl"))]
    else:
        words = []
    done = warmpack("verify", app.parent, *words, home=me.home, expect=1)
    assert "outdated" in done.out and changed + " changed after" in done.out, done.out


@pytest.mark.parametrize("name", ["lib.zip", "lib-1-py3-none-any.whl"])
def test_code_that_came_from_a_zip_is_not_used_with_another_zip(name, here, me, other):
    app = here / "build" / "app"
    app.mkdir(parents=True)
    (app / "high.py").write_text(HIGH)
    (app / "alone.py").write_text(HIGH.replace("from pkg.low import LOW, step", "LOW = 0")
                                  .replace("step(x)", "x"))
    write_zip(app / name, {"pkg/__init__.py": "", "pkg/low.py": STEP % (1, 10)})
    write_zip(app / "data.zip", {"table.txt": "1"})
    assert run_total(app, "high", me.home, name) == (12, 0, 1)
    assert run_total(app, "alone", me.home, name) == (1, 0, 1)
    warmpack("create", "--caches-only", "-f", here / "c.tgz", "-C", app.parent, "app",
             home=me.home)
    keep_manifest(here, me, app)
    # A zip of data is no code's.
    write_zip(app / "data.zip", {"table.txt": "2"})
    assert warmpack("verify", app.parent, home=me.home).counts == (2, 2)
    shell('cp -r "$FROM" "$TO" && rm -r "$TO"/app/__pycache__', me.home, FROM=app.parent,
          TO=here / "new")
    write_zip(here / "new/app" / name, {"pkg/__init__.py": "", "pkg/low.py": STEP % (2, 20)})
    done = warmpack("extract", "--caches-only", "-f", here / "c.tgz", "-C", here / "new",
                    home=other)
    assert "1 of 2 indexes left out: app/%s changed" % name in done.err
    assert run_total(here / "new/app", "high", other, name) == (23, 0, 1)
    assert run_total(here / "new/app", "alone", other, name) == (1, 1, 0)
    # In place Numba gives the old result; verify says so.
    write_zip(app / name, {"pkg/__init__.py": "", "pkg/low.py": STEP % (2, 20)})
    assert run_total(app, "high", me.home, name)[0] == 12
    assert_outdated(app, me, "app/" + name)


@pytest.mark.parametrize("name", [
    "pkg-1-cp311-cp311-manylinux_2_17_x86_64.whl",
    "wheels/pkg-1-py3-none-any.whl",
    "wheels/bundle.pyz",
])
def test_what_lies_in_the_tree_to_be_installed_or_run_is_not_imported_from(name, here, me):
    """Wheels of compiled code cannot be, and others and applications may come at any time into a
    directory that has no sources."""
    app = here / "build" / "app"
    (app / "wheels").mkdir(parents=True)
    (app / "high.py").write_text(HIGH)
    (here / "venv/pkg").mkdir(parents=True)
    (here / "venv/pkg/__init__.py").write_text("")
    (here / "venv/pkg/low.py").write_text(STEP % (1, 10))
    wheel = app / name
    write_zip(wheel, {"pkg/__init__.py": "", "pkg/low.py": STEP % (1, 10), "pkg/_c.so": ""})
    assert run_total(app, "high", me.home, here / "venv") == (12, 0, 1)
    write_zip(wheel, {"pkg/__init__.py": "", "pkg/low.py": STEP % (2, 20), "pkg/_c.so": ""})
    assert run_total(app, "high", me.home, here / "venv") == (12, 1, 0)
    assert warmpack("verify", app.parent, home=me.home).counts == (1, 1)


if facts().zip_sources:

    def test_code_of_a_zip_that_came_from_outside_is_not_used_with_what_was_edited(
            here, me, other):
        app = here / "build" / "app"
        app.mkdir(parents=True)
        (app / "pkg").mkdir()
        (app / "pkg/low.py").write_text(STEP % (1, 10))
        (app / "main.py").write_text("import top.high\n")
        write_zip(app / "lib.zip", {"top/__init__.py": "", "top/high.py": HIGH})
        assert run_total(app, "top.high", me.home, "lib.zip") == (12, 0, 1)
        warmpack("create", "--caches-only", "-f", here / "c.tgz", "-C", app.parent, "app",
                 home=me.home)
        keep_manifest(here, me, app)
        for low, expected in ((1, 10), (12, 1, 0)), ((2, 20), (23, 0, 1)):
            new = here / ("new-%d" % low[0])
            shell('cp -r "$FROM" "$TO"', me.home, FROM=app.parent, TO=new)
            (new / "app/main.py").write_text("# which nothing in the zip imports\n")
            (new / "app/pkg/low.py").write_text(STEP % low)
            warmpack("extract", "--caches-only", "-f", here / "c.tgz", "-C", new, home=other)
            assert run_total(new / "app", "top.high", other, "lib.zip") == expected
        (app / "pkg/low.py").write_text(STEP % (2, 20))
        assert_outdated(app, me, "app/pkg/low.py")

    def test_caches_of_a_zip_arrive_warm_at_another_path_for_another_user(arrived, other):
        zip_path, all_of_it = arrived
        assert run_small(zip_path, other) == (all_of_it, 0)

    def test_without_warmpack_they_are_lost(warm, here, me):
        app, all_of_it = warm
        (here / "opt").mkdir()
        shell('tar --format=pax -cf - -C "$FROM" app | tar -xf - -C "$TO"', me.home,
              FROM=app.parent.parent, TO=here / "opt")
        assert run_small(here / "opt/app/lib.zip", me.home) == (0, all_of_it)

    def test_they_are_where_numba_looks_whatever_the_variable_says(arrived, here, other):
        zip_path, all_of_it = arrived
        for words in ([], ["--cache-dir", here / "caches"]):
            done = warmpack("extract", "-f", here / "a.tgz", "-C", here / "again", *words, home=other)
            assert done.counts == (all_of_it, all_of_it)
            variables = {"NUMBA_CACHE_DIR": here / "caches"}
            again = here / "again/app/lib.zip"
            assert run_small(again, other, **variables) == (all_of_it, 0)

    def test_path_names_the_directory_that_numba_made(warm, me):
        app, _ = warm
        made = {str(index.parent) for index in indexes_in(me.home)}
        assert len(made) == 1
        assert made.pop() in warmpack("path", app / "pkg/k.py", home=me.home).out

    def test_verify_and_numba_agree_on_another_zip(arrived, here, other):
        zip_path, all_of_it = arrived
        with zipfile.ZipFile(zip_path, "w") as archive:
            archive.writestr("pkg/__init__.py", "")
            archive.writestr("pkg/k.py", SOURCE + "\n")
        done = warmpack("verify", here / "opt", home=other, expect=1)
        assert done.counts == (0, all_of_it)
        assert run_small(zip_path, other) == (0, all_of_it)

    def test_a_tree_that_was_moved_is_repaired(arrived, here, other):
        zip_path, all_of_it = arrived
        (here / "opt").rename(here / "moved")
        os.utime(here / "moved/app/lib.zip", ns=(LATER, LATER))
        for _ in range(2):
            done = warmpack("restore", here / "moved", home=other)
            assert done.counts == (all_of_it, all_of_it)
        assert run_small(here / "moved/app/lib.zip", other) == (all_of_it, 0)

    def test_where_the_zips_time_must_stay_the_indexes_change(arrived, here, other):
        zip_path, all_of_it = arrived
        os.utime(zip_path, ns=(LATER, LATER))
        done = warmpack("restore", here / "opt", "--restamp", "always", home=other)
        assert done.counts == (all_of_it, all_of_it)
        assert zip_path.stat().st_mtime_ns == LATER
        assert run_small(zip_path, other) == (all_of_it, 0)

    def test_caches_alone_warm_the_same_zip(warm, here, me, other):
        app, all_of_it = warm
        warmpack("create", "--caches-only", "-f", here / "c.tgz", "-C", app.parent.parent, "app",
                 home=me.home)
        there = here / "opt/app/lib.zip"
        there.parent.mkdir(parents=True)
        there.write_bytes(app.read_bytes())
        done = warmpack("extract", "--caches-only", "-f", here / "c.tgz", "-C", here / "opt",
                        home=other)
        assert done.counts == (all_of_it, all_of_it)
        assert run_small(there, other) == (all_of_it, 0)

else:

    def test_a_numba_that_cannot_cache_for_a_zip_says_so(app, here, me):
        done = subprocess.run(
            [PYTHON, "-B", "-c", "import pkg.k"],
            env=environment(me.home, PYTHONPATH=app),
            cwd=me.home,
            capture_output=True,
            text=True,
        )
        assert done.returncode != 0 and "no locator available" in done.stderr
        done = warmpack("create", "-f", here / "a.tgz", "-C", app.parent.parent, "app",
                        home=me.home)
        assert done.counts == (0, 0)
