"""What unpacking and restoring leave in .warmpack is nothing that anybody commits."""

import os
import shutil

import pytest
from trees import index, run, write


@pytest.fixture
def app(tmp_path):
    app = tmp_path / "app"
    index(write(app / "pkg/k.py", "x = 1\n", ns=10**18 + 1))
    return app


def git(tree, *words):
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "safe.directory=*")
    return run("git", *who, *words, cwd=tree, home=tree.parent / "home")


def status(tree):
    return git(tree, "status", "--porcelain", "--untracked-files=all").decode().split()


def by_extract(warmpack, app, where):
    warmpack.ok("-czf", "a.tgz", "-C", app.parent, "app")
    warmpack.ok("extract", "-f", "a.tgz", "-C", where)
    return where / "app"


def by_caches_only(warmpack, app, where):
    shutil.copytree(app, where / "app", ignore=shutil.ignore_patterns("__pycache__"))
    warmpack.ok("create", "--caches-only", "-f", "c.tgz", "-C", app.parent, "app")
    warmpack.ok("extract", "--caches-only", "-f", "c.tgz", "-C", where)
    return where / "app"


def by_restore(warmpack, app, where):
    warmpack.ok("-czf", "a.tgz", "-C", app.parent, "app")
    where.mkdir()
    run("tar", "-xzf", "a.tgz", "-C", where, cwd=warmpack.cwd)
    warmpack.ok("restore", where)
    return where / "app"


@pytest.mark.parametrize("made", [by_extract, by_caches_only, by_restore])
def test_git_sees_nothing_of_ours_where_a_tree_arrived(warmpack, app, tmp_path, made):
    tree = made(warmpack, app, tmp_path / "d")
    git(tree, "init", "-q")
    git(tree, "add", "pkg/k.py")
    assert [path for path in status(tree) if path.startswith(".warmpack")] == []
    assert (tree / ".warmpack/.gitignore").read_text() == "*\n"


def test_it_is_not_packed_and_nothing_complains_of_it(warmpack, app, tmp_path):
    tree = by_extract(warmpack, app, tmp_path / "d")
    warmpack.ok("verify", tree)
    assert warmpack.ok("diff", "a.tgz", tree).stdout == b""
    warmpack.ok("-czf", "again.tgz", "-C", tree.parent, "app")
    assert b".gitignore" not in warmpack.ok("-tf", "again.tgz").stdout
    warmpack.ok("extract", "-f", "again.tgz", "-C", tmp_path / "d2")
    # Another tool packs all that is there.
    run("tar", "-czf", tmp_path / "other.tgz", "-C", tree.parent, "app")
    warmpack.ok("amend", "-f", "other.tgz", "--source", tree.parent)
    warmpack.ok("verify", "-f", "other.tgz")
    warmpack.ok("extract", "-f", "other.tgz", "-C", tmp_path / "d3")


def test_one_that_is_there_is_left_alone(warmpack, app, tmp_path):
    tree = by_extract(warmpack, app, tmp_path / "d")
    (tree / ".warmpack/.gitignore").write_text("!*\n")
    warmpack.ok("extract", "-f", "a.tgz", "-C", tmp_path / "d")
    warmpack.ok("extract", "-k", "-f", "a.tgz", "-C", tmp_path / "d", status=2)
    tree.rename(tmp_path / "moved")
    warmpack.ok("restore", tmp_path / "moved")
    assert (tmp_path / "moved/.warmpack/.gitignore").read_text() == "!*\n"


def test_a_seal_is_made_to_be_committed(warmpack, app, tmp_path):
    tree = by_extract(warmpack, app, tmp_path / "d")
    warmpack.ok("seal", tree)
    assert not os.path.lexists(tree / ".warmpack/.gitignore")
    git(tree, "init", "-q")
    git(tree, "add", ".")
    assert any(path.endswith("manifest.jsonl") for path in status(tree))


def test_it_goes_with_the_tree_that_is_replaced(warmpack, app, tmp_path):
    tree = by_extract(warmpack, app, tmp_path / "d")
    (tree / ".warmpack/.gitignore").write_text("!*\n")
    warmpack.ok("extract", "--replace", "-f", "a.tgz", "-C", tmp_path / "d")
    assert (tree / ".warmpack/.gitignore").read_text() == "*\n"


def test_archives_that_supersede_one_another_share_it(warmpack, app, tmp_path):
    tree = by_extract(warmpack, app, tmp_path / "d")
    (app / "pkg/k.py").write_text("x = 2\n")
    by_extract(warmpack, app, tmp_path / "d")
    assert len(os.listdir(tree / ".warmpack")) == 2
