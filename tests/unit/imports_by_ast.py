"""Compares warmpack's scanner of import statements with Python's ast.

    python3 imports_by_ast.py SHOW_IMPORTS [ONE_IN]

The files are those of Debian's Python and its packages, every ONE_IN-th of them. The scanner may
find more than ast, in few files; never fewer, never on another line.
"""

import ast
import json
import os
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

# What runs programs that were compiled for another processor.
EMULATOR = os.environ.get("EMULATOR", "").split()
FOLDERS = ("/usr/lib/python3/dist-packages", "/usr/lib/python3.%d" % sys.version_info[1])


def sources(one_in=1):
    """Every ONE_IN-th source, chosen by its name, so that the choice is always the same."""
    found = [str(path) for folder in FOLDERS for path in Path(folder).rglob("*.py")]
    return sorted(path for path in found if zlib.crc32(path.encode()) % one_in == 0)


def by_ast(source):
    """What ast finds in the bytes of a source, or None where it is not Python of this version."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found = set()
    stack = [tree]
    while stack:
        for node in ast.iter_child_nodes(stack.pop()):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    found.add((0, alias.name, None, node.lineno))
            elif isinstance(node, ast.ImportFrom):
                names = tuple(alias.name for alias in node.names)
                found.add((node.level, node.module or "", names, node.lineno))
            elif not isinstance(node, ast.expr):
                stack.append(node)
    return found


def by_scanner(show_imports, paths):
    """What the scanner finds in each file: its statements, and whether it calls it dynamic."""
    done = subprocess.run(
        [*EMULATOR, show_imports],
        input="".join(p + "\n" for p in paths),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0
    for line in done.stdout.splitlines():
        result = json.loads(line)
        found = {
            (level, module, names if names is None else tuple(names), number)
            for level, module, names, number in result["imports"]
        }
        yield found, result["dynamic"]


def compare(show_imports, paths):
    """(files compared, statements, what was missed, files with more than ast finds)."""
    compared = statements = 0
    missed, more = [], []
    for path, (found, _) in zip(paths, by_scanner(show_imports, paths), strict=True):
        expected = by_ast(Path(path).read_bytes())
        if expected is None:
            continue
        compared += 1
        statements += len(expected)
        if not expected <= found:
            missed.append((path, sorted(expected - found, key=str)))
        if not found <= expected:
            more.append((path, sorted(found - expected, key=str)))
    return compared, statements, missed, more


def main(show_imports, one_in="1"):
    paths = sources(int(one_in))
    compared, statements, missed, more = compare(show_imports, paths)
    for kind, found in (("missed", missed), ("more", more)):
        for path, what in found:
            print(kind, path, what)
    print("%d files, %d statements" % (compared, statements))
    if not compared:
        sys.exit("SKIP: no sources of Debian's Python packages are here")
    sys.exit(1 if missed or len(more) > compared // 1000 else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
