"""What happens around a deployment: again, over a running release, by somebody else, in parts."""

import subprocess

from arrivals import Arrival, arrive, assert_all_valid, assert_as_in_place, run_there
from harness import run_numba, warmpack


def test_somebody_without_privileges_unpacks_for_themselves(warm, here, another_user):
    own = here / "theirs"
    own.mkdir()
    another_user.own(own)
    root = own / "été"
    done = warmpack(
        "extract",
        *("-f", warm.archives[".tgz"], "-C", root, "--strip-components", "1"),
        *("--layout", "in-tree"),
        home=another_user.home,
        person=another_user,
    )
    assert_all_valid(done, warm)
    assert_as_in_place(run_numba(root, another_user), warm, root)


def test_unpacking_again_over_a_tree_in_use_keeps_it_warm(outside, here, me):
    caches = here / "caches"
    words = ("extract", "-f", outside.archives[".tgz"], "-C", here / "app")
    words += ("--strip-components", "1", "--cache-dir", caches)
    for _ in range(2):
        assert_all_valid(warmpack(*words, home=me.home), outside)
        run = run_numba(here / "app", me, NUMBA_CACHE_DIR=caches)
        assert_as_in_place(run, outside, caches)


def test_replace_puts_a_warm_tree_in_place_of_a_stale_one(outside, here, me):
    caches = here / "caches"
    words = ("extract", "-f", outside.archives[".tgz"], "-C", here, "--cache-dir", caches)
    warmpack(*words, home=me.home)
    (here / "app" / "warmapp" / "left over.py").touch()
    (here / "app" / "warmapp" / "recursion.py").touch()
    assert_all_valid(warmpack(*words, "--replace", home=me.home), outside)
    assert not (here / "app" / "warmapp" / "left over.py").exists()
    run = run_numba(here / "app", me, NUMBA_CACHE_DIR=caches)
    assert_as_in_place(run, outside, caches)


def test_if_needed_leaves_what_it_unpacked_warm(outside, here, me):
    caches = here / "caches"
    words = ("extract", "--if-needed", "-f", outside.archives[".tgz"], "-C", here / "app")
    words += ("--strip-components", "1", "--cache-dir", caches)
    warmpack(*words, home=me.home)
    before = (here / "app" / "entry.py").stat()
    warmpack(*words, home=me.home)
    after = (here / "app" / "entry.py").stat()
    assert (before.st_ino, before.st_ctime_ns) == (after.st_ino, after.st_ctime_ns)
    run = run_numba(here / "app", me, NUMBA_CACHE_DIR=caches)
    assert_as_in_place(run, outside, caches)


def test_several_top_level_directories_travel_together(outside, here, me):
    """The manifest and the caches then lie beside them, at the archive's root."""
    stage = here / "stage"
    (stage / "config").mkdir(parents=True)
    (stage / "config" / "settings.ini").write_text("[app]\n")
    subprocess.run(["cp", "-a", outside.copies["tree"], stage / "app"], check=True)
    archive = here / "all.tar.zst"
    packed = warmpack(
        *("create", "-f", archive, "-C", stage, "app", "config"),
        *("--cache-dir", outside.copies["caches"]),
        *("--source-root", outside.extra["source root"]),
        home=me.home,
    )
    assert_all_valid(packed, outside)
    target = here / "opt"
    done = warmpack("extract", "-f", archive, "-C", target, home=me.home)
    assert_all_valid(done, outside)
    assert (target / "config" / "settings.ini").read_text() == "[app]\n"
    arrival = Arrival(target / "app", {}, done)
    assert_as_in_place(run_there(arrival, me), outside, target)


def test_part_of_the_tree_is_as_warm_as_the_whole(outside, here, me):
    """A pattern takes some members; the caches of these come along."""
    root = here / "part"
    done = warmpack(
        *("extract", "-f", outside.archives[".tgz"], "-C", root, "--strip-components", "1"),
        *("app/warmapp", "app/größe", "app/odd name-2", "app/entry.py"),
        home=me.home,
    )
    valid, total = done.counts
    assert valid == total > 0
    assert not (root / "pynndescent").exists()
    assert_as_in_place(run_numba(root, me), outside, root)


def test_excluded_sources_leave_no_caches_behind(outside, here, me):
    arrival = arrive(
        outside, here, "--exclude", "app/pynndescent", home=me.home, cache_dir=here / "caches"
    )
    names = [path.name for path in (here / "caches").iterdir()]
    assert names and not any(name.startswith("pynndescent_") for name in names)
    assert_as_in_place(run_there(arrival, me), outside, here / "caches")
