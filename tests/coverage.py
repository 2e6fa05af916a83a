"""Which lines of lib, formats and cmd ran: coverage.py BUILD REPORT. Prints a line a folder, a line
of the files with most lines that did not run, and the total of lib and formats, and writes a report
for tally.py, in which a total below AIM is a failure.

A line counts once, however many objects it is compiled into; the figure is gcov's.
"""

import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from xml.sax.saxutils import quoteattr

ROOT = Path(__file__).resolve().parent.parent
AIM = 92  # percent


def lines_of(build):
    """{file: {line: how often it ran}} for the files of lib, formats and cmd."""
    found = defaultdict(lambda: defaultdict(int))
    counts = sorted(Path(build).resolve().rglob("*.gcda"))
    with tempfile.TemporaryDirectory() as out:
        for start in range(0, len(counts), 100):
            subprocess.run(["gcov", "--json-format", "--hash-filenames", *counts[start:start + 100]],
                           cwd=out, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        for path in Path(out).glob("*.gcov.json.gz"):
            report = json.loads(gzip.decompress(path.read_bytes()))
            for file in report["files"]:
                name = os.path.relpath(
                    os.path.join(report["current_working_directory"], file["file"]), ROOT)
                if name.startswith(("lib/", "formats/", "cmd/")) and name.endswith(".c"):
                    for line in file["lines"]:
                        found[name][line["line_number"]] += line["count"]
    return found


def main():
    build, report = sys.argv[1:]
    folders = defaultdict(lambda: [0, 0])
    files = []
    for name, lines in lines_of(build).items():
        ran = sum(count > 0 for count in lines.values())
        files.append((len(lines) - ran, name))
        whole = "cmd, too" if name.startswith("cmd/") else "lib and formats"
        for folder in os.path.dirname(name), whole:
            folders[folder][0] += ran
            folders[folder][1] += len(lines)
    if not files:
        sys.exit("coverage.py: nothing was counted in " + build)
    for folder, (ran, lines) in sorted(folders.items()):
        print(f"{folder:<20} {100 * ran / lines:5.1f} % of {lines} lines")
    print("most lines that did not run:",
          ", ".join(f"{name} {missed}" for missed, name in sorted(files, reverse=True)[:15]))
    ran, lines = folders["lib and formats"]
    failure = ""
    if 100 * ran < AIM * lines:
        failure = f"<failure message={quoteattr(f'{100 * ran / lines:.1f} %, not {AIM} %')}/>"
    Path(report).write_text(f'<testsuite><testcase classname="coverage" name="lib_and_formats">'
                            f"{failure}</testcase></testsuite>")


main()
