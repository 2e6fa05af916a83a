"""Never an old result, whatever the way in which modules import each other: packages of random modules
(random_edits.py), whose caches meet each of their edits."""

import json
import subprocess

import pytest
import random_edits
from harness import PYTHON, environment, warmpack

NUMBERS = (4, 11, 13, 23, 28)  # what they found is in tests/unit/test_depends.c
ROUNDS = 8  # edits of each package


@pytest.fixture(scope="module")
def packages():
    return [random_edits.Package(number) for number in NUMBERS]


def run(tree, packages, home, **variables):
    (tree / "run.py").write_text(random_edits.RUN)
    (home / "plan").write_text(random_edits.plan(packages))
    done = subprocess.run(
        [PYTHON, "run.py", home / "plan"],
        cwd=tree, env=environment(home, **variables), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def written(tree, packages, edits=()):
    for i, package in enumerate(packages):
        files = package.after(edits[i][1]) if edits else package.files
        for path, text in files.items():
            random_edits.write(tree, path, text)
    return tree


@pytest.fixture(scope="module")
def warm(packages, tmp_path_factory):
    home = tmp_path_factory.mktemp("warm")
    tree = written(home / "tree", packages)
    said = run(tree, packages, home)
    assert not [text for text in said.values() if isinstance(text, str)]
    warmpack("create", "-q", "--caches-only", "-f", home / "c.tgz", "-C", tree, ".", home=home)
    return home / "c.tgz", said


def index_of(tree, module):
    cache = (tree / module.path).parent / "__pycache__"
    pattern = "%s.f%d-*.nbi" % (module.parts[-1], module.number)
    return next(iter(cache.glob(pattern)), None)


def test_what_edits_reach_is_left_out(packages, warm, tmp_path):
    """Numba that only interprets says what a fresh compile would give; an index whose function gives
    something else now is not there."""
    archive, before = warm
    kept = 0
    for turn in range(ROUNDS):
        chosen = [package.edits[turn * 5 % len(package.edits)] for package in packages]
        tree = written(tmp_path / str(turn), packages, chosen)
        warmpack("extract", "-q", "--caches-only", "-f", archive, "-C", tree, home=tmp_path)
        fresh = run(tree, packages, tmp_path, NUMBA_DISABLE_JIT=1, PYTHONDONTWRITEBYTECODE=1)
        for package, edit in zip(packages, chosen):
            if isinstance(fresh[package.name], str):
                continue  # the edit broke it
            for module in package.cached():
                if index_of(tree, module) is None:
                    continue
                if (tree / module.path).with_suffix("").is_dir():
                    continue  # nobody looks there any more
                kept += 1
                new = fresh[package.name][module.dotted][0]
                assert new == before[package.name][module.dotted][0], (edit[0], module.path)
    assert kept > ROUNDS  # not by leaving all out


def test_a_fresh_compile_gives_what_caches_give(packages, warm, tmp_path):
    archive, _ = warm
    chosen = [package.edits[0] for package in packages]
    fresh = written(tmp_path / "fresh", packages, chosen)
    tree = written(tmp_path / "tree", packages, chosen)
    warmpack("extract", "-q", "--caches-only", "-f", archive, "-C", tree, home=tmp_path)
    expected = run(fresh, packages, tmp_path)
    said = run(tree, packages, tmp_path)
    hits = 0
    for package in packages:
        for dotted, (value, hit) in said[package.name].items():
            assert value == expected[package.name][dotted][0], (package.name, dotted)
            hits += hit
    assert hits > 0
