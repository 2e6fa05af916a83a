"""Never an old result, with real libraries: caches that one release left meet the sources of the
next, and what runs then gives what a fresh compile gives."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness import environment, warmpack

OLDER = {"umap": "umap-learn==0.5.8", "stumpy": "stumpy==1.13.0", "librosa": "librosa==0.10.2.post1"}
NEWER = {"umap": "umap-learn==0.5.9.post2", "stumpy": "stumpy==1.14.1", "librosa": "librosa==0.11.0"}
LIBRARIES = tuple(OLDER)
CALLS = Path(__file__).with_name("calls.py")


def install(releases, tree):
    words = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--no-compile"]
    words += ["--only-binary=:all:", "--target", str(tree), *releases.values()]
    subprocess.run([sys.executable, *words], check=True, stdout=sys.stderr)
    return tree


def call(tree, home):
    done = subprocess.run(
        [sys.executable, CALLS, *LIBRARIES], cwd=home,
        env=environment(home, PYTHONPATH=tree, NUMBA_NUM_THREADS=1),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def older(tmp_path_factory):
    """The older release, warm."""
    home = tmp_path_factory.mktemp("older")
    call(install(OLDER, home / "tree"), home)
    return home / "tree"


@pytest.fixture(scope="module")
def newer(tmp_path_factory):
    """The newer release, cold, and what it gives."""
    home = tmp_path_factory.mktemp("newer")
    install(NEWER, home / "tree")
    shutil.copytree(home / "tree", home / "fresh")
    return home / "tree", call(home / "fresh", home)


def pack(tree, home, *options):
    archive = home / "a.tgz"
    warmpack("create", "-q", *options, "-f", archive, "-C", tree, *LIBRARIES, home=home)
    return archive


def sources_of(tree):
    return {path.relative_to(tree): path.read_bytes() for path in tree.rglob("*.py")}


def caches_only(older, newer, home):
    """The newer release, as it was installed, and the caches of the older one."""
    archive = pack(older, home, "--caches-only")
    tree = shutil.copytree(newer, home / "tree")
    warmpack("extract", "-q", "--caches-only", "-f", archive, "-C", tree, home=home)
    return tree


def restored(older, newer, home):
    """The older release by GNU tar, which loses the times; the newer one is laid over it."""
    archive = pack(older, home)
    tree = home / "tree"
    tree.mkdir()
    subprocess.run(["tar", "xzf", archive, "-C", tree], check=True)
    there, wanted = sources_of(tree), sources_of(newer)
    for path in there.keys() - wanted.keys():
        (tree / path).unlink()
    for path, content in wanted.items():
        if there.get(path) != content:
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_bytes(content)
    warmpack("restore", "-q", tree, home=home, expect=1)
    return tree


@pytest.mark.parametrize("way", (caches_only, restored), ids=lambda way: way.__name__)
def test_the_next_release_gives_what_a_fresh_compile_gives(way, older, newer, tmp_path):
    """All of the three changed, each in files that its __init__ leads to: nothing is used."""
    sources, fresh = newer
    warm = call(way(older, sources, tmp_path), tmp_path)
    for library in LIBRARIES:
        assert warm[library]["results"] == fresh[library]["results"], library
        assert warm[library]["hits"] == fresh[library]["hits"], library
        assert not any(warm[library]["hits"].values()), library


def test_the_same_release_stays_warm(older, tmp_path):
    archive = pack(older, tmp_path, "--caches-only")
    tree = install(OLDER, tmp_path / "tree")
    warmpack("extract", "-q", "--caches-only", "-f", archive, "-C", tree, home=tmp_path)
    hits = [said["hits"] for said in call(tree, tmp_path).values()]
    assert all(each and all(each.values()) for each in hits), hits
