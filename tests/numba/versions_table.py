"""Writes the table of Numba's releases in README.md anew, from the last run of tests/run.sh --all.

Usage: versions_table.py [REPORTS]     REPORTS: build/reports
"""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
BEGIN, END = "<!-- versions_table.py -->\n", "<!-- /versions_table.py -->\n"
HEAD = (
    "Numba", "LLVM", "stamp", "in tree", "`NUMBA_CACHE_DIR`", "user-wide", "egg", "zip that is imported",
    "GNU tar: in tree", "elsewhere", "inspect, verify",
)  # fmt: skip


class Release:
    """What the reports say of one release: test -> outcome and what was loaded."""

    def __init__(self):
        self.cases = {}
        self.facts = {}

    def add(self, case):
        properties = {p.get("name"): p.get("value") for p in case.iter("property")}
        bad = any(case.find(tag) is not None for tag in ("failure", "error", "skipped"))
        self.cases[case.get("name")] = None if bad else properties.get("loaded", "yes")
        self.facts.update(properties)

    def cell(self, *beginnings):
        """The one thing that these tests say, or that they do not agree on success."""
        said = [v for k, v in self.cases.items() if k.startswith(beginnings)]
        if not said:
            return "-"
        if None in said:
            return "**no**"
        return said[0] if len(set(said)) == 1 else "yes"

    def row(self):
        moved = "test_moved_tree_loads_as_in_place[%s"
        tar = "test_gnu_tar_loses_what_warmpack_keeps[%s"
        return (
            self.facts["numba"],
            self.facts["llvm"],
            self.facts["stamp"],
            self.cell(moved % "in-tree"),
            self.cell(moved % "outside"),
            self.cell(moved % "user-wide"),
            self.cell("test_unpacked_egg"),
            self.cell("test_caches_of_sources_in_a_zip"),
            self.cell(tar % "in-tree"),
            self.cell(tar % "outside", tar % "user-wide"),
            "yes" if "**no**" not in (self.cell("test_inspect"), self.cell("test_this_interp"))
            else "**no**",
        )  # fmt: skip


def releases(reports):
    for report in reports.glob("numba*.xml"):
        release = Release()
        for case in ElementTree.parse(report).iter("testcase"):
            if case.get("classname").split(".")[-1] in ("test_versions", "test_egg", "test_inspect"):
                release.add(case)
        if "numba" in release.facts:
            yield release


def table(reports):
    found = sorted(releases(reports), key=lambda r: [int(n) for n in r.facts["numba"].split(".")])
    if not found:
        sys.exit("versions_table.py: no report of Numba in %s: run tests/run.sh --all" % reports)
    rows = [HEAD, ["---"] * len(HEAD), *(release.row() for release in found)]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def main():
    reports = Path(sys.argv[1] if len(sys.argv) > 1 else REPOSITORY / "build" / "reports")
    readme = REPOSITORY / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        sys.exit("versions_table.py: README.md has no place for the table")
    readme.write_text(before + BEGIN + table(reports) + END + after)


if __name__ == "__main__":
    main()
