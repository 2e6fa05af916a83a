"""README.md tells of just those releases of Numba that are tested."""

import pathlib
import re

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def test_table_of_releases_names_those_that_are_tested():
    text = (REPOSITORY / "README.md").read_text()
    table = text.partition("<!-- versions_table.py -->\n")[2].partition("<!-- /")[0]
    told = re.findall(r"^\| (\d+\.\d+\.\d+) \|", table, re.M)
    listed = (REPOSITORY / "tests" / "numba" / "versions.txt").read_text()
    pinned = re.findall(r"^(\d+\.\d+\.\d+) ", listed, re.M)
    # The first is Debian's own.
    assert told[1:] == pinned
