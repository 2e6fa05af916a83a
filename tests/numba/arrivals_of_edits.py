"""Ways in which caches reach sources that were edited since, each held against a fresh compile."""

import json
import os
import shutil
import subprocess
import time
import zipfile

import edits
from harness import PYTHON, environment, warmpack


def run(tree, table, home):
    done = subprocess.run(
        [PYTHON, "run_edits.py", *table],
        cwd=tree, env=environment(home), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def members(table):
    return [*table, "run_edits.py"]


def overlay(tree, table):
    """The edit as a newer commit brings it: files that change are written anew, others are not."""
    for name, edit in table.items():
        before, after = edit.before(name), edit.after(name)
        for path in before.keys() - after.keys():
            (tree / name / path).unlink()
        for path, text in after.items():
            if before.get(path) != text:
                (tree / name / path).parent.mkdir(exist_ok=True)
                (tree / name / path).write_text(text)


def caches_only(warm, tmp_path, table):
    """A fresh checkout of the newer commit, and the caches of the older one."""
    warmpack("create", "-q", "--caches-only", "-f", tmp_path / "c.tgz", "-C", warm, *members(table),
             home=tmp_path)  # fmt: skip
    tree = edits.write(tmp_path / "checkout", table, after=True)
    warmpack("extract", "-q", "--caches-only", "-f", tmp_path / "c.tgz", "-C", tree, home=tmp_path)
    return tree


def restored(warm, tmp_path, table):
    """GNU tar loses the times; the newer sources come over the tree; restore gives times back."""
    warmpack("create", "-q", "-f", tmp_path / "a.tgz", "-C", warm, *members(table), home=tmp_path)
    tree = tmp_path / "unpacked"
    tree.mkdir()
    subprocess.run(["tar", "xzf", tmp_path / "a.tgz", "-C", tree], check=True)
    for top, _, names in os.walk(tree):
        for name in names:
            os.utime(os.path.join(top, name))
    overlay(tree, table)
    warmpack("restore", "-q", tree, home=tmp_path, expect=1)
    return tree


def amended(warm, tmp_path, table):
    """A zip of the newer sources, amended from the tree that was warmed with the older ones."""
    newer = edits.write(tmp_path / "newer", table, after=True)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in sorted(newer.rglob("*")):
            archive.write(path, path.relative_to(newer))
    warmpack("amend", "-q", "-f", tmp_path / "a.zip", "--source", warm, home=tmp_path, expect=1)
    warmpack("extract", "-q", "-f", tmp_path / "a.zip", "-C", tmp_path / "out", home=tmp_path)
    return tmp_path / "out"


def in_place(warm, tmp_path, table):
    """The warm tree itself is edited, and verify --fix removes what would give old results."""
    tree = tmp_path / "place"
    shutil.copytree(warm, tree, symlinks=True)  # with its times
    time.sleep(0.02)  # a file system's clock ticks
    overlay(tree, table)
    warmpack("verify", "-q", "--fix", tree, home=tmp_path, expect=None)
    return tree


WAYS = (caches_only, restored, amended, in_place)


# amend does not look for modules that the archive alone has: its manual says so.
ADDED = {"of_in_vain_until_added", "of_shadowed_by_a_package"}


def check(warm, fresh, way, tmp_path, table):
    if way is amended:
        table = {name: edit for name, edit in table.items() if name not in ADDED}
    tree = way(warm, tmp_path, table)
    said = run(tree, table, tmp_path)
    for name, edit in table.items():
        assert said[name]["total"] == fresh[name]["total"], (way.__name__, name, "an old result")
        assert said[name]["alone_hit"] == 1, (way.__name__, name, "what was not touched is cold")
        if not edit.touches_high:
            assert said[name]["total_hit"] == 1, (way.__name__, name, "cold without a cause")
