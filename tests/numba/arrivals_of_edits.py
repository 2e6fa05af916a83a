"""Ways in which caches reach sources that were edited since, each held against a fresh compile."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import time
import zipfile
from pathlib import Path

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
                edits.put(tree / name / path, text)


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


WHEEL = """\
Wheel-Version: 1.0
Generator: by hand
Root-Is-Purelib: true
Tag: py3-none-any
"""
METADATA = """\
Metadata-Version: 2.1
Name: edited
Version: 2.0
"""


def write_wheel(path, tree):
    """A wheel of what lies beneath TREE, in which links are copies."""
    paths = [Path(d, name) for d, _, names in os.walk(tree, followlinks=True) for name in names]
    files = {str(path.relative_to(tree)): path.read_bytes() for path in paths}
    files["edited-2.0.dist-info/METADATA"] = METADATA.encode()
    files["edited-2.0.dist-info/WHEEL"] = WHEEL.encode()
    record = "edited-2.0.dist-info/RECORD"
    lines = []
    for name, content in sorted(files.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append("%s,sha256=%s,%d\n" % (name, digest, len(content)))
    files[record] = "".join([*lines, record + ",,\n"]).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in sorted(files.items()):
            archive.writestr(name, content)


def amended(warm, tmp_path, table):
    """A wheel of the newer sources, amended from the tree that was warmed with the older ones, and
    installed by pip, which gives all files new times."""
    newer = edits.write(tmp_path / "newer", table, after=True)
    wheel = tmp_path / "edited-2.0-py3-none-any.whl"
    write_wheel(wheel, newer)
    warmpack("amend", "-q", "-f", wheel, "--source", warm, home=tmp_path, expect=1)
    tree = tmp_path / "installed"
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir", "install", "-q"]
    options = ["--no-index", "--no-deps", "--no-compile", "--target", tree, wheel]
    subprocess.run([*pip, *options], check=True, env=environment(tmp_path))
    warmpack("restore", "-q", tree, home=tmp_path)
    return tree


def git(*words, at):
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.autocrlf=false"]
    subprocess.run(["git", "-C", at, *who, *words], check=True, env=environment(at))


def checked_out(warm, tmp_path, table):
    """A repository that holds the caches and the manifest of a sealed tree, too: a clone gives all
    files new times, and the newer commit has other sources beside the older one's caches."""
    origin = tmp_path / "origin"
    shutil.copytree(warm, origin, symlinks=True)
    warmpack("seal", "-q", origin, home=tmp_path)
    git("init", "-q", at=origin)
    git("add", "--force", ".", at=origin)
    git("commit", "-q", "-m", "older", at=origin)
    git("clone", "-q", origin, tmp_path / "clone", at=tmp_path)
    overlay(origin, table)
    git("add", "--force", ".", at=origin)
    git("commit", "-q", "-m", "newer", at=origin)
    tree = tmp_path / "clone"
    git("pull", "-q", at=tree)
    warmpack("restore", "-q", tree, home=tmp_path, expect=1)
    return tree


def in_place(warm, tmp_path, table):
    """The warm tree itself is edited, and verify --fix removes what would give old results."""
    tree = tmp_path / "place"
    shutil.copytree(warm, tree, symlinks=True)  # with its times
    time.sleep(0.02)  # a file system's clock ticks
    overlay(tree, table)
    warmpack("verify", "-q", "--fix", tree, home=tmp_path, expect=None)
    return tree


def by_content(warm, tmp_path, table):
    """Likewise a sealed tree, in which no time tells of the edit."""
    tree = tmp_path / "sealed"
    shutil.copytree(warm, tree, symlinks=True)
    warmpack("seal", "-q", tree, home=tmp_path)
    overlay(tree, table)
    for top, directories, names in os.walk(tree):
        for path in (Path(top, name) for name in directories + names):
            old = warm / path.relative_to(tree)
            is_new = path.suffix == ".py" and path.is_file() and not (
                old.is_file() and path.read_bytes() == old.read_bytes()
            )  # fmt: skip
            if is_new or path.is_symlink():
                os.utime(path, (1e9, 1e9), follow_symlinks=False)
    warmpack("verify", "-q", "--fix", tree, home=tmp_path, expect=None)
    return tree


WAYS = (caches_only, restored, amended, checked_out, in_place, by_content)


def check(warm, fresh, way, tmp_path, table):
    tree = way(warm, tmp_path, table)
    said = run(tree, table, tmp_path)
    for name, edit in table.items():
        assert said[name]["total"] == fresh[name]["total"], (way.__name__, name, "an old result")
        assert said[name]["alone_hit"] == 1, (way.__name__, name, "what was not touched is cold")
        if not edit.touches_high:
            assert said[name]["total_hit"] == 1, (way.__name__, name, "cold without a cause")
