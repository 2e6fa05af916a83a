"""A tree that another tool unpacked may bring a state.jsonl that somebody made up. It must not get
at the caches of another tree, nor choose where restore writes."""

import hashlib
import json
import os
import shutil

import pytest
from trees import NOBODY, Runner, index, look, assert_same, needs_root, run, write

MINE, THEIRS = 1_500_000_000 * 10**9 + 1, 1_600_000_000 * 10**9 + 123_456_789


def hashed(root, source):
    name = source.name + "_" + hashlib.sha1(os.fspath(source).encode()).hexdigest()
    return root / name


class Trap:
    """A tree `out/app` from a stranger, a victim's tree and its caches in a directory outside."""

    def __init__(self, base, *words):
        self.base, self.run = base, Runner(base)
        self.victim = base / "srv" / "app"
        self.caches = base / "caches"
        self.source(self.victim / "k.py", THEIRS)
        shutil.copytree(self.victim / "__pycache__", hashed(self.caches, self.victim))
        self.source(base / "src/app/k.py", MINE)
        self.run.ok("-czqf", "a.tgz", "-C", "src", *words, "app")
        (base / "out").mkdir()
        run("tar", "-xzf", "a.tgz", "-C", "out", cwd=base)
        self.manifest = next((base / "out").rglob("manifest.jsonl"))

    @staticmethod
    def source(path, ns):
        write(path, "x = 1\n", ns=ns)
        index(path)

    def state(self, **says):
        line = {"version": 1, "action": "extract", "root": str(self.victim.parent), "strip": 0,
                "layout": "cache-dir", "cache_root": str(self.caches)}
        (self.manifest.parent / "state.jsonl").write_text(json.dumps(line | says) + "\n")

    def around(self):
        """All but the stranger's tree."""
        return {path: entry for path, entry in look(self.base).items()
                if path.split(b"/")[0] in (b"srv", b"caches", b"elsewhere", b"home")}

    def restore(self, *words):
        before = self.around()
        result = self.run.ok("restore", self.base / "out", *words)
        assert_same(before, self.around())
        return result.stderr

    def own_caches(self):
        return sorted(path.parent.name for path in (self.base / "out").rglob("*.nbi"))


@pytest.fixture
def trap(tmp_path):
    return Trap(tmp_path)


@pytest.mark.parametrize("there", ["the other tree is there", "it is not mounted now"])
@pytest.mark.parametrize("layout", ["cache-dir", "user-wide"])
def test_a_state_that_names_another_tree_gets_none_of_its_caches(trap, there, layout):
    if there != "the other tree is there":
        shutil.rmtree(trap.victim.parent)
    trap.state(layout=layout)
    assert b"holds no cache of a source in this tree" in trap.restore()
    assert trap.own_caches() == ["__pycache__"]
    assert len(list(trap.caches.rglob("*.nbi"))) == 1


def test_a_state_gets_no_caches_of_another_tree_where_the_cache_root_is_given(trap):
    """The directory is the user's word, the other tree's name is not."""
    shutil.rmtree(trap.victim.parent)
    trap.state()
    trap.run.ok("restore", "out", "--cache-dir", "caches")
    assert len(list(hashed(trap.caches, trap.victim).glob("*.nbi"))) == 1


def test_a_state_names_no_place_to_write_to(trap):
    (trap.base / "elsewhere").mkdir()
    for place in ("elsewhere", "missing", "out/app/../../elsewhere", "out/../elsewhere"):
        trap.state(root=str(trap.base / "out"), cache_root=str(trap.base / place))
        trap.restore()
        assert not (trap.base / "missing").exists()
        assert trap.own_caches() == ["__pycache__"]


def test_a_source_that_is_a_link_to_the_other_trees_makes_nobody_believe(trap):
    copy = trap.base / "srv-copy.py"
    shutil.copy2(trap.victim / "k.py", copy)
    (trap.base / "out/app/more.py").symlink_to(copy)
    index(trap.victim / "k.py", "more.add-3.py311")
    made = trap.victim / "__pycache__/more.add-3.py311.nbi"
    shutil.copy2(made, hashed(trap.caches, trap.victim))
    shutil.rmtree(trap.victim.parent)
    trap.state()
    trap.restore()


@needs_root
def test_a_state_of_somebody_who_could_not_write_there_is_not_believed(trap):
    """Even where it is about caches of this very tree."""
    here = trap.base / "out/app"
    shutil.copytree(here / "__pycache__", hashed(trap.caches, here))
    trap.state(root=str(trap.base / "out"))
    os.chown(trap.manifest.parent / "state.jsonl", NOBODY, NOBODY)
    assert b"belongs to somebody else" in trap.restore()
    os.chown(trap.caches, NOBODY, NOBODY)
    assert b"belongs to" not in trap.run.ok("restore", "out").stderr


@pytest.mark.parametrize("says", [{"root": "relative"}, {"cache_root": "caches"},
                                  {"root": "/", "cache_root": "/"}, {"strip": 7},
                                  {"root": "", "cache_root": ""}])
def test_a_state_that_nobody_would_write_does_no_harm(trap, says):
    trap.state(**says)
    before = trap.around()
    assert trap.run("restore", "out").returncode in (0, 1, 2)
    assert_same(before, trap.around())
