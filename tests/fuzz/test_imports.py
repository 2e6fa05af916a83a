"""The scanner of imports finds what Python's ast finds: in all sources of Debian's packages, and in
what becomes of them when pieces are put in at random places, always the same.
"""

import os
import random
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "unit"))
import imports_by_ast  # noqa: E402

SHOW_IMPORTS = Path(os.environ["WARMPACK"]).resolve().parent / "tests" / "unit" / "show_imports"
FILES = 800
SEED = int(os.environ.get("WARMPACK_FUZZ_SEED", "12"))

# What stands where it may, and where it may not.
PIECES = r'''
import a.b
import a.b as c, d . e
from . import x
from ..p import y as z, w
from.import q
from ... p . r import (s, # import no
    t)
from a import *
if x: import h
try: import i; import j
x = 1; import k \
   as l
import \
 m
from \
  n import \
  o
#
# from no \
""" import no """
''' + r"""
''' import no ''' '\'' "\\" rb'\' f'{x}' f"{x:{'y'}>{z}}" f'{{import no}}' rf'\{x}' f'\N{DASH}'
""" + r'''
f"""{x
}"""
f'{x!r:%H:"}'
f"{x["import a"]}"
f'{'#'}'; import s
f"{f'{f"{1}"}'}"
f"{x:{"}"}}"
f"""{x # "
}"""
lambda: (yield)
raise x from y
yield from z
class A: import u
@d
match x:
def f(): from v import w
é = 1
'''
PIECES = [piece for piece in PIECES.split("\n") if piece] + ["'", '"', "'''", '"""', "\\", "#", "{"]
PIECES += ["}", "(", ")", "\f", "\t", ";", ":", "f", "r", "import", "from", ".", " ", "\n"]


def changed(lines, chance):
    """LINES with a piece put in, mostly at a line's end, or a line taken out."""
    lines = list(lines)
    at = chance.randrange(len(lines))
    piece = chance.choice(PIECES)
    kind = chance.random()
    if kind < 0.5:
        indent = len(lines[at]) - len(lines[at].lstrip())
        lines.insert(at, lines[at][:indent] + piece)
    elif kind < 0.7:
        lines[at] += chance.choice(["", " ", ";", "; "]) + piece
    elif kind < 0.95:
        column = chance.randrange(len(lines[at]) + 1)
        lines[at] = lines[at][:column] + piece + lines[at][column:]
    else:
        del lines[at]
    return lines or [""]


def encoded(lines, chance):
    end = chance.choice(["\n", "\n", "\n", "\r\n", "\r"])
    return ("\ufeff" * (chance.random() < 0.1) + end.join(lines)).encode()


def variants(source, chance):
    """What several changes make of a source, each one of which left it Python."""
    lines = source.split("\n")
    for _ in range(8):
        tried = changed(lines, chance)
        if imports_by_ast.by_ast("\n".join(tried).encode()) is not None:
            lines = tried
            yield encoded(lines, chance)


def test_every_source_shows_what_ast_finds():
    paths = imports_by_ast.sources()
    compared, statements, missed, more = imports_by_ast.compare(str(SHOW_IMPORTS), paths)
    assert compared > len(paths) // 2 and statements > compared
    assert not missed
    assert len(more) <= compared // 1000


def test_changed_sources_show_what_ast_finds(tmp_path):
    paths = [p for p in imports_by_ast.sources() if 200 < os.stat(p).st_size < 6000]
    assert paths, "no sources of Debian's Python packages are here"
    chance = random.Random(SEED)
    written = []
    for path in chance.choices(paths, k=FILES):
        for content in variants(Path(path).read_bytes().decode("utf-8", "replace"), chance):
            written.append(str(tmp_path / ("%d.py" % len(written))))
            Path(written[-1]).write_bytes(content)
    compared, statements, missed, more = imports_by_ast.compare(str(SHOW_IMPORTS), written)
    assert compared > FILES and statements > FILES
    assert not missed
    assert len(more) <= compared // 1000
