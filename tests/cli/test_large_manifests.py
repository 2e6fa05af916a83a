"""A manifest that is larger than a block goes into the archive, and comes out of it, in pieces."""

import json
import os
import subprocess

import pytest
from test_roundtrip import FORMATS, PIPES
from trees import Runner, assert_same, look

FILES = 14_000  # of 400 bytes of manifest each: more than the largest block of any format


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A Runner where the tree "site" lies, packed in every format."""
    place = tmp_path_factory.mktemp("large")
    for number in range(FILES):
        if number % 1000 == 0:
            directory = place / "site" / ("d%02d" % (number // 1000) + "-" * 100)
            directory.mkdir(parents=True)
        (directory / ("f%05d" % number + "x" * 100)).touch()
    run_here = Runner(place)
    for form, (words, archive) in FORMATS.items():
        run_here.ok("create", "--threads", "3", *words, "site")
        os.rename(place / archive, place / form)
    return run_here


@pytest.mark.parametrize("form", FORMATS)
def test_comes_back(packed, form, tmp_path):
    archive = packed.cwd / form
    packed.ok("extract", "--if-needed", "-f", archive, "-C", tmp_path)
    assert_same(look(packed.cwd / "site"), look(tmp_path / "site"))
    again = packed.ok("extract", "--if-needed", "-f", archive, "-C", tmp_path)
    if form != "tgz-of-one-member":  # which has no place to say where its manifest lies
        assert b"nothing to do" in again.stderr, again.stderr
    packed.ok("verify", tmp_path / "site")
    listing = packed.ok("list", "-f", archive).stdout.splitlines()
    assert len(listing) == FILES + FILES // 1000 + 2  # site, and the manifest
    [manifest] = tmp_path.glob("site/.warmpack/*/manifest.jsonl")
    lines = manifest.read_bytes().splitlines()
    assert json.loads(lines[-1])["entries"] == FILES + FILES // 1000 + 1
    assert manifest.stat().st_size > 5 << 20


@pytest.mark.parametrize("form", FORMATS)
def test_is_the_same_bytes_with_one_thread(packed, form):
    words, archive = FORMATS[form]
    packed.ok("create", "--threads", "1", *words, "site")
    same = (packed.cwd / archive).read_bytes() == (packed.cwd / form).read_bytes()
    (packed.cwd / archive).unlink()
    assert same


@pytest.mark.parametrize("form", PIPES)
def test_goes_through_pipes(packed, form, tmp_path):
    piped = packed.ok("create", *PIPES[form], "-f", "-", "site").stdout
    packed.ok("extract", "-f", "-", "-C", tmp_path, stdin=piped)
    assert_same(look(packed.cwd / "site"), look(tmp_path / "site"))


@pytest.mark.parametrize("command", (["tar", "-xzf", "tgz"], ["bsdtar", "-xf", "zip"],
                                     ["unzip", "-q", "zip-stored"], ["tar", "--zstd", "-xf", "zst"]),
                         ids=" ".join)
def test_is_read_by_peers(packed, command, tmp_path):
    command[-1] = str(packed.cwd / command[-1])
    subprocess.run(command, cwd=tmp_path, check=True)
    packed.ok("restore", tmp_path / "site")
    packed.ok("verify", tmp_path / "site")
