#!/usr/bin/python3
"""Writes the table in README.md anew, by running warmpack and its peers on every archive:
WARMPACK=build/warmpack python3 tests/museum/verdicts.py"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import generate

HERE = pathlib.Path(__file__).resolve().parent
README = HERE / "README.md"
WARMPACK = os.environ.get("WARMPACK") or str(HERE.parents[1] / "build" / "warmpack")
ENVIRONMENT = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": "/nonexistent"}
PYTHON = """
import shutil, sys, tarfile, zipfile
if sys.argv[1].endswith(".zip"):
    zipfile.ZipFile(sys.argv[1]).extractall()
else:
    archive = tarfile.open(sys.argv[1])
    archive.extraction_filter = getattr(tarfile, "data_filter", None)
    archive.extractall()
"""
TOOLS = {
    "warmpack": lambda a: [WARMPACK, "extract", "-f", a],
    "GNU tar": lambda a: ["tar", "-xf", a] if ".tar" in a else None,
    "bsdtar": lambda a: ["bsdtar", "-xf", a],
    "unzip": lambda a: ["unzip", "-oq", a] if ".zip" in a else None,
    "Python": lambda a: ["/usr/bin/python3", "-c", PYTHON, a],
}


def look(top):
    """The tree below TOP as pieces have it."""
    found = {}
    for path in sorted(top.rglob("*")):
        name = os.fsencode(path.relative_to(top))
        found[name] = (os.readlink(path) if path.is_symlink()
                       else None if path.is_dir() else path.read_bytes())
    return found


def is_as_meant(piece, top):
    meant = {os.fsencode(k): v for k, v in piece.tree.items()}
    above = {name.rpartition(b"/")[0] for name in meant}
    found = {k: v for k, v in look(top).items()
             if k in meant or not (v is None and any(a == k or a.startswith(k + b"/")
                                                     for a in above))}
    if found != meant:
        return False
    if piece.mtime is None:
        return True
    (name,) = meant
    return os.stat(os.path.join(os.fsencode(top), name)).st_mtime == piece.mtime


def run(command, top):
    return subprocess.run(command, cwd=top, env=ENVIRONMENT, stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=60, check=False)


def summary_left_out(said):
    """warmpack's last line, which says how many files there are, is no warning."""
    return [line for line in said.splitlines() if b"cache index" not in line]


def verdict(tool, piece, archive, top):
    """What TOOL makes of it, and what it says."""
    command = TOOLS[tool](str(archive))
    if command is None or (tool != "warmpack" and not piece.peers):
        return "–", b""
    result = run(command, top)
    said = result.stderr if tool != "unzip" else result.stderr + result.stdout
    warnings = summary_left_out(said) if tool == "warmpack" else said.splitlines()
    if piece.tree is None:
        return ("takes it" if result.returncode == 0 else "refuses"), said
    if not is_as_meant(piece, top):
        return ("refuses" if result.returncode else "differs"), said
    return ("reads" if result.returncode == 0 and not warnings else "warns"), said


def all_verdicts(piece, tools):
    with tempfile.TemporaryDirectory() as scratch:
        archive = pathlib.Path(scratch) / piece.name
        archive.write_bytes(piece.data)
        for tool in tools:
            top = pathlib.Path(scratch) / "above" / tool.replace(" ", "")
            top.mkdir(parents=True)
            yield verdict(tool, piece, archive, top)[0]


def row(cells):
    return "| " + " | ".join(cells) + " |"


def table():
    yield row(("archive", "what is odd in it", "SHA-256", *TOOLS))
    yield row(("---",) * (3 + len(TOOLS)))
    for piece in generate.pieces():
        yield row((piece.name, piece.what, generate.digest(piece.data), *all_verdicts(piece, TOOLS)))


if __name__ == "__main__":
    for program in ("tar", "bsdtar", "unzip"):
        if not shutil.which(program):
            sys.exit(f"{program} is needed")
    before = README.read_text().partition("| archive |")[0]
    README.write_text(before + "\n".join(table()) + "\n")
