"""Settings in .numba_config.yaml in the working directory count for warmpack as they do for Numba in a
program that is started there."""

import json

import pytest
from harness import PYTHON, warmpack
from small import cache_of, run_small, write_small


@pytest.fixture(scope="module")
def warmed(workspace):
    """A tree whose caches lie where the file of a working directory says; only read by tests."""
    base = workspace / "config-file"
    root, home = write_small(base / "build"), base / "home"
    home.mkdir()
    configure(home, "Cache_Dir: '%s'  # ours\nopt: 0\n" % (base / "caches"))
    assert run_small(root, home) == (0, 3)
    assert not cache_of(root).exists() and (base / "caches").exists()
    return root, home, base / "caches"


def configure(folder, text):
    (folder / ".numba_config.yaml").write_text(text)


def test_create_finds_and_extract_puts_caches_where_the_file_says(warmed, here, me):
    root, home, _ = warmed
    archive = here / "a.tgz"
    assert warmpack("create", "-f", archive, "-C", root, "pkg", home=home, cwd=home).counts == (3, 3)
    assert warmpack("create", "-f", here / "none.tgz", "-C", root, "pkg",
                    home=home).counts == (0, 0)  # elsewhere there is no such file
    settings = json.loads(
        warmpack("extract", "-O", "-f", archive, "pkg/.warmpack/*/manifest.jsonl",
                 home=home).out.splitlines()[0])["env"]
    assert settings["NUMBA_OPT"] == "0"

    configure(me.home, "cache_dir: %s\n" % (here / "there"))
    done = warmpack("extract", "-f", archive, "-C", here / "o", home=me.home, cwd=me.home)
    assert done.counts == (3, 3) and str(here / "there") in done.err
    assert run_small(here / "o", me.home) == (3, 0)
    for words in (("verify",), ("verify", "--python", PYTHON)):
        assert warmpack(*words, here / "o", home=me.home, cwd=me.home).counts == (3, 3)


def test_the_environment_comes_before_the_file(warmed, here, me):
    root, home, caches = warmed
    archive = here / "a.tgz"
    warmpack("create", "-f", archive, "--cache-dir", caches, "-C", root, "pkg", home=home)
    configure(me.home, "cache_dir: %s\n" % (here / "there"))
    warmpack("extract", "-f", archive, "-C", here / "o", home=me.home, cwd=me.home,
             NUMBA_CACHE_DIR=here / "mine")
    assert (here / "mine").exists() and not (here / "there").exists()
    assert run_small(here / "o", me.home, NUMBA_CACHE_DIR=here / "mine") == (3, 0)


@pytest.mark.parametrize("text, said", [
    ("{cache_dir: there}\n", "line 1 is no simple"),
    ("opt: 3\ncache_dir: !!str there\n", "line 2 is no simple"),
])
def test_other_yaml_is_told_and_not_guessed_at(warmed, here, me, text, said):
    root, _, caches = warmed
    configure(me.home, text)
    done = warmpack("create", "-f", here / "a.tgz", "--cache-dir", caches, "-C", root, "pkg",
                    home=me.home, cwd=me.home)
    assert done.counts == (3, 3) and said in done.err


def test_somebody_elses_file_is_not_obeyed(warmed, here, me):
    root, _, caches = warmed
    configure(me.home, "cache_dir: %s\n" % caches)
    (me.home / ".numba_config.yaml").chmod(0o666)
    done = warmpack("create", "-f", here / "a.tgz", "-C", root, "pkg", home=me.home, cwd=me.home)
    assert done.counts == (0, 0) and "everybody may write to it" in done.err
