"""The sources are as .clang-format has them, and the manual is well-formed."""

import pathlib
import subprocess

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def complaints(*words):
    done = subprocess.run(
        [str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.stdout


def test_sources_are_formatted():
    parts = ("cmd", "lib", "formats", "tests")
    sources = [p for part in parts for p in (REPOSITORY / part).rglob("*.[ch]")]
    assert len(sources) > 100
    if "version 14." not in complaints("clang-format", "--version"):
        pytest.skip("each release of clang-format has its own mind; the sources have that of 14's")
    assert complaints("clang-format", "--dry-run", *sources) == ""


def test_man_pages_are_well_formed():
    # Pages that are not installed cannot be found by a cross reference: a matter of style only.
    pages = sorted((REPOSITORY / "man").glob("*.[135]"))
    assert len(pages) >= 7
    assert complaints("mandoc", "-T", "lint", "-W", "warning", *pages) == ""
