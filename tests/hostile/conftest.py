"""Every archive here means harm: extract must say one line and leave everything as it was."""

import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "cli")]

import trees  # noqa: E402


class Arena:
    """A directory DIR with an older tree in it, and around it what must not be touched."""

    def __init__(self, base):
        self.base = base
        self.run = trees.Runner(base)
        self.turn = sum(base.name.encode()) % 2
        self.out = base / "place" / "out"
        for name in ("app/k.py", "app/dir/below", "mine"):
            trees.write(self.out / name, "old " + name, ns=10**9)
        trees.write(base / "place" / "canary", "canary", ns=10**9)
        trees.write(base / "canary", "canary", ns=10**9)
        (self.out / "app" / "way-out").symlink_to("../..")

    def look(self, directory=None):
        return trees.look(directory or self.base / "place", ours=True, owners=True)

    def archive(self, data, name="a.tar"):
        path = self.base / name
        path.write_bytes(data)
        return path

    def sane(self, result):
        """It ended by itself, with few lines, all of them its own; never by a crash."""
        assert result.returncode in (0, 1, 2), result
        lines = result.stderr.splitlines()
        assert len(lines) < 20 and all(len(line) < 20_000 for line in lines), lines[:20]
        assert result.returncode != 2 or len(lines) >= 1
        assert b"Sanitizer" not in result.stderr, result.stderr

    def extract(self, path, *options, pipe=False):
        if pipe:
            with open(path, "rb") as file:
                return self.run("extract", "-f", "-", "-C", self.out, *options, stdin=file)
        return self.run("extract", "-f", path, "-C", self.out, *options)

    def refused(self, data, *said, name="a.tar", options=(), pipe=False):
        """extract fails with one line that has one of SAID in it, and nothing changes."""
        path = self.archive(data, name)
        before, around = self.look(), (self.base / "canary").read_text()
        result = self.extract(path, *options, pipe=pipe)
        self.sane(result)
        line = trees.refused(result)
        assert not said or any(word in line for word in said), line
        trees.assert_same(before, self.look())
        assert around == (self.base / "canary").read_text()
        # Those who only look take turns.
        self.turn = not self.turn
        self.sane(self.run("list" if self.turn else "verify", "-f", path))
        return line

    def contained(self, data, name="a.tar", options=()):
        """Whatever extract does with it, it does it beneath DIR; nothing changes if it fails."""
        path = self.archive(data, name)
        before = self.look()
        result = self.extract(path, *options)
        self.sane(result)
        after = self.look()
        if result.returncode == 2 and b"not found" not in result.stderr:
            trees.assert_same(before, after)
        outside = [{p: e for p, e in s.items() if not p.startswith(b"out/") and p != b"out"}
                   for s in (before, after)]
        trees.assert_same(*outside)
        assert not trees.leftovers(self.out)
        return result


@pytest.fixture
def arena(tmp_path):
    return Arena(tmp_path)
