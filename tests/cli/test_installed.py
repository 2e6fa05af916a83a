"""Caches that are put onto what pip installed are pip's to remove, with what warmpack adds to keep
them valid."""

import base64
import csv
import hashlib
import os
import zipfile

import pytest
import trees
from trees import index, look, run, write

PYTHON = "/usr/bin/python3"
TIME = 1_600_000_000 * 10**9 + 123_456_789
FILES = {"alpha": ("alpha/__init__.py", "alpha/k.py", "alpha/deep/a,b.py"),
         "beta": ("beta/__init__.py", "beta/k.py", "one_module.py")}


def wheel(tmp_path, name):
    """Without caches, as other tools make it; the tree that it was made from has them."""
    path = tmp_path / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for file in FILES[name]:
            source = write(tmp_path / "build" / file, f"x = '{file}'\n", ns=TIME)
            index(source)
            archive.write(source, file)
        archive.writestr(f"{info}/METADATA",
                         f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: none\n"
                         "Root-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture(name="site")
def two_installed_distributions(warmpack, tmp_path):
    wheels = [wheel(tmp_path, name) for name in FILES]
    run(PYTHON, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target",
        tmp_path / "site", *wheels, home=warmpack.home)
    return tmp_path / "site"


def record(site, name):
    with open(site / f"{name}-1.0.dist-info/RECORD", encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def assert_true(site, name):
    """Each file once, each there, and as its digest says."""
    rows = record(site, name)
    assert len({row[0] for row in rows}) == len(rows)
    for path, digest, size in rows:
        content = (site / path).read_bytes()
        if digest:
            found = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
            assert digest == "sha256=" + found.decode() and int(size) == len(content)


def uninstall(warmpack, site, name):
    env = trees.environment(warmpack.home, PYTHONPATH=str(site))
    run(PYTHON, "-m", "pip", "uninstall", "--break-system-packages", "-qy", name, env=env)


def put_caches(warmpack, site, *members, layout=()):
    warmpack.ok("create", "-q", "--caches-only", "-f", "c.tgz", "-C", "build", *members)
    return warmpack.ok("extract", "--caches-only", "-f", "c.tgz", "-C", site, *layout)


def names(site):
    return {os.fsdecode(p) for p in look(site, ours=True)}


@pytest.mark.parametrize("layout", [(), ("--layout", "cache-dir", "--cache-dir", "site/alpha/c")])
def test_what_was_added_goes_with_the_distribution(warmpack, site, layout):
    before = {p for p in names(site) if not p.startswith("alpha")}
    put_caches(warmpack, site, "alpha", layout=layout)
    assert any("/.warmpack/" in p for p in names(site))
    for name in FILES:
        assert_true(site, name)
    again = look(site, ours=True)
    warmpack.ok("restore", site)
    warmpack.ok("restore", site)
    trees.assert_same(again, look(site, ours=True))
    uninstall(warmpack, site, "alpha")
    if not layout:
        assert names(site) == before
    assert not [p for p in names(site) if p.endswith((".nbi", ".nbc", ".jsonl"))]
    assert len(record(site, "beta")) > len(FILES["beta"])


def test_one_manifest_for_two_distributions_stays_until_both_are_gone(warmpack, site):
    """The first that goes must not take from the other what keeps its caches valid."""
    put_caches(warmpack, site, ".")
    for name in FILES:
        assert_true(site, name)
    uninstall(warmpack, site, "alpha")
    assert not [p for p in names(site) if p.startswith("alpha")]
    for path in site.rglob("*.py"):
        os.utime(path)
    assert b"3 of 3 cache indexes valid" in warmpack("restore", site).stderr
    uninstall(warmpack, site, "beta")  # whose alone the manifest was, at that repair
    assert not [p for p in site.rglob("*") if p.suffix in (".nbi", ".nbc", ".jsonl")]


def test_a_manifest_elsewhere_lists_caches_too(warmpack, site):
    warmpack.ok("create", "-q", "--caches-only", "-f", "c.tgz", "-C", "build", "alpha")
    run("tar", "-xzf", "c.tgz", "-C", ".", cwd=site.parent)
    manifest, = (site.parent / "alpha").glob(".warmpack/*/manifest.jsonl")
    warmpack.ok("restore", "--manifest", manifest, site)
    assert len([row for row in record(site, "alpha") if row[0].endswith(".nbi")]) == 3
    uninstall(warmpack, site, "alpha")
    assert not [p for p in names(site) if p.startswith("alpha")]


def test_a_RECORD_that_was_packed_stays_as_it_was_packed(warmpack, site, tmp_path):
    for name in FILES["alpha"]:
        index(site / name)
    warmpack.ok("create", "-qf", "s.tgz", "-C", tmp_path, "site")
    warmpack.ok("extract", "-qf", "s.tgz", "-C", "out")
    before = look(tmp_path / "out", ours=True)
    warmpack.ok("restore", "out")
    trees.assert_same(before, look(tmp_path / "out", ours=True))


@pytest.mark.parametrize("content", [b"alpha/k.py,,\0\n", b"", b"\n\n", b'"alpha/k.py'])
def test_a_damaged_RECORD_is_left_alone(warmpack, site, content):
    path = site / "alpha-1.0.dist-info/RECORD"
    path.write_bytes(content)
    assert b"3 of 3 cache indexes valid" in put_caches(warmpack, site, "alpha").stderr
    assert path.read_bytes() == content


def test_a_RECORD_is_not_written_through_a_link(warmpack, site, tmp_path):
    info, away = site / "alpha-1.0.dist-info", tmp_path / "away"
    info.rename(away)
    info.symlink_to(away)
    before = (away / "RECORD").read_bytes()
    put_caches(warmpack, site, "alpha")
    assert (away / "RECORD").read_bytes() == before
