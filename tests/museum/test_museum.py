"""warmpack makes of every archive of the museum what the table says."""

import re
import subprocess

import generate
import pytest
import verdicts

PIECES = {piece.name: piece for piece in generate.pieces()}
ROWS = {cells[0]: cells for cells in (
    [cell.strip() for cell in line.strip("|\n").split("|")]
    for line in verdicts.README.read_text().splitlines() if re.match(r"\| (tar|zip)-", line))}


def test_the_table_has_every_archive_as_it_is():
    """The generator gives the very bytes that the table's verdicts are of."""
    assert len(PIECES) >= 60
    assert list(ROWS) == list(PIECES)
    assert {name: cells[1:3] for name, cells in ROWS.items()} == {
        name: [p.what, generate.digest(p.data)] for name, p in PIECES.items()}


def test_good_ones_are_read_and_bad_ones_refused():
    for name, cells in ROWS.items():
        assert cells[3] in (("refuses",) if "-bad-" in name else ("reads", "warns")), name


@pytest.mark.parametrize("name", PIECES)
def test_warmpack_makes_of_it_what_the_table_says(tmp_path, name):
    piece, archive, top = PIECES[name], tmp_path / name, tmp_path / "above" / "top"
    archive.write_bytes(piece.data)
    top.mkdir(parents=True)
    found, said = verdicts.verdict("warmpack", piece, archive, top)
    assert found == ROWS[name][3], said
    assert piece.says.encode() in said
    if piece.tree is None:
        assert len(said.splitlines()) == 1
        assert verdicts.look(tmp_path / "above") == {b"top": None}


@pytest.mark.parametrize("name", PIECES)
def test_a_pipe_and_a_list_are_no_other_matter(tmp_path, name):
    """From a pipe it is read or refused as from a file; what is unpacked can be listed."""
    piece, top = PIECES[name], tmp_path / "top"
    top.mkdir()
    (tmp_path / name).write_bytes(piece.data)
    result = subprocess.run([verdicts.WARMPACK, "extract", "-f", "-"], cwd=top,
                            env=verdicts.ENVIRONMENT, input=piece.data, capture_output=True,
                            timeout=60, check=False)
    assert (result.returncode == 2) == (piece.tree is None), result.stderr
    if piece.tree is not None:
        assert verdicts.is_as_meant(piece, top)
        listed = verdicts.run([verdicts.WARMPACK, "list", "-vf", str(tmp_path / name)], top)
        assert listed.returncode == 0, listed.stderr
