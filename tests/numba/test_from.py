"""What extract --from takes from an earlier tree loads in the new one, and nothing else does."""

import json
import shutil

import pytest
from application import give_exact_times
from harness import warmpack
from small import cache_of, run_small, write_small


@pytest.fixture
def releases(tmp_path):
    """1.tgz and 2.tgz, both warm, of trees that differ in one module; `old` is the first. HOME."""
    home = tmp_path / "home"
    home.mkdir()
    tree = write_small(tmp_path / "src" / "app")
    for version in (1, 2):
        (tree / "other.py").write_text("VERSION = %d\n" % version)
        give_exact_times(tree)
        shutil.rmtree(cache_of(tree), ignore_errors=True)
        assert run_small(tree, home) == (0, 3)
        warmpack("create", "-qf", tmp_path / ("%d.tgz" % version), "-C", tree.parent, "app",
                 home=home)
    warmpack("extract", "-qf", tmp_path / "1.tgz", "-C", tmp_path / "old",
             home=home)
    return home


def extract(tmp_path, *words):
    return json.loads(warmpack("extract", "--json", "-f", tmp_path / "2.tgz", *words,
                               home=tmp_path / "home").out)


def test_the_new_tree_loads_all(releases, tmp_path):
    done = extract(tmp_path, "-C", tmp_path / "new", "--from", tmp_path / "old")
    assert done["reused"] and done["was_valid"] == 3 and done["lost"] == 0
    assert run_small(tmp_path / "new" / "app", releases) == (3, 0)
    assert run_small(tmp_path / "old" / "app", releases) == (3, 0)
    assert extract(tmp_path, "-C", tmp_path / "old", "--replace")["lost"] == 0
    assert run_small(tmp_path / "old" / "app", releases) == (3, 0)


def test_an_index_that_was_changed_there_comes_from_the_archive(releases, tmp_path):
    """As restamping and new overloads change it; a data file of no index stays behind."""
    extract(tmp_path, "-C", tmp_path / "old", "--replace")
    for path in cache_of(tmp_path / "old" / "app").glob("*.nbi"):
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    done = extract(tmp_path, "-C", tmp_path / "new", "--from", tmp_path / "old")
    assert done["lost"] == 0 and done["was_valid"] == 3
    assert run_small(tmp_path / "new" / "app", releases) == (3, 0)
