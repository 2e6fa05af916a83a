"""Sums the JUnit reports of the parts into one closing line: tally.py DIR EXPECTED-SKIPS PART...

A part without a readable report, or with an empty one, counts as failed: it crashed before it
could say anything. A skip counts as failed where EXPECTED-SKIPS does not name it: a test that
silently stopped running must be noticed.
"""

import sys
import xml.etree.ElementTree as ElementTree
from fnmatch import fnmatchcase
from pathlib import Path


def expected_skips(path):
    """The patterns of the file: the first word of each line that is no comment."""
    if not path.exists():
        return []
    lines = (line.split("#", 1)[0].split() for line in path.read_text().splitlines())
    return [words[0] for words in lines if words]


def outcome(case):
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    # ctest says "notrun" or "disabled" for what never ran.
    if case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
        return "skipped"
    return "failed" if case.get("status") == "fail" else "passed"


def tally(report, part, expected):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    try:
        cases = list(ElementTree.parse(report).iter("testcase"))
    except (OSError, ElementTree.ParseError) as error:
        print("%s: no report: %s" % (part, error))
        return {**counts, "failed": 1}
    if not cases:
        print("%s: no tests ran" % part)
        return {**counts, "failed": 1}
    # A test that fails in its teardown too has two entries.
    outcomes = {}
    for case in cases:
        name = ".".join(filter(None, (case.get("classname"), case.get("name"))))
        name = name if part != "unit" else "unit." + case.get("name", "")
        if outcomes.get(name) != "failed":
            outcomes[name] = outcome(case)
    for name, result in outcomes.items():
        if result == "skipped" and not any(fnmatchcase(name, p) for p in expected):
            print("%s: skipped, which tests/expected-skips does not list" % name)
            result = "failed"
        elif result == "failed":
            print("%s: failed" % name)
        counts[result] += 1
    return counts


def main():
    directory, skips, *parts = sys.argv[1:]
    expected = expected_skips(Path(skips))
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for part in parts:
        counts = tally(Path(directory) / (part + ".xml"), part, expected)
        total = {key: total[key] + counts[key] for key in total}
    print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % total)
    return 0 if total["passed"] and not total["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
