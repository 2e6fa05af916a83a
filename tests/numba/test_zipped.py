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


if facts().zip_sources:

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
